# SPDX-License-Identifier: BSD-2-Clause
"""A whole tuning profile in one call: kernel parameters, limits, files and environments, all of it or nothing.

Every part is first asked what it would do; what it refuses is heard before anything is written. Where a part fails
nevertheless, the parts before it are put back by their own undo steps.
"""

from __future__ import annotations

from .errors import BadInput, OpsError, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any, Callable, List, Tuple

    Call = Tuple[str, Callable[[dict[str, Any], bool], dict[str, Any]], dict[str, Any]]
    Calls = List[Call]

_NOTHING = {"kind": "none", "reason": "nothing was changed"}
_LIMITS = ("pam", "units")


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """{changed, changes, undo, message, parts, keys, verdict}: the same keys on every path.

    Returns:
        parts: `sysctl`, `limits`, `files` and `environment of UNIT` -> what that module answers. keys: every single
        value by name -> {before, wanted, after, status, note}. verdict: already, kept or predicted.
    """
    try:
        return _run(params, check)
    except OpsError as error:
        error.result = dict(_answer({}, "failed"), **dict(error.result, message=str(error)))
        raise


def parts_of(params: dict[str, Any]) -> list[str]:
    """The module_utils that these options need besides this one."""
    wanted = [name for name in ("sysctl", "limits", "environment") if params[name]]
    return [*wanted, *(["managed_file"] if params["files"] else [])]


def _run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    _demand_free()
    calls = _calls(params)
    planned = {name: part(options, True) for name, part, options in calls}
    if not any(answer["changed"] for answer in planned.values()):
        return _answer(planned, "already")
    if check:
        return _answer(planned, "predicted")
    done: dict[str, dict[str, Any]] = {}
    with _alone(params):
        for name, part, options in calls:
            try:
                done[name] = part(options, False)
            except OpsError as error:
                _put_back(done, error, params["run_id"])
                raise
    return _answer(done, "kept")


def _demand_free() -> None:
    """A person's hold on this target goes before any profile."""
    from . import holds

    hold = holds.read_hold(holds.PATH)
    if hold:
        said = hold["text"].strip() or "no reason given"
        raise Refused("a hold is in force on the target (%s)" % said, hint="When it is over: rm %s" % hold["path"])


def _alone(params: dict[str, Any]) -> AbstractContextManager[None]:
    """One profile at a time on this host: under the run's lease, else under a lock of our own."""
    if params["lease"]:
        from .lease import fence

        return fence(params["lease"], params["run_id"], longest(params))
    from .locks import mutex
    from .managed_file import ensure_folder

    return mutex(ensure_folder("tuning"), wait=30)


def longest(params: dict[str, Any]) -> float:
    """Seconds that applying takes at most: each restart with its steady window, and as long again to put back."""
    units = {*params["environment"], *(params["limits"].get("units") or {})} if params["restart"] else ()
    return 120 + 2 * len(units) * (3 * float(params["restart_timeout"]) + float(params["steady"]) + 60)


def _calls(params: dict[str, Any]) -> Calls:
    """The parts in the order in which they are applied: fs.nr_open before nofile, what restarts last."""
    common = {"name": params["profile"], "state": "present", "lease": "", "run_id": params["run_id"]}
    lowering = {"allow_lowering": params["allow_lowering"]}
    restart = {key: params[key] for key in ("restart", "restart_timeout", "steady", "budget")}
    calls: Calls = []
    if params["sysctl"]:
        from . import sysctl

        calls.append(
            ("sysctl", sysctl.run, dict(common, **lowering, settings=params["sysctl"], optional=params["optional"]))
        )
    if params["files"]:
        calls.append(("files", _files, {"files": params["files"], "run_id": params["run_id"]}))
    if params["limits"]:
        from . import limits

        _known("limits", params["limits"], _LIMITS)
        given = {"pam": params["limits"].get("pam") or [], "units": params["limits"].get("units") or {}}
        calls.append(("limits", limits.run, dict(common, **lowering, **restart, **given)))
    for unit, variables in params["environment"].items():
        from . import environment

        if not isinstance(variables, dict):
            raise BadInput("is not a mapping of variables", "environment, %s" % unit, "Write {NAME: value}.")
        given = {"service": unit, "variables": variables, "secrets": {}, "until": "", "program": ""}
        calls.append(("environment of %s" % unit, environment.run, dict(common, **restart, **given)))
    return calls


def _known(where: str, given: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise BadInput("unknown part %s" % ", ".join(unknown), where, "It has %s." % " and ".join(known))


def _files(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Files of the profile, each whole."""
    from .managed_file import FilePlan

    plans = []
    for file in params["files"]:
        text = str(file["content"])
        plan = FilePlan(file["path"], text.encode("utf-8"), file["mode"], file["owner"], file["group"])
        plans.append(plan.plan(params["run_id"]))
    twice = sorted({plan.path for plan in plans if sum(plan.path == other.path for other in plans) > 1})
    if twice:
        raise BadInput("is given twice", twice[0], "Keep one of them.")
    done: list[FilePlan] = []
    try:
        for plan in plans if not check else []:
            plan.put()
            done.append(plan)
    except OpsError as error:
        _put_back({"files": _files_answer(done)}, error, params["run_id"])
        raise
    return _files_answer(plans)


def _files_answer(plans: list[Any]) -> dict[str, Any]:
    changes = [change for plan in plans for change in plan.changes]
    steps = [step for plan in reversed(plans) for step in plan.steps]
    keys = {plan.path: _status_of(plan) for plan in plans}
    undo = {"kind": "steps", "steps": steps} if steps else _NOTHING
    message = "%d of %d files differ" % (len(changes), len(plans))
    return {"changed": bool(changes), "changes": changes, "undo": undo, "message": message, "keys": keys}


def _status_of(plan: Any) -> dict[str, Any]:
    """A file as one value: its SHA-256 stands for it."""
    before, after = (plan.changes[0]["before"], plan.changes[0]["after"]) if plan.changes else (None, None)
    status = "applied" if plan.differs else "already"
    return {"before": _sha(before), "wanted": _sha(after), "after": _sha(after), "status": status, "note": ""}


def _sha(shown: dict[str, Any] | None) -> str | None:
    return str(shown["sha256"])[:12] if shown else None


def _put_back(done: dict[str, dict[str, Any]], error: OpsError, run_id: str | None) -> None:
    """Undo what was applied before error; the error says so, and what could not be put back."""
    steps = _steps(done)
    if not steps:
        return
    from .undo import replay

    try:
        replay(steps, run_id, False)
    except OpsError as problem:
        left = _answer(done, "failed")
        error.result = dict(left, **{key: error.result[key] for key in ("keys",) if key in error.result})
        error.hint = "%s What was applied before it could not be put back (%s): runbook undo %s" % (
            error.hint,
            problem,
            run_id,
        )
        return
    error.hint = ("%s Everything that this call had changed was put back." % error.hint).strip()


def _steps(parts: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The undo steps of parts, the last applied first."""
    undos = [answer["undo"] for answer in reversed(list(parts.values()))]
    return [step for undo in undos for step in (undo.get("steps") or [undo]) if step["kind"] != "none"]


def _answer(parts: dict[str, dict[str, Any]], verdict: str) -> dict[str, Any]:
    changes = [change for answer in parts.values() for change in answer["changes"]]
    steps = _steps(parts)
    keys = _keys(parts)
    return {
        "changed": bool(changes),
        "changes": changes,
        "undo": {"kind": "steps", "steps": steps} if steps else _NOTHING,
        "message": _message(keys, verdict),
        "parts": parts,
        "keys": keys,
        "verdict": verdict,
    }


def _keys(parts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every value of every part by a name that is unique on this host."""
    found: dict[str, dict[str, Any]] = {}
    for name, answer in parts.items():
        if name == "limits":
            for one in answer["limits"]:
                found["%(object)s %(item)s %(type)s" % one] = {key: one[key] for key in _VALUE}
        elif name.startswith("environment of "):
            for variable, one in answer["environment"].items():
                found["%s %s" % (name[15:], variable)] = one
        else:
            found.update(answer["keys"])
    return found


_VALUE = ("before", "wanted", "after", "status", "note")


def _message(keys: dict[str, dict[str, Any]], verdict: str) -> str:
    counts: dict[str, int] = {}
    for one in keys.values():
        counts[one["status"]] = counts.get(one["status"], 0) + 1
    said = ", ".join("%d %s" % (count, status) for status, count in counts.items())
    return "%d values: %s" % (len(keys), said) if verdict != "failed" else ""
