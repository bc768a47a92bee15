# SPDX-License-Identifier: BSD-2-Clause
"""Start, stop, restart or reload a service, and see that it is well afterwards.

In this order: look, plan, the validator, the budget, the lease, drain, act, ready, steady. Up to the lease nothing on
the target is touched. What would be done is computed by service_plan.py, the same for check mode and the real run.
"""

from __future__ import annotations

from contextlib import nullcontext

from .errors import BadInput, CannotLook, OpsError, Refused
from .host import LocalHost
from .platforms.watch import describe, hold_steady, is_down, is_up, wait_ready
from .service_plan import NO_UNDO, plan_service, result, so_far

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

    from .host import Host
    from .platforms.contract import Service

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
        nothing = result([], NO_UNDO, "", None, None)
        error.result = dict(nothing, **dict(error.result, message=str(error)))
        raise


def longest(params: dict[str, Any]) -> float:
    """Seconds that the act takes at most, from the lease to the end of the steady window."""
    ready = (params["ready"] or {}).get("timeout", params["timeout"])
    own = 180  # limits of what has its own: unmask, daemon-reload, looking
    return float(2 * params["timeout"] + ready + params["steady"] + own)


def _platform(host: Host, params: dict[str, Any]) -> Service:
    from .platforms.systemd import Systemd

    return {"systemd": Systemd}[params["platform"]](host, params["name"])


def _verify(params: dict[str, Any]) -> None:
    ready, budget = params["ready"] or {"timeout": 1}, params["budget"] or {"count": 0, "window": 1}
    for name, value, least in (
        ("timeout", params["timeout"], 0.1),
        ("steady", params["steady"], 0),
        ("ready.timeout", ready["timeout"], 0.1),
        ("budget.count", budget["count"], 0),
        ("budget.window", budget["window"], 1),
    ):
        if not least <= value < float("inf"):
            raise BadInput("%s is not %g or more" % (value, least), name)
    if ready.get("port") is not None and not 1 <= ready["port"] <= 65535:
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
        raise OpsError(
            "there is no such service here",
            before["name"],
            "Did you mean %s?" % ", ".join(near) if near else "See what there is: systemctl list-unit-files",
        )
    try:
        plan = plan_service(_foreseen(before) if check and params.get("redefined") else before, params)
        if plan["steps"] and plan["steps"][-1] != "stop" and params["validate"]:
            why = _command(host, params["validate"], params["timeout"], "the validator")
            if why:
                hint = "Correct the configuration, or the option validate. Nothing was touched."
                raise Refused(why, before["name"], hint)
        _afford(before["name"], plan["steps"], params["budget"], write=False)
        if {"stop", "restart"} & set(plan["steps"]) and is_up(before):
            _demand_files(host, before["name"], params["protect"])
    except OpsError as error:
        error.result = dict(result([], NO_UNDO, "", before, before), **error.result)
        raise
    if not plan["steps"]:
        return result([], plan["undo"], plan["message"], before, before)
    if check:
        unknown = dict(before, active_state=plan["after"])
        unknown.update(dict.fromkeys(("sub_state", "pid", "started_at", "restarts", "result", "exit")))
        return result(list(plan["changes"].values()), plan["undo"], plan["message"], before, unknown)
    return _act(host, service, params, plan, before)


def _foreseen(before: dict[str, Any]) -> dict[str, Any]:
    """The state as it would be once an act before this one, which was only predicted, had mended the definition."""
    return dict(before, load_state="loaded", need_reload=False)


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


def _demand_files(host: Host, name: str, folders: list[str]) -> None:
    """A file that was deleted while the service has it open lives only as long as its process.

    Raises:
        Refused: There is one below folders, or nobody can tell.
    """
    if not folders:
        return
    from .collectors.deleted_open import collect

    for folder in folders:
        found = collect(host, {"unit": [name], "under": folder, "timeout": 10.0})
        if "under_count" in found["missing"]:
            raise Refused("nobody can tell whether a file that it has open was deleted", name, "Run with become: true.")
        for lost in found["data"]["under"][:1]:
            what = "%s was deleted while it has it open, and a restart would lose it" % lost["path"]
            raise Refused(
                what, name, "Copy it first: ls -l /proc/%d/fd, then cp /proc/%d/fd/N" % (lost["pid"], lost["pid"])
            )


def _fence(params: dict[str, Any]) -> AbstractContextManager[None]:
    if not params["lease"]:
        return nullcontext()  # and lease.py has not travelled
    from .lease import fence

    return fence(params["lease"], params["run_id"], longest(params))


def _act(
    host: Host, service: Service, params: dict[str, Any], plan: dict[str, Any], before: dict[str, Any]
) -> dict[str, Any]:
    since = host.now()
    begun: list[str] = []
    try:
        with _fence(params):
            _perform(host, service, params, plan["steps"], begun)
            after = _proven(host, service, params, plan["steps"][-1], before)
    except OpsError as error:
        failure = _failure(service, plan, begun, before, since)
        if begun and not error.hint:
            error.hint = service.advice(failure["service"]["after"] or before, failure["journal"])
        error.result = dict(failure, **error.result)
        raise
    if plan["steps"][-1] == "stop" and after["result"] == "timeout":
        message = plan["message"] + "; it did not end by itself within its TimeoutStopSec and was killed"
        return result(*so_far(plan, begun, after), message, before, after)
    return result(list(plan["changes"].values()), plan["undo"], plan["message"], before, after)


def _perform(host: Host, service: Service, params: dict[str, Any], steps: list[str], begun: list[str]) -> None:
    """Take the steps; begun names those that may have changed something."""
    for step in steps:
        if step == steps[-1]:
            _afford(service.name, steps, params["budget"], write=True)
        begun.append(step)
        try:
            _take(host, service, params, step)
        except Refused:
            begun.pop()
            raise


def _take(host: Host, service: Service, params: dict[str, Any], step: str) -> None:
    if step == "drain":
        why = _command(host, params["drain"], params["timeout"], "the drain command")
        if why:
            raise OpsError(why, service.name, "It was left running: see whether it still takes clients.")
    elif step in ("start", "stop", "restart", "reload", "resume"):
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
    if verb == "resume" and first["suspended"]:
        raise OpsError("it was resumed, but its process is stopped again", before["name"], "See who stops it.")
    if verb == "restart" and first["pid"] and first["pid"] == before["pid"]:
        raise OpsError("it was restarted, but its process is still %d" % first["pid"], before["name"])
    return hold_steady(service, host, params["ready"], params["steady"], first)


def _failure(
    service: Service, plan: dict[str, Any], begun: list[str], before: dict[str, Any], since: float
) -> dict[str, Any]:
    """The result of an act that failed: what it had begun, how the service is now, and what was logged since."""
    after, journal = None, []
    try:
        after = service.state()
        journal = service.logs(since, _JOURNAL)
    except CannotLook as error:
        journal = ["(%s)" % error]
    changes, undo = so_far(plan, begun, after)
    return dict(result(changes, undo, "", before, after), journal=journal if begun else [])
