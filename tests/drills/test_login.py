# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that demands a login: healthy with the right credentials, and never called ill for want of them."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from tests.support import lab

FAULT = yaml.safe_load((lab.ROOT / "lab/faults/mongodb/credentials_wrong.yml").read_text())
FILE = FAULT["variables"]["mongodb_credentials_file"]
LOGIN = ("-e", f"mongodb_credentials_file={FILE}")


@pytest.fixture(scope="module")
def demanding(hosts: Path) -> t.Iterator[Path]:
    """db1 as the fault leaves it, but with the right password."""
    before = lab.data("db1")
    try:
        lab.tasks("db1", FAULT["inject"] + FAULT["effect"], "demand a login")
        assert lab.on("db1", f"sed -i s/wrong-lab-only/right-lab-only/ {FILE}").code == 0
        yield hosts
        lab.tasks("db1", FAULT["untouched"][:1] + FAULT["mend"], "demand none")
        after = lab.data("db1")
        assert (after["count"], after["sha256"], after["missing"]) == (before["count"], before["sha256"], 0)
    except BaseException:
        lab.reset("db1", records=hosts)
        raise


def run(records: Path, *arguments: str) -> tuple[int, lab.Json]:
    """What the run came to; nothing that it said or kept shows the password."""
    done, document = lab.runbook("run", "recover_mongodb", *arguments, records=records)
    kept = b"".join(path.read_bytes() for path in records.rglob("*") if path.is_file())
    assert b"right-lab-only" not in kept + done.text.encode()
    return done.code, document["targets"][0]


@pytest.mark.parametrize("pipelining", ["1", "0"])
def test_with_the_right_password_it_is_healthy(
    pipelining: str, demanding: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_PIPELINING", pipelining)
    code, target = run(demanding, *LOGIN)
    assert (code, target["outcome"], target["summary"]["failing"]) == (0, "healthy", {})


def test_without_credentials_nobody_can_tell(demanding: Path) -> None:
    code, target = run(demanding)
    assert (code, target["outcome"], target["summary"]["changes"]) == (8, "escalated", [])
    assert "authentication is on; give auth: scram and credentials_file" in target["summary"]["failing"]["data"]


def test_a_file_that_others_may_read_is_not_used(demanding: Path) -> None:
    lab.on("db1", f"chmod 0644 {FILE}")
    try:
        code, target = run(demanding, *LOGIN)
    finally:
        lab.on("db1", f"chmod 0600 {FILE}")
    assert (code, target["outcome"], target["summary"]["changes"]) == (8, "escalated", [])
    assert f"chmod 0600 {FILE}" in target["summary"]["failing"]["data"]
