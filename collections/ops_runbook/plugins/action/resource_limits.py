# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of resource_limits."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils import limits
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Sends what sessions or services need, and no more."""

    NAME = "resource_limits"
    ENTRY = "limits"

    def extra(self, params: dict[str, t.Any]) -> list[str]:
        """What module_utils/limits.py imports late."""
        return limits.late(params)

    def deadline(self, params: dict[str, t.Any]) -> int:
        """The restarts, and as long again to put everything back."""
        return int(min(86400, limits.seconds(params))) + 60
