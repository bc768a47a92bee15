# SPDX-License-Identifier: BSD-2-Clause
"""Numbers and texts summed up in bounded memory, however many there are. Pure.

Percentiles are exact while there are few different numbers. Beyond, numbers are kept in buckets whose bounds grow by
2 %, so that a percentile is at most 1 % beside the true one (the method of DDSketch, arXiv:1908.10693).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

DISTINCT = 16384  # different numbers, or texts, that are kept as they are
ERROR = 0.01  # of a percentile that is not exact, relative
_GAMMA = (1 + ERROR) / (1 - ERROR)
_PER_BUCKET = 1 / math.log(_GAMMA)
_LEAST = 1e-9  # what is nearer to 0 counts as 0 in a percentile
LARGEST = 1e200  # what is beyond is no measurement, and its sum would be infinite
LONGEST = 200  # characters of a text that is grouped by


class Numbers:
    """Numbers summed up.

    Args:
        percentiles: Which are asked for, 0 to 100.
        edges: Bounds of buckets, ascending; a number that equals a bound belongs above it.
    """

    def __init__(self, percentiles: list[float], edges: list[float]) -> None:
        self._percentiles, self._edges = percentiles, edges
        self.count, self._sum = 0, 0.0
        self._min, self._max = math.inf, -math.inf
        self._seen: Counter[float] = Counter()  # exact; emptied into the buckets when it is full
        self._above: dict[int, int] = {}
        self._below: dict[int, int] = {}
        self._zero = 0
        self._within = [0] * (len(edges) + 1)
        self.exact = True

    def add(self, numbers: list[float]) -> None:
        """Add finite numbers."""
        if not numbers:
            return
        self.count += len(numbers)
        self._sum += math.fsum(numbers)
        least, most = min(numbers), max(numbers)
        self._min, self._max = min(self._min, least), max(self._max, most)
        self._seen.update(numbers)
        if len(self._seen) > DISTINCT:
            self._empty()

    def _empty(self) -> None:
        self.exact = False
        for number, times in self._seen.items():
            self._within[bisect_right(self._edges, number)] += times
            if abs(number) < _LEAST:
                self._zero += times
                continue
            side = self._above if number > 0 else self._below
            bucket = math.ceil(math.log(abs(number)) * _PER_BUCKET)
            side[bucket] = side.get(bucket, 0) + times
        self._seen.clear()

    def state(self) -> list[Any]:
        """All that it knows, for absorb."""
        about = [self.count, self._sum, self._min, self._max, self._zero, self._within, self.exact]
        return [*about, dict(self._seen), self._above, self._below]

    def absorb(self, state: list[Any]) -> None:
        """Add what another one has seen that was made with the same arguments."""
        count, total, least, most, zero, within, exact, seen, above, below = state
        self.count, self._sum, self._zero = self.count + count, self._sum + total, self._zero + zero
        self._min, self._max = min(self._min, least), max(self._max, most)
        self._within = [mine + other for mine, other in zip(self._within, within)]  # noqa: B905 - as long
        self.exact = self.exact and exact
        for mine, other in ((self._seen, seen), (self._above, above), (self._below, below)):
            for key, times in other.items():
                mine[key] = mine.get(key, 0) + times
        if len(self._seen) > DISTINCT:
            self._empty()

    def told(self) -> dict[str, Any]:
        """count, min, max, mean, sum, percentiles ({"95": 12.5}), exact, relative_error, buckets."""
        if not self.exact:
            self._empty()
        known = self.count > 0
        return {
            "count": self.count,
            "min": self._min if known else None,
            "max": self._max if known else None,
            "mean": self._sum / self.count if known else None,
            "sum": self._sum,
            "percentiles": self._told_percentiles(),
            "exact": self.exact,
            "relative_error": 0.0 if self.exact else ERROR,
            "buckets": self._told_buckets(),
        }

    def _told_percentiles(self) -> dict[str, float | None]:
        """The nearest rank: the least number that so many percent of all do not exceed."""
        ordered, found = self._ordered(), {}
        for one in self._percentiles:
            found["%g" % one] = self._at_rank(ordered, max(1, math.ceil(one * self.count / 100)))
        return found

    def _at_rank(self, ordered: list[tuple[float, int]], rank: int) -> float | None:
        passed = 0
        for number, times in ordered:
            passed += times
            if passed >= rank:
                return min(max(number, self._min), self._max)
        return None

    def _ordered(self) -> list[tuple[float, int]]:
        """(number, how often), ascending; a bucket's number is where both its bounds are as far away."""
        if self.exact:
            return sorted(self._seen.items())
        below = [(-_middle(bucket), times) for bucket, times in sorted(self._below.items(), reverse=True)]
        above = [(_middle(bucket), times) for bucket, times in sorted(self._above.items())]
        return [*below, (0.0, self._zero), *above]

    def _told_buckets(self) -> list[dict[str, Any]]:
        if not self._edges:
            return []
        within = list(self._within)
        for number, times in self._seen.items():
            within[bisect_right(self._edges, number)] += times
        bounds = [None, *self._edges, None]
        return [
            {"from": bounds[at], "below": bounds[at + 1], "count": times, "percent": percent(times, self.count)}
            for at, times in enumerate(within)
        ]


def _middle(bucket: int) -> float:
    return math.exp((bucket - 1) / _PER_BUCKET) * (1 + ERROR)


def percent(part: int | None, whole: int | None) -> float | None:
    """100 * part / whole; None where one is not known, or the whole is 0."""
    return 100.0 * part / whole if whole and part is not None else None


class Groups:
    """How often each text is there, the most frequent first.

    When there are too many different ones the rarest are dropped. A text that comes back is then counted from 0: its
    count may be short by at most `short_by` (lossy counting).
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self.count = 0
        self._seen: Counter[str] = Counter()
        self._left_out = self._short_by = 0

    def add(self, texts: Iterable[str]) -> None:
        """Add texts; long ones are cut."""
        kept = [text[:LONGEST] for text in texts]
        self.count += len(kept)
        self._seen.update(kept)
        if len(self._seen) > DISTINCT:
            self._drop()

    def state(self) -> list[Any]:
        """All that it knows, for absorb."""
        return [self.count, self._left_out, self._short_by, dict(self._seen)]

    def absorb(self, state: list[Any]) -> None:
        """Add what another one has seen."""
        count, left_out, short_by, seen = state
        self.count += count
        self._left_out, self._short_by = self._left_out + left_out, self._short_by + short_by
        self._seen.update(seen)
        if len(self._seen) > DISTINCT:
            self._drop()

    def _drop(self) -> None:
        ordered = self._ordered()
        kept, dropped = ordered[: DISTINCT // 2], ordered[DISTINCT // 2 :]
        self._left_out += sum(times for _text, times in dropped)
        self._short_by += dropped[0][1]
        self._seen = Counter(dict(kept))

    def _ordered(self) -> list[tuple[str, int]]:
        return sorted(self._seen.items(), key=lambda one: (-one[1], one[0]))

    def told(self) -> dict[str, Any]:
        """count, distinct (None: not known), top ([{value, count, percent}]), left_out (lines), short_by (lines)."""
        return {
            "count": self.count,
            "distinct": None if self._short_by else len(self._seen),
            "top": [
                {"value": value, "count": times, "percent": percent(times, self.count)}
                for value, times in self._ordered()[: self._top]
            ],
            "left_out": self._left_out,
            "short_by": self._short_by,
        }
