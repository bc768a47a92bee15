#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_record
short_description: Writes a line of the run's record
version_added: "0.1.0"
description:
  - Appends one line to the record on the controller; every line holds the SHA-256 of the line before.
  - With O(journal) the new head also goes to the target's journal, so that a record cut or rewritten on the
    controller shows.
  - For O(phase=outcome) it sums up the run and fails for outcomes that need a person; O(phase=job) does so for work
    that cures nothing, such as keeping a baseline.
options:
  phase:
    description: What the line is about.
    type: str
    choices: [looked, decided, foreseen, verified, outcome, job]
    required: true
  entry:
    description: What the phase has to say. Secrets are masked before it is written.
    type: dict
    default: {}
  journal:
    description: Whether the head is written to the target's journal; never in check mode.
    type: bool
    default: false
  facts:
    description:
      - For O(phase=outcome) and O(phase=job), what happened; see the role C(remediate).
      - For O(phase=job) it may have C(results), the answers of several calls of a module as a loop registers them, and
        C(nothing), what is wrong where there are none. The outcome and what is said of it then come from them.
    type: dict
extends_documentation_fragment:
  - ops.runbook.attributes
author:
  - The ops_runbook authors (@ops-runbook)
"""

EXAMPLES = r"""
- name: Record what was seen
  ops.runbook.run_record:
    phase: looked
    entry:
      document: "{{ probe.document }}"
"""

RETURN = r"""
head:
  description: SHA-256 of the new last line of the record.
  returned: success
  type: str
journal:
  description: Why the head could not be written to the target's journal; null when it was, or was not asked for.
  returned: always
  type: str
would_change:
  description:
    - What the remedy would change, as predicted since the last decision, with C(object), C(before), C(after) and, where
      there is one, C(diff). Empty where it would fail.
  returned: when O(phase=foreseen)
  type: list
  elements: dict
would_fail:
  description: Why the remedy would fail; empty where it would not.
  returned: when O(phase=foreseen)
  type: str
message:
  description: The first of the last ten lines.
  returned: when O(phase=outcome)
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import join
from ..module_utils.journal import run
from ..module_utils.specs.run_record import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
