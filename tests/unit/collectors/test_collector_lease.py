# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a run that broke off had acted since the unit changed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed
from ansible_collections.ops.runbook.plugins.module_utils.locks import boot_clock

PATH = "/run/ops-runbook/mongodb.json"
NOTHING = {"run": None, "expires_seconds": None, "acted_seconds": None, "acted_since_change": None}


def lie(host: Any, unit_changed: float = 0.0, **fields: Any) -> None:
    """A lease, and a unit that changed so many seconds ago."""
    boot_id, now = boot_clock()
    lease = {"run_id": "run-1", "boot_id": boot_id, "expires": now - 5, **fields}
    host.file(PATH, json.dumps(lease))
    host.file("/proc/sys/kernel/random/boot_id", f"{boot_id}\n")
    at = time.clock_gettime(time.CLOCK_MONOTONIC) - unit_changed
    host.commands["StateChangeTimestampMonotonic"] = Completed(0, f"StateChangeTimestampMonotonic={at * 1e6:.0f}\n", "")
    host.unit("killed")


def test_no_lease(host: Any, measure: Any) -> None:
    found = measure(host, "lease", name="mongodb", unit="mongod")
    assert (found["data"], found["missing"], found["unknown"]) == (NOTHING, [], None)


@pytest.mark.parametrize(("unit_changed", "since"), [(60.0, True), (10.0, False)])
def test_an_act_before_or_after_the_units_change(host: Any, measure: Any, unit_changed: float, since: bool) -> None:
    lie(host, unit_changed, acted=boot_clock()[1] - 30)
    data = measure(host, "lease", name="mongodb", unit="mongod")["data"]
    assert data["acted_seconds"] == pytest.approx(30, abs=1)
    assert (data["run"], data["expires_seconds"], data["acted_since_change"]) == ("run-1", -5.0, since)


def test_no_act_needs_no_look_at_the_unit(host: Any, measure: Any) -> None:
    lie(host)
    data = measure(host, "lease", name="mongodb", unit="mongod")["data"]
    assert (data["acted_seconds"], data["acted_since_change"]) == (None, None)
    assert host.asked == []


def test_a_lease_of_an_earlier_boot_tells_nothing(host: Any, measure: Any) -> None:
    lie(host, acted=1.0, boot_id="another")
    found = measure(host, "lease", name="mongodb", unit="mongod")
    assert (found["data"], found["missing"], found["unknown"]) == (NOTHING, [], None)


def test_what_this_user_may_not_read(host: Any, measure: Any) -> None:
    host.denied.add(PATH)
    assert measure(host, "lease", name="mongodb")["missing"] == list(NOTHING)


@pytest.mark.parametrize("text", ["{", "[]", '{"run_id": "x"}'])
def test_a_damaged_file_is_unknown(host: Any, measure: Any, text: str) -> None:
    host.file(PATH, text)
    assert "damaged" in measure(host, "lease", name="mongodb")["unknown"]


@pytest.mark.parametrize("name", ["", "a/b", ".."])
def test_names_that_could_be_elsewhere(host: Any, measure: Any, name: str) -> None:
    with pytest.raises(BadInput, match="is not the name of a lease"):
        measure(host, "lease", name=name)
