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
  - Refuses, with a reason that a person understands and the next step as a literal command. The rules are in the
    README of the role C(remediate).
  - The target says whether a hold is in force and what was done to the service lately; the controller decides.
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
    default: []
  service:
    description: Name of the service whose remedies are remembered on the target; empty for no memory.
    type: str
    default: ""
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
  freeze:
    description:
      - Windows in which nothing is changed. Each is C({from, to, reason}) with RFC 3339 times, or weekly C({days, from,
        to, timezone, reason}) with C(days) such as V(fri) and times such as V(22:30).
    type: list
    elements: dict
    default: []
  break_glass:
    description: Why a freeze window does not count this time. It is recorded.
    type: str
    default: ""
  cooldown:
    description: Seconds after a remedy in which another run does not repeat it on this target without approval.
    type: float
    default: 0
  flapping:
    description: A service that was remedied so often within the window is escalated once, and left alone afterwards.
    type: dict
    default: {count: 0, window: 0}
    suboptions:
      count:
        description: How often; V(0) switches the rule off.
        type: int
        required: true
      window:
        description: Seconds.
        type: float
        required: true
  group:
    description: The inventory group whose last healthy member may not be taken down; empty for none.
    type: str
    default: ""
  group_members:
    description: The group's hosts.
    type: list
    elements: str
    default: []
  group_leases:
    description: What taking the group's lease on each member answered.
    type: list
    elements: dict
    default: []
  group_busy:
    description: What looking at the lease of the service answered on each other member.
    type: list
    elements: dict
    default: []
  group_probes:
    description: What M(ops.runbook.health_probe) answered on each other member.
    type: list
    elements: dict
    default: []
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
passed:
  description: Each rule that would have said no, with C(rule), C(reason), and C(by), what a person said to let it pass.
  returned: success
  type: list
  elements: dict
escalates:
  description: Whether this is the one time that a flapping service is brought before a person.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import join
from ..module_utils.guard_facts import run
from ..module_utils.specs.remedy_guard import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
