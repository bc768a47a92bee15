# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of service_baseline."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils import baseline
from ansible_collections.ops.runbook.plugins.module_utils.baseline_store import SECONDS
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Sends what restoring and units need only where they are meant."""

    NAME = "service_baseline"
    ENTRY = "baseline"

    def extra(self, params: dict[str, t.Any]) -> list[str]:
        """What module_utils/baseline.py imports late."""
        return baseline.late(params)

    def deadline(self, params: dict[str, t.Any]) -> int:
        """The validator and the act."""
        return SECONDS + 60
