# SPDX-License-Identifier: BSD-2-Clause
"""Which folders of a filesystem hold the most, and how fast they grow: what a person has to look at."""

from __future__ import annotations

import os
import stat
import time

from .names import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .disk_room import Filesystem

MOST = 300000  # names that are looked at
_SHARE = 20  # a folder is told from a twentieth of all on
_HOUR, _DAY = 3600.0, 86400.0


class Folder:
    """A folder and the bytes in it that belong to no folder told on its own.

    path, above (index of the one it lies in, None at the top), bytes, hour and day (written within so long).
    """

    __slots__ = ("above", "bytes", "day", "hour", "path")

    def __init__(self, path: str, above: int | None) -> None:
        self.path, self.above = path, above
        self.bytes = self.hour = self.day = 0

    def take(self, count: int, hour: int, day: int) -> None:
        """Count bytes to it."""
        self.bytes, self.hour, self.day = self.bytes + count, self.hour + hour, self.day + day


def measure(filesystem: Filesystem, now: float, seconds: float) -> list[Folder]:
    """The folders that hold a twentieth or more, each without what is told of those below it; the fullest first.

    It stops after `seconds` or so many names that a person would wait too long, with what it has seen until then.
    """
    walk = _Walk(filesystem, now)
    walk.look(time.monotonic() + seconds)
    return plan_told(walk.folders)


class _Walk:
    """Every folder of a filesystem in `folders`, each after the one it lies in."""

    def __init__(self, filesystem: Filesystem, now: float) -> None:
        self.folders = [Folder(filesystem.mount_point, None)]
        self._filesystem, self._now = filesystem, now
        self._linked: set[int] = set()

    def look(self, until: float) -> None:
        looked = 0
        for at, folder in enumerate(self.folders):  # it grows meanwhile
            try:
                with os.scandir(folder.path) as entries:
                    for entry in entries:
                        looked += 1
                        if looked > MOST or time.monotonic() > until:
                            return
                        self._take(at, entry.path, entry.stat(follow_symlinks=False))
            except OSError:  # gone meanwhile, or not for this user
                continue

    def _take(self, at: int, path: str, seen: os.stat_result) -> None:
        if stat.S_ISDIR(seen.st_mode):
            if seen.st_dev == self._filesystem.device and path not in self._filesystem.mounts:
                self.folders.append(Folder(path, at))
            return
        if seen.st_nlink > 1 and seen.st_ino in self._linked:  # counted already, by another name
            return
        if seen.st_nlink > 1:
            self._linked.add(seen.st_ino)
        size, age = seen.st_blocks * 512, self._now - seen.st_mtime
        self.folders[at].take(size, size if age < _HOUR else 0, size if age < _DAY else 0)


def plan_told(folders: list[Folder]) -> list[Folder]:
    """Those worth telling: from the deepest up, what holds less than a share is counted to the folder above it."""
    least = max(1, sum(folder.bytes for folder in folders) // _SHARE)
    told = []
    for folder in reversed(folders):
        if folder.bytes >= least:
            told.append(folder)
        elif folder.above is not None:
            folders[folder.above].take(folder.bytes, folder.hour, folder.day)
    return sorted(told, key=lambda one: (-one.bytes, one.path))


def views(told: list[Folder], before: dict[str, int], hours: float) -> list[dict[str, Any]]:
    """[{directory, bytes, bytes_per_hour}], what grows fastest first.

    The rate is the difference to the bytes of `before`, so many hours ago. A folder that has none there is said to
    grow by what was written in it within the last hour, else by a twenty-fourth of the last day's: at most by that,
    because nobody knows how large those files were before.
    """
    rows = []
    for one in told:
        rate = float(one.hour or one.day / 24.0)
        if one.path in before and hours >= 0.1:
            rate = (one.bytes - before[one.path]) / hours
        rows.append({"directory": shown(one.path), "bytes": one.bytes, "bytes_per_hour": int(rate)})
    return sorted(rows, key=lambda row: (-int(str(row["bytes_per_hour"])), -int(str(row["bytes"]))))
