# SPDX-License-Identifier: BSD-2-Clause
"""Folders of a service that are missing: made as they ought to be, below a parent that is there."""

from __future__ import annotations

import os

from .errors import Refused
from .files import open_directory, os_error, sync
from .names import group_name, shown, user_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNDO = {"kind": "none", "reason": "a folder that was missing stays: the service writes into it"}
_MODE = 0o750


class Folder:
    """A folder that is to be made: path, and (uid, gid, mode) as it ought to be.

    Raises:
        Refused: Its parent is no folder; a tree that is gone is more than a folder that is missing.
    """

    def __init__(self, wish: dict[str, Any]) -> None:
        self.path = wish["path"]
        uid, gid = (os.geteuid() if wish["uid"] is None else wish["uid"], wish["gid"])
        modes = (wish["mode"], wish["directory_mode"], _MODE | (wish["mode_includes"] or 0))
        self.uid, self.gid = uid, os.getegid() if gid is None else gid
        self.mode = next(mode for mode in modes if mode is not None)
        parent = os.path.dirname(self.path)
        if not os.path.isdir(parent):
            raise Refused("is missing, and so is the folder that it lies in", self.path, "Look at: ls -ld %s" % parent)

    def change(self) -> dict[str, Any]:
        """What is told of it."""
        after = {"owner": user_name(self.uid), "group": group_name(self.gid), "mode": "%04o" % self.mode}
        return {"object": "folder %s" % shown(self.path), "before": None, "after": after}

    def make(self) -> None:
        """Make it, closed to all until it is the service's.

        Raises:
            OpsError: The operating system said no.
        """
        try:
            parent = open_directory(os.path.dirname(self.path))
            try:
                self._make(parent, os.path.basename(self.path))
            finally:
                os.close(parent)
        except OSError as error:
            raise os_error(error, self.path) from None

    def _make(self, parent: int, name: str) -> None:
        os.mkdir(name, 0o700, dir_fd=parent)
        made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.fchown(made, self.uid, self.gid)
            os.fchmod(made, self.mode)
            sync(made)
        finally:
            os.close(made)
        sync(parent)
