# SPDX-License-Identifier: BSD-2-Clause
"""What a policy would give back on a filesystem that is short of room, and whether that is enough.

It looks with the eyes of disk_reclaim, and only where something is missing: a filesystem with enough room costs one
system call.
"""

from __future__ import annotations

import os

from ..disk_look import Look
from ..disk_policy import Policy
from ..disk_release import held_bytes, views
from ..disk_room import Filesystem, view
from ..disk_state import recent
from ..errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {
    "path": {"type": "str", "required": True, "doc": "A path on the filesystem."},
    "free_percent": {"type": "float", "doc": "Percent of the room that ought to be free."},
    "free_bytes": {"type": "str", "doc": "How much ought to be free, such as 10GB."},
    "free_inodes_percent": {"type": "float", "doc": "Percent of the inodes that ought to be free."},
    "policy": {"type": "dict", "default": {}, "doc": "What may go, as in disk_reclaim."},
    "roots": {"type": "list", "default": [], "doc": "More folders in which the policy's patterns may lie."},
    "protect": {"type": "list", "default": [], "doc": "Patterns of what never goes, besides the usual."},
    "evidence_since": {"type": "str", "default": "24h", "doc": "What was written since is evidence: 24h, or a time."},
    "again": {"type": "bool", "default": False, "doc": "Count files that were deleted within a day as long ago."},
    "reopen": {"type": "list", "default": [], "doc": "Units that may be told to open their logs anew."},
    "report": {"type": "int", "default": 5, "doc": "Most rows of deleted_open and growers."},
}
FIELDS = {
    "path": "the path asked for",
    "exists": "whether the path exists; all else is None when it does not",
    "mount_point": "where its filesystem is mounted",
    "available_bytes": "bytes that an ordinary user can still write",
    "free_percent": "percent free of what an ordinary user may use, rounded down to a tenth",
    "free_inodes_percent": "percent of the inodes free; None where there is no fixed number of them",
    "short_bytes": "bytes missing to what ought to be free; 0 when there is enough",
    "short_inodes": "inodes missing to what ought to be free; 0 when there are enough",
    "reclaimable_bytes": "bytes of files that the policy would delete; None where nothing is short",
    "reclaimable_inodes": "count of those files; None where nothing is short",
    "kinds": "{kind: {count, bytes}} of those files; None where nothing is short",
    "deleted_open": "[{path, bytes, pid, unit, command, released_by}], the largest; None where nothing is short",
    "deleted_open_bytes": "bytes that deleted files still take; None where nothing is short",
    "releasable_bytes": "bytes of those that services may be told to give back; None where nothing is short",
    "reachable": "whether all of that is enough; None where nothing is short",
    "reclaimed_recently": "whether files were deleted here within a day, unless again; None where nothing is short",
    "growers": "[{directory, bytes, bytes_per_hour}], what grows fastest; None where nothing is short",
}
_LATEST = float("inf")  # no time is still to come while only the words are looked at
_OF_A_LOOK = tuple(FIELDS)[tuple(FIELDS).index("reclaimable_bytes") :]


def verify(args: dict[str, Any]) -> None:
    """Refuse a policy that does not make sense, wherever it would be looked at."""
    if not args["path"].startswith("/"):
        raise BadInput("%r is not an absolute path" % args["path"], "path", "Begin it with a slash.")
    Policy(args, _LATEST)


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Measure."""
    now = host.now()
    policy = Policy(args, now)
    if not os.path.exists(args["path"]):
        return {"data": {"path": args["path"], "exists": False}, "missing": []}
    filesystem = Filesystem(args["path"])
    try:
        room = filesystem.room()
        missing = policy.wanted.missing(room)
        data = {key: view(room)[key] for key in ("available_bytes", "free_percent", "free_inodes_percent")}
        data.update(path=args["path"], exists=True, mount_point=filesystem.mount_point)
        data.update(short_bytes=missing[0], short_inodes=missing[1])
        if missing == (0, 0):
            return {"data": data, "missing": []}
        if os.geteuid() != 0:  # who may not look everywhere cannot tell what is in use
            return {"data": data, "missing": list(_OF_A_LOOK)}
        look = Look(host, policy, filesystem, now, args["timeout"] / 2)
        data.update(_looked(look, args))
        return {"data": data, "missing": list(_OF_A_LOOK) if look.opened.blind else []}
    finally:
        filesystem.close()


def _looked(look: Look, args: dict[str, Any]) -> dict[str, Any]:
    size, count = look.deletable()
    return {
        "reclaimable_bytes": size,
        "reclaimable_inodes": count,
        "kinds": look.survey.totals(),
        "deleted_open": views(look.policy, look.opened, look.releases)[: args["report"]],
        "deleted_open_bytes": held_bytes(look.opened.deleted),
        "releasable_bytes": look.releasable()[0],
        "reachable": look.reachable(),
        "reclaimed_recently": recent(look.last) and not args["again"],
        "growers": look.growers(look.folders(args["timeout"] / 4), args["report"]),
    }
