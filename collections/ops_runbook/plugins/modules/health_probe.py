#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: health_probe
short_description: Looks at a service with all its checks at once
version_added: "0.1.0"
description:
  - Runs all checks of a service in one call, side by side, each with a limit of its own, and forms one probe document.
  - The target only measures. The verdict is formed on the controller from the measurements and the thresholds in force.
  - A check is V(ok), V(warning), V(unknown) or V(critical), in this order of gravity, and the document has the
    gravest of them. A service that does not answer within its limit is a measurement, hence critical. A check is
    unknown when the target could not look, or when a rule rests on a field that could not be determined. Unknown is
    never healthy.
  - With O(stable_for) it looks again and again until the service has been well for so long.
  - Nothing is changed on the target, unless a check with C(writes) is enabled.
options:
  checks:
    description:
      - The checks by name. Each has a C(type), the arguments of that type, and perhaps what follows.
      - C(timeout) is the check's own limit in seconds, by default 5.
      - C(warning) and C(critical) are lists of rules. A rule is C({metric, operator, value, unit}). The metric is a
        field of the measurement, with dots for what lies in it, such as C(counts.refused). The operator is one of
        C(==), C(!=), C(>), C(>=), C(<), C(<=), C(in), C(not_in), C(contains) and C(matches). The unit is optional;
        sizes are compared in bytes, times in seconds, or in milliseconds where the metric's name ends in C(_ms).
      - C(expect) is a JMESPath expression on the measurement. When it is not true the check is critical.
      - A check without C(warning), C(critical) and C(expect) is judged by the rules of its type.
      - C(cost=deep) checks run only with O(deep). C(enabled=false) drops a check. A check that says C(writes=true)
        runs only with C(enabled=true), and never in check mode.
      - V(backup_age) takes C(system) and C(store) and tells how old the last backup is that was proven by a restore.
      - V(command) takes C(argv) and C(limit) and gives exit code and output. For commands that change nothing.
      - V(deleted_open) takes C(unit) and C(under) and finds files that were deleted but are still open.
      - V(descriptors) takes C(unit) and counts its open descriptors against the limit.
      - V(disk) takes C(path) and gives room, inodes and mount of its filesystem.
      - V(dns) takes C(name) and resolves it as programs on the target do.
      - V(file) takes C(path) for age and size, C(files) for what owners and modes ought to be, C(baseline) for a
        service whose files are compared with its baseline, and C(limit).
      - V(journal) takes C(unit), C(patterns), C(window), C(limit) and C(cursor) and counts patterns in the unit's
        journal.
      - V(lease) takes C(name) and C(unit) and tells whether a run has the service's lease, and whether one that never
        gave it back acted after the unit's last change of state.
      - V(log) takes C(path), C(patterns), C(window), C(unit), C(limit) and C(cursor) and counts patterns in a log
        file, across
        rotation.
      - V(memory) takes C(unit) and gives memory of the machine, and of the unit against its limit.
      - V(mongodb) takes C(host), C(port), C(database), C(collection), C(read_limit), C(auth), C(credentials_file),
        C(deep), C(freshness_field) and C(write_check) and asks the server over the wire. Where it demands a login,
        C(auth=scram) logs in with the connection string in C(credentials_file), a root-only file on the target, and
        C(auth=client) asks through mongosh.
      - V(oom_kills) takes C(unit), C(window) and C(cursor) and counts processes the kernel killed for want of memory.
      - V(process) takes C(unit), C(exe), C(user) and C(sample) and looks at the main process and for copies outside
        the unit.
      - V(reclaimable) takes C(path), C(free_percent), C(free_bytes), C(free_inodes_percent), C(policy), C(roots),
        C(protect), C(evidence_since), C(again), C(reopen) and C(report) and tells what
        M(ops.runbook.disk_reclaim) would give back.
      - V(systemd_unit) takes C(unit), C(cursor) and C(baseline), a service with whose baseline the unit's definition is
        compared, and gives what systemd knows.
      - V(tcp_port) takes C(port), C(host) and C(unit) and gives the listener and whether a connection gets through.
      - V(unix_socket) takes C(path) and tells whether somebody listens on a socket file or a crash left it behind.
      - C(unit) may be a list of names, such as C([mongod, mongodb]). The first one that exists is taken.
    type: dict
    required: true
  thresholds:
    description:
      - Rules from the inventory by check, each with the lists C(warning) and C(critical) or one of them.
      - Each list replaces the check's own list of that level.
    type: dict
    default: {}
  target:
    description: What is looked at, such as V(db1/mongodb). By default the host's name in the inventory.
    type: str
  deep:
    description:
      - Also run the checks that say C(cost=deep). With O(stable_for) in the looks that begin and end the time of being
        well, not in those between, which only see that nothing breaks.
    type: bool
    default: false
  cursors:
    description:
      - RV(cursors) of an earlier call. The checks named there count only what came after it.
      - Without it a log check counts in its window, so that old lines would keep a cured service red.
    type: dict
    default: {}
  baseline:
    description: RV(document) of an earlier call. The service is stable only while no check is graver than it was there.
    type: dict
  stable_for:
    description:
      - Look again and again until the document has been V(ok) or V(warning) for so many seconds without a break, with
        the same main processes and no restart counted.
      - V(0) looks once.
    type: float
    default: 0
  timeout:
    description: Seconds after which it stops waiting for O(stable_for).
    type: float
    default: 120
  grace:
    description:
      - With O(stable_for), give up early when the target was not once well within this many seconds. V(0) waits for
        O(timeout).
    type: float
    default: 0
  interval:
    description:
      - Seconds from one look to the next. Until it has been well once, the first ones come sooner; the last one comes
        when O(stable_for) is over.
    type: float
    default: 2
extends_documentation_fragment:
  - ops.runbook.attributes
notes:
  - A wrong check or threshold is refused in one line before the target is touched.
  - What the target's user may not see is named in C(missing) of the check, and everything else is still measured.
seealso:
  - module: ops.runbook.cause_diagnosis_info
author:
  - The ops_runbook authors (@ops-runbook)
"""

EXAMPLES = r"""
- name: Look at MongoDB
  ops.runbook.health_probe:
    target: "{{ inventory_hostname }}/mongodb"
    checks:
      unit:
        type: systemd_unit
        unit: [mongod, mongodb]
      port:
        type: tcp_port
        port: 27017
        unit: [mongod, mongodb]
      ping:
        type: mongodb
        database: recommendation
        collection: user_candidate
      disk:
        type: disk
        path: /var/lib/mongo
        warning: [{metric: used_percent, operator: ">", value: 80, unit: percent}]
        critical: [{metric: available_bytes, operator: "<", value: 2, unit: GiB}]
        expect: fstype != 'tmpfs'
    thresholds:
      disk:
        warning: [{metric: used_percent, operator: ">", value: 70, unit: percent}]
  register: before

- name: Prove that it stays well for a minute after the remedy
  ops.runbook.health_probe:
    target: "{{ inventory_hostname }}/mongodb"
    checks:
      unit:
        type: systemd_unit
        unit: mongod
      log:
        type: log
        path: /var/log/mongodb/mongod.log
        patterns:
          no_space: no space left on device|database or disk is full
    baseline: "{{ before.document }}"
    cursors: "{{ before.cursors }}"
    stable_for: 60
    timeout: 180
  register: after
  failed_when: not after.stable
"""

RETURN = r"""
document:
  description: The probe document.
  returned: success
  type: dict
  contains:
    schema:
      description: The document's shape, V(ops.runbook/probe/1).
      type: str
    target:
      description: What was looked at.
      type: str
    taken_at:
      description: When, RFC 3339 UTC, by the target's clock.
      type: str
    status:
      description: The gravest status of the checks.
      type: str
    checks:
      description:
        - The checks by name.
        - Each has C(type), C(status), C(summary) (one line), C(data) (the measurement), C(missing) (fields that could
          not be determined), C(took_ms), and C(threshold) (the rule that decided, or empty).
      type: dict
  sample:
    schema: ops.runbook/probe/1
    target: db1/mongodb
    taken_at: "2026-01-05T02:00:07.000Z"
    status: critical
    checks:
      disk:
        type: disk
        status: critical
        summary: used 97 % of /var/lib/mongo
        data: {path: /var/lib/mongo, used_percent: 97}
        missing: []
        took_ms: 0.4
        threshold: {metric: used_percent, operator: ">", value: 85, unit: percent}
message:
  description: The document in one line.
  returned: success
  type: str
  sample: "db1/mongodb is critical: unit: mongod.service failed: signal KILL"
cursors:
  description: What to give as O(cursors) to count from now on, by check.
  returned: success
  type: dict
stable:
  description: Whether it was well for O(stable_for), or with V(0) whether it is well now.
  returned: success
  type: bool
stable_seconds:
  description: For how many seconds it was well without a break at the end.
  returned: success
  type: float
probes:
  description: How often it looked.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.probe import run
from ansible_collections.ops.runbook.plugins.module_utils.specs.health_probe import ARGUMENT_SPEC, RULES

PACKED = False
if PACKED:  # Ansible packs what it sees imported; probe.run imports only the collectors that the checks name
    # pylint: disable=unused-import
    from ansible_collections.ops.runbook.plugins.module_utils.collectors import (  # noqa: F401
        backup_age,
        command,
        deleted_open,
        descriptors,
        disk,
        dns,
        file,
        journal,
        lease,
        log,
        memory,
        mongodb,
        oom_kills,
        process,
        reclaimable,
        systemd_unit,
        tcp_port,
        unix_socket,
    )


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
