# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module promises that changes nothing but our own state, or nothing at all."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment ops.runbook.attributes."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Does in check mode what it does otherwise, or predicts it, and writes nothing.
    support: full
  diff_mode:
    description: Returns details of the change for C(--diff).
    support: none
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
"""
