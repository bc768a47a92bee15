# SPDX-License-Identifier: BSD-2-Clause
"""A service's main process: alive, working, and the only one. Source: proc(5)."""

from __future__ import annotations

import time

from ..errors import BadInput
from ..host import utc
from . import _proc, _units
from ._paths import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {
    "unit": _units.UNIT,
    "exe": {"type": "str", "doc": "Path of the program, for processes that no unit runs; or of the unit's program."},
    "user": {"type": "str", "doc": "Only processes of this user."},
    "sample": {
        "type": "float",
        "default": 0.3,
        "doc": "Seconds at most in which it is watched until it is seen to work.",
    },
}
FIELDS = {
    "running": "whether the main process is there",
    "pid": "process id of the unit's main process, else of the oldest one that fits",
    "command": "its name as the kernel keeps it, at most 15 characters",
    "user": "the user that it runs as",
    "state": "R running, S sleeping, D waiting for a device, T stopped, t traced, Z ended but not collected",
    "cpu_seconds": "CPU seconds that it used while it was watched, in steps of 0.01",
    "progress": "whether it used any CPU time while it was watched, or one of its threads wanted to run",
    "rss_bytes": "resident memory in bytes",
    "threads": "count of its threads",
    "started_at": "when it was started, RFC 3339 UTC",
    "count": "count of processes that run the same program",
    "foreign": "processes that run the unit's program outside the unit: [{pid, command, user}]; None without a unit",
    "foreign_count": "count of them; None without a unit",
}
_STEP = 0.05
"""Seconds from one look at the CPU time to the next; what works is seen to within one or two."""
_INTERPRETERS = ("python", "perl", "ruby", "node", "java", "bash", "dash", "sh", "php")


def verify(args: dict[str, Any]) -> None:
    """At least one way to find the process."""
    _units.verify_names(args["unit"])
    if not (args["unit"] or args["exe"] or args["user"]):
        raise BadInput("names no process", "unit", "Give unit, exe or user.")
    if not 0 <= args["sample"] < args["timeout"]:
        raise BadInput(
            "%g s do not fit into the timeout of %g s" % (args["sample"], args["timeout"]),
            "sample",
            "Make sample shorter.",
        )


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Measure the main process and its copies."""
    shown = _units.show(host, args["unit"], args["timeout"]) if args["unit"] else None
    main = _units.main_pid(shown) if shown else None
    exe = args["exe"] or (_units.exec_path(shown) if shown else None)
    if shown and not (main or exe):  # a masked unit has no program that one could look for
        return {"data": {"running": False}, "missing": ["count", "foreign", "foreign_count"]}
    copies, unsure = _copies(host, _program(host, exe, main), args["user"], main)
    if shown is None:
        main = min(copies, key=lambda pid: copies[pid]) if copies else None
    data: dict[str, Any] = _life(host, main, args["sample"]) if main else {"running": False}
    data["count"] = len(copies)
    missing = ["count"] if unsure else []
    if shown:
        data["foreign"] = _foreign(host, copies, main, shown["Id"])
        data["foreign_count"] = len(data["foreign"])
        if _foreign(host, unsure, main, shown["Id"]) and not data["foreign"]:
            missing += ["foreign", "foreign_count"]
    elif unsure and main is None:
        missing += ["running"]
    return {"data": data, "missing": missing}


def _program(host: Host, exe: str | None, main: int | None) -> dict[str, Any]:
    """How to know a copy: the program's paths, the kernel's name for it, and for a script the words of its call."""
    paths = {exe, resolve(host, exe)} if exe else set()
    name, words = (exe or "").rpartition("/")[2][:15], None
    if main:
        try:
            name, words = _proc.command(host, main), _words(host, main)
            paths.add(_exe(host, main))
        except (PermissionError, *_proc.GONE):
            pass
    script = any(path.rpartition("/")[2].startswith(_INTERPRETERS) for path in paths)
    return {"paths": paths, "name": name, "script": script, "words": words}


def _exe(host: Host, pid: int) -> str:
    path = host.readlink("/proc/%d/exe" % pid)
    return path[:-10] if path.endswith(" (deleted)") else path  # the package was upgraded under the running process


def _words(host: Host, pid: int) -> str:
    return _proc.text(host, pid, "cmdline")


def _copies(
    host: Host, program: dict[str, Any], user: str | None, main: int | None
) -> tuple[dict[int, float], dict[int, float]]:
    """Processes that run the program and those that may, each with its start in seconds after boot."""
    sure: dict[int, float] = {}
    unsure: dict[int, float] = {}
    for pid in _proc.pids(host):
        try:
            if user and _proc.owner(host, pid) != user:
                continue
            same = True if pid == main else _same(host, pid, program)
            if same is not False:
                (unsure if same is None else sure)[pid] = _proc.vitals(host, pid).started
        except _proc.GONE:
            continue
    return sure, unsure


def _same(host: Host, pid: int, program: dict[str, Any]) -> bool | None:
    """Whether the process runs the program; None when this user may not know."""
    if not program["paths"]:
        return True  # asked for by user alone
    try:
        if _exe(host, pid) not in program["paths"]:
            return False
    except PermissionError:
        return None if _proc.command(host, pid) == program["name"] else False
    if not program["script"]:
        return True
    return None if program["words"] is None else _words(host, pid) == program["words"]


def _foreign(host: Host, copies: dict[int, float], main: int | None, unit: str) -> list[dict[str, Any]]:
    found = []
    for pid in copies:
        try:
            if pid != main and _proc.unit(host, pid) != unit:
                found.append({"pid": pid, "command": _proc.command(host, pid), "user": _proc.owner(host, pid)})
        except _proc.GONE:
            continue
    return found


def _life(host: Host, pid: int, sample: float) -> dict[str, Any]:
    try:
        before = _proc.vitals(host, pid)
        until = time.monotonic() + sample
        while True:
            time.sleep(min(_STEP, max(0.0, until - time.monotonic())))
            now = _proc.vitals(host, pid)
            progress = now.cpu > before.cpu or _proc.is_runnable(host, pid)
            if progress or time.monotonic() >= until:
                break
        return {
            "running": True,
            "pid": pid,
            "command": _proc.command(host, pid),
            "user": _proc.owner(host, pid),
            "state": now.state,
            "cpu_seconds": round(now.cpu - before.cpu, 2),
            "progress": progress,
            "rss_bytes": _proc.rss(host, pid),
            "threads": now.threads,
            "started_at": utc(_proc.boot_time(host) + now.started),
        }
    except _proc.GONE:
        return {"running": False}
