#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count in logs: how often, how fast, how long, in one pass."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_stats_info
short_description: Counts, rates and percentiles of text and JSON logs
version_added: "0.1.0"
author:
  - The ops_runbook authors (@ops-runbook)
description:
  - Reads each log once, and in that one pass counts lines, sums up numbers and groups values, however many are asked
    for. A C(grep) or C(jq) for each of them is what this replaces.
  - In a window of time, or since an earlier answer. Rotated files belong to a log, compressed ones too.
  - A log that is missing is not a quiet one. What concerns it is null, and named in RV(missing). The same holds where
    lines that match carry no time although a window was asked for.
  - A log that grows is read as far as it went at the start, and to the end of a whole line. What comes after belongs
    to the next call with RV(cursors).
  - The time of a text line is read at its beginning, as RFC 3339 and its relatives, as web servers write it in
    brackets, or as syslog does. The time of a JSON line is its first field C(timestamp), C(@timestamp), C(time),
    C(ts), C(datetime) or C($date) that holds one. A line without a time has that of the line before it.
  - Memory is bounded. A line is looked at up to 1 MiB, and what many different values do is told under RV(values) and
    RV(groups).
  - Lines and values that are returned have what looks like a secret replaced by C(***).
  - A file of more than 64 MiB is read by two processes, its halves side by side, where a core has nothing to do.
options:
  paths:
    description:
      - The logs, as absolute paths. A name with C(*), C(?) or C([]) is a pattern, where no file has just that name.
      - A pattern that matches nothing counts as a missing log.
    type: list
    elements: str
    required: true
  rotated:
    description:
      - Also read what was rotated away from a log, the oldest first. That are files in its folder with the log's
        name and C(.1), C(-20260101), C(.2026-01-05T02-00-07) and the like, and perhaps C(.gz), C(.bz2), C(.xz) or
        C(.zst).
      - C(.zst) needs the program C(zstd) on the target.
    type: bool
    default: true
  format:
    description:
      - V(json) has one object on a line. The name of a compose service before it, as in C(web | {}), is left out.
      - V(auto) means V(json) when one of the first lines is an object.
    type: str
    choices: [auto, text, json]
    default: auto
  time_field:
    description: The field that holds the time of a JSON line, where it has another name.
    type: str
  since:
    description:
      - Only lines written at this time or later. Seconds back, such as V(3600), or RFC 3339.
      - Of a large log in the order of time only what is needed is read. That order is checked at 32 places. Lines
        may be out of order by a minute.
    type: str
  until:
    description: Only lines written before this time. Seconds back, or RFC 3339.
    type: str
  cursors:
    description:
      - RV(cursors) of an earlier answer. Counts only what was written since, also when the log was renamed, copied and
        truncated, or compressed meanwhile, or when a program wrote on to a file that had been renamed.
      - A log without a cursor is read as a whole.
    type: dict
  counts:
    description:
      - Lines to count, by name. Each has one of C(contains) (a text), C(pattern) (a regular expression of Python,
        found anywhere in the line) and C(where), or none of them for all lines.
      - >-
        C(where) is a mapping of fields of JSON lines to what they must be, such as C({level: ERROR}). A list means one
        of its values. A text may begin with C(==), C(!=), C(>), C(>=), C(<) or C(<=), such as C("> 50"). Numbers and
        texts of the same number are equal. C("!= null") asks only that the field is there. C(a.b) is the field C(b) in
        C(a).
      - C(ignore_case) (default false) treats upper and lower case alike, in C(contains) for ASCII letters.
      - C(tail) (default 1) is how many of the last matching lines are returned, at most 100.
      - C(path), one of O(paths), counts in that log alone.
    type: dict
    default: {}
  values:
    description:
      - Numbers to sum up, by name. Each has C(field), perhaps with C(where), or a C(pattern) with one group, perhaps
        with C(ignore_case). A text that is a number counts as one.
      - C(percentiles) is by default C([50, 95, 99]). C(buckets) is a list of bounds, such as C([25, 50]).
      - C(path) as for O(counts).
    type: dict
    default: {}
  groups:
    description:
      - Values to count one by one, the most frequent first, by name. Each has C(field), perhaps with C(where), or a
        C(pattern) with one group, perhaps with C(ignore_case).
      - C(top) (default 10) is how many are returned, at most 1000.
      - C(path) as for O(counts).
    type: dict
    default: {}
  ratios:
    description: Percentages, by name. Each has C(part) and C(whole), names of O(counts).
    type: dict
    default: {}
  timeout:
    description: Seconds after which it gives up.
    type: float
    default: 300
extends_documentation_fragment:
  - ops.runbook.attributes
seealso:
  - module: ops.runbook.health_probe
"""

EXAMPLES = r"""
- name: See how the batch did since yesterday
  ops.runbook.log_stats_info:
    paths: [/var/log/batch/candidate_generation.log]
    since: "86400"
    counts:
      bad:
        pattern: ERROR|CRITICAL
      error:
        contains: error
        ignore_case: true
        tail: 20
      completed:
        contains: BATCH PROCESS COMPLETED SUCCESSFULLY
      failed:
        contains: BATCH PROCESS FAILED
    values:
      duration:
        pattern: 'Total duration: ([\d.]+)'
  register: batch
  failed_when: (batch.counts.completed.age_seconds or 1e9) > 25 * 3600 or batch.counts.bad.count > 10

- name: Sum up the requests of the analysis service in the last five minutes
  ops.runbook.log_stats_info:
    paths: [/opt/3gpp-analysis/logs/app.log]
    format: json
    since: "300"
    counts:
      requests:
        where: {status: "!= null"}
      errors:
        where: {status: error}
      slow:
        where: {execution_time_ms: "> 50"}
    ratios:
      error_rate: {part: errors, whole: requests}
    values:
      execution_time_ms:
        field: execution_time_ms
        percentiles: [50, 95, 99]
        buckets: [25, 50]
    groups:
      error_types:
        field: error_type
        where: {level: ERROR}

- name: Compare two logs, and count only what came since the last time
  ops.runbook.log_stats_info:
    paths: [/var/log/logcaster/access.log, /var/log/logcaster/error.log]
    cursors: "{{ before.cursors }}"
    counts:
      all: {path: /var/log/logcaster/access.log}
      errors: {path: /var/log/logcaster/error.log}
    ratios:
      error_rate: {part: errors, whole: all}
"""

RETURN = r"""
message:
  description: One line for a person.
  returned: always
  type: str
  sample: 48211 lines; requests 48211; errors 434; error_rate 0.9 %
complete:
  description:
    - Whether all that was asked for could be read. When false the counts are what was found, and there may be more.
    - RV(logs[].note) says why.
  returned: always
  type: bool
logs:
  description: The logs, one by one.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: The log. Bytes that are no UTF-8 are escaped.
      type: str
    exists:
      description: Whether it could be looked at.
      type: bool
    format:
      description: V(text) or V(json). Null when nothing was read.
      type: str
    files:
      description:
        - The files that were read, the oldest first. Each has C(path), C(bytes_read) (of text), C(lines) (in the
          window), C(damaged) (it could not be read to its end) and C(note).
      type: list
      elements: dict
    lines:
      description: Lines in the window, or since the cursor.
      type: int
    counts:
      description: The lines that match in this log, by the names under O(counts).
      type: dict
    covered_seconds:
      description: How much of the window the log reaches over. Null where no line says when it was written.
      type: float
    gap:
      description: Whether the file of the cursor is gone, so that lines may not have been seen.
      type: bool
    truncated:
      description: Whether it was truncated while it was read, and no copy of it was found.
      type: bool
    untimed:
      description: Lines whose time cannot be told. With a window they are not counted.
      type: int
    unparsed:
      description:
        - Lines of a JSON log that are no JSON. Lines that no condition needs are only looked at from outside,
          whether they begin and end as an object. Null for text.
      type: int
    cut:
      description: Lines that are longer than 1 MiB.
      type: int
    unfinished_bytes:
      description: Bytes of the last line, which has no end yet. They belong to the next call.
      type: int
    note:
      description: What is wrong with it, or empty.
      type: str
lines:
  description: Lines in the window, of all logs.
  returned: always
  type: int
bytes:
  description: Bytes of text that were read, of all logs.
  returned: always
  type: int
window:
  description:
    - C(since) and C(until) in RFC 3339, or null, and C(covered_seconds), of the log that covers least.
  returned: always
  type: dict
counts:
  description:
    - By name. Each has C(count), C(rate) (lines a second, over what each log covers), C(last) (the last matching
      line, at most 300 characters), C(last_at) (RFC 3339), C(age_seconds) (since then) and C(tail) (the last lines).
    - When nothing matches, C(last), C(last_at) and C(age_seconds) are null. All is null where it is not known.
  returned: always
  type: dict
  sample:
    errors:
      count: 9
      rate: 0.03
      last: "2026-01-05 02:00:07 ERROR portfolio API timed out"
      last_at: "2026-01-05T02:00:07.000Z"
      age_seconds: 17.2
      tail: ["2026-01-05 02:00:07 ERROR portfolio API timed out"]
values:
  description:
    - By name. Each has C(count), C(min), C(max), C(mean), C(sum), C(percentiles), C(buckets) and C(not_numbers)
      (lines whose value is no number).
    - A percentile is the least number that so many percent of all do not exceed. It is exact (C(exact) is true) for
      up to 16384 different numbers. Beyond, it is at most 1 % (C(relative_error)) beside that. All else is always
      exact.
    - A bucket has C(from) (included), C(below), C(count) and C(percent).
  returned: always
  type: dict
  sample:
    execution_time_ms:
      count: 1000
      min: 3.1
      max: 210.0
      mean: 24.0
      sum: 24000.0
      percentiles: {"50": 20.1, "95": 54.2, "99": 80.6}
      exact: true
      relative_error: 0.0
      buckets:
        - {from: null, below: 25, count: 640, percent: 64.0}
        - {from: 25, below: null, count: 360, percent: 36.0}
      not_numbers: 0
groups:
  description:
    - By name. Each has C(count) (lines), C(distinct), and C(top), a list of C(value) (at most 200 characters),
      C(count) and C(percent).
    - Of more than 16384 different values the rarer half is dropped, as often as needed. C(left_out) is how many lines
      that were, and C(short_by) how many lines a count may be short by. C(distinct) is null then.
  returned: always
  type: dict
  sample:
    error_types:
      count: 434
      distinct: 2
      top:
        - {value: TimeoutError, count: 400, percent: 92.2}
        - {value: ValueError, count: 34, percent: 7.8}
      left_out: 0
      short_by: 0
ratios:
  description: Percent, by name. Null when the whole is 0 or one of the two is not known.
  returned: always
  type: dict
  sample: {error_rate: 0.9}
cursors:
  description: What to give as O(cursors) to count from here on, by log.
  returned: always
  type: dict
missing:
  description: What could not be determined, such as V(counts.errors).
  returned: always
  type: list
  elements: str
error:
  description: What is wrong, where, and what to do about it.
  returned: failure
  type: dict
  contains:
    kind:
      description: V(BadInput) or V(CannotLook).
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
from ansible_collections.ops.runbook.plugins.module_utils.errors import join
from ansible_collections.ops.runbook.plugins.module_utils.log_stats import run
from ansible_collections.ops.runbook.plugins.module_utils.specs.log_stats_info import ARGUMENT_SPEC, RULES


def main() -> None:
    """Join the module's work with Ansible."""
    join(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), run)


if __name__ == "__main__":
    main()
