# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of log_stats_info."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Nothing but the light road; the deadline is the option `timeout` and a minute."""

    NAME = "log_stats_info"
    ENTRY = "log_stats"

    def extra(self, params: dict[str, t.Any]) -> list[str]:
        """What module_utils/log_stats_jobs.py imports late."""
        return ["redact"]
