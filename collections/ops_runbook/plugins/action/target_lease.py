# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of target_lease."""

from __future__ import annotations

import typing as t

from ansible_collections.ops.runbook.plugins.plugin_utils import record
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction

Json = dict[str, t.Any]


class ActionModule(LightAction):
    """Records when the target was taken; the lease itself lies there."""

    NAME = "target_lease"
    ENTRY = "lease"

    def finish(self, answer: Json, params: Json, task_vars: Json) -> Json:
        """Its head is in that of the decision, which goes to the journal; a group's lease lies on other hosts."""
        if params["state"] == "acquired" and answer["changed"] and not self._task.delegate_to:
            record.append(record.folder(), record.run_id(), str(task_vars["inventory_hostname"]), "leased", {})
        return answer
