#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set environment variables of a service where they reach its process, and see them there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_environment
short_description: Set environment variables of a service where they reach its process, and see them there
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Writes the variables into C(/etc/ops-runbook/environment/UNIT.env), mode 0600, and names that file as the last
    C(EnvironmentFile) of the unit, so that it wins over C(Environment) and over the files before it.
  - After a restart the environment of the process is read. A variable that it does not have as it was set is a
    failure, and everything is put back.
  - A call adds its variables to those of earlier calls.
  - The values of O(secrets), and of variables that look like secrets, are nowhere but in files of mode 0600. People,
    logs and the record see C((secret)).
extends_documentation_fragment:
  - ops.runbook.changing
  - ops.runbook.protecting
attributes:
  check_mode:
    details:
      - RV(changes), RV(undo), RV(environment) and RV(message) are the same as in a real run.
      - The restart budget is looked at but not used. The lease is not looked at, because none is taken in check mode.
options:
  service:
    description: The service, such as V(logcaster) or V(worker@1.service). A template is refused.
    type: str
    required: true
  variables:
    description:
      - Variables by name. A value is text, a number or a truth value, which becomes C(true) or C(false).
      - A mapping is computed on the target. C(of) is V(cpus) or V(memory), in bytes. C(factor) or C(percent) is the
        share, all of it by default. C(minimum) and C(maximum) bound it. For memory they may be sizes such as V(64MB)
        or V(1GiB). The CPUs and the memory are cut to the unit's C(CPUQuota) and C(MemoryMax).
      - For O(state=absent) only the names count.
    type: dict
    default: {}
  secrets:
    description: As O(variables), for text of at least 4 characters that nobody is to see.
    type: dict
    default: {}
  restart:
    description:
      - Restart the service where its running process does not have the variables yet, see
        M(ops.runbook.service_restart).
      - Without it the service is named in RV(restart_needed).
    type: bool
    default: false
  restart_timeout:
    description: Seconds that the restart may take.
    type: float
    default: 90
  steady:
    description: Seconds that the restarted service must stay as it is.
    type: float
    default: 5
  budget:
    description:
      - Most starts and restarts of the service by this collection within a time. One more is refused.
      - Without it there is no limit.
    type: dict
    suboptions:
      count:
        description: How many.
        type: int
        required: true
      window:
        description: Within how many seconds.
        type: float
        required: true
  until:
    description:
      - When a timer on the target puts the change back, also where the controller is gone by then. Seconds from now or
        an RFC 3339 time, at most 30 days ahead.
      - Seconds count from the change. A second call that changes nothing leaves the timer as it is.
      - Empty means for good.
    type: str
    default: ""
  program:
    description: What the timer runs. Set by the action, whatever is given.
    type: str
    default: ""
  state:
    description: V(absent) removes the variables that are named, or all that this module has set when none is.
    type: str
    choices:
      - present
      - absent
    default: present
seealso:
  - module: ops.runbook.service_restart
  - module: ops.runbook.resource_limits
"""

EXAMPLES = r"""
- name: Size the collector by its host
  ops.runbook.service_environment:
    service: logcaster
    variables:
      THREAD_POOL_SIZE: {of: cpus}
      BUFFER_SIZE: {of: memory, percent: 1, maximum: 256MiB}
      WRITE_BATCH_SIZE: 1000
    restart: true

- name: Talk more for an hour
  ops.runbook.service_environment:
    service: logcaster
    variables:
      LOG_LEVEL: DEBUG
    until: "3600"
    restart: true

- name: Give it a new key
  ops.runbook.service_environment:
    service: logcaster
    secrets:
      API_KEY: "{{ logcaster_api_key }}"
    restart: true

- name: Take back all that was set
  ops.runbook.service_environment:
    service: logcaster
    state: absent
    restart: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, variables first. Empty when nothing was.
  returned: always
  type: list
  elements: dict
  sample:
    - object: variable WRITE_BATCH_SIZE of logcaster.service
      before: "100"
      after: "1000"
    - object: variable API_KEY of logcaster.service
      before: null
      after: (secret)
  contains:
    object:
      description: A variable, a file, the definition of the unit that was read again, the service, or a timer.
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
  sample:
    kind: steps
    steps:
      - kind: definition
        name: logcaster.service
        restarted: true
  contains:
    kind:
      description: V(steps), or V(none).
      type: str
    reason:
      description: Why there is nothing to take back.
      type: str
    steps:
      description: The steps in the order in which putting back takes them.
      type: list
      elements: dict
message:
  description: One line for a person.
  returned: always
  type: str
  sample: "environment of logcaster.service: 2 applied, 1 already; restarted"
environment:
  description: Every variable of the call by name.
  returned: always
  type: dict
  sample:
    BUFFER_SIZE:
      before: null
      wanted: "251658240"
      after: "251658240"
      status: applied
      note: of 25165824000 bytes of memory
  contains:
    before:
      description: The value that the process had, or that was in our file where the process does not show it.
      type: str
    wanted:
      description: The value that the call asked for, empty where the variable is removed.
      type: str
    after:
      description: The value that the process has now, or would have.
      type: str
    status:
      description:
        - V(applied), V(already), or V(pending_restart) where the process gets it by a restart that is not allowed.
        - V(overridden) is a problem. The call fails, and nothing is changed.
      type: str
    note:
      description: What else a person ought to know, such as what wins.
      type: str
restart_needed:
  description: The service, where its running process gets a variable by a restart only and O(restart) is not set.
  returned: always
  type: list
  elements: str
restarted:
  description: The service, where it was restarted, or would be.
  returned: always
  type: list
  elements: str
until:
  description: The timer that will put something back, also one of an earlier call. Empty where none waits.
  returned: always
  type: dict
  contains:
    at:
      description: When, RFC 3339 UTC.
      type: str
    unit:
      description: The timer of systemd.
      type: str
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
      description: The unit, option or file.
      type: str
    hint:
      description: The next step, and whether everything was put back.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.environment import run
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.specs.service_environment import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
