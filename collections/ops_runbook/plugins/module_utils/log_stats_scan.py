# SPDX-License-Identifier: BSD-2-Clause
"""One pass over one log: its files, the oldest first, given to the jobs block by block."""

from __future__ import annotations

import os
import time

from .errors import CannotLook
from .log_stats_beside import WORTH, Beside, spare_core
from .log_stats_cursor import copy_of, end_of, mark_at, since_cursor
from .log_stats_files import LogFile
from .log_stats_jobs import Count, parse_jobs
from .log_stats_match import Block
from .log_stats_read import Broken, Reading, Shortened, bounds, line_at, time_at
from .log_stats_records import Records, is_json
from .log_stats_time import Window, json_clock
from .names import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from .log_stats_files import Log
    from .log_stats_jobs import Job

    Json = dict[str, Any]
    Part = tuple[int, int, bool]  # start, end, and whether a last line without a newline counts


_NOTES = (
    "lines since the cursor may be lost",
    "it was truncated while it was read",
    "lines that are too long were cut",
    "lines without a time were not counted",
)


class Span:
    """The window asked for: since and until (epoch seconds or None), and now."""

    def __init__(self, since: float | None, until: float | None, now: float) -> None:
        self.since, self.until, self.now = since, until, now


class Scan:
    """What was seen of one log.

    Attributes:
        exists: Whether it could be looked at.
        error: Why not; empty where it is just not there.
        errors: Path -> why a file that belongs to it could not be opened.
        covered: Seconds of the window that the log reaches over; None where no line says when it was written.
        files: [{path, bytes_read, lines, damaged, note}], the oldest first.
    """

    def __init__(self, path: str, span: Span, jobs: list[Job], params: Json, ends: float) -> None:
        self.path, self.span, self._params, self._ends = path, span, params, ends
        self._jobs = sorted(jobs, key=lambda job: job.order)
        self.exists, self.error = False, ""
        self.errors: dict[str, str] = {}
        self.cursor: Json | None = None
        self.covered: float | None = None
        self.files: list[Json] = []
        self.lines = self._untimed = self._cut = self._unfinished = 0
        self._gap = self._truncated = self._reaches = False
        self._format, self._given = "", 0
        self._records = Records([job.needed for job in jobs if job.needed is not None])
        self._counts: dict[str, int] = {}
        self._window = Window(span.since, span.until, span.now)

    def fail(self, error: str) -> None:
        """Note that it is not there, or why it cannot be looked at."""
        self.error = error
        self._give_up(self._jobs, "%s %s" % (self.path, error or "is not there"))

    def _give_up(self, jobs: list[Job], why: str) -> None:
        for job in jobs:
            job.unknown = job.unknown or why

    @property
    def complete(self) -> bool:
        """Whether all lines asked for were looked at."""
        damaged = any(file["damaged"] for file in self.files)
        return self.exists and not (damaged or self.errors or self._gap or self._truncated or self._cut)

    def told(self) -> Json:
        """This log's entry in the answer."""
        notes = ["%s %s" % one for one in self.errors.items()]
        notes += ["%s %s" % (file["path"], file["note"]) for file in self.files if file["note"]]
        marks = (self._gap, self._truncated, self._cut, self._untimed)
        notes += [_NOTES[at] for at, said in enumerate(marks) if said]
        return {
            "path": self.path,
            "exists": self.exists,
            "format": self._format or None,
            "files": self.files,
            "lines": self.lines,
            "counts": self._counts,
            "covered_seconds": self.covered,
            "gap": self._gap,
            "truncated": self._truncated,
            "untimed": self._untimed,
            "unparsed": self._records.unparsed if self._format == "json" else None,
            "cut": self._cut,
            "unfinished_bytes": self._unfinished,
            "note": self.error or "; ".join(notes),
        }

    def read(self, log: Log, cursor: Json | None) -> None:
        """Read what the window, or the cursor, asks for."""
        self.exists = True
        for job in self._jobs:
            job.window = self._window
        before = {job.name: job.count for job in self._jobs}
        unsure = {job.name: job.unsure for job in self._jobs}
        parts: list[tuple[LogFile, int]] = [(file, 0) for file in log.files()]
        if cursor is not None:
            parts, self._gap = since_cursor(log, cursor)
        for file, start in parts:
            self._read_file(log, file, start, cursor)
        self._conclude(cursor, before, unsure)

    def _read_file(self, log: Log, file: LogFile, start: int, cursor: Json | None) -> None:
        is_live, end = file is log.live, end_of(log, file)
        self._unfinished += file.size - end
        if self.span.since is not None and file.mtime < self.span.since:
            self._reaches = True  # all of it was written before
            return
        if not self._format:
            self._decide(file)
        whole = end == file.size and not is_live
        if cursor is None:
            first, last = bounds(file, self.span.since, self.span.until, self._window.clock)
            start, end = max(start, first), min(end, last)
            self._reaches = self._reaches or first > 0
        self._count(log, file, (start, end, whole), end if is_live else None)

    def _decide(self, file: LogFile) -> None:
        """Text or JSON, by the first lines."""
        self._format = self._params["format"]
        if self._format == "auto":
            try:
                first = next(Reading(file).blocks(), b"")
            except (Broken, Shortened):
                first = b""
            self._format = "json" if is_json(first) else "text" if first else ""
        if self._format == "json":
            self._window.clock = json_clock(self._params["time_field"], self.span.now)

    def _count(self, log: Log, file: LogFile, part: Part, live_end: int | None) -> None:
        """Count in a part of a file; live_end: where the log itself ends, None for what was rotated away."""
        entry = {"path": shown(file.path), "bytes_read": 0, "lines": 0, "damaged": False, "note": ""}
        self.files.append(entry)
        lines, mark = self.lines, mark_at(file, live_end) if live_end else 0
        closing = file.mtime if live_end is not None else None
        self._given = part[0]
        try:
            self._through(file, part, entry, closing)
        except Broken as error:
            entry.update(damaged=True, note="could not be read to its end: %s" % error)
        except Shortened:
            self._resume(log, live_end or 0, mark, closing)
        if live_end and os.fstat(file.descriptor).st_size >= live_end and mark_at(file, live_end) != mark:
            self._truncated = True  # and written on: nobody can tell which of both was read
        entry["lines"] = self.lines - lines

    def _through(self, file: LogFile, part: Part, entry: Json, closing: float | None) -> None:
        """Read a part of a file; the second half of a large one beside the first, where a core has nothing to do."""
        start, end, whole = part
        middle = None
        if not file.packing and end - start >= 2 * WORTH and spare_core():
            middle = self._line_near(file, (start + end) // 2)
        if middle is None or not start < middle < end:
            self._pass(Reading(file, start, end, whole), entry, closing)
            return
        later = Reading(file, middle, end, whole)
        other = Beside(lambda: self._twin()._state(later, closing), self._ends - time.monotonic())
        try:
            self._pass(Reading(file, start, middle, False), entry, None)
        except BaseException:
            other.drop()
            raise
        found = other.result()
        if found is None:  # whatever it was, it happens again here and is told as it ought to be
            self._pass(later, entry, closing)
        else:
            self._absorb(found, entry)

    def _line_near(self, file: LogFile, place: int) -> int | None:
        """Where a line begins; with a window one that has a time, because no line before it is known then."""
        if self._window.is_open:
            return line_at(file, place)
        found = time_at(file, place, self._window.clock)
        return found[1] if found else None

    def _pass(self, reading: Reading, entry: Json, closing: float | None) -> None:
        try:
            self._blocks(reading.blocks(), closing)
        finally:
            entry["bytes_read"] += reading.bytes_read
            self._cut += reading.cut
            self._given = reading.given

    def _twin(self) -> Scan:
        """One that has seen nothing yet, with the same jobs in the same order."""
        fresh = {job.name: job for job in parse_jobs(self._params)}
        twin = Scan(self.path, self.span, [fresh[job.name] for job in self._jobs], self._params, self._ends)
        twin._format, twin._window.clock = self._format, self._window.clock
        for job in twin._jobs:
            job.window = twin._window
        return twin

    def _state(self, reading: Reading, closing: float | None) -> list[Any]:
        """What a twin found, for _absorb."""
        entry = {"bytes_read": 0}
        self._pass(reading, entry, closing)
        about = [entry["bytes_read"], self.lines, self._untimed, self._cut, self._records.unparsed, self._records.blank]
        return [about, self._window.newest, [job.state() for job in self._jobs]]

    def _absorb(self, found: list[Any], entry: Json) -> None:
        (size, lines, untimed, cut, unparsed, blank), newest, jobs = found
        entry["bytes_read"] += size
        self.lines, self._untimed, self._cut = self.lines + lines, self._untimed + untimed, self._cut + cut
        self._records.unparsed, self._records.blank = self._records.unparsed + unparsed, self._records.blank + blank
        self._window.absorb(newest)
        for job, state in zip(self._jobs, jobs):  # noqa: B905 - as long
            job.absorb(state)

    def _resume(self, log: Log, end: int, mark: int, closing: float | None) -> None:
        """The log was truncated under the eyes: go on in the copy of it that was made just before."""
        copy = copy_of(log, end, mark) if end else None
        if copy is None:
            self._truncated = True
            return
        try:
            self._blocks(Reading(copy, self._given, end).blocks(), closing)
        except Shortened:
            self._truncated = True
        finally:
            copy.close()

    def _blocks(self, blocks: Iterator[bytes], closing: float | None) -> None:
        """Give blocks to the jobs; the last one is known as such only when there is no other."""
        data, failed = next(blocks, None), None
        while data is not None:
            if time.monotonic() > self._ends:
                raise CannotLook("was not read to its end within timeout", self.path, "Give it longer, or since.")
            ahead = None
            try:
                ahead = next(blocks, None)
            except (Broken, Shortened) as error:
                failed = error
            kept, unknown = self._window.split(data, closing if ahead is None and failed is None else None)
            for part, sure in ((kept, True), (unknown, False)):
                if part:
                    self._feed(Block(part), sure)
            data = ahead
        if failed is not None:
            raise failed

    def _feed(self, block: Block, sure: bool) -> None:
        for job in self._jobs:
            if job.needed is None:
                job.see(block, sure)
        if self._format == "json":
            table = self._records.parse(block)
            for job in self._jobs:
                if job.needed is not None:
                    job.take(table, sure)
        self.lines += block.count if sure else 0
        self._untimed += 0 if sure else block.count

    def _conclude(self, cursor: Json | None, before: dict[str, int], unsure: dict[str, int]) -> None:
        self.covered = self._covered(cursor)
        seen = self.lines + self._untimed - self._records.blank
        if seen and (self._format == "text" or (self._format == "json" and self._records.unparsed == seen)):
            self._give_up([job for job in self._jobs if job.needed is not None], "%s has no JSON" % self.path)
        for job in self._jobs:
            here = job.count - before[job.name]
            if isinstance(job, Count):
                self._counts[job.name[7:]] = here
                job.rate = None if self.covered is None or job.rate is None else job.rate + here / self.covered
            if job.unsure > unsure[job.name]:
                self._give_up([job], "%s has matching lines without a time" % self.path)

    def _covered(self, cursor: Json | None) -> float | None:
        """From when the window begins, or as far as the log reaches back, to when it ends."""
        span, oldest = self.span, self._window.oldest
        end = span.now if span.until is None else min(span.until, span.now)
        if cursor is not None:
            begin: float | None = cursor["at"]
        elif span.since is None:
            begin, end = oldest, end if span.until is not None else self._window.newest or end
        else:
            begin = span.since if self._reaches else oldest and max(oldest, span.since)
        covered = 0.0 if begin is None else round(end - begin, 3)
        return covered if covered > 0 else None
