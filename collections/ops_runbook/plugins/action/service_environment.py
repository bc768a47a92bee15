# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of service_environment."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.module_utils import environment
from ansible_collections.ops.runbook.plugins.plugin_utils import until_program
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction


class ActionModule(LightAction):
    """Sends the program along that a timer on the target runs, where a change is for a while only."""

    NAME = "service_environment"
    ENTRY = "environment"

    def prepare(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The same, with the timer's program."""
        program = until_program.text(self.deadline(params)) if params["until"] else ""
        return {**params, "program": program}

    def extra(self, params: dict[str, t.Any]) -> list[str]:
        """What module_utils/environment.py imports late."""
        return environment.late(params)

    def deadline(self, params: dict[str, t.Any]) -> int:
        """The restart, and as long again to put everything back."""
        return int(min(86400, environment.seconds(params))) + 60
