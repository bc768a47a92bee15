#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a healthy service's configuration on its host, compare with it, put a file back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_baseline
short_description: Keep a healthy service's configuration, compare with it, put a file back
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - A baseline is a copy of a service's configuration files with owner, mode and checksum, kept on the target in
    C(/var/lib/ops-runbook/baseline) for root alone. It is taken while the service is verified to be healthy.
  - With O(unit) it also holds the unit's definition, that is its drop-ins and a unit file of its own, from
    C(/etc/systemd/system), C(/run/systemd/system) and what C(systemctl set-property) makes.
  - Of what a package brings below C(/usr/lib) or a generator makes only the checksum is kept. An upgrade is told, but
    it is no drift, and nothing is put back over it. Drop-ins that this collection itself writes,
    C(90-ops-runbook-*.conf), are not part of the baseline, since they have an undo of their own.
  - A baseline is whole or not there, whatever happens while it is taken.
  - A restored file is validated before it replaces the bad one, and the bad one is kept aside.
  - The symbolic links of accounts other than root and the module's own are not followed, since whoever may write in a
    folder could otherwise have any file read or overwritten.
extends_documentation_fragment:
  - ops.runbook.changing
attributes:
  check_mode:
    details:
      - O(validate) is run in check mode too, so it must not change anything. The candidate lies in a folder of its own
        in C(/run), which is removed again.
      - RV(captured_at) and the checksum in RV(undo) of a capture are those of a capture at that moment.
  diff_mode:
    support: full
    details:
      - Secrets are masked before comparing, so where nothing but a secret changed no line shows.
      - Nothing is shown for O(content).
options:
  service:
    description: Name of the service, such as V(mongodb). Letters, digits, V(@), V(.), V(_) and V(-).
    type: str
    required: true
  state:
    description:
      - V(captured) keeps O(files) as they are now.
      - V(verified) compares the files with the baseline and changes nothing.
      - V(restored) puts O(path) back, with content, owner and mode, or the definition of O(unit).
    type: str
    choices:
      - captured
      - restored
      - verified
    default: verified
  files:
    description:
      - Absolute paths of the service's configuration files. For O(state=captured) these or O(unit) are needed.
      - A file that does not exist is part of the baseline too. Restoring it removes it.
      - Ordinary files of at most 8 MiB.
    type: list
    elements: str
  unit:
    description:
      - The systemd unit of the service.
      - For O(state=captured) its definition is kept too. It is refused where the definition cannot be loaded, or is not
        the one in force.
      - For O(state=restored) its definition is put back and read by systemd, and nothing is started. Drop-ins, and a
        unit file of its own, that the baseline does not know are moved aside. What differs or is gone comes back.
      - Refused, with nothing touched, where a symbolic link is not as in the baseline, others than root may write into
        the folder, or a drop-in concerns other units too. Where the definition cannot be loaded afterwards, all is put
        back as it was.
    type: str
  path:
    description: The file to put back. For O(state=restored) this or O(unit) is needed.
    type: str
  content:
    description:
      - What the file ought to hold, as the inventory declares it. Goes before the baseline, and needs none.
      - Owner and mode are O(owner), O(group) and O(mode), else as in the baseline, else as the file has them now.
    type: str
  owner:
    description: Owner of the file when O(content) is given.
    type: str
  group:
    description: Group of the file when O(content) is given.
    type: str
  mode:
    description: Octal mode of the file when O(content) is given, four digits in quotes.
    type: str
  validate:
    description:
      - Command and arguments that check what would be put back. V(%s) is replaced with the candidate's path.
      - Unless it exits with 0 within 60 seconds nothing is touched.
      - The candidate has the file's own name, in a folder that only the module's user can enter.
    type: list
    elements: str
seealso:
  - module: ops.runbook.service_restart
"""

EXAMPLES = r"""
- name: Keep the configuration of a healthy MongoDB
  ops.runbook.service_baseline:
    service: mongodb
    state: captured
    files:
      - /etc/mongod.conf

- name: Say what has changed since
  ops.runbook.service_baseline:
    service: mongodb

- name: Put the configuration back
  ops.runbook.service_baseline:
    service: nginx
    state: restored
    path: /etc/nginx/nginx.conf
    validate: [nginx, -t, -c, "%s"]

- name: Keep the configuration and the definition of the unit
  ops.runbook.service_baseline:
    service: mongodb
    state: captured
    files:
      - /etc/mongod.conf
    unit: mongod.service

- name: Move aside the drop-ins that were not there
  ops.runbook.service_baseline:
    service: mongodb
    state: restored
    unit: mongod.service

- name: Put back what the inventory declares
  ops.runbook.service_baseline:
    service: mongodb
    state: restored
    path: /etc/mongod.conf
    content: "{{ mongodb_config_content }}"
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode. Empty when nothing was.
  returned: always
  type: list
  elements: dict
  sample:
    - object: /etc/mongod.conf
      before: {sha256: 2c26b46b68ffc68f, mode: "0644", owner: root, group: root}
      after: {sha256: fcde2b2edba56bf4, mode: "0644", owner: root, group: root}
  contains:
    object:
      description: The file, or the baseline's entry of a file.
      type: str
    before:
      description: Checksum, mode, owner and group as they were, empty where there was no file.
      type: dict
    after:
      description: The same as they are.
      type: dict
undo:
  description: How to take it back. RV(undo.kind=none) comes with a reason.
  returned: always
  type: dict
  sample:
    kind: file
    path: /etc/mongod.conf
    aside: /var/lib/ops-runbook/undo/20260105T020007Z-4f1c/etc_mongod.conf.2c26b46b68ffc68f
    sha256: fcde2b2edba56bf4
    uid: 0
    gid: 0
    mode: "0644"
  contains:
    kind:
      description: V(file), V(none), or V(steps) for a unit.
      type: str
    steps:
      description: Of V(steps), the files in the order of putting back, then the unit's definition.
      type: list
      elements: dict
    reason:
      description: Why there is nothing to take back.
      type: str
    path:
      description: The file that was replaced.
      type: str
    aside:
      description: Copy of what was there, empty when nothing was, and the file is to be removed.
      type: str
    sha256:
      description: What the file's content must still be for that to be safe, empty when it was removed.
      type: str
    uid:
      description: Owner to put back.
      type: int
    gid:
      description: Group to put back.
      type: int
    mode:
      description: Octal mode to put back.
      type: str
message:
  description: One line for a person.
  returned: always
  type: str
  sample: /etc/mongod.conf is as in the baseline again
diff:
  description:
    - RV(diff.prepared) is a unified diff from the bad to the good file. Empty when nothing was restored.
    - For O(state=verified) from the baseline's definition of the unit to the one that is there.
  returned: always
  type: dict
  contains:
    prepared:
      description: At most 16384 characters of it.
      type: str
files:
  description: The files of the baseline. For O(state=restored) the one file, and none for a unit.
  returned: always
  type: list
  elements: dict
  sample:
    - path: /etc/mongod.conf
      present: true
      sha256: fcde2b2edba56bf4
      mode: "0644"
      owner: root
      group: root
      drifted: true
      drift: [{field: mode, before: "0644", after: "0600"}]
  contains:
    path:
      description: The file.
      type: str
    present:
      description: Whether it exists according to the baseline.
      type: bool
    sha256:
      description: Checksum of its content in the baseline.
      type: str
    mode:
      description: Octal mode in the baseline.
      type: str
    owner:
      description: Owner in the baseline.
      type: str
    group:
      description: Group in the baseline.
      type: str
    drifted:
      description: Whether the file differs, for O(state=verified).
      type: bool
    drift:
      description:
        - In what it differs. Field V(kind) means that no ordinary file is there, V(copy) that the copy is damaged.
      type: list
      elements: dict
aside:
  description: Where what was replaced lies on the target, of a unit the folder. Empty when there was nothing.
  returned: always
  type: str
  sample: /var/lib/ops-runbook/undo/20260105T020007Z-4f1c/etc_mongod.conf.2c26b46b68ffc68f
unit:
  description: How the unit's definition differs from the baseline, before anything was put back. Empty without one.
  returned: always
  type: dict
  sample:
    name: mongod.service
    new: [/etc/systemd/system/mongod.service.d/override.conf]
    gone: []
    changed: []
    packaged:
      - {path: /lib/systemd/system/mongod.service, sha256: fcde2b2edba56bf4, upgraded: false}
  contains:
    name:
      description: The unit.
      type: str
    new:
      description: Drop-ins, and a unit file of its own, that the baseline does not know.
      type: list
      elements: str
    gone:
      description: Those of the baseline that are not there any more.
      type: list
      elements: str
    changed:
      description: Those that differ in content, mode, owner or group.
      type: list
      elements: str
    packaged:
      description: Files of packages and generators, with their checksum in the baseline.
      type: list
      elements: dict
captured_at:
  description: When the baseline was taken, RFC 3339 UTC. Empty when none was used.
  returned: always
  type: str
  sample: "2026-01-05T02:00:07.123Z"
error:
  description: What is wrong, where, and what to do about it.
  returned: failure
  type: dict
  contains:
    kind:
      description: V(NoBaseline), V(Damaged), V(BadInput), V(Refused), V(CannotLook) or V(OpsError).
      type: str
    what:
      description: What is wrong.
      type: str
    where:
      description: The file, account or option.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.baseline import run
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.specs.service_baseline import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
