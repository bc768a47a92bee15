# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lines of the record a report is about, and whether the chain around them is whole."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook_cli.answer import CliError, did_you_mean
from runbook_cli.history import ENDS, NAME

if TYPE_CHECKING:
    from pathlib import Path

WELL = ("healthy", "remedied", "recovered")
_ORIGIN = "0" * 64
_HEAD = re.compile(
    rb'\{"seq":(\d+),"previous":"([0-9a-f]{64})","at":"([^"\\]*)","run":"([^"\\]*)","host":"([^"\\]*)","phase":"(\w+)"'
)
_SHOWN, _BACK = 5, 50
Line = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a line lies, and what its head says."""

    number: int
    offset: int
    size: int
    run: str
    host: str
    phase: str


@dataclass
class Record:
    """The record's lines by place; what they say is read when it is wanted."""

    path: Path
    places: list[Place] = field(default_factory=list)
    breaks: list[tuple[int, str]] = field(default_factory=list)
    """Where the chain does not hold: the line's number, and what is wrong."""
    ends: dict[str, list[Place]] = field(default_factory=dict)
    """host -> the lines with which its runs ended."""
    tied: dict[str, str] = field(default_factory=dict)
    """run -> the incident that it is tied to."""

    def lines(self, places: list[Place]) -> list[Line]:
        """What these lines say; one that is damaged says nothing, and chain() tells of it."""
        found: list[Line] = []
        with self.path.open("rb") as stream:
            for place in places:
                stream.seek(place.offset)
                line = _parsed(stream.read(place.size))
                if line is None:
                    self.breaks.append((place.number, "is damaged"))
                else:
                    found.append(line)
        return found

    def runs(self) -> list[str]:
        """All runs, the latest last."""
        return list(dict.fromkeys(place.run for place in self.places))

    def well_before(self, first: Place, target: str) -> Line | None:
        """The last line before first that ends a run with this target well."""
        ends = [place for place in self.ends.get(first.host, []) if place.number < first.number]
        for line in self.lines(ends[-_BACK:])[::-1]:
            if line["entry"].get("target") == target and line["entry"].get("outcome") in WELL:
                return line
        return None

    def chain(self, places: list[Place]) -> dict[str, Any]:
        """Whether these lines, and those that vouch for them, follow each other."""
        theirs = {number for place in places for number in (place.number, place.number + 1)}
        own = next((f"line {number} {what}" for number, what in self.breaks if number in theirs), None)
        other = next((f"line {number} {what}" for number, what in self.breaks if number not in theirs), None)
        return {
            "path": str(self.path),
            "lines": len(places),
            "first": places[0].number,
            "last": places[-1].number,
            "whole": own is None,
            "problem": own,
            "elsewhere": other,
        }


def _parsed(raw: bytes) -> Line | None:
    """The line as a document; None for one that is not whole."""
    try:
        line: Line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line.get("entry"), dict) else None


def read(records: Path) -> Record:
    """Go once through the record.

    Raises:
        CliError: There is none, or it cannot be read.
    """
    record = Record(records / NAME)
    try:
        with record.path.open("rb") as stream:
            _index(record, stream)
    except FileNotFoundError:
        raise CliError("there is no record", str(record.path), "Give --records DIR.") from None
    except OSError as error:
        raise CliError(f"the record cannot be read ({error.strerror})", str(record.path)) from None
    return record


def _index(record: Record, stream: Any) -> None:
    previous, offset, expected = _ORIGIN, 0, 1
    for number, raw in enumerate(stream, 1):
        head = _head(raw)
        if head is None or not raw.endswith(b"\n"):
            record.breaks.append((number, "is not a whole line of ours"))
        if head:
            seq, named, run, host, phase = head
            if named != previous or seq != expected:
                record.breaks.append((number, f"does not follow line {number - 1}"))
            expected = seq + 1
            place = Place(number, offset, len(raw), run, host, phase)
            record.places.append(place)
            if phase in ENDS:
                record.ends.setdefault(host, []).append(place)
                incident = _parsed(raw) if b'"incident":"' in raw else None
                if incident:
                    record.tied[run] = str(incident["entry"].get("incident"))
        previous, offset = hashlib.sha256(raw.rstrip(b"\n")).hexdigest(), offset + len(raw)


def _head(raw: bytes) -> tuple[int, str, str, str, str] | None:
    """A line's number, whom it follows, run, host and phase; None for what is no whole line of the record."""
    found = _HEAD.match(raw)
    if found and raw.rstrip().endswith(b"}"):
        seq, previous, _at, run, host, phase = found.groups()
        return int(seq), previous.decode(), run.decode(), host.decode("utf-8", "replace"), phase.decode()
    try:
        line = json.loads(raw)
        return int(line["seq"]), *(str(line[key]) for key in ("previous", "run", "host", "phase"))  # type: ignore[return-value]
    except (ValueError, KeyError, TypeError):
        return None


def chosen(record: Record, run: str | None, incident: str | None, host: str | None) -> list[Place]:
    """The lines of one run (`last`: the latest), or of all runs that are tied to an incident; perhaps of one host.

    Raises:
        CliError: No such lines.
    """
    runs = _of_incident(record, incident) if incident is not None else [_of_name(record, str(run))]
    found = [place for place in record.places if place.run in runs]
    if host is None:
        return found
    hosts = list(dict.fromkeys(place.host for place in found))
    if host not in hosts:
        raise CliError(f"{', '.join(runs)} did not come to this host", f"--host {host}", did_you_mean(host, hosts))
    return [place for place in found if place.host == host]


def _of_incident(record: Record, incident: str) -> list[str]:
    runs = [run for run, tied in record.tied.items() if tied == incident]
    if runs:
        return runs
    known = list(dict.fromkeys(record.tied.values()))
    hint = did_you_mean(incident, known) or "Runs are tied to one by 'runbook run ... --incident ID'."
    raise CliError(f"no run is tied to incident {incident!r}", str(record.path), hint)


def _of_name(record: Record, name: str) -> str:
    runs = record.runs()
    if name == "last" and runs:
        return runs[-1]
    if name in runs:
        return name
    latest = f"The latest ones: {', '.join(runs[: -_SHOWN - 1 : -1])}." if runs else "It has no runs yet."
    raise CliError(f"run {name!r} is not in the record", str(record.path), latest)
