# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of record_heads_info: compares the heads in the target's journal with the record."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.plugin_utils import outcome, record, record_chain, record_heads
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction

Json = dict[str, t.Any]


class ActionModule(LightAction):
    """Reads; neither the target nor the record is written."""

    NAME = "record_heads_info"
    ENTRY = "record_heads"

    def perform(self, params: Json, task_vars: Json, no_log: set[str]) -> Json:
        """Look, compare, and end with an outcome where the playbook asks for one."""
        answer = self.call(params, task_vars, no_log)
        if not params["conclude"]:
            return answer
        host = str(task_vars["inventory_hostname"])
        if answer.get("failed"):
            if (answer.get("error") or {}).get("kind") != "CannotLook":
                return answer
            return self._ended(answer, host, "escalated", f"cannot tell: {answer['msg']}", answer["error"]["hint"])
        chain = record_chain.look(record.folder())
        found = record_heads.compare(chain, host, answer["heads"], answer["oldest"])
        told = {"matched": found.matched, "untold": found.untold, "problems": found.problems, "notes": found.notes}
        answer = {**answer, **told}
        if chain.problem:
            return self._ended(answer, host, "escalated", str(chain.problem), chain.problem.hint)
        return self._ended(answer, host, "escalated" if found.problems else "healthy", found.message, found.next_step)

    def _ended(self, answer: Json, host: str, name: str, message: str, step: str) -> Json:
        """The outcome of this host; not recorded, because who looks at the record leaves it as it is."""
        facts: Json = {key: answer[key] for key in ("matched", "untold", "problems", "notes") if key in answer}
        facts |= {"target": host, "outcome": name, "message": message, "changes": [], "undo": [], "next_step": step}
        concluded = outcome.conclude_job(record.run_id(), facts)
        return {**answer, "message": message, "ops_runbook": concluded, "failed": name != "healthy", "msg": message}
