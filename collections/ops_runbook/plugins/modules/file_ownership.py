#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mend owner, group and mode of a service's files, and only where they differ."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_ownership
short_description: Mend owner, group and mode of a service's files where they differ
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Looks at the paths first, then mends only what differs, and reports each mismatch. A recursive C(chown) that touches
    everything is what this replaces.
  - Symbolic links are never followed, nor touched. Recursion stays on the filesystem of the path.
  - Files with several names (hard links), sockets, pipes and devices are left alone and listed in RV(omitted).
  - A folder that is missing is made where O(paths[].create) says so, and only below a parent that is there.
  - A file is mended through the very object that was looked at, so that nobody can swap in another one meanwhile.
  - Paths of the system itself, such as C(/), C(/etc), C(/usr) or C(/var/lib), are refused.
  - Set-id bits that nobody asked for do not survive a change of owner.
extends_documentation_fragment:
  - ops.runbook.changing
options:
  paths:
    description:
      - What to look at, and how it ought to be. What is not named stays as it is.
      - A later entry adds to an earlier one for the same file.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - Absolute path of a file or directory that exists, or is to be made with O(paths[].create).
          - Links on the way are resolved, but the path itself must not be one.
        type: str
        required: true
      owner:
        description: User name, or a number. An unknown name fails, because the service's account is missing then.
        type: str
      group:
        description: Group name, or a number.
        type: str
      mode:
        description: Octal mode of the path itself, in quotes and with its leading zero, such as V(0750).
        type: str
      file_mode:
        description: Octal mode of files below the path. Of the path too, when it is a file without O(paths[].mode).
        type: str
      directory_mode:
        description:
          - Octal mode of directories below the path. Of the path too, when it is a directory without O(paths[].mode).
        type: str
      mode_includes:
        description:
          - Bits that the mode of the path itself must have, such as V(0700); the others stay as they are.
          - Ignored where O(paths[].mode) is given.
        type: str
      create:
        description:
          - Make the path, as a directory, where it is missing. Its mode is O(paths[].mode), else
            O(paths[].directory_mode), else 0750.
          - Only for what may be empty, such as a folder of logs. A data directory that is missing is never made.
        type: bool
        default: false
      recurse:
        description: Also look at everything below the path.
        type: bool
        default: false
      exclude:
        description:
          - Shell patterns of what is left out, compared with the name and with the full path. V(*) matches C(/) too.
          - What lies below an excluded directory is left out with it.
        type: list
        elements: str
        default: []
  limit:
    description:
      - Most mismatches that are mended. When there are more, nothing is touched and the module fails.
    type: int
    default: 1000
notes:
  - Only root can give a file to another user.
seealso:
  - module: ops.runbook.health_probe
  - module: ansible.builtin.file
"""

EXAMPLES = r"""
- name: Give the data directory back to MongoDB
  ops.runbook.file_ownership:
    paths:
      - path: /var/lib/mongodb
        owner: mongodb
        group: mongodb
        recurse: true
      - path: /var/log/mongodb
        owner: mongodb
        group: mongodb
        directory_mode: "0750"

- name: See which files of the batch have the wrong mode, and change none
  ops.runbook.file_ownership:
    paths:
      - path: /opt/SimpleRS
        file_mode: "0640"
        directory_mode: "0750"
        recurse: true
        exclude: ["*.sh", /opt/SimpleRS/venv]
  check_mode: true
"""

RETURN = r"""
changes:
  description:
    - What was changed, or would be in check mode, one entry for each field of each object. Empty when nothing was.
    - After a failure, what had been changed until then.
  returned: always
  type: list
  elements: dict
  sample:
    - object: owner of /var/lib/mongodb/journal
      before: root
      after: mongodb
  contains:
    object:
      description: Which field of which path.
      type: str
    before:
      description: The name or octal mode as it was.
      type: str
    after:
      description: The name or octal mode as it is.
      type: str
undo:
  description: How to put everything back. RV(undo.kind=none) comes with a reason.
  returned: always
  type: dict
  sample:
    kind: ownership
    entries:
      - path: /var/lib/mongodb/journal
        uid: 0
        gid: 0
        mode: "0700"
        expect: {uid: 110, gid: 65534, mode: "0700"}
  contains:
    kind:
      description: V(ownership), or V(none).
      type: str
    reason:
      description: Why there is nothing to take back.
      type: str
    entries:
      description: Path, uid, gid and mode to put back, and what they must still be for that to be safe.
      type: list
      elements: dict
message:
  description: One line for a person.
  returned: always
  type: str
  sample: owner of /var/lib/mongodb/journal root -> mongodb
mismatches:
  description: All that differed, mended or not. When O(limit) was passed, those of the first objects.
  returned: always
  type: list
  elements: dict
  sample:
    - path: /var/lib/mongodb/journal
      field: owner
      before: root
      after: mongodb
  contains:
    path:
      description: The file or directory.
      type: str
    field:
      description: V(owner), V(group) or V(mode).
      type: str
    before:
      description: The name or octal mode as it was.
      type: str
    after:
      description: The name or octal mode as it ought to be.
      type: str
omitted:
  description: What was left alone, and why. At most 200 are listed.
  returned: always
  type: list
  elements: dict
  sample:
    - path: /var/lib/mongodb/latest
      reason: is a symbolic link
  contains:
    path:
      description: The path.
      type: str
    reason:
      description: Why it was left alone.
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
      description: The path, account or option.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.ownership import run
from ansible_collections.ops.runbook.plugins.module_utils.specs.file_ownership import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
