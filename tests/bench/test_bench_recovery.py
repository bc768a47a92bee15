# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench of recovery breaks the server, sees whether it is back, and accounts for every second."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from tests.bench import fleet, recovery

LOADED = 2.0
"""How much slower than on an idle machine, where the budget is proven, this lane may find it."""


@pytest.fixture(scope="module")
def host() -> t.Iterator[fleet.Host]:
    with fleet.database() as up:
        yield up


def test_everybody_does_the_work_and_the_phases_are_all_of_it(host: fleet.Host, tmp_path: Path) -> None:
    start = recovery.own_start(host)
    found = [run for one in recovery.EVERYBODY for run in recovery.compete(one, host, tmp_path / "run")]
    assert [run["wrong"] for run in found] == [[]] * 6
    for run in found[:4]:
        assert sum(run["phases"].values()) == pytest.approx(run["wall"], abs=0.01)
        assert run["phases"]["verify"] >= recovery.WINDOW
        assert min(run["phases"].values()) > 0
    best = min(run["wall"] for run in found[:4])
    assert best <= start + recovery.WINDOW + LOADED * recovery.ALLOWED
    page = recovery.text(found, [start], 1)
    assert "| recover_mongodb, by `runbook` | warm |" in page
    assert "did not do its work" not in page


def test_a_server_that_is_not_back_is_seen(host: fleet.Host) -> None:
    fleet.on_all([host], recovery.BREAK)
    assert fleet.on_all([host], recovery.LOOK)[0].split()[0] == "failed"
