#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: target_hold
short_description: Keeps all remedies away from a target for a while
version_added: "0.1.0"
description:
  - While a hold is in force on a target, no remedy runs there, whichever controller it comes from. Who is refused reads
    its reason, whose it is, since when and until when.
  - It is seen when the guard is asked, and once more on the target right before every act of a remedy.
  - A hold with O(lasts) ends by itself. One that cannot be read or understood is in force.
  - Changes are recorded, and can be undone like those of any run.
options:
  state:
    description:
      - V(present) sets the hold, or gives one's own another reason or end. Somebody else's is refused.
      - V(absent) lifts it, whoever has set it, and says whose it was.
      - V(read) only looks.
    type: str
    choices: [present, absent, read]
    default: read
  reason:
    description: Why nothing may be done, in one line. Needed for V(present).
    type: str
    default: ""
  by:
    description: Who sets it. The user and host of the controller by default.
    type: str
    default: ""
  lasts:
    description: How long, such as V(30min) or V(2h); empty for until it is lifted.
    type: str
    default: ""
  conclude:
    description: Whether the answer is the outcome of this host.
    type: bool
    default: false
  run_id:
    description:
      - Id of the run, below which a replaced hold is kept for undoing.
      - Defaults to the environment variable E(OPS_RUNBOOK_RUN_ID) of the controller.
    type: str
extends_documentation_fragment:
  - ops.runbook.attributes
attributes:
  idempotent:
    details:
      - A hold with O(lasts) is set anew each time, and then ends later.
seealso:
  - module: ops.runbook.remedy_guard
author:
  - The ops_runbook authors (@ops-runbook)
"""

EXAMPLES = r"""
- name: Nothing may be done here for two hours
  ops.runbook.target_hold:
    state: present
    reason: restore under way, INC-2041
    lasts: 2h

- name: Lift it
  ops.runbook.target_hold:
    state: absent
"""

RETURN = r"""
changes:
  description: The hold before and after; empty when nothing changes.
  returned: always
  type: list
  elements: dict
  sample:
    - object: hold
      before: null
      after: restore under way; set by ann@ops1 at 2026-01-05T02:00:12.000Z
undo:
  description: How it is put back.
  returned: always
  type: dict
  sample: {kind: none, reason: nothing was changed}
message:
  description: One line for a person.
  returned: always
  type: str
hold:
  description: The hold that is in force now, or would be in check mode; null where there is none.
  returned: always
  type: dict
  contains:
    text:
      description: All that is known of it in one line.
      type: str
    reason:
      description: Why; null, like the others, where it was written by hand.
      type: str
    by:
      description: Who has set it.
      type: str
    since:
      description: When.
      type: str
    until:
      description: When it ends by itself; null for until it is lifted.
      type: str
error:
  description: What is wrong, where, and what to do about it.
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import join
from ..module_utils.specs.target_hold import ARGUMENT_SPEC, RULES
from ..module_utils.target_hold import run


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
