# SPDX-License-Identifier: GPL-3.0-or-later
"""log_stats_info gives the same answer piped into any Python and packed by Ansible as a module, in bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from tests.unit.test_log_stats import DEFAULTS

ROOT = Path(__file__).parents[2]
MARK = "--mark--"
SUPPORTED = [f"3.{minor}" for minor in range(8, 14)]
PYTHONS = [path for version in SUPPORTED for path in Path.home().glob(f".pyenv/versions/{version}.*/bin/python3")] or [
    Path(sys.executable)
]
PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - ops.runbook.log_stats_info: "{{ asked }}"
      register: said
      check_mode: "{{ inventory_hostname == 'checked' }}"
    - ansible.builtin.copy:
        content: "{{ said | to_json }}"
        dest: "{{ folder }}/{{ inventory_hostname }}.json"
        mode: "0600"
      check_mode: false
"""


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    log = tmp_path / "app.log"
    rows = [
        {"timestamp": f"2026-01-05T02:00:{at:02d}Z", "level": "ERROR" if at % 3 else "INFO", "ms": at}
        for at in range(60)
    ]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "paths": [str(log)],
        "since": "2026-01-05T02:00:10Z",
        "until": "2026-01-05T02:00:50Z",
        "counts": {"bad": {"where": {"level": "ERROR"}}, "text": {"pattern": "INFO|WARN"}, "all": {}},
        "values": {"ms": {"field": "ms", "percentiles": [50], "buckets": [20]}},
        "groups": {"level": {"field": "level"}},
        "ratios": {"rate": {"part": "bad", "whole": "all"}},
    }


def steady(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what time changes, and what Ansible adds."""
    found = {
        key: answer[key]
        for key in ("changed", "complete", "lines", "bytes", "values", "groups", "ratios", "missing", "window")
    }
    for count in answer["counts"].values():
        assert count.pop("age_seconds") > 0
    return {**found, "counts": answer["counts"], "logs": answer["logs"], "message": answer["message"]}


def piped(python: Path, params: dict[str, Any]) -> dict[str, Any]:
    call = packing.Call("log_stats", {**DEFAULTS, **params}, extra=("redact",))
    done = subprocess.run(
        [python, "-I", "-S", "-B", "-"], input=packing.program(call, MARK), capture_output=True, timeout=60, check=True
    )
    assert not done.stderr
    found: dict[str, Any] = json.loads(done.stdout.decode().split(MARK)[1])
    return found


def test_every_python_gives_the_same_answer(asked: dict[str, Any]) -> None:
    answers = [steady(piped(python, asked)) for python in PYTHONS]
    assert answers[0]["counts"]["bad"]["count"] == 27
    assert answers[0]["ratios"]["rate"] == 67.5
    assert all(answer == answers[0] for answer in answers)


def test_both_roads_give_the_same_answer_also_in_check_mode(tmp_path: Path, asked: dict[str, Any]) -> None:
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {
        "light": {"ansible_pipelining": True},
        "checked": {"ansible_pipelining": True},
        "packed": {"ansible_pipelining": False},
    }
    inventory = {
        "all": {
            "hosts": {name: {**local, **more} for name, more in hosts.items()},
            "vars": {"asked": asked, "folder": str(tmp_path)},
        }
    }
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory))
    (tmp_path / "play.yml").write_text(PLAY)
    play = [Path(sys.executable).with_name("ansible-playbook"), "-i", tmp_path / "inventory.yml", tmp_path / "play.yml"]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCALHOST_WARNING": "false"}
    done = subprocess.run(play, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in hosts}
    assert steady(answers["light"]) == steady(answers["packed"]) == steady(answers["checked"])
    assert answers["light"]["cursors"][asked["paths"][0]]["offset"] > 0


def peak(params: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The answer, and the most memory in bytes that the program ever had, as the kernel counts it since its start."""
    call = packing.Call("log_stats", {**DEFAULTS, **params}, extra=("redact",))
    tell = b"os.write(2, open('/proc/self/status', 'rb').read()); os._exit(0)"
    text = packing.program(call, MARK).replace(b"os._exit(0)", tell)
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-"], input=text, capture_output=True, check=True)
    status = dict(line.split(":\t") for line in done.stderr.decode().splitlines() if ":\t" in line)
    return json.loads(done.stdout.decode().split(MARK)[1]), int(status["VmHWM"].split()[0]) * 1024


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    """Different numbers and texts on each line, a line without an end, and ten times the log: the same room."""
    rooms = []
    for rows in (40_000, 400_000):
        log = tmp_path / f"{rows}.log"
        with log.open("w") as stream:
            for at in range(rows):
                stream.write(f'{{"ms": {at * 1.0001}, "user": "user-{at:09d}", "text": "{"x" * 80}"}}\n')
            stream.write("y" * (8 << 20))
        asked = {
            "values": {"ms": {"field": "ms"}},
            "groups": {"user": {"field": "user"}},
            "counts": {"all": {"tail": 100}},
        }
        answer, room = peak({"paths": [str(log)], **asked})
        assert answer["values"]["ms"]["count"] == rows
        assert answer["groups"]["user"]["count"] == rows
        rooms.append(room)
    assert rooms[1] < rooms[0] + (8 << 20)
    assert rooms[1] < 64 << 20


def test_a_program_that_takes_too_long_ends_itself(asked: dict[str, Any]) -> None:
    """An expression that backtracks without end is beyond the limit of the code: the program's own deadline ends it."""
    log = Path(asked["paths"][0])
    log.write_text("a" * 64 + "!\n")
    call = packing.Call(
        "log_stats", {**DEFAULTS, "paths": [str(log)], "counts": {"x": {"pattern": "(a|a)+$"}}}, deadline=1
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-"], input=packing.program(call, MARK), capture_output=True, check=False
    )
    assert done.returncode == -14
    assert time.monotonic() - began < 20
