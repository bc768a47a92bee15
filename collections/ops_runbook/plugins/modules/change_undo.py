#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put back on a host what an earlier run changed there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: change_undo
short_description: Put back on a host what an earlier run changed there
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Reads in the controller's record what a run changed on the host, and takes it back, latest change first. Files with
    owner and mode, kernel parameters, states and masks of services, their definitions and restarts, timers.
  - Everything is looked at before anything is touched. Where one thing is not as the run left it, because a person or
    a later run changed it since, nothing is done.
  - What is already as it was is left alone, so an undo that was killed half way is completed by running it again.
  - An undo is a run like any other, and can be undone by its own id.
  - Where the run changed nothing on a host, no connection to it is made.
extends_documentation_fragment:
  - ops.runbook.changing
options:
  run:
    description: Id of the run to undo, as its summary and the record say it.
    type: str
    default: ""
  approved:
    description:
      - Undo also a run that cured a fault, which brings the fault back.
      - Undo also a run that broke off, as far as it is known what it did.
    type: bool
    default: false
  conclude:
    description:
      - Conclude the run on this host with what came of it, as M(ops.runbook.run_record) does, without a task more.
      - The outcome is C(done), C(healthy) when there was nothing to put back, C(predicted), C(refused) or C(failed).
    type: bool
    default: false
  steps:
    description: Filled in by the controller's half from the record. To give it is an error.
    type: list
    elements: dict
    default: []
  leases:
    description: As O(steps), the leases that the run held, which are taken for the time of the undo.
    type: list
    elements: str
    default: []
seealso:
  - module: ops.runbook.service_baseline
  - module: ops.runbook.sysctl_profile
  - module: ops.runbook.service_environment
"""

EXAMPLES = r"""
- name: Say what undoing a run would put back
  ops.runbook.change_undo:
    run: 20260105T020007Z-4f1c02
  check_mode: true

- name: Put back what a run changed, although it had cured something
  ops.runbook.change_undo:
    run: 20260105T020007Z-4f1c02
    approved: true

- name: Put back what a run changed, as the last task for this host
  ops.runbook.change_undo:
    run: 20260105T020007Z-4f1c02
    conclude: true
"""

RETURN = r"""
changes:
  description: What was put back, or would be in check mode. Empty when nothing was.
  returned: always
  type: list
  elements: dict
  sample:
    - object: sysctl net.core.somaxconn
      before: "65535"
      after: "4096"
  contains:
    object:
      description: What was put back, such as a file, a kernel parameter or a service.
      type: str
    before:
      description: How it was before the undo.
      type: raw
    after:
      description: How it is now.
      type: raw
undo:
  description: How to take the undo back. RV(undo.kind=none) comes with a reason.
  returned: always
  type: dict
  sample:
    kind: steps
    steps:
      - kind: sysctl
        values:
          net.core.somaxconn: {before: "65535", after: "4096"}
  contains:
    kind:
      description: V(steps), or V(none).
      type: str
    reason:
      description: Why there is nothing to take back.
      type: str
    steps:
      description: The steps that take it back, in their order.
      type: list
      elements: dict
message:
  description: One line for a person, with what was put back, what was already as it was, and what cannot be put back.
  returned: always
  type: str
  sample: "put back: /etc/sysctl.d/90-ops-runbook-log_collector.conf, sysctl net.core.somaxconn"
steps:
  description: Every step, in the order in which they are taken.
  returned: always
  type: list
  elements: dict
  sample:
    - kind: sysctl
      object: sysctl net.core.somaxconn
      done: true
  contains:
    kind:
      description: Kind of the step. V(none) is a change that cannot be put back, such as a restart.
      type: str
    object:
      description: What it is about.
      type: str
    done:
      description: Whether it was put back, or would be in check mode. False also when it was already as before.
      type: bool
error:
  description: What is wrong, where, and what to do about it.
  returned: failure
  type: dict
  contains:
    kind:
      description: V(Refused) when nothing was touched, V(BadInput), V(CannotLook) or V(OpsError).
      type: str
    what:
      description: What is wrong.
      type: str
    where:
      description: What it is about.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.specs.change_undo import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.module_utils.undo import run


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
