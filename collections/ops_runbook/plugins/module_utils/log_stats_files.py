# SPDX-License-Identifier: BSD-2-Clause
"""Which files make up a log, opened so that a rotation in this very moment neither hides a line nor shows it twice."""

from __future__ import annotations

import os
import re
import stat
import time

from .errors import CannotLook
from .files import os_error
from .names import shown

# What logrotate, loggers and servers append: .1, -20260101, .2026-01-05T02-00-07, and then what compresses.
_ROTATED = re.compile(r"[.-](\d[\dT:_.-]*?)(?:\.(gz|bz2|xz|zst))?\Z")
_TRIES, _PAUSE = 20, 0.1  # how often it looks again while a rotation is under way, and the seconds between
YOUNG = 10.0  # seconds; a copy that somebody is making was written a moment ago
_ALIKE = 4096  # a file that begins with so many bytes of another one is a copy of it
_KINDS = (
    (stat.S_ISDIR, "is a directory"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)


class LogFile:
    """An open file of a log: path, descriptor, size, mtime, inode; packing is gz, bz2, xz, zst, or empty."""

    __slots__ = ("descriptor", "inode", "mtime", "packing", "path", "size")

    def __init__(self, path: str, packing: str = "") -> None:
        """Open it.

        Raises:
            OSError: It cannot be opened.
            CannotLook: It is no file.
        """
        self.path, self.packing = path, packing
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        seen = os.fstat(self.descriptor)
        kind = next((text for test, text in _KINDS if test(seen.st_mode)), "")
        if kind:
            self.close()
            raise CannotLook(kind, shown(path), "Name a log file.")
        self.size, self.mtime, self.inode = seen.st_size, seen.st_mtime, seen.st_ino

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)


class Log:
    """The files of one log.

    Attributes:
        path: Its own path.
        live: The file that is written to; None where there is none.
        old: What was rotated away, the oldest first.
        errors: Path -> why a file could not be opened.
        names: What its folder held that belongs to it, as parse_siblings.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: list[tuple[str, str, str]] = []
        self.live: LogFile | None = None
        self.old: list[LogFile] = []
        self.errors: dict[str, str] = {}

    def close(self) -> None:
        """Close all files."""
        for file in self.files():
            file.close()

    def files(self) -> list[LogFile]:
        """All of them, the oldest first."""
        return [*self.old, *([self.live] if self.live else [])]


def expand(names: list[str], rotated: bool) -> dict[str, list[str]]:
    """Each of the paths asked for -> the logs that it names; a rotated file of one of them is no log of its own."""
    import glob

    found = {}
    for name in names:
        is_glob = glob.has_magic(name) and not os.path.lexists(name)
        paths = sorted(glob.glob(name)) if is_glob else [name]
        if is_glob and rotated:
            paths = [path for path in paths if not any(_belongs(path, other) for other in paths)]
        found[name] = paths or [name]
    return found


def _belongs(path: str, log: str) -> bool:
    return path.startswith(log) and bool(_ROTATED.match(path[len(log) :]))


def parse_siblings(name: str, others: list[str]) -> list[tuple[str, str, str]]:
    """(file, what distinguishes it, packing) of what was rotated away from name, among the names of its folder.

    Where a file is there plain and packed, somebody is packing it: only the plain one is whole.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for other in sorted(others):  # the plain one sorts first
        match = _ROTATED.match(other[len(name) :]) if other.startswith(name) else None
        if match:
            found.setdefault(match.group(1), (other, match.group(1), match.group(2) or ""))
    return list(found.values())


def in_order(files: list[tuple[str, LogFile]]) -> list[LogFile]:
    """The oldest first: by number where all have numbers, by date where all have dates, else by when written."""
    marks = [mark for mark, _file in files]
    if all(mark.isdigit() and len(mark) < 6 for mark in marks):
        return [file for _mark, file in sorted(files, key=lambda one: -int(one[0]))]
    if len({len(mark) for mark in marks}) == 1 and all(len(mark) >= 8 for mark in marks):
        return [file for _mark, file in sorted(files, key=lambda one: one[0])]
    return [file for _mark, file in sorted(files, key=lambda one: (one[1].mtime, one[0]))]


def open_log(path: str, rotated: bool) -> Log:
    """Open a log and what was rotated away from it, as they are together in one moment.

    Raises:
        CannotLook: Its folder changes faster than one can look.
    """
    for tries in range(_TRIES):
        log = _open(path, rotated)
        waits = _absent(log) or _being_copied(log)
        if _steady(log, rotated) and not (waits and tries < _TRIES // 2):
            _drop_copy(log)
            return log
        log.close()
        time.sleep(_PAUSE)
    raise CannotLook("its files are renamed without end", shown(path), "See what rotates it.")


def _open(path: str, rotated: bool) -> Log:
    log, real = Log(path), os.path.realpath(path)
    folder, name = os.path.split(real)
    inodes = set()
    try:
        log.live = LogFile(path)
        inodes.add(log.live.inode)
    except FileNotFoundError:
        pass
    except OSError as error:
        log.errors[path] = os_error(error, shown(path)).what
    except CannotLook as error:
        log.errors[path] = error.what
        return log
    old = []
    log.names = siblings(folder, name, log.errors) if rotated else []
    for other, mark, packing in log.names:
        place = os.path.join(folder, other)
        try:
            file = LogFile(place, packing)
        except FileNotFoundError:
            continue
        except (OSError, CannotLook) as error:
            log.errors[place] = error.what if isinstance(error, CannotLook) else os_error(error, place).what
            continue
        if file.inode in inodes:
            file.close()
            continue
        inodes.add(file.inode)
        old.append((mark, file))
    log.old = in_order(old)
    return log


def _steady(log: Log, rotated: bool) -> bool:
    """Whether a second look shows the same files under the same names."""
    folder, name = os.path.split(os.path.realpath(log.path))
    if rotated and siblings(folder, name, {}) != log.names:
        return False
    if log.live is None and not log.errors and os.path.exists(log.path):
        return False
    try:
        return all(os.stat(file.path).st_ino == file.inode for file in log.files())
    except FileNotFoundError:
        return False


def siblings(folder: str, name: str, errors: dict[str, str]) -> list[tuple[str, str, str]]:
    """What was rotated away from name in a folder, as parse_siblings; errors tells when it cannot be listed."""
    try:
        return parse_siblings(name, os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        errors[folder] = "cannot be listed: %s" % os_error(error, folder).what
        return []


def _absent(log: Log) -> bool:
    """Whether the log is not there but was a moment ago: between two steps of a rotation."""
    return log.live is None and not log.errors and any(time.time() - file.mtime < YOUNG for file in log.old)


def _copy(log: Log) -> LogFile | None:
    """The newest rotated file when it is the beginning of the log itself: a copy, and the log not yet truncated."""
    newest = log.old[-1] if log.old else None
    if not newest or not log.live or newest.packing or not 0 < newest.size <= log.live.size:
        return None
    for at in (0, max(0, newest.size - _ALIKE)):
        size = min(_ALIKE, newest.size - at)
        if os.pread(newest.descriptor, size, at) != os.pread(log.live.descriptor, size, at):
            return None
    return newest


def _being_copied(log: Log) -> bool:
    copy = _copy(log)
    return copy is not None and abs(time.time() - copy.mtime) < YOUNG


def _drop_copy(log: Log) -> None:
    copy = _copy(log)
    if copy and copy.size >= _ALIKE:
        log.old.remove(copy)
        copy.close()
