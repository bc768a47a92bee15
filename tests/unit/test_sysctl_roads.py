# SPDX-License-Identifier: GPL-3.0-or-later
"""Both roads of sysctl_profile give the same answer, which is the documented one, on Python 3.8 too."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.ops.runbook.plugins.action.sysctl_profile import ActionModule
from ansible_collections.ops.runbook.plugins.module_utils import lease, managed_file, sysctl_files
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from test_files import root_only
from test_ownership import oldest
from test_service_roads import COMMON, MARK, PACKAGE, params, returned
from test_sysctl import BACKLOG, FIN, HIDDEN, KEEP, NOTHING, RMEM, SOMAXCONN, STARTS, WRONG, Host, host, live, tell

__all__ = ["host"]  # the fixture
MODULE = "sysctl_profile"
GIVEN: list[dict[str, t.Any]] = [
    {"settings": {SOMAXCONN: 4096, FIN: "15", RMEM: [4096, 87380, 16777216], "-" + HIDDEN: 1}, "run_id": "r1"},
    {"settings": {SOMAXCONN: 64}, "allow_lowering": [SOMAXCONN]},
    {"settings": {SOMAXCONN: 4096, FIN: 15}, "lease": "db1", "run_id": "r1"},
    {"settings": {SOMAXCONN: 4096, WRONG: 300}},
    {"settings": {SOMAXCONN: 4096, WRONG: 300}, "optional": [WRONG]},
    {"settings": {"net.core.somaxcon": 1, FIN: 15}},
    {"settings": {SOMAXCONN: 4096}, "lease": "nobody", "run_id": "r1"},
    {"settings": {SOMAXCONN: True}},
    {"settings": {"net/../x": 1}},
    {"settings": {}},
    {"settings": {SOMAXCONN: 1}, "name": "../x"},
    {"state": "absent"},
]


@pytest.fixture
def target(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(lease, "DIRECTORY", str(host.top / "leases"))
    return host


def light(given: dict[str, t.Any], host: Host, check: bool = False, python: str = sys.executable) -> dict[str, t.Any]:
    """Run the very program that goes to a target, in an interpreter that knows nothing of this one."""
    action, wanted = object.__new__(ActionModule), params(MODULE, given)
    call = packing.Call(action.ENTRY, wanted, check, tuple(action.extra(wanted)), action.deadline(wanted))
    text = packing.program(call, MARK).decode("ascii")
    here = (
        *sysctl_files.FOLDERS,
        sysctl_files.LAST,
        managed_file.STATE,
        *[str(host.top / "nowhere")] * 3,
        lease.DIRECTORY,
    )
    for place, path in zip(PLACES, here, strict=True):
        assert place in text or place == PLACES[-1]
        text = text.replace(f'"{place}"', f'"{path}"')
    done = subprocess.run([python, "-I", "-B", "-"], input=text, capture_output=True, text=True, timeout=60, check=True)
    return t.cast("dict[str, t.Any]", json.loads(done.stdout.split(MARK)[1]))


PLACES = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
    "/etc/sysctl.conf",
    "/var/lib/ops-runbook",
    "/run/systemd/container",
    "/run/.containerenv",
    "/.dockerenv",
    "/run/ops-runbook",
)


def ordinary(given: dict[str, t.Any], capsys: pytest.CaptureFixture[str]) -> dict[str, t.Any]:
    module = importlib.import_module(f"{PACKAGE}.modules.{MODULE}")
    with patch_module_args(given), pytest.raises(SystemExit):
        module.main()
    return t.cast("dict[str, t.Any]", json.loads(capsys.readouterr().out))


def again(host: Host) -> None:
    """The host as it was, with a lease of one of the calls."""
    for name, value in STARTS.items():
        tell(name, value)
    for folder in (host.state, host.etc, host.top / "leases"):
        shutil.rmtree(folder, ignore_errors=True)
    host.etc.mkdir()
    lease.run({"name": "db1", "state": "acquired", "ttl": 60, "run_id": "r1", "holder": ""}, False)


@root_only
@pytest.mark.parametrize("given", GIVEN, ids=json.dumps)
def test_both_roads_agree(given: dict[str, t.Any], target: Host, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"name": "p", **given}
    found, after = [], []
    for road in (lambda: light(given, target), lambda: ordinary(given, capsys)):
        again(target)
        found.append({key: value for key, value in road().items() if key != "invocation"})
        after.append(live(*STARTS))
    assert found[0] == found[1]
    assert after[0] == after[1]
    assert "this is a bug" not in str(found[0].get("msg"))
    assert set(found[0]) - COMMON - {"error"} == returned(MODULE)
    assert ("error" in found[0]) is bool(found[0].get("failed"))
    assert found[0]["message"]
    if found[0].get("failed"):
        assert (found[0]["undo"], found[0]["changed"], after[0]) == (NOTHING, False, tuple(STARTS.values()))


@root_only
def test_the_light_road_predicts_applies_and_is_idempotent(target: Host) -> None:
    given = {"name": "p", "settings": {SOMAXCONN: 4096, BACKLOG: 8192, KEEP: 300, RMEM: "4096 87380 16777216"}}
    predicted = light(given, target, check=True)
    assert live(*STARTS) == tuple(STARTS.values())
    done = light(given, target)
    assert live(SOMAXCONN, BACKLOG, KEEP) == ("4096", "8192", "300")
    assert done == predicted
    assert light(given, target)["changed"] is False
    gone = light({"name": "p", "state": "absent"}, target)
    assert gone["changed"] is True
    assert live(*STARTS) == tuple(STARTS.values())


@root_only
def test_the_oldest_python_gives_the_same_answer(target: Host) -> None:
    python = oldest()
    for given in GIVEN:
        again(target)
        ours = light({"name": "p", **given}, target)
        again(target)
        assert light({"name": "p", **given}, target, python=python) == ours


def test_only_a_call_under_a_lease_carries_the_lease_s_code() -> None:
    action = object.__new__(ActionModule)
    for name in ("", "db1"):
        wanted = params(MODULE, {"name": "p", "state": "absent", "lease": name})
        assert (f"{packing.PACKAGE}.lease" in packing.bundle("sysctl", action.extra(wanted))) is bool(name)
        assert action.deadline(wanted) >= 60


def test_examples_satisfy_the_argument_spec() -> None:
    module = importlib.import_module(f"{PACKAGE}.modules.{MODULE}")
    for task in yaml.safe_load(module.EXAMPLES):
        params(MODULE, task[f"ops.runbook.{MODULE}"])


def test_the_drop_in_is_where_the_documentation_says() -> None:
    module = importlib.import_module(f"{PACKAGE}.modules.{MODULE}")
    assert f"{sysctl_files.FOLDERS[0]}/90-ops-runbook-NAME.conf" in module.DOCUMENTATION
    assert str(Path(managed_file.STATE) / "sysctl") in module.DOCUMENTATION
