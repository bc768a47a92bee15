# SPDX-License-Identifier: BSD-2-Clause
"""Which backups may go: grandfather, father and son, and never the last that was proven. Pure.

Of each of the last days, weeks and months that have a backup the youngest verified one stays, else the youngest. What
is as young as the youngest verified one, or younger, always stays: until something newer is proven nobody knows what
it is needed for. Where nothing is verified, nothing goes.
"""

from __future__ import annotations

import time

from ..errors import BadInput
from .shelf import taken_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable

PERIODS = ("daily", "weekly", "monthly")


def validate(policy: dict[str, int]) -> None:
    """Refuse a policy that makes no sense.

    Raises:
        BadInput: It keeps nothing, or a number is below zero, or a name is none.
    """
    strange = sorted(set(policy) - set(PERIODS))
    if strange:
        raise BadInput("%r is no period" % strange[0], "keep", "Known are %s" % ", ".join(PERIODS))
    if any(count < 0 for count in policy.values()) or not any(policy.values()):
        raise BadInput("keeps nothing", "keep", "Write at least one number above 0, such as {daily: 7, weekly: 4}")


def expired(names: Iterable[str], verified: Iterable[str], policy: dict[str, int]) -> list[str]:
    """The backups that may go, oldest first.

    Args:
        names: All backups, by their UTC time.
        verified: Those of them that were restored and compared.
        policy: How many days, weeks and months keep one: {daily, weekly, monthly}; what is missing is 0.
    """
    validate(policy)
    every, proven = sorted(names), set(verified) & set(names)
    if not proven:
        return []
    kept = {name for name in every if name >= max(proven)}
    for period in PERIODS:
        kept |= _kept(every, proven, _BUCKETS[period], policy.get(period, 0))
    return [name for name in every if name not in kept]


def _kept(every: list[str], proven: set[str], bucket: Callable[[str], str], count: int) -> set[str]:
    best: dict[str, str] = {}
    for name in every:  # later ones win, but never over a proven one
        at = bucket(name)
        if name in proven or best.get(at) not in proven:
            best[at] = name
    return {best[at] for at in sorted(best)[-count:]} if count else set()


_BUCKETS: dict[str, Callable[[str], str]] = {
    "daily": lambda name: time.strftime("%Y-%m-%d", time.gmtime(taken_at(name))),
    "weekly": lambda name: time.strftime("%G-%V", time.gmtime(taken_at(name))),
    "monthly": lambda name: time.strftime("%Y-%m", time.gmtime(taken_at(name))),
}
