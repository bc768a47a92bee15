# SPDX-License-Identifier: BSD-2-Clause
"""Paths as the kernel sees them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host


def resolve(host: Host, path: str) -> str:
    """The path without symbolic links; what does not exist stays as it is."""
    done = ""
    todo = [part for part in path.split("/") if part not in ("", ".")]
    links = 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        try:
            target = host.readlink(done + "/" + part)
        except OSError:
            done += "/" + part
            continue
        links += 1
        if links > 40:  # as many as the kernel follows
            return path
        done = "" if target.startswith("/") else done
        todo = [piece for piece in target.split("/") if piece not in ("", ".")] + todo
    return done or "/"


def below(path: str, folder: str) -> bool:
    """Whether path is folder or lies somewhere in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
