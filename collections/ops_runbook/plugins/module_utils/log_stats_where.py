# SPDX-License-Identifier: BSD-2-Clause
"""Conditions on the fields of JSON lines, such as `{level: ERROR, execution_time_ms: "> 50"}`. Pure."""

from __future__ import annotations

import json
import operator

from .errors import BadInput
from .log_stats_records import ABSENT
from .log_stats_sketch import LARGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .log_stats_records import Table

_DIGITS = frozenset("0123456789")
_SIGNS = _DIGITS | frozenset("+-.eE")
_ESCAPED = frozenset('"\\/')  # what JSON may write in two ways
_WORDS = ("true", "false", "null")
_NUMBERS = frozenset((int, float))
_OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


def number(value: Any) -> float | None:
    """A JSON number, or a text that is one ("0.005", as nginx writes it); None for all else."""
    if isinstance(value, str):
        if not value or not _SIGNS.issuperset(value) or value[-1] not in _DIGITS:
            return None
        try:
            value = float(value)
        except ValueError:
            return None
    if type(value) not in (int, float):  # a bool is no number
        return None
    return value if -LARGEST < value < LARGEST else None


def text(value: Any) -> str:
    """A field's value as text: texts as they are, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


class Where:
    """Conditions that must all hold; a line without a field that is asked about meets none.

    Args:
        conditions: Field -> value, list of values (one of them), or text that begins with == != > >= < <=.
        where: The option, for errors.

    Attributes:
        needed: Bytes that a line must hold to meet them, where it writes no character as an escape.
    """

    def __init__(self, conditions: Any, where: str) -> None:
        if not isinstance(conditions, dict) or not conditions:
            raise BadInput("is not a mapping of fields to values", where, "Write it as {level: ERROR}.")
        self._tests = [_test(str(field), wanted, where) for field, wanted in conditions.items()]
        self.needed = max((needed(str(field), wanted) for field, wanted in conditions.items()), key=len)

    def chosen(self, table: Table) -> list[int]:
        """Indexes of the records that meet them all."""
        field, test = self._tests[0]
        found = test(table.column(field))
        for field, test in self._tests[1:]:
            also = set(test(table.column(field)))
            found = [at for at in found if at in also]
        return found


def needed(field: str, wanted: Any = None) -> bytes:
    """Bytes that a line must hold to have a field, or that text in it: the longer of the two. Empty: none is sure."""
    found = [field.rpartition(".")[2]]
    if isinstance(wanted, str) and wanted[:1] not in ("=", "!", "<", ">") and number(wanted) is None:
        found += [wanted] if wanted not in _WORDS else []
    safe = [one for one in found if not _ESCAPED.intersection(one) and min(one, default="") >= " "]
    try:
        return max(safe, key=len, default="").encode("utf-8")
    except UnicodeEncodeError:
        return b""


def _test(field: str, wanted: Any, where: str) -> tuple[str, Callable[[list[Any]], list[int]]]:
    """The field, and a function: its column -> indexes of the values that are as wanted."""
    if not field:
        raise BadInput("names no field", where, "Write it as {level: ERROR}.")
    place = "%s.%s" % (where, field)
    if isinstance(wanted, list):
        if not wanted:
            raise BadInput("is an empty list, which nothing is in", place, "Give the values that count.")
        tests = [_equals(one, place) for one in wanted]
        return field, lambda column: [at for at, value in enumerate(column) if any(test(value) for test in tests)]
    sign, rest = _operator(wanted)
    if sign in _OPERATORS:
        return field, _compares(sign, rest, place)
    equal, differs, as_text = _equals(rest, place), sign == "!=", _only_text(rest)
    if differs:
        return field, lambda column: [at for at, value in enumerate(column) if value is not ABSENT and not equal(value)]
    if as_text is not None:
        return field, lambda column: [at for at, value in enumerate(column) if value == as_text]
    return field, lambda column: [at for at, value in enumerate(column) if equal(value)]


def _operator(wanted: Any) -> tuple[str, Any]:
    if isinstance(wanted, str):
        for sign in ("==", "!=", ">=", "<=", ">", "<"):
            if wanted.startswith(sign):
                return sign, wanted[len(sign) :].strip()
    return "==", wanted


def _only_text(wanted: Any) -> str | None:
    """A text that can equal nothing but the same text."""
    plain = isinstance(wanted, str) and number(wanted) is None and wanted not in _WORDS
    return wanted if plain else None


def _equals(wanted: Any, where: str) -> Callable[[Any], bool]:
    """Compares texts as texts and numbers as numbers; "500" and 500 are the same, because templates make texts."""
    if isinstance(wanted, (dict, list)):
        raise BadInput("%r is no value to compare with" % (wanted,), where, "Name the inner field: a.b.")
    as_text, as_number = text(wanted), number(wanted)
    if as_number is not None:
        return lambda value: value == as_text or number(value) == as_number
    if as_text in _WORDS:
        return lambda value: (
            bool(value == as_text) or ((value is None or isinstance(value, bool)) and text(value) == as_text)
        )
    return lambda value: bool(value == as_text)


def _compares(sign: str, wanted: str, where: str) -> Callable[[list[Any]], list[int]]:
    limit = number(wanted)
    if limit is None:
        raise BadInput("%r is no number to compare with" % wanted, where, 'Write it as "%s 50".' % sign)
    bound, compare = limit, _OPERATORS[sign]

    def test(column: list[Any]) -> list[int]:
        numbers = column if plain_numbers(column) else [number(value) for value in column]
        return [at for at, value in enumerate(numbers) if value is not None and compare(value, bound)]

    return test


def plain_numbers(values: list[Any]) -> bool:
    """Whether all are numbers within bounds, so that none needs a look of its own."""
    if not values or not _NUMBERS.issuperset(map(type, values)):
        return False
    return bool(min(values) > -LARGEST and max(values) < LARGEST)
