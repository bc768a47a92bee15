# SPDX-License-Identifier: BSD-2-Clause
"""What a profile of kernel parameters remembers: each key's value before it, and what it set; pure."""

from __future__ import annotations

import json

from .errors import Refused
from .sysctl_plan import PROBLEMS, same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .sysctl_plan import Entry, Key

SCHEMA = "ops.runbook/sysctl/1"


def parse_state(data: bytes | None, path: str) -> dict[str, Entry]:
    """What earlier calls kept: key -> {before, set[, start]}; start only while a call is on its way.

    Raises:
        Refused: It is damaged; guessing would lose what was there before.
    """
    if data is None:
        return {}
    try:
        document = json.loads(data)
        entries = document["keys"]
        if document["schema"] != SCHEMA or not all(map(_sound, entries.values())):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused(
            "is damaged, so nobody knows what the values were before",
            path,
            "Look at it. To go on from the present values: rm %s" % path,
        ) from None
    return dict(entries)


def _sound(entry: Entry) -> bool:
    return {"before", "set"} <= set(entry) and all(isinstance(value, str) for value in entry.values())


def render_state(entries: dict[str, Entry]) -> bytes | None:
    """The file that parse_state reads; None where there is nothing to remember."""
    document = {"schema": SCHEMA, "keys": entries}
    return (json.dumps(document, sort_keys=True) + "\n").encode("ascii") if entries else None


def kept_entries(keys: list[Key], underway: bool) -> dict[str, Entry]:
    """What the state file holds while a call is on its way, and after it.

    On its way a key that goes from one value of ours to another has both, so that a rerun knows it for ours.
    """
    entries = {}
    for key in keys:
        entry = {"before": str(key.original), "set": str(key.target)} if key.kept else None
        if key.status in PROBLEMS:
            entry = {name: key.entry[name] for name in ("before", "set")} if key.entry else None
        elif underway and key.ours and not same(str(key.start), str(key.target)):
            entry = dict(entry or key.entry or {}, start=str(key.start))
        if entry:
            entries[key.name] = entry
    return entries
