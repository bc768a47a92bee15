#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole tuning profile in one call, as an experiment that undoes itself."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tuning_profile
short_description: Apply a whole tuning profile in one call, and put it back where it does harm
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Kernel parameters, limits, files and environments of services in one call to the host, all of it or nothing. Every
    part is first asked what it would do. Where a part fails nevertheless, the parts before it are put back.
  - With O(checks) or O(measurement) the change is an experiment. The host is looked at before and after. What makes a
    check worse, or the number worse than its tolerance, is put back at once, and the task fails.
  - What a part does is told by M(ops.runbook.sysctl_profile), M(ops.runbook.resource_limits) and
    M(ops.runbook.service_environment).
extends_documentation_fragment:
  - ops.runbook.changing
attributes:
  check_mode:
    details:
      - O(checks) and O(measurement) are not looked at in check mode.
options:
  profile:
    description: Name of the profile, such as V(log_collector). The files of its parts are called after it.
    type: str
    required: true
  sysctl:
    description: Kernel parameters, see O(ops.runbook.sysctl_profile#module:settings).
    type: dict
    default: {}
  optional:
    description:
      - Patterns of kernel parameters that not every host has, see O(ops.runbook.sysctl_profile#module:optional).
    type: list
    elements: str
    default: []
  allow_lowering:
    description: Kernel parameters and limits that may be set to less than the host has now.
    type: list
    elements: str
    default: []
  limits:
    description: Limits of sessions and units, see M(ops.runbook.resource_limits).
    type: dict
    suboptions:
      pam:
        description: Limits of sessions.
        type: list
        elements: dict
        default: []
        suboptions:
          domain:
            description: A user, V(@group) or V(*).
            type: str
            required: true
          type:
            description: Which of the two limits.
            type: str
            choices: [soft, hard, both]
            default: both
          item:
            description: Such as V(nofile).
            type: str
            required: true
          value:
            description: A number, or V(unlimited).
            type: str
            required: true
      units:
        description: Limits of systemd units by unit, each a mapping of directives such as C(LimitNOFILE) to values.
        type: dict
        default: {}
  environment:
    description: Variables by unit, see O(ops.runbook.service_environment#module:variables).
    type: dict
    default: {}
  files:
    description: Files of the profile, each whole.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path. A symbolic link is refused.
        type: str
        required: true
      content:
        description: The whole content.
        type: str
        required: true
      mode:
        description: Octal mode, four digits in quotes.
        type: str
        default: "0644"
      owner:
        description: Owner.
        type: str
        default: root
      group:
        description: Group.
        type: str
        default: root
  restart:
    description: Whether services may be restarted so that limits and environments reach them.
    type: bool
    default: false
  restart_timeout:
    description: Seconds that a restart may take.
    type: float
    default: 60
  steady:
    description: Seconds that a restarted service must stay up.
    type: float
    default: 0
  budget:
    description: How often a service may be restarted, see O(ops.runbook.service_restart#module:budget).
    type: dict
    suboptions:
      count:
        description: At most so many restarts.
        type: int
        required: true
      window:
        description: In so many seconds.
        type: float
        required: true
  checks:
    description: Checks that must be well before, and not worse after, see M(ops.runbook.health_probe).
    type: dict
    default: {}
  thresholds:
    description: Thresholds for O(checks), see O(ops.runbook.health_probe#module:thresholds).
    type: dict
    default: {}
  measurement:
    description: A number that tells whether the profile does good. The median of the samples counts.
    type: dict
    suboptions:
      command:
        description: Command and arguments, run on the host, which print a number and nothing else.
        type: list
        elements: str
      query:
        description: PromQL that yields one number, asked by the controller.
        type: str
      url:
        description: Base URL of the Prometheus server that O(measurement.query) is for.
        type: str
      better:
        description: Whether a V(higher) or a V(lower) number is better.
        type: str
        choices: [higher, lower]
        required: true
      tolerance:
        description: Percent of the number before that may be lost before it counts as harm.
        type: float
        default: 5
      samples:
        description: How many numbers are taken before, and as many after.
        type: int
        default: 3
      settle:
        description: Seconds to wait after the change before anything is looked at.
        type: float
        default: 0
      timeout:
        description: Seconds that one number may take.
        type: float
        default: 30
  kill_switch:
    description: A file on the controller. While it exists nothing is changed.
    type: str
    default: /etc/ops-runbook/kill-switch
  conclude:
    description:
      - Says and records the host's outcome, as M(ops.runbook.run_record) with its phase V(job) does. On a fleet this
        saves a task for every host.
    type: bool
    default: false
  waiting_group:
    description:
      - In check mode, hosts that differ join this group of the running inventory, and their outcome is that they wait.
        Ignored when the whole run is in check mode.
    type: str
    default: ""
  from_role:
    description:
      - Takes what is not given here from the variables of the role C(ops.runbook.tuning), and its outcome is concluded.
        For that role alone. On a fleet it saves the templates that would be compiled for every host.
    type: bool
    default: false
seealso:
  - module: ops.runbook.sysctl_profile
  - module: ops.runbook.resource_limits
  - module: ops.runbook.service_environment
  - module: ops.runbook.change_undo
"""

EXAMPLES = r"""
- name: Tune a host in one call
  ops.runbook.tuning_profile:
    profile: edge
    sysctl:
      net.core.somaxconn: 65535
      net.ipv4.tcp_rmem: 4096 131072 16777216
    limits:
      pam:
        - {domain: www-data, type: both, item: nofile, value: 65535}

- name: Keep it only when it does no harm
  ops.runbook.tuning_profile:
    profile: edge
    sysctl:
      net.ipv4.tcp_rmem: 4096 131072 16777216
    measurement:
      command: [/usr/local/bin/measure-throughput, db1, "16000000"]
      better: higher
      tolerance: 10
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, over all parts. Empty when nothing was.
  returned: always
  type: list
  elements: dict
  contains:
    object:
      description: The kernel parameter, file, limit or variable.
      type: str
    before:
      description: How it was.
      type: raw
    after:
      description: How it is.
      type: raw
undo:
  description: How to take it back. RV(undo.kind=none) comes with a reason.
  returned: always
  type: dict
  contains:
    kind:
      description: V(steps), or V(none).
      type: str
    steps:
      description: The undo steps of all parts, in the order in which putting back takes them.
      type: list
      elements: dict
    reason:
      description: Why there is nothing to take back.
      type: str
message:
  description: One line for a person.
  returned: always
  type: str
  sample: "17 values: 14 applied, 3 already"
keys:
  description: Every single value by name.
  returned: always
  type: dict
  sample:
    net.core.somaxconn: {before: "4096", wanted: "65535", after: "65535", status: applied, note: ""}
parts:
  description: What the module of each part answered besides, such as RV(ignore:restart_needed).
  returned: always
  type: dict
verdict:
  description:
    - V(already), V(kept), V(reverted) because it did harm, V(predicted) in check mode, V(waiting) with
      O(waiting_group), V(failed).
  returned: always
  type: str
  sample: kept
measured:
  description: The judgement of the numbers. Empty where none were taken.
  returned: always
  type: dict
  sample:
    verdict: better
    before: 41.2
    after: 80.1
    change: 94.4
    tolerance: 5.0
    samples: {before: [41.0, 41.2, 41.9], after: [79.8, 80.1, 80.4]}
seconds:
  description: Seconds that it took.
  returned: always
  type: float
  sample: 0.4
error:
  description: What is wrong, where, and what to do about it.
  returned: failure
  type: dict
  contains:
    kind:
      description: V(BadInput), V(Refused), V(CannotLook) or V(OpsError).
      type: str
    what:
      description: What is wrong.
      type: str
    where:
      description: The parameter, file, unit or option.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.specs.tuning_profile import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.module_utils.tuning import run


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
