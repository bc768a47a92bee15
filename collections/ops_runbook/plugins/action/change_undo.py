# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of change_undo: finds in the record what takes a run back on this host."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.ops.runbook.plugins.module_utils import undo
from ansible_collections.ops.runbook.plugins.plugin_utils import record, undo_plan
from ansible_collections.ops.runbook.plugins.plugin_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction

Json = dict[str, t.Any]


class ActionModule(LightAction):
    """Goes to the target only where there is something to put back."""

    NAME = "change_undo"
    ENTRY = "undo"

    def extra(self, params: Json) -> list[str]:
        """The kinds of steps that there are, and the lease."""
        return undo_plan.modules(params["steps"], bool(params["lease"] or params["leases"]))

    def deadline(self, params: Json) -> int:
        """As long as the steps may take."""
        return int(min(86400, undo.longest(params["steps"]))) + 60

    def perform(self, params: Json, task_vars: Json, no_log: set[str]) -> Json:
        """Read, judge, replay, and name the run of ours that stands in the way."""
        if params["steps"] or params["leases"]:
            raise BadInput("it comes from the record", "steps, leases", "Give run, the id of the run to undo.")
        where, host = record.folder(), str(task_vars["inventory_hostname"])
        try:
            plan = undo_plan.plan(where, params["run"], host, params["approved"])
            if not plan.steps:
                _demand_all_there(where, params["run"], host, task_vars)
        except OpsError as error:
            error.result = {**undo.answer([], []), "message": str(error)}
            raise
        if all(step["kind"] == "none" for step in plan.steps):
            answer = undo.answer([], plan.steps)
            return answer if plan.steps else {**answer, "message": plan.message}
        answer = self.call({**params, "steps": plan.steps, "leases": plan.leases}, task_vars, no_log)
        problem = answer.get("error") or {}
        by = undo_plan.later(where, params["run"], host, problem["where"]) if problem.get("kind") == "Refused" else None
        if by:
            hint = f"Run {by} changed it later. Undo that one first: runbook undo {by}"
            said = f"{problem['where']}: {problem['what']}. {hint}"
            answer.update(error={**problem, "hint": hint}, msg=said, message=said)
        return answer

    def concluded(self, answer: Json, params: Json, task_vars: Json) -> Json:
        """The outcome of this host, where the playbook asks for it."""
        name = _outcome(answer, bool(self._task.check_mode))
        if not params["conclude"] or name is None:
            return answer
        again = {"hint": "the same undo again puts back what is not put back"}
        step = (answer.get("error") or again)["hint"] if answer.get("failed") else ""
        return self.conclude_act(answer, task_vars, name, step)


def _demand_all_there(where: Path, run: str, host: str, task_vars: Json) -> None:
    """Refuse on a host that the run does not know, where one that it changed is not there: this may be that one."""
    lost = undo_plan.elsewhere(where, run, host, task_vars["groups"]["all"])
    if lost:
        what = f"run {run} changed {', '.join(lost[:5])}, which the inventory does not have"
        line = f"{lost[0]} ansible_host=ADDRESS"
        raise Refused(
            what, f"run {run}", f"A host that was renamed needs the name that the record has: a line '{line}'"
        )


def _outcome(answer: Json, check: bool) -> str | None:
    """None for what the callback has to judge: wrong input, no access, a bug."""
    if answer.get("failed"):
        kind = (answer.get("error") or {}).get("kind", "")
        if not kind and str(answer.get("msg", "")).startswith(undo_plan.SILENT):
            return "failed"  # it was killed, or its host went down: no bug of ours
        return {"Refused": "refused", "OpsError": "failed", "CannotLook": "failed"}.get(kind)
    if not answer["changed"]:
        return "healthy"
    return "predicted" if check else "done"
