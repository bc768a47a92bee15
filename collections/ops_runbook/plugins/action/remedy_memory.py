# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of remedy_memory."""

from __future__ import annotations

from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Nothing to add: what was done to a target is remembered there."""

    NAME = "remedy_memory"
    ENTRY = "remedies"
