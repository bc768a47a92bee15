#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: remedy_guard
short_description: Says whether a remedy may run on a target now
version_added: "0.1.0"
description:
  - Refuses, with a reason that a person understands, when the kill switch is set, a hold is in force on the target,
    the run's limit
    names no host, the batch is larger than allowed, the remedy does not exist, a person has to be asked, the risk is
    above the
    automatic level, or data would be destroyed without confirmation.
  - Reads the hold on the target; everything else is decided on the controller.
options:
  target:
    description: What the remedy acts on, as C(host/service).
    type: str
    required: true
  cause:
    description: The chosen cause of M(ops.runbook.cause_diagnosis_info).
    type: dict
    required: true
  folders:
    description: Role folders whose C(tasks/remedies) are searched, first match first.
    type: list
    elements: str
    required: true
  approved:
    description: Remedies or causes that a person has approved for this run.
    type: list
    elements: str
    default: []
  risk_limit:
    description: The highest risk that needs no approval. Destructive acts always need O(confirm).
    type: str
    choices: [low, medium, high]
    default: medium
  desired_state:
    description: With V(started), what a person seems to have stopped on purpose is started without asking.
    type: str
    choices: [unspecified, started]
    default: unspecified
  confirm:
    description: The exact target, to allow an act that destroys data.
    type: str
    default: ""
  most_hosts:
    description: Most hosts that may be in one batch.
    type: int
    default: 1
  kill_switch:
    description: A file on the controller; while it exists no remedy runs. Its text is shown as the reason.
    type: str
    default: /etc/ops-runbook/kill-switch
extends_documentation_fragment:
  - ops.runbook.attributes
seealso:
  - module: ops.runbook.cause_diagnosis_info
author:
  - The ops_runbook authors (@ops-runbook)
"""

EXAMPLES = r"""
- name: Ask the guard
  ops.runbook.remedy_guard:
    target: "{{ inventory_hostname }}/mongodb"
    cause: "{{ found.diagnosis.chosen }}"
    folders:
      - "{{ role_path }}"
  register: guard
"""

RETURN = r"""
allowed:
  description: Whether the remedy may run.
  returned: success
  type: bool
refusals:
  description: Each rule that said no, with C(rule), C(reason) and C(next_step).
  returned: success
  type: list
  elements: dict
remedy_file:
  description: The task file of the remedy on the controller; null when there is none.
  returned: success
  type: str
hold:
  description: The hold on the target, only when the module runs without its action plugin.
  returned: never through the action plugin
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import join
from ..module_utils.holds import run
from ..module_utils.specs.remedy_guard import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
