# SPDX-License-Identifier: BSD-2-Clause
"""How old the last backup is that was proven by a restore, as the host's ledger of backups knows it.

A backup that nobody has restored is no backup: its age is told apart. Nothing is opened but the ledger.
"""

from __future__ import annotations

from ..backup import ledger
from ..errors import BadInput, CannotLook, OpsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {
    "system": {"type": "str", "required": True, "doc": "Name of the system that the store belongs to."},
    "store": {"type": "str", "required": True, "doc": "Name of the store within the system."},
}
FIELDS = {
    "count": "backups that are known",
    "verified_count": "those of them that were restored and compared",
    "age_seconds": "age of the youngest verified backup, which is what would be lost; None where there is none",
    "newest_seconds": "age of the youngest backup, verified or not; None where there is none",
    "bytes": "size of the youngest backup; None where there is none",
    "restore_seconds": "how long the last successful proof took; None where there was none",
    "failed": "why the last proof of the youngest backup failed; None where it did not",
}


def verify(args: dict[str, Any]) -> None:
    """Refuse what is no name."""
    for name in ("system", "store"):
        if not args[name] or "/" in args[name] or args[name][0] == ".":
            raise BadInput("%r is no name" % args[name], name, "Write it as backup_create has it.")


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Read the ledger."""
    path = ledger.path_of(args["system"], args["store"])
    try:
        known = ledger.parse(host.read(path, 16777216), path)
    except FileNotFoundError:
        known = {}
    except PermissionError:
        return {"data": {}, "missing": list(FIELDS)}
    except OpsError as error:
        raise CannotLook(error.what, error.where, error.hint) from None
    proven, names = ledger.verified(known), sorted(known)
    newest = known[names[-1]] if names else {}
    checked = newest.get("checked") or {}
    now = host.now()
    data = {
        "count": len(names),
        "verified_count": len(proven),
        "age_seconds": round(now - known[proven[-1]]["taken_at"]) if proven else None,
        "newest_seconds": round(now - newest["taken_at"]) if newest else None,
        "bytes": newest.get("bytes"),
        "restore_seconds": known[proven[-1]]["checked"]["seconds"] if proven else None,
        "failed": checked.get("why") or None,
    }
    return {"data": data, "missing": []}
