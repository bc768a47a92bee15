# SPDX-License-Identifier: GPL-3.0-or-later
"""Both roads of health_probe give the same document: piped into any Python, and packed by Ansible as a module."""

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
from ansible_collections.ops.runbook.plugins.plugin_utils import packing, verdict
from ansible_collections.ops.runbook.plugins.plugin_utils.checks import modules
from scram_server import ScramServer

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
            "backup_age": {"type": "backup_age", "system": "nobody", "store": "nothing"},
            "command": {"type": "command", "argv": ["echo", "한국"]},
            "deleted_open": {"type": "deleted_open", "under": str(tmp_path)},
            "descriptors": {"type": "descriptors", **unit},
            "disk": {
                "type": "disk",
                "path": "/",
                "warning": [{"metric": "used_percent", "operator": "<", "value": 101}],
            },
            "dns": {"type": "dns", "name": "localhost"},
            "reclaimable": {"type": "reclaimable", "path": "/", "free_percent": 1},
            "file": {"type": "file", "path": "/etc/passwd", "files": [{"path": "/etc/passwd", "owner": "nobody"}]},
            "journal": {"type": "journal", **unit, **patterns},
            "log": {"type": "log", "path": str(tmp_path / "app.log"), **patterns, "cursor": {"inode": 0, "offset": 0}},
            "lease": {"type": "lease", "name": "nobody"},
            "memory": {"type": "memory", "expect": "total_bytes > `1`"},
            "mongodb": {"type": "mongodb", "port": 1},
            "oom_kills": {"type": "oom_kills", "warning": []},
            "process": {"type": "process", "exe": "/no/such/program"},
            "systemd_unit": {"type": "systemd_unit", "baseline": "mongodb", **unit},
            "tcp_port": {"type": "tcp_port", "port": listener.getsockname()[1]},
            "unix_socket": {"type": "unix_socket", "path": "/no/such/socket"},
        }


def shape(document: dict[str, Any]) -> dict[str, Any]:
    """What does not change from one second to the next."""
    steady = {
        "exists",
        "rc",
        "stdout",
        "fstype",
        "mount_point",
        "owner",
        "mismatches",
        "counts",
        "total_bytes",
        "resolved",
        "answered",
        "error",
        "listening",
        "port",
        "running",
        "unit",
        "active_state",
    }
    return {
        name: (
            one["type"],
            one["status"],
            sorted(one["data"]),
            one["missing"],
            one["threshold"],
            {key: value for key, value in one["data"].items() if key in steady},
        )
        for name, one in document["checks"].items()
    }


def piped(python: Path, checks: dict[str, Any]) -> dict[str, Any]:
    asked = {
        name: {key: value for key, value in check.items() if key not in ("warning", "expect")}
        for name, check in checks.items()
    }
    extra = tuple(module for check in asked.values() for module in modules(check))
    call = packing.Call("probe", {"checks": asked}, extra=extra)
    done = subprocess.run(
        [python, "-I", "-B", "-"], input=packing.program(call, MARK), capture_output=True, timeout=60, check=True
    )
    return verdict.judge("here", checks, json.loads(done.stdout.decode().split(MARK)[1]), {})


def play(tmp_path: Path, text: str, hosts: dict[str, Any], **variables: Any) -> str:
    """Run a playbook on this machine; what it printed."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {"all": {"hosts": {name: {**local, **more} for name, more in hosts.items()}, "vars": variables}}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory))
    (tmp_path / "play.yml").write_text(text)
    env = {
        **os.environ,
        "ANSIBLE_CONFIG": str(tmp_path / "none.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_PIPELINING": "1",
    }
    argv = [Path(sys.executable).parent / "ansible-playbook", "-i", tmp_path / "inventory.yml", tmp_path / "play.yml"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_roads_lead_to_the_same_document(checks: dict[str, Any], tmp_path: Path) -> None:
    assert set(checks) == set(probe.TYPES)
    hosts: dict[str, Any] = {"light": {"ansible_pipelining": True}, "ordinary": {"ansible_pipelining": False}}
    play(tmp_path, PLAY, hosts, checks=checks, folder=str(tmp_path))
    results = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in hosts}
    documents = {name: result["document"] for name, result in results.items()}
    documents.update({str(python): piped(python, checks) for python in PYTHONS})
    expected = shape(documents["light"])
    assert expected["command"][-1]["stdout"] == "한국\n"
    assert expected["log"][-1]["counts"] == {"bad": 1}
    assert {name: shape(document) for name, document in documents.items()} == dict.fromkeys(documents, expected)
    told = yaml.safe_load(
        importlib.import_module("ansible_collections.ops.runbook.plugins.modules.health_probe").RETURN
    )
    for result in results.values():
        assert set(told) == set(result) - {"changed", "failed", "ops_runbook", "ansible_facts"}


WATCH = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: Begin unwell
      ansible.builtin.file: {path: "{{ flag }}", state: absent}
    - name: Get well after a while
      ansible.builtin.command: sh -c "(sleep 1; touch {{ flag }}) >/dev/null 2>&1 &"
      when: limit > 1
    - ops.runbook.health_probe:
        checks: {flag: {type: file, path: "{{ flag }}"}}
        stable_for: 0.6
        timeout: "{{ limit }}"
        interval: 0.2
      register: said
    - ops.runbook.health_probe:
        checks: {flag: {type: file, path: "{{ flag }}"}}
        baseline: "{{ said.document }}"
        cursors: "{{ said.cursors }}"
        target: db1/flag
      check_mode: true
      register: again
    - ansible.builtin.copy: {content: "{{ [said, again] | to_json }}", dest: "{{ flag }}.json", mode: "0600"}
"""


@pytest.mark.parametrize(("limit", "stable"), [(10, True), (0.7, False)])
def test_it_waits_until_it_stays_well(tmp_path: Path, limit: float, stable: bool) -> None:
    play(tmp_path, WATCH, {"here": {}}, flag=str(tmp_path / "flag"), limit=limit)
    said, again = json.loads((tmp_path / "flag.json").read_text())
    assert said["stable"] is stable
    assert said["probes"] >= 2
    assert (said["stable_seconds"] >= 0.6) is stable
    assert said["document"]["status"] == ("ok" if stable else "critical")
    assert said["document"]["target"] == "here"
    assert (again["document"]["target"], again["probes"], again["changed"]) == ("db1/flag", 1, False)


BAD = """\
- hosts: all
  gather_facts: false
  tasks:
    - ops.runbook.health_probe: "{{ item }}"
      loop: "{{ calls }}"
      register: said
      ignore_errors: true
    - ansible.builtin.copy:
        content: "{{ said.results | map(attribute='msg') | to_json }}"
        dest: "{{ folder }}/bad.json"
        mode: "0600"
"""
DISK = {"disk": {"type": "disk", "path": "/"}}


def test_bad_input_is_one_line_before_anything_travels(tmp_path: Path) -> None:
    calls = {
        "checks: no checks. Name at least one check.": {"checks": {}},
        "check disk: unknown type 'disc'. Known are ": {"checks": {"disk": {"type": "disc"}}},
        "thresholds.disk.warning[0]: operator is missing. Write ": {
            "checks": DISK,
            "thresholds": {"disk": {"warning": [{"metric": "used_percent", "value": 1}]}},
        },
        "stable_for: 60 s do not fit into the timeout of 5 s. Make timeout longer.": {
            "checks": DISK,
            "stable_for": 60,
            "timeout": 5,
        },
        "interval: 0 s is no interval. Give seconds above 0.": {"checks": DISK, "interval": 0},
        "baseline: is not a probe document. Give the `document` of an earlier health_probe.": {
            "checks": DISK,
            "baseline": {"a": 1},
        },
        "cursors.dsk: names no check. Known are disk.": {"checks": DISK, "cursors": {"dsk": {}}},
        "Unsupported parameters for (ops.runbook.health_probe) module: chekcs.": {"checks": DISK, "chekcs": {}},
    }
    out = play(tmp_path, BAD, {"here": {}}, calls=list(calls.values()), folder=str(tmp_path))
    assert "Traceback" not in out
    for said, words in zip(json.loads((tmp_path / "bad.json").read_text()), calls, strict=True):
        assert said.startswith(words)
        assert "\n" not in said


def test_a_login_takes_all_roads(tmp_path: Path) -> None:
    server, path = ScramServer(b"s3cret"), tmp_path / "mongodb.uri"
    path.touch(0o600)
    path.write_text("mongodb://probe:s3cret@h/")
    login = {"auth": "scram", "credentials_file": str(path), "database": "recommendation"}
    checks = {"mongodb": {"type": "mongodb", "port": server.port, "collection": "user_candidate", **login}}
    hosts: dict[str, Any] = {"light": {"ansible_pipelining": True}, "ordinary": {"ansible_pipelining": False}}
    play(tmp_path, PLAY, hosts, checks=checks, folder=str(tmp_path))
    documents = [json.loads((tmp_path / f"{name}.json").read_text())["document"] for name in hosts]
    documents += [piped(python, checks) for python in PYTHONS]
    server.socket.close()
    for document in documents:
        check = document["checks"]["mongodb"]
        assert (check["status"], check["data"]["login_ok"], check["data"]["count"]) == ("ok", True, 3000), check
        assert "s3cret" not in str(document)


def test_only_what_the_checks_name_travels() -> None:
    travels = packing.bundle("probe", ["collectors.disk"])
    collectors = {name.rpartition(".")[2] for name in travels if ".collectors." in name}
    assert collectors == {"disk", "_paths"}


@pytest.mark.parametrize(
    ("auth", "later"),
    [
        ({}, set()),
        ({"auth": "scram"}, {"mongoscram", "_credentials"}),
        ({"auth": "client"}, {"_mongoshell", "_credentials"}),
    ],
)
def test_what_only_a_login_needs_travels_with_a_login_only(auth: dict[str, str], later: set[str]) -> None:
    travels = packing.bundle("probe", modules({"type": "mongodb", **auth}))
    names = {name.rpartition(".")[2] for name in travels}
    assert names & {"mongoscram", "_credentials", "_mongoshell"} == later


def test_the_ordinary_module_packs_every_collector() -> None:
    from ansible.executor.module_common import ModuleDepFinder

    source = (ROOT / "collections/ops_runbook/plugins/modules/health_probe.py").read_text()
    finder = ModuleDepFinder(
        "ansible_collections.ops.runbook.plugins.modules.health_probe", compile(source, "x", "exec", 1024)
    )
    assert {name[-1] for name in finder.submodules if "collectors" in name} == set(probe.TYPES)
