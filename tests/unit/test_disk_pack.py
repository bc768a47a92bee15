# SPDX-License-Identifier: GPL-3.0-or-later
"""What the disk pack decides on what was measured, and the policies that it ships."""

from __future__ import annotations

import typing as t
from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.plugins.filter.core import FilterModule as Core
from ansible_collections.ops.runbook.plugins.module_utils.disk_policy import Policy
from ansible_collections.ops.runbook.plugins.plugin_utils import checks, diagnosis, verdict

ROLE = Path(__file__).resolve().parents[2] / "collections/ops_runbook/roles/disk"
PACK = yaml.safe_load((ROLE / "vars/main.yml").read_text())
CAUSES = PACK["disk_causes"]
MIB = 1 << 20
ROOM = {
    "path": "/srv",
    "exists": True,
    "mount_point": "/srv",
    "available_bytes": 0,
    "free_percent": 0.0,
    "free_inodes_percent": 90.0,
    "short_bytes": 10 * MIB,
    "short_inodes": 0,
    "reclaimable_bytes": 0,
    "reclaimable_inodes": 0,
    "kinds": {},
    "deleted_open": [],
    "deleted_open_bytes": 0,
    "releasable_bytes": 0,
    "reachable": False,
    "reclaimed_recently": False,
    "growers": [],
}
HELD = {"deleted_open": [{"path": "/srv/a.log", "command": "a", "pid": 7}], "deleted_open_bytes": 12 * MIB}
EXPIRED = {"reclaimable_bytes": 20 * MIB, "reclaimable_inodes": 9, "reachable": True}
SOME = {"reclaimable_bytes": MIB, "reclaimable_inodes": 2}
OF_A_LOOK = list(ROOM)[list(ROOM).index("reclaimable_bytes") :]


def document(room: dict[str, t.Any], missing: t.Sequence[str] = (), read_only: bool = False) -> dict[str, t.Any]:
    filesystem = {
        "path": "/srv",
        "exists": True,
        "used_percent": 100,
        "inodes_used_percent": 10,
        "read_only": read_only,
    }
    data = {**ROOM, **room, **dict.fromkeys(missing)}
    measured = {
        "filesystem": {"data": filesystem, "missing": [], "unknown": None, "took_ms": 1.0},
        "room": {"data": data, "missing": list(missing), "unknown": None, "took_ms": 1.0},
    }
    answer = {"taken_at": "2026-01-05T02:00:07.000Z", "measurements": measured}
    return verdict.judge("fleet01/disk", PACK["disk_checks"], answer, {})


@pytest.mark.parametrize(
    ("room", "cause", "remedy"),
    [
        (
            {**HELD, "releasable_bytes": 12 * MIB, "reachable": True},
            "deleted_files_held_by_services_that_reopen",
            "disk_reclaim",
        ),
        (
            {**HELD, "releasable_bytes": 12 * MIB, "reachable": True, "reclaimed_recently": True},
            "deleted_files_held_by_services_that_reopen",
            "disk_reclaim",
        ),
        (HELD, "deleted_files_held", "report_only"),
        ({**HELD, **SOME}, "deleted_files_held", "report_only"),
        ({**HELD, **EXPIRED}, "full_of_expired_files", "disk_reclaim"),
        ({**HELD, **EXPIRED, "reclaimed_recently": True}, "deleted_files_held", "report_only"),
        ({**EXPIRED, "reclaimed_recently": True}, "full_again_within_a_day", "escalate"),
        ({"reclaimed_recently": True}, "full_again_within_a_day", "escalate"),
        (
            {**EXPIRED, "short_bytes": 0, "short_inodes": 9, "free_inodes_percent": 1.0},
            "inodes_used_up",
            "disk_reclaim",
        ),
        (EXPIRED, "full_of_expired_files", "disk_reclaim"),
        (SOME, "full_of_data_and_some_expired_files", "disk_reclaim"),
        ({}, "full_of_data", "escalate"),
        ({"short_bytes": 0, "short_inodes": 9, "free_inodes_percent": 1.0}, "full_of_data", "escalate"),
    ],
)
def test_the_cause_that_is_acted_on(room: dict[str, t.Any], cause: str, remedy: str) -> None:
    found = diagnosis.diagnose(document(room), CAUSES)
    assert (found["chosen"]["cause"], found["chosen"]["remedy"]) == (cause, remedy)
    assert found["unexplained"] == []


def test_after_the_remedy_failed_what_is_left_is_escalated() -> None:
    found = diagnosis.diagnose(document({"reclaimed_recently": True}), CAUSES, ["disk_reclaim"])
    assert found["chosen"]["remedy"] == "escalate"


def test_read_only_comes_before_all() -> None:
    found = diagnosis.diagnose(document(EXPIRED, read_only=True), CAUSES)
    assert (found["chosen"]["cause"], found["chosen"]["remedy"]) == ("filesystem_read_only", "report_only")


def test_where_nobody_can_tell_nothing_is_done() -> None:
    found = diagnosis.diagnose(document(EXPIRED, missing=OF_A_LOOK), CAUSES)
    assert (found["chosen"], found["unexplained"]) == (None, ["room"])


@pytest.mark.parametrize(
    ("room", "status"),
    [
        ({"free_percent": 14.9, "reachable": True}, "critical"),
        ({"free_percent": 15.0, "reachable": True}, "warning"),
        ({"free_percent": 50.0, "free_inodes_percent": 9.9}, "critical"),
        ({"free_percent": 50.0, "free_inodes_percent": None, "short_bytes": 0}, "ok"),
    ],
)
def test_when_it_is_red(room: dict[str, t.Any], status: str) -> None:
    assert document(room)["checks"]["room"]["status"] == status


def test_the_checks_and_causes_are_valid() -> None:
    assert diagnosis.validate(CAUSES, PACK["disk_checks"]) == []
    plain = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    asked = {
        "type": "reclaimable",
        "path": plain["disk_path"],
        "free_percent": plain["disk_free_percent"],
        "free_bytes": plain["disk_free_bytes"],
        "policy": {**PACK["disk_policy_sets"]["common"], "journal": None},
    }
    checks.validate({"room": asked}, {})


@pytest.mark.parametrize("name", PACK["disk_policy_sets"])
def test_the_policies_that_ship_say_what_they_mean(name: str) -> None:
    made = Policy({"free_percent": 20.0, "policy": PACK["disk_policy_sets"][name]}, 0.0)
    assert made.rules
    assert all(rule.age >= 86400 for rule in made.rules if rule.kind != "package_caches")


def test_no_policy_that_ships_is_in_the_guides_words() -> None:
    """No pattern takes a log that is still written to, nor what recovery, users or a rollback need."""
    made = [
        rule
        for name in PACK["disk_policy_sets"]
        for rule in Policy({"free_percent": 20.0, "policy": PACK["disk_policy_sets"][name]}, 0.0).rules
    ]
    assert not [rule.pattern for rule in made if rule.pattern.endswith(("*.log", "*.sql*", "*.gz"))]


@pytest.mark.parametrize(
    ("chosen", "patterns", "journal"),
    [
        ([], [], False),
        (["simplers"], ["/var/log/batch/*.log.*", "/var/log/batch/*.log-*"], False),
        (["common", "threegpp"], None, True),
    ],
)
def test_chosen_policies_are_put_together(chosen: list[str], patterns: list[str] | None, journal: bool) -> None:
    env = jinja2.nativetypes.NativeEnvironment()
    env.filters.update(Core().filters())
    sets = PACK["disk_policy_sets"]
    env.filters["extract"] = lambda key, container: container[key]
    merged = env.from_string(PACK["disk_chosen"]).render(
        disk_policies=chosen, disk_policy_sets=sets, disk_own_policy={}
    )
    made = {key: env.from_string(text).render(disk_chosen=merged) for key, text in PACK["disk_policy"].items()}
    told = [path for entry in made["rotated_logs"] for path in entry["paths"]]
    assert told == patterns if patterns is not None else len(told) == 6
    assert bool(made["journal"]) is journal
    assert made["package_caches"] is ("common" in chosen)
    Policy({"free_percent": 20.0, "policy": made}, 0.0)
