# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of remedy_guard: the target says what is in force and what was done there, the controller decides."""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime
from pathlib import Path

from ansible import context
from ansible_collections.ops.runbook.plugins.module_utils.holds import read_hold
from ansible_collections.ops.runbook.plugins.plugin_utils import freeze, guard, members, record, recurrence, wording
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction

Json = dict[str, t.Any]
_AS_GIVEN = (
    "target",
    "approved",
    "risk_limit",
    "desired_state",
    "confirm",
    "most_hosts",
    "break_glass",
    "cooldown",
    "flapping",
)


class ActionModule(LightAction):
    """Decides whether a remedy may run."""

    NAME = "remedy_guard"
    ENTRY = "guard_facts"

    def prepare(self, params: Json, task_vars: Json) -> Json:
        """Refuse rules that make no sense; the target is only asked what is in force there."""
        recurrence.validate(params["flapping"], params["cooldown"])
        freeze.parse(params["freeze"])
        return {name: params[name] for name in ("target", "service", "cause")}

    def finish(self, answer: Json, params: Json, task_vars: Json) -> Json:
        """Collect the facts and decide."""
        cause, facts = params["cause"], self._facts(answer, params, task_vars)
        refusals = guard.refusals(cause, facts)
        return {
            "changed": False,
            "allowed": not refusals,
            "refusals": refusals,
            "passed": guard.let_through(cause, facts),
            "escalates": guard.escalates(refusals, facts),
            "remedy_file": facts["remedy_file"],
        }

    def _facts(self, answer: Json, params: Json, task_vars: Json) -> Json:
        """As guard.refusals wants them."""
        run, host = record.run_id(), str(task_vars["inventory_hostname"])
        seen = [params[f"group_{part}"] for part in ("members", "leases", "busy", "probes")]
        return {
            **{key: params[key] for key in _AS_GIVEN},
            **{key: answer[key] for key in ("hold", "memory", "memory_problem")},
            "run": run,
            "again": wording.commands(run)["again"],
            "lift": wording.lift_words(run, host),
            "limit": context.CLIARGS.get("subset"),
            "hosts": len(task_vars.get("ansible_play_batch") or [1]),
            "kill_switch": read_hold(str(Path(params["kill_switch"]).expanduser())),
            "now": datetime.now(UTC),
            "freeze": freeze.parse(params["freeze"]),
            "group": members.Group(params["group"], *seen),
            "remedy_file": guard.remedy_file(params["cause"]["remedy"], params["folders"]),
        }
