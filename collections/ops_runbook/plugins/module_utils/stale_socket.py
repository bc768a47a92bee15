# SPDX-License-Identifier: BSD-2-Clause
"""Remove a socket file that a crash left behind, when it is proven that nobody listens on it.

A server that was killed cannot remove its socket, and some do not start while it lies there. What is removed is the
very inode that refused a connection; anything else at the path, and a socket that answers, is left alone.
"""

from __future__ import annotations

import os
import socket
import stat

from .errors import BadInput, OpsError, Refused
from .files import open_directory, os_error, sync
from .lease import fence
from .names import group_name, user_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECONDS = 30
_PATIENCE = 2.0  # seconds for a connection
_NOTHING = {"kind": "none", "reason": "nothing was changed"}
_GONE = {"kind": "none", "reason": "a socket that nobody listens on holds nothing"}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Remove it: {changed, changes, undo, message}, the same keys on every path."""
    empty = {"changed": False, "changes": [], "undo": _NOTHING, "message": ""}
    try:
        return dict(empty, **_run(params, check))
    except OpsError as error:
        error.result = dict(empty, message=str(error))
        raise


def _run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    path = params["path"]
    if not path.startswith("/") or ".." in path.split("/") or path.endswith("/"):
        raise BadInput("%r is not the absolute path of a socket" % path, "path", "Write it in full, without ..")
    nothing = {"message": "there is no socket at %s" % path}
    try:
        folder = open_directory(os.path.realpath(os.path.dirname(path)))
    except FileNotFoundError:
        return nothing
    except OSError as error:
        raise os_error(error, path) from None
    try:
        seen = _look(folder, path)
        if seen is None:
            return nothing
        if not check:
            with fence(params["lease"], params["run_id"], SECONDS):
                _remove(folder, path, seen)
    finally:
        os.close(folder)
    before = {"owner": user_name(seen.st_uid), "group": group_name(seen.st_gid)}
    return {
        "changed": True,
        "changes": [{"object": "socket %s" % path, "before": before, "after": None}],
        "undo": _GONE,
        "message": "nobody listens on %s: %s" % (path, "it would be removed" if check else "it was removed"),
    }


def _look(folder: int, path: str) -> os.stat_result | None:
    """The socket, proven to be of no use; None where there is nothing.

    Raises:
        Refused: Something else lies there, somebody listens on it, or nobody can tell.
    """
    name = os.path.basename(path)
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISSOCK(seen.st_mode):
        raise Refused("is no socket, so it is left alone", path, "Look at it: ls -l %s" % path)
    said = _answer("/proc/self/fd/%d/%s" % (folder, name))
    if said != "refused":
        raise Refused("is not left over: %s" % said, path, "See who listens: ss -xlp src %s" % path)
    return seen


def _answer(path: str) -> str:
    """What a connection came to: refused, or in words what speaks against removing it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_PATIENCE)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return "refused"
        except OSError as error:
            return "nobody can tell who uses it (%s)" % (error.strerror or error)
    return "a process listens on it"


def _remove(folder: int, path: str, seen: os.stat_result) -> None:
    name = os.path.basename(path)
    try:
        now = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if (now.st_dev, now.st_ino) != (seen.st_dev, seen.st_ino):
            raise Refused("was replaced meanwhile", path, "Run again.")
        os.unlink(name, dir_fd=folder)
        sync(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise os_error(error, path) from None
