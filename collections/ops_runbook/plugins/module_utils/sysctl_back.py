# SPDX-License-Identifier: BSD-2-Clause
"""What goes back to what it was: keys that a profile does not name any more, and what a failing call has written."""

from __future__ import annotations

import os

from .errors import OpsError
from .files import account_ids, replace_file, resolved
from .managed_file import remove_file, shown, snapshot
from .sysctl_files import demand_writable, look, now, overrider, said_after, write_live
from .sysctl_job import answer_of
from .sysctl_plan import Key, key_of, matches, rank, same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .managed_file import FilePlan
    from .sysctl_files import Said
    from .sysctl_job import Job
    from .sysctl_plan import Entry

_HINTS = {
    "unknown_key": "correct the name",
    "not_namespaced": "set it on the machine that runs this container",
    "refused_by_kernel": "write what the kernel takes",
    "overridden": "take it out of that file",
}


# ---- keys that the profile does not name any more


def look_at_dropped(job: Job, entries: dict[str, Entry]) -> None:
    """Add what an earlier call set and this one does not name."""
    dropped = [name for name in entries if name not in {key.name for key in job.keys}]
    dropped.sort(key=lambda name: (rank(name) + 1) % 4)  # what was limited by others makes way for them first
    patterns = [key_of(one) for one in job.params["optional"] or ()]
    others = said_after("", without=os.path.basename(job.file))
    for name in dropped:
        key = Key(name, None, matches(name, patterns))
        job.keys.append(key)
        look(key)
        key.entry, key.original = entries[name], entries[name]["before"]
        _give_back(key, others)
        if key.name in job.refusals:
            key.leave("refused_by_kernel", job.refusals[key.name])
        elif key.differs:
            demand_writable(key)


def _give_back(key: Key, others: tuple[Said, Said]) -> None:
    live = key.live
    if live is None:
        key.leave("left", "is not there any more")
    elif same(live, str(key.original)):
        key.status, key.target = "already", live
    elif not key.ours:
        key.leave("left", "somebody has set it since, so it stays")
    elif any(key.name in one for one in others) and not overrider(key.name, live, others):
        where = next(one[key.name][0] for one in others if key.name in one)
        key.leave("left", "%s sets it too, so it stays" % where)
    else:
        key.status, key.target, key.note = "applied", key.original, "put back to what it was before the profile"


# ---- a call that fails


def problem(job: Job, keys: list[Key], kind: type[OpsError]) -> OpsError:
    """The error that names each of the keys, what is wrong with it, and the next step."""
    words = "; ".join("%s (%s): %s" % (key.name, key.status, key.note) for key in keys)
    hints = list(dict.fromkeys(_HINTS[key.status] for key in keys))
    hint = "%s, or name it in optional." % "; ".join([hints[0].capitalize(), *hints[1:]])
    what = "%d of %d kernel parameters cannot be set: %s" % (len(keys), len(job.keys), words)
    return kind(what, "profile %s" % job.params["name"], hint)


def put_back(job: Job) -> str:
    """Undo what this call has written, the last first; what is left of it, in words."""
    stuck = []
    for plan in reversed(job.done):
        try:
            if plan is None:
                _untell(job)
            else:
                _restore(plan)
        except OpsError as error:
            stuck.append("%s (%s)" % (plan.path if plan else "the kernel", error.what))
    return "; ".join(stuck)


def _restore(plan: FilePlan) -> None:
    """The file as it was before the call; nothing is kept aside, since a full disk may be why this is done."""
    before, after = plan.changes[0]["before"], plan.changes[0]["after"]
    if shown(snapshot(plan.path)[0]) != after:
        return
    if before:
        ids = account_ids(before["owner"], before["group"])
        replace_file(resolved(plan.path), plan.before or b"", int(before["mode"], 8), *ids)
    else:
        remove_file(plan.path)


def _untell(job: Job) -> None:
    """Every key as it was before the call, those too that only followed another one."""
    for _turn in range(2):  # the second is for what the first has changed, or made possible
        for key, _value in _strayed(job):
            _write(key.name, str(key.live))
    for name, pair in job.along.items():
        if pair["before"] is not None and now(name) != pair["before"]:
            _write(name, pair["before"])
    stuck = _strayed(job)
    if stuck:
        raise OpsError(", ".join("%s is %s, was %s" % (key.name, value, key.live) for key, value in stuck))


def _write(name: str, value: str) -> None:
    try:
        write_live(name, value)
    except OSError:  # the look afterwards names it
        return


def _strayed(job: Job) -> list[tuple[Key, str]]:
    """The keys that are not as they were before the call, and what they are."""
    found = [(key, now(key.name)) for key in job.keys if key.live is not None]
    return [(key, value) for key, value in found if value is not None and value != key.live]


def failed(job: Job) -> dict[str, Any]:
    """The answer of a call that failed: everything is as it was, but for what could not be put back."""
    moved = [(key, str(key.live), value) for key, value in (_strayed(job) if job.done else ())]
    files = [plan for plan in job.done if plan and shown(snapshot(plan.path)[0]) == plan.changes[0]["after"]]
    stuck = {key.name: value for key, _before, value in moved}
    for key in job.keys:
        if key.differs and key.name not in stuck:
            key.status, key.note = "left", "as it was, because the call failed"
        key.target = stuck.get(key.name, key.live)
    return answer_of(job, files, moved, "")
