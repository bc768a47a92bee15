# SPDX-License-Identifier: BSD-2-Clause
"""A socket file: whether a process listens on it, or a crash left it behind. Source: proc(5), /proc/net/unix."""

from __future__ import annotations

from ..errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {"path": {"type": "str", "required": True, "doc": "The socket's path."}}
FIELDS = {
    "path": "the path asked for",
    "exists": "whether there is anything at the path",
    "kind": "file, directory, link, socket, fifo or device",
    "owner": "name of its owner",
    "listening": "whether a process in this network namespace listens on it",
    "stale": "whether it is a socket that nobody listens on",
}
_ACCEPTS = 0x10000  # __SO_ACCEPTCON among the flags


def verify(args: dict[str, Any]) -> None:
    """A whole path."""
    if not args["path"].startswith("/"):
        raise BadInput("%r is not an absolute path" % args["path"], "path", "Write it in full.")


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Measure one socket."""
    path = args["path"]
    try:
        stat = host.stat(path, follow=False)
    except FileNotFoundError:
        return {"data": {"path": path, "exists": False, "listening": False, "stale": False}, "missing": []}
    except PermissionError:
        return {"data": {"path": path}, "missing": ["exists", "kind", "owner", "listening", "stale"]}
    listening = path in _listeners(host)
    return {
        "data": {
            "path": path,
            "exists": True,
            "kind": stat.kind,
            "owner": stat.owner,
            "listening": listening,
            "stale": stat.kind == "socket" and not listening,
        },
        "missing": [],
    }


def _listeners(host: Host) -> set[str]:
    """Paths of listening sockets: `Num: RefCount Protocol Flags Type St Inode Path` a line."""
    lines = host.read("/proc/net/unix", limit=16777216).decode("utf-8", "surrogateescape").splitlines()[1:]
    fields = [line.split(None, 7) for line in lines]
    return {each[7] for each in fields if len(each) == 8 and int(each[3], 16) & _ACCEPTS}
