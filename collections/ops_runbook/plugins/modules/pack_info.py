#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pack_info
short_description: Reads a pack and refuses one that makes no sense
version_added: "0.1.0"
description:
  - Checks what a recovery rests on before the target is touched, and says in one line what is wrong, where, and what to
    do.
  - Gives back what it read with all templates worked out, so that the tasks that follow need not do it again.
  - Runs on the controller alone and looks at nothing but its arguments.
options:
  checks:
    description: The checks by name, for M(ops.runbook.health_probe).
    type: dict
    required: true
  thresholds:
    description: The thresholds in force by check, for M(ops.runbook.health_probe).
    type: dict
    default: {}
  causes:
    description: The causes in order of precedence, for M(ops.runbook.cause_diagnosis_info).
    type: list
    elements: dict
    required: true
  freeze:
    description: Windows in which nothing is changed, for M(ops.runbook.remedy_guard).
    type: list
    elements: dict
    default: []
  cooldown:
    description: Seconds in which a remedy is not repeated, for M(ops.runbook.remedy_guard).
    type: float
    default: 0
  flapping:
    description: When a service is flapping, for M(ops.runbook.remedy_guard).
    type: dict
    default: {count: 0, window: 0}
    suboptions:
      count:
        description: How often it was remedied; V(0) switches the rule off.
        type: int
        required: true
      window:
        description: Seconds.
        type: float
        required: true
  alert_at:
    description: When the alert began that the run answers, RFC 3339.
    type: str
    default: ""
extends_documentation_fragment:
  - ops.runbook.attributes
seealso:
  - module: ops.runbook.health_probe
  - module: ops.runbook.cause_diagnosis_info
  - module: ops.runbook.remedy_guard
author:
  - The ops_runbook authors (@ops-runbook)
"""

EXAMPLES = r"""
- name: Refuse a pack that makes no sense
  ops.runbook.pack_info:
    checks:
      unit:
        type: systemd_unit
        unit: mongod
    causes:
      - cause: killed
        when: checks.unit.data.result == 'signal'
        explains: [unit]
        why: The server was killed by a signal.
        remedy: start_service
        risk: low
  register: pack
"""

RETURN = r"""
checks:
  description: The checks as they were read.
  returned: success
  type: dict
thresholds:
  description: The thresholds as they were read.
  returned: success
  type: dict
causes:
  description: The causes as they were read.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.specs.pack_info import ARGUMENT_SPEC, RULES


def main() -> None:
    """Say that there is nothing to run on a target."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES)
    module.fail_json(msg="pack_info works through its action plugin; call it as ops.runbook.pack_info.")


if __name__ == "__main__":
    main()
