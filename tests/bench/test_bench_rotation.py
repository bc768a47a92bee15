# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench of rotation puts hosts back, sees what is missing, and ours does the work of the good playbook, sooner."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest
from tests.bench import contestants, fleet, rotation


@pytest.fixture(scope="module")
def hosts() -> t.Iterator[list[fleet.Host]]:
    subprocess.run([str(contestants.HERE / "setup.sh")], check=True, timeout=600)
    with fleet.running() as up:
        yield up(2)


def test_everybody_does_the_work_and_ours_is_sooner(hosts: list[fleet.Host], tmp_path: Path) -> None:
    found = {one.key: rotation.compete(one, hosts, tmp_path / "run") for one in rotation.EVERYBODY}
    assert {key: [run["wrong"] for run in runs] for key, runs in found.items()} == {key: [[], []] for key in found}
    assert found["playbook-tuned"][0]["wall"] > found["ours"][0]["wall"]
    page = rotation.text([run for runs in found.values() for run in runs], [2], 1)
    assert "| rotate_logs |" in page
    assert "did not do its work" not in page


def test_what_is_missing_on_one_host_is_seen(hosts: list[fleet.Host], tmp_path: Path) -> None:
    fleet.on_all(hosts, rotation.RESET)
    rotation.compete(rotation.EVERYBODY[-1], hosts, tmp_path / "run")
    fleet.on_all(hosts[1:], "chmod 0777 /var/log/logcaster")
    assert [seen == rotation.GOOD for seen in rotation.look(hosts)] == [True, False]
