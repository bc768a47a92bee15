# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of log_rotation."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils import rotation
from ansible_collections.ops.runbook.plugins.plugin_utils import guard
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Sends what the policy needs, and no more."""

    NAME = "log_rotation"
    ENTRY = "rotation"

    def prepare(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Nothing is changed while the kill switch is set."""
        guard.demand_no_kill_switch(params["kill_switch"])
        return params

    def extra(self, params: dict[str, t.Any]) -> list[str]:
        """What module_utils/rotation.py imports late."""
        return rotation.late(params)

    def deadline(self, params: dict[str, t.Any]) -> int:
        """Logrotate compresses what it rotates."""
        return int(rotation.seconds(params)) + 60
