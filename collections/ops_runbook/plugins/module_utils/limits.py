# SPDX-License-Identifier: BSD-2-Clause
"""Resource limits of login sessions and of services, proven and undoable."""

from __future__ import annotations

from .errors import BadInput, OpsError, Refused
from .host import LocalHost
from .managed_file import demand_root
from .statuses import counted
from .unit_change import NOTHING, Change, demand_name, longest, tell_put_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

    from .host import Host
    from .limits_pam import PamPart
    from .limits_unit import UnitPart

    Part = Union[PamPart, UnitPart]

_PROBLEMS = ("refused_by_kernel", "overridden")


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Set a profile's limits, or remove them.

    Returns:
        changed, changes, undo, message, limits ([{object, item, type, before, wanted, after, status, note}]),
        restart_needed, restarted (names of units): the same keys on every path.
    """
    return run_on(LocalHost(), params, check)


def run_on(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """As run, where systemctl is run on any host."""
    try:
        return _run(host, params, check)
    except OpsError as error:
        nothing = _answer([], [])
        error.result = dict({key: error.result.get(key, value) for key, value in nothing.items()}, message=str(error))
        raise


def late(params: dict[str, Any]) -> list[str]:
    """The module_utils that a call imports late."""
    absent, units = params["state"] == "absent", bool(params["units"])
    names = ["limits_pam"] if absent or params["pam"] else []
    if absent or units:
        names += ["limits_unit", "service", "platforms.systemd", *(["budget"] if params["budget"] else [])]
        names += ["collectors.deleted_open"] if params["protect"] else []
    return names + (["lease"] if params["lease"] else [])


def seconds(params: dict[str, Any]) -> float:
    """How long a call takes at most."""
    return longest(params, max(1, len(params["units"])) if params["restart"] else 0)


def _run(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    demand_name(params["name"], "name")
    demand_root()
    parts = _parts(host, params)
    rows = [row for part in parts for row in part.rows]
    _refuse(rows)
    stale = [unit for part in parts for unit in part.stale]
    units = [unit for part in parts for unit in part.units]
    files = [plan for part in parts for plan in part.files]
    change = Change(host, params, files, units, stale if params["restart"] else [])
    answer = _answer([_told(row) for row in rows if row["status"] == "applied"] + change.changes, rows)
    answer["undo"] = change.undo
    answer["restarted" if params["restart"] else "restart_needed"] = [unit.name for unit in stale]
    answer["message"] = _message(params, answer)
    if not check and answer["changed"]:
        _make(change, parts, rows)
    return answer


def _parts(host: Host, params: dict[str, Any]) -> list[Part]:
    absent = params["state"] == "absent"
    if not (absent or params["pam"] or params["units"]):
        raise BadInput("it names no limit", "pam, units", "Give limits of sessions (pam), of services (units) or both.")
    parts: list[Part] = []
    if absent or params["pam"]:
        from .limits_pam import PamPart

        parts.append(PamPart(params))
    if absent or params["units"]:
        from .limits_unit import UnitPart

        parts.append(UnitPart(host, params))
    return parts


def _refuse(rows: list[dict[str, Any]]) -> None:
    """Nothing is written where one limit could not be what is wanted."""
    problems = [row for row in rows if row["status"] in _PROBLEMS]
    if not problems:
        return
    first = problems[0]
    more = ", and %d more" % (len(problems) - 1) if len(problems) > 1 else ""
    what = "%s (%s) cannot be %s (%s): %s%s"
    hints = {
        "overridden": "Remove that line, or leave this limit out of the profile.",
        "refused_by_kernel": "Use a lower value, or raise what bounds it first.",
    }
    said = what % (first["item"], first["type"], first["wanted"], first["status"], first["note"], more)
    raise Refused(said, first["object"], hints[first["status"]], {"limits": rows})


def _make(change: Change, parts: list[Part], rows: list[dict[str, Any]]) -> None:
    def configured() -> None:
        for part in parts:
            part.configured()

    def proven() -> None:
        for part in parts:
            part.proven()

    try:
        change.make(configured, proven)
    except OpsError as error:
        if not error.result.get("undo", {}).get("steps"):
            tell_put_back(rows)
        error.result = dict(error.result, limits=rows)
        raise


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A limit as a change."""
    about = "limit %(item)s (%(type)s) of %(object)s" % row
    return {"object": about, "before": row["before"], "after": row["wanted"]}


def _answer(changes: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "changed": bool(changes),
        "changes": changes,
        "undo": NOTHING,
        "message": "",
        "limits": rows,
        "restart_needed": [],
        "restarted": [],
    }


def _message(params: dict[str, Any], answer: dict[str, Any]) -> str:
    said = [counted(row["status"] for row in answer["limits"]) or "none"]
    for key, text in (("restarted", "restarted: %s"), ("restart_needed", "to be restarted: %s")):
        if answer[key]:
            said.append(text % ", ".join(answer[key]))
    if params["state"] == "present" and params["pam"]:
        from .limits_pam import services_of

        missed = services_of(params["pam"], params["units"])
        if missed:
            said.append("limits of sessions do not reach services, give %s its own under units" % ", ".join(missed))
    return "limits of %s: %s" % (params["name"], "; ".join(said))
