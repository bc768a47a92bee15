# SPDX-License-Identifier: BSD-2-Clause
"""What to do with a service, and what to tell about it: pure functions of its state (platforms/contract.py)."""

from __future__ import annotations

from .errors import Refused
from .platforms.watch import describe, is_down, is_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SHOWN = (
    "load_state",
    "unit_file_state",
    "active_state",
    "sub_state",
    "pid",
    "started_at",
    "restarts",
    "result",
    "exit",
)
NO_UNDO = {"kind": "none", "reason": "nothing was changed"}
_WORDS = {
    "daemon_reload": "read its definition again",
    "enable": "have it started at boot",
    "reset_failed": "forget the failure",
    "resume": "let its stopped process go on",
}


def plan_service(now: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """What to do with a service in the state now.

    Returns:
        steps (names, in order), changes (step -> {object, before, after}), undo, message, after (active_state to be).

    Raises:
        Refused: It may not, or cannot sensibly, be done.
    """
    verb = _verb(now, params["state"])
    enable = bool(params["enable"]) and verb != "stop" and now["unit_file_state"] == "disabled"
    if not verb and not enable:
        message = "%s is %s, nothing to do" % (now["name"], describe(now))
        return {"steps": [], "changes": {}, "undo": NO_UNDO, "message": message, "after": now["active_state"]}
    if verb:
        _refuse(now, verb, params["unmask"])
    steps = ["drain"] if params["drain"] and is_up(now) and verb in ("stop", "restart") else []
    if verb in ("start", "restart") and now["load_state"] == "masked":
        steps.append("unmask")
    if verb not in ("", "stop", "resume") and now["need_reload"]:
        steps.append("daemon_reload")
    if verb in ("start", "restart") and params["reset_failed"] and now["active_state"] == "failed":
        steps.append("reset_failed")
    steps += (["enable"] if enable else []) + ([verb] if verb else [])
    after = "inactive" if verb == "stop" or now["runs_once"] else "active"
    message = "%s, %s: %s" % (now["name"], describe(now), ", ".join(_WORDS.get(step, step) for step in steps))
    act = _undo(now, steps, after, params["platform"]) if verb else NO_UNDO
    return {
        "name": now["name"],
        "steps": steps,
        "changes": _changes(now, steps, after, params["drain"]),
        "act": act,  # the undo of the last step
        "undo": _and_disabled(act, now["name"], steps),
        "message": message,
        "after": after,
    }


def _verb(now: dict[str, Any], state: str) -> str:
    if state == "started":
        return "" if is_up(now) else "start"
    if state == "stopped":
        return "" if is_down(now) else "stop"
    if state == "resumed":
        return "" if is_up(now) and not now["suspended"] else "resume"
    return "restart" if state == "restarted" else "reload"


def _refuse(now: dict[str, Any], verb: str, unmask: bool) -> None:
    if verb == "stop":
        return
    if verb == "resume":
        if not is_up(now):
            raise Refused("it is %s, so there is nothing to resume" % describe(now), now["name"], "Use state: started.")
        return
    if now["load_state"] == "masked" and (verb == "reload" or not unmask):
        raise Refused(
            "it is masked, and a person may have done this on purpose",
            now["name"],
            "If it is to run, set unmask: true. Masked by: %s" % (" ".join(now["masks"]) or "its unit file"),
        )
    if now["load_state"] not in ("loaded", "masked"):
        raise Refused(
            "its definition cannot be loaded (%s): %s" % (now["load_state"], now["load_error"]),
            now["name"],
            "Look at: systemd-analyze verify %s" % now["name"],
        )
    if verb == "reload" and not is_up(now):
        raise Refused("it is %s, so there is nothing to reload" % describe(now), now["name"], "Use state: started.")
    if verb == "reload" and not now["can_reload"]:
        raise Refused("it cannot take a new configuration without a restart", now["name"], "Use state: restarted.")


def _changes(now: dict[str, Any], steps: list[str], after: str, drain: list[str]) -> dict[str, dict[str, Any]]:
    state = {"active_state": now["active_state"]}
    known: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
        "drain": ("drain of %s", {"command": None}, {"command": drain}),
        "unmask": ("mask of %s", {"links": now["masks"]}, {"links": []}),
        "enable": ("enablement of %s", {"enabled": False}, {"enabled": True}),
        "resume": ("process of %s", {"suspended": True}, {"suspended": False}),
        "daemon_reload": ("definition of %s", {"need_reload": True}, {"need_reload": False}),
        "start": ("service %s", state, {"active_state": after}),
        "stop": ("service %s", state, {"active_state": after}),
        "restart": ("service %s", dict(state, pid=now["pid"]), {"active_state": after, "pid": "new"}),
        "reload": ("configuration of %s", {"reloaded": False}, {"reloaded": True}),
    }
    return {
        step: {"object": known[step][0] % now["name"], "before": known[step][1], "after": known[step][2]}
        for step in steps
        if step in known
    }


def _undo(now: dict[str, Any], steps: list[str], after: str, platform: str) -> dict[str, Any]:
    verb = steps[-1]
    if verb == "reload":
        return {"kind": "none", "reason": "the configuration that it had read before is not known"}
    if verb == "resume":
        return {"kind": "none", "reason": "a service is not stopped in the middle of its work again"}
    if verb == "restart" and is_up(now) and "unmask" not in steps:
        return {"kind": "none", "reason": "the process that was replaced is gone"}
    undo = {
        "kind": "service_state",
        "platform": platform,
        "name": now["name"],
        "state": "started" if verb == "stop" or is_up(now) else "stopped",
        "expect": {"active_state": after},
    }
    if "unmask" in steps:
        undo.update(kind="unit", mask=True, links=now["masks"])
    return undo


def _and_disabled(undo: dict[str, Any], name: str, steps: list[str]) -> dict[str, Any]:
    """The undo, with what disables the service again where one of steps enabled it."""
    if "enable" not in steps:
        return undo
    disable = {"kind": "enablement", "name": name, "state": {"enabled": False}, "expect": {"enabled": True}}
    return disable if undo is NO_UNDO else {"kind": "steps", "steps": [undo, disable]}


def so_far(
    plan: dict[str, Any], begun: list[str], after: dict[str, Any] | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(changes, undo) of an act that did not go as planned."""
    verb, undo = plan["steps"][-1], plan["act"]
    changes = [dict(plan["changes"][step]) for step in begun if step in plan["changes"]]
    if after and verb in begun and verb != "reload":
        changes[-1]["after"] = {key: after.get(key, value) for key, value in changes[-1]["after"].items()}
    if not changes:
        return changes, NO_UNDO
    if verb not in begun and "unmask" not in begun:
        undo = NO_UNDO if "enable" in begun else {"kind": "none", "reason": "the service itself was not touched"}
    elif after and "expect" in undo:
        undo = dict(undo, expect={"active_state": after["active_state"]})
    return changes, _and_disabled(undo, plan["name"], begun)


def result(
    changes: list[dict[str, Any]],
    undo: dict[str, Any],
    message: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> dict[str, Any]:
    """{changed, changes, undo, message, service: {before, after}, journal}: the keys of every answer."""
    shown = {
        "before": before and {key: before[key] for key in _SHOWN},
        "after": after and {key: after[key] for key in _SHOWN},
    }
    return {
        "changed": bool(changes),
        "changes": changes,
        "undo": undo,
        "message": message,
        "service": shown,
        "journal": [],
    }
