# SPDX-License-Identifier: GPL-3.0-or-later
"""Both roads of log_rotation, on the oldest Python too, with the real logrotate and a systemctl that answers."""

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
from ansible_collections.ops.runbook.plugins.action.log_rotation import ActionModule
from ansible_collections.ops.runbook.plugins.module_utils import managed_file, rotation, rotation_look, rotation_verify
from ansible_collections.ops.runbook.plugins.module_utils.errors import Refused
from ansible_collections.ops.runbook.plugins.module_utils.specs.log_rotation import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from rotation_host import MAIN
from systemd_host import FIXTURES
from test_files import root_only
from test_ownership import oldest
from tests.support import debian

pytestmark = root_only
Json = dict[str, t.Any]
MARK = "--mark--"
PLACES = {
    "/etc/logrotate.conf": "logrotate.conf",
    "/etc/logrotate.d": "logrotate.d",
    "/run/ops-runbook": "run",
    "/var/lib/ops-runbook": "state",
}
SYSTEMCTL = """#!/bin/sh
case "$*" in
*logrotate.timer*) cat {fixtures}/252-show-logrotate-timer.txt;;
*logrotate.service*) cat {fixtures}/252-show-logrotate-service.txt;;
*) printf 'Id=nosuch.service\\nLoadState=not-found\\nActiveState=inactive\\nNeedDaemonReload=no\\n';;
esac
"""
NONE = {"reopen": {"method": "none"}, "every": "daily"}
CALLS: list[Json] = [
    {**NONE, "paths": ["LOGS/*.log"], "exclude": ["persistence-*.log"], "max_size": "100MiB"},
    {**NONE, "paths": ["LOGS/*.log"], "directory": {"mode": "0750"}},
    {**NONE, "paths": ["LOGS/*.log"], "max_age": "soon"},
    {**NONE, "paths": ["/etc/*.log"]},
    {"paths": ["LOGS/*.log"], "every": "daily", "reopen": {"method": "signal", "unit": "nosuch"}},
    {"paths": ["LOGS/*.log"], "size": "1GiB", "reopen": {"method": "copytruncate"}, "compression": "gzip"},
    {"state": "absent"},
]


@pytest.fixture
def target(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder that plays a host with one log."""
    tools = tmp_path / "bin"
    for folder in (tools, tmp_path / "logs", tmp_path / "logrotate.d"):
        folder.mkdir()
        folder.chmod(0o755)
    (tmp_path / "logs" / "app.log").write_text("a line\n")
    (tmp_path / "logrotate.conf").write_text(MAIN.format(folder=tmp_path / "logrotate.d"))
    (tools / "logrotate").symlink_to(debian.program("logrotate"))
    (tools / "systemctl").write_text(SYSTEMCTL.format(fixtures=FIXTURES))
    (tools / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    for module, name in ((rotation, "FOLDER"), (rotation_look, "FOLDER")):
        monkeypatch.setattr(module, name, str(tmp_path / "logrotate.d"))
    for module in (rotation_look, rotation_verify):
        monkeypatch.setattr(module, "CONFIG", str(tmp_path / "logrotate.conf"))
    monkeypatch.setattr(rotation_verify, "SCRATCH", str(tmp_path / "run"))
    monkeypatch.setattr(managed_file, "STATE", str(tmp_path / "state"))
    return tmp_path


def options(given: Json, target: pathlib.Path) -> Json:
    paths = [path.replace("LOGS", str(target / "logs")) for path in given.get("paths", [])]
    kill_switch = str(target / "kill-switch")
    return {"name": "app", "roots": [str(target)], "run_id": "r", "kill_switch": kill_switch, **given, "paths": paths}


def light_road(given: Json, target: pathlib.Path, python: str) -> Json:
    """The very program that goes to a target, in check mode, with its places in the test's own folder."""
    action = object.__new__(ActionModule)
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate(given)
    assert not checked.error_messages
    wanted = action.prepare(json.loads(json.dumps(checked.validated_parameters)), {})
    call = packing.Call(action.ENTRY, wanted, True, tuple(action.extra(wanted)), action.deadline(wanted))
    text = packing.program(call, MARK).decode("ascii")
    for place, name in PLACES.items():
        text = text.replace(f'"{place}"', f'"{target / name}"')
    done = subprocess.run([python, "-I", "-B", "-"], input=text, capture_output=True, text=True, timeout=60, check=True)
    return t.cast("Json", json.loads(done.stdout.split(MARK)[1]))


def ordinary_road(given: Json, capsys: pytest.CaptureFixture[str]) -> Json:
    module = importlib.import_module("ansible_collections.ops.runbook.plugins.modules.log_rotation")
    with patch_module_args({**given, "_ansible_check_mode": True}), pytest.raises(SystemExit):
        module.main()
    return t.cast("Json", json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("given", CALLS, ids=json.dumps)
def test_both_roads_agree(given: Json, target: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = options(given, target)
    answers = [light_road(given, target, python) for python in (oldest(), sys.executable)]
    answers.append(ordinary_road(given, capsys))
    for answer in answers:
        assert "this is a bug" not in str(answer.get("msg"))
        answer.pop("invocation", None)
        answer.pop("exception", None)
        assert json.dumps(answer, sort_keys=True) == json.dumps(answers[0], sort_keys=True)
    assert not (target / "state").exists()
    assert list((target / "logrotate.d").iterdir()) == []


def test_what_the_answers_are(target: pathlib.Path) -> None:
    answer = light_road(options(CALLS[0], target), target, sys.executable)
    assert (answer["changed"], answer["findings"], answer["schedule"]["by"]) == (True, [], "timer")
    answer = light_road(options(CALLS[1], target), target, sys.executable)
    assert answer["changes"][0]["object"] == f"mode of {target}/logs"
    assert "is no age" in light_road(options(CALLS[2], target), target, sys.executable)["msg"]


def test_the_kill_switch(target: pathlib.Path) -> None:
    (target / "kill-switch").write_text("on holiday")
    with pytest.raises(Refused, match="on holiday"):
        light_road(options(CALLS[0], target), target, sys.executable)


def test_what_travels_covers_what_a_trial_and_an_undo_need() -> None:
    given = {**dict.fromkeys(ARGUMENT_SPEC), "schedule": True, "trial": True, "directory": {"mode": "0755"}}
    given.update(trial_timeout=10, lease="x", reopen={"unit": "app"})
    names = rotation.late(given)
    assert {"undo_steps.enablement", "undo_steps.file", "undo_steps.ownership", "rotation_trial", "lease"} <= set(names)
    assert rotation.seconds(given) > rotation.seconds({**given, "trial": False, "directory": None})
