# SPDX-License-Identifier: BSD-2-Clause
"""A log's rotation by logrotate: planned, tried, put in place, seen to run, and undoable."""

from __future__ import annotations

from .errors import OpsError
from .host import LocalHost
from .managed_file import demand_root
from .rotation_job import Job
from .rotation_look import FOLDER
from .rotation_policy import demand_name
from .rotation_told import NOTHING, answer_of
from .rotation_verify import demand_verified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host

_OWN = 180  # seconds for looking, trying and writing


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Put a policy in place, or remove it.

    Returns:
        changed, changes, undo, message, file, files ([{path, bytes}]), omitted ([{path, reason}]), findings ([{kind,
        where, what, hint, blocks}]), schedule (see rotation_schedule.look), trial ({rotated, writers} or None).
    """
    return run_on(LocalHost(), params, check)


def run_on(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """As run, where commands run on any host."""
    path = "%s/%s" % (FOLDER, params["name"])
    try:
        return _run(host, path, params, check)
    except OpsError as error:
        nothing = answer_of(path, [], NOTHING)
        error.result = dict({key: error.result.get(key, value) for key, value in nothing.items()}, message=str(error))
        raise


def late(params: dict[str, Any]) -> list[str]:
    """The module_utils that a call imports late."""
    names = ["rotation_schedule", "rotation_left", "holds", "undo", "undo_steps.file"]
    if params["schedule"]:
        names.append("undo_steps.enablement")
    if params["directory"]:
        names += ["ownership", "undo_steps.ownership"]
    if params["trial"]:
        names.append("rotation_trial")
    if params["reopen"] and params["reopen"]["unit"]:
        names += ["unit_look", "platforms.systemd"]
    return names + (["lease"] if params["lease"] else [])


def seconds(params: dict[str, Any]) -> float:
    """How long a call takes at most."""
    trial = 300 + float(params["trial_timeout"]) if params["trial"] else 0
    return _OWN + (600 if params["directory"] else 0) + trial


def _run(host: Host, path: str, params: dict[str, Any], check: bool) -> dict[str, Any]:
    demand_name(params["name"])
    demand_root()
    job = Job(host, path, params)
    answer = job.answer()
    demand_verified(job.findings)
    if check or not (answer["changed"] or params["trial"]):
        return answer
    with _alone(params):
        job.make(answer)
    return answer


def _alone(params: dict[str, Any]) -> Any:
    """No hold in force, and under the run's lease where it has one."""
    from contextlib import nullcontext

    from .holds import demand_none

    demand_none()
    if not params["lease"]:
        return nullcontext()
    from .lease import fence

    return fence(params["lease"], params["run_id"], seconds(params))
