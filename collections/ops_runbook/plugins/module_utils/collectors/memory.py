# SPDX-License-Identifier: BSD-2-Clause
"""Memory of the machine, and of a unit against its limit. Source: proc(5) on meminfo, memory controllers v1 and v2."""

from __future__ import annotations

from . import _units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {"unit": dict(_units.UNIT, doc="Also measure this unit against its own limit; names it may have here.")}
FIELDS = {
    "total_bytes": "memory of the machine in bytes",
    "available_bytes": "bytes that programs can get without swapping (MemAvailable)",
    "used_percent": "percent that is not available, one decimal",
    "swap_total_bytes": "swap space in bytes",
    "swap_used_bytes": "swap space used, in bytes",
    "swap_used_percent": "percent of the swap space used, one decimal; None without swap",
    "unit_used_bytes": "bytes the unit uses, without cache that can be dropped; None when no unit runs",
    "unit_limit_bytes": "bytes the unit may use; None when there is no limit",
    "unit_used_percent": "percent of its limit that the unit uses, one decimal; None when there is no limit",
}
_UNLIMITED = 1 << 60  # cgroup v1 writes the largest multiple of a page for "no limit"
# below /sys/fs/cgroup: folder, use, limit, statistics and the name of droppable cache in them
_LAYOUTS = (
    ("memory", "memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"),
    ("", "memory.current", "memory.max", "inactive_file"),
    ("unified", "memory.current", "memory.max", "inactive_file"),
)
_UNIT_FIELDS = ("unit_used_bytes", "unit_limit_bytes", "unit_used_percent")


def verify(args: dict[str, Any]) -> None:
    """Refuse what is not the name of a unit."""
    _units.verify_names(args["unit"])


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Measure the machine and perhaps a unit."""
    lines = host.read("/proc/meminfo", limit=65536).decode("ascii", "replace").splitlines()
    seen = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
    swap = seen["SwapTotal"] - seen["SwapFree"]
    data = {
        "total_bytes": seen["MemTotal"],
        "available_bytes": seen["MemAvailable"],
        "used_percent": _percent(seen["MemTotal"] - seen["MemAvailable"], seen["MemTotal"]),
        "swap_total_bytes": seen["SwapTotal"],
        "swap_used_bytes": swap,
        "swap_used_percent": _percent(swap, seen["SwapTotal"]),
    }
    group = _units.show(host, args["unit"], args["timeout"]).get("ControlGroup") if args["unit"] else None
    if not group:
        return {"data": data, "missing": []}
    unit = _unit(host, group)
    return {"data": dict(data, **(unit or {})), "missing": list(_UNIT_FIELDS) if unit is None else []}


def _percent(used: int, whole: int) -> float | None:
    return round(used * 100.0 / whole, 1) if whole else None


def _unit(host: Host, group: str) -> dict[str, Any] | None:
    for folder, current, limit, cache in _LAYOUTS:
        path = "/sys/fs/cgroup/%s%s/" % (folder, group)
        try:
            used, most = (host.read(path + name, limit=64).decode().strip() for name in (current, limit))
            stat = host.read(path + "memory.stat", limit=65536).decode().split()
        except OSError:
            continue
        held = int(used) - int(stat[stat.index(cache) + 1]) if cache in stat else int(used)
        allowed = None if most == "max" or int(most) >= _UNLIMITED else int(most)
        return {
            "unit_used_bytes": held,
            "unit_limit_bytes": allowed,
            "unit_used_percent": _percent(held, allowed) if allowed else None,
        }
    return None
