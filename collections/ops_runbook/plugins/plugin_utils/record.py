# SPDX-License-Identifier: GPL-3.0-or-later
"""The record: one append-only file of JSON lines, each holding the SHA-256 of the line before (record_chain.py).

Lies in `$OPS_RUNBOOK_RECORDS`, else `$XDG_STATE_HOME/ops-runbook`, else `~/.local/state/ops-runbook`; folder 0700,
file 0600.
A line: `{"seq": 7, "previous": "<sha256 of line 6>", "at": "2026-01-05T02:00:07.123Z", "run": "...", "host": "db1",
"phase": "intent", "version": 1, "entry": {...}}`. The head (SHA-256 of the last line) also goes to the target's
journal with each decision and outcome. A line whose run is not that of the line before it has `started` too: so has
the first of a run.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import pwd
import secrets
import socket
import sys
import time
import typing as t
from pathlib import Path

from ..module_utils.host import utc
from ..module_utils.redact import redact
from . import record_chain
from .errors import RecordError
from .record_chain import END, EVIDENCE, MENDED, VERSION, End

NAME, ORIGIN = record_chain.NAME, record_chain.ORIGIN


class Line(t.TypedDict):
    """One line of the record; `entry` is what the phase has to say, and `started` (see there) may come along."""

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


def started() -> dict[str, t.Any]:
    """What began this run: `name` of the playbook, `by` (user@controller), `inventory`, `limit`, `check`, `incident`.

    Nothing of -e, which may hold secrets.
    """
    from ansible import context  # noqa: PLC0415 - what only reads the record does not wait for Ansible

    given = context.CLIARGS
    names = given.get("args") or ()
    name = " ".join(Path(str(one)).stem for one in names) if not isinstance(names, str) else Path(sys.argv[0]).name
    inventory = given.get("inventory") or ()
    behind = os.environ.get("SUDO_USER")
    return {
        "name": name or Path(sys.argv[0]).name,
        "by": f"{_user()}@{socket.gethostname()}" + (f" (sudo by {behind})" if behind else ""),
        "inventory": [str(one)[:200] for one in ([inventory] if isinstance(inventory, str) else inventory)],
        "limit": given.get("subset"),
        "check": bool(given.get("check")),
        "incident": os.environ.get("OPS_RUNBOOK_INCIDENT"),
    }


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user without a name, as in many containers
        return str(os.getuid())


class _Tail(t.NamedTuple):
    """The end of the file as it is: number, SHA-256 and run of its last whole line."""

    seq: int
    head: str
    run: str | None


def append(where: Path, run: str, host: str, phase: str, entry: dict[str, t.Any]) -> str:
    """Add a line and return the new head (SHA-256 hex).

    What a writer that died has left of a line is set aside first, and said in a line of its own.

    Raises:
        RecordError: The folder or file cannot be written, or does not end as it was written: nothing may be changed
            then. No part of the line is left in the file.
    """
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(where / NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "rb+", buffering=0) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            tail, found = _tail(stream, where)
            for what in found:
                tail = _write(stream, where, tail, (run, host, MENDED, what))
            return _write(stream, where, tail, (run, host, phase, entry)).head
    except OSError as error:
        raise _unusable("written", where, error) from error


def _write(stream: t.BinaryIO, where: Path, tail: _Tail, said: tuple[str, str, str, dict[str, t.Any]]) -> _Tail:
    """One whole line, on the disk when this returns; or none of it, and an OSError."""
    run, host, phase, entry = said
    line: dict[str, t.Any] = {
        "seq": tail.seq + 1,
        "previous": tail.head,
        "at": utc(time.time()),
        "run": run,
        "host": host,
        "phase": phase,
        "version": VERSION,
    }
    if tail.run != run:
        line["started"] = masked(started())
    line["entry"] = masked(entry)
    text = json.dumps(line, separators=(",", ":"), default=str).encode()
    head = hashlib.sha256(text).hexdigest()
    size, here = os.fstat(stream.fileno()).st_size, record_chain.boot()
    record_chain.write_end(where, End(tail.seq, tail.head, head, here))
    left = memoryview(text + b"\n")
    try:
        while left:
            left = left[stream.write(left) :]
        os.fsync(stream.fileno())
    except BaseException:  # disk full, ctrl-C: half a line is worse than none
        os.ftruncate(stream.fileno(), size)
        raise
    with contextlib.suppress(OSError):  # what was told before the line is true as well
        record_chain.write_end(where, End(tail.seq + 1, head, None, here))
    return _Tail(tail.seq + 1, head, run)


def _unusable(verb: str, where: Path, error: OSError) -> RecordError:
    return RecordError(
        f"the record cannot be {verb}: {error.strerror}",
        where=str(where / NAME),
        hint="Without a record nothing is changed. Make the folder writable or set OPS_RUNBOOK_RECORDS.",
    )


def _tail(stream: t.BinaryIO, where: Path) -> tuple[_Tail, list[dict[str, t.Any]]]:
    """Where the file ends, and what had to be set right there: entries of lines that say so.

    Raises:
        RecordError: It does not end as it was written, or its last line is not one of ours.
    """
    end, size = record_chain.read_end(where), os.fstat(stream.fileno()).st_size
    last, half = _last(stream, size)
    tail, versioned = _parsed(last, where), b'"version":' in last
    if half and end and end.seq > tail.seq:
        raise _damaged(f"line {tail.seq + 1} was cut in its middle", where)
    why = record_chain.wrong_end(end, tail.seq, tail.head)
    if why:
        raise _damaged(why, where)
    found = []
    if end is None and versioned:
        what = f"{END} was missing or not to be read: whether lines before this one were cut is not known"
        found.append({"what": what})
    if half:
        found.append({"what": f"half a line of a writer that died was set aside as {_aside(half, tail, where)}"})
        os.ftruncate(stream.fileno(), size - len(half))
    return tail, found


def _last(stream: t.BinaryIO, size: int) -> tuple[bytes, bytes]:
    """The last whole line without its end, and what follows it: empty, or half a line."""
    pieces = _backwards(stream, size)
    rest = next(pieces, b"")
    return next(pieces, b""), rest


def _parsed(last: bytes, where: Path) -> _Tail:
    if not last:
        return _Tail(0, ORIGIN, None)
    try:
        line = json.loads(last)
        tail = _Tail(int(line["seq"]), hashlib.sha256(last).hexdigest(), str(line["run"]))
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged("its last line is not a line of a record", where) from error
    why = record_chain.newer(line)
    if why:
        hint = "Use that version, or another folder: --records DIR, or OPS_RUNBOOK_RECORDS"
        raise RecordError(f"its last line {why}", str(where / NAME), hint)
    return tail


def _damaged(what: str, where: Path) -> RecordError:
    return RecordError(f"the record is damaged: {what}", str(where / NAME), EVIDENCE)


def _aside(half: bytes, tail: _Tail, where: Path) -> Path:
    """A file of its own with what there is of a line; the same again where an earlier attempt broke off after it."""
    path = where / f"record.half-{tail.seq + 1}-{hashlib.sha256(half).hexdigest()[:8]}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(half)
        stream.flush()
        os.fsync(stream.fileno())
    return path


def _backwards(stream: t.BinaryIO, size: int, chunk: int = 65536) -> t.Iterator[bytes]:
    """What stands between newlines up to size, from the end on: first what follows the last newline."""
    end, rest = size, b""
    while end > 0:
        start = max(0, end - chunk)
        stream.seek(start)
        parts = (_exactly(stream, end - start) + rest).split(b"\n")
        rest, end = parts[0], start
        yield from reversed(parts[1:])
    yield rest


def _exactly(stream: t.BinaryIO, count: int) -> bytes:
    """An unbuffered stream may give less than it was asked for."""
    read = b""
    while len(read) < count and (piece := stream.read(count - len(read))):
        read += piece
    return read


def of_run(where: Path, run: str, host: str) -> list[Line]:
    """The lines that this run wrote for this host, oldest first, from its phase `looked` on."""
    found: list[Line] = []
    try:
        with (where / NAME).open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)  # whole lines only; what comes later is not this host's
            size = os.fstat(stream.fileno()).st_size
            fcntl.flock(stream, fcntl.LOCK_UN)
            pieces = _backwards(stream, size)
            next(pieces)  # nothing, or half a line of a writer that died
            for raw in filter(None, pieces):
                line: Line = json.loads(raw)
                if (line["run"], line["host"]) == (run, host):
                    found.append(line)
                    if line["phase"] == "looked":
                        break
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable("read", where, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(
            "the record holds a line that is not ours", str(where / NAME), "See 'runbook history --verify'"
        ) from error
    return found[::-1]


def verify(where: Path) -> tuple[int, str | None]:
    """Follow the chain: (lines that are whole, what is wrong with the first one that is not, or None)."""
    try:
        chain = record_chain.look(where)
    except OSError as error:
        raise _unusable("read", where, error) from error
    return len(chain.links), str(chain.problem) if chain.problem else None
