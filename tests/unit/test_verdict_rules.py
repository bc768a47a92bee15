# SPDX-License-Identifier: GPL-3.0-or-later
"""One line for each kind of measurement."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.plugin_utils import rules

OK = {"rc": 0, "timed_out": False, "stderr": "", "stdout": "fine\n"}
UNIT = {
    "unit": "mongod.service",
    "exists": True,
    "load_state": "loaded",
    "active_state": "failed",
    "sub_state": "failed",
}
MONGO = {"answered": True, "ping_ms": 1.0, "errors": [], "login_ok": None}
FILE = {"path": "/a", "exists": True, "owner": "root", "group": "adm", "mode": "0640"}
WRONG = [{"path": "/a/b", "field": "mode", "expected": "0600", "actual": "0644"}]

LINES = [
    ("command", {"timed_out": True}, "did not end in time"),
    ("command", OK, "exit code 0"),
    ("command", {**OK, "rc": 2, "stderr": "first\nno such table\n"}, "exit code 2: no such table"),
    ("command", {**OK, "rc": 2, "stdout": ""}, "exit code 2"),
    ("deleted_open", {"count": None}, "open files cannot be seen"),
    ("deleted_open", {"count": 2, "bytes": 3 * 2**30}, "2 deleted files are still open, 3.0 GiB"),
    ("descriptors", {}, "no main process"),
    ("descriptors", {"pid": 1, "used": None, "soft_limit": 64}, "? of 64 descriptors used"),
    ("descriptors", {"pid": 1, "used": 9, "soft_limit": None}, "9 of unlimited descriptors used"),
    ("disk", {"path": "/x", "exists": False}, "/x does not exist"),
    ("disk", {"path": "/x", "exists": True, "used_percent": 97}, "used 97 % of /x"),
    (
        "disk",
        {"path": "/x", "exists": True, "used_percent": 9, "inodes_used_percent": 99, "read_only": True},
        "used 9 % of /x, inodes 99 %, mounted read-only",
    ),
    ("disk", {"path": "/proc", "exists": True}, "no size of /proc"),
    ("dns", {"name": "db1", "resolved": True, "addresses": ["10.0.0.1"], "took_ms": 2.5}, "db1: 10.0.0.1 in 2.5 ms"),
    ("dns", {"name": "db1", "resolved": False, "error": "not found"}, "db1: not found"),
    ("file", FILE, "/a root:adm 0640"),
    ("file", {**FILE, "exists": False}, "/a does not exist"),
    ("file", {"path": "/a"}, "/a cannot be reached"),
    ("file", {}, "nothing could be seen"),
    (
        "file",
        {"mismatch_count": 0, "mismatches": [], "baseline_exists": False},
        "owners and modes as wished; no baseline",
    ),
    ("file", {"mismatch_count": 1, "mismatches": WRONG}, "/a/b has mode 0644 instead of 0600"),
    ("file", {"mismatch_count": 3, "mismatches": WRONG}, "/a/b has mode 0644 instead of 0600 and 2 more"),
    ("file", {"baseline_exists": True, "drifted": ["/a", "/b"]}, "differs from the baseline: /a, /b"),
    ("file", {"baseline_exists": True, "drifted": []}, "as in the baseline"),
    ("log", {"path": "/x.log", "exists": False}, "/x.log does not exist"),
    ("log", {"exists": True}, "lines match, but carry no time"),
    ("log", {"counts": {"a": 0}, "last": {"a": None}}, "no line matches"),
    ("journal", {"counts": {"a": 1, "b": 3, "c": 0}, "last": {"a": "x", "b": "y"}}, "a 1, b 3: y"),
    ("lease", {"run": None}, "no run has the service's lease"),
    ("lease", {"run": "r", "expires_seconds": 9.0, "acted_since_change": None}, "run r has the lease"),
    (
        "lease",
        {"run": "r", "expires_seconds": -9.0, "acted_since_change": True},
        "run r never gave the lease back; what was done under it was done after the unit changed",
    ),
    (
        "memory",
        {"used_percent": 12.5, "available_bytes": 2048, "unit_used_percent": 90.0},
        "used 12.5 % of memory, 2.0 KiB available, the unit 90 % of its limit",
    ),
    ("mongodb", {"answered": False, "error": "connection refused"}, "no answer to ping: connection refused"),
    (
        "mongodb",
        {**MONGO, "errors": [{"operation": "count", "code": 13, "message": "x"}]},
        "authentication is on; give auth: scram and credentials_file",
    ),
    (
        "mongodb",
        {**MONGO, "login_ok": True, "errors": [{"operation": "count", "code": 13, "message": "x"}]},
        "logged in, but count is not allowed: grant the probe's user the right to it",
    ),
    (
        "mongodb",
        {**MONGO, "login_ok": False, "errors": [{"operation": "login", "code": 18, "message": "no."}]},
        "answers ping, but login fails: no.",
    ),
    (
        "mongodb",
        {**MONGO, "errors": [{"operation": "count", "code": 1, "message": "malformed"}]},
        "answers ping, but count fails: malformed",
    ),
    ("mongodb", {**MONGO, "validate_ok": False}, "answers ping, but validate finds the collection damaged"),
    ("mongodb", MONGO, "answered in 1 ms"),
    ("mongodb", {**MONGO, "read_ok": True, "count": 7, "read_documents": 7}, "answered in 1 ms, 7 documents, 7 read"),
    ("oom_kills", {"count": None}, "the kernel's log cannot be read"),
    ("oom_kills", {"count": 0}, "the kernel killed nothing for want of memory"),
    (
        "oom_kills",
        {"count": 2, "kills": [{"command": "a", "pid": 1}, {"command": "b", "pid": 2}]},
        "killed for want of memory: 2, the last was b (pid 2)",
    ),
    (
        "process",
        {"foreign_count": 1, "foreign": [{"command": "mongod", "pid": 9, "user": "bob"}]},
        "a second copy runs outside the unit: mongod (pid 9, user bob)",
    ),
    ("process", {"running": False}, "not running"),
    (
        "process",
        {"running": True, "command": "mongod", "pid": 9, "state": "T", "rss_bytes": None},
        "mongod (pid 9) in state T, unknown size",
    ),
    ("systemd_unit", {**UNIT, "exists": False}, "mongod.service does not exist"),
    (
        "systemd_unit",
        {**UNIT, "load_state": "masked", "active_state": "inactive"},
        "mongod.service is masked and inactive",
    ),
    ("systemd_unit", {**UNIT, "active_state": "active", "sub_state": "running"}, "mongod.service is active (running)"),
    (
        "systemd_unit",
        {**UNIT, "signal": "KILL", "exec_code": "killed", "exec_status": 9},
        "mongod.service failed: signal KILL",
    ),
    (
        "systemd_unit",
        {**UNIT, "result": "exit-code", "exec_code": "exited", "exec_status": 2},
        "mongod.service failed: exit-code, exit status 2",
    ),
    (
        "systemd_unit",
        {**UNIT, "active_state": "activating", "sub_state": "auto-restart", "result": "oom-kill"},
        "mongod.service restarts again and again: oom-kill",
    ),
    (
        "systemd_unit",
        {**UNIT, "active_state": "inactive", "sub_state": "dead", "result": "success"},
        "mongod.service is inactive (dead), last result success",
    ),
    (
        "systemd_unit",
        {**UNIT, "active_state": "inactive", "load_error": "it is bad.", "foreign_drop_ins": ["/a"]},
        "mongod.service is inactive and cannot be loaded: it is bad; not as in the baseline: /a",
    ),
    (
        "systemd_unit",
        {**UNIT, "active_state": "active", "sub_state": "up", "foreign_drop_ins": ["/a"], "changed_drop_ins": ["/b"]},
        "mongod.service is active (up); not as in the baseline: /a, /b",
    ),
    ("tcp_port", {"port": 1, "listening": False}, "nobody listens on port 1"),
    (
        "tcp_port",
        {
            "port": 1,
            "listening": True,
            "owner_pid": 9,
            "owner_command": "python3",
            "foreign": True,
            "accepts": True,
            "connect_ms": 0.5,
        },
        "port 1 held by python3 (pid 9), not by the unit, connects in 0.5 ms",
    ),
    (
        "tcp_port",
        {"port": 1, "listening": True, "owner_user": "bob", "accepts": False, "error": "timeout"},
        "port 1 held by user bob, no connection: timeout",
    ),
    ("unix_socket", {"path": "/x", "exists": False}, "/x does not exist"),
    ("unix_socket", {"path": "/x", "exists": True, "stale": True}, "/x is left over: nobody listens on it"),
    (
        "unix_socket",
        {"path": "/x", "exists": True, "kind": "socket", "listening": True},
        "/x is a socket that is listened on",
    ),
]


@pytest.mark.parametrize(("kind", "data", "line"), LINES)
def test_summaries(kind: str, data: dict[str, Any], line: str) -> None:
    full = {**dict.fromkeys(probe.collector(kind).FIELDS), **data}
    assert set(full) == set(probe.collector(kind).FIELDS)
    assert rules.summary(kind, full) == line


def test_what_could_not_be_determined_is_named() -> None:
    data = {**dict.fromkeys(probe.collector("disk").FIELDS), "path": "/x", "exists": True, "used_percent": 1}
    assert rules.summary("disk", data, ["fstype"]) == "used 1 % of /x (not determined: fstype)"


def test_every_type_is_judged_and_told() -> None:
    assert set(rules.DEFAULTS) == set(rules._SUMMARIES) == set(probe.TYPES)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (5 * 2**20, "5.0 MiB"),
        (2**40, "1.0 TiB"),
        (None, "unknown size"),
    ],
)
def test_sizes(count: float | None, text: str) -> None:
    assert rules.size(count) == text
