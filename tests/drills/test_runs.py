# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing to cure, nobody to reach, not enough to see, or wrong input: the host stays as it was."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import record
from tests.support import lab

EDGES = ("-i", "inventories/lab_edges")
SNAPSHOT = (
    "find /etc /var/lib/ops-runbook /run/ops-runbook /var/lib/mongo/state.json -xdev -type f "
    "-printf '%p %T@ %m %u %s\\n' 2>/dev/null | sort | sha256sum; systemctl show mongod -p MainPID"
)


def play(*arguments: str, records: Path) -> lab.Ran:
    """The plain road: ansible-playbook on the playbook."""
    return lab.run(
        [lab.command("ansible-playbook"), "-i", lab.INVENTORY, "playbooks/recover_mongodb.yml", *arguments],
        env={"OPS_RUNBOOK_RECORDS": str(records), "XDG_STATE_HOME": str(records)},
    )


@pytest.fixture(scope="session")
def edges(hosts: Path) -> Path:
    """The hosts at the edges are up too."""
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", "db3", "nopy1"], timeout=600)
    assert up.code == 0, up.text
    return hosts


@pytest.mark.parametrize("host", ["db1", "db2"])
def test_a_healthy_host_is_left_alone(host: str, hosts: Path) -> None:
    before = lab.on(host, SNAPSHOT).stdout
    done = play("--limit", host, records=hosts)
    assert done.code == 0, done.text
    assert f"{host}/mongodb HEALTHY" in done.text
    assert "changed=0" in done.text
    assert lab.on(host, SNAPSHOT).stdout == before


def test_diagnose_of_a_killed_host_only_looks(hosts: Path) -> None:
    lab.on("db1", "systemctl kill --signal=KILL mongod; sleep 1")
    try:
        before = lab.on("db1", SNAPSHOT).stdout
        done, document = lab.runbook("diagnose", "recover_mongodb", records=hosts)
        assert done.code == 3, done.text
        assert document["targets"][0]["summary"]["cause"] == "killed"
        assert lab.on("db1", SNAPSHOT).stdout == before
        checked = play("--limit", "db1", "--check", records=hosts)
        assert checked.code == 3, checked.text
        assert lab.on("db1", SNAPSHOT).stdout == before
    finally:
        lab.on("db1", "systemctl reset-failed mongod; systemctl start mongod")


def test_a_host_that_nobody_reaches(hosts: Path) -> None:
    done, document = lab.runbook("run", "recover_mongodb", *EDGES, records=hosts, host="ghost1")
    assert done.code == 4, done.text
    assert document["targets"][0]["outcome"] == "unreachable"
    plain = play(*EDGES, "--limit", "ghost1", records=hosts)
    assert plain.code == 4, plain.text


def test_a_user_without_sudo_sees_less_and_does_nothing(edges: Path) -> None:
    done, document = lab.runbook("run", "recover_mongodb", *EDGES, records=edges, host="db3")
    assert done.code == 8, done.text
    target = document["targets"][0]
    assert target["outcome"] == "escalated"
    assert target["summary"]["changes"] == []
    assert "could not be determined" in target["summary"]["next_step"]


def test_a_user_without_sudo_does_nothing_to_a_broken_host_either(edges: Path) -> None:
    lab.on("db3", "systemctl kill --signal=KILL mongod; sleep 1")
    try:
        done, document = lab.runbook("run", "recover_mongodb", *EDGES, records=edges, host="db3")
        assert done.code in (7, 8), done.text
        assert document["targets"][0]["summary"]["changes"] == []
        assert lab.on("db3", "systemctl is-active mongod").stdout.strip() == "failed"
    finally:
        lab.on("db3", "systemctl reset-failed mongod; systemctl start mongod")


def test_a_host_without_python(edges: Path) -> None:
    done, document = lab.runbook("run", "recover_mongodb", *EDGES, records=edges, host="nopy1")
    assert done.code == 4, done.text
    assert "python" in str(document["targets"][0]).lower()
    assert "Traceback" not in done.text


@pytest.mark.parametrize(("password", "says"), [("", "Missing sudo password"), ("wrong", "Incorrect sudo password")])
def test_a_missing_or_wrong_sudo_password(password: str, says: str, hosts: Path) -> None:
    before = lab.on("db2", SNAPSHOT).stdout
    done, document = lab.runbook(
        "run", "recover_mongodb", "-e", f"ansible_become_password={password}", records=hosts, host="db2"
    )
    assert done.code == 4, done.text
    assert says.lower() in str(document).lower()
    assert "-K" in str(document)
    assert lab.on("db2", SNAPSHOT).stdout == before


@pytest.mark.parametrize("limit", ["", ",", ":"])
def test_an_empty_limit_touches_nothing(limit: str, hosts: Path) -> None:
    before = lab.on("db1", SNAPSHOT).stdout
    lines = record.verify(hosts)[0]
    for done in (
        play("--limit", limit, records=hosts),
        lab.runbook("run", "recover_mongodb", records=hosts, host=limit)[0],
    ):
        assert done.code == 7, done.text
        assert "names no host" in done.text or "no host" in done.text
        assert "Traceback" not in done.text
    assert lab.on("db1", SNAPSHOT).stdout == before
    assert record.verify(hosts)[0] == lines


CAUSE = {"cause": "made_up", "explains": ["unit"], "why": "w", "remedy": "start_service", "risk": "low"}


def _causes(when: str) -> dict[str, t.Any]:
    return {"mongodb_causes": [{**CAUSE, "when": when}]}


def _disk(**rule: t.Any) -> dict[str, t.Any]:
    return {"thresholds": {"mongodb": {"disk": {"critical": [rule]}}}}


BAD_DATA: list[tuple[str, dict[str, t.Any], str]] = [
    ("check type", {"mongodb_checks": {"unit": {"type": "sistemd_unit"}}}, "sistemd_unit"),
    ("threshold's operator", _disk(metric="used_percent", operator="above", value=1), "above"),
    ("threshold's metric", _disk(metric="used_procent", operator=">", value=1), "used_procent"),
    ("threshold's check", {"thresholds": {"mongodb": {"dissk": {"critical": []}}}}, "dissk"),
    ("cause that does not compile", _causes("checks.unit.data.result =="), "does not compile"),
    ("cause's check", _causes("checks.unitt.data.result == 'x'"), "unknown check 'unitt'"),
    ("cause's field", _causes("checks.unit.data.resutl == 'x'"), "no field 'resutl'"),
]


@pytest.mark.parametrize(("what", "variables", "says"), BAD_DATA, ids=[row[0] for row in BAD_DATA])
def test_bad_data_is_one_line_and_touches_nothing(
    what: str, variables: dict, says: str, hosts: Path, tmp_path: Path
) -> None:
    import json

    (tmp_path / "bad.json").write_text(json.dumps(variables))
    before = lab.on("db1", SNAPSHOT).stdout
    done, document = lab.runbook("run", "recover_mongodb", "-e", f"@{tmp_path}/bad.json", records=hosts)
    assert done.code == 2, done.text
    assert says in str(document), what
    assert "Traceback" not in done.text
    assert lab.on("db1", SNAPSHOT).stdout == before


def test_an_unwritable_record_folder_stops_before_the_act(hosts: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    before = lab.on("db1", SNAPSHOT).stdout
    done, _document = lab.runbook("run", "recover_mongodb", records=tmp_path / "file")
    assert done.code == 2, done.text
    plain = play("--limit", "db1", records=tmp_path / "file")
    assert plain.code == 2, plain.text
    assert "the record cannot be" in plain.text
    assert lab.on("db1", SNAPSHOT).stdout == before


def test_a_lease_that_another_run_holds(hosts: Path) -> None:
    lab.on("db1", "systemctl kill --signal=KILL mongod; sleep 1")
    held = [
        {
            "name": "Hold the lease as another run",
            "ops.runbook.target_lease": {
                "name": "mongodb",
                "state": "acquired",
                "ttl": 60,
                "run_id": "another-run",
                "holder": "a colleague",
            },
        }
    ]
    try:
        lab.tasks("db1", held, "hold the lease")
        done, document = lab.runbook("run", "recover_mongodb", records=hosts)
        assert done.code == 7, done.text
        assert "another-run" in str(document["targets"][0]["summary"]["refusals"])
        assert lab.on("db1", "systemctl is-active mongod").stdout.strip() == "failed"
    finally:
        lab.on("db1", "rm -f /run/ops-runbook/mongodb.json; systemctl reset-failed mongod; systemctl start mongod")


HEALER = (
    "import os, subprocess, time\n"
    "while not os.path.exists('/run/ops-runbook/mongodb.json'): time.sleep(0.002)\n"
    "subprocess.run(['systemctl', 'kill', '--kill-who=main', '--signal=CONT', 'mongod.service'], check=True)\n"
)


def test_a_server_that_recovers_between_the_look_and_the_act_is_left_alone(hosts: Path) -> None:
    """Something else heals it in the moment in which the lease is taken, so before the second look."""
    pid = lab.on("db1", "systemctl show mongod -P MainPID").stdout
    lab.on("db1", "systemctl kill --kill-who=main --signal=STOP mongod")
    try:
        healing = lab.on("db1", f'systemd-run --unit=healer --service-type=exec python3 -c "{HEALER}"')
        assert healing.code == 0, healing.text
        done, document = lab.runbook("run", "recover_mongodb", records=hosts)
        assert done.code == 0, done.text
        target = document["targets"][0]
        assert (target["outcome"], target["summary"]["changes"]) == ("recovered", [])
        assert "ping" in target["summary"]["failing"]
        assert lab.on("db1", "systemctl show mongod -P MainPID").stdout == pid
        assert lab.on("db1", "ls /run/ops-runbook/mongodb.json").code != 0
    finally:
        lab.on("db1", "systemctl stop healer; systemctl kill --signal=CONT mongod")


@pytest.mark.parametrize("rule", ["hold", "kill_switch"])
def test_a_hold_and_the_kill_switch_are_obeyed(rule: str, hosts: Path, tmp_path: Path) -> None:
    lab.on("db1", "systemctl kill --signal=KILL mongod; sleep 1")
    extra: list[str] = []
    if rule == "hold":
        lab.on("db1", "mkdir -p -m 700 /var/lib/ops-runbook; echo 'restore under way' > /var/lib/ops-runbook/hold")
    else:
        (tmp_path / "stop").write_text("release under way")
        extra = ["-e", f"remediate_kill_switch={tmp_path}/stop"]
    try:
        done, document = lab.runbook("run", "recover_mongodb", *extra, records=hosts)
        assert done.code == 7, done.text
        refusal = document["targets"][0]["summary"]["refusals"][0]
        assert refusal["rule"] == rule
        assert "under way" in refusal["reason"]
        assert lab.on("db1", "systemctl is-active mongod").stdout.strip() == "failed"
    finally:
        lab.on("db1", "rm -f /var/lib/ops-runbook/hold; systemctl reset-failed mongod; systemctl start mongod")


def test_a_cure_on_the_ordinary_road_too(hosts: Path) -> None:
    """Without pipelining the ordinary modules run; same outcome, same record."""
    lab.on("db2", "systemctl kill --signal=KILL mongod; sleep 1")
    done = lab.run(
        [lab.command("ansible-playbook"), "-i", lab.INVENTORY, "playbooks/recover_mongodb.yml", "--limit", "db2"],
        env={"OPS_RUNBOOK_RECORDS": str(hosts), "XDG_STATE_HOME": str(hosts), "ANSIBLE_PIPELINING": "0"},
    )
    assert done.code == 0, done.text
    assert "db2/mongodb REMEDIED" in done.text


def test_the_record_of_all_that_is_whole(hosts: Path) -> None:
    count, problem = record.verify(hosts)
    assert problem is None
    assert count > 0
