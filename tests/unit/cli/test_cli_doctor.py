# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook doctor` without hosts: what answers mean, how OpenSSH is followed, and how many hosts are told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_project import Cli

from runbook_cli import doctor_look as look
from runbook_cli.answer import CliError, Output
from runbook_cli.doctor import Patient
from runbook_cli.doctor_look import Finding
from runbook_cli.doctor_view import text
from runbook_cli.reach import silent
from runbook_cli.ssh_settings import command, first, not_honoured, parse, proxy, settings

PLAIN = {
    "host": "h",
    "error": None,
    "connection": "ssh",
    "address": "192.0.2.7",
    "port": None,
    "user": "ops",
    "key": None,
    "key_text": None,
    "passphrase": None,
    "password": None,
    "arguments": "",
    "checks_host_key": True,
    "executable": "ssh",
    "timeout": 2.0,
    "python": "auto_silent",
    "become": True,
    "become_method": "sudo",
    "become_user": "root",
    "become_exe": "sudo",
    "become_flags": "-H -S -n",
    "become_password": None,
}


def test_the_command_line_is_ansibles_without_its_shared_connection() -> None:
    arguments = "-o ControlMaster=auto -o ControlPersist=60s -oControlPath=/x -C -o ServerAliveInterval=5"
    told = PLAIN | {"arguments": arguments, "port": 2222, "key": "/k", "checks_host_key": False}
    assert " ".join(command(told)) == (
        "ssh -C -o ServerAliveInterval=5 -o StrictHostKeyChecking=no -p 2222 -o IdentityFile=/k -l ops 192.0.2.7"
    )


def test_settings_come_from_openssh_itself(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "Host 192.0.2.*\n  HostName db.example\n  Port 2200\n  ProxyJump kim@jump,last:2201\n  Compression yes\n"
    )
    chosen = settings(PLAIN | {"arguments": f"-F {config}"})
    assert (first(chosen, "hostname"), first(chosen, "port"), first(chosen, "user")) == ("db.example", "2200", "ops")
    words = proxy(chosen, PLAIN | {"arguments": f"-F {config}"}, 3)
    assert words is not None
    assert " ".join(words[5:]) == f"-F {config} -J kim@jump -W [db.example]:2200 ssh://last:2201"
    with pytest.raises(CliError, match="nonsense"):
        settings(PLAIN | {"arguments": "-o Nonsense=1"})


def test_a_proxy_command_is_filled_in() -> None:
    chosen = parse("host alias\nhostname db.example\nport 22\nuser ops\nproxycommand nc %h %p %r %n 100%%\n")
    assert proxy(chosen, PLAIN, 3) == ["/bin/sh", "-c", "exec nc db.example 22 ops alias 100%"]
    assert proxy(parse("hostname h\nproxycommand none\n"), PLAIN, 3) is None


def test_what_is_not_followed_is_named_and_what_does_not_matter_is_not() -> None:
    arguments = "-o CertificateFile=/c -o Compression=yes -o IdentityAgent=none -o AddressFamily=inet6"
    assert not_honoured(settings(PLAIN | {"arguments": arguments})) == ["addressfamily inet6", "certificatefile /c"]


@pytest.mark.parametrize(
    ("lines", "configured", "status", "said"),
    [
        (["/usr/bin/python3 3.11.2"], "auto_silent", "ok", "/usr/bin/python3 is 3.11.2"),
        (["/a 3.7.3", "/b 3.8.0"], "auto", "ok", "/b is 3.8.0"),
        (["/a 3.7.3"], "auto", "failed", "/a is 3.7.3, and 3.8 is the oldest that serves"),
        (["/a Segmentation fault"], "/a", "failed", "/a does not run: Segmentation fault"),
        ([], "auto", "failed", "there is no Python"),
        ([], "/opt/p", "failed", "ansible_python_interpreter is /opt/p, and there is none"),
    ],
)
def test_python(lines: list[str], configured: str, status: str, said: str) -> None:
    found = look.of_python({"python": lines}, configured, "ssh h")
    assert (found.status, found.said) == (status, said)
    assert bool(found.next_step) == (status == "failed")


@pytest.mark.parametrize(
    ("now", "status", "word"),
    [
        ("100.5", "ok", "within"),
        ("100.N", "ok", "within"),
        ("160", "warning", "59 s ahead"),
        ("40.1", "warning", "60 s behind"),
        ("", "unknown", "date"),
    ],
)
def test_the_clock(now: str, status: str, word: str) -> None:
    found = look.of_clock({"now": [now]}, 100.0, 101.0, "ssh h")
    assert (found.status, word in found.said) == (status, True), found


@pytest.mark.parametrize(
    ("said", "status", "word"),
    [
        ("sudo: sorry, you must have a tty to run sudo", "warning", "requiretty"),
        ("ops is not in the sudoers file.", "failed", "may not use sudo"),
        ("Sorry, user ops may not run sudo on h.", "failed", "may not use sudo"),
        ("sudo: a password is required", "failed", "none was given"),
        ("Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt", "failed", "wrong"),
        ("sh: 1: sudo: not found", "failed", "there is no sudo"),
        ("sudo: unable to resolve host", "failed", "unable to resolve host"),
    ],
)
def test_sudo(said: str, status: str, word: str) -> None:
    found = look.of_sudo(1, said, PLAIN, "ops", "ssh h")
    assert (found.status, word in found.said, bool(found.next_step)) == (status, True, True), found


def seen(**lines: str) -> dict[str, list[str]]:
    usual = {"journal": "writable", "boot": "b-1 1000.00"}
    return {name: text_.split("\n") for name, text_ in (usual | lines).items()}


def of_root(**lines: str) -> dict[str, Finding]:
    return {finding.check: finding for finding in look.of_root(seen(**lines), True, "ssh h")}


def test_room() -> None:
    assert of_root(room="/var/lib yes 9000000 90000\n/run yes 90000 9000")["room"].status == "ok"
    assert "cannot be written" in of_root(room="/var/lib no 9000000 90000")["room"].said
    assert of_root(room="/var/lib yes 9000 90000")["room"].status == "failed"
    assert of_root(room="/var/lib yes 90000 90000")["room"].status == "warning"
    assert of_root(room="/var/lib yes 9000000 3")["room"].status == "failed"
    assert of_root(room="/var/lib yes 9000000 -")["room"].status == "ok", "btrfs tells no inodes"
    assert of_root(room="/run yes - -")["room"].status == "unknown"


def test_state_hold_lease_and_journal() -> None:
    assert of_root(state="/run/ops-runbook 0 700 directory")["state"].status == "ok"
    assert of_root(state="/var/lib/ops-runbook 1000 777 directory")["state"].status == "warning"
    assert of_root(hold="")["hold"].said == "a hold is in force: no reason given"
    lease = {"name": "n", "run_id": "R", "holder": "", "boot_id": "b-1", "expires": 1060.0}
    assert of_root(lease=json.dumps(lease))["lease"].said == "n is held by another run (run R) for another 60 s"
    for over in ({"expires": 900.0}, {"boot_id": "b-0"}):
        assert of_root(lease=json.dumps(lease | over))["hold"].said == "no hold and no lease"
    assert of_root(lease="[]")["lease"].status == "failed"
    assert of_root(journal="missing")["journal"].status == of_root(journal="closed")["journal"].status == "warning"
    assert look.of_root(seen(), False, "ssh h")[2].status == "unknown", "not root: holds are not seen"


def test_the_script_is_shell_and_the_password_is_not_in_it() -> None:
    secret = PLAIN | {"become_password": "hunter-4711"}
    assert "hunter-4711" not in look.as_login(secret) + look.as_root(secret)
    assert look.as_root(secret).startswith("sudo -H -S -k -p '' -u root /bin/sh -c ")
    assert look.parse("a=1\nplain text = x\na=2=3\n") == {"a": ["1", "2=3"], "": ["plain text = x"]}


def test_the_worst_decides_about_a_host() -> None:
    ok, warning = Finding("clock", "ok", "x"), Finding("clock", "warning", "x")
    assert Patient("h", [ok]).status == "ok"
    assert Patient("h", [ok, warning]).status == "warning"
    assert Patient("h", [Finding("hold", "failed", "x"), ok]).status == "blocked"
    assert Patient("h", [Finding("hold", "failed", "x"), Finding("sudo", "failed", "x")]).status == "unreachable"


def test_many_hosts_are_summed_up_and_few_failures_told_one_by_one() -> None:
    many = [Patient(f"g{n}", [Finding("reach", "failed", f"g{n} is gone", f"ping g{n}")]) for n in range(30)]
    few = [Patient(f"s{n}", [Finding("sudo", "failed", f"s{n} wants a password", f"mend s{n}")]) for n in range(3)]
    well = [Patient(f"w{n}", [Finding("reach", "ok", "x")], ["certificatefile /c"]) for n in range(9)]
    hosts = [patient.document() for patient in [*many, *few, *well]]
    told = text({"hosts": hosts, "counts": {"ok": 9, "unreachable": 33}, "seconds": 1.0, "exit_code": 4})
    assert "ok           9 hosts: w0, w1, w2, w3, w4 and 4 more" in told
    assert (
        "unreachable  30 hosts: g0, g1, g2, g3, g4 and 25 more (reach)\n  g0: g0 is gone\n    next step  ping g0"
        in told
    )
    assert "and 29 more at the same check" in told
    assert all(f"next step  mend s{n}" in told for n in range(3))
    assert "certificatefile /c (w0, w1, w2, w3, w4 and 4 more)" in told


def test_a_local_host_is_looked_at_without_ssh(cli: Cli) -> None:
    done = cli.run("doctor", "-i", "inventories/few.yml", "-l", "f0", "-e", "ansible_become=false", "--format", "json")
    checks = {check["check"]: check for check in done.data["hosts"][0]["checks"]}
    assert checks["python"]["status"] == checks["clock"]["status"] == "ok"
    assert done.data["schema"] == "ops.runbook/doctor/1"


def test_what_cannot_be_read_of_a_host_is_its_own_failure(cli: Cli) -> None:
    done = cli.run("doctor", "-i", "inventories/few.yml", "-l", "f0", "-e", "ansible_connection={{ nobody_said }}")
    assert done.code == 4
    assert "nobody_said" in done.out
    done = cli.run("doctor", "-i", "inventories/few.yml", "-l", "f0", "-e", "ansible_connection=winrm")
    assert (done.code, "is not looked into" in done.out) == (0, True)


@pytest.mark.parametrize(("arguments", "code"), [(["-l", "nobody"], 7), (["-l", "f0,nobody"], 2), (["-l", ","], 7)])
def test_a_limit_is_checked_as_for_a_run(cli: Cli, arguments: list[str], code: int) -> None:
    assert cli.run("doctor", "-i", "inventories/few.yml", *arguments).code == code


@pytest.fixture
def greets() -> Iterator[int]:
    """A port of this machine that greets as an ssh server does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                while True:
                    connection, _address = server.accept()
                    connection.sendall(b"SSH-2.0-x\r\n")
                    connection.close()
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_who_does_not_answer(greets: int, mute: int, tmp_path: Path) -> None:
    here = PLAIN | {"address": "127.0.0.1", "timeout": 0.5}
    found = silent(
        [
            here | {"host": "there", "port": greets},
            here | {"host": "mute", "port": mute},
            here | {"host": "closed", "port": 1},
            here | {"host": "proxied", "port": 1, "arguments": "-o ProxyCommand=false"},
            here | {"host": "local", "connection": "local"},
            here | {"host": "odd", "port": 1, "arguments": "-o Nonsense=1"},
        ],
        0.5,
    )
    assert sorted(found) == ["closed", "mute"]


def test_a_run_over_many_leaves_out_who_does_not_answer(cli: Cli, tmp_path: Path) -> None:
    gone = ", ".join(
        f"gone{n}: {{ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}}" for n in range(20)
    )
    inventory = tmp_path / "many.yml"
    inventory.write_text(f"things: {{hosts: {{{gone}}}}}\n")
    arguments = ("run", "recover_thing", "-i", "inventories/all.yml", "-i", str(inventory))
    done = cli.run(*arguments, "-l", "healthy,remedied,gone*")
    assert done.code == 4
    assert "20 of 22 hosts cannot be connected to, and are left out: gone0, gone1" in done.err
    assert "healthy/thing HEALTHY" in done.out
    assert "unreachable  20 of 22 hosts, left out of the run\n  Connection refused: gone0, gone1" in done.out
    assert f"See 'runbook doctor -i inventories/all.yml -i {inventory}'." in done.out
    done = cli.run(*arguments, "-l", "gone*", "--format", "json")
    assert (done.code, len(done.data["targets"]), len(done.data["silent"])) == (4, 20, 20)
    assert {target["outcome"] for target in done.data["targets"]} == {"unreachable"}
    assert Output().format == "table"
