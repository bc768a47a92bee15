# SPDX-License-Identifier: BSD-2-Clause
"""One filesystem: how much room it has, which folders are on it, and by what name it is known. Source: statvfs(3)."""

from __future__ import annotations

import os
import stat

from .files import os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Filesystem:
    """The filesystem of an absolute path, held by a descriptor: what is mounted over it later is another one.

    path, mount_point, device (number), identity (text, stable over a remount where the filesystem has an id),
    mounts (every mount point here). close() lets go of it.

    Raises:
        OpsError: There is no such path.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            real = os.path.realpath(path)
            if not stat.S_ISDIR(os.stat(real).st_mode):
                real = os.path.dirname(real)
            self._folder = os.open(real, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self.device = os.fstat(self._folder).st_dev
            self.mounts = mount_points()
        except OSError as error:
            raise os_error(error, path) from None
        self.mount_point = self._mount_of(real)
        raw = os.fstatvfs(self._folder)
        # Old kernels give tmpfs no id; then the device number has to do.
        number = "%d-%d" % (os.major(self.device), os.minor(self.device))
        self.identity = "%x" % raw.f_fsid if raw.f_fsid else number

    def close(self) -> None:
        """Let go of it."""
        os.close(self._folder)

    def room(self) -> dict[str, int]:
        """used, available (to an ordinary user), free (to root; all bytes), inodes, inodes_free, read_only (0 or 1)."""
        raw = os.fstatvfs(self._folder)
        return {
            "used": (raw.f_blocks - raw.f_bfree) * raw.f_frsize,
            "available": raw.f_bavail * raw.f_frsize,
            "inodes": raw.f_files,
            "inodes_free": raw.f_favail,
            "read_only": int(bool(raw.f_flag & os.ST_RDONLY)),
        }

    def holds(self, folder: int, path: str) -> bool:
        """Whether an open folder lies on it, and not behind a bind mount, where its files have another name."""
        return os.fstat(folder).st_dev == self.device and self._mount_of(path) == self.mount_point

    def _mount_of(self, path: str) -> str:
        while path not in self.mounts and path != "/":
            path = os.path.dirname(path)
        return path


def mount_points() -> frozenset[str]:
    """Where something is mounted. Source: proc_pid_mountinfo(5), whose blanks are octal escapes."""
    with open("/proc/self/mountinfo", "rb") as stream:
        return frozenset(os.fsdecode(line.split()[4].decode("unicode_escape").encode("latin-1")) for line in stream)


def after(room: dict[str, int], count: int, inodes: int) -> dict[str, int]:
    """The room as it will be when count bytes and so many inodes are given back."""
    given = {"used": room["used"] - count, "available": room["available"] + count}
    return dict(room, inodes_free=room["inodes_free"] + inodes, **given)


def percent(part: int, whole: int) -> float | None:
    """A share, rounded down to a tenth; None of nothing."""
    return part * 1000 // whole / 10.0 if whole > 0 else None


def view(room: dict[str, int]) -> dict[str, Any]:
    """{size_bytes, available_bytes, free_percent, inodes_free, free_inodes_percent}; percent as df(1) counts them.

    The inodes' are None on filesystems without a fixed number of them.
    """
    whole = room["used"] + room["available"]
    return {
        "size_bytes": whole,
        "available_bytes": room["available"],
        "free_percent": percent(room["available"], whole),
        "inodes_free": room["inodes_free"] if room["inodes"] else None,
        "free_inodes_percent": percent(room["inodes_free"], room["inodes"]),
    }
