# SPDX-License-Identifier: BSD-2-Clause
"""When a line was written, and which lines of a block lie in a window of time."""

from __future__ import annotations

import re
import time

from .collectors._lines import line_time
from .collectors._when import epoch
from .errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

    Clock = Callable[[bytes], "float | None"]

HOW = "Give seconds back, such as 3600, or a time such as 2026-01-05T02:00:00Z."
_AHEAD = 256  # bytes of a text line in which its time is looked for
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WHOLE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d([.,]\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z")
# what docker compose writes before each line
_SERVICE = re.compile(rb"[\w.-]{1,100} *\| ")
_NAMES = rb"@?timestamp|time|ts|datetime|\$date"
_FIELD = rb'"(?:%s)"\s*:\s*(?:"([^"\\]{8,40})"|(\d{9,19}(?:\.\d{1,9})?)\b)'
# 127.0.0.1 - - [05/Jan/2026:02:00:07 +0000], as web servers write it
_ACCESS = re.compile(r"[^\[\n]{0,200}\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d\d)(\d\d)\]")
# Jan  5 02:00:07, as syslog writes it: without a year, in the host's own time
_SYSLOG = re.compile(r"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) ")
# What a line begins with, as far as its seconds; a fraction; a zone.
_STAMP = re.compile(
    rb"""((?:[\w.-]{1,100}\ *\|\ )?[^\d\n]{0,24}\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d)"""
    rb"""([.,]\d{1,9})?(\s?(?:Z|[+-]\d\d:?\d\d)?)"""
)
# How much may be missing of it, and the latest that it may have been.
_STEPS = ((0, b""), (1, b"9"), (3, b":59"), (4, b"9:59"), (6, b":59:59"), (9, b"T23:59:59"))
_EARLIEST = bytes.maketrans(b"123456789", b"000000000")
_FEW = 200  # lines that are looked at to find one with a time


def parse_moment(text: str, now: float, where: str) -> float:
    """Epoch seconds of a number of seconds back, or of an RFC 3339 time.

    Raises:
        BadInput: It is neither.
    """
    try:
        back = float(text)
    except ValueError:
        when = line_time(text.upper()) if _WHOLE.match(text) else None
        if when is None:
            raise BadInput("%r is no time" % text, where, HOW) from None
        return when
    if not 0 <= back <= now:
        raise BadInput("%s s back is no time" % text, where, HOW)
    return now - back


def text_clock(now: float) -> Clock:
    """What reads the time of a text line: epoch seconds or None."""

    def clock(line: bytes) -> float | None:
        text = _without_service(line[:_AHEAD]).decode("utf-8", "replace")
        found = line_time(text)
        return found if found is not None else _other_time(text, now)

    return clock


def json_clock(field: str | None, now: float) -> Clock:
    """What reads the time of a JSON line: the first field, however deep, with one of the names and with a time in it.

    A line that has none is read as text: a stack trace between JSON lines, or JSON behind a time.
    """
    names = re.escape(field.rpartition(".")[2]).encode("utf-8", "surrogateescape") if field else _NAMES
    search, as_text = re.compile(_FIELD % names).search, text_clock(now)

    def clock(line: bytes) -> float | None:
        found = search(line)
        if not found:
            return as_text(line)
        return line_time(found.group(1).decode("ascii", "replace")) if found.group(1) else _number(found.group(2))

    return clock


def _number(digits: bytes) -> float:
    """Epoch seconds of a number of seconds, milliseconds, microseconds or nanoseconds since the epoch."""
    value = float(digits)
    for unit in (1.0, 1e3, 1e6):
        if value < 1e11 * unit:
            return value / unit
    return value / 1e9


def _without_service(line: bytes) -> bytes:
    found = _SERVICE.match(line)
    return line[found.end() :] if found else line


def _other_time(text: str, now: float) -> float | None:
    found = _ACCESS.match(text)
    if found:
        day, month, year, hour, minute, second, away, minutes = found.groups()
        if month not in _MONTHS:
            return None
        seconds = int(away) * 3600 + int(away[0] + minutes) * 60
        date = (int(year), _MONTHS.index(month) + 1, int(day))
        return epoch(date, (int(hour), int(minute), int(second))) - seconds
    found = _SYSLOG.match(text)
    if not found or found.group(1) not in _MONTHS:
        return None
    month_day = (_MONTHS.index(found.group(1)) + 1, int(found.group(2)))
    clock = (int(found.group(3)), int(found.group(4)), int(found.group(5)))
    year_now = time.localtime(now).tm_year
    here = [time.mktime((year, *month_day, *clock, 0, 0, -1)) for year in (year_now, year_now - 1)]
    return here[0] if here[0] <= now + 86400 else here[1]


class Window:
    """Sorts the lines of a log's blocks by time; a line without one has that of the line before it.

    Args:
        since, until: Epoch seconds, until excluded; None is no bound.
        now: Epoch seconds.

    Attributes:
        clock: What reads a line's time.
        oldest: Time of the first line that had one.
        is_open: Whether all lines lie in it.
    """

    def __init__(self, since: float | None, until: float | None, now: float) -> None:
        self._since = -float("inf") if since is None else since
        self._until = float("inf") if until is None else until
        self.is_open = since is None and until is None
        self.now, self.clock = now, text_clock(now)
        self.oldest: float | None = None
        self._last: float | None = None
        self._block = b""

    def absorb(self, newest: float | None) -> None:
        """Note the time of the last line that another one has seen further on."""
        self._last, self._block = self.newest if newest is None else newest, b""

    def split(self, data: bytes, closing: float | None = None) -> tuple[bytes, bytes]:
        """(lines in the window, lines whose time cannot be told), as blocks.

        Args:
            data: A block.
            closing: When the log's last block was last written: the time of lines without one at its very end, such as
                what a program says as it dies.
        """
        self._block = data
        if self.oldest is None:
            self.oldest = next((when for when in map(self.clock, forward(data, _FEW)) if when is not None), None)
        if self.is_open:
            return data, b""
        proven = self._proven(data)
        return self._each(data, closing) if proven is None else ((data if proven else b""), b"")

    def time_of(self, data: bytes, line: bytes) -> float | None:
        """When the last such line of a block was written: its own time, or that of one before it."""
        when = self.clock(line)
        if when is not None or not data:
            return when
        return self._before(data[: data.rfind(line + b"\n")])

    def _before(self, data: bytes) -> float | None:
        found = next((when for when in map(self.clock, backward(data, _FEW)) if when is not None), None)
        return self._last if found is None else found

    @property
    def newest(self) -> float | None:
        """Time of the last line that had one."""
        return self._before(self._block)

    def _proven(self, data: bytes) -> bool | None:
        """True or False when one look proves all lines to lie in the window or outside it, else None.

        When each line begins with the same date and hour, say, all were written within that hour.
        """
        bounds = _bounds(data, self.clock)
        if bounds is None:
            return None
        low, high = bounds
        inside = self._since <= low and high < self._until
        if not inside and high >= self._since and low < self._until:
            return None
        self._last = self.newest
        return inside

    def _each(self, data: bytes, closing: float | None) -> tuple[bytes, bytes]:
        lines, kept, unknown = data.split(b"\n")[:-1], [], []
        times = [self.clock(line) for line in lines]
        tail = len(lines)
        while closing is not None and tail and times[tail - 1] is None:
            tail -= 1
        if self._last is None:  # what stands before the first time belongs to it
            self._last = next((when for when in times if when is not None), None)
        for at, line in enumerate(lines):
            own = times[at]
            self._last = self._last if own is None else own
            when = closing if at >= tail else self._last
            if when is None:
                unknown.append(line)
            elif self._since <= when < self._until:
                kept.append(line)
        return joined(kept), joined(unknown)


def joined(lines: list[bytes]) -> bytes:
    """Lines as a block."""
    return b"\n".join(lines) + b"\n" if lines else b""


def forward(data: bytes, most: int) -> Iterator[bytes]:
    """The first lines of a block."""
    start = 0
    while start < len(data) and most:
        end = data.find(b"\n", start)
        yield data[start:end]
        start, most = end + 1, most - 1


def backward(data: bytes, most: int) -> Iterator[bytes]:
    """The last lines of a block, the last one first."""
    end = len(data) - 1
    while end >= 0 and most:
        start = data.rfind(b"\n", 0, end) + 1
        yield data[start:end]
        end, most = start - 1, most - 1


def _bounds(data: bytes, clock: Clock) -> tuple[float, float] | None:
    """(earliest, latest) time that any line of a block can have, when a common beginning of all lines says so."""
    first = _STAMP.match(data)
    last = _STAMP.match(data[data.rfind(b"\n", 0, len(data) - 1) + 1 :])
    if not first or not last or first.group(3) != last.group(3):
        return None
    stamp, zone = first.group(1), first.group(3) + b'"'  # where it stands in JSON, the text ends
    common = next((at for at in range(len(stamp)) if last.group(1)[at : at + 1] != stamp[at : at + 1]), len(stamp))
    less, rest = next(((less, rest) for less, rest in _STEPS if common >= len(stamp) - less), (0, None))
    if rest is None:
        return None
    head = stamp[: len(stamp) - less]
    if data.count(b"\n" + head) + 1 != data.count(b"\n"):
        return None
    low, high = clock(head + rest.translate(_EARLIEST) + zone), clock(head + rest + b".999999999" + zone)
    return None if low is None or high is None else (low, high)
