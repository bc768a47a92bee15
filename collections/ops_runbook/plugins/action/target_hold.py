# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of target_hold: says who sets it, and what came of it."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
import typing as t

from ansible_collections.ops.runbook.plugins.plugin_utils import record, wording
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction

Json = dict[str, t.Any]


class ActionModule(LightAction):
    """A hold is recorded like an act, and asks for no lease: it is a person's word."""

    NAME = "target_hold"
    ENTRY = "target_hold"
    RECORDED = True

    def perform(self, params: Json, task_vars: Json, no_log: set[str]) -> Json:
        """Fill in who says so; name the command that lifts a hold which stands in the way."""
        answer = self.call({**params, "by": params["by"] or person()}, task_vars, no_log)
        problem = answer.get("error") or {}
        lift = wording.lift_words(record.run_id(), str(task_vars["inventory_hostname"]))
        if problem.get("kind") == "Refused" and answer.get("hold") and lift:
            hint = f"It holds as it is. To set another one, lift it first: {shlex.join(lift)}"
            said = f"{problem['what']}. {hint}"
            answer.update(error={**problem, "hint": hint}, msg=said, message=said)
        return answer

    def concluded(self, answer: Json, params: Json, task_vars: Json) -> Json:
        """The outcome of this host, where the playbook asks for it."""
        name = _outcome(answer, params, bool(self._task.check_mode))
        if not params["conclude"] or name is None:
            return answer
        hint = (answer.get("error") or {}).get("hint", "")
        return self.conclude_act(answer, task_vars, name, hint, hold=answer["hold"])


def person() -> str:
    """Who runs this: the login before sudo, and the controller's name."""
    return f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{socket.gethostname()}"


def _outcome(answer: Json, params: Json, check: bool) -> str | None:
    """None for what the callback has to judge: wrong input, no access, a bug."""
    if answer.get("failed"):
        kind = (answer.get("error") or {}).get("kind", "")
        return {"Refused": "refused", "OpsError": "failed"}.get(kind)
    if not answer["changed"]:
        return "done" if params["state"] == "read" else "healthy"
    return "predicted" if check else "done"
