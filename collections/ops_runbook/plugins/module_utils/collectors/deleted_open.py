# SPDX-License-Identifier: BSD-2-Clause
"""Files that were deleted while a process has them open: room that df misses, or data that a restart would lose."""

from __future__ import annotations

from . import _proc, _units
from ._paths import below, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {
    "unit": dict(_units.UNIT, doc="Only processes of this unit; names it may have here. All processes without it."),
    "under": {"type": "str", "doc": "A folder, such as a data directory: its files are listed apart."},
}
FIELDS = {
    "files": "the largest 20: [{path, size (bytes), pid, command}]",
    "count": "count of all of them",
    "bytes": "bytes that all of them hold",
    "under": "those below the folder asked about, at most 20; None when none was",
    "under_count": "count of those below the folder; None when none was asked about",
    "under_bytes": "bytes that those below the folder hold; None when none was asked about",
}
_MARK = " (deleted)"
_MOST = 20


def verify(args: dict[str, Any]) -> None:
    """Refuse what is not the name of a unit."""
    _units.verify_names(args["unit"])


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """List them."""
    unit = _units.show(host, args["unit"], args["timeout"])["Id"] if args["unit"] else None
    found: dict[tuple[int, int], dict[str, Any]] = {}
    blind = False
    for pid in _proc.pids(host):
        try:
            if unit is None or _proc.unit(host, pid) == unit:
                _add(host, pid, found)
        except _proc.GONE:
            continue
        except PermissionError:
            blind = True
    data = _summed("", sorted(found.values(), key=lambda one: -one["size"]))
    missing = ["files", "count", "bytes"] if blind and not data["count"] else []
    if args["under"]:
        folder = resolve(host, args["under"])
        inside = [one for one in found.values() if below(one["path"], folder) and not _unnamed(one)]
        data.update(_summed("under", inside))
        # what was found is there, but not finding it in a part of the processes proves nothing
        missing += ["under", "under_count", "under_bytes"] if blind and not data["under_count"] else []
    return {"data": data, "missing": missing}


def _unnamed(one: dict[str, Any]) -> bool:
    """A temporary file that never had a name (O_TMPFILE) was not deleted by anybody."""
    name = str(one["path"]).rpartition("/")[2]
    return name[:1] == "#" and name[1:].isdigit()


def _add(host: Host, pid: int, found: dict[tuple[int, int], dict[str, Any]]) -> None:
    for name, target in _proc.descriptors(host, pid).items():
        if not target.endswith(_MARK) or target.startswith(("/memfd:", "/dev/", "/SYSV")):
            continue
        behind = _proc.opened(host, name)
        if behind and behind.kind == "file" and not behind.links:
            one = {"path": target[: -len(_MARK)], "size": behind.size, "pid": pid, "command": _proc.command(host, pid)}
            found.setdefault((behind.device, behind.inode), one)


def _summed(prefix: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    lead = prefix + "_" if prefix else ""
    held = sum(one["size"] for one in files)
    return {prefix or "files": files[:_MOST], lead + "count": len(files), lead + "bytes": held}
