# SPDX-License-Identifier: BSD-2-Clause
"""How collectors and acts see a host: five verbs, so that a pod, a container or a recorded fixture can stand in for it.

`LocalHost` is the machine that this code runs on. Everything takes a timeout, commands are argument lists, and errors
of the
operating system are left as they are (`FileNotFoundError`, `PermissionError`, ...): the caller knows what they mean
for it.
"""

from __future__ import annotations

import os
import stat as stat_module
import time

from .errors import CannotLook
from .names import group_name, user_name

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs 15 ms to import; a target never needs it
    import socket
    from typing import Any, Protocol, Sequence

    class Host(Protocol):
        """What a collector may ask of a host."""

        def run(self, argv: Sequence[str], timeout: float = 10.0, stdin: bytes = b"") -> Completed:
            """Run a command; see LocalHost.run."""

        def read(self, path: str, limit: int = 1048576, offset: int = 0) -> bytes:
            """Read part of a file; see LocalHost.read."""

        def stat(self, path: str, follow: bool = True) -> FileStat:
            """Owner, mode, size and times; see LocalHost.stat."""

        def listdir(self, path: str) -> list[str]:
            """Names in a directory, sorted."""

        def readlink(self, path: str) -> str:
            """Where a symbolic link points."""

        def statvfs(self, path: str) -> dict[str, int]:
            """Room on the filesystem of path; see LocalHost.statvfs."""

        def connect(self, host: str, port: int, timeout: float) -> socket.socket:
            """An open TCP connection whose later operations have the same timeout."""

        def now(self) -> float:
            """Seconds since the epoch, UTC."""


class Completed:
    """A finished command: rc (int), stdout and stderr (str, undecodable bytes escaped)."""

    __slots__ = ("rc", "stderr", "stdout")

    def __init__(self, rc: int, stdout: str, stderr: str) -> None:
        self.rc, self.stdout, self.stderr = rc, stdout, stderr


class FileStat:
    """What a path is.

    kind (file|directory|link|socket|fifo|device), mode ('0644'), owner, group (names, or the number as text), uid, gid,
    size (bytes), mtime (epoch seconds), inode, device (numbers), links (count).
    """

    kind: str
    mode: str
    owner: str
    group: str
    uid: int
    gid: int
    size: int
    mtime: float
    inode: int
    device: int
    links: int
    __slots__ = ("device", "gid", "group", "inode", "kind", "links", "mode", "mtime", "owner", "size", "uid")

    def __init__(self, **fields: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, fields[name])


_KINDS = (
    (stat_module.S_ISREG, "file"),
    (stat_module.S_ISDIR, "directory"),
    (stat_module.S_ISLNK, "link"),
    (stat_module.S_ISSOCK, "socket"),
    (stat_module.S_ISFIFO, "fifo"),
)


def file_stat(raw: os.stat_result) -> FileStat:
    """FileStat of an os.stat_result."""
    kind = next((name for test, name in _KINDS if test(raw.st_mode)), "device")
    return FileStat(
        kind=kind,
        mode="%04o" % stat_module.S_IMODE(raw.st_mode),
        owner=user_name(raw.st_uid),
        group=group_name(raw.st_gid),
        uid=raw.st_uid,
        gid=raw.st_gid,
        size=raw.st_size,
        mtime=raw.st_mtime,
        inode=raw.st_ino,
        device=raw.st_dev,
        links=raw.st_nlink,
    )


class LocalHost:
    """The machine that this code runs on."""

    def run(self, argv: Sequence[str], timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        """Run argv (a list, never a shell string) with LC_ALL=C and return Completed.

        Raises:
            CannotLook: The command is not installed, may not be run, or did not end within timeout seconds (it is then
                killed together with its children).
        """
        import signal
        import subprocess

        env = dict(os.environ, LC_ALL="C", LANGUAGE="C", SYSTEMD_PAGER="", SYSTEMD_COLORS="0")
        try:
            child = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise CannotLook(
                "%s is not installed" % argv[0], hint="Install it or set the check's tool option."
            ) from None
        except PermissionError:
            raise CannotLook("%s may not be run by this user" % argv[0]) from None
        try:
            out, err = child.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.communicate()
            raise CannotLook("%s did not end within %g s" % (" ".join(argv[:3]), timeout)) from None
        return Completed(
            child.returncode, out.decode("utf-8", "backslashreplace"), err.decode("utf-8", "backslashreplace")
        )

    def read(self, path: str, limit: int = 1048576, offset: int = 0) -> bytes:
        """At most limit bytes of path from offset; a negative offset counts from the end."""
        with open(path, "rb") as stream:
            if offset < 0:
                stream.seek(0, 2)
                stream.seek(max(0, stream.tell() + offset))
            elif offset:
                stream.seek(offset)
            return stream.read(limit)

    def stat(self, path: str, follow: bool = True) -> FileStat:
        """FileStat of path; follow=False looks at a symbolic link itself."""
        return file_stat(os.stat(path) if follow else os.lstat(path))

    def listdir(self, path: str) -> list[str]:
        """Names in a directory, sorted."""
        return sorted(os.listdir(path))

    def readlink(self, path: str) -> str:
        """Where a symbolic link points."""
        return os.readlink(path)

    def statvfs(self, path: str) -> dict[str, int]:
        """size, free, available (to an ordinary user; all bytes), inodes, inodes_free, read_only (0 or 1)."""
        raw = os.statvfs(path)
        return {
            "size": raw.f_blocks * raw.f_frsize,
            "free": raw.f_bfree * raw.f_frsize,
            "available": raw.f_bavail * raw.f_frsize,
            "inodes": raw.f_files,
            "inodes_free": raw.f_ffree,
            "read_only": int(bool(raw.f_flag & os.ST_RDONLY)),
        }

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """An open TCP connection whose later operations have the same timeout."""
        import socket

        return socket.create_connection((host, port), timeout)

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()


def utc(epoch: float) -> str:
    """Epoch seconds as RFC 3339 UTC with milliseconds, such as 2026-01-05T02:00:07.123Z."""
    whole = int(epoch)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + ".%03dZ" % int((epoch - whole) * 1000)
