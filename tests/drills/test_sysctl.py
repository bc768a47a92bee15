# SPDX-License-Identifier: GPL-3.0-or-later
"""sysctl_profile over ssh on a lab host, seen through procps and systemd's own tools; net.* only: these are its own."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.support import lab

HOST, NAME = "fleet02", "drill"
DROPIN = f"/etc/sysctl.d/90-ops-runbook-{NAME}.conf"
STATE = f"/var/lib/ops-runbook/sysctl/{NAME}.json"
SOMAXCONN, FIN, RMEM = "net.core.somaxconn", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_rmem"
ORIGINAL = {SOMAXCONN: "512", FIN: "60", RMEM: "4096 131072 6291456"}
WANTED = {SOMAXCONN: 4096, "net/ipv4/tcp_fin_timeout": 15, RMEM: "4096 87380 16777216"}
BOOT = "/usr/lib/systemd/systemd-sysctl --prefix=/net/core/somaxconn --prefix=/net/ipv4"
PROCPS = f"sysctl -q -p {DROPIN}"
NO_CONTAINER_S = {"net.core.netdev_max_backlog": 16384, "net.core.rmem_max": 2147483647, "vm.swappiness": 1}


class Answer(t.NamedTuple):
    """What Ansible did, and what the module answered."""

    ran: lab.Ran
    result: dict[str, t.Any]

    @property
    def statuses(self) -> dict[str, str]:
        """Status by key."""
        return {name: one["status"] for name, one in self.result["keys"].items()}


def shell(command: str) -> str:
    """Run something on the host by another road; it has to succeed."""
    done = lab.on(HOST, command)
    assert done.code == 0, done.text
    return done.stdout


def now(*keys: str) -> dict[str, str]:
    """The kernel's values, by procps."""
    lines = shell("sysctl " + " ".join(keys)).splitlines()
    return {key: " ".join(value.split()) for key, _equals, value in (line.partition(" = ") for line in lines)}


def files() -> list[str]:
    """What lies in the places that the module writes to."""
    return shell(f"ls -A {DROPIN} {STATE} /etc/sysctl.d/ops-runbook-* 2>/dev/null; true").split()


def setting(values: dict[str, str]) -> str:
    """A command that gives the kernel these values."""
    return "; ".join(f"sysctl -q -w {key}='{value}'" for key, value in values.items())


def pristine() -> None:
    """The host with known values, and nothing of the drills."""
    left = " ".join(f"{folder}/sysctl.d/*drill*" for folder in ("/etc", "/run", "/usr/lib"))
    shell(f"rm -f {STATE} {left}; {setting(ORIGINAL)}")


@pytest.fixture(scope="module")
def up() -> Iterator[None]:
    """The lab host runs; afterwards it has its own values again."""
    done = lab.run([str(lab.ROOT / "lab" / "lab"), "up", HOST], timeout=600)
    assert done.code == 0, done.text
    own = now(*ORIGINAL)
    yield
    shell(setting(own))


@pytest.fixture
def host(up: None, tmp_path: Path) -> Iterator[Path]:
    """The lab host as it always begins; the folder of the record."""
    pristine()
    yield tmp_path
    pristine()


def profile(folder: Path, settings: dict[str, t.Any] | None, *arguments: str, **options: t.Any) -> Answer:
    """Run the module in a play."""
    given = {"name": NAME, "settings": settings, **options}
    module = {"ops.runbook.sysctl_profile": {key: value for key, value in given.items() if value is not None}}
    answer = folder / "answer.json"
    keep = {"content": "{{ answer | to_json }}", "dest": str(answer), "mode": "0600"}
    tasks = [
        {"name": "Set the profile", **module, "register": "answer", "ignore_errors": True},
        {"name": "Keep the answer", "ansible.builtin.copy": keep, "delegate_to": "localhost", "become": False}
        | {"check_mode": False, "vars": {"ansible_connection": "local"}},
        {"name": "Fail with it", "ansible.builtin.fail": {"msg": "{{ answer.msg }}"}, "when": "answer is failed"},
    ]
    play = folder / "play.yml"
    play.write_text(yaml.safe_dump([{"name": "Drill", "hosts": HOST, "gather_facts": False, "tasks": tasks}]))
    answer.unlink(missing_ok=True)
    argv = [lab.command("ansible-playbook"), "-i", lab.INVENTORY, str(play), *arguments]
    done = lab.run(argv, env={"OPS_RUNBOOK_RECORDS": str(folder), "XDG_STATE_HOME": str(folder)})
    assert "Traceback" not in done.text
    return Answer(done, json.loads(answer.read_text()) if answer.exists() else {})


def test_a_profile_is_live_survives_the_boot_and_goes_away(host: Path) -> None:
    predicted = profile(host, WANTED, "--check")
    assert (now(*ORIGINAL), files()) == (ORIGINAL, [])
    done = profile(host, WANTED)
    assert done.ran.code == 0, done.ran.text
    assert done.statuses == predicted.statuses == {SOMAXCONN: "applied", FIN: "applied", RMEM: "applied"}
    wanted = {SOMAXCONN: "4096", FIN: "15", RMEM: "4096 131072 16777216"}
    assert now(*ORIGINAL) == wanted
    assert {name: one["after"] for name, one in done.result["keys"].items()} == wanted
    assert files() == [DROPIN, STATE]
    for reader in (BOOT, PROCPS):
        shell(f"{setting(ORIGINAL)}; {reader}")
        assert now(*ORIGINAL) == wanted, reader
    again = profile(host, WANTED)
    assert again.result["changed"] is False
    gone = profile(host, None, state="absent")
    assert gone.statuses == {SOMAXCONN: "applied", FIN: "applied", RMEM: "applied"}
    assert (now(*ORIGINAL), files()) == (ORIGINAL, [])


def test_the_ordinary_road_gives_the_same(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    for pipelining in ("True", "False"):
        monkeypatch.setenv("ANSIBLE_PIPELINING", pipelining)
        pristine()
        found = profile(host, {**WANTED, "-net.ipv4.no_such": 1}, run_id="r1").result
        answers.append({key: value for key, value in found.items() if key not in ("ops_runbook", "ansible_facts")})
    assert answers[0] == answers[1]
    assert answers[0]["changed"] is True


def test_what_belongs_to_the_machine_fails_before_anything_is_written(host: Path) -> None:
    before = now(*NO_CONTAINER_S.keys() - {"net.core.netdev_max_backlog"})
    failed = profile(host, {**WANTED, **NO_CONTAINER_S})
    assert failed.ran.code != 0
    assert all(name in failed.ran.text for name in NO_CONTAINER_S)
    assert {name for name, status in failed.statuses.items() if status == "not_namespaced"} == set(NO_CONTAINER_S)
    assert failed.result["error"]["kind"] == "Refused"
    assert (now(*ORIGINAL), files()) == (ORIGINAL, [])
    done = profile(host, {**WANTED, **NO_CONTAINER_S}, optional=["net.core.netdev_*", "*.rmem_max", "vm.*"])
    assert done.ran.code == 0, done.ran.text
    assert (done.statuses[SOMAXCONN], done.statuses["vm.swappiness"]) == ("applied", "not_namespaced")
    assert now(*before) == before


def test_a_key_that_no_kernel_has_and_a_value_that_none_takes(host: Path) -> None:
    unknown = profile(host, {SOMAXCONN: 4096, "net.core.somaxcon": 1})
    assert unknown.statuses == {SOMAXCONN: "left", "net.core.somaxcon": "unknown_key"}
    assert f"did you mean {SOMAXCONN}?" in unknown.result["msg"]
    refused = profile(host, {SOMAXCONN: 4096, "net.ipv4.tcp_syn_retries": 300})
    assert refused.statuses == {SOMAXCONN: "left", "net.ipv4.tcp_syn_retries": "refused_by_kernel"}
    assert refused.result["error"]["kind"] == "OpsError"
    assert (now(*ORIGINAL), files()) == (ORIGINAL, [])


SCENARIOS: dict[str, dict[str, str]] = {
    "an earlier file": {"/etc/sysctl.d/50-drill.conf": f"{SOMAXCONN} = 700"},
    "a later file": {"/etc/sysctl.d/95-drill.conf": f"# 1\n{SOMAXCONN} = 700"},
    "a later file of the vendor": {"/usr/lib/sysctl.d/95-drill.conf": "net/core/somaxconn=700"},
    "hidden by the administrator": {
        "/usr/lib/sysctl.d/95-drill.conf": f"{SOMAXCONN} = 700",
        "/etc/sysctl.d/95-drill.conf": "",
    },
    "of this boot": {"/run/sysctl.d/95-drill.conf": f"-{SOMAXCONN} = 700"},
    "the last one agrees": {
        "/etc/sysctl.d/95-drill.conf": f"{SOMAXCONN} = 700",
        "/run/sysctl.d/96-drill.conf": f"{SOMAXCONN} = 4096",
    },
    "a pattern": {"/etc/sysctl.d/95-drill.conf": "net.core.somax* = 700"},
    "taken out": {"/etc/sysctl.d/95-drill.conf": f"-{SOMAXCONN}"},
    "with a comment": {"/etc/sysctl.d/95-drill.conf": f"{SOMAXCONN} = 4096 # good"},
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_precedence_is_that_of_systemd_sysctl(scenario: str, host: Path) -> None:
    """systemd's own program says whether our line would win at boot; the module has to say the same."""
    for path, text in SCENARIOS[scenario].items():
        shell(f"mkdir -p {Path(path).parent}; printf '%s\\n' '{text}' > {path}")
    shell(f"echo '{SOMAXCONN} = 4096' > {DROPIN}; {BOOT}")
    wins = now(SOMAXCONN)[SOMAXCONN] == "4096"
    shell(f"rm {DROPIN}; sysctl -q -w {SOMAXCONN}={ORIGINAL[SOMAXCONN]}")
    found = profile(host, {f"-{SOMAXCONN}": 4096}, "--check")
    assert found.statuses == {SOMAXCONN: "applied" if wins else "overridden"}, found.result["keys"]
    if not wins:
        where = next(path for path in SCENARIOS[scenario] if "/95-drill.conf" in path)
        assert found.result["keys"][SOMAXCONN]["note"].startswith(f"{where}:")


def test_files_that_are_in_the_way(host: Path) -> None:
    shell(f"ln -s /etc/passwd {DROPIN}; sha256sum /etc/passwd > /tmp/drill.sum")
    linked = profile(host, WANTED)
    assert "is a symbolic link" in linked.result["msg"]
    shell(f"sha256sum -c /tmp/drill.sum; rm /tmp/drill.sum {DROPIN}")
    shell("mount -t tmpfs -o ro tmpfs /etc/sysctl.d")
    try:
        read_only = profile(host, WANTED)
    finally:
        shell("umount /etc/sysctl.d")
    assert "the filesystem is read-only" in read_only.result["msg"]
    assert "findmnt -T /etc/sysctl.d" in read_only.result["msg"]
    assert (now(*ORIGINAL), files()) == (ORIGINAL, [])


def test_without_root(host: Path) -> None:
    nobody = profile(host, WANTED, "-e", '{"ansible_become": true, "ansible_become_user": "nobody"}')
    assert nobody.ran.code != 0
    assert "Run with become: true" in nobody.ran.text
    shell("id -u drill || useradd -m drill")
    try:
        refused = profile(host, WANTED, "-e", '{"ansible_user": "drill", "ansible_become": true}')
    finally:
        shell("userdel -f -r drill 2>/dev/null; ! id -u drill")
    assert refused.ran.code != 0
    assert "Missing sudo password" in refused.ran.text
    assert (now(*ORIGINAL), files()) == (ORIGINAL, [])
