# SPDX-License-Identifier: GPL-3.0-or-later
"""How old the last proven backup is; one that nobody has restored does not count."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput

PATH = "/var/lib/ops-runbook/backups/simplers/mongodb.json"
OLD, NEW = "20270114T080000Z", "20270115T080000Z"


def known(host: Any, **checked: Any) -> None:
    """Two backups, the older one proven."""
    proof = {"verified": True, "seconds": 3.2, "why": "", "at": 0, "run_id": "r", "damaged": False}
    backups = {
        OLD: {"taken_at": host.now() - 90000, "manifest": "x", "bytes": 10, "checked": proof},
        NEW: {"taken_at": host.now() - 3600, "manifest": "y", "bytes": 12, "checked": checked or None},
    }
    host.file(PATH, json.dumps({"schema": "ops.runbook/backups/1", "backups": backups}))


def test_the_age_is_that_of_the_last_proven_one(host: Any, measure: Any) -> None:
    known(host)
    data = measure(host, "backup_age", system="simplers", store="mongodb")["data"]
    assert data == {
        "count": 2,
        "verified_count": 1,
        "age_seconds": pytest.approx(90000, abs=5),
        "newest_seconds": pytest.approx(3600, abs=5),
        "bytes": 12,
        "restore_seconds": 3.2,
        "failed": None,
    }


def test_a_proof_that_failed_is_told(host: Any, measure: Any) -> None:
    known(host, verified=False, why="data.zst: is missing", seconds=0.1)
    data = measure(host, "backup_age", system="simplers", store="mongodb")["data"]
    assert (data["failed"], data["verified_count"]) == ("data.zst: is missing", 1)


def test_no_backup_at_all(host: Any, measure: Any) -> None:
    data = measure(host, "backup_age", system="simplers", store="mongodb")["data"]
    assert (data["count"], data["verified_count"], data["age_seconds"], data["newest_seconds"]) == (0, 0, None, None)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "x", "backups": {}}', '{"schema": "x", "backups": {"a": {}}}'])
def test_a_damaged_ledger_is_unknown_and_never_healthy(host: Any, measure: Any, text: str) -> None:
    host.file(PATH, text)
    assert PATH in measure(host, "backup_age", system="simplers", store="mongodb")["unknown"]


def test_what_this_user_may_not_read(host: Any, measure: Any) -> None:
    host.denied.add(PATH)
    assert "age_seconds" in measure(host, "backup_age", system="simplers", store="mongodb")["missing"]


@pytest.mark.parametrize("bad", [{"system": ""}, {"store": "a/b"}, {"store": ".x"}])
def test_names_that_are_none(host: Any, measure: Any, bad: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="is no name"):
        measure(host, "backup_age", **{"system": "s", "store": "t", **bad})
