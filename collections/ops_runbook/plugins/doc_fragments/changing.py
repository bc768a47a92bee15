# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module that changes a target has in common: the lease options, and what it promises."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment ops.runbook.changing."""

    DOCUMENTATION = r"""
options:
  lease:
    description:
      - Name of the lease that this run must hold on the target, see M(ops.runbook.target_lease).
      - The module renews it before its first write and refuses when it is not held by O(run_id).
      - Empty means standalone. No lease is looked at.
    type: str
    default: ""
  run_id:
    description:
      - Id of the run. Needed together with O(lease).
      - Defaults to the environment variable E(OPS_RUNBOOK_RUN_ID) of the controller.
    type: str
attributes:
  action_group:
    description: O(ignore:module_defaults) for the group sets options of all modules in it.
    support: full
    membership:
      - ops.runbook.changing
  check_mode:
    description: Predicts what would change and writes nothing.
    details:
      - RV(ignore:changed), RV(ignore:changes) and RV(ignore:undo) have the same shape as in a real run.
    support: full
  diff_mode:
    description: Returns details of the change for C(--diff).
    details:
      - What changes is in RV(ignore:changes), with and without C(--diff).
    support: none
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
"""
