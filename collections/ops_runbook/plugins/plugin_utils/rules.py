# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check without rules of its own is judged by, and how each type is told in one line. Data and pure."""

from __future__ import annotations

import typing as t

from ..module_utils.amounts import age_text

Json = dict[str, t.Any]


def _rule(metric: str, operator: str, value: t.Any, unit: str | None = None) -> Json:
    return {"metric": metric, "operator": operator, "value": value, **({"unit": unit} if unit else {})}


# type -> (warning, critical)
DEFAULTS: dict[str, tuple[list[Json], list[Json]]] = {
    "backup_age": ([_rule("failed", "!=", None)], [_rule("verified_count", "==", 0)]),
    "command": ([], [_rule("timed_out", "==", True), _rule("rc", "!=", 0)]),
    "deleted_open": ([_rule("bytes", ">", 1, "GiB")], [_rule("under_count", ">", 0)]),
    "descriptors": ([_rule("used_percent", ">", 80, "percent")], [_rule("used_percent", ">", 90, "percent")]),
    "disk": (
        [_rule("used_percent", ">", 80, "percent"), _rule("inodes_used_percent", ">", 80, "percent")],
        [
            _rule("exists", "==", False),
            _rule("read_only", "==", True),
            _rule("used_percent", ">", 85, "percent"),
            _rule("inodes_used_percent", ">", 90, "percent"),
        ],
    ),
    "dns": ([_rule("took_ms", ">", 1000, "ms")], [_rule("resolved", "==", False)]),
    "file": (
        [_rule("drifted", "!=", [])],
        [_rule("exists", "==", False), _rule("mismatch_count", ">", 0)],
    ),
    "journal": ([_rule("matched", ">", 0)], []),
    "log": ([_rule("matched", ">", 0), _rule("gap", "==", True)], []),
    "lease": ([], []),
    "memory": (
        [_rule("used_percent", ">", 80, "percent"), _rule("unit_used_percent", ">", 80, "percent")],
        [_rule("used_percent", ">", 90, "percent"), _rule("unit_used_percent", ">", 95, "percent")],
    ),
    "mongodb": (
        [_rule("ping_ms", ">", 1000, "ms"), _rule("errors", "!=", [])],
        [
            _rule("answered", "==", False),
            _rule("login_ok", "==", False),
            _rule("read_ok", "==", False),
            _rule("validate_ok", "==", False),
            _rule("write_ok", "==", False),
        ],
    ),
    "oom_kills": ([_rule("unit_count", ">", 0), _rule("count", ">", 0)], []),
    "process": (
        [],
        [_rule("running", "==", False), _rule("state", "in", ["T", "t", "Z"]), _rule("foreign_count", ">", 0)],
    ),
    "reclaimable": (
        [_rule("free_percent", "<", 20, "percent"), _rule("reachable", "==", False)],
        [
            _rule("exists", "==", False),
            _rule("free_percent", "<", 15, "percent"),
            _rule("free_inodes_percent", "<", 10, "percent"),
        ],
    ),
    "systemd_unit": (
        [_rule("active_state", "in", ["reloading", "activating"]), _rule("need_reload", "==", True)],
        [
            _rule("active_state", "not_in", ["active", "reloading", "activating"]),
            _rule("sub_state", "==", "auto-restart"),
        ],
    ),
    "tcp_port": (
        [_rule("connect_ms", ">", 1000, "ms")],
        [_rule("listening", "==", False), _rule("accepts", "==", False), _rule("foreign", "==", True)],
    ),
    "unix_socket": ([_rule("stale", "==", True)], []),
}


def size(count: float | None) -> str:
    """Bytes as people read them, such as 1.5 GiB."""
    if count is None:
        return "unknown size"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def summary(kind: str, data: Json, missing: t.Sequence[str] = ()) -> str:
    """One line on what was measured, without an opinion.

    Args:
        kind: The type of check.
        data: Its measurement.
        missing: Fields that could not be determined; named at the end.
    """
    line = _SUMMARIES[kind](data)
    return f"{line} (not determined: {', '.join(missing)})" if missing else line


def _command(data: Json) -> str:
    if data["timed_out"]:
        return "did not end in time"
    said = (data["stderr"] or data["stdout"] or "").strip().splitlines()
    return f"exit code {data['rc']}" + (f": {said[-1][:120]}" if said and data["rc"] else "")


def _deleted_open(data: Json) -> str:
    if data["under_count"]:
        first = data["under"][0]
        return f"{data['under_count']} deleted but open: {first['path']} in {first['command']} (pid {first['pid']})"
    if data["count"] is None:
        return "open files cannot be seen"
    return f"{data['count']} deleted files are still open, {size(data['bytes'])}"


def _descriptors(data: Json) -> str:
    if data["pid"] is None:
        return "no main process"
    used = "?" if data["used"] is None else data["used"]
    return f"{used} of {data['soft_limit'] or 'unlimited'} descriptors used"


def _disk(data: Json) -> str:
    if data["exists"] is False:
        return f"{data['path']} does not exist"
    used = "no size" if data["used_percent"] is None else f"used {data['used_percent']} %"
    inodes = data["inodes_used_percent"]
    told = f", inodes {inodes} %" if inodes is not None and inodes > (data["used_percent"] or 0) else ""
    return f"{used} of {data['path']}{told}" + (", mounted read-only" if data["read_only"] else "")


def _dns(data: Json) -> str:
    told = f"{', '.join(data['addresses'])} in {data['took_ms']:g} ms" if data["resolved"] else data["error"]
    return f"{data['name']}: {told}"


def _file(data: Json) -> str:
    told = []
    if data["path"]:
        there = f"{data['owner']}:{data['group']} {data['mode']}" if data["exists"] else "does not exist"
        told.append(f"{data['path']} {there}" if data["exists"] is not None else f"{data['path']} cannot be reached")
    if data["mismatch_count"]:
        first = data["mismatches"][0]
        more = f" and {data['mismatch_count'] - 1} more" if data["mismatch_count"] > 1 else ""
        told.append(f"{first['path']} has {first['field']} {first['actual']} instead of {first['expected']}{more}")
    elif data["mismatch_count"] == 0:
        told.append("owners and modes as wished")
    if data["baseline_exists"] is False:
        told.append("no baseline")
    if data["drifted"] is not None:
        told.append(
            f"differs from the baseline: {', '.join(data['drifted'])}" if data["drifted"] else "as in the baseline"
        )
    return "; ".join(told) or "nothing could be seen"


def _patterns(data: Json) -> str:
    if data.get("exists") is False:
        return f"{data['path']} does not exist"
    if data["counts"] is None:
        return "lines match, but carry no time"
    hits = {name: count for name, count in data["counts"].items() if count}
    if not hits:
        return "no line matches"
    name = max(hits, key=lambda one: hits[one])
    return f"{', '.join(f'{one} {count}' for one, count in hits.items())}: {str(data['last'][name])[:160]}"


def _lease(data: Json) -> str:
    if data["run"] is None:
        return "no run has the service's lease"
    ended = data["expires_seconds"] < 0
    told = f"run {data['run']} {'never gave the lease back' if ended else 'has the lease'}"
    return f"{told}; what was done under it was done after the unit changed" if data["acted_since_change"] else told


def _memory(data: Json) -> str:
    unit = data["unit_used_percent"]
    own = f", the unit {unit:g} % of its limit" if unit is not None else ""
    return f"used {data['used_percent']:g} % of memory, {size(data['available_bytes'])} available{own}"


def _mongodb(data: Json) -> str:
    if not data["answered"]:
        return f"no answer to ping: {data['error']}"
    for failed in data["errors"]:
        if failed["code"] == 13 and not data["login_ok"]:
            return "authentication is on; give auth: scram and credentials_file"
        if failed["code"] == 13:
            return f"logged in, but {failed['operation']} is not allowed: grant the probe's user the right to it"
        return f"answers ping, but {failed['operation']} fails: {failed['message']}"
    if data["validate_ok"] is False:
        return "answers ping, but validate finds the collection damaged"
    told = f", {data['count']} documents, {data['read_documents']} read" if data["read_ok"] else ""
    return f"answered in {data['ping_ms']:g} ms{told}"


def _oom_kills(data: Json) -> str:
    if data["count"] is None:
        return "the kernel's log cannot be read"
    if not data["count"]:
        return "the kernel killed nothing for want of memory"
    last = data["kills"][-1]
    return f"killed for want of memory: {data['count']}, the last was {last['command']} (pid {last['pid']})"


def _process(data: Json) -> str:
    if data["foreign_count"]:
        other = data["foreign"][0]
        return f"a second copy runs outside the unit: {other['command']} (pid {other['pid']}, user {other['user']})"
    if not data["running"]:
        return "not running"
    return f"{data['command']} (pid {data['pid']}) in state {data['state']}, {size(data['rss_bytes'])}"


def _reclaimable(data: Json) -> str:
    if data["exists"] is False:
        return f"{data['path']} does not exist"
    inodes = data["free_inodes_percent"]
    told = f"{data['free_percent']:g} % of {data['mount_point']} is free"
    told += f", {inodes:g} % of its inodes" if inodes is not None and inodes < (data["free_percent"] or 0) else ""
    if data["reachable"] is None:
        return told
    told += f"; by policy {data['reclaimable_inodes']} files with {size(data['reclaimable_bytes'])} may go"
    if data["deleted_open_bytes"]:
        first = data["deleted_open"][0]
        who = f"{first['command']} (pid {first['pid']})"
        told += f"; deleted but open: {size(data['deleted_open_bytes'])}, first {first['path']} in {who}"
    told += "; it was reclaimed within a day" if data["reclaimed_recently"] else ""
    fullest = [
        f"{one['directory']} {size(one['bytes'])} (grows {size(one['bytes_per_hour'])} an hour)"
        for one in data["growers"][:3]
    ]
    return f"{told}; fullest: {', '.join(fullest)}" if fullest else told


def _systemd_unit(data: Json) -> str:
    differs = [*(data.get("foreign_drop_ins") or []), *(data.get("changed_drop_ins") or [])]
    told = f"; not as in the baseline: {', '.join(differs)}" if differs else ""
    return _unit_state(data) + told


def _unit_state(data: Json) -> str:
    unit, state = data["unit"], data["active_state"]
    if not data["exists"]:
        return f"{unit} does not exist"
    if data["load_state"] == "masked":
        return f"{unit} is masked and {state}"
    if data.get("load_error") and state != "active":
        return f"{unit} is {state} and cannot be loaded: {data['load_error'].rstrip('.')}"
    if state == "active":
        return f"{unit} is active ({data['sub_state']})"
    if data["sub_state"] == "auto-restart" or state == "failed":
        end = f"signal {data['signal']}" if data["signal"] else f"{data['result']}"
        code = f", exit status {data['exec_status']}" if data["exec_code"] == "exited" and data["exec_status"] else ""
        return f"{unit} {'failed' if state == 'failed' else 'restarts again and again'}: {end}{code}"
    return f"{unit} is {state} ({data['sub_state']}), last result {data['result']}"


def _tcp_port(data: Json) -> str:
    if not data["listening"]:
        return f"nobody listens on port {data['port']}"
    holder = f"{data['owner_command']} (pid {data['owner_pid']})" if data["owner_pid"] else f"user {data['owner_user']}"
    if data["foreign"]:
        holder += ", not by the unit"
    how = f"connects in {data['connect_ms']:g} ms" if data["accepts"] else f"no connection: {data['error']}"
    return f"port {data['port']} held by {holder}, {how}"


def _unix_socket(data: Json) -> str:
    if not data["exists"]:
        return f"{data['path']} does not exist"
    if data["stale"]:
        return f"{data['path']} is left over: nobody listens on it"
    return f"{data['path']} is a {data['kind']}" + (" that is listened on" if data["listening"] else "")


def _backup_age(data: Json) -> str:
    if not data["count"]:
        return "there is no backup"
    if not data["verified_count"]:
        return f"none of {data['count']} backups was ever restored"
    told = f"the last verified backup is {age_text(data['age_seconds'])} old"
    return f"{told}; the youngest one is not: {data['failed']}" if data["failed"] else told


_SUMMARIES: dict[str, t.Callable[[Json], str]] = {
    "backup_age": _backup_age,
    "command": _command,
    "deleted_open": _deleted_open,
    "descriptors": _descriptors,
    "disk": _disk,
    "dns": _dns,
    "file": _file,
    "journal": _patterns,
    "log": _patterns,
    "lease": _lease,
    "memory": _memory,
    "mongodb": _mongodb,
    "oom_kills": _oom_kills,
    "process": _process,
    "reclaimable": _reclaimable,
    "systemd_unit": _systemd_unit,
    "tcp_port": _tcp_port,
    "unix_socket": _unix_socket,
}
