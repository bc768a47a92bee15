#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set a whole profile of kernel parameters, live and for the next boot, and prove it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sysctl_profile
short_description: Set a whole profile of kernel parameters, live and for the next boot, and prove it
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Reads the live values, plans, writes one file of its own in C(/etc/sysctl.d), tells the kernel what differs and
    reads every key back. All of it happens or nothing does.
  - A value that the kernel already has better is kept, unless O(allow_lowering) names the key. Which way is better is
    known for many common keys, from the kernel's documentation. Values of several components are compared one by one.
    Where it is a matter of choice (V(vm.swappiness), V(net.ipv4.tcp_fin_timeout)), or nothing is known of a key, it
    is set as asked.
  - What the profile set earlier is no such value. A revised profile is compared with what was there before the
    profile.
  - A key that the profile does not name any more goes back to what it was before.
  - A key that cannot be set fails the call before anything is written, as far as looking can tell. What only the
    kernel's answer to a write shows is put back in the same call.
extends_documentation_fragment:
  - ops.runbook.changing
attributes:
  check_mode:
    details:
      - A value that the kernel refuses or changes is not foreseen.
notes:
  - What was there before is kept in C(/var/lib/ops-runbook/sysctl), for root alone.
  - A file that is read after C(/etc/sysctl.d/90-ops-runbook-NAME.conf) wins over it at the next boot. Such files are
    looked for in the order of C(sysctl.d(5)), and then in C(/etc/sysctl.conf), which C(sysctl --system) reads last.
  - With V(net.ipv4.ip_forward) and V(net.ipv6.conf.all.disable_ipv6) the kernel sets others along, for each interface.
    So they are written first. Undo puts the others back, too. O(state=absent) does so for what the profile names.
options:
  name:
    description:
      - Name of the profile. The file is C(/etc/sysctl.d/90-ops-runbook-NAME.conf).
      - Up to 64 small letters, digits, V(_) and V(-), beginning with a letter or digit.
    type: str
    required: true
  settings:
    description:
      - The keys with their values. Needed for O(state=present).
      - A key is written as in C(sysctl.d(5)), so that V(net/ipv4/conf/eth0.100/rp_filter) and
        V(net.ipv4.conf.eth0/100.rp_filter) are the same one.
      - A leading V(-) makes a key optional, as O(optional) does.
      - A value is a number, a text, or a list of the components. Booleans are refused, because V(yes) and V(on) in
        YAML are booleans too.
    type: dict
  optional:
    description:
      - Patterns of keys, such as V(net.netfilter.*), of which each may be impossible to set. That is told, and the
        key is left alone.
    type: list
    elements: str
    default: []
  allow_lowering:
    description:
      - Keys that are set as asked although the kernel has a better value.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(present) applies the profile.
      - V(absent) puts back what was there before it, live and on disk. A value that somebody has set since stays.
    type: str
    choices:
      - present
      - absent
    default: present
"""

EXAMPLES = r"""
- name: Prepare the host for many connections
  ops.runbook.sysctl_profile:
    name: log_collector
    settings:
      net.core.somaxconn: 65535
      net.ipv4.tcp_max_syn_backlog: 8192
      net.ipv4.tcp_rmem: 4096 87380 16777216
      net.core.netdev_max_backlog: 16384
      vm.swappiness: 10
    optional:
      - net.core.netdev_*

- name: Take less than the kernel has
  ops.runbook.sysctl_profile:
    name: small
    settings:
      fs.file-max: 2097152
    allow_lowering:
      - fs.file-max

- name: Put back what was there before
  ops.runbook.sysctl_profile:
    name: log_collector
    state: absent
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode. Empty when nothing was.
  returned: always
  type: list
  elements: dict
  sample:
    - object: /etc/sysctl.d/90-ops-runbook-log_collector.conf
      before:
      after: {sha256: fcde2b2edba56bf4, mode: "0644", owner: root, group: root}
    - object: sysctl net.core.somaxconn
      before: "4096"
      after: "65535"
  contains:
    object:
      description: The file, or C(sysctl) and the key.
      type: str
    before:
      description: The value, or the file's checksum, mode, owner and group, as they were. Empty for no file.
      type: raw
    after:
      description: The same as they are.
      type: raw
undo:
  description: How to take it back. RV(undo.kind=none) comes with a reason.
  returned: always
  type: dict
  sample:
    kind: steps
    steps:
      - kind: file
        path: /etc/sysctl.d/90-ops-runbook-log_collector.conf
        aside:
        sha256: fcde2b2edba56bf4
        uid:
        gid:
        mode:
        folders: []
      - kind: sysctl
        values:
          net.core.somaxconn: {before: "4096", after: "65535"}
  contains:
    kind:
      description: V(steps), or V(none).
      type: str
    reason:
      description: Why there is nothing to take back.
      type: str
    steps:
      description:
        - In the order in which they are taken. The drop-in, the memory of what was before, and the kernel's values.
        - A value goes back only while it is still what C(after) says.
      type: list
      elements: dict
message:
  description: One line for a person.
  returned: always
  type: str
  sample: "profile log_collector: 9 applied, 2 already, 1 better_kept"
keys:
  description:
    - By key, in its one spelling, which has dots between the parts and a slash for a dot within a part. Those that
      the profile does not name any more are here once more, while they go back.
    - Each has C(before) (live, empty where the kernel shows none), C(wanted) (as asked, or what it goes back to),
      C(after) (live, or what it would be in check mode), C(status) and C(note) (for a person).
    - C(status) is V(applied), V(already), V(better_kept) (the kernel has it better, see C(note)) or V(left) (as it
      was, because the call failed, or because it is not ours to put back).
    - Or it is a problem, and the call fails unless the key is optional. V(unknown_key), V(not_namespaced) (it belongs
      to the machine that runs this container), V(refused_by_kernel) (read-only, or another value was read back) or
      V(overridden) (a file that is read later sets it to something else).
  returned: always
  type: dict
  sample:
    net.core.somaxconn: {before: "4096", wanted: "65535", after: "65535", status: applied, note: ""}
    net.ipv4.tcp_fin_timeout: {before: "15", wanted: "15", after: "15", status: already, note: ""}
file:
  description: The drop-in.
  returned: always
  type: str
  sample: /etc/sysctl.d/90-ops-runbook-log_collector.conf
error:
  description: What is wrong, where, and what to do about it.
  returned: failure
  type: dict
  contains:
    kind:
      description:
        - V(BadInput), V(Refused) or V(OpsError).
        - What had been written is put back, unless RV(error.what) says otherwise.
      type: str
    what:
      description: What is wrong, with every key that cannot be set.
      type: str
    where:
      description: The profile, key, option or file.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.specs.sysctl_profile import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.module_utils.sysctl import run


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
