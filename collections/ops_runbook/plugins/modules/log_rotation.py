#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotate logs by a policy that loses no line, see that it really runs, and undo it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_rotation
short_description: Rotate logs by a policy that loses no line, and see that it really runs
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Writes one policy as a drop-in of C(logrotate), C(/etc/logrotate.d/NAME). A file of that name that is there already
    is taken over, such as the one of a package. Directives that the policy does not know, and comments, stay as they
    are.
  - The candidate is tried by C(logrotate -d) together with all other files before it is put in place, and again
    afterwards.
  - Refuses what would not work. Logs that another file covers, too, are to C(logrotate) an error, after which it
    rotates neither. In a folder that others may write into it does not work as root. A signal that a service does not
    handle would end it.
  - Where folder and logs belong to one user other than root, C(logrotate) works as that user (directive C(su)).
  - A log is compressed one rotation after it was renamed, because a writer may write into it until it has reopened it.
    With O(reopen.method=copytruncate) it is compressed at once. Lines that are written between the copy and the
    truncation are then lost. Use it only for a writer that cannot reopen.
  - Says whether C(logrotate) is started at all, when it ran last and how that ended, and enables its timer.
extends_documentation_fragment:
  - ops.runbook.changing
attributes:
  check_mode:
    details:
      - RV(changes), RV(undo), RV(findings) and RV(message) are the same as in a real run.
  diff_mode:
    description: Returns details of the change for C(--diff).
    details:
      - The drop-in before and after.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    details:
      - With O(trial) the logs are rotated each time.
    support: partial
options:
  name:
    description:
      - Name of the drop-in in C(/etc/logrotate.d), such as V(batch-logs).
      - Give the name of the file that covers the logs now, and it is changed instead of contradicted.
    type: str
    required: true
  paths:
    description:
      - Globs of the logs, such as V(/var/log/batch/*.log). Needed with O(state=present).
      - They must not match each other's logs, nor what a rotated log is called.
      - With O(state=absent) only the stanza that covers one of these is removed.
    type: list
    elements: str
    default: []
  exclude:
    description:
      - Names that O(paths) would match and that are never rotated, such as V(persistence-*.log). Either a whole name,
        or a beginning, V(*) and the ending that the path has.
      - C(logrotate) knows no exclusion. The globs are written so that they match all other names.
    type: list
    elements: str
    default: []
  roots:
    description: Folders below which logs may lie. No link may lead out of them.
    type: list
    elements: str
    default: [/home, /opt, /srv, /var/log]
  every:
    description:
      - How often a log is rotated. V(hourly) needs a C(logrotate) that is started every hour.
      - One of O(every) and O(size) is needed.
    type: str
    choices: [hourly, daily, weekly, monthly, yearly]
  size:
    description: Rotate a log when it is larger than this, whenever that is. A number of bytes, or such as V(100MiB).
    type: str
  max_size:
    description: Rotate earlier than O(every) says a log that is larger than this.
    type: str
  min_size:
    description: Do not rotate a log that is smaller than this.
    type: str
  keep:
    description: How many rotated logs are kept, from 1 to 3650.
    type: int
    default: 14
  max_age:
    description: Remove rotated logs that are older, in whole days, such as V(30d) or V(8w).
    type: str
  archive:
    description:
      - An existing folder to which rotated logs are copied, with their path, before they are removed. A log that could
        not be copied is kept, and C(logrotate) fails, so that somebody sees it.
      - Rotated logs are then named by date and second, as in C(app.log-20260105-1767571200.gz).
      - What lies in the folder is nobody's to remove but yours.
    type: str
  compression:
    description: What rotated logs are compressed with. The program must be installed.
    type: str
    choices: [gzip, xz, zstd, none]
    default: gzip
  rotate_empty:
    description:
      - Whether empty logs are rotated, too. After a rotation that broke off this loses lines. The log of a writer that
        was not told is empty, and what it writes into would be compressed.
    type: bool
    default: false
  owner:
    description: Owner of the new log. Without it the old one's. Give O(owner) and O(group), or neither.
    type: str
  group:
    description: Group of the new log.
    type: str
  mode:
    description: Octal mode of the new log, in quotes. Others may not write.
    type: str
    default: "0640"
  reopen:
    description: How the writer comes to write into the new log. Needed with O(state=present).
    type: dict
    suboptions:
      method:
        description:
          - V(reload) reloads O(reopen.unit) by systemd.
          - V(signal) sends O(reopen.signal) to the main process of O(reopen.unit).
          - V(command) runs O(reopen.command).
          - V(none) tells nobody, for writers that open the log for each line or each run.
          - V(copytruncate) copies the log and truncates it, for a writer that keeps it open for ever.
        type: str
        choices: [reload, signal, command, copytruncate, none]
        required: true
      unit:
        description: The service that writes.
        type: str
      signal:
        description: V(HUP), V(USR1) or V(USR2). The service must handle it.
        type: str
        default: HUP
      command:
        description: A program with its full path, and its arguments.
        type: list
        elements: str
  directory:
    description: Owner, group and mode that the folders of the logs ought to have. They are mended where they differ.
    type: dict
    suboptions:
      owner:
        description: User name.
        type: str
      group:
        description: Group name.
        type: str
      mode:
        description: Octal mode in quotes, such as V(0755).
        type: str
  schedule:
    description:
      - See that C(logrotate) runs. Its timer is enabled and started where it is not. What else keeps it from running is
        in RV(findings), such as a timer that somebody masked.
    type: bool
    default: true
  trial:
    description:
      - Rotate the logs now, and see that every process that writes into them writes into the new ones.
      - One that does not is named, and the policy is put back. Its lines are in the rotated log, none is lost.
    type: bool
    default: false
  trial_timeout:
    description: Seconds in which writers must have reopened their logs.
    type: float
    default: 10
  kill_switch:
    description: A file on the controller. While it exists nothing is done.
    type: str
    default: /etc/ops-runbook/kill-switch
  state:
    description: V(absent) removes the policy. Rotated logs stay.
    type: str
    choices: [present, absent]
    default: present
notes:
  - P(community.general.logrotate#module) serves better where a file of C(logrotate) is to be written exactly as said,
    with every directive that there is, or on a host that has no C(logrotate) yet. It does not look at writers,
    at other files, or at whether C(logrotate) runs.
seealso:
  - module: ops.runbook.disk_reclaim
  - module: ops.runbook.log_stats_info
"""

EXAMPLES = r"""
- name: Rotate the logs of the batch daily (guide S1, lines 246-262)
  ops.runbook.log_rotation:
    name: batch-logs
    paths: [/var/log/batch/*.log]
    exclude: [disk_usage_*.log]
    every: daily
    keep: 30
    owner: batch
    group: batch
    reopen:
      method: signal
      unit: rsyslog.service
      signal: HUP

- name: Rotate the logs of the collector, but never what recovery needs, and see who follows
  ops.runbook.log_rotation:
    name: logcaster
    paths: [/var/log/logcaster/*.log]
    exclude: [persistence-*.log]
    every: daily
    max_size: 100MiB
    keep: 30
    max_age: 30d
    owner: logcaster
    group: logcaster
    reopen:
      method: reload
      unit: logcaster.service
    directory:
      mode: "0755"
    trial: true
"""

RETURN = r"""
changes:
  description:
    - What was changed, or would be in check mode. Of the drop-in the directives that differ.
  returned: always
  type: list
  elements: dict
  sample:
    - object: /etc/logrotate.d/batch-logs
      before: {rotate: "7"}
      after: {rotate: "30", create: 0640 batch batch}
  contains:
    object:
      description: The drop-in, C(logrotate.timer), owner or mode of a folder, or a log that was rotated.
      type: str
    before:
      description: How it was.
      type: raw
    after:
      description: How it is.
      type: raw
undo:
  description: How to put everything back. RV(undo.kind=none) comes with a reason.
  returned: always
  type: dict
  contains:
    kind:
      description: V(steps), or V(none).
      type: str
    reason:
      description: Why there is nothing to take back.
      type: str
    steps:
      description: In the order in which they are taken.
      type: list
      elements: dict
message:
  description: One line for a person.
  returned: always
  type: str
  sample: "batch-logs: 3 logs; changed"
file:
  description: The drop-in.
  returned: always
  type: str
  sample: /etc/logrotate.d/batch-logs
files:
  description: Logs that the policy covers now. At most 200 are listed.
  returned: always
  type: list
  elements: dict
  sample:
    - path: /var/log/batch/candidate_generation.log
      bytes: 104857600
  contains:
    path:
      description: The log.
      type: str
    bytes:
      description: Its size.
      type: int
omitted:
  description: What O(paths) match and C(logrotate) does not rotate, and why. At most 200 are listed.
  returned: always
  type: list
  elements: dict
  sample:
    - path: /var/log/batch/latest.log
      reason: is a symbolic link
  contains:
    path:
      description: The path.
      type: str
    reason:
      description: Why it is not rotated.
      type: str
findings:
  description: What is wrong on this host, here or elsewhere.
  returned: always
  type: list
  elements: dict
  sample:
    - kind: broken_drop_in
      where: /etc/logrotate.d/other line 3
      what: unknown option 'bogus' -- ignoring line
      hint: "Its owner has to mend it: dpkg -S /etc/logrotate.d/other || rpm -qf /etc/logrotate.d/other"
      blocks: false
  contains:
    kind:
      description:
        - V(covered_twice), V(unsafe_directory) or V(refused) where the policy could not have its effect.
        - V(broken_drop_in) for a mistake in another file.
        - V(not_reopened) for a process that writes into a rotated log after a rotation that broke off, and
          V(left_over) for what such a one left beside the logs.
        - V(not_scheduled), V(not_run), V(failed_run) or V(too_rare) of what starts C(logrotate).
      type: str
    where:
      description: The file and line, the folder or the unit.
      type: str
    what:
      description: What is wrong.
      type: str
    hint:
      description: The next step.
      type: str
    blocks:
      description: Whether the policy could not have its effect. The module then fails and changes nothing.
      type: bool
schedule:
  description: What starts C(logrotate). Null where the call failed before it was looked at.
  returned: always
  type: dict
  contains:
    by:
      description: V(timer), V(cron), or null for nothing.
      type: str
    unit:
      description: The timer, or the service of cron.
      type: str
    enabled:
      description: Whether it starts at boot.
      type: bool
    active:
      description: Whether it runs.
      type: bool
    masked:
      description: Whether somebody masked the timer.
      type: bool
    last_run:
      description: When C(logrotate) last noted its work, RFC 3339. Null for never.
      type: str
    last_result:
      description: How the last run ended, in systemd's word. Null where that is not known.
      type: str
    next_run:
      description: When it runs next, RFC 3339. Null where that is not known.
      type: str
    late:
      description: Whether it has not run for two days.
      type: bool
trial:
  description: What the forced rotation showed. Null without O(trial) and in check mode.
  returned: always
  type: dict
  contains:
    rotated:
      description: "Logs with what they became: C(path), C(to) and C(bytes)."
      type: list
      elements: dict
    writers:
      description: "Processes that had a log open for writing: C(pid), C(command), C(unit), C(path) and C(reopened)."
      type: list
      elements: dict
error:
  description: What is wrong, where, and what to do about it.
  returned: failure
  type: dict
  contains:
    kind:
      description: V(BadInput), V(Refused), V(CannotLook) or V(OpsError).
      type: str
    what:
      description: What is wrong.
      type: str
    where:
      description: The file, folder, unit or option.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.rotation import run
from ansible_collections.ops.runbook.plugins.module_utils.specs.log_rotation import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
