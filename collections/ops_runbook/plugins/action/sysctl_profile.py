# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of sysctl_profile."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils.sysctl import late
from ansible_collections.ops.runbook.plugins.module_utils.sysctl_apply import SECONDS
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Nothing but the light road."""

    NAME = "sysctl_profile"
    ENTRY = "sysctl"

    def extra(self, params: dict[str, t.Any]) -> list[str]:
        """What module_utils/sysctl.py imports late."""
        return late(params)

    def deadline(self, params: dict[str, t.Any]) -> int:
        """The act, and the wait for another call's."""
        return SECONDS + 60
