# SPDX-License-Identifier: GPL-3.0-or-later
"""Both roads of service_restart and target_lease, with real processes and a systemctl that answers recorded states."""

from __future__ import annotations

import importlib
import json
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.testing import patch_module_args
from ansible_collections.ops.runbook.plugins.action.service_restart import ActionModule as Restart
from ansible_collections.ops.runbook.plugins.action.target_lease import ActionModule as Lease
from ansible_collections.ops.runbook.plugins.module_utils import budget, lease
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from systemd_host import show

MARK = "--mark--"
PACKAGE = "ansible_collections.ops.runbook.plugins"
COMMON = {"failed", "msg", "changed", "exception", "invocation"}
SYSTEMCTL = """#!/bin/sh
cd {folder}
case "$*" in
*show*) cat now;;
*) echo "$*" >> told; cp next now;;
esac
"""
SOME_OF_ALL: list[dict[str, t.Any]] = [
    {"state": "started", "reset_failed": True},
    {"state": "started", "ready": {"command": ["/bin/true"]}},
    {"state": "restarted", "budget": {"count": 1, "window": 60}},
    {"state": "started", "lease": "db1", "run_id": "r"},
    {"state": "started", "ready": {"port": 1, "timeout": 0.3}},
    {"state": "started", "validate": ["/bin/false"]},
    {"state": "reloaded"},
    {"name": "a b"},
]


@pytest.fixture
def target(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder that plays a failed mongod.service, and the places where leases and budgets lie."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("systemctl", SYSTEMCTL.format(folder=tmp_path)), ("journalctl", "#!/bin/sh\necho a line\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tmp_path / "now").write_text(show("failed-signal"))
    (tmp_path / "next").write_text(show("active"))
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setattr(budget, "DIRECTORY", str(tmp_path / "budget"))
    monkeypatch.setattr(lease, "DIRECTORY", str(tmp_path / "leases"))
    return tmp_path


def params(name: str, given: dict[str, t.Any]) -> dict[str, t.Any]:
    spec = importlib.import_module(f"{PACKAGE}.module_utils.specs.{name}")
    outcome = ArgumentSpecValidator(spec.ARGUMENT_SPEC, **spec.RULES).validate(given)
    assert not outcome.error_messages
    return t.cast("dict[str, t.Any]", json.loads(json.dumps(outcome.validated_parameters)))


def light_road(action: t.Any, given: dict[str, t.Any], target: pathlib.Path, check: bool = False) -> dict[str, t.Any]:
    """Run the very program that goes to a target, in an interpreter that knows nothing of this one."""
    action = object.__new__(action)
    wanted = params(action.NAME, given)
    call = packing.Call(action.ENTRY, wanted, check, tuple(action.extra(wanted)), action.deadline(wanted))
    text = packing.program(call, MARK).decode("ascii")
    for place, name in (("/run/ops-runbook", "leases"), ("/var/lib/ops-runbook/budget", "budget")):
        text = text.replace(ascii(place).strip("'"), str(target / name))
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-"], input=text, capture_output=True, text=True, timeout=60, check=True
    )
    return t.cast("dict[str, t.Any]", json.loads(done.stdout.split(MARK)[1]))


def ordinary_road(name: str, given: dict[str, t.Any], capsys: pytest.CaptureFixture[str]) -> dict[str, t.Any]:
    module = importlib.import_module(f"{PACKAGE}.modules.{name}")
    with patch_module_args(given), pytest.raises(SystemExit):
        module.main()
    return t.cast("dict[str, t.Any]", json.loads(capsys.readouterr().out))


def same(answer: dict[str, t.Any]) -> str:
    """What must be the same on both roads, whatever the second it is."""
    kept = {key: value for key, value in answer.items() if key not in ("exception", "invocation")}
    return re.sub(r"\b5[5-9]\d(\.\d)?\b|\b600\.0\b", "600", json.dumps(kept, sort_keys=True))


def returned(name: str) -> set[str]:
    """The keys that a module's RETURN promises always, and on failure."""
    module = importlib.import_module(f"{PACKAGE}.modules.{name}")
    documented = yaml.safe_load(module.RETURN)
    assert {entry["returned"] for entry in documented.values()} <= {"always", "failure"}
    return {key for key, entry in documented.items() if entry["returned"] == "always"}


@pytest.mark.parametrize("given", SOME_OF_ALL, ids=json.dumps)
def test_both_roads_of_service_restart_agree(
    given: dict[str, t.Any], target: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"name": "mongod", "steady": 0.1, "timeout": 5, **given}
    roads = (lambda: light_road(Restart, given, target), lambda: ordinary_road("service_restart", given, capsys))
    found = []
    for road in roads:
        for name in ("now", "next"):
            (target / name).write_text(show("failed-signal" if name == "now" else "active"))
        for left in target.glob("*/*.json"):
            left.unlink()
        if "lease" in given:
            lease.run({"name": "db1", "state": "acquired", "ttl": 5, "run_id": "r", "holder": ""}, False)
        found.append(road())
    ours = found[0]
    assert same(ours) == same(found[1])
    assert "this is a bug" not in str(ours.get("msg"))
    assert set(ours) - COMMON - {"error"} == returned("service_restart")
    assert ("error" in ours) is bool(ours.get("failed"))


def test_a_service_is_really_started_through_systemctl(target: pathlib.Path) -> None:
    given = {"name": "mongod", "state": "started", "steady": 0.1}
    predicted = light_road(Restart, given, target, check=True)
    assert not (target / "told").exists()
    done = light_road(Restart, given, target)
    assert (target / "told").read_text() == "--no-ask-password --job-mode=fail start -- mongod.service\n"
    assert done["service"]["after"]["pid"] == 50
    assert {key: predicted[key] for key in ("changed", "changes", "undo", "message")} == {
        key: done[key] for key in ("changed", "changes", "undo", "message")
    }
    assert light_road(Restart, given, target)["changed"] is False


def test_both_roads_of_target_lease_agree(target: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = {"name": "db1/mongodb", "run_id": "r1", "holder": "a test"}
    taken = light_road(Lease, first, target)
    assert taken["lease"]["mine"] is True
    assert set(taken) - COMMON == returned("target_lease")
    for given in ({**first, "state": "read"}, {**first, "run_id": "r2"}, {**first, "state": "renewed", "ttl": 0}):
        ours, ordinary = light_road(Lease, given, target), ordinary_road("target_lease", given, capsys)
        assert set(ours) - COMMON - {"error"} == returned("target_lease")
        assert same(ours) == same(ordinary)
    assert ordinary_road("target_lease", {**first, "state": "released"}, capsys)["changed"] is True


@pytest.mark.parametrize("timeout", [1, float("inf"), float("nan")])
def test_the_deadline_is_later_than_all_that_may_be_waited_for(timeout: float) -> None:
    given = {"name": "x", "timeout": 1, "steady": 10, "ready": {"port": 1, "timeout": 20}}
    wanted = {**params("service_restart", given), "timeout": timeout}
    assert 30 < object.__new__(Restart).deadline(wanted) <= 86460


@pytest.mark.parametrize("name", ["service_restart", "target_lease"])
def test_examples_satisfy_the_argument_spec(name: str) -> None:
    module = importlib.import_module(f"{PACKAGE}.modules.{name}")
    for task in yaml.safe_load(module.EXAMPLES):
        params(name, task[f"ops.runbook.{name}"])
