#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set resource limits of login sessions and of services, proven and undoable."""

from __future__ import annotations

DOCUMENTATION = r"""
module: resource_limits
short_description: Set resource limits of login sessions and of services, proven and undoable
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Sets the limits of login sessions (C(pam_limits)) and of systemd services in files of its own, one profile a call.
  - A limit that is higher already is kept, unless O(allow_lowering) names it.
  - What the kernel would refuse is refused before anything is written. With most versions of C(pam_limits) one such
    line refuses every login of its user.
  - The limits of a service are seen in its running process. What a process got less than it should have is a failure,
    and everything is put back.
  - Limits of sessions are in effect for sessions that begin afterwards. They never reach a service of systemd.
extends_documentation_fragment:
  - ops.runbook.changing
  - ops.runbook.protecting
attributes:
  check_mode:
    details:
      - RV(changes), RV(undo), RV(limits) and RV(message) are the same as in a real run.
      - The restart budget is looked at but not used. The lease is not looked at, because none is taken in check mode.
options:
  name:
    description:
      - Name of the profile. The files are C(/etc/security/limits.d/90-ops-runbook-NAME.conf) and
        C(/etc/systemd/system/UNIT.d/90-ops-runbook-NAME.conf).
      - At most 64 letters, digits, C(-) and C(_). V(environment) is taken by M(ops.runbook.service_environment).
    type: str
    required: true
  pam:
    description:
      - Limits of login sessions, all that the profile has. Lines that an earlier call wrote and that are not given any
        more are removed.
      - Where it is empty the profile's file is left alone.
    type: list
    elements: dict
    default: []
    suboptions:
      domain:
        description: A user, V(@group), V(*), a range of user ids such as V(1000:), or V(%group) for V(maxlogins).
        type: str
        required: true
      type:
        description: Which limit. V(both) sets a soft and a hard one.
        type: str
        choices:
          - soft
          - hard
          - both
        default: both
      item:
        description:
          - Item as in C(limits.conf), such as V(nofile), V(nproc) or V(memlock). C(rttime) needs Linux-PAM 1.7.1.
        type: str
        required: true
      value:
        description: Number in the units of C(limits.conf), or V(unlimited).
        type: str
        required: true
  units:
    description:
      - Limits of services, as a mapping of unit to directives of systemd, such as C(LimitNOFILE).
      - A value is a number, C(SOFT:HARD) or C(infinity). Sizes may end with C(K), C(M), C(G) or C(T). Times are
        seconds for C(LimitCPU) and microseconds for C(LimitRTTIME).
      - The profile's file of a unit is replaced as a whole. Units that are not given are left alone.
    type: dict
    default: {}
  allow_lowering:
    description: Items (V(nofile)) and directives (V(LimitNOFILE)) whose higher limits may be lowered.
    type: list
    elements: str
    default: []
  restart:
    description:
      - Restart services whose running process does not have its limits yet, see M(ops.runbook.service_restart).
      - Without it they are named in RV(restart_needed).
    type: bool
    default: false
  restart_timeout:
    description: Seconds that a restart may take.
    type: float
    default: 90
  steady:
    description: Seconds that a restarted service must stay as it is.
    type: float
    default: 5
  budget:
    description:
      - Most starts and restarts of a service by this collection within a time. One more is refused.
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
  state:
    description:
      - V(absent) removes all files of the profile. Without O(restart), services keep the limits until their next start.
    type: str
    choices:
      - present
      - absent
    default: present
seealso:
  - module: ops.runbook.service_restart
  - module: ops.runbook.sysctl_profile
"""

EXAMPLES = r"""
- name: Let the collector open many files, as a service and in a shell
  ops.runbook.resource_limits:
    name: log_collector
    pam:
      - {domain: logcaster, item: nofile, value: 65535}
      - {domain: logcaster, item: nproc, value: 32768}
    units:
      logcaster.service:
        LimitNOFILE: 65535
        LimitNPROC: 32768
    restart: true
    budget:
      count: 3
      window: 3600

- name: Go back to what the host had
  ops.runbook.resource_limits:
    name: log_collector
    state: absent
    restart: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, limits first. Empty when nothing was.
  returned: always
  type: list
  elements: dict
  sample:
    - object: limit nofile (soft) of logcaster
      before: 1024
      after: 65535
    - object: /etc/security/limits.d/90-ops-runbook-log_collector.conf
      before: null
      after: {sha256: 2c26b46b68ffc68f, mode: "0644", owner: root, group: root}
  contains:
    object:
      description: A limit, a file, the definition of a unit that was read again, or a service that was restarted.
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
      - kind: file
        path: /etc/security/limits.d/90-ops-runbook-log_collector.conf
        aside: null
        sha256: 2c26b46b68ffc68f
        uid: null
        gid: null
        mode: null
        folders: []
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
  sample: "limits of log_collector: 3 applied, 1 better_kept; restarted: logcaster.service"
limits:
  description: Every limit of the call.
  returned: always
  type: list
  elements: dict
  sample:
    - object: logcaster.service
      item: LimitNOFILE
      type: soft
      before: 1024
      wanted: 65535
      after: 65535
      status: applied
      note: ""
  contains:
    object:
      description: The domain of a limit of sessions, or the unit.
      type: str
    item:
      description: The item or directive.
      type: str
    type:
      description: V(soft), V(hard), or V(both) for items that have no such types, as they were given.
      type: str
    before:
      description:
        - What was in effect. For sessions that is what C(pam_limits) would have given, for a service what its process
          had, or else what its definition says.
      type: raw
    wanted:
      description: What the call asked for, empty where the limit is removed.
      type: raw
    after:
      description: What is in effect now, or would be.
      type: raw
    status:
      description:
        - V(applied), V(already) or V(better_kept).
        - V(refused_by_kernel) and V(overridden) are problems. The call fails, and nothing is changed.
      type: str
    note:
      description: What else a person ought to know, such as the line that wins.
      type: str
restart_needed:
  description: Services whose running process gets its limits by a restart only, which O(restart) does not allow.
  returned: always
  type: list
  elements: str
restarted:
  description: Services that were restarted, or would be.
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
      description: The user, unit, option or file.
      type: str
    hint:
      description: The next step, and whether everything was put back.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.limits import run
from ansible_collections.ops.runbook.plugins.module_utils.specs.resource_limits import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
