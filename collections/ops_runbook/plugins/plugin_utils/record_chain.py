# SPDX-License-Identifier: GPL-3.0-or-later
"""What the record is on disk: a chain of lines and, beside it, where it ends; and whether both are as written.

A chain alone does not show that its end was cut, or that its last line was edited. So `record.head` holds how many
lines there are and the SHA-256 of the last one, written before a line (with the one that comes) and after it. It tells
what a dead writer leaves (half a line that nobody acted on) from what somebody cut.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import typing as t
from pathlib import Path

NAME = "record.jsonl"
END = "record.head"
ORIGIN = "0" * 64
"""What the first line names as the line before it."""
VERSION = 1
"""Of a line. Lines of before there were versions have none, and count as 1."""
MENDED = "mended"
"""The phase of a line that says what append found and set right."""
UNJOURNALED = "unjournaled"
"""The phase of a line that says that a head could not be written to the target's journal."""
WIDTH = 320
"""Bytes of `record.head`: always as many, so that one write replaces it."""
Json = dict[str, t.Any]
EVIDENCE = (
    "Somebody, or a failing disk, changed the record: find out who. Keep both files as evidence (mv record.jsonl "
    "record.jsonl.damaged; mv record.head record.head.damaged), and the next run begins a new record"
)
_NEWER = "Use that version of ops_runbook, or another record: --records DIR, or OPS_RUNBOOK_RECORDS"
_HALF = "Its writer died, and nothing was done on its word. The next run that is recorded sets it aside and goes on"


class End(t.NamedTuple):
    """Where the record ends, as `record.head` tells it."""

    seq: int
    """How many lines were acknowledged."""
    sha256: str
    """Of the last of them."""
    coming: str | None
    """Of the line that was being written then, if one was."""
    boot: str
    """The boot in which that was told: a machine that lost power may have kept an older one than the record is."""


class Link(t.NamedTuple):
    """What a line says of itself, and its SHA-256 (its head)."""

    seq: int
    head: str
    run: str
    host: str
    phase: str
    at: str
    journal: bool
    """Whether its head was meant for the target's journal."""
    unjournaled: str | None
    """The head of an earlier line that could not be written there."""


class Problem(t.NamedTuple):
    """What is wrong: `line` is its number; run and host are those of the line, or of the one before it."""

    what: str
    line: int
    run: str
    host: str
    hint: str

    def __str__(self) -> str:
        about = f" (run {self.run}, {self.host})" if self.run else ""
        return f"{self.what}{about}"


class Chain(t.NamedTuple):
    """What verification found."""

    links: list[Link]
    """The lines that are whole, in order."""
    problem: Problem | None
    """The first thing that is wrong."""
    notes: list[str]
    """What is no damage, but worth knowing."""

    @property
    def identity(self) -> str:
        """Which record it is: the same as long as its first line is."""
        return self.links[0].head[:12] if self.links else ""


def boot() -> str:
    """Which boot of this machine it is; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def read_end(where: Path) -> End | None:
    """What `record.head` says; None where there is none, or none that can be understood."""
    try:
        told = json.loads((where / END).read_text(encoding="ascii"))
        return End(int(told["seq"]), str(told["sha256"]), told["coming"], str(told["boot"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_end(where: Path, end: End) -> None:
    """Replace what `record.head` says, by one write."""
    handle = os.open(where / END, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.pwrite(handle, json.dumps({"version": VERSION, **end._asdict()}).ljust(WIDTH - 1).encode() + b"\n", 0)
    finally:
        os.close(handle)


def first_head(where: Path) -> str:
    """SHA-256 of the record's first line; empty where there is none."""
    with (where / NAME).open("rb") as stream:
        line = stream.readline()
    return hashlib.sha256(line[:-1]).hexdigest() if line.endswith(b"\n") else ""


def wrong_end(end: End | None, seq: int, head: str) -> str | None:
    """Why a record whose last whole line has this number and this SHA-256 does not end where it ended; None if it does.

    Args:
        end: What `record.head` says.
        seq: 0 for a record without any line.
        head: ORIGIN for a record without any line.
    """
    if end is None or (seq, head) == (end.seq, end.sha256) or (seq == end.seq + 1 and head == end.coming):
        return None
    if seq < end.seq:
        gone = f"lines {seq + 1} to {end.seq} are" if end.seq - seq > 1 else f"line {end.seq} is"
        return f"its end was cut: {gone} gone"
    if seq == end.seq:
        return f"line {seq} is not the one that was written last: it was edited, or the record was written anew"
    if end.boot and end.boot == boot():
        return f"line {end.seq + 1} was not written by this library: it was added to the end by something else"
    return None


def look(where: Path) -> Chain:
    """Follow the chain from its first line to its last, and compare its end with `record.head`.

    Raises:
        OSError: The record cannot be read.
    """
    links: list[Link] = []
    notes: list[str] = []
    end, versioned, number = None, False, 0
    try:
        with (where / NAME).open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)  # between two lines; what is written later is not looked at
            size, end = os.fstat(stream.fileno()).st_size, read_end(where)
            fcntl.flock(stream, fcntl.LOCK_UN)
            for number, raw in enumerate(_lines(stream, size), 1):
                found = _link(raw, number, links, end)
                if isinstance(found, Problem):
                    return Chain(links, found, notes)
                link, versioned, said = found
                links.append(link)
                notes += said
    except FileNotFoundError:
        end = read_end(where)
    last = links[-1] if links else Link(0, ORIGIN, "", "", "", "", False, None)
    why = wrong_end(end, last.seq, last.head)
    if why is None and end is None and versioned:
        why = f"{END} beside it is missing or cannot be read, so that nobody can tell whether its end was cut"
    if why is None and end and end.seq + 1 < last.seq:
        if links[end.seq - 1].head != end.sha256 and end.seq:
            why = f"line {end.seq} is not the one that was written there"
        notes.append(f"{END} is {last.seq - end.seq} lines behind: the machine was restarted since")
    problem = Problem(why, last.seq, last.run, last.host, EVIDENCE) if why else None
    return Chain(links, problem, notes)


def _lines(stream: t.BinaryIO, size: int) -> t.Iterator[bytes]:
    place = 0
    for raw in stream:
        place += len(raw)
        if place > size:
            return
        yield raw


def _link(raw: bytes, number: int, before: list[Link], end: End | None) -> tuple[Link, bool, list[str]] | Problem:
    """The line as a link, whether it has a version, and what it says for a person; or what is wrong with it."""
    last = before[-1] if before else None
    run, host = (last.run, last.host) if last else ("", "")
    if not raw.endswith(b"\n"):
        if end and end.seq >= number:
            return Problem(f"line {number} was cut in its middle", number, run, host, EVIDENCE)
        return Problem(f"line {number}, the last one, is only half written", number, run, host, _HALF)
    try:
        line = json.loads(raw)
        seq, previous, entry = line["seq"], line["previous"], dict(line["entry"])
        run, host, phase, at = (str(line[key]) for key in ("run", "host", "phase", "at"))
    except (ValueError, KeyError, TypeError):
        return Problem(
            f"line {number} is not a line of a record: it was edited or inserted", number, run, host, EVIDENCE
        )
    why = newer(line)
    if why:
        return Problem(f"line {number} {why}", number, run, host, _NEWER)
    why = _misplaced(number, seq, previous, last.head if last else ORIGIN)
    if why:
        return Problem(why, number, run, host, EVIDENCE)
    said = [f"line {number} (run {run}): {entry.get('what')}"] if phase == MENDED else []
    failed = entry.get("head") if phase == UNJOURNALED else None
    head = hashlib.sha256(raw[:-1]).hexdigest()
    return Link(seq, head, run, host, phase, at, bool(entry.get("journal")), failed), "version" in line, said


def newer(line: Json) -> str | None:
    """Why a line is not for this version; None where it is."""
    version = line.get("version", VERSION)
    if _is_number(version) and version <= VERSION:
        return None
    return f"was written by a newer version of ops_runbook (record version {version}, this one knows {VERSION})"


def _is_number(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _misplaced(number: int, seq: t.Any, previous: t.Any, head: str) -> str | None:
    if not _is_number(seq):
        return f"line {number} has no number: it was edited"
    if seq > number:
        gone = f"lines {number} to {seq - 1} are" if seq - number > 1 else f"line {number} is"
        return f"{gone} missing: what stands there is line {seq}, so that lines were dropped or moved"
    if seq < number:
        return f"line {number} says that it is line {seq}: it was inserted, repeated or moved"
    if previous != head:
        if number == 1:
            return "line 1 names a line before it: it was edited, or lines before it were dropped"
        return f"line {number} does not follow line {number - 1}: one of the two was edited"
    return None
