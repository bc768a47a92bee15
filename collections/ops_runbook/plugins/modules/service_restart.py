#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, stop, restart or reload a service and prove that it is well."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_restart
short_description: Start, stop, restart or reload a service and prove that it is well
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Looks at the service, validates the configuration, keeps to a restart budget, drains, acts, waits until the service
    is ready and sees that it stays so for a while.
  - A service that is already as wanted is left alone.
  - A service is stopped the way its unit says, with its own signal and patience. Nothing is ever killed by name.
extends_documentation_fragment:
  - ops.runbook.changing
  - ops.runbook.protecting
attributes:
  check_mode:
    details:
      - RV(changes), RV(undo) and RV(message) are the same as in a real run.
      - O(validate) is run in check mode too, so it must not change anything. O(drain) and O(ready.command) are not.
      - The restart budget is looked at but not used. The lease is not looked at, because none is taken in check mode.
  idempotent:
    support: partial
    details:
      - O(state=started), O(state=stopped) and O(state=resumed) are.
      - O(state=restarted) and O(state=reloaded) act each time.
      - A service of C(Type=oneshot) without C(RemainAfterExit) is started each time.
options:
  name:
    description: Name of the service, such as V(mongod) or V(mongod.service).
    type: str
    required: true
  platform:
    description: What runs the service.
    type: str
    choices:
      - systemd
    default: systemd
  state:
    description:
      - What to do.
      - V(started) leaves a running service alone.
      - V(stopped) leaves a failed service alone, for it does not run.
      - V(restarted) starts a service that does not run.
      - V(reloaded) refuses when the service does not run or cannot reload.
      - V(resumed) lets the processes of a service go on that a signal had stopped (state T), and restarts nothing.
    type: str
    choices:
      - restarted
      - started
      - stopped
      - reloaded
      - resumed
    default: restarted
  validate:
    description:
      - Command and arguments that check the configuration. Unless it exits with 0 nothing is touched.
      - Not run for O(state=stopped) and when there is nothing to do.
    type: list
    elements: str
  drain:
    description:
      - Command and arguments that take the clients away from a running service before it is stopped or restarted.
      - Unless it exits with 0 the service is left running.
    type: list
    elements: str
  reset_failed:
    description: Forget an earlier failure and the count of recent starts before the service is started.
    type: bool
    default: false
  unmask:
    description:
      - Remove the mask of a masked service that is to be started.
      - Without it a masked service is refused, since somebody may have masked it on purpose.
    type: bool
    default: false
  enable:
    description:
      - Have a disabled service started at boot as well.
    type: bool
    default: false
  redefined:
    description:
      - In check mode, a task before this one would have put the unit's definition in force, so it is predicted what
        comes after that. A definition that cannot be loaded is then no reason to refuse.
      - Has no effect otherwise.
    type: bool
    default: false
  ready:
    description:
      - When the service counts as ready after O(state=started), O(state=restarted) or O(state=reloaded).
      - Without it the service is ready as soon as the platform says that it is running.
    type: dict
    suboptions:
      port:
        description:
          - TCP port that must accept a connection.
          - Where it can be told that another service answers on it, that does not count.
        type: int
      host:
        description: Address to connect to from the target.
        type: str
        default: 127.0.0.1
      command:
        description: Command and arguments that must exit with 0 on the target.
        type: list
        elements: str
      timeout:
        description: Seconds until it must be ready, counted from the end of the act.
        type: float
        default: 60
  steady:
    description:
      - Seconds that the service must stay as it is, with the same process and without an automatic restart. Readiness
        is seen again at the end.
      - After O(state=stopped) it must stay stopped that long.
    type: float
    default: 5
  timeout:
    description:
      - Seconds that the validator, the drain command and the act may take, each of them.
      - An act that takes longer is given up, but systemd goes on with it.
    type: float
    default: 90
  budget:
    description:
      - Most starts and restarts of the service by this module within a time. One more is refused.
      - Kept on the target in C(/var/lib/ops-runbook/budget). Only calls with a budget are counted.
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
seealso:
  - module: ops.runbook.target_lease
  - module: ops.runbook.health_probe
"""

EXAMPLES = r"""
- name: Start MongoDB and see it stay up for 20 seconds
  ops.runbook.service_restart:
    name: mongod
    state: started
    reset_failed: true
    ready:
      port: 27017
    steady: 20
    budget:
      count: 3
      window: 3600

- name: Restart nginx only with a valid configuration
  ops.runbook.service_restart:
    name: nginx
    validate: [nginx, -t]
    drain: [/usr/local/sbin/leave-pool, web1]
    ready:
      command: [curl, --fail, --silent, --max-time, "2", "http://127.0.0.1/healthz"]
      timeout: 30
"""

RETURN = r"""
changes:
  description:
    - What was changed, or would be in check mode, in order. Empty when nothing was.
    - After a failure, what had been begun and how it is now.
  returned: always
  type: list
  elements: dict
  sample:
    - object: service mongod.service
      before: {active_state: failed}
      after: {active_state: active}
  contains:
    object:
      description:
        - The mask, enablement, definition, configuration, process or running state of the service, or the drain.
      type: str
    before:
      description: How it was.
      type: dict
    after:
      description: How it is. The process of a restarted service is V(new), as it is not known beforehand.
      type: dict
undo:
  description: How to take it back. RV(undo.kind=none) comes with a reason.
  returned: always
  type: dict
  sample:
    kind: service_state
    platform: systemd
    name: mongod.service
    state: stopped
    expect: {active_state: active}
  contains:
    kind:
      description:
        - V(service_state) for a state to put back, V(unit) where the mask must be put back too, V(enablement) or
          V(steps) where it must be disabled again.
        - V(none) where it cannot be taken back.
      type: str
    reason:
      description: Why it cannot be taken back.
      type: str
    platform:
      description: What runs the service.
      type: str
    name:
      description: The service.
      type: str
    state:
      description: The O(state) to ask for.
      type: str
    mask:
      description: Whether the service must be masked again.
      type: bool
    links:
      description: The links that masked it.
      type: list
      elements: str
    expect:
      description: What must still hold for that to be safe.
      type: dict
message:
  description: One line for a person.
  returned: always
  type: str
  sample: "mongod.service, failed (signal 9): forget the failure, start"
service:
  description: The service before and after. Each is empty when it could not be seen.
  returned: always
  type: dict
  contains:
    before:
      description: Before the act.
      type: dict
      contains: &state
        load_state:
          description: V(loaded), V(masked), V(error) or V(bad-setting).
          type: str
        unit_file_state:
          description: V(enabled), V(disabled), V(static), V(masked) and so on.
          type: str
        active_state:
          description: V(active), V(reloading), V(inactive), V(failed), V(activating) or V(deactivating).
          type: str
        sub_state:
          description: The platform's own finer state.
          type: str
        pid:
          description: Main process, empty when there is none.
          type: int
        started_at:
          description: When it was started, RFC 3339 UTC, empty when it does not run.
          type: str
        restarts:
          description: Automatic restarts since it was last started.
          type: int
        result:
          description: V(success), or how it failed, such as V(signal), V(exit-code), V(oom-kill) or V(start-limit-hit).
          type: str
        exit:
          description: How its last process ended, such as V(status 1) or V(signal 9).
          type: str
    after:
      description: After the steady window, or when it failed. In check mode what is not known beforehand is empty.
      type: dict
      contains: *state
journal:
  description: The last lines that the service, or systemd about it, logged since the act. Empty unless the act failed.
  returned: always
  type: list
  elements: str
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
      description: The service, option or file.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.service import run
from ansible_collections.ops.runbook.plugins.module_utils.specs.service_restart import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
