#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a backup that a restore can be compared with."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_create
short_description: Take a backup that a restore can be compared with
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Streams a store through zstd into a staging directory. Every process of the row has to succeed, not the last one
    alone. Then all is synced, a manifest with counts and digests is written, and one rename gives the backup its name.
  - What has a name is whole. A run that fails or is killed leaves nothing that looks like a backup.
  - Counts and digests are those of what was dumped. PostgreSQL is counted in the dump's own snapshot, and of MongoDB
    the archive itself is counted, because its tools have no snapshot.
  - The backup counts once M(ops.runbook.backup_verify) has restored it.
extends_documentation_fragment:
  - ops.runbook.backup
  - ops.runbook.changing
attributes:
  idempotent:
    description: Each call takes a backup.
    support: none
options:
  kind:
    description: What kind of store it is.
    type: str
    choices:
      - files
      - mongodb
      - postgresql
    required: true
  paths:
    description: For O(kind=files), full paths of directories and files.
    type: list
    elements: str
    default: []
  exclude:
    description: For O(kind=files), patterns of C(tar --exclude) for what is left out.
    type: list
    elements: str
    default: []
  database:
    description: Name of the database, as it is. It is quoted where that is needed.
    type: str
    default: ""
  address:
    description:
      - Address of the server, or for PostgreSQL the directory of its socket. Empty is V(127.0.0.1) for MongoDB, and
        what libpq takes by default for PostgreSQL.
    type: str
    default: ""
  port:
    description: The server's port; V(0) is the usual one.
    type: int
    default: 0
  login:
    description: For PostgreSQL, the role that logs in; empty is what libpq takes by default.
    type: str
    default: ""
  credentials_file:
    description:
      - A file on the target that only O(account) can read. For PostgreSQL libpq's password file, for MongoDB a
        connection string in its first line.
      - What stands in it is never in an argument list, a log or the record.
    type: str
    default: ""
  level:
    description: Level of zstd, from 1 to 19.
    type: int
    default: 3
  keep_free:
    description: Bytes that must stay free on the filesystem of O(root), such as V(5GB).
    type: bytes
    default: 1073741824
seealso:
  - module: ops.runbook.backup_verify
"""

EXAMPLES = r"""
- name: Take a backup of MongoDB
  ops.runbook.backup_create:
    system: simplers
    store: mongodb
    kind: mongodb
    database: simplers

- name: Take a backup of PostgreSQL as its own account
  ops.runbook.backup_create:
    system: threegpp
    store: 3gpp_analysis_prod
    kind: postgresql
    database: 3gpp_analysis_prod
    account: postgres

- name: Take a backup of the configuration
  ops.runbook.backup_create:
    system: simplers
    store: config
    kind: files
    paths:
      - /opt/SimpleRS/config
      - /etc/default/mongod
"""

RETURN = r"""
changes:
  description: The backup, or in check mode that one would be taken.
  returned: always
  type: list
  elements: dict
  sample:
    - object: backup of simplers/mongodb
      before: null
      after: {path: /var/backups/ops-runbook/simplers/mongodb/20270115T080000Z}
  contains:
    object:
      description: The store.
      type: str
    before:
      description: Always null.
      type: dict
    after:
      description: Where it lies.
      type: dict
undo:
  description: Always of kind V(none), because a backup takes nothing away.
  returned: always
  type: dict
  contains:
    kind:
      description: Always V(none).
      type: str
    reason:
      description: Why there is nothing to put back.
      type: str
message:
  description: One line for a person.
  returned: always
  type: str
  sample: backup of simplers/config taken; 12 objects, 3456 bytes, 0.4 s
backup:
  description: What was taken; null where nothing was.
  returned: always
  type: dict
  contains:
    name:
      description: Its name, the UTC time of its beginning.
      type: str
    path:
      description: Its directory.
      type: str
    bytes:
      description: Bytes of its files.
      type: int
    seconds:
      description: How long it took.
      type: float
    manifest:
      description: SHA-256 of its manifest.
      type: str
    objects:
      description: How many tables, collections or files it has.
      type: int
    notes:
      description: What a person should know, such as that it was written to meanwhile.
      type: list
      elements: str
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
      description: The option, tool or path.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.backup_create import run
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.specs.backup_create import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
