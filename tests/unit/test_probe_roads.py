# SPDX-License-Identifier: GPL-3.0-or-later
"""Both roads of health_probe give the same document: piped into any Python, and packed by Ansible as an ordinary module."""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.plugin_utils import light, verdict

ROOT = Path(__file__).parents[2]
MARK = "--mark--"
PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3")) or [Path(sys.executable)]
PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - ops.runbook.health_probe:
        checks: "{{ checks }}"
      register: said
    - ansible.builtin.copy:
        content: "{{ said | to_json }}"
        dest: "{{ folder }}/{{ inventory_hostname }}.json"
        mode: "0600"
"""


@pytest.fixture
def checks(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """One check of each type, so that each collector must have travelled."""
    (tmp_path / "app.log").write_text("ERROR without a time\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        unit = {"unit": ["mongod", "mongodb"]}
        patterns = {"patterns": {"bad": "ERROR"}}
        yield {
            "command": {"type": "command", "argv": ["echo", "한국"]},
            "deleted_open": {"type": "deleted_open", "under": str(tmp_path)},
            "descriptors": {"type": "descriptors", **unit},
            "disk": {"type": "disk", "path": "/", "warning": [{"metric": "used_percent", "operator": "<", "value": 101}]},
            "dns": {"type": "dns", "name": "localhost"},
            "file": {"type": "file", "path": "/etc/passwd", "files": [{"path": "/etc/passwd", "owner": "nobody"}]},
            "journal": {"type": "journal", **unit, **patterns},
            "log": {"type": "log", "path": str(tmp_path / "app.log"), **patterns, "cursor": {"inode": 0, "offset": 0}},
            "memory": {"type": "memory", "expect": "total_bytes > `1`"},
            "mongodb": {"type": "mongodb", "port": 1},
            "oom_kills": {"type": "oom_kills", "warning": []},
            "process": {"type": "process", "exe": "/no/such/program"},
            "systemd_unit": {"type": "systemd_unit", **unit},
            "tcp_port": {"type": "tcp_port", "port": listener.getsockname()[1]},
        }


def shape(document: dict[str, Any]) -> dict[str, Any]:
    """What does not change from one second to the next."""
    steady = {"exists", "rc", "stdout", "fstype", "mount_point", "owner", "mismatches", "counts", "total_bytes", "resolved",
              "answered", "error", "listening", "port", "running", "unit", "active_state"}
    return {name: (one["type"], one["status"], sorted(one["data"]), one["missing"], one["threshold"],
                   {key: value for key, value in one["data"].items() if key in steady})
            for name, one in document["checks"].items()}


def piped(python: Path, checks: dict[str, Any]) -> dict[str, Any]:
    asked = {name: {key: value for key, value in check.items() if key not in ("warning", "expect")} for name, check in checks.items()}
    call = light.Call("probe", {"checks": asked}, extra=tuple(f"collectors.{name}" for name in checks))
    done = subprocess.run([python, "-I", "-B", "-"], input=light.program(call, MARK), capture_output=True, timeout=60, check=True)
    return verdict.judge("here", checks, json.loads(done.stdout.decode().split(MARK)[1]), {})


def test_all_roads_lead_to_the_same_document(checks: dict[str, Any], tmp_path: Path) -> None:
    assert set(checks) == set(probe.TYPES)
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {"light": {**local, "ansible_pipelining": True}, "ordinary": {**local, "ansible_pipelining": False}}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": {"checks": checks, "folder": str(tmp_path)}}}))
    (tmp_path / "play.yml").write_text(PLAY)
    playbook = Path(sys.executable).parent / "ansible-playbook"
    env = {**os.environ, "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    done = subprocess.run([playbook, "-i", tmp_path / "inventory.yml", tmp_path / "play.yml"], cwd=ROOT, env=env, capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in hosts}
    documents = {name: result["document"] for name, result in results.items()}
    documents.update({str(python): piped(python, checks) for python in PYTHONS if "3.6" not in str(python) and "3.7" not in str(python)})
    expected = shape(documents["light"])
    assert expected["command"][-1]["stdout"] == "한국\n"
    assert expected["log"][-1]["counts"] == {"bad": 1}
    assert {name: shape(document) for name, document in documents.items()} == dict.fromkeys(documents, expected)
    told = yaml.safe_load(importlib.import_module("ansible_collections.ops.runbook.plugins.modules.health_probe").RETURN)
    for result in results.values():
        assert set(told) == set(result) - {"changed", "failed", "ops_runbook", "ansible_facts"}


def test_only_what_the_checks_name_travels() -> None:
    travels = light.bundle("probe", ["collectors.disk"])
    collectors = {name.rpartition(".")[2] for name in travels if ".collectors." in name}
    assert collectors == {"disk", "_paths"}


def test_the_ordinary_module_packs_every_collector() -> None:
    from ansible.executor.module_common import ModuleDepFinder

    source = (ROOT / "collections/ops_runbook/plugins/modules/health_probe.py").read_text()
    finder = ModuleDepFinder("ansible_collections.ops.runbook.plugins.modules.health_probe", compile(source, "x", "exec", 1024))
    assert {name[-1] for name in finder.submodules if "collectors" in name} == set(probe.TYPES)
