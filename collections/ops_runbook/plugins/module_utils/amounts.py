# SPDX-License-Identifier: BSD-2-Clause
"""Sizes and ages as people write them: 200MB, 30d."""

from __future__ import annotations

from .errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SIZES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
    "TIB": 1 << 40,
}
_AGES = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = 100 * 365 * 86400


def size(raw: Any, where: str = "size") -> int:
    """Bytes of a size: a number, or one with kB, MB, GB, TB (thousands) or KiB, MiB, GiB, TiB.

    Raises:
        BadInput: It is none; `where` names the option.
    """
    text = str(raw).strip()
    number = text.rstrip("BKMGTibkmgt ")
    factor = _SIZES.get(text[len(number) :].strip().upper() or "B", 0)
    value = _number(raw, number) * factor
    if not factor or not 0 <= value < 1 << 63:
        raise BadInput("%r is no size" % (raw,), where, "Write bytes, or such as 64MB or 1GiB.")
    return int(value)


def age(raw: Any, where: str = "age") -> int:
    """Seconds of an age: a number with s, min, h, d or w. Without a unit it is refused: 7 may be meant as days.

    Raises:
        BadInput: It is none; `where` names the option.
    """
    text = str(raw).strip()
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    factor = _AGES.get(text[len(number) :].strip(), 0)
    value = _number(raw, number) * factor
    if not factor or not 0 <= value <= _LONGEST:
        raise BadInput("%r is no age" % (raw,), where, "Write it with its unit, such as 12h or 30d (s, min, h, d, w).")
    return int(value)


def _number(raw: Any, text: str) -> float:
    """The number that text is; -1 where it is none, or where raw is true or false."""
    try:
        return -1.0 if isinstance(raw, bool) else float(text)
    except ValueError:
        return -1.0


def size_text(count: float) -> str:
    """Bytes as people read them, such as 41.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return "%d B" % count if unit == "B" else "%.1f %s" % (count, unit)
        count /= 1000.0
    return "%.1f TB" % count


def age_text(seconds: float) -> str:
    """Seconds as people read them, such as 31 d or 5 h."""
    for unit in ("d", "h", "min"):
        if seconds >= _AGES[unit]:
            return "%d %s" % (seconds // _AGES[unit], unit)
    return "%d s" % seconds
