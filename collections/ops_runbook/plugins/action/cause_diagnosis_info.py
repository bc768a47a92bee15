# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of cause_diagnosis_info; there is no other half."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.plugin_utils import checks, diagnosis
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction

checks.load_collectors()


class ActionModule(LightAction):
    """Names the cause; looks at nothing but its arguments."""

    NAME = "cause_diagnosis_info"

    def perform(self, params: dict[str, t.Any], task_vars: dict[str, t.Any], no_log: set[str]) -> dict[str, t.Any]:
        """Validate the causes, then diagnose."""
        diagnosis.demand_valid(params["causes"], params["checks"])
        found = diagnosis.diagnose(params["document"], params["causes"], params["tried"])
        return {"changed": False, "diagnosis": found}
