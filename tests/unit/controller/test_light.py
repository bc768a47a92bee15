# SPDX-License-Identifier: GPL-3.0-or-later
"""The light road: what travels, and how the program behaves on every interpreter at hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import light, packing

MARK = "--mark--"
VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


def interpreters() -> list[str]:
    """Pythons of this machine, the oldest supported one first; the tests' own where there is no other."""
    homes = [Path(os.environ.get("PYENV_ROOT", "")), Path("~/.pyenv").expanduser()]
    found = {}
    for version in VERSIONS:
        real = [str(path) for home in homes for path in home.glob(f"versions/{version}.*/bin/python{version}")]
        which = shutil.which(f"python{version}")
        if real or which:
            found[version] = real[0] if real else str(which)
    return list(found.values()) or [sys.executable]


def call(python: str, text: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([python, "-I", "-B", "-"], input=text, capture_output=True, timeout=60, check=False)


def document(stdout: bytes) -> dict:
    parts = stdout.decode().split(MARK)
    assert len(parts) == 3, stdout
    return json.loads(parts[1])


@pytest.mark.parametrize("python", interpreters())
def test_the_program_answers_on(python: str) -> None:
    text = packing.program(packing.Call("remedies", {"service": "Ünï", "state": "read"}, True, deadline=60), MARK)
    assert text.isascii()
    assert "'Ünï' is not the name of a service" in document(call(python, text).stdout)["msg"]


def _with_module(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    source = packing.Source(False, body, "module_utils/made_up.py", ("errors",))
    monkeypatch.setitem(packing.SOURCES, "made_up", source)


def test_what_a_person_must_know_is_a_failed_result(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_module(
        monkeypatch,
        "from .errors import Refused\n"
        "def run(params, check):\n    raise Refused('no', 'here', 'Do that.', {'changed': True})\n",
    )
    said = document(call(sys.executable, packing.program(packing.Call("made_up", {}, False, deadline=60), MARK)).stdout)
    assert said == {
        "changed": True,
        "failed": True,
        "msg": "here: no. Do that.",
        "error": {"kind": "Refused", "what": "no", "where": "here", "hint": "Do that."},
    }


def test_a_bug_is_called_a_bug_and_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_module(monkeypatch, "def run(params, check):\n    return {}['x']\n")
    said = document(call(sys.executable, packing.program(packing.Call("made_up", {}, False, deadline=60), MARK)).stdout)
    assert said["msg"] == "KeyError: 'x' (this is a bug)"
    assert "module_utils/made_up.py" in said["exception"]


def test_stray_prints_do_not_reach_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_module(
        monkeypatch,
        "import os\n"
        "def run(params, check):\n    print('noise')\n    os.system('echo more')\n    return {'ok': params}\n",
    )
    done = call(sys.executable, packing.program(packing.Call("made_up", {"a": 1}, False, deadline=60), MARK))
    assert document(done.stdout) == {"ok": {"a": 1}}
    assert b"noise" not in done.stdout
    assert b"more" not in done.stdout


def test_a_large_answer_arrives_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_module(monkeypatch, "def run(params, check):\n    return {'text': 'x' * 5000000}\n")
    done = call(sys.executable, packing.program(packing.Call("made_up", {}, False, deadline=60), MARK))
    assert len(document(done.stdout)["text"]) == 5000000


def test_the_program_ends_itself_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_module(monkeypatch, "import time\ndef run(params, check):\n    time.sleep(50)\n    return {}\n")
    done = call(sys.executable, packing.program(packing.Call("made_up", {}, False, deadline=1), MARK))
    assert done.returncode == -14
    assert light._no_answer("python3", {"rc": -14, "stdout": "", "stderr": ""})["msg"].startswith(
        "The program on the target passed"
    )


def test_an_old_python_says_what_is_needed() -> None:
    old = Path("~/.pyenv/versions").expanduser()
    found = sorted(old.glob("3.[67].*/bin/python3"))
    if not found:
        pytest.skip("no Python older than 3.8 on this machine")
    text = packing.program(packing.Call("remedies", {}, False, deadline=60), MARK)
    assert "Python 3.8 or newer is needed" in document(call(str(found[0]), text).stdout)["msg"]


def test_only_what_is_needed_travels() -> None:
    names = {name.removeprefix(packing.PACKAGE).strip(".") for name in packing.bundle("holds")}
    assert {"holds", "errors", ""} <= names
    assert not any(name.startswith(("specs", "collectors", "platforms")) for name in names)
    wanted = {name.removeprefix(packing.PACKAGE).strip(".") for name in packing.bundle("holds", ["collectors.disk"])}
    assert {"collectors", "collectors.disk"} <= wanted


def test_everything_that_travels_can_be_compiled_by_the_oldest_python() -> None:
    python = interpreters()[0]
    program = "import ast, sys\nfor name in sys.argv[1:]:\n    ast.parse(open(name, encoding='utf-8').read(), name)\n"
    files = [str(path) for path in packing.ROOT.rglob("*.py")]
    done = subprocess.run(
        [python, "-I", "-c", program, *files], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"rc": 127, "stdout": "", "stderr": "sh: 1: python3: not found"}, "cannot be run on the target"),
        ({"rc": 1, "stdout": "", "stderr": "a\nboom"}, "did not answer (exit code 1): boom"),
        ({"rc": 0, "stdout": "", "stderr": ""}, "no output"),
    ],
)
def test_a_target_that_gives_no_document(answer: dict, says: str) -> None:
    assert says in light._no_answer("python3", answer)["msg"]


def test_a_files_content_is_recorded_by_its_hash() -> None:
    given = {"files": [{"path": "/x", "content": "a key"}], "content": None, "mode": "0600"}
    told = light.brief(given)
    assert told["files"][0]["content"].startswith("5 bytes, SHA-256 ")
    assert told == {**given, "files": [{"path": "/x", "content": told["files"][0]["content"]}]}
    assert given["files"][0]["content"] == "a key"
