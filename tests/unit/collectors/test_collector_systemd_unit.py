# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd_unit on what systemctl 252 really said."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.module_utils.collectors import systemd_unit
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost

CASES = {
    "running": {
        "active_state": "active",
        "sub_state": "running",
        "result": "success",
        "exec_code": None,
        "signal": None,
    },
    "killed": {
        "active_state": "failed",
        "result": "signal",
        "exec_code": "killed",
        "exec_status": 9,
        "signal": "KILL",
        "main_pid": None,
        "state_changed_at": "2026-11-20T16:21:48.000Z",
        "restart_delay": 0.1,
    },
    "auto-restart": {
        "active_state": "activating",
        "sub_state": "auto-restart",
        "restart_delay": 90.0,
        "signal": "KILL",
        "drop_ins": ["/run/systemd/system/mongod.service.d/x.conf"],
    },
    "masked": {"load_state": "masked", "unit_file_state": "masked", "exec_path": None, "exists": True},
    "exit-code": {
        "active_state": "failed",
        "result": "exit-code",
        "exec_code": "exited",
        "exec_status": 1,
        "signal": None,
    },
    "absent": {
        "exists": False,
        "load_state": "not-found",
        "active_state": "inactive",
        "unit_file_state": None,
        "started_at": None,
        "fragment_path": None,
    },
}


@pytest.mark.parametrize("state", CASES)
def test_recorded_states(host: Any, measure: Any, state: str) -> None:
    host.unit(state)
    found = measure(host, "systemd_unit", unit=["mongod", "mongodb"])
    assert {name: found["data"][name] for name in CASES[state]} == CASES[state]
    assert found["missing"] == []


def test_the_first_existing_candidate_is_taken(host: Any, measure: Any) -> None:
    host.unit("running")
    blocks = host.commands["systemctl"].stdout.split("\n\n")
    host.commands["systemctl"] = Completed(0, "\n\n".join(reversed(blocks)), "")
    data = measure(host, "systemd_unit", unit=["mongodb", "mongod"])["data"]
    assert (data["unit"], data["exec_path"]) == ("mongod.service", "/usr/local/bin/ferretdb")
    assert host.asked[0][-2:] == ["mongodb.service", "mongod.service"]
    assert "TZ=UTC" in host.asked[0]


@pytest.mark.parametrize(
    ("restarts", "cursor", "new"), [(3, None, 3), (3, {"restarts": 1}, 2), (1, {"restarts": 4}, 1)]
)
def test_restarts_count_from_the_cursor(host: Any, measure: Any, restarts: int, cursor: Any, new: int) -> None:
    host.unit("running", NRestarts=restarts)
    data = measure(host, "systemd_unit", unit="mongod", cursor=cursor)["data"]
    assert (data["restarts"], data["new_restarts"], data["cursor"]) == (restarts, new, {"restarts": restarts})


def test_old_systemd_has_no_counter_of_restarts(host: Any, measure: Any) -> None:
    host.unit("running")
    host.commands["systemctl"].stdout = host.commands["systemctl"].stdout.replace("NRestarts", "Nothing")
    assert measure(host, "systemd_unit", unit="mongod")["missing"] == ["restarts", "new_restarts", "cursor"]


def test_a_real_time_signal_keeps_its_number(host: Any, measure: Any) -> None:
    host.unit("killed", ExecMainStatus=36)
    assert measure(host, "systemd_unit", unit="mongod")["data"]["signal"] == "36"


def test_without_systemd_it_is_unknown_not_down(measure: Any) -> None:
    found = measure(LocalHost(), "systemd_unit", unit="mongod")
    if found["unknown"] is None:
        pytest.skip("this machine runs systemd")
    assert found["data"] == {}


@pytest.mark.parametrize("name", ["--help", "a*", "", "a b", 7, "x/y"])
def test_what_is_no_name_of_a_unit_is_refused(name: Any) -> None:
    with pytest.raises(BadInput, match=r"check it, unit: .* is not the name of a unit"):
        probe.plan("it", {"type": "systemd_unit", "unit": [name]})


def test_every_field_is_told() -> None:
    assert all(systemd_unit.FIELDS.values())
