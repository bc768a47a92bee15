# SPDX-License-Identifier: BSD-2-Clause
"""A file's age and size; owners and modes against what they ought to be; content against a baseline."""

from __future__ import annotations

from ..errors import BadInput
from . import _drift

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {
    "path": {"type": "str", "doc": "A file or folder to measure."},
    "files": {
        "type": "list",
        "doc": "What owners and modes ought to be: {path, owner, group, mode, file_mode, "
        "directory_mode, mode_includes, create, recurse, exclude} each.",
    },
    "baseline": {"type": "str", "doc": "Name of the service whose baseline the files are compared with."},
    "limit": {"type": "int", "default": 20, "doc": "List at most this many mismatches; all are counted."},
}
FIELDS = {
    "path": "the path asked for",
    "exists": "whether it exists",
    "kind": "file, directory, link, socket, fifo or device",
    "owner": "name of its owner",
    "group": "name of its group",
    "mode": "its permissions, such as 0644",
    "size_bytes": "its size in bytes",
    "age_seconds": "seconds since it was last written",
    "mismatches": "where files differ from what ought to be: [{path, field, expected, actual}]; None without files",
    "mismatch_count": "count of all mismatches; None without files",
    "baseline_exists": "whether a baseline of the service was taken; None when none was asked for",
    "drifted": "paths that differ from the baseline in content, mode, owner or group; None without one",
}


def verify(args: dict[str, Any]) -> None:
    """Something to look at."""
    if not (args["path"] or args["files"] or args["baseline"]):
        raise BadInput("names nothing to look at", "path", "Give path, files or baseline.")
    _drift.verify_service(args["baseline"])
    _drift.verify(args["files"] or [])


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Measure what was asked for."""
    data: dict[str, Any] = {}
    missing: list[str] = []
    for wanted, look in (("path", _one), ("files", _owners), ("baseline", _baseline)):
        if args[wanted]:
            found = look(host, args)
            data.update(found[0])
            missing += found[1]
    return {"data": data, "missing": missing}


def _one(host: Host, args: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    path = args["path"]
    try:
        stat = host.stat(path)
    except FileNotFoundError:
        return {"path": path, "exists": False}, []
    except PermissionError:
        return {"path": path}, ["exists", "kind", "owner", "group", "mode", "size_bytes", "age_seconds"]
    return {
        "path": path,
        "exists": True,
        "kind": stat.kind,
        "owner": stat.owner,
        "group": stat.group,
        "mode": stat.mode,
        "size_bytes": stat.size,
        "age_seconds": round(host.now() - stat.mtime, 1),
    }, []


def _owners(host: Host, args: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    drift = _drift.Drift(host, args["limit"])
    for wish in args["files"]:
        drift.look(wish)
    found = {"mismatches": drift.mismatches, "mismatch_count": drift.count}
    # what was seen to differ does, but seeing only a part of the files proves nothing
    return found, [] if drift.complete or drift.count else list(found)


def _baseline(host: Host, args: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    try:
        files = _drift.manifest(host, args["baseline"])
    except PermissionError:
        return {}, ["baseline_exists", "drifted"]
    if files is None:
        return {"baseline_exists": False}, []
    paths, complete = _drift.drifted(host, files)
    return {"baseline_exists": True, "drifted": paths}, [] if complete or paths else ["drifted"]
