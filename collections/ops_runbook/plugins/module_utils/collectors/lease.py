# SPDX-License-Identifier: BSD-2-Clause
"""Whether a run works on the service, and whether one broke off: its lease was never given back.

A run that mends something and is killed before it starts the service leaves it down with nothing wrong any more; that
the last act is younger than the unit's last change of state tells so.
"""

from __future__ import annotations

import json
import time

from ..errors import BadInput, CannotLook
from . import _units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {
    "name": {"type": "str", "required": True, "doc": "Name of the lease, which is the service's."},
    "unit": dict(_units.UNIT, doc="Also compare the last act with this unit's last change; names it may have here."),
}
FIELDS = {
    "run": "id of the run whose lease lies there, ended or not; None where there is none",
    "expires_seconds": "seconds until the lease ends, negative once it has; None where there is none",
    "acted_seconds": "seconds since an act began under it, or under one before it that was never given back; "
    "None when none did",
    "acted_since_change": "whether that was after the unit's last change of state, so that nothing started or stopped "
    "it since; None without an act or a unit",
}


def verify(args: dict[str, Any]) -> None:
    """Refuse what is not the name of a lease or of a unit."""
    if not args["name"] or "/" in args["name"] or args["name"][0] == ".":
        raise BadInput("%r is not the name of a lease" % args["name"], "name", "Write the service's name.")
    _units.verify_names(args["unit"])


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Read the lease, and ask for the unit only where an act began under it."""
    path = "/run/ops-runbook/%s.json" % args["name"]
    data: dict[str, Any] = dict.fromkeys(FIELDS)
    try:
        lease = json.loads(host.read(path))
        run, boot_id, expires, acted = lease["run_id"], lease["boot_id"], lease["expires"], lease.get("acted")
    except FileNotFoundError:
        return {"data": data, "missing": []}
    except PermissionError:
        return {"data": {}, "missing": list(FIELDS)}
    except (ValueError, KeyError, TypeError):
        raise CannotLook("the lease file is damaged", path, "Look at it: cat %s" % path) from None
    if boot_id != host.read("/proc/sys/kernel/random/boot_id").decode("ascii").strip():
        return {"data": data, "missing": []}
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    data.update(run=run, expires_seconds=round(expires - now, 1))
    if acted is not None:
        data["acted_seconds"] = round(now - acted, 3)
        if args["unit"]:
            data["acted_since_change"] = now - acted < _unchanged_for(host, args["unit"], args["timeout"])
    return {"data": data, "missing": []}


def _unchanged_for(host: Host, names: list[str], timeout: float) -> float:
    """Seconds since the unit's last change of state, to the microsecond: an act and a start often share a second."""
    shown = _units.show(host, names, timeout)
    asked = ["systemctl", "show", "--property", "StateChangeTimestampMonotonic", "--", shown["Id"]]
    said = host.run(asked, timeout=timeout).stdout.strip().partition("=")[2]
    if not said.isdigit():
        raise CannotLook("systemd does not say when %s changed" % shown["Id"])
    return time.clock_gettime(time.CLOCK_MONOTONIC) - int(said) / 1e6
