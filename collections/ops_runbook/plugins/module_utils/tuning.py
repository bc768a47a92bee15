# SPDX-License-Identifier: BSD-2-Clause
"""A whole tuning profile in one call: kernel parameters, limits, files and environments, all of it or nothing.

Every part is first asked what it would do; what it refuses is heard before anything is written. Where a part fails
nevertheless, the parts before it are put back by their own undo steps.
"""

from __future__ import annotations

from .errors import BadInput, OpsError
from .statuses import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any, Callable, List, Tuple

    Call = Tuple[str, Callable[[dict[str, Any], bool], dict[str, Any]], dict[str, Any]]
    Calls = List[Call]

_NOTHING = {"kind": "none", "reason": "nothing was changed"}
_ENVIRONMENT = "environment of "


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """{changed, changes, undo, message, parts, keys, verdict}: the same keys on every path.

    Returns:
        parts: `sysctl`, `limits`, `files` and `environment of UNIT` -> what that module alone answers.
        keys: every single value by name -> {before, wanted, after, status, note}. verdict: already, kept or predicted.
    """
    left: dict[str, dict[str, Any]] = {}
    try:
        return _run(params, check, left)
    except OpsError as error:
        error.result = dict(_answer(left, "failed"), **({} if left else error.result), message=str(error))
        raise


def late(params: dict[str, Any]) -> list[str]:
    """The module_utils that a call imports late, those for taking a part back included."""
    names, options = (
        ["holds", "lease" if params["lease"] else "locks", "managed_file", "undo", "undo_steps.file"],
        _options(params),
    )
    if "sysctl" in options:
        from . import sysctl

        names += ["sysctl", "undo_steps.sysctl", *sysctl.late(options["sysctl"])]
    if "limits" in options:
        from . import limits

        names += ["limits", *limits.late(options["limits"])]
    for name, one in options.items():
        if name.startswith(_ENVIRONMENT):
            from . import environment

            names += ["environment", *environment.late(one)]
    units = params["environment"] or (params["limits"] or {}).get("units")
    return [*names, *(["undo_steps.definition"] if units else [])]


def _run(params: dict[str, Any], check: bool, left: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """As run; left gets what the parts say that failed, or that could not be put back."""
    _verify(params)
    from .holds import demand_none

    demand_none()
    calls = _calls(params)
    planned = {name: _take(name, part, options, True, left) for name, part, options in calls}
    if not any(answer["changed"] for answer in planned.values()):
        return _answer(planned, "already")
    if check:
        return _answer(planned, "predicted")
    done: dict[str, dict[str, Any]] = {}
    with _alone(params):
        for name, part, options in calls:
            try:
                done[name] = _take(name, part, options, False, left)
            except OpsError as error:
                left.update(_put_back(done, error, params["run_id"]))
                raise
    return _answer(done, "kept")


def _take(
    name: str, part: Any, options: dict[str, Any], check: bool, left: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    try:
        return dict(part(options, check))
    except OpsError as error:
        if "changes" in error.result:
            left[name] = error.result
        raise


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
    units = {*params["environment"], *((params["limits"] or {}).get("units") or {})} if params["restart"] else ()
    return 120 + 2 * len(units) * (3 * float(params["restart_timeout"]) + float(params["steady"]) + 60)


def _options(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What each part is called with, in the order of applying: fs.nr_open before nofile, what restarts last."""
    common = {"name": params["profile"], "state": "present", "lease": "", "run_id": params["run_id"]}
    restart = {key: params[key] for key in ("restart", "restart_timeout", "steady", "budget")}
    restart["protect"] = []
    keys = [name for name in params["allow_lowering"] if "." in name or "/" in name]
    parts: dict[str, dict[str, Any]] = {}
    if params["sysctl"]:
        parts["sysctl"] = dict(common, settings=params["sysctl"], optional=params["optional"], allow_lowering=keys)
    if params["files"]:
        parts["files"] = {"files": params["files"], "run_id": params["run_id"]}
    limits = params["limits"] or {}
    if limits.get("pam") or limits.get("units"):
        items = [name for name in params["allow_lowering"] if name not in keys]
        given = {"pam": limits.get("pam") or [], "units": limits.get("units") or {}, "allow_lowering": items}
        parts["limits"] = dict(common, **restart, **given)
    for unit, variables in params["environment"].items():
        only = {"service": unit, "variables": variables, "secrets": {}, "until": "", "program": ""}
        parts[_ENVIRONMENT + unit] = dict(common, **restart, **only)
    return parts


def _calls(params: dict[str, Any]) -> Calls:
    """(name, entry, options) of each part."""
    return [(name, _entry(name), options) for name, options in _options(params).items()]


def _entry(name: str) -> Callable[[dict[str, Any], bool], dict[str, Any]]:
    """Where a part begins; only those that are needed are imported."""
    if name == "sysctl":
        from . import sysctl

        return sysctl.run
    if name == "limits":
        from . import limits

        return limits.run
    if name == "files":
        return _files
    from . import environment

    return environment.run


def _verify(params: dict[str, Any]) -> None:
    """The shape of what the parts themselves do not see."""
    for unit, variables in params["environment"].items():
        if not isinstance(variables, dict):
            raise BadInput("is not a mapping of variables", "environment, %s" % unit, "Write {NAME: value}.")


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
        error.result = _put_back({"files": _files_answer(done)}, error, params["run_id"]).get("files", {})
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


def _put_back(done: dict[str, dict[str, Any]], error: OpsError, run_id: str | None) -> dict[str, dict[str, Any]]:
    """Undo what was applied before error, which says so; returns what could not be put back."""
    steps = _steps(done)
    if not steps:
        return {}
    from .undo import replay

    try:
        replay(steps, run_id, False)
    except OpsError as problem:
        error.hint = "%s What was applied before it could not be put back (%s): runbook undo %s" % (
            error.hint,
            problem,
            run_id,
        )
        return done
    error.hint = ("%s Everything that this call had changed was put back." % error.hint).strip()
    return {}


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
        "undo": {"kind": "steps", "steps": steps} if steps else _no_undo(parts),
        "message": _message(keys, verdict),
        "parts": {name: _own(answer) for name, answer in parts.items()},
        "keys": keys,
        "verdict": verdict,
    }


def _no_undo(parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Why there is nothing to take back, as the first part that changed something says."""
    said = [answer["undo"] for answer in parts.values() if answer.get("changes")]
    return dict(said[0]) if said else _NOTHING


def _own(answer: dict[str, Any]) -> dict[str, Any]:
    """What a part says besides what is told for all parts together."""
    return {key: value for key, value in answer.items() if key not in _TOGETHER}


def _keys(parts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every value of every part by a name that is unique on this host."""
    found: dict[str, dict[str, Any]] = {}
    for name, answer in parts.items():
        if name == "limits":
            for one in answer.get("limits", []):
                found["%(object)s %(item)s %(type)s" % one] = {key: one[key] for key in _VALUE}
        elif name.startswith(_ENVIRONMENT):
            for variable, one in answer.get("environment", {}).items():
                found["%s %s" % (name[len(_ENVIRONMENT) :], variable)] = one
        else:
            found.update(answer.get("keys", {}))
    return found


_TOGETHER = ("changed", "changes", "undo", "message", "keys", "limits", "environment", "verdict", "parts")
_VALUE = ("before", "wanted", "after", "status", "note")


def _message(keys: dict[str, dict[str, Any]], verdict: str) -> str:
    said = counted(one["status"] for one in keys.values())
    return "%d values: %s" % (len(keys), said) if verdict != "failed" else ""
