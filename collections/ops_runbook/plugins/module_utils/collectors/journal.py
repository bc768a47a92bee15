# SPDX-License-Identifier: BSD-2-Clause
"""Named patterns counted in a unit's journal, in a window of time or since a cursor. Source: journalctl(1)."""

from __future__ import annotations

from ..errors import BadInput, CannotLook
from . import _units
from ._lines import Tally, compiled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {
    "unit": dict(_units.UNIT, required=True),
    "patterns": {"type": "dict", "required": True, "doc": "Name -> regular expression, searched in each message."},
    "window": {"type": "float", "default": 900.0, "doc": "Count only messages of the last so many seconds."},
    "cursor": {"type": "dict", "doc": "{since} of an earlier look, in epoch seconds: count only what came after it."},
    "limit": {"type": "int", "default": 5000, "doc": "Look at no more than this many of the last messages."},
}
FIELDS = {
    "counts": "name -> count of messages that match",
    "last": "name -> the last message that matches, at most 300 characters; None when none does",
    "matched": "count of matches of all patterns",
    "lines": "count of lines looked at",
    "cursor": "what to give as cursor at the next look",
}


def verify(args: dict[str, Any]) -> None:
    """Patterns that compile."""
    _units.verify_names(args["unit"])
    compiled(args["patterns"])
    if not args["patterns"]:
        raise BadInput("is empty", "patterns", "Name at least one pattern.")


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Count in one unit's journal."""
    now = host.now()
    unit = _units.show(host, args["unit"], args["timeout"])["Id"]
    since = max(now - args["window"], (args["cursor"] or {}).get("since", 0.0))
    done = host.run(
        [
            "journalctl",
            "--no-pager",
            "--output",
            "short-unix",
            "--since",
            "@%.6f" % since,
            "--lines",
            str(args["limit"]),
            "--unit",
            unit,
        ],
        timeout=args["timeout"],
    )
    lines = _units.journal_lines(done)
    if lines is None:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise CannotLook("the journal may not be read: %s" % said, hint="Add the user to the group systemd-journal.")
    tally = Tally(args["patterns"])
    for line in lines:
        tally.add(line.split(" ", 2)[-1])  # without the time and the host's name
    return {
        "data": {
            "counts": tally.counts,
            "last": tally.last,
            "matched": tally.matched,
            "lines": len(lines),
            "cursor": {"since": round(now, 6)},
        },
        "missing": [],
    }
