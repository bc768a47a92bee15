# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of file_ownership."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils.ownership import SECONDS
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Nothing but the light road."""

    NAME = "file_ownership"
    ENTRY = "ownership"

    def deadline(self, params: dict[str, t.Any]) -> int:
        """A large tree takes its time."""
        return SECONDS
