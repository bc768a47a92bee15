# SPDX-License-Identifier: GPL-3.0-or-later
"""Every scenario of molecule/: prepare, check, converge, idempotence, verify."""

from __future__ import annotations

import pytest
from tests.support import lab

SCENARIOS = sorted(path.parent.name for path in (lab.ROOT / "molecule").glob("*/converge.yml"))
ROLES = sorted(path.name for path in (lab.ROOT / "collections/ops_runbook/roles").iterdir() if path.is_dir())


def test_every_role_has_a_scenario() -> None:
    assert SCENARIOS == ROLES


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str) -> None:
    plain = {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1"}
    # a run that was broken off left a state in which nothing is prepared anew
    lab.run([lab.command("molecule"), "reset", "--scenario-name", scenario], timeout=120, env=plain)
    done = lab.run([lab.command("molecule"), "test", "--scenario-name", scenario], timeout=600, env=plain)
    assert done.code == 0, done.text[-6000:]
    for step in ("check", "converge", "idempotence", "verify"):
        assert f"{scenario} > {step}: Executed: Successful" in done.text, f"{step} did not run"
