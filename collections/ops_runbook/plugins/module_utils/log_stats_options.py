# SPDX-License-Identifier: BSD-2-Clause
"""What options may be, and lines as they are passed on. Pure."""

from __future__ import annotations

from .errors import BadInput
from .log_stats_where import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SHOWN = 300  # characters of a line that are passed on


def shown(line: bytes) -> str:
    """A line for people."""
    return cut(line[: 4 * _SHOWN].decode("utf-8", "backslashreplace"))


def masked(lines: list[str]) -> list[str]:
    """Lines that are passed on, without the secrets that programs write into logs."""
    if not lines:
        return []
    from .redact import redact

    return [redact(line)[:_SHOWN] for line in lines]


def cut(line: str) -> str:
    """A line without what surrounds it, at most 300 characters."""
    return printable(line).strip()[:_SHOWN]


def printable(line: str) -> str:
    """Lone surrogates, which stand for bytes that are no UTF-8, become text: no JSON can carry them."""
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


def whole(value: Any, where: str, least: int, most: int) -> int:
    """A whole number within bounds; templates make texts of numbers.

    Raises:
        BadInput: It is none.
    """
    found = number(value)
    if found is None or found != int(found) or not least <= found <= most:
        raise BadInput("%r is no whole number from %d to %d" % (value, least, most), where, "Give one.")
    return int(found)


def numbers(values: Any, where: str) -> list[float]:
    """A list of numbers.

    Raises:
        BadInput: It is none.
    """
    found = [number(value) for value in values] if isinstance(values, list) else [None]
    if any(one is None for one in found):
        raise BadInput("%r is no list of numbers" % (values,), where, "Give such as [25, 50].")
    return [one for one in found if one is not None]


def check_keys(options: Any, known: set[str], where: str) -> None:
    """Raise BadInput unless options is a mapping with known keys only."""
    if not isinstance(options, dict):
        raise BadInput("%r is no mapping" % (options,), where, "Known are %s." % ", ".join(sorted(known)))
    for key in options:
        if key not in known:
            raise BadInput("has no option %s" % (key,), where, "Known are %s." % ", ".join(sorted(known)))
