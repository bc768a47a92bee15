# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook drill`: only hosts of this machine's lab, only when confirmed, and mended whatever happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support import lab

HOST = "db2"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", HOST], timeout=600)
    assert up.code == 0, up.text
    lab.on(HOST, "systemctl reset-failed mongod; systemctl start mongod")
    return tmp_path_factory.mktemp("drills")


def drill(records: Path, *arguments: str, home: str | None = None) -> lab.Ran:
    argv = [
        lab.command("runbook"),
        "drill",
        *arguments,
        "-i",
        lab.INVENTORY,
        "--records",
        str(records),
        "--format",
        "json",
    ]
    return lab.run(argv, env={"XDG_STATE_HOME": str(records), **({"HOME": home} if home else {})})


def is_active() -> bool:
    return lab.on(HOST, "systemctl is-active mongod").stdout.strip() == "active"


def test_a_fault_is_drilled_from_injection_to_green(records: Path) -> None:
    before = lab.data(HOST)
    done = drill(records, "mongodb/killed", "--limit", HOST, "--confirm", HOST)
    assert done.code == 0, done.text
    document = json.loads(done.stdout)
    assert [(step["step"], step["outcome"]) for step in document["steps"]] == [
        ("inject", "done"),
        ("effect", "done"),
        ("red", "predicted"),
        ("run 1", "remedied"),
        ("green", "healthy"),
    ]
    assert document["as_expected"]
    after = lab.data(HOST)
    assert (after["count"], after["sha256"], after["missing"]) == (before["count"], before["sha256"], 0)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("mongodb/killed", "--limit", HOST), 7, f"Add --confirm {HOST}"),
        (("mongodb/killed", "--limit", HOST, "--confirm", "db"), 7, f"'db' is not the host, which is '{HOST}'"),
        (("mongodb/killed", "--limit", "db1,db2", "--confirm", HOST), 2, "a drill breaks one host"),
        (("mongodb/kiled", "--limit", HOST), 2, "Did you mean mongodb/killed?"),
    ],
)
def test_nothing_is_broken_that_was_not_confirmed(
    records: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = drill(records, *arguments)
    assert (done.code, said in done.stderr) == (code, True), done.text
    assert is_active()


def test_a_host_of_another_lab_is_refused(records: Path) -> None:
    """The marker is there, with another key: such a host was not booted by this machine's lab."""
    path = "/etc/ssh/lab_authorized_keys"
    # The login goes on by a copy elsewhere, so that only the marker is another's.
    lab.on(HOST, f"mkdir -p /home/ops/.ssh; cp {path} /home/ops/.ssh/authorized_keys; chown -R ops:ops /home/ops/.ssh")
    lab.on(HOST, f"cp {path} /root/kept; echo 'ssh-ed25519 AAAAother' >{path}")
    try:
        done = drill(records, "mongodb/killed", "--limit", HOST, "--confirm", HOST)
        assert done.code == 7, done.text
        assert "is not a host of this machine's lab" in done.stderr
        assert is_active()
    finally:
        lab.on(HOST, f"cp /root/kept {path}; rm -r /root/kept /home/ops/.ssh")


def test_what_does_not_end_as_the_file_says_is_told_and_mended(records: Path) -> None:
    """With the kill switch on, the guard refuses what the fault's file expects to be cured."""
    switch = records / "kill-switch"
    switch.write_text("no remedy today\n")
    done = drill(
        records, "mongodb/stopped", "--limit", HOST, "--confirm", HOST, "-e", f"remediate_kill_switch={switch}"
    )
    lab.on(HOST, "systemctl reset-failed mongod; systemctl start mongod")
    document = json.loads(done.stdout)
    assert (done.code, document["as_expected"]) == (6, False), done.text
    wrong = [step for step in document["steps"] if "expected remedied" in step["said"]]
    assert [step["outcome"] for step in wrong] == ["refused"], document["steps"]
    assert f"lab/lab reset {HOST}" in done.stderr
