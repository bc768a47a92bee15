# SPDX-License-Identifier: BSD-2-Clause
"""All that is seen of a filesystem that is short of room, before anything is done about it."""

from __future__ import annotations

from . import disk_growers as growers
from . import disk_open, disk_release, disk_state
from .amounts import size_text
from .disk_room import after, percent
from .disk_survey import Survey
from .errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .disk_policy import Policy, Wanted
    from .disk_release import Release
    from .disk_room import Filesystem
    from .disk_survey import Candidate
    from .host import Host


class Look:
    """What may be done about a filesystem.

    Attributes:
        policy, filesystem, room (as at the look) and now (epoch seconds).
        survey: What may be deleted.
        opened: What is open on the host.
        releases: Services that may be told to let go of deleted files.
        last: The last reclaim, or None.

    Raises:
        CannotLook: It took longer than `seconds`.
        PermissionError: This user may not read the note of the last reclaim.
        Refused: That note is damaged.
    """

    def __init__(self, host: Host, policy: Policy, filesystem: Filesystem, now: float, seconds: float) -> None:
        self.policy, self.filesystem, self.now = policy, filesystem, now
        self.room = filesystem.room()
        self.opened = disk_open.look(filesystem.device)
        self.survey = Survey(policy, filesystem, self.opened, now, seconds)
        self.releases, unable = disk_release.able(host, disk_release.plan(policy, self.opened.deleted))
        for one in unable:
            self.survey.omit(one["path"], one["reason"])
        self.last = disk_state.read(filesystem)

    def releasable(self) -> tuple[int, int]:
        """(bytes, inodes) that services may give back."""
        return freed_by(self.releases)

    def deletable(self) -> tuple[int, int]:
        """(bytes, inodes) that files give back which may be deleted."""
        return freed_with(self.survey.candidates)

    def reachable(self, deleting: bool = True) -> bool:
        """Whether all that may go makes enough room, by its sum."""
        room = after(self.room, *self.releasable())
        room = after(room, *self.deletable()) if deleting else room
        return self.policy.wanted.missing(room) == (0, 0)

    def planned(self, deleting: bool) -> tuple[list[Release], list[Candidate]]:
        """What would be done, in order, until there is enough room by its sum."""
        room, releases, candidates = self.room, [], []
        for release in self.releases:
            if self.policy.wanted.missing(room) == (0, 0):
                break
            releases.append(release)
            room = after(room, *freed_by([release]))
        for one in self.survey.candidates if deleting else []:
            if self.policy.wanted.missing(room) == (0, 0):
                break
            candidates.append(one)
            room = after(room, one.bytes, 1)
        return releases, candidates

    def folders(self, seconds: float) -> list[growers.Folder]:
        """The fullest folders as they are now."""
        return growers.measure(self.filesystem, self.now, seconds)

    def growers(self, folders: list[growers.Folder], most: int) -> list[dict[str, Any]]:
        """[{directory, bytes, bytes_per_hour}] of them, what grows fastest first."""
        before = self.last["directories"] if self.last else {}
        return growers.views(folders, before, self.last["hours"] if self.last else 0.0)[:most]


def freed_by(releases: list[Release]) -> tuple[int, int]:
    """(bytes, inodes) that come back when services let go."""
    files = {held["identity"]: held["bytes"] for one in releases for held in one.files}
    return sum(files.values()), len(files)


def freed_with(candidates: list[Candidate]) -> tuple[int, int]:
    """(bytes, inodes) that come back when files are deleted."""
    return sum(one.bytes for one in candidates), len(candidates)


def demand_sight(look: Look) -> None:
    """Refuse where a process could not be looked into: nobody knows which files it has open."""
    if look.opened.blind:
        pid = look.opened.blind[0]
        hint = "Give the user the rights of root on the host: ls -l /proc/%d/fd" % pid
        raise Refused("what process %d has open cannot be seen, and it may be any file" % pid, "/proc", hint)


def shortage(wanted: Wanted, room: dict[str, int], where: str) -> str:
    """What is free and what is missing, such as `4.1 % of /srv is free (41.0 MB), 200.0 MB is wanted`."""
    missing, inodes = wanted.missing(room)
    share = percent(room["available"], room["used"] + room["available"])
    told = "%g %% of %s is free (%s)" % (share or 0, where, size_text(room["available"]))
    if missing:
        told += ", %s is wanted" % size_text(room["available"] + missing)
    if wanted.inodes_percent and room["inodes"]:
        told += ", %g %% of its inodes" % (percent(room["inodes_free"], room["inodes"]) or 0)
        told += ", %g %% is wanted" % wanted.inodes_percent if inodes else ""
    return told


def grower_text(rows: list[dict[str, Any]]) -> str:
    """The first growers in one line."""
    said = []
    for row in rows[:3]:
        rate = size_text(abs(row["bytes_per_hour"]))
        said.append(
            "%s %s (%s%s an hour)"
            % (row["directory"], size_text(row["bytes"]), "-" if row["bytes_per_hour"] < 0 else "+", rate)
        )
    return ", ".join(said)
