# SPDX-License-Identifier: GPL-3.0-or-later
"""journal, oom_kills, deleted_open, dns and command."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, CannotLook
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost
from ansible_collections.ops.runbook.plugins.plugin_utils import packing

FIXTURES = Path(__file__).parents[2] / "fixtures" / "probe"
JOURNAL = """\
1795191715.830844 db1 systemd[1]: mongod.service: Failed with result 'exit-code'.
1795191715.831251 db1 systemd[1]: Failed to start mongod.service - MongoDB-protocol database server.
1795191716.040336 db1 systemd[1]: Starting mongod.service - MongoDB-protocol database server...
"""
HINT = """\
Hint: You are currently not seeing messages from other users and the system.
      Users in groups 'adm', 'systemd-journal' can see all messages.
      Pass -q to turn off this notice.
"""


# ---- journal


def test_journal_counts_and_goes_on_from_its_cursor(host: Any, measure: Any) -> None:
    host.unit("running")
    host.commands["journalctl"] = Completed(0, JOURNAL, "")
    args = {"unit": ["mongodb", "mongod"], "patterns": {"failed": "^systemd.*Failed", "x": "nothing"}}
    data = measure(host, "journal", **args)["data"]
    assert (data["counts"], data["lines"], data["matched"]) == ({"failed": 2, "x": 0}, 3, 2)
    assert data["last"]["failed"].startswith("systemd[1]: Failed to start mongod.service")
    asked = host.asked[-1]
    assert asked[asked.index("--unit") + 1] == "mongod.service"
    assert asked[asked.index("--since") + 1] == f"@{host.clock - 900:.6f}"
    host.clock += 10
    measure(host, "journal", cursor=data["cursor"], **args)
    assert f"@{host.clock - 10:.6f}" in host.asked[-1]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Completed(0, "-- No entries --\n", HINT), "not seeing messages from other users"),
        (
            Completed(1, "", "No journal files were opened due to insufficient permissions.\n"),
            "insufficient permissions",
        ),
        (Completed(0, "", "No journal files were found.\n"), "No journal files"),
        (Completed(1, "", ""), "no reason given"),
    ],
)
def test_a_journal_that_is_not_seen_is_unknown(host: Any, measure: Any, said: Completed, reason: str) -> None:
    host.unit("running")
    host.commands["journalctl"] = said
    assert reason in measure(host, "journal", unit="mongod", patterns={"a": "b"})["unknown"]


def test_remarks_of_journalctl_are_no_messages(host: Any, measure: Any) -> None:
    host.unit("running")
    host.commands["journalctl"] = Completed(0, "-- Journal begins at Fri --\n-- No entries --\n", "")
    assert measure(host, "journal", unit="mongod", patterns={"a": "."})["data"]["lines"] == 0


# ---- oom_kills: recorded on Linux 6.18, a unit with MemoryMax= in a container


DMESG = (FIXTURES / "kernel" / "dmesg-oom-6.18.txt").read_text()
GROUP = (
    "/libpod_parent/libpod-0894d6f36cf2e304d06b23e977bb55066eb0c2555e01dd2c96912aa809fdb104/system.slice/mongod.service"
)


@pytest.fixture
def killed(host: Any) -> Any:
    host.unit("running")
    host.file("/proc/uptime", "2200.0 1.0\n")  # the kill was at 2126 s
    host.commands["dmesg"] = Completed(0, DMESG, "")
    host.commands["journalctl"] = Completed(0, "-- No entries --\n", "")
    return host


def test_a_kill_in_the_kernels_buffer(killed: Any, measure: Any) -> None:
    data = measure(killed, "oom_kills")["data"]
    assert data["count"] == 1
    assert data["kills"] == [
        {"at": pytest.approx(killed.clock - 73.565, abs=0.01), "pid": 3497, "command": "ferretdb", "group": GROUP}
    ]
    assert (data["unit_count"], data["unit_counter"]) == (None, None)


def test_a_kill_in_a_group_that_only_ends_like_the_units_is_not_attributed(killed: Any, measure: Any) -> None:
    found = measure(killed, "oom_kills", unit="mongod")
    assert (found["missing"], found["data"]["count"]) == (["unit_count"], 1)


@pytest.mark.parametrize("state", ["running", "killed"])
def test_a_kill_of_the_unit(killed: Any, measure: Any, state: str) -> None:
    killed.unit(state)
    killed.commands["dmesg"] = Completed(0, DMESG.replace(GROUP, "/system.slice/mongod.service"), "")
    found = measure(killed, "oom_kills", unit="mongod")
    assert (found["missing"], found["data"]["unit_count"]) == ([], 1)


def test_old_kernels_name_no_group(killed: Any, measure: Any) -> None:
    lines = [line for line in DMESG.splitlines() if "oom-kill:" not in line]
    killed.commands["dmesg"] = Completed(0, "\n".join([*lines, "no stamp", "[junk] x"]), "")
    found = measure(killed, "oom_kills", unit="mongod")
    assert found["data"]["kills"][0]["group"] is None
    assert found["missing"] == ["unit_count"]


def test_window_and_cursor(killed: Any, measure: Any) -> None:
    assert measure(killed, "oom_kills", window=60)["data"]["count"] == 0
    cursor = measure(killed, "oom_kills")["data"]["cursor"]
    assert measure(killed, "oom_kills", cursor=cursor)["data"]["count"] == 0


def test_a_kill_in_the_journal(killed: Any, measure: Any) -> None:
    text = "".join(f"{killed.clock - 5:.6f} db1 kernel: {line.partition('] ')[2]}\n" for line in DMESG.splitlines())
    killed.commands["journalctl"] = Completed(0, "-- Boot 1 --\n" + text, "")
    killed.commands["dmesg"] = CannotLook("dmesg is not needed")
    assert measure(killed, "oom_kills")["data"]["count"] == 1


@pytest.mark.parametrize(
    ("journal", "dmesg", "missing"),
    [
        (Completed(0, "", ""), Completed(1, "", "Operation not permitted"), []),
        (Completed(0, "", HINT), Completed(1, "", "Operation not permitted"), ["count", "kills"]),
        (CannotLook("no"), CannotLook("no"), ["count", "kills"]),
    ],
)
def test_who_may_read_the_kernels_log(killed: Any, measure: Any, journal: Any, dmesg: Any, missing: list[str]) -> None:
    killed.commands.update(journalctl=journal, dmesg=dmesg)
    assert measure(killed, "oom_kills")["missing"] == missing
    assert measure(killed, "oom_kills", unit="mongod")["missing"] == [*missing, *(["unit_count"] if missing else [])]


@pytest.mark.parametrize(
    ("path", "text", "count"),
    [
        ("/sys/fs/cgroup/memory/system.slice/mongod.service/memory.oom_control", "under_oom 0\noom_kill 2\n", 2),
        ("/sys/fs/cgroup/system.slice/mongod.service/memory.events", "oom 1\noom_kill 1\n", 1),
        ("/sys/fs/cgroup/system.slice/mongod.service/memory.events", "oom 1\n", None),
    ],
)
def test_the_control_groups_own_counter(killed: Any, measure: Any, path: str, text: str, count: int | None) -> None:
    killed.file(path, text)
    assert measure(killed, "oom_kills", unit="mongod")["data"]["unit_counter"] == count


# ---- deleted_open


def test_a_real_deleted_file(measure: Any, tmp_path: Path) -> None:
    target = tmp_path / "data.sqlite"
    with target.open("wb") as held, os.fdopen(os.open(tmp_path, os.O_TMPFILE | os.O_RDWR), "r+b"):
        held.write(b"x" * 5000)
        held.flush()
        before = measure(LocalHost(), "deleted_open", under=str(tmp_path))
        assert before["data"]["under_count"] == (
            None if before["missing"] else 0
        )  # not every root may see all processes
        target.unlink()
        data = measure(LocalHost(), "deleted_open", under=str(tmp_path))["data"]
        assert (data["under_count"], data["under_bytes"]) == (1, 5000)
        assert data["under"][0]["path"] == str(target)
        assert data["under"][0]["pid"] == os.getpid()
        assert data["count"] >= 2  # the unnamed temporary file holds room, but nobody deleted it
        assert measure(LocalHost(), "deleted_open")["data"]["under_count"] is None


def test_only_processes_of_the_unit(host: Any, measure: Any) -> None:
    host.unit("running")
    for pid, group in ((45, "/system.slice/mongod.service"), (50, "/")):
        host.process(pid, group=group, fds=["/var/lib/mongo/a (deleted)", "/memfd:x (deleted)", "socket:[1]"])
    opened = host.stat
    host.stat = lambda path, follow=True: Open() if "/fd/" in path else opened(path, follow)
    data = measure(host, "deleted_open", unit="mongod", under="/var/lib/mongo")["data"]
    assert [one["pid"] for one in data["under"]] == [45]
    assert data["count"] == 1


class Open:
    kind, links, size, device, inode = "file", 0, 10, 1, 2


def test_what_cannot_be_seen_proves_nothing(host: Any, measure: Any) -> None:
    host.unit("running")
    host.process(45)
    host.denied.add("/proc/45/fd")
    found = measure(host, "deleted_open", unit="mongod", under="/var/lib/mongo")
    assert found["missing"] == ["files", "count", "bytes", "under", "under_count", "under_bytes"]
    assert found["data"]["count"] is None
    host.process(46, fds=["/var/lib/mongo/a (deleted)"])
    opened = host.stat
    host.stat = lambda path, follow=True: Open() if "/fd/" in path else opened(path, follow)
    found = measure(host, "deleted_open", unit="mongod", under="/var/lib/mongo")
    assert (found["missing"], found["data"]["under_count"]) == ([], 1)  # what was seen is there


def test_closed_meanwhile(host: Any, measure: Any) -> None:
    host.process(45, fds=["/gone (deleted)"])
    assert measure(host, "deleted_open")["data"]["count"] == 0
    (host.root / "proc/45/cgroup").unlink()
    host.unit("running")
    assert measure(host, "deleted_open", unit="mongod")["data"]["count"] == 0


# ---- dns


def test_names(measure: Any) -> None:
    data = measure(LocalHost(), "dns", name="localhost")["data"]
    assert data["resolved"] is True
    assert set(data["addresses"]) <= {"127.0.0.1", "::1"}
    data = measure(LocalHost(), "dns", name="no-such-host.invalid", timeout=3)["data"]
    assert (data["resolved"], data["addresses"]) == (False, [])
    assert data["error"] is not None


def test_a_resolver_that_does_not_answer_is_a_measurement(host: Any, measure: Any) -> None:
    host.commands["getent"] = Completed(124, "", "")
    data = measure(host, "dns", name="db1")["data"]
    assert (data["resolved"], data["error"]) == (False, "no answer within the limit")
    host.commands["getent"] = Completed(127, "", "timeout: failed to run command 'getent'")
    assert "getent is not installed" in measure(host, "dns", name="db1")["unknown"]


@pytest.mark.parametrize("name", ["-x", " "])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="check it, name"):
        probe.plan("it", {"type": "dns", "name": name})


# ---- command


def test_commands(measure: Any) -> None:
    data = measure(LocalHost(), "command", argv=["sh", "-c", "echo '[1, 2]'; echo oh >&2; exit 3"])["data"]
    assert (data["rc"], data["json"], data["stderr"], data["timed_out"]) == (3, [1, 2], "oh\n", False)
    assert measure(LocalHost(), "command", argv=["echo", "{x"])["data"]["json"] is None
    assert measure(LocalHost(), "command", argv=["echo", "1"], limit=1)["data"]["stdout"] == "\n"
    assert measure(LocalHost(), "command", argv=["echo", 12])["data"]["stdout"] == "12\n"


def test_a_command_that_does_not_end_is_a_measurement(measure: Any) -> None:
    began = time.monotonic()
    data = measure(LocalHost(), "command", argv=["sh", "-c", "trap '' TERM; sleep 20 & wait; sleep 20"], timeout=0.3)[
        "data"
    ]
    assert (data["timed_out"], data["rc"]) == (True, None)
    assert time.monotonic() - began < 1.2


def test_a_command_that_is_not_there_is_unknown(measure: Any, tmp_path: Path) -> None:
    assert "cannot be run here" in measure(LocalHost(), "command", argv=["/no/such/tool"])["unknown"]
    plain = tmp_path / "plain"
    plain.write_text("x")
    plain.chmod(stat.S_IRUSR)
    assert "cannot be run here" in measure(LocalHost(), "command", argv=[str(plain)])["unknown"]


@pytest.mark.parametrize("argv", [[], [["a"]], [None]])
def test_what_is_no_command_is_refused(argv: Any) -> None:
    with pytest.raises(BadInput, match="check it, argv: is not a list of words"):
        probe.plan("it", {"type": "command", "argv": argv})


# ---- an ordinary user


def test_nobody_still_measures_what_he_may(run_as_nobody: list[str], tmp_path: Path) -> None:
    """The program of the light road without root's rights, beside a file that another user deleted."""
    checks = {
        "open": {"type": "deleted_open", "under": str(tmp_path)},
        "disk": {"type": "disk", "path": "/"},
        "memory": {"type": "memory"},
        "log": {"type": "log", "path": "/etc/shadow", "patterns": {"a": "b"}},
    }
    extra = tuple(f"collectors.{check['type']}" for check in checks.values())
    text = packing.program(packing.Call("probe", {"checks": checks}, extra=extra), "--mark--")
    target = tmp_path / "x"
    with target.open("w"):
        target.unlink()
        argv = [*run_as_nobody, "/usr/bin/python3", "-I", "-B", "-"]
        done = subprocess.run(argv, input=text, capture_output=True, timeout=60, check=True)
    found = json.loads(done.stdout.decode().split("--mark--")[1])["measurements"]
    assert "under_count" in found["open"]["missing"]
    assert found["disk"]["data"]["exists"] is True
    assert found["memory"]["unknown"] is None
    assert found["log"]["unknown"] == "/etc/shadow may not be read by this user"
