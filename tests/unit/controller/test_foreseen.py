# SPDX-License-Identifier: GPL-3.0-or-later
"""A person who is asked sees what a yes would change; nothing of it is done, and nothing of it counts as done."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.plugin_utils import foreseen, outcome
from test_actions import CAUSE, ROOT, play, recorded
from test_actions import outcome as concluding
from test_outcome import facts

Json = dict[str, t.Any]
ROLE = ROOT / "collections/ops_runbook/roles/remediate/tasks"
DIFF = "--- /a (before)\n+++ /a (after)\n@@ -1 +0,0 @@\n-x\n--- /b (before)\n+++ /b (after)\n@@ -0,0 +1 @@\n+y\n"
A: Json = {"object": "/a", "before": {"mode": "0644"}, "after": None}
B: Json = {"object": "/b", "before": None, "after": {"mode": "0644"}}
ASK: Json = {
    "allowed": False,
    "refusals": [{"rule": "ask", "reason": "a person did it", "next_step": "run again with --approve x"}],
}


def line(phase: str, **entry: t.Any) -> t.Any:
    return {"phase": phase, "entry": entry}


# ---- what counts


def test_changes_come_with_their_own_part_of_the_diff() -> None:
    service = {"object": "service x", "before": {}, "after": {}}
    lines = [line("foreseen", changes=[A, B], diff=DIFF), line("foreseen", changes=[service], diff="")]
    found = foreseen.of_lines(lines)
    assert found["would_fail"] == ""
    assert found["would_change"] == [
        {**A, "diff": DIFF[: DIFF.index("--- /b")]},
        {**B, "diff": DIFF[DIFF.index("--- /b") :]},
        service,
    ]


def test_only_what_was_foreseen_after_the_last_decision_counts_and_no_act() -> None:
    old, new = line("foreseen", changes=[A]), line("foreseen", changes=[B])
    assert foreseen.of_lines([old, line("decided"), new])["would_change"] == [B]
    assert foreseen.of_lines([old, line("decided"), line("acted", changes=[B])])["would_change"] == []


def test_a_remedy_that_would_fail_promises_nothing() -> None:
    lines = [
        line("foreseen", changes=[A]),
        line("foreseen", failed=True, msg="no"),
        line("foreseen", problem="it is masked"),
    ]
    assert foreseen.of_lines(lines) == {"would_change": [], "would_fail": "it is masked"}


# ---- what a person reads


def test_the_summary_of_a_refusal_says_what_would_change() -> None:
    would = [{**A, "diff": "--- /a (before)\n-x\n"}, {"object": "service x", "before": 1, "after": 2}]
    said = outcome.conclude(facts(guard=ASK, would_change=would))
    assert said["summary"]["would_change"] == would
    number = next(n for n, text in enumerate(said["lines"]) if text.startswith("would"))
    assert said["lines"][number : number + 4] == [
        "would      change /a: removed; service x: 1 -> 2",
        "           --- /a (before)",
        "           -x",
        "changed    nothing",
    ]
    long = [{**A, "diff": "-x\n" * 100}]
    lines = outcome.conclude(facts(guard=ASK, would_change=long))["lines"]
    assert len([text for text in lines if text.endswith(" -x")]) == 40
    assert "           (60 lines more)" in lines
    said = outcome.conclude(facts(guard=ASK, would_fail="it is masked"))
    assert "would      fail: it is masked" in said["lines"]


@pytest.mark.parametrize("guard", [{"allowed": True, "refusals": []}, None])
def test_what_was_refused_no_more_is_not_foreseen_any_more(guard: Json | None) -> None:
    said = outcome.conclude(facts(guard=guard, check_mode=True, would_change=[A], would_fail="no"))
    assert (said["summary"]["would_change"], said["summary"]["would_fail"]) == ([], "")
    assert len(said["lines"]) == 10


# ---- for real


def remedy(tmp_path: Path, *tasks: Json) -> list[Json]:
    """Tasks that foresee a remedy of two files as the role does, and conclude."""
    (tmp_path / "inner.yml").write_text(yaml.safe_dump(list(tasks[1:])))
    inner = {"ansible.builtin.include_tasks": str(tmp_path / "inner.yml")}
    (tmp_path / "remedy.yml").write_text(yaml.safe_dump([tasks[0], *([inner] if tasks[1:] else [])]))
    variables = {
        "remediate_service": "x",
        "remediate_guard": {"remedy_file": str(tmp_path / "remedy.yml")},
        "remediate_diagnosis": {"diagnosis": {"chosen": CAUSE}},
    }
    return [
        {"ops.runbook.run_record": {"phase": "looked", "entry": {"seconds": 0.1}}},
        {"ops.runbook.run_record": {"phase": "decided", "entry": {"allowed": False}}},
        {"ansible.builtin.include_tasks": str(ROLE / "foresee.yml"), "vars": variables},
        {"ansible.builtin.debug": {"msg": "told {{ remediate_foreseen.would_change | length }}"}},
        concluding(diagnosis={"chosen": CAUSE, "unexplained": []}, guard=ASK),
    ]


def restored(path: Path, content: str) -> Json:
    options = {"service": "x", "state": "restored", "path": str(path), "content": content}
    return {"ops.runbook.service_baseline": options}


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_remedy_is_foreseen_and_not_done(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    one, two = tmp_path / "one.conf", tmp_path / "two.conf"
    for path in (one, two):
        path.write_text("old")
    tasks = remedy(tmp_path, restored(one, "new"), restored(two, "new"))
    code, said = play(tmp_path, tasks, *arguments)
    assert code == 7, said
    assert (one.read_text(), two.read_text()) == ("old", "old")
    assert "told 2" in said
    assert "changed=0" in said
    lines = recorded(tmp_path)
    assert [each["phase"] for each in lines] == ["looked", "decided", "foreseen", "foreseen", "foreseen", "outcome"]
    told = lines[-1]["entry"]
    assert [change["object"] for change in told["would_change"]] == [str(one), str(two)]
    assert (told["changes"], told["undo"], told["would_fail"]) == ([], [], "")
    assert f"would      change {one} " in said


def test_a_remedy_that_would_fail_is_told_and_does_not_break_the_run(tmp_path: Path) -> None:
    path = tmp_path / "one.conf"
    path.write_text("old")
    tasks = remedy(tmp_path, restored(path, "new"), restored(tmp_path / "none.conf", "new"))
    code, said = play(tmp_path, tasks)
    assert code == 7, said
    told = recorded(tmp_path)[-1]["entry"]
    assert told["would_change"] == []
    assert "neither a file nor a baseline tells its owner and mode" in told["would_fail"]


def test_nothing_is_foreseen_outside_check_mode(tmp_path: Path) -> None:
    """Were check mode ever lost on the way, the remedy would run without a yes."""
    path = tmp_path / "one.conf"
    path.write_text("old")
    task = {**restored(path, "new"), "vars": {foreseen.VARIABLE: True}}
    code, said = play(tmp_path, [task], name=None)
    assert code == 2, said
    assert "is for check mode alone" in said
    assert path.read_text() == "old"
    assert not (tmp_path / "records").exists()
