# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of service_baseline."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils.baseline_store import SECONDS
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Sends what restoring needs only when something is restored."""

    NAME = "service_baseline"
    ENTRY = "baseline"

    def extra(self, params: dict[str, t.Any]) -> list[str]:
        """What module_utils/baseline.py and restoring.py import late."""
        return ["restoring", "redact"] if params["state"] == "restored" else []

    def deadline(self, params: dict[str, t.Any]) -> int:
        """The validator and the act."""
        return SECONDS + 60
