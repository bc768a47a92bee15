# SPDX-License-Identifier: BSD-2-Clause
"""A profile of kernel parameters: looked at, planned, applied, read back; one drop-in of its own.

Here is what a call plans; `sysctl_apply` writes, `sysctl_back` puts back, and `sysctl_job` is what all three work on.
Those two are imported when needed: compiling them would cost each call a millisecond.
"""

from __future__ import annotations

import errno
import os

from .errors import BadInput, OpsError, Refused
from .files import os_error
from .locks import mutex
from .managed_file import FilePlan, snapshot
from .statuses import counted
from .sysctl_files import demand_writable, look, overrider, parse_conf, said_after
from .sysctl_job import Job, WithoutIt, answer_of
from .sysctl_keys import EXCLUSIVE
from .sysctl_plan import PROBLEMS, decide, follow, followers, parse_key, parse_settings, render, same
from .sysctl_state import kept_entries, parse_state, render_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .sysctl_plan import Entry

_SMALL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_RUN = _SMALL | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ@.")


def late(params: dict[str, Any]) -> list[str]:
    """The module_utils that a call with these params may import late."""
    return ["sysctl_apply", "sysctl_back", *(["lease"] if params.get("lease") else [])]


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Apply a profile, or take it away.

    Returns:
        changed, changes, undo, message, keys ({key: {before, wanted, after, status, note}}), file (the drop-in).

    Raises:
        BadInput, Refused: Nothing was written.
        OpsError: The kernel or a filesystem said no on the way; what had been written is put back, else named.
    """
    refusals: dict[str, str] = {}
    while True:  # each turn knows one more optional key that the kernel refuses
        job = Job(params, refusals)
        try:
            _demand_names(params)
            with mutex(os.path.dirname(job.state_file)):
                _plan(job)
                if not check and job.differs:
                    from .sysctl_apply import carry_out

                    carry_out(job)
            return _answer(job)
        except WithoutIt:
            continue
        except OpsError as error:
            from .sysctl_back import failed

            error.result = dict(failed(job), message=str(error))
            raise


def _demand_names(params: dict[str, Any]) -> None:
    """What becomes part of a path must be harmless there."""
    name, run_id = params["name"], params["run_id"] or "standalone"
    if not 1 <= len(name) <= 64 or name[0] in "_-" or not _SMALL.issuperset(name):
        hint = "Use up to 64 of a-z, 0-9, _ and -, beginning with a letter or digit."
        raise BadInput("%r cannot be the name of a profile" % name, "name", hint)
    if len(run_id) > 100 or run_id[0] in ".-" or not _RUN.issuperset(run_id):
        raise BadInput("%r cannot be the id of a run" % run_id, "run_id", "Use letters, digits and @ . _ - only.")


# ---- planning


def _plan(job: Job) -> None:
    """What becomes of each key, and of the two files.

    Raises:
        BadInput: The profile makes no sense.
        Refused: A key that is not optional cannot be set, or a file of ours is not as it was left.
    """
    params = job.params
    entries = parse_state(snapshot(job.state_file)[1], job.state_file)
    if params["state"] == "present":
        if not params["settings"] or not isinstance(params["settings"], dict):
            raise BadInput("names no kernel parameter", "settings", "Name some, or set state: absent.")
        job.keys = parse_settings(params["settings"], params["optional"] or ())
        _look_at_wanted(job, entries)
        _look_at_followers(job, entries)
    if not set(entries) <= {key.name for key in job.keys}:
        from .sysctl_back import look_at_dropped

        look_at_dropped(job, entries)
    problems = [key for key in job.keys if key.status in PROBLEMS and not key.optional]
    if problems:
        from .sysctl_back import problem

        raise problem(job, problems, Refused)
    job.dropin = job.plan_file(job.file, render(params["name"], job.state_file, job.keys))
    _find_starts(job)
    job.state = job.plan_file(job.state_file, render_state(kept_entries(job.keys, False)), "0600")
    for plan in (job.dropin, job.state):
        _demand_room(plan)


def _look_at_wanted(job: Job, entries: dict[str, Entry]) -> None:
    lowering = {parse_key(one) for one in job.params["allow_lowering"] or ()}
    later = said_after(os.path.basename(job.file))
    for key in job.keys:
        look(key)
        if key.live is None:
            continue
        key.entry = entries.get(key.name)
        key.original = key.entry["before"] if key.entry and key.ours else key.live
        decide(key, key.name in lowering)
        other = overrider(key.name, str(key.target), later) if key.kept else ""
        if key.name in job.refusals:
            key.leave("refused_by_kernel", job.refusals[key.name])
        elif other:
            key.leave("overridden", "%s, and is read later" % other)
        elif key.differs:
            demand_writable(key)


def _look_at_followers(job: Job, entries: dict[str, Entry]) -> None:
    for key, leader in followers(job.keys):
        if key.name in job.refusals:
            continue
        look(key)
        if key.live is not None:
            key.entry = entries.get(key.name)
            key.original = key.entry["before"] if key.entry and key.ours else key.live
            if follow(key, leader):
                job.keys.append(key)


def _find_starts(job: Job) -> None:
    """What undo puts back: the live value, unless a call that was killed had already set it.

    Such a call is known by a drop-in that is still to be written: that comes after the kernel's values.
    """
    told = {name for _line, name, _value in parse_conf((job.dropin.before or b"").decode("utf-8", "backslashreplace"))}
    told |= {name for pair in EXCLUSIVE if not told.isdisjoint(pair) for name in pair}
    for key in job.keys:
        key.start, entry = key.live, key.entry
        if entry is None or key.live is None or key.status in PROBLEMS or not job.dropin.differs:
            continue
        if "start" in entry and any(same(key.live, value) for value in entry.values()):
            key.start = entry["start"]
        elif key.ours and key.name not in told:
            key.start = entry["before"]


def _demand_room(plan: FilePlan) -> None:
    """See before the first write whether the last one is possible."""
    folder = os.path.dirname(plan.path)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if plan.differs and not os.access(folder, os.W_OK):
        read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        raise os_error(OSError(errno.EROFS if read_only else errno.EACCES, ""), plan.path)


# ---- the answer


def _answer(job: Job) -> dict[str, Any]:
    moved = [(key, str(key.start), str(key.target)) for key in job.keys if key.start != key.target]
    said = counted(key.status for key in job.keys)
    done = "" if job.params["state"] == "present" else " taken away"
    message = "profile %s%s: %s" % (job.params["name"], done, said or "nothing of it is here")
    return answer_of(job, [job.dropin, job.state], moved, message)
