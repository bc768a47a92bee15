# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules that stop or restart a service have in common: the data that it must not lose by that."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment ops.runbook.protecting."""

    DOCUMENTATION = r"""
options:
  protect:
    description:
      - Folders with data. While the service has a file below one of them open that was deleted, it is neither stopped
        nor restarted, because the file would be lost.
    type: list
    elements: str
    default: []
"""
