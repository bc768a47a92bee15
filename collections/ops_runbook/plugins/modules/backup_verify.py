#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a backup by restoring it into a scratch place."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_verify
short_description: Prove a backup by restoring it into a scratch place
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Checks the manifest's seal and every file's SHA-256, restores the backup into a scratch place, compares the counts
    and digests of all that was restored with the manifest, and asks the inventory's own queries.
  - A database is restored into a server of its own, with its own data directory and a socket or port of loopback. The
    kernel ends that server when the module dies, and what it left is taken away by the next call.
  - Fails unless all of it was seen. What could not be tried is neither verified nor damaged, and fails as well.
extends_documentation_fragment:
  - ops.runbook.backup
  - ops.runbook.changing
attributes:
  check_mode:
    description: Only says which backup would be restored.
options:
  backup:
    description: Name of the backup, its UTC time; V(latest) is the youngest.
    type: str
    default: latest
  scratch:
    description: Directory for scratch places; it needs room for the data as they are, not compressed.
    type: str
    default: /var/lib/ops-runbook/scratch
  server:
    description: For MongoDB, the program of a server that is started for the test, C(mongod) or C(ferretdb).
    type: str
    default: mongod
  smoke:
    description: Queries that the restored database must answer as expected. For PostgreSQL.
    type: list
    elements: dict
    default: []
    suboptions:
      query:
        description: One statement of SQL.
        type: str
        required: true
      expect:
        description: The first line of its answer, columns joined by V(|).
        type: str
        required: true
seealso:
  - module: ops.runbook.backup_create
"""

EXAMPLES = r"""
- name: Prove the youngest backup
  ops.runbook.backup_verify:
    system: threegpp
    store: 3gpp_analysis_prod
    account: postgres
    smoke:
      - query: SELECT count(*) > 1000 FROM summary
        expect: t
"""

RETURN = r"""
verified:
  description: Whether it was restored and found to be what the manifest says.
  returned: always
  type: bool
damaged:
  description: Whether it was found to be something else.
  returned: always
  type: bool
why:
  description: What speaks against it; empty where nothing does.
  returned: always
  type: str
backup:
  description: Name of the backup.
  returned: always
  type: str
seconds:
  description: How long the whole proof took.
  returned: always
  type: float
message:
  description: One line for a person.
  returned: always
  type: str
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
from ansible_collections.ops.runbook.plugins.module_utils.backup_verify import run
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.specs.backup_verify import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
