# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of remedy_guard: the target says whether a hold is in force, the controller decides."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible import context
from ansible_collections.ops.runbook.plugins.module_utils.holds import read_hold
from ansible_collections.ops.runbook.plugins.plugin_utils import guard
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Decides whether a remedy may run."""

    NAME = "remedy_guard"
    ENTRY = "holds"

    def finish(
        self, answer: dict[str, t.Any], params: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """Collect the facts and decide."""
        file = guard.remedy_file(params["cause"]["remedy"], params["folders"])
        facts = {
            **{
                key: params[key]
                for key in ("target", "approved", "risk_limit", "desired_state", "confirm", "most_hosts")
            },
            "limit": context.CLIARGS.get("subset"),
            "hosts": len(task_vars.get("ansible_play_batch") or [1]),
            "kill_switch": read_hold(str(Path(params["kill_switch"]).expanduser())),
            "hold": answer["hold"],
            "remedy_file": file,
        }
        refusals = guard.refusals(params["cause"], facts)
        return {"changed": False, "allowed": not refusals, "refusals": refusals, "remedy_file": file}
