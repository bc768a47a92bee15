# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of target_lease."""

from __future__ import annotations

from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Nothing to add: the lease lies on the target."""

    NAME = "target_lease"
    ENTRY = "lease"
