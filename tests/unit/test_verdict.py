# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts: on measurements recorded from real faults, and rule by rule."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.plugin_utils import checks as written
from ansible_collections.ops.runbook.plugins.plugin_utils import rules, verdict
from tests.support import pack


def recorded(name: str) -> dict[str, Any]:
    return pack.document(name)


# fault -> the checks that must be red, and one line of what a person reads
FAULTS = {
    "killed": ({"unit", "process", "port", "ping", "data"}, "unit", "mongod.service failed: signal KILL"),
    "config_broken": (
        {"unit", "process", "port", "ping", "data"},
        "unit",
        "mongod.service failed: exit-code, exit status 1",
    ),
    "data_owner": (
        {"unit", "process", "port", "ping", "data", "ownership"},
        "ownership",
        "/var/lib/mongo has owner root instead of mongodb and",
    ),
    "masked": (
        {"unit", "process", "port", "ping", "data"},
        "unit",
        "mongod.service is masked and inactive",
    ),
    "stopped": (
        {"unit", "process", "port", "ping", "data"},
        "unit",
        "mongod.service is inactive (dead), last result success",
    ),
    "port_taken": (
        {"unit", "process", "port", "ping", "data"},
        "port",
        "port 27017 held by python3 (pid ",
    ),
    "hung": ({"process", "ping", "data"}, "process", "in state T"),
    "disk_full": ({"disk"}, "disk", "used 100 % of /var/lib/mongo"),
    "data_damaged": ({"data", "freshness"}, "data", "answers ping, but count fails: "),
    "database_deleted": (
        {"deleted_files"},
        "deleted_files",
        " deleted but open: /var/lib/mongo/recommendation.sqlite in ferretdb (pid ",
    ),
    "descriptors_exhausted": ({"descriptors", "ping", "data"}, "descriptors", "64 of 64 descriptors used"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_recorded_faults(fault: str) -> None:
    red, check, words = FAULTS[fault]
    document = recorded(fault)
    found = {name for name, one in document["checks"].items() if one["status"] == "critical"}
    assert found == red
    assert document["status"] == "critical"
    assert words in document["checks"][check]["summary"]


@pytest.mark.parametrize("fault", ["disk_full", "data_damaged", "database_deleted"])
def test_ping_is_not_health(fault: str) -> None:
    """The unit is active and ping answers, and yet the document is red."""
    document = recorded(fault)
    assert document["checks"]["unit"]["status"] == "ok"
    assert document["checks"]["ping"]["status"] == "ok"
    assert document["status"] == "critical"


def test_a_healthy_server() -> None:
    document = recorded("healthy")
    assert {name for name, one in document["checks"].items() if one["status"] != "ok"} == set()
    assert document["status"] == "ok"
    assert verdict.headline(document) == f"db1/mongodb is ok: {len(document['checks'])} checks"


def test_a_user_without_sudo_gets_a_degraded_but_honest_verdict() -> None:
    document = recorded("viewer")
    assert document["status"] == "unknown"
    unknown = {name for name, one in document["checks"].items() if one["status"] == "unknown"}
    assert unknown == {"port", "ownership", "deleted_files", "log"}
    assert {name for name, one in document["checks"].items() if one["status"] == "ok"} == set(
        document["checks"]
    ) - unknown
    port = document["checks"]["port"]
    assert port["missing"] == ["owner_pid", "owner_command", "owner_unit", "foreign"]
    assert (port["data"]["listening"], port["data"]["foreign"]) == (True, None)
    assert port["summary"].endswith(
        "(not determined: owner_pid, owner_command, owner_unit, foreign); not determined: foreign"
    )


@pytest.mark.parametrize("name", [*pack.faults("mongodb"), "healthy", "viewer"])
def test_recorded_answers_have_the_shape_that_collectors_promise(name: str) -> None:
    answer = json.loads((pack.RECORDED / f"{name}{pack.ENDING}").read_text())["answer"]
    asked = pack.of_fault(name).checks
    assert set(answer["measurements"]) == set(asked)
    for check, one in answer["measurements"].items():
        fields = set(probe.collector(asked[check]["type"]).FIELDS)
        assert one["unknown"] or set(one["data"]) == fields
        assert set(one["missing"]) <= fields
    document = pack.document(name)
    assert set(document) == {"schema", "target", "taken_at", "status", "checks"}
    for one in document["checks"].values():
        assert set(one) == {"type", "status", "summary", "data", "missing", "took_ms", "threshold"}
        assert "\n" not in one["summary"]
        assert one["summary"]


# ---- rule by rule


def judged(rule_lists: dict[str, Any], data: dict[str, Any], missing: Any = (), unknown: Any = None) -> dict[str, Any]:
    check = {"type": "disk", "path": "/", **rule_lists}
    written.validate({"it": check}, {})
    full = {**dict.fromkeys(probe.collector("disk").FIELDS), "path": "/", **data}
    measurement = {"data": {} if unknown else full, "missing": list(missing), "unknown": unknown, "took_ms": 1.0}
    document = verdict.judge("t", {"it": check}, {"taken_at": "x", "measurements": {"it": measurement}}, {})
    one: dict[str, Any] = document["checks"]["it"]
    assert document["status"] == one["status"]
    return one


def rule(operator: str, value: Any, metric: str = "used_percent", **more: Any) -> dict[str, Any]:
    return {"metric": metric, "operator": operator, "value": value, **more}


@pytest.mark.parametrize(
    ("operator", "value", "seen", "fires"),
    [
        ("==", 5, 5, True),
        ("==", 5, 6, False),
        ("!=", 5, 6, True),
        ("!=", 5, 5, False),
        (">", 5, 6, True),
        (">", 5, 5, False),
        (">=", 5, 5, True),
        ("<", 5, 4, True),
        ("<", 5, 5, False),
        ("<=", 5, 5, True),
        ("in", [1, 5], 5, True),
        ("in", [1], 5, False),
        ("not_in", [1], 5, True),
        ("not_in", [5], 5, False),
        ("contains", "b", ["a", "b"], True),
        ("contains", "c", "abc", True),
        ("contains", "x", "abc", False),
        ("matches", "^a.c$", "abc", True),
        ("matches", "^b", "abc", False),
        ("==", None, None, True),
        ("==", None, 5, False),
        ("!=", None, 5, True),
        ("==", True, True, True),
    ],
)
def test_operators(operator: str, value: Any, seen: Any, fires: bool) -> None:
    one = judged({"critical": [rule(operator, value)]}, {"used_percent": seen})
    assert one["status"] == ("critical" if fires else "ok")
    assert one["threshold"] == (rule(operator, value) if fires else None)


@pytest.mark.parametrize("operator", [">", "<", "==", "!=", "in", "contains"])
def test_what_is_not_applicable_fires_nothing(operator: str) -> None:
    value = [1] if operator == "in" else 1
    assert judged({"critical": [rule(operator, value)]}, {"used_percent": None})["status"] == "ok"


@pytest.mark.parametrize(
    ("operator", "value", "seen"),
    [(">", 5, "six"), (">", 0, True), ("matches", "a", 5), ("contains", 1, 5), ("contains", 1, "a")],
)
def test_what_cannot_be_compared_is_unknown(operator: str, value: Any, seen: Any) -> None:
    one = judged({"critical": [rule(operator, value)]}, {"used_percent": seen})
    assert one["status"] == "unknown"
    assert "used_percent" in one["summary"]


@pytest.mark.parametrize(
    ("unit", "value", "metric", "seen", "fires"),
    [
        ("GB", 2, "available_bytes", 1_999_999_999, True),
        ("GB", 2, "available_bytes", 2_000_000_001, False),
        ("GiB", 1.5, "available_bytes", 1_610_612_735, True),
        ("kB", 1, "available_bytes", 999, True),
        ("KiB", 1, "available_bytes", 1023, True),
        ("percent", 80, "used_percent", 79, True),
        ("bytes", 10, "available_bytes", 10, False),
        ("TiB", 1, "available_bytes", 2**40 - 1, True),
    ],
)
def test_units_of_size(unit: str, value: Any, metric: str, seen: Any, fires: bool) -> None:
    one = judged({"warning": [rule("<", value, metric, unit=unit)]}, {metric: seen})
    assert one["status"] == ("warning" if fires else "ok")


@pytest.mark.parametrize(
    ("metric", "unit", "seconds"),
    [
        ("age_seconds", "hours", 7200),
        ("age_seconds", "minutes", 120),
        ("took_ms", "seconds", 2000),
        ("took_ms", "ms", 2),
        ("age_seconds", "ms", 0.002),
    ],
)
def test_units_of_time(metric: str, unit: str, seconds: float) -> None:
    assert verdict._in_base_unit(rule(">", 2, metric, unit=unit)) == pytest.approx(seconds)


WARN, CRIT = rule(">", 80), rule(">", 90)


def test_order_of_gravity() -> None:
    lists = {"warning": [WARN], "critical": [CRIT]}
    assert judged(lists, {"used_percent": 50})["status"] == "ok"
    assert judged(lists, {"used_percent": 85})["threshold"] == WARN
    assert judged(lists, {"used_percent": 95})["threshold"] == CRIT
    assert judged(lists, {}, ["used_percent"])["status"] == "unknown"


def test_a_missing_metric_is_unknown_unless_another_rule_is_critical() -> None:
    lists = {"critical": [rule(">", 90, "inodes_used_percent"), CRIT], "warning": [rule(">", 1)]}
    one = judged(lists, {"used_percent": 95}, ["inodes_used_percent"])
    assert (one["status"], one["threshold"]) == ("critical", CRIT)
    one = judged(lists, {"used_percent": 50}, ["inodes_used_percent"])  # unknown outweighs the warning
    assert (one["status"], one["threshold"]) == ("unknown", None)
    assert "not determined: inodes_used_percent" in one["summary"]


def test_a_metric_below_a_field_that_has_no_value_is_absent() -> None:
    check = {"type": "log", "path": "/x", "patterns": {"bad": "x"}, "critical": [rule(">", 0, "counts.bad")]}
    full = dict.fromkeys(probe.collector("log").FIELDS)
    for counts, status in (
        ({"bad": 1}, "critical"),
        ({"bad": 0}, "ok"),
        ({}, "unknown"),
        (None, "unknown"),
        (7, "unknown"),
    ):
        data = {**full, "counts": counts, "last": {"bad": "x"}}
        seen = {"data": data, "missing": [], "took_ms": 0.0}
        assert verdict._weigh(check, seen, {})[0] == status


def test_a_check_that_could_not_look_is_unknown() -> None:
    one = judged({"critical": [CRIT]}, {}, unknown="no permission")
    assert (one["status"], one["summary"], one["threshold"]) == ("unknown", "no permission", None)


@pytest.mark.parametrize(
    ("expect", "data", "missing", "status"),
    [
        ("fstype != 'tmpfs'", {"fstype": "ext4"}, [], "ok"),
        ("fstype != 'tmpfs'", {"fstype": "tmpfs"}, [], "critical"),
        ("fstype != 'tmpfs'", {}, ["fstype"], "unknown"),
        ("used_percent", {"used_percent": 1}, [], "critical"),
        ("length(fstype) > `1`", {"fstype": None}, [], "unknown"),
        ("used_percent > `1` && !(read_only)", {"used_percent": 2, "read_only": False}, [], "ok"),
        ("`true`", {}, [], "ok"),
    ],
)
def test_expectations(expect: str, data: Any, missing: Any, status: str) -> None:
    one = judged({"expect": expect}, data, missing)
    assert one["status"] == status
    if status == "critical":
        assert one["threshold"] == {"expect": expect}
        assert f"expected {expect}" in one["summary"]


def test_where_the_rules_come_from() -> None:
    plain = {"type": "disk", "path": "/"}
    assert verdict.rules_of(plain, {}) == rules.DEFAULTS["disk"]
    assert verdict.rules_of({**plain, "expect": "x"}, {}) == ([], [])
    assert verdict.rules_of({**plain, "warning": [WARN]}, {}) == ([WARN], [])
    assert verdict.rules_of({**plain, "warning": [WARN]}, {"critical": [CRIT]}) == ([WARN], [CRIT])
    assert verdict.rules_of({**plain, "warning": [WARN], "critical": [CRIT]}, {"warning": []}) == ([], [CRIT])
    assert verdict.rules_of(plain, {"warning": [WARN]}) == ([WARN], rules.DEFAULTS["disk"][1])


# ---- documents


def document(**statuses: str) -> dict[str, Any]:
    return {
        "schema": verdict.SCHEMA,
        "target": "t",
        "status": max(statuses.values(), key=verdict.GRAVITY.index),
        "checks": {
            name: {"type": "disk", "status": status, "summary": f"about {name}", "data": {}}
            for name, status in statuses.items()
        },
    }


def test_worse() -> None:
    before = document(a="ok", b="critical", c="warning", d="unknown")
    assert verdict.worse(before, document(a="warning", b="ok", c="warning", d="critical", new="critical")) == ["a", "d"]
    assert verdict.worse(before, document(a="ok", b="critical", c="ok")) == []


def test_headline_names_the_gravest() -> None:
    assert (
        verdict.headline(document(a="ok", b="critical", c="unknown", d="critical"))
        == "t is critical: b: about b; d: about d"
    )


def test_cursors_of_a_document() -> None:
    assert set(verdict.cursors(recorded("healthy"))) == {"unit", "log"}


class TestWatch:
    def see(self, watch: verdict.Watch, now: float, pid: int = 1, restarts: int = 0, **statuses: str) -> None:
        seen = document(**(statuses or {"a": "ok"}))
        data = {"main_pid": pid, "restarts": restarts}
        seen["checks"]["unit"] = {"type": "systemd_unit", "status": "ok", "summary": "", "data": data}
        watch.see(seen, now)

    def test_it_must_last(self) -> None:
        watch = verdict.Watch(10, None)
        self.see(watch, 100)
        assert (watch.stable, watch.seconds) == (False, 0)
        self.see(watch, 109, a="warning")
        assert (watch.stable, watch.seconds) == (False, 9)
        self.see(watch, 110)
        assert (watch.stable, watch.seconds, watch.probes) == (True, 10, 3)

    @pytest.mark.parametrize("change", [{"pid": 2}, {"restarts": 1}, {"a": "critical"}, {"a": "unknown"}])
    def test_what_begins_it_again(self, change: Any) -> None:
        watch = verdict.Watch(10, None)
        self.see(watch, 100)
        self.see(watch, 109, **change)
        assert watch.seconds == 0
        self.see(watch, 111, **{key: value for key, value in change.items() if key != "a"})
        assert watch.stable is False

    def test_nothing_may_be_worse_than_before(self) -> None:
        watch = verdict.Watch(0, document(a="ok", b="critical"))
        self.see(watch, 1, a="warning", b="ok")
        assert watch.stable is False
        self.see(watch, 2, a="ok", b="warning")
        assert watch.stable is True

    def test_one_look_says_whether_it_is_well(self) -> None:
        for status, stable in (("ok", True), ("warning", True), ("unknown", False), ("critical", False)):
            watch = verdict.Watch(0, None)
            self.see(watch, 1, a=status)
            assert watch.stable is stable
