# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules have in common that work on a store's backups: where they lie, and how long a tool may take."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment ops.runbook.backup."""

    DOCUMENTATION = r"""
options:
  root:
    description:
      - Directory on the target below which backups lie, as C(<root>/<system>/<store>/<UTC time>/).
      - Made with mode V(0700) when it is not there. Nobody else may be able to write in it.
    type: str
    default: /var/backups/ops-runbook
  system:
    description: Name of the system that the store belongs to.
    type: str
    required: true
  store:
    description: Name of the store within the system.
    type: str
    required: true
  account:
    description: The target's account that runs the store's tools and servers; empty for the one that runs the module.
    type: str
    default: ""
  timeout:
    description: Seconds that one pass over the data may take.
    type: float
    default: 3600
  idle:
    description: Seconds without a byte from any tool after which it counts as hung, and is ended.
    type: float
    default: 300
"""
