#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take, renew, give back or look at the lease of a target."""

from __future__ import annotations

DOCUMENTATION = r"""
module: target_lease
short_description: Let only one run at a time remedy a target
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - A lease lies on the target, so that it holds for all controllers and playbooks.
  - It ends by itself after O(ttl) seconds of the time since boot, or when the target boots. That is the release that
    always works, because a controller may die and C(always) does not run after a lost connection.
  - Changing modules that name it in their option C(lease) renew it, and refuse when it is not the run's own.
  - A lease that has ended is not taken over while an act under it is still running.
  - Needs root on the target, since it lies in C(/run/ops-runbook), which only root may read.
extends_documentation_fragment:
  - ops.runbook.attributes
attributes:
  check_mode:
    details:
      - Says whether the lease could be acquired, renewed or released.
  idempotent:
    details:
      - Acquiring the run's own lease, and renewing it, only moves its end, which does not count as a change.
options:
  name:
    description:
      - Name of the lease, one for each target, such as V(db1/mongodb).
      - 1 to 64 letters, digits, V(.), V(_) and V(-). A V(/) counts as V(_).
    type: str
    required: true
  state:
    description:
      - V(acquired) takes the lease, or renews the run's own, and fails when another run holds it.
      - V(renewed) lets the run's own lease last O(ttl) seconds from now, and fails when it is missing or has ended.
      - V(released) gives the run's own lease back, and leaves another run's alone.
      - V(read) only looks.
    type: str
    choices:
      - acquired
      - renewed
      - released
      - read
    default: acquired
  ttl:
    description: Seconds that the lease lasts unless it is renewed. A lease is never shortened by this.
    type: float
    default: 600
  run_id:
    description:
      - Id of the run, needed for all but O(state=read).
      - Defaults to the environment variable E(OPS_RUNBOOK_RUN_ID) of the controller.
    type: str
  holder:
    description: Who takes it, for people that find the target leased.
    type: str
    default: ""
notes:
  - A playbook that runs inside another one with the same run id acquires the lease again, and RV(ignore:changed) is
    V(false). Only who got V(true) releases it.
seealso:
  - module: ops.runbook.service_restart
"""

EXAMPLES = r"""
- name: Take the lease for ten minutes
  ops.runbook.target_lease:
    name: "{{ inventory_hostname }}/mongodb"
    ttl: 600
    holder: recover_mongodb from {{ lookup('ansible.builtin.env', 'HOSTNAME') }}
    run_id: 20260105T020007Z-4f1c
  register: lease

- name: Give it back
  ops.runbook.target_lease:
    name: "{{ inventory_hostname }}/mongodb"
    state: released
    run_id: 20260105T020007Z-4f1c
  when: lease is changed
"""

RETURN = r"""
changes:
  description: Who held the lease before and after. Empty when that stayed the same.
  returned: always
  type: list
  elements: dict
  sample:
    - object: lease db1_mongodb
      before: null
      after: {run_id: 20260105T020007Z-4f1c, holder: recover_mongodb}
  contains:
    object:
      description: The lease.
      type: str
    before:
      description: RV(lease.run_id) and RV(lease.holder) as they were, empty for nobody.
      type: dict
    after:
      description: The same as they are.
      type: dict
undo:
  description: Nothing to take back, as a lease ends by itself.
  returned: always
  type: dict
  sample: {kind: none, reason: a lease ends by itself}
  contains:
    kind:
      description: Always V(none).
      type: str
    reason:
      description: Why.
      type: str
message:
  description: One line for a person.
  returned: always
  type: str
  sample: the lease is taken for 600 s
lease:
  description: The lease as it is now, or would be in check mode.
  returned: always
  type: dict
  contains:
    name:
      description: Its name on the target.
      type: str
    run_id:
      description: The run that holds it, empty when nobody does.
      type: str
    holder:
      description: Who that is.
      type: str
    expires_in:
      description: Seconds until it ends, 0 when it has ended but is still held by a running act.
      type: float
    mine:
      description: Whether it is this run's.
      type: bool
    held:
      description: Whether anybody holds it.
      type: bool
  sample:
    name: db1_mongodb
    run_id: 20260105T020007Z-4f1c
    holder: recover_mongodb
    expires_in: 600.0
    mine: true
    held: true
error:
  description: What is wrong, where, and what to do about it.
  returned: failure
  type: dict
  contains:
    kind:
      description: V(BadInput), V(Refused) or V(OpsError).
      type: str
    what:
      description: What is wrong.
      type: str
    where:
      description: The option or file.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.lease import run
from ansible_collections.ops.runbook.plugins.module_utils.specs.target_lease import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
