# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard: each rule refuses, with its reason and the next step, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import guard_facts, holds
from ansible_collections.ops.runbook.plugins.plugin_utils import guard, members

CAUSE = {"cause": "killed", "remedy": "start_service", "risk": "low", "why": "", "explains": [], "when": ""}
FACTS = {
    "target": "db1/mongodb",
    "limit": "db1",
    "hosts": 1,
    "most_hosts": 1,
    "kill_switch": None,
    "hold": None,
    "risk_limit": "medium",
    "approved": [],
    "confirm": "",
    "desired_state": "unspecified",
    "remedy_file": "/x.yml",
    "run": "run-now",
    "again": [],
    "lift": [],
    "now": datetime(2026, 12, 25, 12, tzinfo=UTC),
    "freeze": [],
    "break_glass": "",
    "memory": None,
    "memory_problem": None,
    "cooldown": 0,
    "flapping": {"count": 0, "window": 0},
    "group": members.Group("", [], [], [], []),
}


def rules(cause: dict, **facts: object) -> list[str]:
    return [refusal["rule"] for refusal in guard.refusals({**CAUSE, **cause}, {**FACTS, **facts})]


def test_nothing_against_it() -> None:
    assert rules({}) == []
    assert rules({}, limit=None) == []


@pytest.mark.parametrize(
    ("cause", "facts", "rule", "step"),
    [
        ({}, {"limit": ""}, "empty_target", "--limit db1"),
        ({}, {"kill_switch": {"path": "/k", "text": "migration"}}, "kill_switch", "rm /k"),
        ({}, {"hold": {"path": "/h", "text": ""}}, "hold", "rm /h"),
        ({}, {"hosts": 2}, "blast_radius", "--limit"),
        ({}, {"remedy_file": None}, "missing_remedy", "tasks/remedies/start_service.yml"),
        ({"ask": True}, {}, "ask", "--approve start_service"),
        ({"risk": "high"}, {}, "risk", "--approve start_service"),
        ({"risk": "destructive"}, {"approved": ["start_service"]}, "confirm", "remediate_confirm=db1/mongodb"),
        ({"remedy": "report_only", "next_step": "look at {target}"}, {}, "report_only", "look at db1/mongodb"),
    ],
)
def test_each_rule_refuses(cause: dict, facts: dict, rule: str, step: str) -> None:
    said = guard.refusals({**CAUSE, **cause}, {**FACTS, **facts})
    assert [refusal["rule"] for refusal in said] == [rule]
    assert step in said[0]["next_step"]
    assert said[0]["reason"]


def test_the_reason_a_person_left_is_shown() -> None:
    said = guard.refusals(CAUSE, {**FACTS, "kill_switch": {"path": "/k", "text": "migration until noon\n"}})
    assert "migration until noon" in said[0]["reason"]


def test_approval_by_remedy_or_by_cause_and_the_desired_state() -> None:
    assert rules({"ask": True}, approved=["start_service"]) == []
    assert rules({"ask": True}, approved=["killed"]) == []
    assert rules({"ask": True}, desired_state="started") == []
    assert rules({"ask": "always"}, desired_state="started") == ["ask"]
    assert rules({"risk": "high"}, desired_state="started") == ["risk"]
    assert rules({"risk": "destructive"}, approved=["killed"], confirm="db2/mongodb") == ["confirm"]
    assert rules({"risk": "destructive"}, approved=["killed"], confirm="db1/mongodb") == []


def test_all_reasons_are_given_at_once() -> None:
    assert rules({"ask": True}, hosts=9, hold={"path": "/h", "text": "x"}) == ["hold", "blast_radius", "ask"]


@pytest.mark.parametrize("limit", ["", ",", ":", " ", "!db1", "&db1", ",:,", "!db1,!db2", "&a:!b", "~", "~["])
def test_a_limit_that_names_no_host(limit: str) -> None:
    assert guard.positive_tokens(limit) == []
    assert guard.limit_refusal(limit)


@pytest.mark.parametrize(
    ("limit", "tokens"),
    [
        ("db1", ["db1"]),
        ("web:!web1", ["web"]),
        ("a,b", ["a", "b"]),
        ("web[0:3]", ["web[0:3]"]),
        ("~db\\d", ["~db\\d"]),
        ("all", ["all"]),
    ],
)
def test_a_limit_that_names_hosts(limit: str, tokens: list[str]) -> None:
    assert guard.positive_tokens(limit) == tokens
    assert guard.limit_refusal(limit) is None


def test_a_limit_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "hosts").write_text("db1\n")
    assert guard.limit_refusal(f"@{tmp_path}/empty")
    assert guard.limit_refusal(f"@{tmp_path}/hosts") is None
    assert guard.limit_refusal(f"@{tmp_path}/absent") is None


def test_a_remedy_is_found_in_the_pack_first(tmp_path: Path) -> None:
    for role in ("pack", "shared"):
        (tmp_path / role / "tasks" / "remedies").mkdir(parents=True)
    for place in ("pack/tasks/remedies/a.yml", "shared/tasks/remedies/a.yml", "shared/tasks/remedies/b.yml"):
        (tmp_path / place).write_text("---\n")
    folders = [str(tmp_path / "pack"), str(tmp_path / "shared")]
    assert guard.remedy_file("a", folders) == str(tmp_path / "pack/tasks/remedies/a.yml")
    assert guard.remedy_file("b", folders) == str(tmp_path / "shared/tasks/remedies/b.yml")
    assert guard.remedy_file("c", folders) is None
    assert guard.remedy_file("../../a", folders) is None


def test_a_hold_that_cannot_be_read_is_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert holds.read_hold(str(tmp_path / "hold")) is None
    assert holds.read_hold("/etc/passwd/hold") is None
    (tmp_path / "hold").write_text("restore under way")
    assert holds.read_hold(str(tmp_path / "hold")) == {"path": str(tmp_path / "hold"), "text": "restore under way"}
    (tmp_path / "folder").mkdir()
    said = holds.read_hold(str(tmp_path / "folder"))
    assert said is not None
    assert said["text"].startswith("it cannot be read")
    monkeypatch.setattr(guard_facts, "PATH", str(tmp_path / "hold"))
    assert guard_facts.run({"service": ""}, True)["hold"]["text"] == "restore under way"
