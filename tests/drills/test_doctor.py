# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook doctor` on real hosts: what is wrong is named, with the next step, and nothing is written on the host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import lab

EDGES = ("-i", "inventories/lab_edges")
STATE = Path.home() / ".cache" / "ops-runbook" / "lab"
SNAPSHOT = (
    "find /etc /root /home /usr/local /var/lib/ops-runbook /run/ops-runbook -xdev -printf '%p %T@ %m %u %s\\n' "
    "2>/dev/null | sort"
)


@pytest.fixture(scope="module")
def some() -> None:
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", "db1", "db2", "db3", "old1", "nopy1"], timeout=600)
    assert up.code == 0, up.text
    # what sudo itself makes at the first use of a user
    lab.on("db2", "install -o ops -g ops -m 644 /dev/null /home/ops/.sudo_as_admin_successful")


def doctor(*arguments: str, code: int, hosts: str = "", env: dict[str, str] | None = None) -> lab.Json:
    """The document; the code is the one that was expected."""
    limit = ["--limit", hosts] if hosts else []
    argv = [lab.command("runbook"), "doctor", "-i", lab.INVENTORY, *arguments, *limit, "--format", "json"]
    done = lab.run(argv, env=env)
    assert done.code == code, done.text
    assert "Traceback" not in done.text
    assert "lab-only-password" not in done.text
    return t.cast("lab.Json", json.loads(done.stdout))


def failed(document: lab.Json, check: str) -> lab.Json:
    """The one check that failed, of the first host."""
    found = [one for one in document["hosts"][0]["checks"] if one["status"] == "failed"]
    assert [one["check"] for one in found] == [check], found
    assert found[0]["next_step"]
    return t.cast("lab.Json", found[0])


def ssh_arguments(*options: str) -> tuple[str, str]:
    """-e with ssh_common_args of these options, before the lab's own."""
    words = [*options, f"UserKnownHostsFile={STATE}/known_hosts", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"]
    return "-e", f"ansible_ssh_common_args={' '.join(f'-o {word}' for word in words)}"


def test_healthy_hosts_are_seen_whole_and_left_as_they_are(some: None) -> None:
    before = [lab.on(host, SNAPSHOT).stdout for host in ("db1", "db2")]
    document = doctor(hosts="db1,db2", code=0)
    wanted = ["reach", "host_key", "login", "python", "sudo", "clock", "room", "state", "hold", "journal"]
    for host in document["hosts"]:
        assert host["status"] == "ok", host
        assert [check["check"] for check in host["checks"]] == wanted
    assert document["hosts"][1]["checks"][4]["said"] == "with the password"
    assert [lab.on(host, SNAPSHOT).stdout for host in ("db1", "db2")] == before


def test_hosts_at_the_edges(some: None) -> None:
    document = doctor(*EDGES, hosts="db3,old1,nopy1,ghost1", code=4)
    db3, old1, nopy1, ghost1 = document["hosts"]
    assert db3["status"] == "warning"
    assert "sudo is switched off" in next(one["said"] for one in db3["checks"] if one["check"] == "sudo")
    assert next(one for one in old1["checks"] if one["check"] == "python")["said"].endswith("is 3.8.18")
    assert old1["status"] == "ok"
    assert failed({"hosts": [nopy1]}, "python")["next_step"].endswith("apt-get install -y python3'")
    assert failed({"hosts": [ghost1]}, "reach")


def test_a_host_key_that_is_not_known_and_one_that_changed(some: None, tmp_path: Path) -> None:
    nothing, other = tmp_path / "nothing", tmp_path / "other"
    told = failed(doctor(*ssh_arguments(f"UserKnownHostsFile={nothing}"), hosts="db1", code=4), "host_key")
    assert told["next_step"].startswith(f"ssh-keyscan -p 22 -t ed25519 {lab.SUBNET}.11 >>{nothing}")
    assert not nothing.exists()

    of_db2 = next(line for line in (STATE / "known_hosts").read_text().splitlines() if f"{lab.SUBNET}.12 " in line)
    other.write_text(of_db2.replace(f"{lab.SUBNET}.12", f"{lab.SUBNET}.11") + "\n")
    told = failed(doctor(*ssh_arguments(f"UserKnownHostsFile={other}"), hosts="db1", code=4), "host_key")
    assert told["said"].startswith("CHANGED")
    assert told["next_step"].endswith(f"ssh-keygen -R {lab.SUBNET}.11 -f {other}")
    assert f"{lab.SUBNET}.11" in other.read_text()

    scanned = lab.run(
        [
            "sh",
            "-c",
            failed(doctor(*ssh_arguments(f"UserKnownHostsFile={nothing}"), hosts="db1", code=4), "host_key")[
                "next_step"
            ],
        ]
    )
    assert scanned.code == 0, scanned.text
    assert doctor(*ssh_arguments(f"UserKnownHostsFile={nothing}"), hosts="db1", code=0), "the next step is the cure"


@pytest.fixture
def encrypted(tmp_path: Path) -> Path:
    key = tmp_path / "encrypted"
    key.write_bytes((STATE / "id_ed25519").read_bytes())
    key.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "passphrase-4711", "-f", key], check=True)
    return key


@pytest.fixture
def agent(tmp_path: Path, encrypted: Path) -> Iterator[dict[str, str]]:
    """An agent that holds the encrypted key."""
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as process:
        try:
            while not socket.exists():
                time.sleep(0.02)
            env = {"SSH_AUTH_SOCK": str(socket), "SSH_ASKPASS_REQUIRE": "force", "SSH_ASKPASS": str(tmp_path / "ask")}
            (tmp_path / "ask").write_text("#!/bin/sh\necho passphrase-4711\n")
            (tmp_path / "ask").chmod(0o700)
            subprocess.run(["ssh-add", "-q", encrypted], check=True, env={**os.environ, **env})
            yield {"SSH_AUTH_SOCK": str(socket)}
        finally:
            process.terminate()


def test_keys(some: None, encrypted: Path, agent: dict[str, str], tmp_path: Path) -> None:
    key = ("-e", f"ansible_ssh_private_key_file={encrypted}")
    told = failed(doctor(*key, hosts="db1", code=4, env={"SSH_AUTH_SOCK": ""}), "login")
    assert told["next_step"] == f"ssh-add {encrypted}"
    login = doctor(*key, hosts="db1", code=0, env=agent)["hosts"][0]["checks"][2]
    assert "a key of the agent" in login["said"]
    phrase = ("-e", "ansible_ssh_private_key_passphrase=passphrase-4711")
    if lab.run([lab.command("python"), "-c", "import ansible.release as r; exit(r.__version__ < '2.19')"]).code == 0:
        document = doctor(*key, *phrase, hosts="db1", code=0, env={"SSH_AUTH_SOCK": ""})
        assert "passphrase-4711" not in json.dumps(document)

    encrypted.chmod(0o644)
    told = failed(doctor(*key, hosts="db1", code=4, env={"SSH_AUTH_SOCK": ""}), "login")
    assert told["next_step"] == f"chmod 600 {encrypted}"
    gone = f"{tmp_path}/gone"
    told = failed(
        doctor("-e", f"ansible_ssh_private_key_file={gone}", hosts="db1", code=4, env={"SSH_AUTH_SOCK": ""}), "login"
    )
    assert f"{gone} does not exist" in told["said"]


def test_sudo(some: None) -> None:
    told = failed(doctor("-e", "ansible_become_password=wrong-4711", hosts="db2", code=4), "sudo")
    assert told["said"] == "the sudo password is wrong"
    told = failed(doctor("-e", "ansible_become_password=", hosts="db2", code=4), "sudo")
    assert "none was given" in told["said"]
    assert "-K" in told["next_step"]
    told = failed(
        doctor(*EDGES, "-e", "ansible_become=true", "-e", "ansible_become_password=x", hosts="db3", code=4), "sudo"
    )
    assert told["said"] in ("the sudo password is wrong", "viewer may not use sudo")
    lab.on("db2", "echo 'Defaults:ops requiretty' >/etc/sudoers.d/requiretty")
    try:
        host = doctor(hosts="db2", code=0)["hosts"][0]
        sudo = next(check for check in host["checks"] if check["check"] == "sudo")
        assert (sudo["status"], "requiretty" in sudo["said"]) == ("warning", True), sudo
    finally:
        lab.on("db2", "rm /etc/sudoers.d/requiretty")


def test_what_would_keep_a_run_from_acting(some: None) -> None:
    lease = (
        "import json, time; print(json.dumps({'name': 'db1_mongodb', 'run_id': 'R-1', 'holder': 'kim', 'taken_at': '', "
        "'boot_id': open('/proc/sys/kernel/random/boot_id').read().strip(), "
        "'expires': time.clock_gettime(time.CLOCK_BOOTTIME) + 300}))"
    )
    made = "mkdir -p -m 700 /run/ops-runbook /var/lib/ops-runbook; chmod 700 /run/ops-runbook /var/lib/ops-runbook; "
    lab.on("db1", f'{made}python3 -c "{lease}" >/run/ops-runbook/db1_mongodb.json')
    lab.on("db1", "echo 'disk swap, ask kim' >/var/lib/ops-runbook/hold")
    try:
        document = doctor(hosts="db1", code=7)
        assert document["hosts"][0]["status"] == "blocked"
        assert failed(document, "hold")["said"] == "a hold is in force: disk swap, ask kim"
        lease = next(check for check in document["hosts"][0]["checks"] if check["check"] == "lease")
        assert re.fullmatch(r"db1_mongodb is held by kim \(run R-1\) for another (29\d|300) s", lease["said"]), lease
        lab.on("db1", "rm /var/lib/ops-runbook/hold; echo broken >/run/ops-runbook/db1_mongodb.json")
        assert "damaged" in failed(doctor(hosts="db1", code=7), "lease")["said"]
    finally:
        lab.on("db1", "rm -f /var/lib/ops-runbook/hold /run/ops-runbook/db1_mongodb.json")


def test_what_is_not_followed_is_said(some: None) -> None:
    document = doctor(*ssh_arguments("HostKeyAlgorithms=ssh-ed25519"), hosts="db1", code=0)
    assert document["hosts"][0]["not_honoured"] == ["hostkeyalgorithms ssh-ed25519"]


KILL = "systemctl kill --signal=KILL mongod; until systemctl is-failed -q mongod; do sleep .05; done"


@pytest.fixture
def behind(some: None) -> Iterator[None]:
    """db2's ssh port answers db1 alone."""
    drop = "nft add table inet behind; nft 'add chain inet behind in { type filter hook input priority 0; }'; "
    drop += f"nft add rule inet behind in tcp dport 22 ip saddr != {lab.SUBNET}.11 drop"
    assert lab.on("db2", drop).code == 0
    subprocess.run(["ssh", "-O", "exit", "-o", "ControlPath=none", "x"], capture_output=True, check=False)
    yield
    lab.on("db2", "nft delete table inet behind")


def test_through_a_jump_host(behind: None, tmp_path: Path) -> None:
    assert doctor("--timeout", "2", hosts="db2", code=4)["hosts"][0]["checks"][0]["check"] == "reach"
    common = f"-o UserKnownHostsFile={STATE}/known_hosts -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
    through = f'-o ProxyCommand="ssh {common} -i {STATE}/id_ed25519 -W %h:%p root@{lab.SUBNET}.11"'
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host *\n  UserKnownHostsFile {STATE}/known_hosts\n  IdentityFile {STATE}/id_ed25519\n  IdentitiesOnly yes\n"
        f"Host jump\n  HostName {lab.SUBNET}.11\n  User root\n"
        f"Host {lab.SUBNET}.12\n  ProxyJump jump\n"
    )
    for arguments in (f"{common} {through}", f"-F {config}"):
        told = ("-e", f"ansible_ssh_common_args={arguments} -o ControlPath=none")
        document = doctor(*told, hosts="db2", code=0)
        assert "answers through" in document["hosts"][0]["checks"][0]["said"]
        done, run = lab.runbook("diagnose", "recover_mongodb", *told, records=tmp_path / "records", host="db2")
        assert (done.code, run["targets"][0]["outcome"]) == (0, "healthy"), done.text
        assert lab.on("db2", KILL).code == 0
        done, run = lab.runbook("run", "recover_mongodb", *told, records=tmp_path / "records", host="db2")
        assert (done.code, run["targets"][0]["outcome"]) == (0, "remedied"), done.text

    lost = config.read_text().replace(f"HostName {lab.SUBNET}.11", f"HostName {lab.SUBNET}.99")
    config.write_text(lost)
    told = ("-e", f"ansible_ssh_common_args=-F {config} -o ControlPath=none")
    document = doctor(*told, "--timeout", "4", hosts="db2", code=4)
    assert failed(document, "reach")["said"].startswith("through jump: ")


@pytest.fixture
def five_hundred(some: None, tmp_path: Path) -> Iterator[Path]:
    """497 hosts that nobody reaches: half at addresses of nobody, half where every packet is dropped."""
    numbers = range(170, 250)
    mute = [number for number in numbers if number % 2]
    dropped = ", ".join(f"{lab.SUBNET}.{number}" for number in mute)
    steps = [
        "nft add table inet mute",
        "nft 'add chain inet mute in { type filter hook input priority 0; }'",
        *(f"ip addr add {lab.SUBNET}.{number}/32 dev eth0" for number in mute),
        f"nft add rule inet mute in ip daddr '{{ {dropped} }}' drop",
    ]
    assert lab.on("db3", " && ".join(steps)).code == 0
    hosts = {f"gone{n:03}": {"ansible_host": f"{lab.SUBNET}.{numbers[n % len(numbers)]}"} for n in range(497)}
    inventory = tmp_path / "many.yml"
    inventory.write_text(json.dumps({"all": {"children": {"mongodb": {"hosts": hosts}}}}))
    yield inventory
    lab.on("db3", "nft delete table inet mute; " + "".join(f"ip addr del {lab.SUBNET}.{n}/32 dev eth0; " for n in mute))


def test_five_hundred_hosts_of_which_three_answer(
    five_hundred: Path, hosts: Path, tell: t.Callable[[str], None]
) -> None:
    limit = ("-i", str(five_hundred), *EDGES, "--limit", "mongodb,!ghost1,!old1,!new1,!nopy1")
    began = time.monotonic()
    argv = [lab.command("runbook"), "doctor", "-i", lab.INVENTORY, *limit]
    done = lab.run(argv)
    spent = time.monotonic() - began
    tell(f"doctor of 500 hosts, 3 there: {spent:.1f} s")
    assert done.code == 4, done.text
    assert "unreachable  497 hosts" in done.stdout
    assert len(done.stdout.splitlines()) < 20, done.stdout
    assert spent < 60

    began = time.monotonic()
    argv = [lab.command("runbook"), "run", "recover_mongodb", "-i", lab.INVENTORY, *limit, "--records", str(hosts)]
    done = lab.run(argv, env={"XDG_STATE_HOME": str(hosts)})
    spent = time.monotonic() - began
    tell(f"run on 500 hosts, 3 there: {spent:.1f} s")
    assert "db1/mongodb HEALTHY" in done.stdout
    assert "db2/mongodb HEALTHY" in done.stdout
    assert "unreachable  497 of 500 hosts, left out of the run" in done.stdout
    assert len(done.stdout.splitlines()) < 50, done.stdout
    assert done.code == 8, "db3 has no sudo, and its outcome is graver than unreachable"
    assert spent < 90


def test_a_fleet_at_once(tell: t.Callable[[str], None]) -> None:
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", "fleet:10"], timeout=600)
    assert up.code == 0, up.text
    document = doctor(hosts="fleet[0:9]", code=0)
    assert document["counts"]["ok"] == 10
    tell(f"doctor of 10 hosts: {document['seconds']:.1f} s")
    assert document["seconds"] < 15
