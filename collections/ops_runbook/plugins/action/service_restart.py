# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of service_restart."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils.service import longest
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Sends what the wanted platform, budget, lease and readiness need, and no more."""

    NAME = "service_restart"
    ENTRY = "service"

    def extra(self, params: dict[str, t.Any]) -> list[str]:
        """What module_utils/service.py imports late."""
        port = (params["ready"] or {}).get("port")
        late = {
            "lease": params["lease"],
            "budget": params["budget"],
            "collectors.tcp_port": port,
            "collectors.deleted_open": params["protect"],
        }
        return [f"platforms.{params['platform']}", *(name for name, wanted in late.items() if wanted)]

    def deadline(self, params: dict[str, t.Any]) -> int:
        """The act at its longest, and the validator before it."""
        return int(min(86400, longest(params) + params["timeout"])) + 60
