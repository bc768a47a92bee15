# SPDX-License-Identifier: GPL-3.0-or-later
"""ctrl-C, a lost terminal, --timeout: nothing stays behind, neither a process nor a private folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_project import Cli

from runbook_cli.stop import Stop, descendants

SLOW = ("run", "recover_thing", "-i", "inventories/all.yml", "-l", "healthy,remedied", "-e", "wait=300")


def soon(condition, seconds: float = 20.0) -> bool:
    """Whether condition comes true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.1)
    return False


SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up")]


@pytest.mark.parametrize(("number", "code", "why"), SIGNALS)
def test_a_signal_stops_gently(cli: Cli, number: int, code: int, why: str) -> None:
    child = cli.spawn(*SLOW)
    assert soon(lambda: sum("sleep 300" in line for line in cli.processes()) >= 2), "the tasks must be at work"
    (private,) = cli.left_over()
    assert (cli.temp / private).stat().st_mode & 0o777 == 0o700
    sent = time.monotonic()
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert child.returncode == code
    assert time.monotonic() - sent < 9, "it did not wait for the last resort"
    assert f"Stopping ({why})" in err
    assert "healthy: unfinished: the run was stopped before it ended here." in out
    assert f"({why}). Records: {cli.records}" in out
    assert "healthy  was at 'remediate: Wait' for" in out
    assert "  changed  nothing" in out
    look, go_on = out.splitlines()[-2:]
    assert look == "look       runbook doctor -i inventories/all.yml --limit healthy,remedied"
    assert go_on == ("go on      runbook run recover_thing -i inventories/all.yml -e wait=300 --limit healthy,remedied")
    assert soon(lambda: cli.processes() == [], 5)
    assert cli.left_over() == []


def test_a_signal_before_ansible_has_begun(cli: Cli) -> None:
    child = cli.spawn(*SLOW, "--format", "json")
    assert soon(cli.left_over), "the private folder must exist"
    child.send_signal(signal.SIGINT)
    out, _err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert '"stopped": "interrupted"' in out
    assert soon(lambda: cli.processes() == [], 5)
    assert cli.left_over() == []


@pytest.mark.parametrize(("number", "code", "why"), SIGNALS)
def test_a_signal_while_the_inventory_is_read(cli: Cli, tmp_path: Path, number: int, code: int, why: str) -> None:
    inventory = tmp_path / "slow"
    inventory.write_text("#!/bin/sh\nsleep 300\n")
    inventory.chmod(0o700)
    for command in (("run", "recover_thing"), ("doctor",)):
        child = cli.spawn(*command, "-i", str(inventory))
        assert soon(lambda: any("sleep 300" in line for line in cli.processes())), "the inventory must be at work"
        child.send_signal(number)
        out, err = child.communicate(timeout=10)
        assert (child.returncode, out) == (code, "")
        assert err.splitlines() == [f"runbook: {why}. Nothing had begun on any host."]
        assert soon(lambda: cli.processes() == [], 5)


def test_a_second_ctrl_c_does_not_wait(cli: Cli) -> None:
    child = cli.spawn(*SLOW)
    assert soon(lambda: sum("sleep 300" in line for line in cli.processes()) >= 2), "the tasks must be at work"
    main = next(pid for pid in descendants(child.pid) if "ansible-playbook" in _command(pid))
    os.kill(main, signal.SIGSTOP)  # it cannot hear SIGINT now
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    time.sleep(0.7)
    child.send_signal(signal.SIGINT)
    _out, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "Stopping at once" in err
    assert time.monotonic() - sent < 8
    assert soon(lambda: cli.processes() == [], 5)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_secrets_are_in_no_argument_and_no_environment(cli: Cli) -> None:
    child = cli.spawn(*SLOW, "-K", "-e", "api_token=token-4711", stdin=subprocess.PIPE)
    child.stdin.write("sudo-4711\n")
    child.stdin.flush()
    assert soon(lambda: sum("sleep 300" in line for line in cli.processes()) >= 2), "the tasks must be at work"
    for pid in descendants(child.pid):
        for name in ("cmdline", "environ"):
            assert b"4711" not in Path(f"/proc/{pid}/{name}").read_bytes()
    holding = [path for path in cli.temp.rglob("*") if path.is_file() and b"4711" in path.read_bytes()]
    assert [path.name for path in holding] == ["extra-1.json"], (
        "the sudo password is removed as soon as it has been read"
    )
    assert holding[0].stat().st_mode & 0o777 == 0o600
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)
    assert child.returncode == 130


def test_a_timeout(cli: Cli) -> None:
    began = time.monotonic()
    done = cli.run(*SLOW, "--timeout", "4", "--query", "[stopped, targets[].outcome]")
    assert (done.code, done.data) == (124, ["timed_out", ["unfinished", "unfinished"]])
    assert 4 <= time.monotonic() - began < 16


def test_what_ignores_sigint_is_killed_with_its_children() -> None:
    program = (
        "import signal, subprocess, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "print(subprocess.Popen(['sleep', '300'], start_new_session=True).pid, flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as main:
        below = int(main.stdout.readline())
        assert descendants(main.pid) == [below]
        stop = Stop(None, grace=0.3)
        stop.see({"pid": main.pid})
        assert stop.must_kill() is False
        stop.request("interrupted")
        stop.request("timed_out")
        assert (stop.reason, stop.must_kill()) == ("interrupted", False)
        time.sleep(0.4)
        assert main.poll() is None
        assert stop.must_kill() is True
        assert soon(lambda: descendants(main.pid) == [] or _state(below) in "Z?", 5)
        assert main.poll() is None, "the main process is left to ansible-runner"
        main.kill()


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "?"


def test_a_stop_that_was_asked_for_early_is_passed_on() -> None:
    with subprocess.Popen(["sleep", "300"]) as main:
        stop = Stop(None)
        stop.request("interrupted")
        stop.see({"event": "verbose"})
        assert main.poll() is None
        stop.see({"pid": main.pid})
        assert main.wait(5) == -signal.SIGINT
        stop.see({"pid": main.pid})  # gone already: no error, and not asked twice


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    stop = Stop(None)
    with stop.signals():
        os.kill(os.getpid(), signal.SIGINT)
        assert soon(lambda: stop.reason == "interrupted", 2)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = Stop(None)
        with stop.signals():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
        assert stop.reason is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
