# SPDX-License-Identifier: BSD-2-Clause
"""How long a change of an environment is to last, and the timer that then puts it back."""

from __future__ import annotations

import time

from .collectors._when import epoch
from .errors import BadInput
from .host import utc
from .until import plan
from .until_timer import name_of, parse_plan, present, unit_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .unit_change import Change
    from .until import UntilPlan

_LONGEST = 30 * 86400  # seconds; what is to last longer is no experiment
_HOW = "Give seconds from now, or a time such as 2026-01-05T02:00:00Z."


def moment(text: str, now: float) -> float:
    """Epoch seconds of a number of seconds from now, or of an RFC 3339 time.

    Raises:
        BadInput: It is neither, is past, or is more than 30 days ahead.
    """
    try:
        when = now + float(text)
    except ValueError:
        when = _rfc3339(text)
    if not now < when <= now + _LONGEST:
        raise BadInput("%s is not within 30 days from now" % text, "until", _HOW)
    return when


def _rfc3339(text: str) -> float:
    date, clock, offset = text[:10], text[11:19], text[19:].lstrip(".0123456789").upper()
    fraction = text[19 : len(text) - len(offset)]
    try:
        if text[10:11] not in ("T", "t", " ") or len(clock) != 8 or not (clock[2] == clock[5] == ":"):
            raise ValueError
        year, month, day = (int(part) for part in date.split("-"))
        hour, minute, second = (int(part) for part in clock.split(":"))
        if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
            raise ValueError
        return epoch((year, month, day), (hour, minute, second + float("0" + fraction))) - _offset(offset)
    except ValueError:
        raise BadInput("%r is no time" % text, "until", _HOW) from None


def _offset(text: str) -> int:
    if text == "Z":
        return 0
    if len(text) != 6 or text[0] not in "+-" or text[3] != ":":
        raise ValueError(text)
    seconds = int(text[1:3]) * 3600 + int(text[4:]) * 60
    return -seconds if text[0] == "-" else seconds


def timed(params: dict[str, Any], unit: str, change: Change, answer: dict[str, Any]) -> UntilPlan | None:
    """The timer that will put change back, and what it adds to the answer; without until, one that waits is told.

    Seconds count from the change: where nothing is changed now, a timer that waits already is left as it is.

    Raises:
        BadInput: The time makes no sense.
    """
    waiting, timer = _waiting(unit), None
    if params["until"]:
        when = moment(str(params["until"]), time.time())
        if not params["program"]:
            raise BadInput("there is nothing that the timer could run", "program", "It is set by the action.")
        if waiting and not change.steps and _is_number(str(params["until"])):
            when = waiting
        timer = plan(unit, when, change.steps, params["program"], params["run_id"])
        waiting = -(-when // 1) if timer.changes else waiting
        answer["changes"] += timer.changes
        steps = change.steps + timer.steps
        answer["undo"] = {"kind": "steps", "steps": steps} if steps else answer["undo"]
        answer["changed"] = bool(answer["changes"])
    if waiting:
        answer["until"] = {"at": utc(waiting), "unit": unit_of(name_of(unit))}
    return timer


def _is_number(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


def _waiting(unit: str) -> float | None:
    """When the timer of unit will put something back; None where there is none."""
    content = present(name_of(unit))
    return float(parse_plan(content)["when"]) if content else None
