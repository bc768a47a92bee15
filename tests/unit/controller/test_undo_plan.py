# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes a run back is read from the record, and what is not known or not meant is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.plugin_utils import light, packing, record, undo_plan
from ansible_collections.ops.runbook.plugins.plugin_utils.errors import BadInput, Refused

ROOT = Path(__file__).resolve().parents[3]
Json = dict[str, t.Any]


def step(number: int) -> Json:
    return {"kind": "sysctl", "values": {f"net.x{number}": {"before": "1", "after": str(number)}}}


def act(
    where: Path, run: str, undo: Json | None, host: str = "db1", module: str = "sysctl_profile", **more: t.Any
) -> None:
    """One changing call as the actions record it; undo None means that nothing was changed."""
    check = more.pop("check", False)
    arguments = {"lease": more.pop("lease", ""), **more.pop("arguments", {})}
    record.append(where, run, host, "intent", {"module": module, "arguments": arguments, "check": check})
    thing = more.pop("thing", f"thing of {run}")
    changes = [{"object": thing, "before": 1, "after": 2}] if undo else []
    said = {"module": module, "check": check, "changed": bool(undo), "changes": changes, "undo": undo or {}}
    record.append(where, run, host, "acted", {**said, **more})


def undone(where: Path, run: str, by: str, back: int, **more: t.Any) -> None:
    act(where, by, step(back), module="change_undo", arguments={"run": run}, **more)


def plan(where: Path, run: str = "r1", host: str = "db1", approved: bool = False) -> undo_plan.Plan:
    return undo_plan.plan(where, run, host, approved)


def steps(where: Path, run: str = "r1", **more: t.Any) -> list[Json]:
    return plan(where, run, **more).steps


def test_the_latest_change_comes_first_and_nested_steps_stay_in_their_order(tmp_path: Path) -> None:
    act(tmp_path, "r1", step(1), lease="mongodb")
    act(tmp_path, "r2", step(9))
    act(tmp_path, "r1", {"kind": "steps", "steps": [step(2), step(3)]}, lease="tuning")
    act(tmp_path, "r1", None)
    act(tmp_path, "r1", step(8), check=True)
    act(tmp_path, "r1", step(7), host="db2")
    found = plan(tmp_path)
    assert found.steps == [step(2), step(3), step(1)]
    assert found.leases == ["mongodb", "tuning"]
    assert steps(tmp_path, host="db2") == [step(7)]


def test_a_failed_act_is_taken_back_as_far_as_it_came(tmp_path: Path) -> None:
    act(tmp_path, "r1", step(1), failed=True, msg="no space")
    assert steps(tmp_path) == [step(1)]


def test_what_cannot_be_put_back_says_of_what(tmp_path: Path) -> None:
    none = {"kind": "none", "reason": "the process is gone"}
    act(tmp_path, "r1", none, thing="service x.service")
    assert steps(tmp_path) == [{**none, "object": "service x.service"}]
    record.append(tmp_path, "r2", "db1", "intent", {"module": "m", "arguments": {}, "check": False})
    record.append(tmp_path, "r2", "db1", "acted", {"module": "m", "changed": True, "changes": []})
    assert steps(tmp_path, "r2") == [{"kind": "none", "reason": "m told no way back", "object": "m"}]


def test_a_run_that_changed_nothing_here(tmp_path: Path) -> None:
    act(tmp_path, "r1", None)
    act(tmp_path, "r2", step(1), host="db2")
    for run in ("r1", "r2"):
        assert plan(tmp_path, run) == ([], [], f"run {run} changed nothing here")


def test_an_undo_of_an_undo_of_an_undo(tmp_path: Path) -> None:
    act(tmp_path, "r1", step(1))
    undone(tmp_path, "r1", "u1", 2)
    assert plan(tmp_path) == ([], [], "run r1 is already put back here, by run u1")
    assert steps(tmp_path, "u1") == [step(2)]
    undone(tmp_path, "u1", "u2", 3)
    assert steps(tmp_path) == [step(1)]
    assert plan(tmp_path, "u1").message == "run u1 is already put back here, by run u2"
    undone(tmp_path, "r1", "u3", 4)
    assert plan(tmp_path).message.endswith("by run u3")
    undone(tmp_path, "r1", "u4", 5, host="db2")
    assert steps(tmp_path, "u3") == [step(4)]


@pytest.mark.parametrize("how", [{"check": True}, {"failed": True}])
def test_an_undo_that_was_only_predicted_or_failed_does_not_count(tmp_path: Path, how: Json) -> None:
    act(tmp_path, "r1", step(1))
    undone(tmp_path, "r1", "u1", 2, **how)
    assert steps(tmp_path) == [step(1)]
    record.append(
        tmp_path, "u2", "db1", "intent", {"module": "change_undo", "arguments": {"run": "r1"}, "check": False}
    )
    assert steps(tmp_path) == [step(1)]


def test_an_unknown_run_is_told_the_last_ones(tmp_path: Path) -> None:
    for number in range(7):
        act(tmp_path, f"r{number}", step(1))
    said = {"outcome": "remedied", "target": "db1/mongodb"}
    record.append(tmp_path, "r6", "db1", "outcome", said)
    with pytest.raises(BadInput) as caught:
        plan(tmp_path, "r66")
    assert caught.value.hint == "The last runs are r6 (remedied on db1/mongodb), r5, r4, r3, r2"
    assert caught.value.where == str(tmp_path / record.NAME)
    with pytest.raises(BadInput, match="There are no runs"):
        plan(tmp_path / "none")


def test_neither_no_run_nor_this_one_can_be_undone(tmp_path: Path) -> None:
    act(tmp_path, record.run_id(), step(1))
    for run in ("", record.run_id()):
        with pytest.raises(BadInput, match="no earlier run"):
            plan(tmp_path, run)
    with pytest.raises(BadInput) as caught:
        plan(tmp_path, "r1")
    assert record.run_id() not in caught.value.hint


@pytest.mark.parametrize("run", ['r1","host":"db1', "r.", "1", "*"])
def test_a_run_is_named_in_full(tmp_path: Path, run: str) -> None:
    act(tmp_path, "r1", step(1))
    with pytest.raises(BadInput, match="there is no run"):
        plan(tmp_path, run)


def test_a_host_with_an_odd_name_and_a_run_named_in_another_runs_words(tmp_path: Path) -> None:
    act(tmp_path, "r1", step(1), host='d"b')
    act(tmp_path, "r2", step(2), host='d"b', arguments={"run": "r3", "host": "x", "note": '"run":"r3","host":'})
    assert steps(tmp_path, host='d"b') == [step(1)]
    with pytest.raises(BadInput, match="there is no run"):
        plan(tmp_path, "r3", 'd"b')


def test_undoing_a_cure_needs_approval(tmp_path: Path) -> None:
    act(tmp_path, "r1", step(1))
    cure = {"outcome": "remedied", "target": "db1/mongodb", "cause": "masked", "why": "The unit is masked."}
    record.append(tmp_path, "r1", "db1", "outcome", cure)
    with pytest.raises(Refused) as caught:
        plan(tmp_path)
    assert "masked: The unit is masked." in caught.value.what
    assert "run again with --approve undo" in caught.value.hint
    assert steps(tmp_path, approved=True) == [step(1)]
    undone(tmp_path, "r1", "u1", 2)
    assert "already put back" in plan(tmp_path).message
    act(tmp_path, "r2", None)
    record.append(tmp_path, "r2", "db1", "outcome", cure)
    assert plan(tmp_path, "r2").message == "run r2 changed nothing here"
    act(tmp_path, "r3", step(3))
    record.append(tmp_path, "r3", "db1", "outcome", {**cure, "outcome": "unverified"})
    assert steps(tmp_path, "r3") == [step(3)]


def silent(rc: int) -> str:
    return str(light._no_answer("python3", {"rc": rc, "stdout": "", "stderr": "Killed"})["msg"])


@pytest.mark.parametrize(
    "acted",
    [
        None,
        {"unreachable": True, "msg": "lost"},
        {"unreachable": True, "reached": True, "msg": "lost"},
        {"failed": True, "msg": silent(137)},
        {"msg": silent(142)},
    ],
)
def test_an_act_whose_effect_is_not_known_is_told_and_needs_approval(tmp_path: Path, acted: Json | None) -> None:
    act(tmp_path, "r1", step(1))
    lost = {"name": "mongod", "state": "restarted", "lease": "", "run_id": "r1"}
    record.append(tmp_path, "r1", "db1", "intent", {"module": "service_restart", "arguments": lost, "check": False})
    if acted is not None:
        record.append(tmp_path, "r1", "db1", "acted", {"module": "service_restart", "check": False, **acted})
    with pytest.raises(Refused) as caught:
        plan(tmp_path)
    assert 'service_restart {"name": "mongod", "state": "restarted"}, and what that changed' in caught.value.what
    assert "/var/lib/ops-runbook/undo/r1" in caught.value.hint
    assert steps(tmp_path, approved=True) == [step(1)]


def test_two_intents_and_one_end_leave_one_act_unknown(tmp_path: Path) -> None:
    record.append(tmp_path, "r1", "db1", "intent", {"module": "sysctl_profile", "arguments": {"a": 1}, "check": False})
    act(tmp_path, "r1", step(1))
    with pytest.raises(Refused, match=r'sysctl_profile \{"a": 1\}'):
        plan(tmp_path)


def test_a_refusal_and_a_prediction_that_broke_off_leave_nothing_unknown(tmp_path: Path) -> None:
    act(tmp_path, "r1", step(1))
    record.append(tmp_path, "r1", "db1", "intent", {"module": "m", "arguments": {}, "check": True})
    record.append(tmp_path, "r1", "db1", "intent", {"module": "m", "arguments": {}, "check": False})
    record.append(tmp_path, "r1", "db1", "acted", {"module": "m", "failed": True, "msg": "the kill switch is set"})
    assert steps(tmp_path) == [step(1)]


@pytest.mark.parametrize("mask", ["********", "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", "***"])
def test_a_step_that_was_masked_is_not_taken(tmp_path: Path, mask: str) -> None:
    act(tmp_path, "r1", {"kind": "file", "path": "/etc/x", "sha256": f"ab{mask}cd"})
    with pytest.raises(Refused, match="masked"):
        plan(tmp_path)


@pytest.mark.parametrize("damage", ["edited", "dropped", "reordered", "cut", "garbage", "renumbered", "respaced"])
def test_a_damaged_record_is_not_believed(tmp_path: Path, damage: str) -> None:
    for number in range(4):
        act(tmp_path, "r1", step(number))
    file = tmp_path / record.NAME
    raw = file.read_bytes().splitlines(keepends=True)
    damaged = {
        "edited": [*raw[:3], raw[3].replace(b'"after":2', b'"after":3'), *raw[4:]],
        "dropped": raw[:2] + raw[3:],
        "reordered": [raw[0], raw[2], raw[1], *raw[3:]],
        "cut": [*raw[:-1], raw[-1][:-20]],
        "garbage": [*raw[:4], b"\x00\xff\n", *raw[4:]],
        "renumbered": [raw[0].replace(b'"seq":1', b'"seq":2'), *raw[1:]],
        "respaced": [raw[0].replace(b'{"seq"', b'{ "seq"'), *raw[1:]],
    }[damage]
    file.write_bytes(b"".join(damaged))
    with pytest.raises(Refused, match="the record is damaged: line ") as caught:
        plan(tmp_path)
    assert "Nothing is undone on its word" in caught.value.hint
    assert record.verify(tmp_path)[1] is not None


def test_lines_that_other_hosts_append_meanwhile_do_not_disturb(tmp_path: Path) -> None:
    act(tmp_path, "r1", step(1))
    seen = undo_plan._lines(tmp_path)
    next(seen)
    with (tmp_path / record.NAME).open("ab") as stream:
        stream.write(b'{"seq":3,"half')
    assert len(list(seen)) == 1


def test_who_changed_a_thing_later_is_found(tmp_path: Path) -> None:
    act(tmp_path, "r0", step(1), thing="/etc/x")
    act(tmp_path, "r1", step(1), thing="/etc/x")
    act(tmp_path, "r2", step(1), thing="/etc/x", host="db2")
    act(tmp_path, "r3", step(1), thing="/etc/y")
    act(tmp_path, "r4", step(1), thing="/etc/x", check=True)
    assert undo_plan.later(tmp_path, "r1", "db1", "/etc/x") is None
    act(tmp_path, "r5", step(1), thing="/etc/x")
    assert undo_plan.later(tmp_path, "r1", "db1", "/etc/x") == "r5"


def test_only_the_modules_that_the_steps_need_travel() -> None:
    nested = [{"kind": "steps", "steps": [{"kind": "file"}, {"kind": "none"}]}, {"kind": "unit"}]
    assert undo_plan.modules(nested, False) == ["undo_steps.file", "undo_steps.service_state", "undo_steps.unit"]
    assert undo_plan.modules([step(1)], True) == ["undo_steps.sysctl", "lease"]
    small, whole = (len(str(packing.bundle("undo", undo_plan.modules(some, False)))) for some in ([step(1)], nested))
    assert small < 60000 < whole


def test_a_long_record_is_read_in_a_moment(tmp_path: Path) -> None:
    """Sixty hosts, many runs: what does not concern this one is hashed, but not parsed."""
    import hashlib
    import time

    act(tmp_path, "r1", step(1))
    previous = hashlib.sha256((tmp_path / record.NAME).read_bytes().splitlines()[-1]).hexdigest()
    with (tmp_path / record.NAME).open("ab") as stream:
        for number in range(3, 20003):
            line = {"seq": number, "previous": previous, "at": "x", "run": f"r{number // 240}x", "host": "other"}
            raw = json.dumps({**line, "phase": "acted", "entry": {"x": "y" * 700}}, separators=(",", ":")).encode()
            previous = hashlib.sha256(raw).hexdigest()
            stream.write(raw + b"\n")
    began = time.process_time()
    assert steps(tmp_path) == [step(1)]
    assert time.process_time() - began < 1.0


# ---- the action, in real ansible-playbook runs


def play(tmp_path: Path, options: Json, host: str, *arguments: str) -> tuple[int, str]:
    """Run change_undo on hosts that nobody can reach."""
    task = {"ops.runbook.change_undo": options, "register": "done"}
    told = {"ansible.builtin.debug": {"msg": "SAID {{ done.message }}"}}
    body = {"hosts": host, "gather_facts": False, "tasks": [task, told], "vars": {"ops_runbook_name": "undo"}}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([body]))
    (tmp_path / "hosts").write_text("ghost ansible_connection=ssh ansible_host=192.0.2.1 ansible_ssh_timeout=1\n")
    environment = {**os.environ, "OPS_RUNBOOK_RECORDS": str(tmp_path), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    environment.pop("OPS_RUNBOOK_RUN_ID", None)
    command = str(Path(sys.executable).parent / "ansible-playbook")
    argv = [command, "-i", str(tmp_path / "hosts"), str(tmp_path / "play.yml"), *arguments]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_where_nothing_was_changed_no_connection_is_made(tmp_path: Path) -> None:
    act(tmp_path, "r1", None, host="ghost")
    code, said = play(tmp_path, {"run": "r1"}, "ghost")
    assert "SAID run r1 changed nothing here" in said, said
    act(tmp_path, "r2", {"kind": "none", "reason": "gone"}, host="ghost", thing="service x")
    code, said = play(tmp_path, {"run": "r2"}, "ghost")
    assert "SAID left: service x (gone)" in said, (code, said)
    assert record.verify(tmp_path)[1] is None


def test_a_host_that_was_renamed_since_is_named_by_the_name_that_the_record_has(tmp_path: Path) -> None:
    act(tmp_path, "r1", step(1), host="old")
    act(tmp_path, "r1", step(1), host="older", check=True)
    code, said = play(tmp_path, {"run": "r1", "conclude": True}, "ghost")
    assert code == 7, said
    assert "run r1 changed old, which the inventory does not have" in said
    assert "a line 'old ansible_host=ADDRESS'" in said
    assert "UNREACHABLE" not in said
    act(tmp_path, "r2", step(1), host="ghost")
    act(tmp_path, "r2", step(1), host="old")
    undone(tmp_path, "r2", "r3", 1, host="ghost")
    assert "already put back here" in play(tmp_path, {"run": "r2", "conclude": True}, "ghost")[1]


@pytest.mark.parametrize(
    ("options", "says", "code"),
    [
        ({"run": "nosuch"}, "there is no run 'nosuch' in the record", 2),
        ({}, "names no earlier run", 2),
        ({"run": "r1", "steps": [{"kind": "file"}]}, "it comes from the record", 2),
        ({"run": "r1", "approve": True}, "Unsupported parameters", 2),
    ],
)
def test_wrong_input_is_one_line_and_no_connection(tmp_path: Path, options: Json, says: str, code: int) -> None:
    act(tmp_path, "r1", step(1), host="ghost")
    found, said = play(tmp_path, options, "ghost")
    assert says in said, said
    assert "Traceback" not in said
    assert "UNREACHABLE" not in said
    assert found == code


@pytest.mark.parametrize(("retries", "pipelining", "reached"), [("0", "1", False), ("1", "1", True), ("0", "0", True)])
def test_a_host_that_was_never_reached_has_nothing_to_undo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retries: str, pipelining: str, reached: bool
) -> None:
    """Not so where ssh tries again, or takes several commands: what was sent first may have arrived."""
    monkeypatch.setenv("ANSIBLE_SSH_RETRIES", retries)
    monkeypatch.setenv("ANSIBLE_PIPELINING", pipelining)
    act(tmp_path, "r1", step(1), host="ghost")
    code, said = play(tmp_path, {"run": "r1"}, "ghost")
    assert code == 4, said
    acted = json.loads((tmp_path / record.NAME).read_bytes().splitlines()[-1])
    assert (acted["phase"], acted["entry"]["unreachable"]) == ("acted", True)
    assert acted["entry"]["reached"] is reached, acted
    if not reached:
        assert plan(tmp_path, acted["run"], "ghost").message.endswith("changed nothing here")
        return
    with pytest.raises(Refused, match="change_undo"):
        plan(tmp_path, acted["run"], "ghost")
