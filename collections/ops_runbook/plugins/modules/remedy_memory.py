#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: remedy_memory
short_description: Remembers on the target what was done to a service lately
version_added: "0.1.0"
description:
  - A remedy is noted before it acts, and again when it was verified, so that all controllers know of it.
  - Cooldown, flapping and old alerts are judged by M(ops.runbook.remedy_guard) from this memory.
  - The last 50 remedies of a service are kept, root-only, below C(/var/lib/ops-runbook/remedies). A damaged memory is
    refused, because starting from nothing would lift every limit.
options:
  service:
    description: Name of the service.
    type: str
    required: true
  state:
    description:
      - V(begun) notes a remedy that is about to act.
      - V(ended) notes what came of it.
      - V(escalated) notes that a person was told that the service does not stay up.
      - V(read) only looks.
    type: str
    choices: [begun, ended, escalated, read]
    default: read
  remedy:
    description: The remedy. Needed for V(begun) and V(ended).
    type: str
  cause:
    description: The cause that called for it. Needed for V(begun) and V(ended).
    type: str
  result:
    description: What came of the remedy, for V(ended). V(cured) also ends an escalation.
    type: str
    choices: [cured, not_cured]
    default: not_cured
  run_id:
    description:
      - Id of the run, needed for all but O(state=read).
      - Defaults to the environment variable E(OPS_RUNBOOK_RUN_ID) of the controller.
    type: str
extends_documentation_fragment:
  - ops.runbook.attributes
attributes:
  idempotent:
    support: none
    details:
      - Each note is one more, except for O(state=read).
seealso:
  - module: ops.runbook.remedy_guard
author:
  - The ops_runbook authors (@ops-runbook)
"""

EXAMPLES = r"""
- name: Remember that the remedy begins
  ops.runbook.remedy_memory:
    service: mongodb
    state: begun
    remedy: start_service
    cause: killed

- name: See what was done lately
  ops.runbook.remedy_memory:
    service: mongodb
  register: lately
"""

RETURN = r"""
message:
  description: One line for a person.
  returned: always
  type: str
memory:
  description: What is remembered.
  returned: success
  type: dict
  contains:
    remedies:
      description: The remedies, the oldest first.
      type: list
      elements: dict
      sample:
        - run: 20260105T020007Z-4f1c
          remedy: start_service
          cause: killed
          result: cured
          at: "2026-01-05T02:00:12.000Z"
          age: 81.3
    escalated:
      description: The run that escalated it last, when, and the seconds since; null for none, or if it was cured since.
      type: dict
      sample: {run: 20260105T024007Z-77aa, at: "2026-01-05T02:40:12.000Z", age: 12.0}
error:
  description: What is wrong, where, and what to do about it.
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import join
from ..module_utils.remedies import run
from ..module_utils.specs.remedy_memory import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
