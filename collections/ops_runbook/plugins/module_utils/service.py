# SPDX-License-Identifier: BSD-2-Clause
"""Start, stop, restart or reload a service, and see that it is well afterwards.

In this order: look, plan, the validator, the budget, the lease, drain, act, ready, steady. Up to the lease nothing on
the target is touched. What would be done is computed by `plan_service`, the same for check mode and the real run.
"""

from __future__ import annotations

from .errors import BadInput, CannotLook, OpsError, Refused
from .host import LocalHost
from .platforms.watch import describe, hold_steady, is_down, is_up, wait_ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

    from .host import Host
    from .platforms.contract import Service

_SHOWN = ("load_state", "unit_file_state", "active_state", "sub_state", "pid", "started_at", "restarts", "result",
          "exit")
_NO_UNDO = {"kind": "none", "reason": "nothing was changed"}
_JOURNAL = 40  # lines


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """{changed, changes, undo, message, service: {before, after}, journal}, the same keys on every path."""
    return run_on(LocalHost(), params, check)


def run_on(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """As run, on any host."""
    try:
        _verify(params)
        return _run(host, params, check)
    except OpsError as error:
        nothing = _result([], _NO_UNDO, "", None, None)
        error.result = dict(nothing, **dict(error.result, message=str(error)))
        raise


def longest(params: dict[str, Any]) -> float:
    """Seconds that the act takes at most, from the lease to the end of the steady window."""
    ready = (params["ready"] or {}).get("timeout", params["timeout"])
    own = 180  # limits of what has its own: unmask, daemon-reload, looking
    return float(2 * params["timeout"] + ready + params["steady"] + own)


def plan_service(now: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """What to do with a service in the state now.

    Returns:
        steps (names, in order), changes (step -> {object, before, after}), undo, message, after (active_state to be).

    Raises:
        Refused: It may not, or cannot sensibly, be done.
    """
    verb = _verb(now, params["state"])
    if not verb:
        message = "%s is %s, nothing to do" % (now["name"], describe(now))
        return {"steps": [], "changes": {}, "undo": _NO_UNDO, "message": message, "after": now["active_state"]}
    _refuse(now, verb, params["unmask"])
    steps = ["drain"] if params["drain"] and is_up(now) and verb in ("stop", "restart") else []
    if verb in ("start", "restart") and now["load_state"] == "masked":
        steps.append("unmask")
    if verb != "stop" and now["need_reload"]:
        steps.append("daemon_reload")
    if verb in ("start", "restart") and params["reset_failed"] and now["active_state"] == "failed":
        steps.append("reset_failed")
    steps.append(verb)
    after = "inactive" if verb == "stop" or now["runs_once"] else "active"
    message = "%s, %s: %s" % (now["name"], describe(now), ", ".join(steps).replace("_", " "))
    changes, undo = _changes(now, steps, after, params["drain"]), _undo(now, steps, params["platform"])
    return {"steps": steps, "changes": changes, "undo": undo, "message": message, "after": after}


def _verb(now: dict[str, Any], state: str) -> str:
    if state == "started":
        return "" if is_up(now) else "start"
    if state == "stopped":
        return "" if is_down(now) else "stop"
    return "restart" if state == "restarted" else "reload"


def _refuse(now: dict[str, Any], verb: str, unmask: bool) -> None:
    if verb == "stop":
        return
    if now["load_state"] == "masked" and (verb == "reload" or not unmask):
        raise Refused("it is masked, and a person may have done this on purpose", now["name"],
                      "If it is to run, set unmask: true. Masked by: %s" % (" ".join(now["masks"]) or "its unit file"))
    if now["load_state"] not in ("loaded", "masked"):
        raise Refused("its definition cannot be loaded (%s): %s" % (now["load_state"], now["load_error"]), now["name"],
                      "Look at: systemd-analyze verify %s" % now["name"])
    if verb == "reload" and not is_up(now):
        raise Refused("it is %s, so there is nothing to reload" % describe(now), now["name"], "Use state: started.")
    if verb == "reload" and not now["can_reload"]:
        raise Refused("it cannot take a new configuration without a restart", now["name"], "Use state: restarted.")


def _changes(now: dict[str, Any], steps: list[str], after: str, drain: list[str]) -> dict[str, dict[str, Any]]:
    state = {"active_state": now["active_state"]}
    known: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
        "drain": ("drain of %s", {"command": None}, {"command": drain}),
        "unmask": ("mask of %s", {"links": now["masks"]}, {"links": []}),
        "daemon_reload": ("definition of %s", {"need_reload": True}, {"need_reload": False}),
        "start": ("service %s", state, {"active_state": after}),
        "stop": ("service %s", state, {"active_state": after}),
        "restart": ("service %s", dict(state, pid=now["pid"]), {"active_state": after, "pid": "new"}),
        "reload": ("configuration of %s", {"reloaded": False}, {"reloaded": True}),
    }
    return {step: {"object": known[step][0] % now["name"], "before": known[step][1], "after": known[step][2]}
            for step in steps if step in known}


def _undo(now: dict[str, Any], steps: list[str], platform: str) -> dict[str, Any]:
    verb = steps[-1]
    if verb == "reload":
        return {"kind": "none", "reason": "the configuration that it had read before is not known"}
    if verb == "restart" and is_up(now):
        return {"kind": "none", "reason": "the process that was replaced is gone"}
    undo = {"kind": "service_state", "platform": platform, "name": now["name"],
            "state": "started" if verb == "stop" else "stopped",
            "expect": {"active_state": "inactive" if verb == "stop" else "active"}}
    if "unmask" in steps:
        undo.update(kind="unit", mask=True, links=now["masks"])
    return undo


def _platform(host: Host, params: dict[str, Any]) -> Service:
    from .platforms.systemd import Systemd

    return {"systemd": Systemd}[params["platform"]](host, params["name"])


def _verify(params: dict[str, Any]) -> None:
    ready, budget = params["ready"] or {"timeout": 1}, params["budget"] or {"count": 0, "window": 1}
    for name, value, least in (("timeout", params["timeout"], 0.1), ("steady", params["steady"], 0),
                               ("ready.timeout", ready["timeout"], 0.1), ("budget.count", budget["count"], 0),
                               ("budget.window", budget["window"], 1)):
        if not least <= value < float("inf"):
            raise BadInput("%s is not %g or more" % (value, least), name)
    if not 1 <= (ready.get("port") or 1) <= 65535:
        raise BadInput("%s is no TCP port" % ready["port"], "ready.port")
    commands = {"validate": params["validate"], "drain": params["drain"], "ready.command": ready.get("command")}
    for name, argv in commands.items():
        if argv is not None and not (argv and argv[0]):
            raise BadInput("it names no command", name, "Give the command and its arguments as a list.")
    if params["lease"] and not params["run_id"]:
        raise BadInput("a lease belongs to a run, and there is no run id", "run_id", "Set it or OPS_RUNBOOK_RUN_ID.")


def _run(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    service = _platform(host, params)
    before = service.state()
    if before["load_state"] == "not-found" and is_down(before):
        near = service.candidates()
        raise OpsError("there is no such service here", before["name"],
                       "Did you mean %s?" % ", ".join(near) if near else "See what there is: systemctl list-unit-files")
    try:
        plan = plan_service(before, params)
        if plan["steps"] and plan["steps"][-1] != "stop" and params["validate"]:
            why = _command(host, params["validate"], params["timeout"], "the validator")
            if why:
                hint = "Correct the configuration, or the option validate. Nothing was touched."
                raise Refused(why, before["name"], hint)
        _afford(before["name"], plan["steps"], params["budget"], write=False)
    except OpsError as error:
        error.result = dict(_result([], _NO_UNDO, "", before, before), **error.result)
        raise
    if not plan["steps"]:
        return _result([], plan["undo"], plan["message"], before, before)
    if check:
        unknown = dict(before, active_state=plan["after"], sub_state=None, pid=None, started_at=None, restarts=None)
        return _result(list(plan["changes"].values()), plan["undo"], plan["message"], before, unknown)
    return _act(host, service, params, plan, before)


def _command(host: Host, argv: list[str], timeout: float, what: str) -> str:
    """Run a hook that the caller gave; why it is no success, or empty."""
    try:
        done = host.run(argv, timeout)
    except CannotLook as problem:
        return "%s could not be run: %s" % (what, problem.what)
    said = (done.stderr.strip() or done.stdout.strip())[-1000:] or "no message"
    return "%s exited with %d: %s" % (what, done.rc, said) if done.rc else ""


def _afford(name: str, steps: list[str], budget: dict[str, Any] | None, write: bool) -> None:
    if budget and steps and steps[-1] in ("start", "restart"):
        from .budget import check_budget, spend

        (spend if write else check_budget)(name, budget["count"], budget["window"])


def _fence(params: dict[str, Any]) -> AbstractContextManager[None]:
    from .lease import fence

    return fence(params["lease"], params["run_id"], longest(params))


def _act(host: Host, service: Service, params: dict[str, Any], plan: dict[str, Any],
         before: dict[str, Any]) -> dict[str, Any]:
    since, verb = host.now(), plan["steps"][-1]
    begun: list[str] = []
    try:
        with _fence(params):
            for step in plan["steps"]:
                if step == verb:
                    _afford(before["name"], plan["steps"], params["budget"], write=True)
                begun.append(step)  # from here on it may have changed something
                _take(host, service, params, step)
            after = _proven(host, service, params, verb, before)
    except OpsError as error:
        failure = _failure(service, plan, begun, before, since)
        if begun and not error.hint:
            error.hint = service.advice(failure["service"]["after"] or before, failure["journal"])
        error.result = dict(failure, **error.result)
        raise
    message = plan["message"]
    if verb == "stop" and after["result"] == "timeout":
        message += "; it did not end by itself within its TimeoutStopSec and was killed"
    return _result(list(plan["changes"].values()), plan["undo"], message, before, after)


def _take(host: Host, service: Service, params: dict[str, Any], step: str) -> None:
    if step == "drain":
        why = _command(host, params["drain"], params["timeout"], "the drain command")
        if why:
            raise OpsError(why, params["name"], "It was left running: see whether it still takes clients.")
    elif step in ("start", "stop", "restart", "reload"):
        getattr(service, step)(params["timeout"])
    else:
        getattr(service, step)()


def _proven(host: Host, service: Service, params: dict[str, Any], verb: str, before: dict[str, Any]) -> dict[str, Any]:
    """The state at the end of the steady window."""
    if verb == "stop":
        first = service.state()
        if not is_down(first):
            raise OpsError("it was stopped, but is %s" % describe(first), before["name"])
        return hold_steady(service, host, None, params["steady"], first)
    first = wait_ready(service, host, params["ready"] or {"timeout": params["timeout"]})
    if verb == "restart" and first["pid"] and first["pid"] == before["pid"]:
        raise OpsError("it was restarted, but its process is still %d" % first["pid"], before["name"])
    return hold_steady(service, host, params["ready"], params["steady"], first)


def _failure(service: Service, plan: dict[str, Any], begun: list[str], before: dict[str, Any],
             since: float) -> dict[str, Any]:
    """The result of an act that failed: what it had begun, how the service is now, and what was logged since."""
    after, journal, verb = None, [], plan["steps"][-1]
    try:
        after = service.state()
        journal = service.logs(since, _JOURNAL)
    except CannotLook as error:
        journal = ["(%s)" % error]
    changes = [dict(plan["changes"][step]) for step in begun if step in plan["changes"]]
    if after and verb in begun and verb != "reload":
        changes[-1]["after"] = {key: after[key] for key in changes[-1]["after"]}
    result = _result(changes, plan["undo"] if changes else _NO_UNDO, "", before, after)
    return dict(result, journal=journal if begun else [])


def _result(changes: list[dict[str, Any]], undo: dict[str, Any], message: str, before: dict[str, Any] | None,
            after: dict[str, Any] | None) -> dict[str, Any]:
    shown = {"before": before and {key: before[key] for key in _SHOWN},
             "after": after and {key: after[key] for key in _SHOWN}}
    return {"changed": bool(changes), "changes": changes, "undo": undo, "message": message, "service": shown,
            "journal": []}
