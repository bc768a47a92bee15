# SPDX-License-Identifier: BSD-2-Clause
"""Who writes into a rotated log; and a forced rotation on request, after which nobody may.

A writer that keeps the old file is not told again, because its new log stays empty: logrotate says nothing, and ends
with 0. It is named while all its lines are still there.
"""

from __future__ import annotations

import os
import time

from .collectors import _proc
from .errors import CannotLook, OpsError
from .names import shown
from .rotation_look import CONFIG, SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator

    from .host import Host
    from .rotation_look import Setup

    Key = tuple[int, int]  # device and inode

_WRITES = 3  # of the flags in fdinfo: O_WRONLY or O_RDWR
_POLL = 0.1


class Writer:
    """A process that has a log open for writing: pid, command, unit, path and key of the log."""

    def __init__(self, pid: int, command: str, unit: str | None, path: str, key: Key) -> None:
        self.pid, self.command, self.unit, self.path, self.key = pid, command, unit, path, key

    def told(self, reopened: bool) -> dict[str, Any]:
        """{pid, command, unit, path, reopened}."""
        path = shown(self.path)
        return {"pid": self.pid, "command": self.command, "unit": self.unit, "path": path, "reopened": reopened}


def key_of(seen: os.stat_result) -> Key:
    """What stays the same of a file that is renamed."""
    return seen.st_dev, seen.st_ino


def writers(host: Host, files: dict[Key, str]) -> list[Writer]:
    """Processes that have one of these files open for writing, each once a file.

    Raises:
        CannotLook: Some process cannot be looked at, so that nobody knows.
    """
    found: dict[tuple[int, Key], Writer] = {}
    for pid in _proc.pids(host):
        try:
            for place, target in _proc.descriptors(host, pid).items():
                key = _open_for_writing(place, target)
                if key in files:
                    found[pid, key] = Writer(pid, _proc.command(host, pid), _proc.unit(host, pid), files[key], key)
        except _proc.GONE:
            continue
        except PermissionError:
            raise CannotLook("its open files cannot be seen", "process %d" % pid, "Run with become: true.") from None
    return list(found.values())


def _open_for_writing(place: str, target: str) -> Key | None:
    if not target.startswith("/"):  # a socket, a pipe
        return None
    try:
        key = key_of(os.stat(place))
        with open(place.replace("/fd/", "/fdinfo/")) as stream:
            flags = next(line for line in stream if line.startswith("flags:"))
    except (FileNotFoundError, StopIteration):  # closed a moment ago
        return None
    return key if int(flags.split()[1], 8) & _WRITES else None


def members(files: Iterable[str]) -> dict[Key, str]:
    """What was rotated away from these logs, by what stays the same of it."""
    logs = set(files)
    found: dict[Key, str] = {}
    for path in logs:
        folder, name = os.path.split(path)
        for other, seen in _entries(folder):
            if other.startswith((name + ".", name + "-")) and os.path.join(folder, other) not in logs:
                found[key_of(seen)] = os.path.join(folder, other)
    return found


def run(
    host: Host, setup: Setup, path: str, files: dict[str, os.stat_result], options: dict[str, Any]
) -> dict[str, Any]:
    """Rotate all logs of a drop-in now, and see who follows.

    Args:
        host: Where logrotate runs.
        setup: logrotate as it is set up.
        path: The drop-in.
        files: The logs that it covers now.
        options: `copies` (whether it copies and truncates), `empty` (whether empty logs are rotated, too), `timeout`
            (seconds in which writers must have reopened).

    Returns:
        rotated ([{path, to, bytes}]) and writers ([{pid, command, unit, path, reopened}]).

    Raises:
        OpsError: logrotate failed, a log was not rotated, or a writer still writes into the old file; `result.trial`
            has the same two lists.
    """
    rotated_before = members(files)
    keys = {**rotated_before, **{key_of(seen): name for name, seen in files.items()}}
    before = writers(host, keys)
    _rotate(host, setup, path)
    rotated, missed = _outcome(files, options)
    late = [] if options["copies"] else _still_old(host, keys, set(rotated_before), options["timeout"])
    old = {(one.pid, one.key) for one in late}
    told = [one.told((one.pid, one.key) not in old) for one in before]
    told += [one.told(False) for one in late if (one.pid, one.key) not in {(each.pid, each.key) for each in before}]
    trial = {"rotated": rotated, "writers": told}
    if missed:
        what = "was not rotated although that was forced"
        raise OpsError(what, shown(missed[0]), "Look why: logrotate -d -f %s" % path, {"trial": trial})
    if late:
        raise _refusing(late, trial, options["timeout"])
    return trial


def _refusing(late: list[Writer], trial: dict[str, Any], timeout: float) -> OpsError:
    who = ", ".join(sorted({"%s (pid %d)" % (one.unit or one.command, one.pid) for one in late}))
    what = "%s still writes into the rotated file after %g s" % (who, timeout)
    hint = (
        "Give the way in which it reopens its log (reopen), or method: copytruncate; its lines are in the rotated file."
    )
    return OpsError(what, shown(late[0].path), hint, {"trial": trial})


def _rotate(host: Host, setup: Setup, path: str) -> None:
    """Force it with the real state file, whose lock keeps a second logrotate away, and the main file's options."""
    from .rotation_verify import scratch, write_excerpt

    with scratch() as top:
        done = host.run(["logrotate", "-f", "-s", setup.state, write_excerpt(top, setup, path)], SECONDS * 5)
    if done.rc:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise OpsError("logrotate failed: %s" % said[-1], path, "logrotate -d %s" % CONFIG)


def _outcome(files: dict[str, os.stat_result], options: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """What was rotated to where, and which logs were not."""
    rotated, missed = [], []
    for path, seen in files.items():
        to = _newest_copy(path, seen) if options["copies"] else _renamed(path, key_of(seen))
        if to:
            rotated.append({"path": shown(path), "to": shown(to), "bytes": seen.st_size})
        elif seen.st_size or options["empty"]:
            missed.append(path)
    return rotated, missed


def _renamed(path: str, key: Key) -> str | None:
    return next((name for name, seen in _siblings(path) if key_of(seen) == key and name != path), None)


def _newest_copy(path: str, seen: os.stat_result) -> str | None:
    found = [(each.st_mtime, name) for name, each in _siblings(path) if key_of(each) != key_of(seen)]
    later = [name for changed, name in sorted(found, reverse=True) if os.stat(name).st_ctime >= seen.st_ctime]
    return later[0] if later else None


def _siblings(path: str) -> list[tuple[str, os.stat_result]]:
    """Files whose names begin as the log's does."""
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    return [(os.path.join(folder, other), seen) for other, seen in _entries(folder) if other.startswith(stem)]


def _entries(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """(name, what it is) of all that lies in a folder."""
    for name in sorted(os.listdir(folder)):
        try:
            yield name, os.lstat(os.path.join(folder, name))
        except FileNotFoundError:  # logs come and go
            continue


def _still_old(host: Host, keys: dict[Key, str], rotated: set[Key], timeout: float) -> list[Writer]:
    """Who writes into a rotated file when the time is up."""
    until = time.monotonic() + timeout
    gone = {key: path for key, path in keys.items() if key in rotated or not _is_at(path, key)}
    while True:
        left = writers(host, gone)
        if not left or time.monotonic() >= until:
            return left
        time.sleep(_POLL)


def _is_at(path: str, key: Key) -> bool:
    try:
        return key_of(os.lstat(path)) == key
    except FileNotFoundError:
        return False
