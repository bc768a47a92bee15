# SPDX-License-Identifier: BSD-2-Clause
"""Give a full filesystem room again: only by policy, only what is expired, only as much as is wanted, and no data.

Guides S1 114 and 304, S2 329-340, S3 190-196, S4 548-555, S5 526-527 do it by deleting what matches a name.
"""

from __future__ import annotations

import errno
import os
import time

from . import disk_release, disk_state
from .amounts import age_text, size_text
from .disk_look import Look, demand_sight, freed_by, freed_with, grower_text, shortage
from .disk_policy import KINDS, Policy
from .disk_room import Filesystem, after, view
from .disk_survey import identity_of
from .errors import BadInput, OpsError, Refused
from .files import open_path, os_error
from .holds import demand_none
from .host import LocalHost
from .lease import fence
from .names import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .disk_release import Release
    from .disk_survey import Candidate
    from .host import Host

SECONDS = 600  # for all of it
_LOOK, _GROWERS = 240.0, 5.0  # seconds for the survey and for the growers
_SETTLE = 5.0  # seconds: some filesystems give room back a moment after the file is gone
_MOST_CHANGES = 100
_NOTHING = {"kind": "none", "reason": "nothing was changed"}
_GONE = {"kind": "none", "reason": "what was deleted had expired, and is gone"}
_FATAL = (errno.EROFS, errno.EIO)


class Job:
    """What is done about a filesystem, and what came of it: deleted (Candidate), released (Release), folders."""

    def __init__(self, look: Look, params: dict[str, Any]) -> None:
        self.look, self.report = look, params["report"]
        self.deleting = params["again"] or not disk_state.recent(look.last)
        self.deleted: list[Candidate] = []
        self.released: list[Release] = []
        self.room, self.growers = look.room, look.growers(look.folders(_GROWERS), params["report"])

    def enough(self) -> bool:
        """Whether there is as much room as is wanted, measured now."""
        self.room = self.look.filesystem.room()
        return self.look.policy.wanted.missing(self.room) == (0, 0)


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Give a filesystem room.

    Returns:
        changed, changes, undo, message, reached, filesystem ({before, after}), freed_bytes, freed_inodes, candidates,
        kinds, deleted_open, growers, omitted: the same keys on every path.
    """
    return run_on(LocalHost(), params, check)


def run_on(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """As run, where systemctl is run on any host."""
    try:
        return _run(host, params, check)
    except OpsError as error:
        known = {key: error.result.get(key, value) for key, value in _empty().items()}
        error.result = dict(known, message=str(error))
        raise


def _run(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    if os.geteuid() != 0:
        raise Refused("only root sees which files are in use", "user id %d" % os.geteuid(), "Run with become: true.")
    if not params["path"].startswith("/"):
        raise BadInput("%r is not an absolute path" % params["path"], "path", "Begin it with a slash.")
    if params["report"] < 1:
        raise BadInput("%d is no number of rows" % params["report"], "report", "Give 1 or more.")
    now = host.now()
    policy = Policy(params, now)
    filesystem = Filesystem(params["path"])
    try:
        room = filesystem.room()
        if policy.wanted.missing(room) == (0, 0):
            told = "%s: nothing to do" % shortage(policy.wanted, room, filesystem.mount_point)
            return dict(_empty(), message=told, reached=True, filesystem={"before": view(room), "after": view(room)})
        if room["read_only"]:
            hint = "Look why: findmnt -T %s; journalctl -k -n 50" % params["path"]
            raise Refused("the filesystem is mounted read-only", filesystem.mount_point, hint)
        return _reclaim(host, params, Look(host, policy, filesystem, now, _LOOK), check)
    finally:
        filesystem.close()


def _reclaim(host: Host, params: dict[str, Any], look: Look, check: bool) -> dict[str, Any]:
    demand_none()
    demand_sight(look)
    job = Job(look, params)
    releases, candidates = look.planned(job.deleting)
    if not releases and not candidates:
        raise _failure(job)
    if check:
        job.released, job.deleted = releases, candidates
        job.room = after(after(look.room, *freed_by(releases)), *freed_with(candidates))
        return _concluded(job, "")
    with fence(params["lease"], params["run_id"], SECONDS):
        try:
            _act(host, job)
        except OpsError as problem:
            job.enough()
            problem.result = _answer(job)
            raise
        job.enough()
        unnoted = _note(job)
    return _concluded(job, unnoted)


def _act(host: Host, job: Job) -> None:
    """First what costs nothing, then what has expired; each only while there is too little room."""
    for one in job.look.releases:
        if job.enough():
            return
        problem = disk_release.release(host, one, job.look.filesystem.device)
        if problem:
            job.look.survey.omit(one.unit, problem)
        else:
            job.released.append(one)
    if job.released and _settles(job):  # the descriptor is gone before the room is back
        return
    if job.deleting:
        _delete(job)


def _delete(job: Job) -> None:
    expected, settled = job.look.filesystem.room(), False
    for one in job.look.survey.candidates:
        if job.enough():
            return
        if not settled and job.look.policy.wanted.missing(expected) == (0, 0):
            settled = True
            if _settles(job):
                return
        if _remove(job, one):
            job.deleted.append(one)
            expected = after(expected, one.bytes, 1)


def _settles(job: Job) -> bool:
    """Wait for room that is given back late, so that no file more goes for it."""
    until = time.monotonic() + _SETTLE
    while time.monotonic() < until:
        time.sleep(0.1)
        if job.enough():
            return True
    return False


def _remove(job: Job, one: Candidate) -> bool:
    """Delete the very file that was looked at; whatever lies under its name by now is left alone."""
    name, omit = os.path.basename(one.path), job.look.survey.omit
    try:
        folder = open_path(os.path.dirname(one.path))
        try:
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if identity_of(seen) != one.identity or not (one.is_folder or seen.st_nlink == 1):
                omit(one.path, "was replaced or written meanwhile")
                return False
            (os.rmdir if one.is_folder else os.unlink)(name, dir_fd=folder)
        finally:
            os.close(folder)
    except FileNotFoundError:
        omit(one.path, "is gone meanwhile")
        return False
    except OSError as error:
        if error.errno in _FATAL:
            raise os_error(error, one.path) from None
        omit(one.path, "cannot be deleted: %s" % os.strerror(error.errno or 0))
        return False
    return True


def _note(job: Job) -> str:
    """Note the reclaim now that there is room for it; what the folders hold now is what the next one compares with."""
    folders = job.look.folders(_GROWERS)
    job.growers = job.look.growers(folders, job.report)
    directories = {shown(one.path): one.bytes for one in folders}
    return disk_state.write(job.look.filesystem, len(job.deleted), freed_with(job.deleted)[0], directories)


def _concluded(job: Job, unnoted: str) -> dict[str, Any]:
    """The answer, or the failure with all that was done."""
    answer = _answer(job)
    if unnoted:
        answer["message"] += "; this reclaim could not be noted, so that a second one would not be refused: " + unnoted
    if not answer["reached"]:
        raise _failure(job)
    return answer


def _failure(job: Job) -> OpsError:
    look, answer = job.look, _answer(job)
    what = shortage(look.policy.wanted, job.room, look.filesystem.mount_point)
    if not job.deleting and look.last:
        ago = age_text(look.last["hours"] * 3600)
        what += ", although %s were reclaimed %s ago" % (size_text(look.last["freed_bytes"]), ago)
    elif answer["changed"]:
        what += ", and nothing more may go"
    else:
        what += ", and nothing may go by the policy"
    held = disk_release.held_bytes(look.opened.deleted) - freed_by(job.released)[0]
    kept = "; deleted files that are still open hold %s" % size_text(held) if held > 0 else ""
    hint = "Look at what fills it: %s%s" % (grower_text(job.growers) or "nothing is known", kept)
    return (OpsError if answer["changed"] else Refused)(what, "", hint, answer)


def _empty() -> dict[str, Any]:
    return {
        "changed": False,
        "changes": [],
        "undo": _NOTHING,
        "message": "",
        "reached": False,
        "filesystem": {"before": None, "after": None},
        "freed_bytes": 0,
        "freed_inodes": 0,
        "candidates": [],
        "kinds": {kind: {"count": 0, "bytes": 0} for kind in KINDS},
        "deleted_open": [],
        "growers": [],
        "omitted": [],
    }


def _answer(job: Job) -> dict[str, Any]:
    """All that is told, from what was (or would be) done."""
    look, changed = job.look, bool(job.deleted or job.released)
    held, expired = freed_by(job.released), freed_with(job.deleted)
    files = "%d files deleted" % len(job.deleted)
    told = "; ".join(["%s opened its logs anew" % one.unit for one in job.released] + [files] * bool(job.deleted))
    free = shortage(look.policy.wanted, job.room, look.filesystem.mount_point)
    return {
        "changed": changed,
        "changes": [one.change() for one in job.released] + _changes(job.deleted, look.now),
        "undo": _GONE if changed else _NOTHING,
        "message": "freed %s (%s): %s" % (size_text(held[0] + expired[0]), told, free),
        "reached": look.policy.wanted.missing(job.room) == (0, 0),
        "filesystem": {"before": view(look.room), "after": view(job.room)},
        "freed_bytes": held[0] + expired[0],
        "freed_inodes": held[1] + expired[1],
        "candidates": [one.view(look.now) for one in look.survey.candidates[: job.report]],
        "kinds": look.survey.totals(),
        "deleted_open": disk_release.views(look.policy, look.opened, look.releases)[: job.report],
        "growers": job.growers,
        "omitted": look.survey.omitted,
    }


def _changes(deleted: list[Candidate], now: float) -> list[dict[str, Any]]:
    """One for each file; of thousands one for each kind."""
    changes = [
        {
            "object": shown(one.path),
            "before": "%s, %s old" % (size_text(one.bytes), age_text(now - one.used)),
            "after": "deleted",
        }
        for one in deleted[:_MOST_CHANGES]
    ]
    for kind in KINDS:
        more = [one for one in deleted[_MOST_CHANGES:] if one.kind == kind]
        if more:
            before = "%d files, %s" % (len(more), size_text(freed_with(more)[0]))
            changes.append({"object": "more files of kind %s" % kind, "before": before, "after": "deleted"})
    return changes
