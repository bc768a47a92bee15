# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of pack_info; there is no other half."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.plugin_utils import checks, diagnosis, freeze, recurrence
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction

checks.load_collectors()


class ActionModule(LightAction):
    """Refuses what makes no sense; looks at nothing but its arguments."""

    NAME = "pack_info"

    def perform(self, params: dict[str, t.Any], task_vars: dict[str, t.Any], no_log: set[str]) -> dict[str, t.Any]:
        """Validate each part, and give back what was read."""
        checks.validate(params["checks"], params["thresholds"])
        diagnosis.demand_valid(params["causes"], params["checks"])
        recurrence.validate(params["flapping"], params["cooldown"], params["alert_at"])
        freeze.parse(params["freeze"])
        return {"changed": False, **{name: params[name] for name in ("checks", "thresholds", "causes")}}
