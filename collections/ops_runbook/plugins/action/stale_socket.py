# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of stale_socket."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils.stale_socket import SECONDS
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Nothing but the light road."""

    NAME = "stale_socket"
    ENTRY = "stale_socket"

    def deadline(self, params: dict[str, t.Any]) -> int:
        """One connection and one unlink."""
        return SECONDS
