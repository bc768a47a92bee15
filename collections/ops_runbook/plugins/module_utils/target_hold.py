# SPDX-License-Identifier: BSD-2-Clause
"""Set, lift or look at the hold of this target: while it is there, no remedy runs here."""

from __future__ import annotations

import json
import os
import time

from .amounts import age as seconds_of
from .amounts import age_text
from .errors import BadInput, OpsError, Refused
from .holds import PATH, SCHEMA, hold_text, parse_hold, read_hold
from .host import utc
from .locks import mutex, stamp
from .managed_file import STATE, FilePlan, demand_root, ensure_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LONGEST = 400  # characters of a reason: it is shown in one line
_NO_UNDO = {"kind": "none", "reason": "nothing was changed"}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """{changed, changes, undo, message, hold}, the same keys on every path."""
    try:
        return _run(params, check)
    except OpsError as error:
        error.result = dict(_answer(read_hold(PATH), str(error)), **error.result)
        raise


def _run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    if params["state"] == "read":
        hold = read_hold(PATH)
        return _answer(hold, "a hold is in force: %s" % _text(hold) if hold else "no hold is in force")
    demand_root()
    reason, lasts = _wanted(params)
    with mutex(STATE):
        before = read_hold(PATH)
        if params["state"] == "absent":
            return _lift(params, check, before)
        return _set(params, check, before, reason, lasts)


def _wanted(params: dict[str, Any]) -> tuple[str, int | None]:
    """The reason in one line, and how many seconds it lasts (None: until it is lifted)."""
    reason = " ".join((params["reason"] or "").split())
    lasts = seconds_of(params["lasts"], "lasts") if params["lasts"] else None
    if params["state"] == "present" and not (0 < len(reason) <= _LONGEST and reason.isprintable()):
        raise BadInput(
            "a hold needs a reason of 1 to %d characters" % _LONGEST,
            "reason",
            "Say why nothing may be done, such as: --reason 'restore under way'.",
        )
    if params["state"] == "present" and not (params["by"] or "").strip():
        raise BadInput("a hold is somebody's", "by", "Name the person who sets it.")
    if lasts == 0:
        raise BadInput("a hold cannot last 0 s", "lasts", "Give it as 30min or 2h, or leave it out.")
    return reason, lasts


def _set(
    params: dict[str, Any], check: bool, before: dict[str, Any] | None, reason: str, lasts: int | None
) -> dict[str, Any]:
    by = " ".join(params["by"].split())
    if before and before.get("by") != by:
        raise Refused(
            "a hold is in force already (%s)" % _text(before),
            PATH,
            "It holds as it is. To set another one, lift it first: rm %s" % PATH,
        )
    if before and lasts is None and (before["reason"], before["until"]) == (reason, None):
        return _answer(before, "the hold is as it was wanted: %s" % _text(before))
    now = time.time()
    hold = dict(stamp(), schema=SCHEMA, reason=reason, by=by, since=utc(now), lasts=lasts)
    hold["until"] = utc(now + lasts) if lasts else None
    how_long = "for %s" % age_text(lasts) if lasts else "until it is lifted"
    said = "no remedy runs here %s: %s" % (how_long, reason)
    return _put(json.dumps(hold, sort_keys=True).encode("ascii") + b"\n", params, check, before, said)


def _lift(params: dict[str, Any], check: bool, before: dict[str, Any] | None) -> dict[str, Any]:
    if before:
        return _put(None, params, check, before, "the hold is lifted: %s" % _text(before))
    if os.path.lexists(PATH):
        return _put(None, params, check, None, "the hold had ended by itself; its file is removed")
    return _answer(None, "no hold is in force")


def _put(
    data: bytes | None, params: dict[str, Any], check: bool, before: dict[str, Any] | None, said: str
) -> dict[str, Any]:
    if not check:
        ensure_folder()
    file = FilePlan(PATH, data, mode="0600").plan(params["run_id"])
    steps = [dict(step, folders=[]) for step in file.steps]  # the folder is ours and stays
    after = parse_hold(data) if data else None
    hold = dict(after, text=hold_text(after)) if after else None
    change = {"object": "hold", "before": before and _text(before), "after": hold and _text(hold)}
    if not check:
        file.put()
    return dict(_answer(hold, said), changed=True, changes=[change], undo={"kind": "steps", "steps": steps})


def _text(hold: dict[str, Any]) -> str:
    return str(hold["text"]).strip() or "no reason given"


def _answer(hold: dict[str, Any] | None, message: str) -> dict[str, Any]:
    shown = {key: hold.get(key) for key in ("text", "reason", "by", "since", "until")} if hold else None
    if shown:
        shown["text"] = _text(shown)
    return {"changed": False, "changes": [], "undo": _NO_UNDO, "message": message, "hold": shown}
