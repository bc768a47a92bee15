# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks and thresholds as a person wrote them: one line for each mistake, and which checks run."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.plugin_utils import checks, rules

DISK = {"type": "disk", "path": "/"}
GOOD = {"metric": "used_percent", "operator": ">", "value": 80}


def test_what_is_well_written_passes() -> None:
    disk = {
        **DISK,
        "warning": [{**GOOD, "unit": "percent"}],
        "critical": [],
        "expect": "fstype != 'tmpfs'",
        "cost": "deep",
        "enabled": False,
    }
    write = {"type": "mongodb", "write_check": True, "writes": True}
    checks.validate({"disk": disk, "write": write}, {"disk": {"warning": [GOOD]}})


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (["disk"], "check it: .* is not of type dict"),
        ({"type": "disc"}, "check it: unknown type 'disc'"),
        ({**DISK, "pth": 1}, "check it: unknown argument 'pth'"),
        ({**DISK, "enabled": "yes"}, "check it, enabled: 'yes' is not of type bool. Write true or false"),
        ({**DISK, "writes": 1}, "check it, writes: 1 is not of type bool"),
        ({**DISK, "cost": "high"}, "check it, cost: 'high' is no cost. Write cheap or deep"),
        ({"type": "mongodb", "write_check": True}, "check it: this check writes. Say so with writes: true"),
        ({**DISK, "warning": GOOD}, "check it, warning: .* is not of type list"),
        ({**DISK, "critical": ["x"]}, r"check it, critical\[0\]: 'x' is not of type dict"),
        (
            {**DISK, "critical": [GOOD, {"metric": "used_percent", "value": 1}]},
            r"check it, critical\[1\]: operator is missing",
        ),
        (
            {**DISK, "critical": [{**GOOD, "when": 1}]},
            r"check it, critical\[0\]: unknown key 'when'. Known are metric, operator",
        ),
        (
            {**DISK, "critical": [{**GOOD, "metric": "used"}]},
            r"check it, critical\[0\]: a disk check has no metric 'used'. It has path",
        ),
        (
            {**DISK, "critical": [{**GOOD, "operator": "=>"}]},
            r"check it, critical\[0\]: unknown operator '=>'. Known are == !=",
        ),
        ({**DISK, "critical": [{**GOOD, "value": "80"}]}, r"check it, critical\[0\], value: '80' is not a number"),
        ({**DISK, "critical": [{**GOOD, "value": True}]}, r"check it, critical\[0\], value: True is not a number"),
        ({**DISK, "critical": [{**GOOD, "operator": "in"}]}, r"check it, critical\[0\], value: 80 is not a list"),
        (
            {**DISK, "critical": [{**GOOD, "operator": "matches", "value": "("}]},
            r"value: '\(' is no regular expression",
        ),
        ({**DISK, "critical": [{**GOOD, "operator": "matches", "value": 1}]}, "value: 1 is no regular expression"),
        (
            {**DISK, "critical": [{**GOOD, "unit": "gigs"}]},
            r"check it, critical\[0\], unit: unknown unit 'gigs'. Known are percent",
        ),
        ({**DISK, "critical": [{**GOOD, "operator": "==", "value": "x", "unit": "GB"}]}, r"unit: 'x' has no unit"),
        ({**DISK, "expect": 7}, "check it, expect: 7 is not of type str"),
        ({**DISK, "expect": "fstype !="}, "check it, expect: does not compile"),
        ({**DISK, "expect": "fs == 'x'"}, "check it, expect: a disk check has no field 'fs'"),
        (
            {**DISK, "expect": "!fstype.x"},
            r"check it, expect: does not compile: ! binds tighter than the dot, write !\(a.b\)",
        ),
        ({**DISK, "expect": "length(fs) > `1`"}, "has no field 'fs'"),
        (
            {"type": "file", "path": "/", "expect": "(mismatches[?owner == 'x'] | [0]) && drifts[0]"},
            "has no field 'drifts'",
        ),
    ],
)
def test_one_line_for_each_mistake(check: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        checks.validate({"it": check}, {})
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({"disc": {}}, "thresholds.disc: names no check. Known are disk"),
        ({"disk": []}, r"thresholds.disk: \[\] is not of type dict"),
        ({"disk": {"fatal": []}}, "thresholds.disk.fatal: is no level. Write warning or critical"),
        ({"disk": {"warning": {}}}, "thresholds.disk.warning: {} is not of type list"),
        (
            {"disk": {"warning": [{**GOOD, "metric": "load"}]}},
            r"thresholds.disk.warning\[0\]: a disk check has no metric 'load'",
        ),
    ],
)
def test_malformed_thresholds(thresholds: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        checks.validate({"disk": DISK}, thresholds)


def test_no_checks_at_all() -> None:
    with pytest.raises(BadInput, match="checks: no checks"):
        checks.validate({}, {})


def test_without_jmespath_an_expectation_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(BadInput, match="jmespath is missing on the controller"):
        checks.expression("a")


def test_the_types_own_rules_are_valid() -> None:
    arguments: dict[str, Any] = {
        "backup_age": {"system": "x", "store": "y"},
        "command": {"argv": ["true"]},
        "descriptors": {"unit": "x"},
        "disk": {"path": "/"},
        "dns": {"name": "x"},
        "file": {"path": "/"},
        "journal": {"unit": "x", "patterns": {"a": "b"}},
        "lease": {"name": "x"},
        "reclaimable": {"path": "/", "free_percent": 20},
        "log": {"path": "/x", "patterns": {"a": "b"}},
        "process": {"unit": "x"},
        "systemd_unit": {"unit": "x", "baseline": "x"},
        "tcp_port": {"port": 1},
        "unix_socket": {"path": "/x"},
    }
    for kind, (warning, critical) in rules.DEFAULTS.items():
        checks.validate({kind: {"type": kind, **arguments.get(kind, {}), "warning": warning, "critical": critical}}, {})


def test_which_checks_run() -> None:
    asked: dict[str, Any] = {
        "plain": {},
        "off": {"enabled": False},
        "deep": {"cost": "deep"},
        "cheap": {"cost": "cheap"},
        "writes": {"writes": True},
        "allowed": {"writes": True, "enabled": True},
    }
    assert list(checks.select(asked, deep=False)) == ["plain", "cheap", "allowed"]
    assert list(checks.select(asked, deep=True)) == ["plain", "deep", "cheap", "allowed"]
    assert list(checks.select(asked, deep=True, check_mode=True)) == ["plain", "deep", "cheap"]
    with pytest.raises(BadInput, match="checks: none is left to run"):
        checks.select({"off": {"enabled": False}}, deep=True)


def test_the_target_sees_only_what_it_measures() -> None:
    check = {
        **DISK,
        "warning": [],
        "critical": [],
        "expect": "x",
        "cost": "deep",
        "enabled": True,
        "writes": False,
        "timeout": 3,
    }
    assert checks.measured(check) == {**DISK, "timeout": 3}
