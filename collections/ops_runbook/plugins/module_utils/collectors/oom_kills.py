# SPDX-License-Identifier: BSD-2-Clause
"""Processes that the kernel killed for want of memory. Source: the kernel's log, the memory controller's counter.

Inside a container the log is the machine's, and its control groups have names that cannot be seen from within: a kill
in a group that only ends like the unit's may be another container's.
"""

from __future__ import annotations

from ..errors import CannotLook
from . import _proc, _units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Completed, Host

SPEC = {
    "unit": dict(_units.UNIT, doc="Also tell this unit's kills apart; names it may have here."),
    "window": {"type": "float", "default": 3600.0, "doc": "Count only kills of the last so many seconds."},
    "cursor": {"type": "dict", "doc": "{since} of an earlier look, in epoch seconds: count only what came after it."},
}
FIELDS = {
    "count": "count of kills in the window, on the whole machine",
    "kills": "the last 20: [{at (epoch seconds), pid, command, group (control group, None before Linux 5.0)}]",
    "unit_count": "count of kills in the window that hit the unit; None without a unit",
    "unit_counter": "kills that the unit's control group has counted since it was started; None when no unit runs",
    "cursor": "what to give as cursor at the next look",
}
_COUNTERS = (
    ("/sys/fs/cgroup/memory", "memory.oom_control"),
    ("/sys/fs/cgroup", "memory.events"),
    ("/sys/fs/cgroup/unified", "memory.events"),
)


def verify(args: dict[str, Any]) -> None:
    """Refuse what is not the name of a unit."""
    _units.verify_names(args["unit"])


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Count kills."""
    now = host.now()
    since = max(now - args["window"], (args["cursor"] or {}).get("since", 0.0))
    shown = _units.show(host, args["unit"], args["timeout"]) if args["unit"] else None
    data: dict[str, Any] = {"cursor": {"since": round(now, 3)}}
    if shown and shown.get("ControlGroup"):
        data["unit_counter"] = _counter(host, shown["ControlGroup"])
    lines = _kernel_log(host, since, args["timeout"] / 2)
    if lines is None:
        return {"data": data, "missing": ["count", "kills", *(["unit_count"] if shown else [])]}
    kills = parse(line for line in lines if line[0] > since)
    data.update(count=len(kills), kills=kills[-20:])
    if not shown:
        return {"data": data, "missing": []}
    own = shown.get("ControlGroup") or "/system.slice/" + shown["Id"]  # a unit that is down has no group any more
    data["unit_count"] = len([one for one in kills if one["group"] == own])
    alike = [one for one in kills if one["group"] != own and (one["group"] or own).endswith(own)]
    return {"data": data, "missing": ["unit_count"] if alike and not data["unit_count"] else []}


def parse(lines: Any) -> list[dict[str, Any]]:
    """Kills in (epoch seconds, text) lines of the kernel's log.

    The line `oom-kill:...task_memcg=/system.slice/a.service,task=a,pid=1,uid=0` names the control group, and
    `Killed process 1 (a) ...` says that it was done; kernels before 5.0 write only the second.
    """
    import re

    kills, groups = [], {}
    for when, text in lines:
        named = re.search(r"oom-kill:.*task_memcg=(\S*?),task=.*,pid=(\d+)", text)
        if named:
            groups[named.group(2)] = named.group(1)
        killed = re.search(r"Killed process (\d+) \((.*?)\)", text)
        if killed:
            kills.append(
                {
                    "at": round(when, 3),
                    "pid": int(killed.group(1)),
                    "command": killed.group(2),
                    "group": groups.get(killed.group(1)),
                }
            )
    return kills


def _kernel_log(host: Host, since: float, timeout: float) -> list[tuple[float, str]] | None:
    """(epoch seconds, text) each; None when this user may not read them.

    From the journal, else from the kernel's buffer: in a container the journal has no kernel messages.
    """
    asked = ["journalctl", "--no-pager", "--dmesg", "--output", "short-unix", "--since", "@%.3f" % since]
    said = _try(host, asked, timeout)
    journal = _units.journal_lines(said) if said else None
    if journal:
        return [(float(line.split(" ", 1)[0]), line) for line in journal if line[:1].isdigit()]
    said = _try(host, ["dmesg"], timeout)
    if said is None or said.rc:
        return None if journal is None else []
    boot = _proc.boot_time(host)
    stamped = (line[1:].partition("]") for line in said.stdout.splitlines() if line.startswith("["))
    return [
        (boot + float(stamp), text) for stamp, _bracket, text in stamped if stamp.strip().replace(".", "", 1).isdigit()
    ]


def _try(host: Host, argv: list[str], timeout: float) -> Completed | None:
    try:
        return host.run(argv, timeout=timeout)
    except CannotLook:
        return None


def _counter(host: Host, group: str) -> int | None:
    for root, name in _COUNTERS:
        try:
            words = host.read("%s%s/%s" % (root, group, name), limit=4096).decode().split()
        except OSError:
            continue
        if "oom_kill" in words:
            return int(words[words.index("oom_kill") + 1])
    return None
