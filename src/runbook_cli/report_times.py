# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments and spans of a report: RFC 3339 in, UTC and people's words out. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

LATE, EARLY = 10.0, 0.5
"""Seconds that a host's clock may seem to be behind or ahead before that is told, and mended."""
# What log lines begin with, also mongod's JSON and FerretDB's time=. Without a zone nobody knows when it was.
_STAMP = re.compile(
    r"""(?:\{"t":\s*\{\s*"\$date":\s*"|time="?|\[)?(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)"""
    r"""(?:[.,](\d{1,9}))?\s?(?:(Z)|([+-])(\d\d):?(\d\d))"""
)


def moment(text: object) -> datetime | None:
    """An RFC 3339 text as UTC; None for anything else."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def stamp(line: str) -> datetime | None:
    """The moment that a log line begins with; None where it has none, or one without a zone."""
    found = _STAMP.match(line)
    if not found:
        return None
    away = timedelta(hours=int(found[10] or 0), minutes=int(found[11] or 0)) * (-1 if found[9] == "-" else 1)
    year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
    micro = int((found[7] or "0")[:6].ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, micro, timezone(away)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def unstamped(line: str) -> str:
    """A log line without the moment that it begins with, where that stands for itself."""
    found = _STAMP.match(line)
    alone = found and not line.startswith(("{", "["))
    return line[found.end() :].lstrip('" ') if found and alone else line


def text(when: datetime | None) -> str | None:
    """RFC 3339 UTC with milliseconds, as the record writes it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z" if when else None


def seconds(begin: str | None, end: str | None) -> float | None:
    """From one moment to the other; None where one is not known, or they are the wrong way round."""
    first, last = moment(begin), moment(end)
    if first is None or last is None or last < first:
        return None
    return round((last - first).total_seconds(), 3)


def shifted(at: str | None, shift: float) -> str | None:
    """The moment by another clock, which is shift seconds ahead."""
    when = moment(at)
    return text(when + timedelta(seconds=shift)) if when else None


def span(spent: float | None) -> str:
    """Seconds for people: `0.3 s`, `41.5 s`, `3 min 20 s`, `5 h 12 min`, `3 d 4 h`."""
    if spent is None:
        return "not known"
    if spent < 60:
        return f"{spent:.1f} s"
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if spent >= size:
            whole, rest = divmod(int(spent), size)
            return f"{whole} {unit} {rest // part} {smaller}" if rest // part else f"{whole} {unit}"
    raise AssertionError(spent)


def clock(at: str | None) -> str:
    """A moment for people: `2026-01-05 02:00:07.123`, UTC."""
    return "not known" if at is None else at[:23].replace("T", " ")
