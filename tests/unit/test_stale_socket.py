# SPDX-License-Identifier: GPL-3.0-or-later
"""Only a socket that refuses a connection goes; what answers, what is no socket, and what nobody can tell of stays."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.module_utils import lease, stale_socket
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.specs.stale_socket import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from test_files import NOBODY, in_child, root_only

KEYS = {"changed", "changes", "undo", "message"}


def params(path: object, **others: t.Any) -> dict[str, t.Any]:
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate({"path": str(path), **others})
    assert not checked.error_messages
    return dict(checked.validated_parameters)


def run(path: object, check: bool = False, **others: t.Any) -> dict[str, t.Any]:
    result = stale_socket.run(params(path, **others), check)
    assert set(result) == KEYS
    return result


def refused(path: object, **others: t.Any) -> OpsError:
    with pytest.raises(OpsError) as caught:
        run(path, **others)
    assert set(caught.value.result) == KEYS
    assert caught.value.result["changed"] is False
    return caught.value


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A socket whose server was killed."""
    path = tmp_path / "server.sock"
    listen = f"s = socket.socket(socket.AF_UNIX); s.bind({str(path)!r}); s.listen()"
    program = f"import os, socket; {listen}; os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert path.is_socket()
    return path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "served.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


def test_what_a_crash_left_behind_goes(left: Path) -> None:
    predicted = run(left, check=True)
    assert left.is_socket()
    result = run(left)
    assert not left.exists()
    assert result["changes"] == predicted["changes"]
    assert result["changes"][0]["object"] == f"socket {left}"
    assert (result["changes"][0]["after"], result["undo"]["kind"]) == (None, "none")
    assert run(left) == {
        "changed": False,
        "changes": [],
        "undo": {"kind": "none", "reason": "nothing was changed"},
        "message": f"there is no socket at {left}",
    }


@pytest.mark.parametrize("check", [False, True])
def test_one_that_is_listened_on_stays(served: Path, check: bool) -> None:
    error = refused(served, check=check)
    assert isinstance(error, Refused)
    assert "a process listens on it" in error.what
    assert f"ss -xlp src {served}" in error.hint
    assert served.is_socket()


def test_one_whose_queue_is_full_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale_socket, "_PATIENCE", 0.05)
    path = tmp_path / "busy.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(path))
        server.listen(0)
        client.connect(str(path))
        assert "nobody can tell" in refused(path).what
    assert path.is_socket()


def test_a_socket_of_another_kind_stays(tmp_path: Path) -> None:
    path = tmp_path / "log.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        assert "nobody can tell" in refused(path).what
    assert path.is_socket()


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe"])
def test_what_is_no_socket_stays(tmp_path: Path, left: Path, kind: str) -> None:
    path = tmp_path / "it"
    {
        "file": lambda: path.write_text("data"),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(left),
        "pipe": lambda: os.mkfifo(path),
    }[kind]()
    assert "is no socket" in refused(path).what
    assert os.path.lexists(path)
    assert left.is_socket()


def test_a_link_on_the_way_leads_there(tmp_path: Path, left: Path) -> None:
    (tmp_path / "run").symlink_to(left.parent)
    assert run(tmp_path / "run" / left.name)["changed"] is True
    assert not left.exists()


def test_one_that_is_replaced_meanwhile_stays(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = stale_socket._remove

    def late(folder: int, path: str, seen: os.stat_result) -> None:
        left.rename(left.with_suffix(".old"))
        left.write_text("another's")
        remove(folder, path, seen)

    monkeypatch.setattr(stale_socket, "_remove", late)
    assert "replaced meanwhile" in refused(left).what
    assert left.read_text() == "another's"


@pytest.mark.parametrize("path", ["mongodb.sock", "/tmp/../etc/x.sock", "/tmp/", ""])
def test_bad_paths(path: str) -> None:
    assert isinstance(refused(path), BadInput)


def test_a_path_that_is_long_or_in_no_folder(tmp_path: Path) -> None:
    assert run(tmp_path / "no" / "x.sock")["changed"] is False
    deep = tmp_path / ("a" * 100)
    deep.mkdir()
    here = os.open(deep, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{here}/x.sock")
    os.close(here)
    assert run(deep / "x.sock")["changed"] is True
    assert not (deep / "x.sock").exists()


def test_without_the_lease_nothing_goes(left: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lease, "DIRECTORY", str(tmp_path / "leases"))
    (tmp_path / "leases").mkdir(mode=0o700)
    assert "does not hold the lease" in refused(left, lease="mongodb", run_id="r1").what
    assert left.is_socket()


@root_only
def test_a_user_who_may_not(left: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="ops-runbook-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.move(left, folder / "it.sock")
        (folder / "it.sock").chmod(0o666)

        def tried() -> None:
            error = refused(folder / "it.sock")
            assert not isinstance(error, BadInput)

        assert in_child(tried, NOBODY) == 0
        assert (folder / "it.sock").is_socket()


def test_both_roads_give_the_same(left: Path) -> None:
    text = packing.program(packing.Call("stale_socket", params(left), True), "--mark--")
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-"], input=text, capture_output=True, check=True)
    import json

    light = json.loads(done.stdout.decode().split("--mark--")[1])
    assert {key: light[key] for key in KEYS} == run(left, check=True)
