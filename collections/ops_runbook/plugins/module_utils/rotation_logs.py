# SPDX-License-Identifier: BSD-2-Clause
"""The logs that a policy covers now, and the folders in which they lie."""

from __future__ import annotations

import os
import stat

from .errors import CannotLook, Refused
from .names import shown
from .rotation_globs import is_glob, part_matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator


def expand(pattern: str) -> list[str]:
    """The paths that a glob finds now, sorted.

    Raises:
        CannotLook: A folder on the way cannot be read, so that nobody knows what is in it.
    """
    found = ["/"]
    parts = [part for part in pattern.split("/") if part]
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        found = [path for folder in found for path in _step(folder, part, last)]
    return sorted(found)


def _step(folder: str, part: str, last: bool) -> Iterator[str]:
    if not is_glob(part):
        path = os.path.join(folder, part)
        if os.path.lexists(path) and (last or os.path.isdir(path)):
            yield path
        return
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotLook(
            "it cannot be read: %s" % os.strerror(error.errno or 0), folder, "ls -ld %s" % folder
        ) from None
    for name in names:
        path = os.path.join(folder, name)
        if part_matches(part, name) and (last or os.path.isdir(path)):
            yield path


class Logs:
    """What a policy covers now.

    Attributes:
        files: path -> stat of the logs that logrotate would rotate.
        omitted: [{path, reason}] of what it would not.
        folders: The folders in which logs of the policy lie or would lie, as far as they exist.
    """

    def __init__(self, patterns: list[str], roots: list[str]) -> None:
        self.files: dict[str, os.stat_result] = {}
        self.omitted: list[dict[str, str]] = []
        self.folders: list[str] = []
        for pattern in patterns:
            for folder in expand(os.path.dirname(pattern)):
                self._folder(folder, roots)
            for path in expand(pattern):
                self._log(path)

    def _folder(self, folder: str, roots: list[str]) -> None:
        real = os.path.realpath(folder)
        if not any((real + "/").startswith(os.path.realpath(root) + "/") for root in roots):
            hint = "Give the real folder, and add it to roots if that is meant: ls -ld %s" % folder
            raise Refused("a symbolic link leads out of %s, to %s" % (", ".join(roots), real), folder, hint)
        if folder not in self.folders:
            self.folders.append(folder)

    def _log(self, path: str) -> None:
        try:
            seen = os.lstat(path)
        except FileNotFoundError:  # removed a moment ago
            return
        reason = _unfit(seen)
        if reason:
            self.omitted.append({"path": shown(path), "reason": reason})
        else:
            self.files[path] = seen


def _unfit(seen: os.stat_result) -> str:
    if stat.S_ISLNK(seen.st_mode):
        return "is a symbolic link"
    if not stat.S_ISREG(seen.st_mode):
        return "is no ordinary file"
    return "has %d names (hard links)" % seen.st_nlink if seen.st_nlink > 1 else ""


def unsafe(folder: str) -> str | None:
    """Why logrotate refuses to work as root in a folder; None where it does not."""
    seen = os.stat(folder)
    if seen.st_mode & stat.S_IWOTH:
        return "anybody may write into it (mode %04o)" % stat.S_IMODE(seen.st_mode)
    if seen.st_mode & stat.S_IWGRP and seen.st_gid != 0:
        return "its group may write into it (mode %04o)" % stat.S_IMODE(seen.st_mode)
    return None
