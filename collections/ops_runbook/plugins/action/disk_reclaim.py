# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of disk_reclaim."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils.disk_reclaim import SECONDS
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Nothing but the light road."""

    NAME = "disk_reclaim"
    ENTRY = "disk_reclaim"

    def deadline(self, params: dict[str, t.Any]) -> int:
        """Many files take their time."""
        return SECONDS + 60
