# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: side by side, each with its own limit, and nothing taken down by one."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, CannotLook
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost

PLUGINS = Path(__file__).parents[2] / "collections" / "ops_runbook" / "plugins"


def kind(collect: Any, **more: Any) -> Any:
    """A collector made for a test."""
    return SimpleNamespace(SPEC={}, FIELDS={"a": "", "b": ""}, collect=collect, verify=lambda args: None, **more)


def measured(collect: Any, timeout: float = 5.0) -> dict[str, Any]:
    args = {"timeout": timeout, "type": "made_up"}
    found: dict[str, Any] = probe.measure(LocalHost(), {"it": (kind(collect), args)})["it"]
    return found


def test_twelve_checks_take_no_longer_than_the_slowest() -> None:
    checks = {f"c{n}": {"type": "command", "argv": ["sleep", f"0.{n:02}"]} for n in range(10, 21)}
    checks["slow"] = {"type": "command", "argv": ["sleep", "0.7"]}
    began = time.monotonic()
    found = probe.run({"checks": checks}, False)["measurements"]
    took = time.monotonic() - began
    assert [one["data"]["rc"] for one in found.values()] == [0] * 12
    assert took < 0.7 + 0.3


def test_the_answer() -> None:
    answer = probe.run({"checks": {"disk": {"type": "disk", "path": "/"}}}, False)
    assert set(answer) == {"changed", "taken_at", "measurements"}
    assert answer["changed"] is False
    one = answer["measurements"]["disk"]
    assert set(one) == {"data", "missing", "unknown", "took_ms"}
    assert set(one["data"]) == set(probe.collector("disk").FIELDS)


def test_a_collector_that_passes_its_limit_is_left_behind() -> None:
    let_go = threading.Event()
    began = time.monotonic()
    found = measured(lambda host, args: {"data": {"a": let_go.wait(20)}, "missing": []}, timeout=0.1)
    assert 0.6 <= time.monotonic() - began < 0.9
    let_go.set()
    assert found == {"data": {}, "missing": [], "unknown": "the look did not end within 0.1 s", "took_ms": 600.0}


def test_what_is_not_told_is_null_and_what_is_missing_has_no_value() -> None:
    found = measured(lambda host, args: {"data": {"a": 7}, "missing": ["a"]})
    assert (found["data"], found["missing"], found["unknown"]) == ({"a": None, "b": None}, ["a"], None)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CannotLook("no tool", "/x", "Install it."), "/x: no tool. Install it."),
        (PermissionError(13, "denied", "/etc/shadow"), "/etc/shadow may not be read by this user"),
        (PermissionError(), "something may not be read by this user"),
        (OSError(5, "Input/output error", "/data"), "[Errno 5] Input/output error: '/data'"),
        (KeyError("x"), "KeyError: 'x' (this is a bug in the collector made_up)"),
    ],
)
def test_an_error_makes_one_check_unknown(error: Exception, words: str) -> None:
    def collect(host: Any, args: Any) -> Any:
        raise error

    found = measured(collect)
    assert found["unknown"] == words
    assert found["data"] == {}


def test_checks_share_the_answer_to_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def run(self: Any, argv: Any, timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        calls.append(argv)
        time.sleep(0.05)
        return Completed(1, "", "no systemd here")

    monkeypatch.setattr(LocalHost, "run", run)
    checks = {
        name: {"type": name, "unit": ["mongod", "mongodb"]} for name in ("systemd_unit", "process", "descriptors")
    }
    found = probe.run({"checks": checks}, False)["measurements"]
    assert len(calls) == 1
    assert {one["unknown"] for one in found.values()} == {"no systemd here. Only systemd units can be looked at."}


def test_they_share_a_failure_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def run(self: Any, argv: Any, timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        calls.append(argv)
        raise CannotLook("systemctl did not end within 5 s")

    monkeypatch.setattr(LocalHost, "run", run)
    checks = {name: {"type": name, "unit": "mongod"} for name in ("systemd_unit", "process")}
    assert all(one["unknown"] for one in probe.run({"checks": checks}, False)["measurements"].values())
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("disk", "check it: is not a mapping"),
        ({}, "check it: unknown type None. Known are backup_age, command"),
        ({"type": "disc"}, "check it: unknown type 'disc'. Known are backup_age, command"),
        ({"type": ["disk"]}, "check it: unknown type"),
        ({"type": "disk"}, "check it, path: is missing. A path on the filesystem"),
        (
            {"type": "disk", "path": "/", "pth": 1},
            "check it: unknown argument 'pth'. A disk check has path, timeout, type",
        ),
        ({"type": "disk", "path": 7}, "check it, path: 7 is not of type str"),
        ({"type": "disk", "path": "/", "timeout": "soon"}, "check it, timeout: 'soon' is not of type float"),
        ({"type": "disk", "path": "/", "timeout": 0}, "check it, timeout: 0 s is no limit"),
        ({"type": "disk", "path": "/", "timeout": 9999}, "check it, timeout: 9999 s is no limit"),
        ({"type": "tcp_port", "port": True}, "check it, port: True is not of type int"),
        ({"type": "tcp_port", "port": 1.5}, "check it, port: 1.5 is not of type int"),
        ({"type": "mongodb", "deep": "perhaps"}, "check it, deep: 'perhaps' is not of type bool"),
        ({"type": "log", "path": "/x", "patterns": ["a"]}, r"check it, patterns: \['a'\] is not of type dict"),
    ],
)
def test_bad_input_names_check_and_argument(check: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        probe.run({"checks": {"it": check}}, False)
    assert "\n" not in str(caught.value)


def test_text_will_do_for_numbers_and_truths() -> None:
    args = probe.plan("it", {"type": "mongodb", "port": "27018", "deep": "no", "timeout": "2.5", "write_check": "yes"})[
        1
    ]
    assert (args["port"], args["deep"], args["timeout"], args["write_check"]) == (27018, False, 2.5, True)
    assert probe.plan("it", {"type": "descriptors", "unit": "mongod"})[1]["unit"] == ["mongod"]
    assert probe.plan("it", {"type": "disk", "path": "/", "timeout": 3})[1]["timeout"] == 3.0


def test_check_mode_takes_the_write_out() -> None:
    check = {"type": "mongodb", "write_check": True}
    assert probe.plan("it", check)[1]["write_check"] is True
    assert probe.plan("it", check, check=True)[1]["write_check"] is False


def test_every_type_is_a_file_and_told() -> None:
    files = {path.stem for path in (PLUGINS / "module_utils/collectors").glob("*.py") if not path.stem.startswith("_")}
    assert files == set(probe.TYPES)
    packaged = (PLUGINS / "modules/health_probe.py").read_text()
    for name in probe.TYPES:
        module = probe.collector(name)
        assert f"\n        {name},\n" in packaged, f"the ordinary module would lack the collector {name}"
        assert f"V({name}) " in packaged
        assert all(module.FIELDS.values())
        assert callable(module.collect)
        for argument, spec in module.SPEC.items():
            assert spec["type"] in ("str", "int", "float", "bool", "list", "dict")
            assert spec["doc"]
            assert f"C({argument})" in packaged, f"{name}: {argument} is not documented"
