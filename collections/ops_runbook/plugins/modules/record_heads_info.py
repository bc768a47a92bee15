#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: record_heads_info
short_description: Reads the heads of the record out of a target's journal, and compares them with the record
version_added: "0.1.0"
description:
  - M(ops.runbook.run_record) leaves the SHA-256 of the record's last line in the target's journal while a remedy is
    under way. This module reads them back. Only what root wrote counts, or the user that it runs as.
  - With O(conclude) they are compared with the record on the controller, both ways. A head that the record does not
    have means that the record was edited, cut or computed anew. So does a line without its head, where the journal
    reaches back to before it. Where it does not, nobody can tell, and that is said.
  - Nothing is written, on the target or in the record.
options:
  conclude:
    description: Whether to compare them with the record and to end with an outcome, V(healthy) or V(escalated).
    type: bool
    default: false
  timeout:
    description: Seconds that C(journalctl) may take.
    type: float
    default: 60
extends_documentation_fragment:
  - ops.runbook.attributes
author:
  - The ops_runbook authors (@ops-runbook)
"""

EXAMPLES = r"""
- name: Compare the record with this host's journal
  ops.runbook.record_heads_info:
    conclude: true
"""

RETURN = r"""
heads:
  description: What runs left in the journal, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    run:
      description: The run that wrote the line.
      type: str
      returned: always
    phase:
      description: The line's phase.
      type: str
      returned: always
    head:
      description: SHA-256 of the line.
      type: str
      returned: always
    record:
      description: Which record it is of, the first 12 digits of its first line's SHA-256; null for early versions.
      type: str
      returned: always
    at:
      description: When it came to the journal, by the target's clock, RFC 3339.
      type: str
      returned: always
oldest:
  description: When the journal's first entry was written, RFC 3339.
  returned: success
  type: str
matched:
  description: How many lines of the record have their head in the journal.
  returned: when O(conclude)
  type: int
untold:
  description: How many lines should have one, and the journal does not reach back to them.
  returned: when O(conclude)
  type: int
problems:
  description: What shows that the record was changed.
  returned: when O(conclude)
  type: list
  elements: str
notes:
  description: What else is worth knowing, such as heads of another record.
  returned: when O(conclude)
  type: list
  elements: str
message:
  description: The same in one line for a person.
  returned: when O(conclude)
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import join
from ..module_utils.record_heads import run
from ..module_utils.specs.record_heads_info import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
