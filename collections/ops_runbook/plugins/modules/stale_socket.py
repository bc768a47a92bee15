#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a socket file that a crash left behind."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stale_socket
short_description: Remove a socket file that a crash left behind and that keeps a service from starting
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - A server that is killed cannot remove its socket. Some servers refuse to start while it lies there, others when it
    belongs to another user.
  - The socket is removed only when a connection to it is refused, which proves that nobody listens, and only the very
    inode that was asked.
  - Anything else at the path is left alone, and so is a socket that answers or of which nobody can tell.
extends_documentation_fragment:
  - ops.runbook.changing
options:
  path:
    description: Absolute path of the socket.
    type: str
    required: true
seealso:
  - module: ops.runbook.service_restart
"""

EXAMPLES = r"""
- name: Remove what a killed MongoDB left behind
  ops.runbook.stale_socket:
    path: /tmp/mongodb-27017.sock
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode. Empty when nothing was.
  returned: always
  type: list
  elements: dict
  sample:
    - object: socket /tmp/mongodb-27017.sock
      before: {owner: mongodb, group: mongodb}
      after: null
  contains:
    object:
      description: The socket.
      type: str
    before:
      description: Its owner and group.
      type: dict
    after:
      description: Always null, because it is gone.
      type: dict
undo:
  description: Always of kind V(none), because a socket that nobody listens on holds nothing.
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
  sample: "nobody listens on /tmp/mongodb-27017.sock: it was removed"
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
      description: The option or path.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.specs.stale_socket import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.module_utils.stale_socket import run


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
