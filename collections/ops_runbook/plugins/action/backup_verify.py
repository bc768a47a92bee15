# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of backup_verify."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils.backup import stores
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Sends all kinds of store: which one it is, the backup's manifest says."""

    NAME = "backup_verify"
    ENTRY = "backup_verify"

    def extra(self, params: dict[str, t.Any]) -> list[str]:
        """What module_utils/backup/stores.py imports late."""
        return sorted({name for kind in stores.KINDS for name in stores.needs(kind)})

    def deadline(self, params: dict[str, t.Any]) -> int:
        """The files' hashes, the restore, and reading what was restored."""
        return int(3 * params["timeout"]) + 300
