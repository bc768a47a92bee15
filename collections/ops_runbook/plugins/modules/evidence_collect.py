#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect what a person will want to have seen of a sick host, before anybody touches it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_collect
short_description: Collect evidence from a sick host onto the controller
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Collects the unit's status and journal, ends of logs, the kernel's log, memory, processes, disks and sockets, all
    at once and each with a time limit, and keeps them on the controller as files that only their owner can read.
  - Nothing is written on the target, because its disk may be what is sick.
  - Secrets are masked on the target. Environments and configuration files are not collected. Command lines are only
    where systemd shows those of the unit.
  - What cannot be collected is listed with the reason, and is no failure. A directory that cannot be written is one.
  - Where it was kept and what was omitted goes into the run's record.
extends_documentation_fragment:
  - ops.runbook.attributes
attributes:
  check_mode:
    description: Collects nothing, and says what and where to it would.
  idempotent:
    support: none
    description: Collects anew each time, into a directory of its own. RV(ignore:changed) is always V(false).
options:
  service:
    description: Name of the service that the evidence is about.
    type: str
    required: true
  unit:
    description: Its systemd unit. Without it there is no status and no journal of a unit.
    type: str
  logs:
    description:
      - Log files of which the end is collected. The last part of a path may be a shell pattern, of which the ten newest
        files are taken.
      - What lies in C(/etc), C(/proc) or the like, or has the name of a configuration file or key, is no log.
    type: list
    elements: str
    default: []
  paths:
    description: Files or directories whose filesystems are shown besides the local ones.
    type: list
    elements: str
    default: []
  commands:
    description:
      - Further commands, each a list of the command and its arguments, such as those that tell versions.
      - Each may take 8 seconds. They must not change anything.
    type: list
    elements: list
    default: []
  lines:
    description: Most lines of each log.
    type: int
    default: 1000
  limit:
    description:
      - Most bytes of all the evidence, such as V(2MB). What is too large loses its beginning, and is marked.
      - At least 4096.
    type: bytes
    default: 2097152
  directory:
    description:
      - Directory on the controller, made with mode V(0700) when it is not there. Nobody else may be able to write in
        it.
      - By default that of the run and host below E(OPS_RUNBOOK_EVIDENCE), else below
        C($XDG_STATE_HOME/ops-runbook/evidence).
      - Where evidence lies in it already, the next free one beside it is taken, with a number.
    type: str
notes:
  - Cannot be used with C(async), as the evidence must come back to the controller.
seealso:
  - module: ops.runbook.health_probe
"""

EXAMPLES = r"""
- name: Keep evidence of MongoDB before any act
  ops.runbook.evidence_collect:
    service: mongodb
    unit: mongod
    logs:
      - /var/log/mongodb/mongod.log
    paths:
      - /var/lib/mongodb
    commands:
      - [mongod, --version]
  register: evidence

- name: Keep the logs of the batch for a ticket
  ops.runbook.evidence_collect:
    service: batch
    logs:
      - /var/log/batch/*.log
    lines: 5000
    limit: 10MB
    directory: ~/incidents/4711/{{ inventory_hostname }}
"""

RETURN = r"""
message:
  description: One line for a person.
  returned: success
  type: str
  sample: 9 files, 48210 bytes, in /root/.local/state/ops-runbook/evidence/20260105T020007Z-4f1c/db1
directory:
  description:
    - Where the files lie on the controller, or would lie in check mode.
    - Besides them there is C(manifest.json), with RV(files), RV(omitted), service, host, run and time.
  returned: success
  type: str
  sample: /root/.local/state/ops-runbook/evidence/20260105T020007Z-4f1c/db1
files:
  description: The files. Empty in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - name: unit-journal.txt
      bytes: 18220
      sha256: fcde2b2edba56bf4
      truncated: false
  contains:
    name:
      description: Name of the file in RV(directory).
      type: str
    bytes:
      description: Its size.
      type: int
    sha256:
      description: Checksum of its content.
      type: str
    truncated:
      description: Whether its beginning was cut off to keep to O(limit).
      type: bool
omitted:
  description: What could not be collected. Empty in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - name: kernel.txt
      reason: "dmesg: read kernel buffer failed: Operation not permitted"
  contains:
    name:
      description: Name that the file would have.
      type: str
    reason:
      description: Why there is none.
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
      description: The option, or the directory on the controller.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.evidence import run
from ansible_collections.ops.runbook.plugins.module_utils.specs.evidence_collect import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
