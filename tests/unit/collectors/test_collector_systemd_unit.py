# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd_unit on what systemctl 252 really said."""

from __future__ import annotations

import hashlib
import json
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


# ---- against a baseline

MANIFEST = "/var/lib/ops-runbook/baseline/mongodb/manifest.json"
FOLDER = "/etc/systemd/system/mongod.service.d"
GOOD = f"{FOLDER}/good.conf"


def keep(host: Any, name: str = "mongod.service", links: dict[str, str] | None = None) -> None:
    """A baseline with one drop-in, which is there."""
    stat = host.stat(str(host.file(GOOD, "good")).removeprefix(str(host.root)))
    digest = hashlib.sha256(b"good").hexdigest()
    entry = {"path": GOOD, "present": True, "sha256": digest, "copy": digest}
    entry.update(mode=stat.mode, owner=stat.owner, group=stat.group)
    unit = {"name": name, "files": [entry], "links": links or {}, "packaged": []}
    host.file(MANIFEST, json.dumps({"schema": "ops.runbook/baseline/1", "files": [], "unit": unit}))


def look(host: Any, measure: Any, **properties: Any) -> tuple[Any, Any]:
    """(foreign_drop_ins, changed_drop_ins)."""
    host.unit("exit-code", **properties)
    data = measure(host, "systemd_unit", unit="mongod", baseline="mongodb")["data"]
    return data["foreign_drop_ins"], data["changed_drop_ins"]


def test_a_definition_as_in_the_baseline(host: Any, measure: Any) -> None:
    keep(host)
    ours = f"{FOLDER}/90-ops-runbook-web.conf"
    vendor = "/usr/lib/systemd/system/mongod.service.d/vendor.conf /run/systemd/generator/mongod.service.d/x.conf"
    assert look(host, measure, DropInPaths=f"{vendor} {GOOD} {ours}") == ([], [])


def test_what_is_foreign_or_changed(host: Any, measure: Any) -> None:
    keep(host, links={f"{FOLDER}/off.conf": "/dev/null"})
    host.file(GOOD, "bad")
    assert look(host, measure, DropInPaths=f'{GOOD} {FOLDER}/one.conf "{FOLDER}/t w o.conf"') == (
        [f"{FOLDER}/one.conf", f"{FOLDER}/t w o.conf"],
        [GOOD, f"{FOLDER}/off.conf"],
    )
    own = "/etc/systemd/system/mongod.service"
    assert look(host, measure, DropInPaths=GOOD, FragmentPath=own)[0] == [own]
    assert look(host, measure, DropInPaths=GOOD, FragmentPath=own, LoadState="masked")[0] == []


def test_without_a_baseline_of_this_unit_nothing_is_foreign(host: Any, measure: Any) -> None:
    assert look(host, measure, DropInPaths=f"{FOLDER}/one.conf") == (None, None)
    keep(host, name="mongodb.service")
    assert look(host, measure, DropInPaths=f"{FOLDER}/one.conf") == (None, None)
    host.file(MANIFEST, json.dumps({"schema": "ops.runbook/baseline/1", "files": []}))
    assert look(host, measure, DropInPaths=f"{FOLDER}/one.conf") == (None, None)


@pytest.mark.parametrize("problem", ["denied", "damaged", "half"])
def test_a_baseline_that_cannot_be_read_leaves_only_that_unknown(host: Any, measure: Any, problem: str) -> None:
    host.unit("exit-code", DropInPaths=f"{FOLDER}/one.conf")
    if problem == "denied":
        host.denied.add(MANIFEST)
    else:
        host.file(MANIFEST, "{" if problem == "damaged" else '{"files": [], "unit": {"name": "mongod.service"}}')
    found = measure(host, "systemd_unit", unit="mongod", baseline="mongodb")
    assert (found["unknown"], found["missing"]) == (None, ["foreign_drop_ins", "changed_drop_ins"])
    assert found["data"]["active_state"] == "failed"


def test_a_drop_in_that_may_not_be_read_is_not_called_changed(host: Any, measure: Any) -> None:
    keep(host)
    host.denied.add(GOOD)
    host.unit("exit-code", DropInPaths=f"{FOLDER}/one.conf")
    found = measure(host, "systemd_unit", unit="mongod", baseline="mongodb")
    assert found["missing"] == ["changed_drop_ins"]
    assert found["data"]["foreign_drop_ins"] == [f"{FOLDER}/one.conf"]


def test_why_a_definition_cannot_be_loaded(host: Any, measure: Any) -> None:
    said = 'org.freedesktop.systemd1.BadUnitSetting "Unit mongod.service has a bad unit file setting."'
    host.unit("exit-code", LoadState="bad-setting", LoadError=said)
    data = measure(host, "systemd_unit", unit="mongod")["data"]
    assert data["load_error"] == "Unit mongod.service has a bad unit file setting."
    host.unit("exit-code")
    assert measure(host, "systemd_unit", unit="mongod")["data"]["load_error"] is None


@pytest.mark.parametrize("service", ["../x", "..", "a/b"])
def test_what_is_no_name_of_a_service_is_refused(service: str) -> None:
    with pytest.raises(BadInput, match=r"check it, baseline: .* is not the name of a service"):
        probe.plan("it", {"type": "systemd_unit", "unit": "mongod", "baseline": service})
