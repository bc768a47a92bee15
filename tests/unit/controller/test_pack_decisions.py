# SPDX-License-Identifier: GPL-3.0-or-later
"""What the MongoDB pack decides on probe documents recorded from a real server in each fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.plugin_utils import diagnosis, verdict

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "tests/fixtures/probe"
PACK = yaml.safe_load((ROOT / "collections/ops_runbook/roles/mongodb/vars/main.yml").read_text())
DECISIONS = {
    "healthy": None,
    "viewer": None,
    "killed": "killed",
    "config-broken": "config_broken_without_baseline",  # recorded on a host that had none
    "wrong-owner": "data_ownership",
    "masked": "masked",
    "stopped": "stopped",
    "port-taken": "port_taken",
    "hung": "hung",
    "disk-full": "data_filesystem_full",
    "pages-damaged": "data_damaged",
    "file-deleted": "database_file_deleted",
    "descriptors-exhausted": "descriptors_exhausted",
    "credentials-wrong": "credentials_wrong",
}


def document(fault: str) -> dict:
    """The document of a recorded answer, judged by the types' own rules and the pack's where it has some."""
    checks = json.loads((FIXTURES / "checks.json").read_text())
    rules = {
        name: {
            key: PACK["mongodb_checks"][name][key]
            for key in ("warning", "critical")
            if key in PACK["mongodb_checks"].get(name, {})
        }
        for name in checks
    }
    answer = json.loads((FIXTURES / f"{fault}-ferretdb-1.24.2.json").read_text())["answer"]
    judged = {name: {**check, **rules[name]} for name, check in checks.items() if name in answer["measurements"]}
    return verdict.judge("db1/mongodb", judged, answer, {})


def test_every_recorded_fault_is_decided() -> None:
    recorded = {path.name.removesuffix("-ferretdb-1.24.2.json") for path in FIXTURES.glob("*-ferretdb-1.24.2.json")}
    assert recorded == set(DECISIONS)


@pytest.mark.parametrize("fault", DECISIONS)
def test_the_cause_that_is_acted_on(fault: str) -> None:
    chosen = diagnosis.diagnose(document(fault), PACK["mongodb_causes"])["chosen"]
    assert (chosen and chosen["cause"]) == DECISIONS[fault]


@pytest.mark.parametrize("fault", [fault for fault, cause in DECISIONS.items() if cause])
def test_every_red_check_is_explained(fault: str) -> None:
    found = diagnosis.diagnose(document(fault), PACK["mongodb_causes"])
    assert found["unexplained"] == []


@pytest.mark.parametrize("fault", DECISIONS)
def test_an_automatic_start_is_decided_only_where_it_cures(fault: str) -> None:
    chosen = diagnosis.diagnose(document(fault), PACK["mongodb_causes"])["chosen"]
    automatic = chosen is not None and not chosen.get("ask") and chosen["remedy"] == "start_service"
    assert automatic == (fault == "killed")
