# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of the supported versions of ansible-core and of the target's Python, by a drill each."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import lab

ENDS = [
    (".venv", "core 2.19", "old1", "3.8"),
    (".venv-core221", "core 2.21", "new1", "3.13"),
    (".venv-core221", "core 2.21", "db1", "3.11"),
]


@pytest.fixture(scope="module", autouse=True)
def hosts() -> None:
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", "db1", "old1", "new1"], timeout=600)
    assert up.code == 0, up.text


@pytest.mark.parametrize(("environment", "core", "host", "python"), ENDS, ids=[f"{row[1]}-{row[2]}" for row in ENDS])
def test_a_killed_server_is_cured(environment: str, core: str, host: str, python: str, tmp_path: Path) -> None:
    tools = lab.ROOT / environment / "bin"
    version = lab.run([str(tools / "ansible"), "--version"])
    assert f"[{core}." in version.text, version.text
    known = lab.run(
        [
            str(tools / "ansible"),
            "-i",
            lab.INVENTORY,
            "-i",
            "inventories/lab_edges",
            host,
            "-m",
            "ansible.builtin.raw",
            "-a",
            "{{ ansible_python_interpreter }} --version",
        ]
    )
    assert f"Python {python}." in known.text, known.text
    before = lab.data(host)
    killed = lab.on(host, "systemctl kill --signal=KILL mongod; sleep 1; systemctl is-active mongod")
    assert killed.stdout.strip() == "failed"
    done = lab.run(
        [
            str(tools / "ansible-playbook"),
            "-i",
            lab.INVENTORY,
            "-i",
            "inventories/lab_edges",
            "playbooks/recover_mongodb.yml",
            "--limit",
            host,
        ],
        env={"OPS_RUNBOOK_RECORDS": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
    )
    if done.code:
        lab.run([str(lab.ROOT / "lab" / "lab"), "reset", host])  # the lanes after this one use it, too
    assert done.code == 0, done.text
    assert f"{host}/mongodb REMEDIED" in done.text
    after = lab.data(host)
    assert (after["count"], after["sha256"], after["missing"]) == (before["count"], before["sha256"], 0)
