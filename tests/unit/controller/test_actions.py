# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's actions and the callback in real ansible-playbook runs against this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.module_utils import journal

ROOT = Path(__file__).resolve().parents[3]
CAUSE = {
    "cause": "killed",
    "when": "checks.unit.data.result == 'signal'",
    "explains": ["unit"],
    "why": "w",
    "remedy": "start_service",
    "risk": "low",
}


def play(
    tmp_path: Path, tasks: list[dict], *arguments: str, name: str | None = "made_up", **env: str
) -> tuple[int, str]:
    """Run tasks on localhost; (exit code, all it said)."""
    body = {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": tasks,
        "vars": {"ops_runbook_name": name} if name else {},
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([body]))
    (tmp_path / "hosts").write_text(f"localhost ansible_connection=local ansible_python_interpreter={sys.executable}\n")
    environment = {
        **os.environ,
        "OPS_RUNBOOK_RECORDS": str(tmp_path / "records"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        **env,
    }
    environment.pop("OPS_RUNBOOK_RUN_ID", None)
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            str(tmp_path / "hosts"),
            str(tmp_path / "play.yml"),
            *arguments,
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def recorded(tmp_path: Path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "records" / "record.jsonl").read_text().splitlines()]


def document(status: str) -> dict:
    check = {
        "type": "systemd_unit",
        "status": status,
        "summary": "x failed",
        "data": {"result": "signal"},
        "missing": [],
    }
    return {"target": "localhost/x", "status": status, "checks": {"unit": check}}


def outcome(**facts: object) -> dict:
    base = {
        "target": "localhost/x",
        "first": document("critical"),
        "final": document("critical"),
        "act": True,
        "error": "",
        "lease_refused": "",
        "recovered": False,
        "diagnosis": {"chosen": None, "unexplained": ["unit"]},
        "guard": None,
        "history": [],
        "seconds": 0.5,
    }
    return {"ops.runbook.run_record": {"phase": "outcome", "facts": {**base, **facts}}}


def test_diagnosis_and_guard_by_data(tmp_path: Path) -> None:
    tasks = [
        {
            "ops.runbook.cause_diagnosis_info": {
                "document": document("critical"),
                "checks": {"unit": {"type": "systemd_unit"}},
                "causes": [CAUSE],
            },
            "register": "found",
        },
        {
            "ops.runbook.remedy_guard": {
                "target": "localhost/x",
                "cause": "{{ found.diagnosis.chosen }}",
                "folders": [str(ROOT / "collections/ops_runbook/roles/remediate")],
                "kill_switch": str(tmp_path / "stop"),
            },
            "register": "guard",
        },
        {
            "ansible.builtin.assert": {
                "that": ["guard.allowed", "guard.remedy_file.endswith('remedies/start_service.yml')"]
            }
        },
    ]
    code, said = play(tmp_path, tasks, name=None)
    assert code == 0, said
    (tmp_path / "stop").write_text("release under way")
    code, said = play(tmp_path, tasks, name=None)
    assert code == 2
    assert "guard.allowed" in said


@pytest.mark.parametrize("pipelining", ["1", "0"])
def test_the_guard_gives_the_same_answer_on_both_roads(tmp_path: Path, pipelining: str) -> None:
    tasks = [
        {
            "ops.runbook.remedy_guard": {"target": "t", "cause": {**CAUSE, "risk": "high"}, "folders": ["/none"]},
            "register": "guard",
        },
        {"ansible.builtin.assert": {"that": ["guard.refusals | map(attribute='rule') == ['missing_remedy', 'risk']"]}},
    ]
    code, said = play(tmp_path, tasks, name=None, ANSIBLE_PIPELINING=pipelining)
    assert code == 0, said


def test_a_bad_cause_is_one_line(tmp_path: Path) -> None:
    bad = {"ops.runbook.cause_diagnosis_info": {"document": document("critical"), "checks": {}, "causes": [CAUSE]}}
    code, said = play(tmp_path, [bad])
    assert code == 2, said
    assert "explains an unknown check 'unit'" in said
    assert "WRONG INPUT" in said
    assert "Traceback" not in said


PACK = {"checks": {"unit": {"type": "systemd_unit", "unit": "x"}}, "causes": [CAUSE]}


def test_a_pack_is_read_and_given_back_with_its_templates_worked_out(tmp_path: Path) -> None:
    templated = {**PACK, "checks": {"unit": {"type": "systemd_unit", "unit": "{{ 'X' | lower }}"}}}
    said_of = {"unit": {"critical": [{"metric": "active_state", "operator": "==", "value": "failed"}]}}
    good = {"ops.runbook.pack_info": {**templated, "thresholds": said_of}, "register": "read"}
    same = [f"read.checks == {PACK['checks']}", f"read.causes == [{CAUSE}]", f"read.thresholds == {said_of}"]
    code, said = play(tmp_path, [good, {"ansible.builtin.assert": {"that": same}}], name=None)
    assert code == 0, said


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"causes": [{**CAUSE, "when": "checks.unit.data.result =="}]}, "does not compile"),
        ({"checks": {"unit": {"type": "systemd_uint"}}}, "systemd_uint"),
        ({"thresholds": {"unti": {}}}, "thresholds.unti: names no check"),
        ({"cooldown": -1}, "remediate_cooldown: -1.0 is not 0 or more"),
        ({"alert_at": "yesterday"}, "remediate_alert_at"),
        ({"freeze": [{"from": "now", "to": "then", "reason": "x"}]}, "freeze"),
    ],
    ids=["cause", "check", "threshold", "cooldown", "alert", "freeze"],
)
def test_a_pack_that_makes_no_sense_is_refused_in_one_line(tmp_path: Path, bad: dict[str, object], words: str) -> None:
    code, said = play(tmp_path, [{"ops.runbook.pack_info": {**PACK, **bad}}])
    assert code == 2, said
    assert words in said
    assert "WRONG INPUT" in said
    assert "Traceback" not in said


def test_unsupported_and_missing_arguments_are_named(tmp_path: Path) -> None:
    _code, said = play(tmp_path, [{"ops.runbook.run_record": {"phase": "looked", "entri": {}}}], name=None)
    assert "Unsupported parameters for (ops.runbook.run_record) module: entri" in said
    _code, said = play(tmp_path, [{"ops.runbook.run_record": {"phase": "outcome"}}], name=None)
    assert "facts" in said


@pytest.mark.parametrize("pipelining", ["1", "0"])
def test_lines_are_recorded_in_order_and_the_head_goes_out(tmp_path: Path, pipelining: str) -> None:
    tasks = [
        {"ops.runbook.run_record": {"phase": "looked", "entry": {"seconds": 0.25, "uri": "mongodb://u:s3cret@h/"}}},
        {"ops.runbook.run_record": {"phase": "decided", "journal": True}, "register": "said"},
        {"ansible.builtin.debug": {"msg": "journal {{ said.journal }} head {{ said.head }}"}},
        outcome(first=document("ok"), final=document("ok"), diagnosis=None),
    ]
    code, said = play(tmp_path, tasks, "-v", ANSIBLE_PIPELINING=pipelining)
    assert code == 0, said
    lines = recorded(tmp_path)
    here = Path(journal.SOCKET).exists()  # elsewhere the record says why the head could not be left in the journal
    assert [line["phase"] for line in lines] == ["looked", "decided", *([] if here else ["unjournaled"]), "outcome"]
    assert (
        here
        or lines[2]["entry"]["head"] == hashlib.sha256(json.dumps(lines[1], separators=(",", ":")).encode()).hexdigest()
    )
    assert len({line["run"] for line in lines}) == 1
    assert "s3cret" not in json.dumps(lines)
    assert lines[-1]["entry"]["seconds"]["detect"] == 0.25
    assert "localhost/x HEALTHY" in said


@pytest.mark.parametrize(
    ("facts", "code", "word"),
    [
        ({}, 8, "ESCALATED"),
        ({"error": "a task broke"}, 5, "FAILED"),
        ({"lease_refused": "held by run X"}, 7, "REFUSED"),
        ({"act": False, "diagnosis": {"chosen": CAUSE, "unexplained": []}}, 3, "PREDICTED"),
    ],
)
def test_plain_ansible_playbook_ends_with_the_documented_code(
    tmp_path: Path, facts: dict, code: int, word: str
) -> None:
    got, said = play(tmp_path, [outcome(**facts)])
    assert got == code, said
    assert f"localhost/x {word}" in said


def test_check_mode_is_recorded_as_such(tmp_path: Path) -> None:
    code, said = play(tmp_path, [outcome(diagnosis={"chosen": CAUSE, "unexplained": []})], "--check")
    assert code == 3, said
    assert recorded(tmp_path)[-1]["entry"]["check"] is True


def test_a_record_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file is in the way")
    code, said = play(tmp_path, [outcome()])
    assert code == 2
    assert "the record cannot be" in said
    assert "set OPS_RUNBOOK_RECORDS" in said


@pytest.mark.parametrize("limit", ["", ",", ":", " "])
def test_an_empty_limit_is_refused_before_any_task(tmp_path: Path, limit: str) -> None:
    code, said = play(tmp_path, [outcome()], "--limit", limit)
    assert code == 7, said
    assert "names no host" in said
    assert not (tmp_path / "records").exists()


def test_zero_hosts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("[empty]\n")
    code, said = play(tmp_path, [outcome()], "-i", str(tmp_path / "other"), "--limit", "nobody")
    assert code in (1, 7), said
    assert "outcome" not in said


def test_a_host_without_outcome_says_what_broke(tmp_path: Path) -> None:
    code, said = play(tmp_path, [{"ansible.builtin.fail": {"msg": "Missing sudo password"}}])
    assert code == 4
    assert "UNREACHABLE" in said
    assert "-K" in said


def test_other_playbooks_are_left_alone(tmp_path: Path) -> None:
    code, said = play(tmp_path, [{"ansible.builtin.fail": {"msg": "no"}}], name=None)
    assert code == 2
    assert "next step" not in said
