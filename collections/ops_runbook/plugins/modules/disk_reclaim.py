#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a full filesystem room again by policy, without touching data."""

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_reclaim
short_description: Give a full filesystem room again by policy, without touching data
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Works only on the filesystem of O(path), and only while less is free than is wanted. After each file it measures
    again, so that no more is deleted than needed.
  - First it tells the services in O(reopen) to open their logs anew, if they hold deleted files, and proves that they
    let go. Then files go that have expired by O(policy), always in the same order. Package caches come first, then
    rotated logs, archived journals, temporary files and dumps, and of each the oldest first.
  - Databases, write-ahead logs, uploads, backups, images and volumes of containers, audit trails and the state of this
    library are protected data. No policy can name them. See C(module_utils/disk_protected.py) for the list.
  - A file that any process has open or mapped, that was written since O(evidence_since), that has several names, or
    that is a symbolic link is never touched. A log goes only when its name says that it was rotated (V(.3),
    V(-20260105), V(.2026-01-05), each perhaps compressed). The newest dump of each pattern stays.
  - Each file is deleted through the folder it was seen in, and only while it is the very file that was looked at.
  - When all that may go is not enough, it goes all the same, because it has expired. The module then fails and names
    the folders that grow. Where nothing may go, nothing is changed.
  - A filesystem that is short of room again within a day after files were deleted is left to a person, see O(again).
    So is a host with a hold, C(/var/lib/ops-runbook/hold).
extends_documentation_fragment:
  - ops.runbook.changing
attributes:
  check_mode:
    details:
      - RV(changes), RV(candidates) and RV(kinds) are those of a real run at this moment. RV(filesystem) and
        RV(freed_bytes) are forecast by the sizes of the files.
      - The lease is not looked at, because none is taken in check mode.
options:
  path:
    description:
      - A path on the filesystem that is short of room.
    type: str
    required: true
  free_percent:
    description:
      - Percent that ought to be free of what an ordinary user may use, as C(df) counts it.
    type: float
  free_bytes:
    description:
      - How much ought to be free, such as V(10GB) or V(512MiB).
    type: str
  free_inodes_percent:
    description:
      - Percent of the inodes that ought to be free. Has no effect on filesystems without a fixed number of them.
    type: float
  policy:
    description:
      - What may go. What is not named stays.
      - A pattern is absolute, has no C(..), lies below C(/var/log), C(/tmp), C(/var/tmp), C(/opt), C(/srv),
        C(/var/crash), C(/var/lib/systemd/coredump) or one of O(roots), and its last part has at least three letters or
        digits besides wildcards. C(*), C(?) and C([...]) stand for part of one name and never match C(/).
      - An age is a number with C(h), C(d), C(w) or C(min), at least V(1h), and counts from the last write.
    type: dict
    required: true
    suboptions:
      package_caches:
        description:
          - Packages that C(apt), C(dnf) or C(yum) fetched more than an hour ago, unless one of them is at work.
        type: bool
        default: false
      rotated_logs:
        description: Rotated log files.
        type: list
        elements: dict
        suboptions:
          paths:
            description: Patterns, such as V(/var/log/batch/*.log.*).
            type: list
            elements: str
            required: true
          older_than:
            description: Their age, such as V(30d).
            type: str
            required: true
      journal:
        description:
          - Archived files of the journal whose last entry has this age, as long as O(policy.journal.keep) stays.
          - C(journalctl --vacuum-time) is not used. It goes by a file's first entry, and so deletes recent entries of
            a file that was begun long ago.
        type: dict
        suboptions:
          keep:
            description: How much of the journal always stays, such as V(200MB).
            type: str
            required: true
          older_than:
            description: Their age, such as V(7d).
            type: str
            required: true
      temporary:
        description: Temporary files.
        type: list
        elements: dict
        suboptions:
          paths:
            description: Patterns, such as V(/tmp/candidate_results_*).
            type: list
            elements: str
            required: true
          older_than:
            description: Their age, such as V(7d).
            type: str
            required: true
          recurse:
            description: Also what lies in folders that match, and the folders themselves when nothing stays in them.
            type: bool
            default: false
      dumps:
        description: Core and heap dumps. The newest one of each pattern stays.
        type: list
        elements: dict
        suboptions:
          paths:
            description: Patterns, such as V(/var/crash/*.crash).
            type: list
            elements: str
            required: true
          older_than:
            description: Their age, such as V(7d).
            type: str
            required: true
  roots:
    description:
      - More folders in which patterns of O(policy) may lie. Those of the system are refused.
    type: list
    elements: str
    default: []
  protect:
    description:
      - Patterns of more protected data, such as V(/srv/batch/keep) or V(*.keep). Here C(*) matches C(/) too, and a
        folder protects all below it.
    type: list
    elements: str
    default: []
  evidence_since:
    description:
      - The beginning of the incident. What was written since then is evidence and stays, whatever the policy says.
      - An age such as V(24h), or a time in UTC such as V(2026-01-05T02:00:00Z).
    type: str
    default: 24h
  reopen:
    description:
      - Services that may be told to open their logs anew when they hold deleted files.
      - Only files below the allowed roots that are no protected data, and that nobody else holds. A deleted file of a
        database would be lost for good.
      - A signal is sent to the main process alone, and only if that has a handler for it. A service that waits for the
        signal in another way (C(sigwait), C(signalfd)) takes O(reopen[].reload).
    type: list
    elements: dict
    default: []
    suboptions:
      unit:
        description: The systemd unit.
        type: str
        required: true
      signal:
        description: The signal on which it opens its logs anew. Give this or O(reopen[].reload).
        type: str
        choices:
          - HUP
          - USR1
          - USR2
      reload:
        description: Use C(systemctl reload).
        type: bool
        default: false
  report:
    description:
      - Most rows of RV(candidates), RV(deleted_open) and RV(growers).
    type: int
    default: 20
  again:
    description:
      - Delete although files were deleted on this filesystem within a day. A person has seen why it is full again.
    type: bool
    default: false
notes:
  - Needs root, because only root sees which files are in use. Where it cannot see that either, it refuses.
  - It works on a filesystem without a free byte or inode. The note of the reclaim in
    C(/var/lib/ops-runbook/reclaim) is written when there is room.
seealso:
  - module: ops.runbook.health_probe
"""

EXAMPLES = r"""
- name: Free a fifth of the filesystem of the batch logs
  ops.runbook.disk_reclaim:
    path: /var/log/batch
    free_percent: 20
    policy:
      rotated_logs:
        - paths: [/var/log/batch/*.log.*]
          older_than: 30d
      temporary:
        - paths: [/tmp/candidate_results_*]
          older_than: 7d

- name: Let the log collector give back what it holds, and free 10 GB
  ops.runbook.disk_reclaim:
    path: /var/log
    free_bytes: 10GB
    free_inodes_percent: 10
    policy:
      package_caches: true
      journal: {keep: 200MB, older_than: 7d}
      dumps:
        - paths: [/var/crash/*.crash, /var/lib/systemd/coredump/core.*]
          older_than: 7d
    reopen:
      - unit: logcaster.service
        signal: HUP

- name: See what could go
  ops.runbook.disk_reclaim:
    path: /
    free_percent: 90
    policy:
      package_caches: true
  check_mode: true
"""

RETURN = r"""
changes:
  description:
    - What was deleted or opened anew, or would be in check mode, in order. After a hundred files the others are told by
      kind.
    - After a failure, what had been done until then.
  returned: always
  type: list
  elements: dict
  sample:
    - object: /var/log/batch/worker.log.31
      before: 41.2 MB, 31 d old
      after: deleted
  contains:
    object:
      description: The file, or the unit.
      type: str
    before:
      description: Its size and age, or what it held.
      type: str
    after:
      description: What became of it.
      type: str
undo:
  description: What was deleted is gone. RV(undo.kind) is always V(none).
  returned: always
  type: dict
  sample:
    kind: none
    reason: what was deleted had expired, and is gone
  contains:
    kind:
      description: V(none).
      type: str
    reason:
      description: Why.
      type: str
message:
  description: One line for a person.
  returned: always
  type: str
  sample: "freed 41.2 MB (1 files deleted): 21.4 % of /var/log is free (2.1 GB)"
reached:
  description: Whether as much is free as is wanted.
  returned: always
  type: bool
filesystem:
  description: The room before and after, or forecast in check mode. Empty where it was not looked at.
  returned: always
  type: dict
  contains:
    before:
      description: C(size_bytes), C(available_bytes), C(free_percent), C(inodes_free) and C(free_inodes_percent).
      type: dict
    after:
      description: The same.
      type: dict
  sample:
    before: {size_bytes: 9900000000, available_bytes: 0, free_percent: 0, inodes_free: 512, free_inodes_percent: 0.1}
    after: {size_bytes: 9900000000, available_bytes: 41, free_percent: 21, inodes_free: 543, free_inodes_percent: 0.1}
freed_bytes:
  description: Bytes of all that was deleted or let go of. What others wrote meanwhile does not count.
  returned: always
  type: int
  sample: 41200000
freed_inodes:
  description: Count of it.
  returned: always
  type: int
  sample: 1
candidates:
  description: What may be deleted by the policy, in order, whether it is needed or not. The first O(report).
  returned: always
  type: list
  elements: dict
  sample:
    - path: /var/log/batch/worker.log.31
      bytes: 41200000
      kind: rotated_logs
      age_seconds: 2678400
  contains:
    path:
      description: The file. What is no text or would break a line is escaped.
      type: str
    bytes:
      description: Bytes on the disk.
      type: int
    kind:
      description: V(package_caches), V(rotated_logs), V(journal), V(temporary) or V(dumps).
      type: str
    age_seconds:
      description: Seconds since its last write. Of a package, since it was fetched.
      type: int
kinds:
  description: C(count) and C(bytes) of all candidates by kind.
  returned: always
  type: dict
  sample:
    rotated_logs: {count: 1, bytes: 41200000}
deleted_open:
  description: Deleted files that processes still hold on this filesystem, the largest O(report), one row a process.
  returned: always
  type: list
  elements: dict
  sample:
    - path: /var/log/logcaster/collected.log
      bytes: 31000000
      pid: 412
      unit: logcaster.service
      command: logcaster
      released_by: systemctl reload logcaster.service, or else systemctl restart logcaster.service
  contains:
    path:
      description: Its last name.
      type: str
    bytes:
      description: Bytes on the disk.
      type: int
    pid:
      description: The process.
      type: int
    unit:
      description: The systemd unit of the process, if it has one.
      type: str
    command:
      description: The name of the process.
      type: str
    released_by:
      description: What would give the room back.
      type: str
growers:
  description:
    - The fullest folders of the filesystem, what grows fastest first. At most O(report).
    - Each is told without what is told of folders below it. Looking stops after 5 seconds or 300000 names.
  returned: always
  type: list
  elements: dict
  sample:
    - directory: /var/log/journal/7de48a352c414bc6a52bc7cf35b3d9f0
      bytes: 4000000000
      bytes_per_hour: 12000000
  contains:
    directory:
      description: The folder.
      type: str
    bytes:
      description: Bytes on the disk.
      type: int
    bytes_per_hour:
      description:
        - The difference to the last reclaim by hours. Without one, what was written within the last hour, else a
          twenty-fourth of the last day, which is the most that it can be.
      type: int
omitted:
  description: What matched the policy and was left alone, and why. At most 200 are listed.
  returned: always
  type: list
  elements: dict
  sample:
    - path: /var/log/batch/worker.log.30
      reason: is in use
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
      description: V(BadInput), V(CannotLook), V(Refused) or V(OpsError).
      type: str
    what:
      description: What is wrong.
      type: str
    where:
      description: The path or option.
      type: str
    hint:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbook.plugins.module_utils.disk_reclaim import run
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.specs.disk_reclaim import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
