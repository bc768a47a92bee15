# SPDX-License-Identifier: GPL-3.0-or-later
"""process: on real processes of this machine, and on recorded ones where another user or a unit is needed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A program of its own path, running."""
    program = tmp_path / "sleeper"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    child = subprocess.Popen([program, "60"])
    yield child, str(program)
    child.kill()
    child.wait()


def test_a_real_process(sleeper: Any, measure: Any) -> None:
    child, program = sleeper
    found = measure(LocalHost(), "process", exe=program, sample=0.05)
    data = found["data"]
    assert found["missing"] == []
    assert (data["pid"], data["command"], data["state"], data["count"]) == (child.pid, "sleeper", "S", 1)
    assert data["running"] is True
    assert data["progress"] is False
    assert data["threads"] == 1
    assert data["rss_bytes"] > 1000
    assert data["foreign"] is None
    started = time.mktime(time.strptime(data["started_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert abs(started - time.time()) < 10


def test_a_stopped_process_is_seen(sleeper: Any, measure: Any) -> None:
    child, program = sleeper
    child.send_signal(signal.SIGSTOP)
    while "T" not in Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2][:3]:
        time.sleep(0.01)
    assert measure(LocalHost(), "process", exe=program, sample=0)["data"]["state"] == "T"
    child.send_signal(signal.SIGCONT)


def test_a_busy_process_makes_progress(measure: Any, tmp_path: Path) -> None:
    program = tmp_path / "busy"
    program.symlink_to(sys.executable)
    child = subprocess.Popen([program, "-c", "while True: pass"])
    try:
        time.sleep(0.1)
        data = measure(LocalHost(), "process", exe=str(program), user="nobody-here", sample=0.01)["data"]
        assert data["running"] is False  # another user's
        began = time.monotonic()
        data = probe.collector("process")._life(LocalHost(), child.pid, 20.0)
        assert data["progress"] is True
        assert time.monotonic() - began < 10, "it is not watched any longer"
    finally:
        child.kill()
        child.wait()


def test_one_that_does_nothing_is_watched_to_the_end(sleeper: Any) -> None:
    child, _program = sleeper
    began = time.monotonic()
    data = probe.collector("process")._life(LocalHost(), child.pid, 0.4)
    assert (data["progress"], data["cpu_seconds"]) == (False, 0)
    assert time.monotonic() - began >= 0.4


def test_a_thread_that_wants_to_run_is_progress_too(tmp_path: Path) -> None:
    """One of a process that got no processor between the two looks: it works, though nothing was counted."""
    text = "import threading\nt = threading.Thread(target=lambda: [0 for _ in iter(int, 1)])\nt.start(); t.join()"
    child = subprocess.Popen([sys.executable, "-c", text])
    try:
        while len(list(Path(f"/proc/{child.pid}/task").iterdir())) < 2:
            time.sleep(0.01)
        assert probe.collector("process")._life(LocalHost(), child.pid, 0.0)["progress"] is True
        child.send_signal(signal.SIGSTOP)
        while "T" not in Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2][:3]:
            time.sleep(0.01)
        assert probe.collector("process")._life(LocalHost(), child.pid, 0.1)["progress"] is False
    finally:
        child.kill()
        child.wait()


def test_it_ends_between_the_two_looks(sleeper: Any, measure: Any) -> None:
    child, _program = sleeper
    child.kill()
    child.wait()
    assert probe.collector("process")._life(LocalHost(), child.pid, 0) == {"running": False}


def test_nothing_runs(measure: Any) -> None:
    found = measure(LocalHost(), "process", exe="/no/such/program")
    assert found["data"]["running"] is False
    assert found["data"]["count"] == 0
    assert found["missing"] == []


def test_by_user_alone(sleeper: Any, measure: Any) -> None:
    import pwd

    data = measure(LocalHost(), "process", user=pwd.getpwuid(os.getuid()).pw_name, sample=0)["data"]
    assert data["running"] is True
    assert data["count"] >= 1


def test_a_second_copy_outside_the_unit_is_foreign(host: Any, measure: Any) -> None:
    host.unit("running", MainPID=45)
    host.process(45, exe="/usr/local/bin/ferretdb")
    host.process(46, exe="/usr/local/bin/ferretdb")  # a worker of the unit
    host.process(77, exe="/usr/local/bin/ferretdb (deleted)", group="/user.slice/user-0.slice/session-3.scope")
    host.process(88, exe="/usr/bin/other", comm="other")
    data = measure(host, "process", unit="mongod", sample=0)["data"]
    assert (data["pid"], data["count"], data["foreign_count"]) == (45, 3, 1)
    assert data["foreign"] == [{"pid": 77, "command": "ferretdb", "user": "root"}] or os.getuid()


def test_a_copy_is_seen_while_the_unit_is_down(host: Any, measure: Any) -> None:
    host.unit("killed")
    (host.root / "usr/local/bin").mkdir(parents=True)
    (host.root / "usr/local/bin/ferretdb").symlink_to("/opt/ferretdb-1.24/ferretdb")
    host.process(77, exe="/opt/ferretdb-1.24/ferretdb", group="/")
    data = measure(host, "process", unit="mongod", sample=0)["data"]
    assert (data["running"], data["foreign_count"]) == (False, 1)


def test_a_masked_unit_has_no_program_to_look_for(host: Any, measure: Any) -> None:
    host.unit("masked")
    host.process(1, comm="systemd", exe="/usr/lib/systemd/systemd", group="/init.scope")
    found = measure(host, "process", unit="mongod")
    assert found["data"]["running"] is False
    assert found["missing"] == ["count", "foreign", "foreign_count"]


def test_scripts_are_told_apart_by_their_words(host: Any, measure: Any) -> None:
    host.unit("running", MainPID=45, ExecStart="{ path=/usr/bin/python3 ; argv[]=/usr/bin/python3 /opt/app.py }")
    host.process(45, exe="/usr/bin/python3.11", comm="python3", words="python3\0/opt/app.py\0")
    host.process(50, exe="/usr/bin/python3.11", comm="python3", words="python3\0/opt/other.py\0", group="/")
    host.process(51, exe="/usr/bin/python3.11", comm="python3", words="python3\0/opt/app.py\0", group="/")
    assert [one["pid"] for one in measure(host, "process", unit="mongod", sample=0)["data"]["foreign"]] == [51]
    host.unit("killed", ExecStart="{ path=/usr/bin/python3.11 ; argv[]=x }")
    found = measure(host, "process", unit="mongod", sample=0)
    assert "foreign" in found["missing"]  # the words of a script that does not run are not known


def test_what_another_user_runs_is_missing_only_where_it_matters(host: Any, measure: Any) -> None:
    host.unit("running", MainPID=45)
    for pid, comm, group in ((45, "ferretdb", None), (60, "sshd", "/"), (61, "ferretdb", "/")):
        host.process(pid, comm=comm, exe="/x", **({"group": group} if group else {}))
        host.denied.add(f"/proc/{pid}/exe")
    found = measure(host, "process", unit="mongod", sample=0)
    assert found["missing"] == ["count", "foreign", "foreign_count"]  # 61 may or may not be a copy
    shutil.rmtree(host.root / "proc/61")
    found = measure(host, "process", unit="mongod", sample=0)
    assert found["missing"] == []
    assert found["data"]["foreign"] == []


def test_a_program_that_this_user_may_not_see(host: Any, measure: Any) -> None:
    host.process(45, exe="/usr/bin/ferretdb")
    host.denied.add("/proc/45/exe")
    found = measure(host, "process", exe="/usr/bin/ferretdb")
    assert found["missing"] == ["count", "running"]
    assert found["data"]["running"] is None


def test_what_ends_while_it_is_looked_at_is_left_out(host: Any, measure: Any) -> None:
    host.unit("running", MainPID=45)
    for pid in (45, 46):
        host.process(pid, exe="/usr/local/bin/ferretdb")
    (host.root / "proc/46/stat").unlink()
    assert measure(host, "process", unit="mongod", sample=0)["data"]["count"] == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "check it, unit: names no process. Give unit, exe or user"),
        ({"exe": "/x", "sample": 9}, "check it, sample: 9 s do not fit into the timeout of 5 s"),
    ],
)
def test_bad_arguments(args: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        probe.plan("it", {"type": "process", **args})
