# SPDX-License-Identifier: BSD-2-Clause
"""Room on the filesystem of a path. Source: statvfs(3), proc(5) on mountinfo; percent are rounded up as df(1) does."""

from __future__ import annotations

from ..errors import BadInput, CannotLook
from ._paths import below, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {"path": {"type": "str", "required": True, "doc": "A path on the filesystem."}}
FIELDS = {
    "path": "the path asked for",
    "exists": "whether the path exists; all else is None when it does not",
    "size_bytes": "size of the filesystem in bytes",
    "available_bytes": "bytes that an ordinary user can still write",
    "used_percent": "percent used of what an ordinary user may use, rounded up; None on filesystems without a size",
    "inodes_used_percent": "percent of the inodes used, rounded up; None where there is no fixed number of them",
    "read_only": "whether it is mounted read-only",
    "mount_point": "where it is mounted",
    "fstype": "its type, such as ext4 or tmpfs",
    "device": "what is mounted",
}


def verify(args: dict[str, Any]) -> None:
    """Relative to what would a relative path be?"""
    if not args["path"].startswith("/"):
        raise BadInput("%r is not an absolute path" % args["path"], "path", "Begin it with a slash.")


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Measure one filesystem."""
    path = args["path"]
    try:
        room = host.statvfs(path)
    except FileNotFoundError:
        return {"data": {"path": path, "exists": False}, "missing": []}
    except PermissionError:
        raise CannotLook("%s may not be reached by this user" % path) from None
    used = room["size"] - room["free"]
    data = {
        "path": path,
        "exists": True,
        "size_bytes": room["size"],
        "available_bytes": room["available"],
        "used_percent": _percent(used, used + room["available"]),
        "inodes_used_percent": _percent(room["inodes"] - room["inodes_free"], room["inodes"]),
        "read_only": bool(room["read_only"]),
    }
    mount = _mount(host, resolve(host, path))
    data.update(mount)
    return {"data": data, "missing": [] if mount else ["mount_point", "fstype", "device"]}


def _percent(used: int, whole: int) -> int | None:
    return -(-used * 100 // whole) if whole > 0 else None


def _mount(host: Host, path: str) -> dict[str, str]:
    """The mount with the longest path above this one; of two on the same path the later one hides the earlier."""
    best: dict[str, str] = {}
    for line in host.read("/proc/self/mountinfo", limit=4194304).decode("utf-8", "backslashreplace").splitlines():
        fields, _dash, after = line.partition(" - ")
        point = _plain(fields.split(" ")[4])
        if below(path, point) and len(point) >= len(best.get("mount_point", "")):
            fstype, device = after.split(" ")[:2]
            best = {"mount_point": point, "fstype": fstype, "device": _plain(device)}
    return best


def _plain(text: str) -> str:
    """Undo mountinfo's octal escapes for space, tab, newline and backslash."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
