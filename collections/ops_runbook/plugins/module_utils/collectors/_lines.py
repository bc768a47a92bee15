# SPDX-License-Identifier: BSD-2-Clause
"""Counting named patterns in log lines, by the time that a line carries. Pure."""

from __future__ import annotations

import re
import time

from ..errors import BadInput
from ._when import epoch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

LONGEST = 300  # characters of a line that are passed on
# RFC 3339 and its relatives, perhaps in brackets (OpenSearch); Go's log package; mongod's JSON; FerretDB's time=
_TIME = re.compile(
    r"""(?:\{"t":\s*\{\s*"\$date":\s*"|time="?|\[)?(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)"""
    r"""(?:[.,](\d{1,9}))?\s?(?:(Z)|([+-])(\d\d):?(\d\d))?"""
)


def line_time(line: str) -> float | None:
    """Epoch seconds of the time that a line begins with, or None. Without a zone it is the host's own time."""
    found = _TIME.match(line)
    if not found:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction = float("0." + (found.group(7) or "0"))
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24):
        return None
    if found.group(8):
        return epoch((year, month, day), (hour, minute, second)) + fraction
    if found.group(9):
        away = (int(found.group(10)) * 60 + int(found.group(11))) * 60
        return epoch((year, month, day), (hour, minute, second)) + fraction - (away if found.group(9) == "+" else -away)
    return time.mktime((year, month, day, hour, minute, second, 0, 0, -1)) + fraction


def timed(lines: Iterable[str]) -> list[tuple[float | None, str]]:
    """(time, line) each; a line without a time has that of the line before, or at first that of the one after."""
    found: list[tuple[float | None, str]] = []
    last = None
    for line in lines:
        here = line_time(line)
        last = last if here is None else here
        found.append((last, line))
    first = next((when for when, _line in found if when is not None), None)
    return [(first if when is None else when, line) for when, line in found]


def compiled(patterns: dict[str, Any]) -> dict[str, Any]:
    """Compiled expressions by name.

    Raises:
        BadInput: One of them is not a regular expression.
    """
    found = {}
    for name, pattern in patterns.items():
        try:
            found[name] = re.compile(pattern)
        except (re.error, TypeError) as error:
            what = "%r is not a regular expression: %s" % (pattern, error)
            raise BadInput(what, "patterns.%s" % name, "Correct it.") from error
    return found


class Tally:
    """counts (name -> lines that match) and last (name -> the last of them, None when there is none)."""

    def __init__(self, patterns: dict[str, Any]) -> None:
        self._patterns = compiled(patterns)
        self.counts = dict.fromkeys(patterns, 0)
        self.last: dict[str, str | None] = dict.fromkeys(patterns)

    def add(self, line: str) -> None:
        """Look at one line."""
        for name, pattern in self._patterns.items():
            if pattern.search(line):
                self.counts[name] += 1
                self.last[name] = line.strip()[:LONGEST]

    @property
    def matched(self) -> int:
        """Matches of all patterns together."""
        return sum(self.counts.values())
