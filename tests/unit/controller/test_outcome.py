# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to, its exit code, and the ten lines that a person reads."""

from __future__ import annotations

import json

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import outcome, wording
from ansible_collections.ops.runbook.plugins.plugin_utils.errors import BadInput

CAUSE = {"cause": "killed", "why": "It was killed.", "remedy": "start_service", "next_step": "look at {target}"}
CURED = {
    "chosen": CAUSE,
    "remedy": "start_service",
    "failed": "",
    "refused": False,
    "stable": True,
    "stable_seconds": 3.0,
}
REFUSAL = {
    "rule": "ask",
    "reason": "a person may have done this",
    "next_step": "run again with --approve start_service",
}


def document(status: str) -> dict:
    return {
        "status": status,
        "checks": {
            "unit": {"status": status, "summary": "mongod.service failed"},
            "dns": {"status": "ok", "summary": "fine"},
        },
    }


def facts(**changes: object) -> dict:
    return {
        "target": "db1/mongodb",
        "run": "R",
        "first": document("critical"),
        "final": document("critical"),
        "act": True,
        "check_mode": False,
        "error": "",
        "lease_refused": "",
        "recovered": False,
        "history": [],
        "guard": None,
        "diagnosis": {"chosen": CAUSE, "unexplained": []},
        "changes": [],
        "undo": [],
        "evidence": None,
        "seconds": {"detect": 0.25},
        **changes,
    }


NONE = {"chosen": None, "unexplained": ["unit"]}
ALLOWED = {"allowed": True, "refusals": []}
REFUSED = {"allowed": False, "refusals": [REFUSAL]}


@pytest.mark.parametrize(
    ("changes", "expected", "code"),
    [
        ({"first": document("ok"), "diagnosis": None}, "healthy", 0),
        ({"first": document("warning"), "diagnosis": None}, "healthy", 0),
        ({"first": document("unknown"), "diagnosis": None}, "escalated", 8),
        ({"error": "a task broke"}, "failed", 5),
        ({"lease_refused": "held by run X"}, "refused", 7),
        ({"recovered": True, "diagnosis": None}, "recovered", 0),
        ({"history": [CURED], "guard": ALLOWED}, "remedied", 0),
        ({"diagnosis": NONE}, "escalated", 8),
        ({"diagnosis": NONE, "act": False}, "escalated", 8),
        ({"act": False}, "predicted", 3),
        ({"check_mode": True, "guard": ALLOWED}, "predicted", 3),
        ({"check_mode": True, "guard": REFUSED}, "refused", 7),
        ({"guard": REFUSED}, "refused", 7),
        (
            {"diagnosis": {"chosen": {**CAUSE, "remedy": "escalate"}, "unexplained": []}, "guard": REFUSED},
            "escalated",
            8,
        ),
        ({"history": [{**CURED, "stable": False, "failed": "start failed"}], "diagnosis": NONE}, "failed", 5),
        (
            {"history": [{**CURED, "stable": False, "failed": "budget", "refused": True}], "diagnosis": NONE},
            "refused",
            7,
        ),
        ({"history": [{**CURED, "stable": False}], "diagnosis": NONE}, "unverified", 6),
        ({"history": [{**CURED, "stable": False}], "guard": ALLOWED}, "unverified", 6),
        ({"history": [{**CURED, "stable": False}], "guard": REFUSED}, "refused", 7),
    ],
)
def test_outcome_and_code(changes: dict, expected: str, code: int) -> None:
    said = outcome.conclude(facts(**changes))
    assert said["outcome"] == expected
    assert said["summary"]["exit_code"] == code
    assert len(said["lines"]) == 10
    assert said["lines"][0] == f"db1/mongodb {expected.upper()} in 0.2 s"


def line(said: dict, label: str) -> str:
    return next(text[len(label) :].strip() for text in said["lines"] if text.startswith(label))


def test_a_cure_says_what_it_did() -> None:
    said = outcome.conclude(
        facts(
            history=[CURED],
            final=document("ok"),
            evidence="/e",
            seconds={"detect": 0.2, "act": 1.0},
            changes=[{"object": "mongod.service", "before": "failed", "after": "active"}],
            undo=[{"kind": "none", "reason": "a start is not undone"}],
        )
    )
    assert line(said, "failing") == "unit: mongod.service failed"
    assert line(said, "cause") == "killed: It was killed."
    assert line(said, "remedy") == "start_service (cured)"
    assert line(said, "changed") == "mongod.service: failed -> active"
    assert line(said, "proof") == "2 of 2 checks ok, stable for 3.0 s"
    assert line(said, "time") == "detect 0.2 s, act 1.0 s"
    assert line(said, "undo") == "none (a start is not undone)"
    assert line(said, "evidence") == "/e"
    assert line(said, "next step") == "none"


def test_what_a_report_needs_is_in_the_summary() -> None:
    said = outcome.conclude(facts(objectives={"recovery_time_seconds": 60}, severity="SEV2"))["summary"]
    assert (said["objectives"], said["severity"]) == ({"recovery_time_seconds": 60}, "SEV2")
    assert said["final"]["checks"]["dns"] == {"status": "ok", "summary": "fine"}
    plain = outcome.conclude(facts())["summary"]
    assert (plain["objectives"], plain["severity"]) == ({}, None)


def test_of_a_change_only_what_differs_is_shown() -> None:
    change = {
        "object": "mongod.service",
        "before": {"active_state": "failed", "pid": 7},
        "after": {"active_state": "active", "pid": 7},
    }
    assert wording.change_text(change) == "mongod.service active_state: failed -> active"
    assert wording.change_text({"object": "a", "before": None, "after": {"mode": "0600"}}) == "a: new"
    assert wording.change_text({"object": "a", "before": {"mode": "0600"}, "after": None}) == "a: removed"


def test_a_refusal_says_why_and_what_next() -> None:
    said = outcome.conclude(facts(guard=REFUSED))
    assert line(said, "remedy") == "refused by ask: a person may have done this"
    assert line(said, "changed") == "nothing"
    assert line(said, "undo") == "nothing to undo"
    assert line(said, "next step") == "run again with --approve start_service"


def test_what_broke_the_run_is_said() -> None:
    said = outcome.conclude(facts(error="Keep evidence: no room", diagnosis=None))
    assert line(said, "remedy") == "the run broke off: Keep evidence: no room"


def test_an_unexplained_fault_names_its_checks() -> None:
    said = outcome.conclude(facts(diagnosis=NONE, evidence="/e"))
    assert line(said, "cause") == "not known; no cause explains unit"
    assert line(said, "next step") == "read the evidence: /e"


def test_what_could_not_be_told_is_named() -> None:
    said = outcome.conclude(facts(first=document("unknown"), final=document("unknown"), diagnosis=None))
    assert "unit could not be determined" in line(said, "next step")
    assert line(said, "cause") == "not known"


def test_a_prediction_says_would() -> None:
    changes = [{"object": f"o{n}", "before": 1, "after": 2} for n in range(8)]
    said = outcome.conclude(facts(check_mode=True, guard=ALLOWED, changes=changes))
    assert line(said, "remedy") == "would be start_service"
    assert line(said, "changed").startswith("would change o0: 1 -> 2; ")
    assert line(said, "changed").endswith("; and 2 more")
    assert line(said, "next step") == "run again without --check"
    assert "remediate_act=false" in line(outcome.conclude(facts(act=False)), "next step")


def test_next_steps_of_the_other_outcomes() -> None:
    escalated = facts(diagnosis={"chosen": {**CAUSE, "remedy": "escalate"}, "unexplained": []})
    assert line(outcome.conclude(escalated), "next step") == "look at db1/mongodb"
    assert "Wait for the other run" in line(outcome.conclude(facts(lease_refused="held")), "next step")
    assert "by hand" in line(outcome.conclude(facts(diagnosis=NONE)), "next step")


def test_a_refusal_by_a_module_is_the_reason() -> None:
    attempt = {**CURED, "stable": False, "failed": "the restart budget is used up", "refused": True}
    said = outcome.conclude(facts(history=[attempt], diagnosis=NONE))
    assert said["summary"]["refusals"][0]["reason"] == "the restart budget is used up"
    assert said["summary"]["cause"] == "killed"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 3], 3),
        ([3, 4], 4),
        ([4, 7], 7),
        ([7, 8], 8),
        ([8, 6], 6),
        ([6, 5], 5),
        ([5, 2], 2),
        ([2, 1], 1),
        ([99], 1),
    ],
)
def test_the_gravest_wins(codes: list[int], expected: int) -> None:
    assert outcome.gravest(codes) == expected


@pytest.mark.parametrize(
    ("result", "code", "step"),
    [
        ({"msg": "Missing sudo password"}, 4, "-K"),
        ({"msg": "Incorrect\n sudo password"}, 4, "right sudo password"),
        ({"msg": "viewer is not in the sudoers file."}, 4, "ansible_become: false"),
        (
            {"msg": "/usr/bin/python3 cannot be run on the target. set ansible_python_interpreter."},
            4,
            "install python3",
        ),
        ({"msg": "ssh: connect: no route", "unreachable": True}, 4, "ansible.builtin.ping db1"),
        ({"msg": "unknown type", "error": {"kind": "BadInput"}}, 2, "correct it"),
        ({"msg": "no room", "error": {"kind": "RecordError"}}, 2, "correct it"),
        ({"msg": "Validation of arguments failed", "argument_errors": ["x"]}, 2, "correct it"),
        (
            {"msg": "No start of json char found", "module_stderr": "viewer is not in the sudoers file."},
            4,
            "ansible_become",
        ),
        ({"msg": "Assertion failed", "assertion": "x == 1"}, 7, "see why"),
        ({"msg": "KeyError: 'x' (this is a bug)"}, 1, "report it"),
        ({}, 1, "report it"),
    ],
)
def test_a_run_without_an_outcome(result: dict, code: int, step: str) -> None:
    said = outcome.of_problem("db1", result)
    assert said["code"] == code
    assert step in said["next_step"]
    assert "\n" not in said["why"]


FILE = {"kind": "file", "path": "/etc/a b", "aside": "/var/lib/x"}
GONE = {"kind": "none", "reason": "the process is gone"}
PLAIN = "ansible-playbook playbooks/undo.yml -e undo_run=R"
BACK = "it brings the fault back, and wants approval"


@pytest.mark.parametrize(
    ("undo", "says"),
    [
        ([FILE], f"{PLAIN}  # {BACK}"),
        ([FILE, {"kind": "unit", "name": "m", "mask": True}, {"kind": "service_state"}], f"{PLAIN}  # {BACK}"),
        ([GONE], "none (the process is gone)"),
        ([GONE, FILE, GONE], f"{PLAIN}  # not undone: the process is gone; {BACK}"),
        ([{"kind": "steps", "steps": [FILE, {**GONE, "reason": "r"}]}], f"{PLAIN}  # not undone: r; {BACK}"),
        ([], "nothing to undo"),
    ],
)
def test_how_a_run_is_put_back(undo: list[dict], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(wording.COMMANDS, raising=False)
    changed = {"changes": [{"object": "o", "before": 1, "after": 2}], "undo": undo}
    assert line(outcome.conclude(facts(**changed, history=[CURED], final=document("ok"))), "undo") == says
    assert line(outcome.conclude(facts()), "undo") == "nothing to undo"
    failed = [{**CURED, "stable": False, "failed": "x"}]
    assert BACK not in line(outcome.conclude(facts(**changed, history=failed)), "undo")


def test_what_a_prediction_would_change_can_be_undone_or_not() -> None:
    changed = {"changes": [{"object": "o", "before": 1, "after": 2}], "check_mode": True, "guard": ALLOWED}
    assert line(outcome.conclude(facts(**changed, undo=[FILE, GONE])), "undo") == (
        "can be undone  # not undone: the process is gone"
    )
    assert line(outcome.conclude(facts(**changed, undo=[GONE])), "undo") == "none (the process is gone)"


def test_the_command_line_says_how_it_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"again": ["runbook"], "limit": None, "undo": ["runbook", "undo", "R", "-i", "my lab"]}
    monkeypatch.setenv(wording.COMMANDS, json.dumps(said))
    assert wording.commands("R") == said
    job = {"target": "db1", "outcome": "done", "message": "m", "next_step": "", "undo": [FILE]}
    told = outcome.conclude_job("R", {**job, "changes": [{"object": "o", "before": 1, "after": 2}]})
    assert line(told, "undo") == "runbook undo R -i 'my lab'"


def test_a_healthy_target_names_its_warnings() -> None:
    said = outcome.conclude(facts(first=document("warning"), final=document("warning"), diagnosis=None))
    assert line(said, "proof") == "1 of 2 checks ok; unit: mongod.service failed"


def test_a_job_that_cures_nothing() -> None:
    job = {"target": "db1/mongodb", "outcome": "done", "message": "kept", "changes": [], "undo": [], "next_step": ""}
    said = outcome.conclude_job("R", job)
    assert said["lines"][:2] == ["db1/mongodb DONE", "done       kept"]
    assert said["summary"]["exit_code"] == 0
    refused = {**job, "outcome": "refused", "message": "sick", "next_step": "recover it"}
    said = outcome.conclude_job("R", refused)
    assert line(said, "why") == "sick"
    assert line(said, "next step") == "recover it"
    changes = [{"object": "/b", "before": None, "after": "x"}]
    said = outcome.conclude_job("R", {**job, "changes": changes, "undo": [{"kind": "none", "reason": "r"}]})
    assert line(said, "undo") == "none (r)"


@pytest.mark.parametrize(("name", "code"), [("reverted", 6), ("untouched", 7), ("predicted", 3), ("failed", 5)])
def test_a_job_of_a_fleet(name: str, code: int) -> None:
    keys = {"vm.swappiness": {"before": "60", "wanted": "10", "after": "10", "status": "applied", "note": ""}}
    kept = {"keys": keys, "measured": None, "seconds": {"act": 1.25}}
    job = {"target": "db1", "outcome": name, "message": "m", "changes": [], "undo": [], "next_step": "", **kept}
    said = outcome.conclude_job("R", job)
    assert (said["outcome"], said["summary"]["exit_code"]) == (name, code)
    assert {key: said["summary"][key] for key in kept} == kept
    assert said["lines"][0] == f"db1        {name.upper()} in 1.2 s"
    assert line(said, "why") == "m"


def test_what_is_untouched_would_be_changed() -> None:
    job = {"target": "db1", "outcome": "untouched", "message": "m", "undo": [FILE], "next_step": ""}
    said = outcome.conclude_job("R", {**job, "changes": [{"object": "o", "before": 1, "after": 2}]})
    assert line(said, "changed") == "would change o: 1 -> 2"
    assert line(said, "undo") == "can be undone"


def test_an_outcome_that_is_none_is_refused() -> None:
    job = {"target": "db1", "outcome": "splendid", "message": "m", "changes": [], "undo": [], "next_step": ""}
    with pytest.raises(BadInput, match=r"outcome 'splendid': is no outcome\. One of done, healthy"):
        outcome.conclude_job("R", job)


def answer(kind: str = "", **more: object) -> dict:
    """One of a loop's results: a good one, or one that failed with an error of that kind."""
    failed = {"failed": True, "error": {"kind": kind, "what": "w", "where": "x", "hint": "h"}} if kind else {}
    return {"changed": False, "message": "m", "findings": [], **failed, **more}


FINDING = {"kind": "broken_drop_in", "where": "/f line 2", "what": "w", "hint": "mend it", "blocks": False}


@pytest.mark.parametrize(
    ("results", "check", "expected"),
    [
        ([answer()], False, "healthy"),
        ([answer(), answer(changed=True)], False, "done"),
        ([answer(), answer(changed=True)], True, "predicted"),
        ([answer(changed=True, findings=[FINDING])], False, "refused"),
        ([answer("Refused"), answer(changed=True)], False, "refused"),
        ([answer("CannotLook"), answer("Refused")], False, "escalated"),
        ([answer("OpsError"), answer("CannotLook"), answer(changed=True)], True, "failed"),
        ([], False, "refused"),
    ],
)
def test_a_job_of_several_calls(results: list[dict], check: bool, expected: str) -> None:
    assert outcome.of_results(results, check, "none named")["outcome"] == expected


def test_what_is_said_of_several_calls() -> None:
    told = outcome.of_results([answer("Refused", message="no"), answer(findings=[FINDING])], False, "none named")
    assert (told["message"], told["next_step"], told["findings"]) == ("no; m", "h ; mend it", [FINDING])
    told = outcome.of_results([answer(changed=True), answer()], True, "none named")
    assert told["next_step"] == "run again without --check"
    assert outcome.of_results([], False, "none named")["message"] == "none named"


@pytest.mark.parametrize("result", [answer("BadInput"), {"failed": True, "msg": "Unsupported parameters"}])
def test_wrong_input_of_one_call_is_the_jobs(result: dict) -> None:
    with pytest.raises(BadInput, match=r"w|Unsupported"):
        outcome.of_results([answer(changed=True), result], False, "none named")
