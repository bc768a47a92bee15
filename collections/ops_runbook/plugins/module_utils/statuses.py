# SPDX-License-Identifier: BSD-2-Clause
"""How the values of a change fared, in one line for people."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable


def counted(statuses: Iterable[str]) -> str:
    """How many values have which status, such as `3 applied, 1 already`; empty for none."""
    counts: dict[str, int] = {}
    for status in statuses:
        counts[status] = counts.get(status, 0) + 1
    return ", ".join("%d %s" % (count, status) for status, count in counts.items())
