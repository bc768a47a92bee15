# SPDX-License-Identifier: BSD-2-Clause
"""What is counted, summed up and grouped: one object for each name under counts, values and groups."""

from __future__ import annotations

from .errors import BadInput
from .host import utc
from .log_stats_match import Matcher, containing, matching
from .log_stats_options import check_keys, cut, masked, numbers, printable, shown, whole
from .log_stats_records import ABSENT
from .log_stats_sketch import Groups, Numbers
from .log_stats_where import Where, needed, number, plain_numbers, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .log_stats_match import Block
    from .log_stats_records import Table
    from .log_stats_time import Window

_MOST_TAIL = 100
_KEYS = {
    "counts": {"pattern", "contains", "where", "ignore_case", "path", "tail"},
    "values": {"pattern", "field", "where", "ignore_case", "path", "percentiles", "buckets"},
    "groups": {"pattern", "field", "where", "ignore_case", "path", "top"},
}


class Job:
    """What all three have in common.

    Attributes:
        name: Such as `counts.errors`.
        path: The entry of `paths` that it is about; None for all.
        needed: For fields: bytes that a line must hold; None for a job about text.
        count: Lines, so far.
        unsure: Lines that match, whose time cannot be told.
        order: By which the jobs are best done in a block.
        window: What tells the time of a line of the log that is read.
        unknown: Why the result cannot be told; empty where it can.
    """

    def __init__(self, kind: str, name: str, options: Any) -> None:
        self.name = "%s.%s" % (kind, name)
        check_keys(options, _KEYS[kind], self.name)
        self.options = options
        self.path: str | None = options.get("path")
        self.count = self.unsure = 0
        self.unknown = ""
        self.window: Window | None = None
        self.needed: bytes | None = None
        self._where = Where(options["where"], self.name + ".where") if "where" in options else None
        self._field = str(options.get("field", ""))
        if self._where:
            self.needed = self._where.needed
        if self._field:
            self.needed = max(self.needed or b"", needed(self._field), key=len)
        self._matcher = self._compiled(kind != "counts")
        self.order = self._matcher.order if self._matcher else (False, 0)

    def _compiled(self, group: bool) -> Matcher | None:
        options, case = self.options, bool(self.options.get("ignore_case", False))
        given = [key for key in ("pattern", "contains", "where" if not group else "field") if key in options]
        if len(given) > 1 or (group and not given) or ("where" in options and "pattern" in options):
            choice = "field (perhaps with where) or pattern" if group else "one of pattern, contains and where"
            raise BadInput("says %s" % (" and ".join(given) or "nothing to look for"), self.name, "Give %s." % choice)
        for key in ("pattern", "contains"):
            if key in options:
                place = "%s.%s" % (self.name, key)
                if not isinstance(options[key], str):
                    raise BadInput("%r is no text" % (options[key],), place, "Put it in quotes.")
                if key == "contains":
                    return containing(options[key], case, place)
                return matching(options[key], case, place, group)
        return None

    def see(self, block: Block, sure: bool) -> None:
        """Look at a block; sure: its lines lie in the window."""
        raise NotImplementedError

    def take(self, table: Table, sure: bool) -> None:
        """Look at JSON lines, parsed and as they are."""
        raise NotImplementedError

    def state(self) -> list[Any]:
        """All that it found, for absorb."""
        raise NotImplementedError

    def absorb(self, state: list[Any]) -> None:
        """Add what the same job found in later lines."""
        raise NotImplementedError

    def told(self) -> dict[str, Any]:
        """The answer under this name."""
        raise NotImplementedError

    def _taken(self, table: Table) -> list[Any]:
        """The field's values in the records that meet the conditions."""
        column = table.column(self._field)
        if self._where:
            column = [column[at] for at in self._where.chosen(table)]
        return [value for value in column if value is not ABSENT]


class Count(Job):
    """Lines that match; without a condition, all lines."""

    def __init__(self, name: str, options: Any) -> None:
        super().__init__("counts", name, options)
        self._tail = whole(options.get("tail", 1), self.name + ".tail", 1, _MOST_TAIL)
        self._last: list[str] = []
        self._last_at: float | None = None
        self.rate: float | None = 0.0

    def see(self, block: Block, sure: bool) -> None:
        """Count in a block."""
        if self._matcher is None:
            times, last = block.count, [block.line(len(block.data) - 1)]
        else:
            times, last = self._matcher.count(block, self._tail)
        if not sure:
            self.unsure += times
        elif times:
            self.count += times
            self._keep([shown(line) for line in last], block.data, last[-1])

    def take(self, table: Table, sure: bool) -> None:
        """Count JSON lines."""
        found = self._where.chosen(table) if self._where else []
        if not sure:
            self.unsure += len(found)
        elif found:
            self.count += len(found)
            last = table.texts[found[-1]].encode("utf-8", "surrogateescape")
            self._keep([cut(table.texts[at]) for at in found[-self._tail :]], b"", last)

    def _keep(self, lines: list[str], data: bytes, last: bytes) -> None:
        self._last = (self._last + lines)[-self._tail :]
        self._last_at = self.window.time_of(data, last) if self.window else None

    def state(self) -> list[Any]:
        """All that it found, for absorb."""
        return [self.count, self.unsure, self._last, self._last_at]

    def absorb(self, state: list[Any]) -> None:
        """Add what the same job found in later lines."""
        count, unsure, last, last_at = state
        self.count, self.unsure = self.count + count, self.unsure + unsure
        if last:
            self._last, self._last_at = (self._last + last)[-self._tail :], last_at

    def told(self) -> dict[str, Any]:
        """count, rate, last, last_at, age_seconds, tail."""
        if self.unknown:
            return dict.fromkeys(("count", "rate", "last", "last_at", "age_seconds", "tail"))
        at, tail = self._last_at, masked(self._last)
        return {
            "count": self.count,
            "rate": self.rate,
            "last": tail[-1] if tail else None,
            "last_at": None if at is None else utc(at),
            "age_seconds": None if at is None or not self.window else round(self.window.now - at, 3),
            "tail": tail,
        }


class Values(Job):
    """Numbers in a field, or in a pattern's group, summed up."""

    def __init__(self, name: str, options: Any) -> None:
        super().__init__("values", name, options)
        percentiles = numbers(options.get("percentiles", [50, 95, 99]), self.name + ".percentiles")
        edges = numbers(options.get("buckets", []), self.name + ".buckets")
        if not all(0 <= one <= 100 for one in percentiles):
            raise BadInput("lie between 0 and 100", self.name + ".percentiles", "Give such as [50, 95, 99].")
        if edges != sorted(set(edges)):
            raise BadInput("do not ascend", self.name + ".buckets", "Give the bounds in order, such as [25, 50].")
        self._numbers, self._not_numbers = Numbers(percentiles, edges), 0

    def see(self, block: Block, sure: bool) -> None:
        """Sum up what the group holds."""
        self._add(self._matcher.groups(block) if self._matcher else [], sure)

    def take(self, table: Table, sure: bool) -> None:
        """Sum up a field."""
        self._add(self._taken(table), sure)

    def _add(self, values: list[Any], sure: bool) -> None:
        if not sure:
            self.unsure += len(values)
            return
        known = values if plain_numbers(values) else [one for one in map(number, values) if one is not None]
        self._not_numbers += len(values) - len(known)
        self.count += len(known)
        self._numbers.add(known)

    def state(self) -> list[Any]:
        """All that it found, for absorb."""
        return [self.count, self.unsure, self._not_numbers, self._numbers.state()]

    def absorb(self, state: list[Any]) -> None:
        """Add what the same job found in later lines."""
        count, unsure, not_numbers, known = state
        self.count, self.unsure = self.count + count, self.unsure + unsure
        self._not_numbers += not_numbers
        self._numbers.absorb(known)

    def told(self) -> dict[str, Any]:
        """As Numbers.told, and not_numbers: lines whose value is no number."""
        found = dict(self._numbers.told(), not_numbers=self._not_numbers)
        return dict.fromkeys(found) if self.unknown else found


class Grouped(Job):
    """How often each value is there."""

    def __init__(self, name: str, options: Any) -> None:
        super().__init__("groups", name, options)
        self._groups = Groups(whole(options.get("top", 10), self.name + ".top", 1, 1000))

    def see(self, block: Block, sure: bool) -> None:
        """Group by what the group holds."""
        self._add(self._matcher.groups(block) if self._matcher else [], sure)

    def take(self, table: Table, sure: bool) -> None:
        """Group by a field."""
        self._add([text(value) for value in self._taken(table)], sure)

    def _add(self, texts: list[str], sure: bool) -> None:
        if sure:
            self.count += len(texts)
            self._groups.add([printable(one) for one in texts])
        else:
            self.unsure += len(texts)

    def state(self) -> list[Any]:
        """All that it found, for absorb."""
        return [self.count, self.unsure, self._groups.state()]

    def absorb(self, state: list[Any]) -> None:
        """Add what the same job found in later lines."""
        count, unsure, groups = state
        self.count, self.unsure = self.count + count, self.unsure + unsure
        self._groups.absorb(groups)

    def told(self) -> dict[str, Any]:
        """As Groups.told."""
        found = self._groups.told()
        for one, value in zip(found["top"], masked([one["value"] for one in found["top"]])):  # noqa: B905 - as long
            one["value"] = value
        return dict.fromkeys(found) if self.unknown else found


def parse_jobs(params: dict[str, Any]) -> list[Job]:
    """The jobs that the options ask for.

    Raises:
        BadInput: One of them makes no sense.
    """
    makers: list[tuple[str, Any]] = [("counts", Count), ("values", Values), ("groups", Grouped)]
    jobs: list[Job] = [maker(name, options or {}) for kind, maker in makers for name, options in params[kind].items()]
    for job in jobs:
        if job.path is not None and job.path not in params["paths"]:
            raise BadInput("%r is none of the paths" % (job.path,), job.name + ".path", "Repeat an entry of paths.")
        if params["format"] == "text" and job.needed is not None:
            raise BadInput("asks for fields, which text has none of", job.name, "Use pattern, or format: json.")
    return jobs


def parse_ratios(params: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Name -> (part, whole), both names of counts.

    Raises:
        BadInput: One of them is no count.
    """
    found = {}
    for name, options in params["ratios"].items():
        where = "ratios.%s" % name
        check_keys(options, {"part", "whole"}, where)
        for key in ("part", "whole"):
            if options.get(key) not in params["counts"]:
                raise BadInput(
                    "%r is none of the counts" % (options.get(key),), "%s.%s" % (where, key), "Name a count."
                )
        found[name] = (options["part"], options["whole"])
    return found
