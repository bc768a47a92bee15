# SPDX-License-Identifier: BSD-2-Clause
"""Which files somebody has open, and which of them have no name any more. Source: proc(5).

A file is known by device and inode, so that neither a rename nor another mount namespace hides that it is in use.
"""

from __future__ import annotations

import os
import stat

from .collectors import _proc
from .host import LocalHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MARK = " (deleted)"
_PROC, _LOOPS, _SWAPS = "/proc", "/sys/block", "/proc/swaps"


class Opened:
    """What is open on this host.

    Attributes:
        identities: (device, inode) of every open or mapped file.
        paths: Paths of mapped files, of swap files and of those behind loop devices, which no process has open.
        deleted: [{identity, path, bytes, pid, unit, command}], one for each process that holds a deleted file.
        blind: Ids of processes into which this user may not look; where there are any, nobody can tell what is open.
    """

    def __init__(self) -> None:
        self.identities: set[tuple[int, int]] = set()
        self.paths: set[str] = set()
        self.deleted: list[dict[str, Any]] = []
        self.blind: list[int] = []

    def has(self, path: str, identity: tuple[int, int]) -> bool:
        """Whether a file is in use."""
        return identity in self.identities or path in self.paths


def look(device: int) -> Opened:
    """Look into every process; deleted files are those of the filesystem with this device number."""
    found, host = Opened(), LocalHost()
    for pid in _proc.pids(host):
        try:
            _descriptors(found, host, pid, device)
            _maps(found, pid)
        except _proc.GONE:
            continue
        except PermissionError:
            found.blind.append(pid)
    _held_by_the_kernel(found)
    return found


def _descriptors(found: Opened, host: LocalHost, pid: int, device: int) -> None:
    held = set()
    for name, target in _proc.descriptors(host, pid).items():
        try:
            seen = os.stat(name)
        except _proc.GONE:
            continue
        identity = (seen.st_dev, seen.st_ino)
        found.identities.add(identity)
        deleted = not seen.st_nlink and stat.S_ISREG(seen.st_mode) and target.endswith(_MARK)
        if deleted and seen.st_dev == device and identity not in held:
            held.add(identity)
            who = {"pid": pid, "unit": _proc.unit(host, pid), "command": _proc.command(host, pid)}
            path = target[: -len(_MARK)]
            found.deleted.append(dict(who, identity=identity, path=path, bytes=seen.st_blocks * 512))


def _maps(found: Opened, pid: int) -> None:
    """Mapped files need no descriptor. On an overlay their numbers are not those of stat(2), so paths are kept too."""
    with open("%s/%d/maps" % (_PROC, pid), "rb") as stream:
        lines = stream.read().splitlines()
    for line in lines:
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[4] != b"0":
            major, minor = fields[3].split(b":")
            found.identities.add((os.makedev(int(major, 16), int(minor, 16)), int(fields[4])))
            found.paths.add(os.fsdecode(fields[5].replace(b"\\012", b"\n")))


def _held_by_the_kernel(found: Opened) -> None:
    """Files behind loop devices and swap files."""
    for name in sorted(os.listdir(_LOOPS)) if os.path.isdir(_LOOPS) else []:
        try:
            with open("%s/%s/loop/backing_file" % (_LOOPS, name), "rb") as stream:
                found.paths.add(os.fsdecode(stream.read().rstrip(b"\n")))
        except OSError:  # no loop device, or one without a file
            continue
    try:
        with open(_SWAPS, "rb") as stream:
            found.paths |= {os.fsdecode(line.split()[0]) for line in stream if line.startswith(b"/")}
    except OSError:  # a kernel without swap
        return
