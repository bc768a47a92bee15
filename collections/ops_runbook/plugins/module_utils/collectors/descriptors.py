# SPDX-License-Identifier: BSD-2-Clause
"""File descriptors that a unit's main process has open, against its limit. Source: proc(5)."""

from __future__ import annotations

from . import _proc, _units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {"unit": dict(_units.UNIT, required=True)}
FIELDS = {
    "pid": "the unit's main process; all is None when it has none",
    "used": "count of open descriptors",
    "soft_limit": "how many it may open; None when unlimited",
    "hard_limit": "how far it could raise that limit itself; None when unlimited",
    "used_percent": "percent of the soft limit used, one decimal; None when unlimited",
}


def verify(args: dict[str, Any]) -> None:
    """Refuse what is not the name of a unit."""
    _units.verify_names(args["unit"])


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Measure one process."""
    pid = _units.main_pid(_units.show(host, args["unit"], args["timeout"]))
    if pid is None:
        return {"data": {}, "missing": []}
    try:
        soft, hard = _limits(_proc.text(host, pid, "limits"))
        used = _used(host, pid)
    except _proc.GONE:
        return {"data": {}, "missing": []}
    data: dict[str, Any] = {"pid": pid, "used": used, "soft_limit": soft, "hard_limit": hard}
    if used is None:
        return {"data": data, "missing": ["used", "used_percent"]}
    data["used_percent"] = round(used * 100.0 / soft, 1) if soft else None
    return {"data": data, "missing": []}


def _used(host: Host, pid: int) -> int | None:
    folder = "/proc/%d/fd" % pid
    try:
        return len(host.listdir(folder))
    except PermissionError:
        return host.stat(folder).size or None  # Linux 6.2 and newer give the count to everyone as the folder's size


def _limits(text: str) -> tuple[int | None, int | None]:
    for line in text.splitlines():
        if line.startswith("Max open files"):
            soft, hard = line.split()[3:5]
            return (None if soft == "unlimited" else int(soft)), (None if hard == "unlimited" else int(hard))
    return None, None
