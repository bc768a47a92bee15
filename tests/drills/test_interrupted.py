# SPDX-License-Identifier: GPL-3.0-or-later
"""ctrl-C in a real terminal, and a terminal that is closed, while an act is under way on a real host."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shlex
import signal
import time
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import record
from tests.support import lab

ACT = "Clear the failed state and start the unit"
RUN = ("run", "recover_mongodb", "-i", lab.INVENTORY, "--limit", "db1", "-e", "remediate_lease_ttl=15")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host is there; returns a folder for the record."""
    done = lab.run([str(lab.ROOT / "lab" / "lab"), "up", "db1"], timeout=600)
    assert done.code == 0, done.text
    return tmp_path_factory.mktemp("interrupted")


class Terminal:
    """A command in a terminal of its own, as its foreground process."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            os.chdir(lab.ROOT)
            os.execve(argv[0], argv, {**os.environ, "TERM": "xterm", **env})  # noqa: S606 - an argument list, as everywhere
        self.said = ""

    def read(self, until: str | None, seconds: float = 60) -> str:
        """What it says until a text comes, or to its end."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and not (until and until in self.said):
            if select.select([self.end], [], [], 0.1)[0]:
                try:
                    self.said += os.read(self.end, 65536).decode("utf-8", "replace").replace("\r\n", "\n")
                except OSError:  # it is gone
                    break
        assert until is None or until in self.said, self.said
        return self.said

    def code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def started(records: Path) -> Terminal:
    """A run on a killed server, in the middle of its act: the act is held there by the server's slow start."""
    lab.on("db1", "mkdir -p /run/systemd/system/mongod.service.d")
    lab.on("db1", "printf '[Service]\\nExecStartPre=/bin/sleep 4\\n' >/run/systemd/system/mongod.service.d/slow.conf")
    lab.on("db1", "systemctl daemon-reload; systemctl kill -s KILL mongod; sleep 0.5")
    env = {"OPS_RUNBOOK_RECORDS": str(records), "XDG_STATE_HOME": str(records)}
    terminal = Terminal([lab.command("runbook"), *RUN], env)
    terminal.read(ACT)
    active = "systemctl show mongod -p ActiveState --value"
    limit = time.monotonic() + 20
    while lab.on("db1", active).stdout.strip() != "activating" and time.monotonic() < limit:
        time.sleep(0.1)
    return terminal


def mended() -> None:
    lab.on("db1", "rm -rf /run/systemd/system/mongod.service.d; systemctl daemon-reload; systemctl reset-failed mongod")
    lab.on("db1", "systemctl start mongod simplers-writer; rm -f /run/ops-runbook/mongodb.json")


def is_active(seconds: float = 20) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if lab.on("db1", "systemctl is-active mongod").stdout.strip() == "active":
            return True
        time.sleep(0.2)
    return False


def typed(records: Path, said: str, name: str) -> lab.Ran:
    """Run the command that was told under a name."""
    line = next(line for line in said.splitlines() if line.startswith(f"{name}  "))
    argv = shlex.split(line.removeprefix(name))
    argv[0] = lab.command(argv[0])
    return lab.run(argv, env={"OPS_RUNBOOK_RECORDS": str(records), "XDG_STATE_HOME": str(records)})


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_during_the_act(up: Path, times: int) -> None:
    data = lab.data("db1")
    terminal = started(up)
    try:
        for _ in range(times):
            os.write(terminal.end, b"\x03")
            time.sleep(0.3)
        said = terminal.read(None)
        assert terminal.code() == 130, said
        assert "Stopping (interrupted)" in said
        assert re.search(rf"db1  was at 'remediate: {ACT}' for [\d.]+ s; what had begun there ends by its own", said), (
            said
        )
        assert "  lease    mongodb ends by itself, when the host says (an act extends it: look below)" in said
        assert "look       runbook doctor -i inventories/lab --limit db1" in said
        assert "Traceback" not in said
        assert is_active(), "the act ended by itself"
        assert record.verify(up)[1] is None, "the record is whole"
        looked = typed(up, said, "look")
        assert re.search(r"mongodb is held by .* for another \d+ s", looked.stdout), looked.text
        went_on = typed(up, said, "go on")
        assert (went_on.code, "db1/mongodb HEALTHY" in went_on.stdout) == (0, True), went_on.text
        after = lab.data("db1")
        assert (after["count"], after["sha256"], after["missing"]) == (data["count"], data["sha256"], 0)
    finally:
        mended()


def test_a_terminal_that_is_closed_during_the_act(up: Path) -> None:
    terminal = started(up)
    try:
        os.close(terminal.end)
        assert terminal.code() == 129
        assert is_active(), "the act ended by itself"
        assert record.verify(up)[1] is None
        assert not at_work(up)
    finally:
        mended()


def at_work(records: Path) -> str:
    """Processes of a run with this record, by their environment: their ids."""
    found = []
    for each in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"OPS_RUNBOOK_RECORDS={records}\0".encode() in each.read_bytes():
                found.append(each.parent.name)
    return " ".join(found)


def test_runbook_itself_is_killed(up: Path) -> None:
    """Nobody is left to clean up: the act ends by itself, so does the playbook, and the next run finds it well."""
    terminal = started(up)
    try:
        os.kill(terminal.pid, signal.SIGKILL)
        assert terminal.code() == -signal.SIGKILL
        assert is_active(), "the act ended by itself"
        limit = time.monotonic() + 30
        while at_work(up) and time.monotonic() < limit:
            time.sleep(0.2)
        assert not at_work(up)
        assert record.verify(up)[1] is None, "the record is whole"
        env = {"OPS_RUNBOOK_RECORDS": str(up), "XDG_STATE_HOME": str(up)}
        again = lab.run([lab.command("runbook"), *RUN], env=env)
        assert (again.code, "db1/mongodb HEALTHY" in again.stdout) == (0, True), again.text
    finally:
        mended()


def test_sigterm_while_it_connects(up: Path) -> None:
    """A host that takes no connection: nothing was changed, and that is said."""
    lab.on("db1", "nft add table inet mute; nft 'add chain inet mute in { type filter hook input priority 0; }'")
    lab.on("db1", "nft add rule inet mute in tcp dport 22 drop")
    try:
        env = {"OPS_RUNBOOK_RECORDS": str(up), "XDG_STATE_HOME": str(up)}
        words = ("-e", "ansible_ssh_common_args=-o ControlPath=none", "-e", "ansible_ssh_timeout=30")
        terminal = Terminal([lab.command("runbook"), *RUN, *words], env)
        terminal.read("Look at the target")
        os.kill(terminal.pid, signal.SIGTERM)
        said = terminal.read(None)
        assert terminal.code() == 143
        assert "db1  was at 'remediate: Look at the target'" in said
        assert "  changed  nothing" in said
        assert "  lease  " not in said
    finally:
        lab.on("db1", "nft delete table inet mute")
