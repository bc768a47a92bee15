# SPDX-License-Identifier: GPL-3.0-or-later
"""The very programs that go to a target, on real stores: a backup of each kind is taken, proven, spoilt, found out."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.testing import patch_module_args
from ansible_collections.ops.runbook.plugins.action import backup_create, backup_verify
from ansible_collections.ops.runbook.plugins.module_utils.backup import ledger
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost
from ansible_collections.ops.runbook.plugins.module_utils.mongowire import Connection
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from test_backup_mongodb import BUILT
from test_backup_postgresql import ODD, here, reachable, server  # noqa: F401 - a fixture
from test_ownership import oldest

MARK = "--mark--"
Json = dict[str, t.Any]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners can be given by root alone")


class Place:
    """A target of its own: folders for state and backups, and modules by either road."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys

    def call(self, action: t.Any, python: str | None, given: Json) -> Json:
        """A module's answer, by the light road with this Python or by the ordinary one."""
        given = {"root": str(self.folder / "backups"), "timeout": 60, "idle": 30, **given}
        if action is backup_verify:
            given |= {"scratch": str(self.folder / "scratch")}
        return self._light(action, python, given) if python else self._ordinary(action, given)

    def _light(self, action: t.Any, python: str, given: Json) -> Json:
        this = object.__new__(action.ActionModule)
        specs = importlib.import_module(f"{packing.PACKAGE}.specs.{this.NAME}")
        checked = ArgumentSpecValidator(specs.ARGUMENT_SPEC, **specs.RULES).validate(given)
        assert not checked.error_messages
        wanted = this.prepare(json.loads(json.dumps(checked.validated_parameters)), {})
        call = packing.Call(this.ENTRY, wanted, False, tuple(this.extra(wanted)), this.deadline(wanted))
        text = packing.program(call, MARK).decode("ascii").replace(f'"{ledger.ROOT}"', f'"{self.folder}/state"')
        argv = [python, "-I", "-S", "-B", "-"]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=120, check=True)
        return t.cast("Json", json.loads(done.stdout.split(MARK)[1]))

    def _ordinary(self, action: t.Any, given: Json) -> Json:
        name = action.ActionModule.NAME
        module = importlib.import_module(f"ansible_collections.ops.runbook.plugins.modules.{name}")
        with patch_module_args(given), pytest.raises(SystemExit):
            module.main()
        return t.cast("Json", json.loads(self._capsys.readouterr().out))


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(ledger, "ROOT", str(tmp_path / "state"))
    reachable(tmp_path)
    return Place(tmp_path, capsys)


@pytest.fixture(params=["oldest", "this", "ordinary"])
def python(request: pytest.FixtureRequest) -> str | None:
    """The interpreter of the light road, or None for the ordinary one."""
    return {"oldest": oldest(), "this": sys.executable, "ordinary": None}[request.param]


def proven(place: Place, python: str | None, store_: Json, verify: Json) -> None:
    """Taken, proven; then spoilt, and never proven again."""
    name = {"system": "lab", "store": "it"}
    taken = place.call(backup_create, python, {**name, **store_})
    assert not taken.get("failed"), taken
    assert taken["changed"]
    assert taken["backup"]["objects"] >= 2
    said = place.call(backup_verify, python, {**name, **verify})
    assert (said.get("failed"), said["verified"]) == (None, True) or (said.get("failed") is False), said
    (archive,) = [path for path in Path(taken["backup"]["path"]).iterdir() if path.suffix == ".zst"]
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    said = place.call(backup_verify, python, {**name, **verify})
    assert (said["failed"], said["verified"], said["damaged"]) == (True, False, True)
    assert "this is a bug" not in said["msg"]
    assert list((place.folder / "scratch").iterdir()) == []


def test_directories(place: Place, python: str | None) -> None:
    (place.folder / "live").mkdir()
    (place.folder / "live/app.conf").write_text("a = 1\n")
    proven(place, python, {"kind": "files", "paths": [str(place.folder / "live")]}, {})


@pytest.mark.skipif(not here(), reason="wants package postgresql; drills do it on a lab host")
def test_postgresql(place: Place, python: str | None, server: t.Any) -> None:  # noqa: F811 - the fixture
    reach = {"address": server.folder, "port": 5432, "login": "scratch", "account": "postgres"}
    smoke = [{"query": "SELECT count(*) > 4000 FROM summary", "expect": "t"}]
    proven(
        place,
        python,
        {"kind": "postgresql", "database": ODD, **reach},
        {"account": "postgres", "smoke": smoke},
    )


@pytest.mark.skipif(not BUILT, reason="the lab's server is not built yet (make lab-up); drills use it")
def test_mongodb(place: Place, python: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.ops.runbook.plugins.module_utils.backup.mongodb import Scratch

    monkeypatch.setenv("PATH", f"{BUILT[-1].parent}:{os.environ['PATH']}")
    (place.folder / "live").mkdir()
    with Scratch(LocalHost(), str(place.folder / "live"), str(BUILT[-1])) as running:
        wire = Connection(LocalHost(), "127.0.0.1", running.port, 20)
        for name in ("one", "two"):
            rows = [{"_id": n, "text": "x" * n} for n in range(300)]
            assert wire.command("simplers", {"insert": name, "documents": rows})["ok"]
        wire.close()
        reach = {"kind": "mongodb", "database": "simplers", "port": running.port}
        proven(place, python, reach, {"server": str(BUILT[-1])})
