#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cause_diagnosis_info
short_description: Names the cause of a fault from a probe document
version_added: "0.1.0"
description:
  - Matches a pack's causes, which are data, against the probe document of M(ops.runbook.health_probe).
  - A condition that rests on a check or field that could not be determined does not hold.
  - Runs on the controller alone and looks at nothing but its arguments.
options:
  document:
    description: The probe document.
    type: dict
    required: true
  checks:
    description: The checks by name that the causes may refer to, as given to M(ops.runbook.health_probe).
    type: dict
    required: true
  causes:
    description:
      - The causes in order of precedence.
      - Each has C(cause), C(when) (JMESPath over the document), C(explains) (names of checks), C(why), C(remedy),
        C(risk)
        (V(low), V(medium), V(high) or V(destructive)), and may have C(ask), C(next_step) and C(prevent).
      - An expression that does not compile, names an unknown check or field, or names none statically, is refused.
    type: list
    elements: dict
    required: true
  tried:
    description: Remedies that were already used; a cause with one of these is not chosen.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - ops.runbook.attributes
seealso:
  - module: ops.runbook.pack_info
  - module: ops.runbook.health_probe
author:
  - The ops_runbook authors (@ops-runbook)
"""

EXAMPLES = r"""
- name: Name the cause
  ops.runbook.cause_diagnosis_info:
    document: "{{ probe.document }}"
    checks: "{{ mongodb_checks }}"
    causes:
      - cause: killed
        when: checks.unit.data.result == 'signal'
        explains: [unit]
        why: The server was killed by a signal.
        remedy: start_service
        risk: low
"""

RETURN = r"""
diagnosis:
  description: What holds and what does not.
  returned: success
  type: dict
  contains:
    causes:
      description: The causes that hold, in order of precedence.
      type: list
      elements: dict
      returned: always
    chosen:
      description: The first of them whose remedy was not tried; null when there is none.
      type: dict
      returned: always
    rejected:
      description: The causes that do not hold, each with C(cause) and C(reason).
      type: list
      elements: dict
      returned: always
    unexplained:
      description: Critical checks that no holding cause explains.
      type: list
      elements: str
      returned: always
    facts:
      description: What each cause's condition looked at, as far as it is known, by cause, such as C(unit.result).
      type: dict
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.specs.cause_diagnosis_info import ARGUMENT_SPEC, RULES


def main() -> None:
    """Say that there is nothing to run on a target."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES)
    module.fail_json(
        msg="cause_diagnosis_info works through its action plugin; call it as ops.runbook.cause_diagnosis_info."
    )


if __name__ == "__main__":
    main()
