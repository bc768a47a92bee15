# SPDX-License-Identifier: GPL-3.0-or-later
"""The record: one append-only file of JSON lines, each holding the SHA-256 of the line before.

Lies in `$OPS_RUNBOOK_RECORDS`, else `$XDG_STATE_HOME/ops-runbook`, else `~/.local/state/ops-runbook`; folder 0700,
file 0600.
A line: `{"seq": 7, "previous": "<sha256 of line 6>", "at": "2026-01-05T02:00:07.123Z", "run": "...", "host": "db1",
"phase": "intent", "entry": {...}}`. The head (SHA-256 of the last line) also goes to the target's
journal at each phase.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import secrets
import time
import typing as t
from pathlib import Path

from ..module_utils.host import utc
from ..module_utils.redact import redact
from .errors import RecordError

NAME = "record.jsonl"
ORIGIN = "0" * 64
"""What the first line names as the line before it."""


class Line(t.TypedDict):
    """One line of the record; `entry` is what the phase has to say."""

    seq: int
    previous: str
    at: str
    run: str
    host: str
    phase: str
    entry: dict[str, t.Any]


def run_id() -> str:
    """This run's id, made once per controller process (forked workers inherit it), or given in OPS_RUNBOOK_RUN_ID."""
    fresh = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"
    return os.environ.setdefault("OPS_RUNBOOK_RUN_ID", fresh)


def state_folder() -> Path:
    """Where records and evidence of this user lie."""
    state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(state) / "ops-runbook"


def folder() -> Path:
    """Where the record lies."""
    chosen = os.environ.get("OPS_RUNBOOK_RECORDS")
    return Path(chosen).expanduser() if chosen else state_folder()


_redacted = functools.lru_cache(4096)(redact)  # the same words come again and again


def masked(value: t.Any) -> t.Any:
    """The same structure with secrets in its texts replaced."""
    if isinstance(value, str):
        return _redacted(value)
    if isinstance(value, dict):
        return {str(key): masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value


def append(where: Path, run: str, host: str, phase: str, entry: dict[str, t.Any]) -> str:
    """Add a line and return the new head (SHA-256 hex).

    Raises:
        RecordError: The folder or file cannot be written, or its last line is not ours: nothing may be changed then.
    """
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(where / NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "rb+", buffering=0) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            seq, previous = _head(stream)
            line = Line(
                seq=seq + 1,
                previous=previous,
                at=utc(time.time()),
                run=run,
                host=host,
                phase=phase,
                entry=masked(entry),
            )
            text = json.dumps(line, separators=(",", ":"), default=str).encode()
            stream.write(text + b"\n")
            os.fsync(stream.fileno())
    except OSError as error:
        raise _unusable("written", where, error) from error
    return hashlib.sha256(text).hexdigest()


def _unusable(verb: str, where: Path, error: OSError) -> RecordError:
    return RecordError(
        f"the record cannot be {verb}: {error.strerror}",
        where=str(where / NAME),
        hint="Without a record nothing is changed. Make the folder writable or set OPS_RUNBOOK_RECORDS.",
    )


def _head(stream: t.BinaryIO) -> tuple[int, str]:
    last = next(_backwards(stream), None)
    if last is None:
        return 0, ORIGIN
    try:
        return int(json.loads(last)["seq"]), hashlib.sha256(last).hexdigest()
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(
            "the last line of the record is not whole",
            where=str(folder() / NAME),
            hint="Keep the file as evidence under another name; the next run begins a new one.",
        ) from error


def _backwards(stream: t.BinaryIO, chunk: int = 65536) -> t.Iterator[bytes]:
    """Lines from the last to the first, without reading the whole file."""
    end = stream.seek(0, os.SEEK_END)
    rest = b""
    while end > 0:
        start = max(0, end - chunk)
        stream.seek(start)
        parts = (stream.read(end - start) + rest).split(b"\n")
        rest, end = parts[0], start
        yield from (part for part in reversed(parts[1:]) if part)
    if rest:
        yield rest


def of_run(where: Path, run: str, host: str) -> list[Line]:
    """The lines that this run wrote for this host, oldest first, from its phase `looked` on."""
    found: list[Line] = []
    try:
        with (where / NAME).open("rb") as stream:
            for raw in _backwards(stream):
                line: Line = json.loads(raw)
                if (line["run"], line["host"]) == (run, host):
                    found.append(line)
                    if line["phase"] == "looked":
                        break
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable("read", where, error) from error
    except (ValueError, KeyError) as error:
        raise RecordError("the record holds a line that is not ours", where=str(where / NAME)) from error
    return found[::-1]


def verify(where: Path) -> tuple[int, str | None]:
    """Follow the chain: (lines that are whole, what is wrong with the first one that is not, or None)."""
    previous, count = ORIGIN, 0
    try:
        raw = (where / NAME).read_bytes()
    except FileNotFoundError:
        return 0, None
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            entry = json.loads(line)
        except ValueError:
            return count, f"line {number} is not JSON"
        if entry.get("previous") != previous:
            return count, f"line {number} does not follow line {number - 1}: a line was edited, dropped or moved"
        if entry.get("seq") != number:
            return count, f"line {number} says it is number {entry.get('seq')}"
        previous, count = hashlib.sha256(line).hexdigest(), number
    return count, None if raw.endswith(b"\n") or not raw else f"line {count} was cut"
