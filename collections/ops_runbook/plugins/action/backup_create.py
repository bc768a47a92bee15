# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of backup_create."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils.backup import stores
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Sends what its kind of store needs."""

    NAME = "backup_create"
    ENTRY = "backup_create"

    def extra(self, params: dict[str, t.Any]) -> list[str]:
        """What module_utils/backup/stores.py imports late."""
        return stores.needs(params["kind"])

    def deadline(self, params: dict[str, t.Any]) -> int:
        """The dump, reading it back, and counting."""
        return int(3 * params["timeout"]) + 300
