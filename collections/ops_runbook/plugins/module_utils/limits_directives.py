# SPDX-License-Identifier: BSD-2-Clause
"""Limits as systemd's units say them: LimitNOFILE=1024:65535, LimitMEMLOCK=64M, infinity. Source: systemd.exec(5)."""

from __future__ import annotations

from .errors import BadInput
from .limits_kernel import INFINITY, ITEMS, LARGEST, NEVER_ZERO, nr_open

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KINDS = ("soft", "hard")
ITEM_OF = {directive: item for item, (directive, _label, _factor) in ITEMS.items()}
_SIZES = frozenset(("as", "core", "data", "fsize", "memlock", "msgqueue", "rss", "stack"))
_SUFFIXES = "KMGTPE"


def shown(value: int | None) -> int | str | None:
    """A value as systemd writes it."""
    return "infinity" if value == INFINITY else value


def real(item: str, value: int | None) -> int:
    """What a process gets that is to have value: of files, nobody has infinitely many."""
    return min(value or 0, nr_open()) if item == "nofile" and value == INFINITY else value or 0


def number_of(text: str) -> int:
    """A value that systemctl shows."""
    return INFINITY if text == "infinity" else int(text)


def wanted_of(unit: str, directives: Any) -> dict[str, tuple[int, int]]:
    """What the option units says of one unit: directive -> (soft, hard) in the kernel's units.

    Raises:
        BadInput: An unknown directive, a wrong value, or a soft limit above its hard one.
    """
    where = "units, %s" % unit
    if not isinstance(directives, dict) or not directives:
        raise BadInput("it names no limit", where, "Write {LimitNOFILE: 65535}.")
    found = {}
    for directive, raw in directives.items():
        if directive not in ITEM_OF:
            hint = "There are: %s" % " ".join(sorted(ITEM_OF))
            raise BadInput("%r is no limit of systemd" % (directive,), where, hint)
        parts = str(raw).split(":", 1)
        soft, hard = (_number(ITEM_OF[directive], part, raw, where) for part in (parts[0], parts[-1]))
        if soft > hard:
            raise BadInput("the soft %s (%s) is above the hard one" % (directive, raw), where, "Write soft:hard.")
        found[directive] = (soft, hard)
    return found


def _number(item: str, text: str, raw: Any, where: str) -> int:
    value = _parsed(item, text)
    if isinstance(raw, (bool, float)) or not 0 <= value <= (40 if item == "nice" else LARGEST):
        if text == "infinity" and item != "nice":
            return INFINITY
        hint = "Use a number, soft:hard or infinity%s." % (", with K, M, G or T" if item in _SIZES else "")
        raise BadInput("%r is no value of %s" % (raw, ITEMS[item][0]), where, hint)
    if value == 0 and item in NEVER_ZERO:
        raise BadInput("with %s=0 the service could not run" % ITEMS[item][0], where, "Use a higher number.")
    return value


def _parsed(item: str, text: str) -> int:
    """-1 where it is no number; a signed LimitNICE is a nice level, an unsigned one what the kernel calls it."""
    if item == "nice" and text[:1] in ("+", "-") and text[1:].isdigit():
        return 20 - int(text)
    power = _SUFFIXES.find(text[-1:]) + 1 if item in _SIZES and text else 0
    digits = text[:-1] if power else text
    return int(digits) << 10 * power if digits.isascii() and digits.isdigit() else -1
