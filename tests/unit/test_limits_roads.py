# SPDX-License-Identifier: GPL-3.0-or-later
"""Both roads of resource_limits and service_environment, on the oldest Python too, with a systemctl that answers."""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.testing import patch_module_args
from ansible_collections.ops.runbook.plugins.action.resource_limits import ActionModule as Limits
from ansible_collections.ops.runbook.plugins.action.service_environment import ActionModule as Environment
from ansible_collections.ops.runbook.plugins.module_utils import environment, limits_conf, managed_file, unit_look
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from systemd_host import show
from test_files import root_only
from test_ownership import oldest

pytestmark = root_only
MARK = "--mark--"
PACKAGE = "ansible_collections.ops.runbook.plugins"
SYSTEMCTL = """#!/bin/sh
case "$*" in
*show*nosuch*) printf 'Id=nosuch.service\\nLoadState=not-found\\nActiveState=inactive\\nNeedDaemonReload=no\\n';;
*show*) cat {folder}/now;;
*list-unit-files*) echo 'nosuch-thing.service enabled';;
*) echo "$*" >> {folder}/told;;
esac
"""
MORE = "DropInPaths=\nEnvironmentFiles=/etc/default/mongod (ignore_errors=no)\nUnsetEnvironment=\nMemoryMax=infinity\n"
CALLS: list[tuple[t.Any, dict[str, t.Any]]] = [
    (Limits, {"name": "t1", "units": {"mongod": {"LimitNOFILE": 400}}, "restart": True}),
    (Limits, {"name": "t1", "units": {"mongod": {"LimitNOFILE": "10:5"}}}),
    (Limits, {"name": "t1", "units": {"nosuch": {"LimitNOFILE": 5}}}),
    (Limits, {"name": "t1", "pam": [{"domain": "nobody", "item": "nofile", "value": "unlimited"}]}),
    (Limits, {"name": "t1", "pam": [{"domain": "nobody", "item": "core", "value": "0"}], "allow_lowering": ["core"]}),
    (Limits, {"name": "t1", "state": "absent"}),
    (Environment, {"service": "mongod", "variables": {"A": {"of": "cpus"}, "B": "x"}, "restart": True}),
    (Environment, {"service": "mongod", "secrets": {"A": "Swordfish"}, "variables": {"URL": "db://u:hunter22@h"}}),
    (Environment, {"service": "mongod", "variables": {"A": 1}, "until": "yesterday"}),
    (Environment, {"service": "mongod", "variables": {"A": 1}, "budget": {"count": 0, "window": 5}, "restart": True}),
    (Environment, {"service": "nosuch", "state": "absent"}),
]


@pytest.fixture
def target(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[pathlib.Path]:
    """A folder that plays a host where mongod.service runs as a real process."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "systemctl").write_text(SYSTEMCTL.format(folder=tmp_path))
    (tools / "systemctl").chmod(0o755)
    environ = {"INVOCATION_ID": "1", "B": "x"}
    child = subprocess.Popen(["/bin/sh", "-c", "ulimit -n 300; exec /bin/sleep 60"], env=environ)
    for _line in iter(lambda: "sleep" in pathlib.Path(f"/proc/{child.pid}/comm").read_text(), True):
        continue
    known = "".join(f"{key}=300\n" for key in ("LimitNOFILE", "LimitNOFILESoft"))
    (tmp_path / "now").write_text(show(("active", {"MainPID": child.pid, "NeedDaemonReload": "no"})) + MORE + known)
    for place, name, attribute in (
        (unit_look, "units", "UNITS"),
        (environment, "environment", "FOLDER"),
        (limits_conf, "security", "FOLDER"),
        (managed_file, "state", "STATE"),
    ):
        monkeypatch.setattr(place, attribute, str(tmp_path / name))
    monkeypatch.setattr(limits_conf, "CONF", str(tmp_path / "limits.conf"))
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    yield tmp_path
    child.kill()
    child.wait()


def params(name: str, given: dict[str, t.Any]) -> dict[str, t.Any]:
    spec = importlib.import_module(f"{PACKAGE}.module_utils.specs.{name}")
    outcome = ArgumentSpecValidator(spec.ARGUMENT_SPEC, **spec.RULES).validate(given)
    assert not outcome.error_messages
    return t.cast("dict[str, t.Any]", json.loads(json.dumps(outcome.validated_parameters)))


def light_road(action: t.Any, given: dict[str, t.Any], target: pathlib.Path, python: str) -> dict[str, t.Any]:
    """The very program that goes to a target, in check mode, with its folders in the test's own."""
    action = object.__new__(action)
    wanted = action.prepare(params(action.NAME, given), {})
    call = packing.Call(action.ENTRY, wanted, True, tuple(action.extra(wanted)), action.deadline(wanted))
    text = packing.program(call, MARK).decode("ascii")
    for place, name in (
        ("/etc/systemd/system", "units"),
        ("/etc/ops-runbook/environment", "environment"),
        ("/etc/security/limits.d", "security"),
        ("/etc/security/limits.conf", "limits.conf"),
        ("/var/lib/ops-runbook", "state"),
    ):
        text = text.replace(f'"{place}"', f'"{target / name}"')
    done = subprocess.run([python, "-I", "-B", "-"], input=text, capture_output=True, text=True, timeout=60, check=True)
    return t.cast("dict[str, t.Any]", json.loads(done.stdout.split(MARK)[1]))


def ordinary_road(name: str, given: dict[str, t.Any], capsys: pytest.CaptureFixture[str]) -> dict[str, t.Any]:
    module = importlib.import_module(f"{PACKAGE}.modules.{name}")
    with patch_module_args({**given, "_ansible_check_mode": True}), pytest.raises(SystemExit):
        module.main()
    return t.cast("dict[str, t.Any]", json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("action", "given"), CALLS, ids=lambda value: json.dumps(value) if isinstance(value, dict) else ""
)
def test_both_roads_agree(
    action: t.Any, given: dict[str, t.Any], target: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"run_id": "r", **given}
    answers = [light_road(action, given, target, python) for python in (oldest(), sys.executable)]
    answers.append(ordinary_road(action.NAME, given, capsys))
    for answer in answers:
        assert "this is a bug" not in str(answer.get("msg"))
        answer.pop("invocation", None)
        answer.pop("exception", None)
        assert json.dumps(answer, sort_keys=True) == json.dumps(answers[0], sort_keys=True)
    assert "Swordfish" not in json.dumps(answers)
    assert "hunter22" not in json.dumps(answers)
    assert not (target / "told").exists()
    assert not (target / "state").exists()


def test_what_the_answers_are(target: pathlib.Path) -> None:
    answer = light_road(Limits, CALLS[0][1], target, sys.executable)
    assert [(row["status"], row["before"], row["after"]) for row in answer["limits"]] == [("applied", 300, 400)] * 2
    assert answer["restarted"] == ["mongod.service"]
    answer = light_road(Environment, CALLS[6][1], target, sys.executable)
    assert answer["environment"]["A"]["wanted"] == str(len(os.sched_getaffinity(0)))
    assert {name: row["status"] for name, row in answer["environment"].items()} == {"A": "applied", "B": "already"}
    answer = light_road(Environment, CALLS[10][1], target, sys.executable)
    assert "Did you mean nosuch-thing.service" in answer["msg"]
