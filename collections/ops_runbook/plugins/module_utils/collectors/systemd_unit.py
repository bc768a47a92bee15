# SPDX-License-Identifier: BSD-2-Clause
"""What systemd says about a unit. Source: org.freedesktop.systemd1, systemctl(1) show; works for ordinary users."""

from __future__ import annotations

from ..errors import CannotLook
from ..host import utc
from ..unit_files import is_judged, paths
from . import _drift, _units
from ._when import systemd_span, systemd_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {
    "unit": dict(_units.UNIT, required=True),
    "baseline": {"type": "str", "doc": "Name of the service whose baseline its definition is compared with."},
    "cursor": {"type": "dict", "doc": "{restarts} of an earlier look: new_restarts counts from there."},
}
FIELDS = {
    "unit": "name of the unit that exists here, with its suffix",
    "exists": "whether systemd knows the unit",
    "load_state": "loaded, not-found, masked, bad-setting or error",
    "load_error": "what systemd says of a definition that it cannot load; None when it is loaded",
    "active_state": "active, reloading, inactive, failed, activating or deactivating",
    "sub_state": "state of its own kind, such as running, dead or auto-restart",
    "unit_file_state": "enabled, disabled, static, masked, ...; None when there is no unit file",
    "result": "success, or why it failed: exit-code, signal, core-dump, timeout, oom-kill, start-limit-hit, ...",
    "main_pid": "process id of the main process; None when it has none",
    "exec_code": "how the main process ended: exited, killed or dumped; None while it runs or when it never ran",
    "exec_status": "its exit status or signal number; None like exec_code",
    "signal": "name of the signal that ended it, such as KILL; None when none did",
    "restarts": "count of automatic restarts since it was last started by hand",
    "new_restarts": "count of automatic restarts since the cursor; all of them without one",
    "restart_delay": "seconds systemd waits before an automatic restart (RestartSec)",
    "state_changed_at": "time of the last change of state, RFC 3339 UTC; None when it never changed",
    "started_at": "time the main process was started, RFC 3339 UTC; None when it never was",
    "fragment_path": "path of the unit file; None when there is none",
    "drop_ins": "paths of the drop-in files",
    "foreign_drop_ins": "paths of drop-ins, or of a unit file of its own, that are in force and not in the baseline; "
    "None without a baseline of this unit",
    "changed_drop_ins": "paths of those in the baseline that differ from it or are gone; None like foreign_drop_ins",
    "need_reload": "whether unit files changed since systemd read them",
    "exec_path": "path of the program that ExecStart= names",
    "cursor": "what to give as cursor at the next look",
}
_CODES = {1: "exited", 2: "killed", 3: "dumped"}


def verify(args: dict[str, Any]) -> None:
    """Refuse what is not the name of a unit, or of a service."""
    _units.verify_names(args["unit"])
    _drift.verify_service(args["baseline"])


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Measure one unit."""
    shown = _units.show(host, args["unit"], args["timeout"])
    data = _state(shown)
    data.update(_ending(int(shown.get("ExecMainCode") or 0), int(shown.get("ExecMainStatus") or 0)))
    before = int((args.get("cursor") or {}).get("restarts", 0))
    restarts = data["restarts"]
    if restarts is not None:  # systemd starts again at 0 when a person starts the unit
        data["new_restarts"] = restarts - before if restarts >= before else restarts
        data["cursor"] = {"restarts": restarts}
    missing = [] if "NRestarts" in shown else ["restarts", "new_restarts", "cursor"]
    if args["baseline"]:
        found, unseen = _against(host, args["baseline"], data)
        data.update(found)
        missing += unseen
    return {"data": data, "missing": missing}


def _against(host: Host, service: str, data: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The definition in force against a baseline: fields, and the names of those that could not be determined."""
    try:
        kept = _drift.definition(host, service)
        if kept is None or kept["name"] != data["unit"]:
            return {}, []
        changed, complete = _drift.drifted(host, kept["files"])
        changed += [path for path, target in kept["links"].items() if _link(host, path) != target]
    except (PermissionError, CannotLook):  # what the unit does is known all the same
        return {}, ["foreign_drop_ins", "changed_drop_ins"]
    known = {one["path"] for one in kept["files"]} | set(kept["links"])
    own = [] if data["load_state"] == "masked" else [data["fragment_path"] or ""]
    foreign = [path for path in filter(None, [*own, *data["drop_ins"]]) if is_judged(path) and path not in known]
    found = {"foreign_drop_ins": foreign, "changed_drop_ins": changed}
    return found, [] if complete or changed else ["changed_drop_ins"]


def _link(host: Host, path: str) -> str | None:
    try:
        return host.readlink(path)
    except PermissionError:
        raise
    except OSError:  # gone, or no link
        return None


def _state(shown: dict[str, str]) -> dict[str, Any]:
    changed = systemd_time(shown.get("StateChangeTimestamp", ""))
    started = systemd_time(shown.get("ExecMainStartTimestamp", ""))
    return {
        "unit": shown["Id"],
        "exists": shown["LoadState"] != "not-found",
        "load_state": shown["LoadState"],
        "load_error": shown.get("LoadError", "").partition(" ")[2].strip('"') or None,
        "active_state": shown.get("ActiveState"),
        "sub_state": shown.get("SubState"),
        "unit_file_state": shown.get("UnitFileState") or None,
        "result": shown.get("Result"),
        "main_pid": _units.main_pid(shown),
        "restarts": int(shown["NRestarts"]) if "NRestarts" in shown else None,
        "restart_delay": systemd_span(shown.get("RestartUSec", "")),
        "state_changed_at": None if changed is None else utc(changed),
        "started_at": None if started is None else utc(started),
        "fragment_path": shown.get("FragmentPath") or None,
        "drop_ins": paths(shown.get("DropInPaths", "")),
        "need_reload": shown.get("NeedDaemonReload") == "yes",
        "exec_path": _units.exec_path(shown),
    }


def _ending(code: int, status: int) -> dict[str, Any]:
    how = _CODES.get(code)
    name = None
    if how in ("killed", "dumped"):
        import signal

        try:
            name = signal.Signals(status).name[3:]
        except ValueError:  # a real-time signal has no name
            name = str(status)
    return {"exec_code": how, "exec_status": status if how else None, "signal": name}
