# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs there were and what they changed, from the record (plugin_utils/record.py of the collection has its form).

The order is that of the lines, never that of their times: a clock may jump back.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook_cli.answer import CliError, nearest
from runbook_cli.terminal import columns, some

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "record.jsonl"
UNDO = "change_undo"
VERSION = 1
"""Of a line of the record; those of before there were versions have none."""
_SEEN = re.compile(
    rb'\{"seq":\d+,"previous":"\w{64}","at":"([^"]+)","run":"([^"\\]+)","host":"([^"\\]+)",'
    rb'"phase":"(looked|leased|evidence|decided|verified)","version":1,"entry":'
)
"""A line of which no more matters here: what it has to say is long, and is not parsed."""
ENDS = ("outcome", "job")
"""Phases with which a run ends on a host."""
_SILENT = ("The target did not answer", "The program on the target passed its deadline")
"""How an answer begins that never came (plugin_utils/light.py)."""
_SHOWN = 5
Line = dict[str, Any]


@dataclass
class Run:
    """What one run did, without what it only predicted."""

    id: str
    at: str
    """When it began, RFC 3339 UTC."""
    ended: str = ""
    """When it was last heard of."""
    name: str = ""
    """The playbook's; empty for runs of before that was recorded, like the next three."""
    by: str = ""
    inventory: list[str] = field(default_factory=list)
    limit: str | None = None
    incident: str | None = None
    check: bool = False
    seen: list[str] = field(default_factory=list)
    """Where it was, whatever came of it."""
    outcomes: dict[str, str] = field(default_factory=dict)
    """host -> the last outcome that was told of it."""
    changed: list[str] = field(default_factory=list)
    """Where it changed something."""
    modules: list[str] = field(default_factory=list)
    """Those that changed something, or may have."""
    hosts: list[str] = field(default_factory=list)
    """Where it changed something that can be put back."""
    unknown: list[str] = field(default_factory=list)
    """Where it broke off, so that nobody knows what it changed."""
    stuck: dict[str, list[str]] = field(default_factory=dict)
    """What cannot be put back: reason -> hosts."""
    undoes: str | None = None
    """The run that it undid, for an undo."""
    undone: dict[str, str] = field(default_factory=dict)
    """host -> the run that undid this one there, and is not undone itself."""

    @property
    def targets(self) -> list[str]:
        """Where an undo of it has to go."""
        return list(dict.fromkeys([*self.hosts, *self.unknown]))

    @property
    def unended(self) -> list[str]:
        """Where it was, and nothing tells how that ended: it is still at work, was ended, or lost the host."""
        return [host for host in self.seen if host not in self.outcomes]

    def told(self) -> dict[str, Any]:
        """The run as `history` gives it."""
        named = ("name", "by", "inventory", "limit", "incident", "check", "ended", "outcomes", "unended", "changed")
        return {**self.document(), **{key: getattr(self, key) for key in named}}

    def document(self) -> dict[str, Any]:
        """The run as `undo --list` gives it."""
        stuck = [{"reason": reason, "hosts": hosts} for reason, hosts in self.stuck.items()]
        by = {run: sum(one == run for one in self.undone.values()) for run in dict.fromkeys(self.undone.values())}
        return {
            "run": self.id,
            "at": self.at,
            "modules": self.modules,
            "hosts": self.hosts,
            "unknown": self.unknown,
            "not_undone": stuck,
            "undoes": self.undoes,
            "undone_by": by,
        }


def history(records: Path) -> list[Run]:
    """Every run, the latest last; empty where there is no record."""
    runs: dict[str, Run] = {}
    begun: dict[tuple[str, str], Line] = {}
    for line in lines(records / NAME):
        run = runs.setdefault(line["run"], Run(line["run"], line["at"]))
        _see(run, line)
        if line["phase"] not in ("intent", "acted") or line["entry"].get("check"):
            continue
        key, entry = (line["run"], line["host"]), line["entry"]
        if line["phase"] == "intent":
            _lost(run, begun.pop(key, None))
            begun[key] = line
            continue
        intent = begun.pop(key, line)
        if (entry.get("unreachable") and entry.get("reached", True)) or str(entry.get("msg", "")).startswith(_SILENT):
            _lost(run, intent)
        elif entry.get("changed"):
            _add(run, line["host"], entry)
            _mark_undone(runs, run, intent, bool(entry.get("failed")))
    for line in begun.values():
        _lost(runs[line["run"]], line)
    for run in reversed(runs.values()):  # the latest first: an undo that was undone counts no more
        run.undone = {host: by for host, by in run.undone.items() if host not in runs[by].undone}
    return list(runs.values())


def lines(path: Path, of: str | None = None) -> Iterator[Line]:
    """The record's lines, or those of one run in full; one that is not whole is passed over: verifying is not this.

    Raises:
        CliError: It cannot be read, or is of a newer version.
    """
    try:
        with path.open("rb") as stream:
            for raw in stream:
                seen = _SEEN.match(raw)
                if seen and of is None:
                    at, run, host, phase = (part.decode(errors="replace") for part in seen.groups())
                    yield {"at": at, "run": run, "host": host, "phase": phase, "entry": {}}
                    continue
                if of is None or of.encode() in raw:
                    line = _parsed(raw, path)
                    if line and of in (None, line["run"]):
                        yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise CliError(f"the record cannot be read ({error.strerror})", str(path)) from None


def _parsed(raw: bytes, path: Path) -> Line | None:
    with contextlib.suppress(ValueError):
        line = json.loads(raw)
        version = line.get("version") if isinstance(line, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise CliError(
                f"the record is of a newer version ({version}, this one knows {VERSION})",
                str(path),
                "Use that version of runbook, or another record: --records DIR.",
            )
        if isinstance(line, dict) and isinstance(line.get("entry"), dict) and {"at", "run", "host", "phase"} <= {*line}:
            return line
    return None


def _see(run: Run, line: Line) -> None:
    """Whatever it is, it tells that the run was there."""
    entry, started = line["entry"], line.get("started") or {}
    run.ended = line["at"]
    run.name = run.name or str(started.get("name") or "")
    run.by = run.by or str(started.get("by") or "")
    run.inventory = run.inventory or list(started.get("inventory") or [])
    run.limit = run.limit or started.get("limit")
    run.incident = run.incident or started.get("incident") or entry.get("incident")
    run.check = run.check or bool(started.get("check")) or bool(entry.get("check"))
    if line["phase"] in ENDS:
        run.outcomes[line["host"]] = str(entry.get("outcome"))
    _once(run.seen, line["host"])


def _lost(run: Run, intent: Line | None) -> None:
    """Nobody knows what came of an intent."""
    if intent:
        _once(run.modules, intent["entry"]["module"])
        _once(run.unknown, intent["host"])


def _add(run: Run, host: str, entry: Line) -> None:
    _once(run.modules, entry["module"])
    _once(run.changed, host)
    for step in undo_steps(entry.get("undo") or {}):
        _once(run.stuck.setdefault(str(step.get("reason")), []) if step.get("kind") == "none" else run.hosts, host)


def _once(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)


def _mark_undone(runs: dict[str, Run], run: Run, intent: Line, failed: bool) -> None:
    if intent["entry"]["module"] == UNDO:
        run.undoes = str(intent["entry"].get("arguments", {}).get("run"))
        if run.undoes in runs and not failed:
            runs[run.undoes].undone[intent["host"]] = run.id


def undo_steps(undo: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The single steps of what a changing module returned as its undo."""
    if undo.get("kind") == "steps":
        for step in undo["steps"]:
            yield from undo_steps(step)
    elif undo:
        yield undo


def find(records: Path, name: str) -> Run:
    """The run called name; `last` is the latest that can be undone, is no undo itself, and is not undone everywhere.

    Raises:
        CliError: 2 for a run that is not known or changed nothing, 7 for one of which nothing can be put back.
    """
    runs = history(records)
    if name == "last":
        open_ = [run for run in runs if not run.undoes and set(run.targets) - set(run.undone)]
        if open_:
            return open_[-1]
        raise CliError("there is no run that could be undone", str(records / NAME), "See 'runbook undo --list'.")
    known = next((run for run in runs if run.id == name), None)
    if known is None or not (known.targets or known.stuck):
        what = "changed nothing" if known else "is not in the record"
        near = "" if known else nearest(name, [run.id for run in runs if run.targets])
        raise CliError(f"run {name!r} {what}", str(records / NAME), f"{near} {_latest(runs)}".strip())
    if not known.targets:
        reasons = "; ".join(f"{reason} ({some(hosts)})" for reason, hosts in known.stuck.items())
        raise CliError(f"nothing of run {name} can be put back: {reasons}", code=7)
    return known


def _latest(runs: list[Run]) -> str:
    told = [run for run in reversed(runs) if run.targets][:_SHOWN]
    if not told:
        return "No run in it can be undone."
    return "The last ones that can be undone:\n" + columns([_row(run) for run in told], "  ")


def _row(run: Run) -> list[str]:
    what = f"undo of {run.undoes}" if run.undoes else ", ".join(run.modules)
    where = [some(run.hosts)] if run.hosts else []
    where += [f"not known: {some(run.unknown)}"] if run.unknown else []
    return [run.id, run.at[:19].replace("T", " "), what, "; ".join(where)]


def list_text(runs: list[Run]) -> str:
    """`runbook undo --list`, the latest first."""
    if not runs:
        return "No run in the record can be undone."
    rows = [["RUN", "WHEN (UTC)", "WHAT", "HOSTS", "UNDONE BY"]]
    return columns([*rows, *([*_row(run), _undone(run)] for run in runs)])


def _undone(run: Run) -> str:
    by = run.document()["undone_by"]
    total = len(run.targets)
    return (
        ", ".join(name if count >= total else f"{name} ({count} of {total} hosts)" for name, count in by.items()) or "-"
    )
