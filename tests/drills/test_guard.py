# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard on real hosts: two controllers at once, one that dies, holds, freezes, flapping, the last of a group."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import typing as t
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import record
from tests.support import guard_pack, lab
from tests.support.guard_pack import ACTING, GO, MARK, UNIT, Play

GROUP = "/run/ops-runbook/group-mongodb.json"
LEASE = "/run/ops-runbook/play.json"
EXPIRE = f'sed -i \'s/"expires": [0-9.]*/"expires": 1.0/\' {LEASE}'


@pytest.fixture(scope="module")
def play(records: Path, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Play]:
    """The pack, and its unit on both hosts."""
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up"], timeout=600)
    assert up.code == 0, up.text
    yield Play(tmp_path_factory.mktemp("guard"), records)
    for host in ("db1", "db2"):
        guard_pack.clear(host)


@pytest.fixture(autouse=True)
def prepared(play: Play) -> None:
    for host in ("db1", "db2"):
        guard_pack.prepare(host)


def mark(*hosts: str) -> None:
    for host in hosts:
        guard_pack.sh(host, f"touch {MARK}")


def kill_unit(host: str) -> None:
    lab.on(host, f"systemctl kill --signal=KILL {UNIT}; sleep 0.3")
    assert not guard_pack.active(host)


@contextmanager
def at_work(play: Play, host: str, **variables: object) -> t.Iterator[tuple[subprocess.Popen[str], str]]:
    """A controller whose remedy is at work on a host, and its run; meanwhile the host looks sick."""
    guard_pack.sh(host, f"touch {MARK}; rm {GO}")
    controller = play.begin(host, **variables)
    try:
        guard_pack.wait_for(host, f"test -e {ACTING}")
        mark(host)
        yield controller, str(json.loads(lab.on(host, f"cat {LEASE}").stdout)["run_id"])
    finally:
        guard_pack.sh(host, f"rm -f {MARK}; touch {GO}")
        if controller.poll() is None:
            guard_pack.ended(controller)


def test_two_controllers_a_crash_and_an_act_that_outlives_its_lease(play: Play) -> None:
    with at_work(play, "db1") as (first, holder):
        second = play.run("db1")
        assert second.code == 7, second.text
        assert f"the lease play is held by recover_play (run {holder})" in second.text
        guard_pack.kill(first)
        after_the_crash = play.run("db1")
        assert after_the_crash.code == 7, after_the_crash.text
        assert f"(run {holder}) for another" in after_the_crash.text
        guard_pack.sh("db1", EXPIRE)
        while_it_acts = play.run("db1")
        assert while_it_acts.code == 7, while_it_acts.text
        assert "has ended, but its act is still running" in while_it_acts.text
    guard_pack.wait_for("db1", "! pgrep -f 'python3 -I -S -[B]'")  # on the target it went on to its end
    mark("db1")
    soon = play.run("db1", remediate_cooldown=600)
    assert soon.code == 7, soon.text
    assert "restart_it ran here" in soon.text
    assert f"(run {holder}, broke off)" in soon.text
    cured = play.run("db1")
    assert cured.code == 0, cured.text
    assert "db1/play REMEDIED" in _words(cured)


def test_two_that_begin_at_once_are_one_cure(play: Play) -> None:
    kill_unit("db1")
    both = [play.begin("db1") for _ in range(2)]
    said = [guard_pack.ended(one) for one in both]
    codes = sorted(one.code for one in said)
    text = "\n".join(one.text for one in said)
    assert codes in ([0, 7], [0, 0]), text  # the later one is refused, or finds it cured
    assert _words(lab.Ran(0, text, "")).count("\ndb1/play REMEDIED") == 1, text
    assert guard_pack.active("db1")


def test_of_a_group_one_controller_takes_one_member_and_nobody_the_last(play: Play) -> None:
    with at_work(play, "db1", remediate_group="mongodb") as (first, holder):
        mark("db2")
        second = play.run("db2", remediate_group="mongodb")
        assert second.code == 7, second.text
        assert f"group-mongodb is held by recover_play for db1 (run {holder})" in second.text
    assert first.returncode == 0
    for host in ("db1", "db2"):
        assert lab.on(host, f"test -e {GROUP}").code == 1, "it was not given back"
    guard_pack.sh("db2", f"rm {MARK}")
    kill_unit("db2")
    mark("db1")
    before = lab.on("db1", f"systemctl show {UNIT} -p MainPID").stdout
    last = play.run("db1", remediate_group="mongodb")
    assert last.code == 7, last.text
    assert "it would take down the last member of mongodb that may still serve; db2: critical" in last.text
    assert lab.on("db1", f"systemctl show {UNIT} -p MainPID").stdout == before
    assert lab.on("db2", f"test -e {GROUP}").code == 1
    down = play.run("db2", remediate_group="mongodb")  # what is down disrupts nobody
    assert down.code == 0, down.text


def test_the_kill_switch_between_the_steps_of_a_remedy(play: Play, tmp_path: Path) -> None:
    mark("db1")
    before = lab.on("db1", f"systemctl show {UNIT} -p MainPID").stdout
    done = play.run("db1", between=True, remediate_kill_switch=str(tmp_path / "stop"))
    assert done.code == 7, done.text
    assert "the kill switch is set on the controller (release under way)" in done.text
    assert lab.on("db1", f"systemctl show {UNIT} -p MainPID").stdout == before


def test_a_flapping_service_is_escalated_once_and_an_old_alert_finds_the_cure(play: Play) -> None:
    rules = {"remediate_flapping": {"count": 2, "window": 3600}}
    alert = datetime.now(UTC).isoformat()
    runs = []
    for _ in range(2):
        kill_unit("db1")
        done = play.run("db1", **rules)
        assert done.code == 0, done.text
        runs.append(_run(done))
    answered = play.run("db1", remediate_alert_at=alert, **rules)
    assert answered.code == 0, answered.text
    assert "db1/play HEALTHY" in _words(answered)
    assert f"none: run {runs[1]} cured it (start_service at" in answered.text
    assert "changed=0" in answered.text
    kill_unit("db1")
    escalated = play.run("db1", **rules)
    assert escalated.code == 8, escalated.text
    assert "it was remedied 2 times within 3600 s and is broken again" in escalated.text
    for run in runs:
        assert f"(run {run}, cured)" in escalated.text
    again = play.run("db1", **rules)
    assert again.code == 7, again.text
    assert f"run {_run(escalated)} has escalated it at" in again.text
    assert not guard_pack.active("db1")
    approved = play.run("db1", remediate_approved=["start_service"], **rules)
    assert approved.code == 0, approved.text
    assert "let through flapping (approved by a person)" in approved.text


def _words(done: lab.Ran) -> str:
    """What it said with single blanks, the lines kept."""
    return "\n".join(" ".join(line.split()) for line in done.text.splitlines())


def _run(done: lab.Ran) -> str:
    """The run's id, as the callback tells it."""
    return next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("run "))


def test_a_hold_is_set_obeyed_shown_and_lifted(play: Play) -> None:
    records = play.records
    done, document = lab.runbook("hold", "set", "--reason", "restore under way, INC-7", "--for", "2h", records=records)
    assert done.code == 0, done.text
    kill_unit("db1")
    refused = play.run("db1")
    assert refused.code == 7, refused.text
    assert "a hold is in force on the target (restore under way, INC-7; set by " in refused.text
    step = next(line for line in refused.stdout.splitlines() if line.startswith("next step"))
    assert f"ansible-playbook -i {lab.INVENTORY}" in step
    assert "hold.yml -e hold_state=absent --limit db1" in step
    shown, told = lab.runbook("hold", "show", records=records)
    assert shown.code == 0, shown.text
    assert "INC-7" in told["targets"][0]["summary"]["hold"]["text"]
    undone, _ = lab.runbook("undo", document["run_id"], records=records)
    assert undone.code == 0, undone.text
    assert lab.on("db1", "test -e /var/lib/ops-runbook/hold").code == 1
    lifted, told = lab.runbook("hold", "lift", records=records)
    assert (lifted.code, told["targets"][0]["outcome"]) == (0, "healthy")
    assert play.run("db1").code == 0


def test_a_freeze_and_the_glass(records: Path) -> None:
    window = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "reason": "year's end"}
    extra = ("-e", json.dumps({"remediate_freeze": [window]}))
    lab.on("db1", "systemctl kill --signal=KILL mongod; sleep 1")
    try:
        done, document = lab.runbook("run", "recover_mongodb", *extra, records=records)
        assert done.code == 7, done.text
        (refusal,) = document["targets"][0]["summary"]["refusals"]
        assert refusal["rule"] == "freeze"
        assert "year's end" in refusal["reason"]
        assert "--limit db1 --break-glass ''" in refusal["next_step"]
        empty, told = lab.runbook("run", "recover_mongodb", "--break-glass", " ", *extra, records=records)
        assert (empty.code, told["error"]["where"]) == (2, "--break-glass")
        broken, document = lab.runbook(
            "run", "recover_mongodb", "--check", "--break-glass", "INC-7", *extra, records=records
        )
        assert broken.code == 3, broken.text
        passed = [{"rule": "freeze", "reason": refusal["reason"], "by": "break glass: INC-7"}]
        assert document["targets"][0]["summary"]["passed"] == passed
        lines = record.of_run(records, document["run_id"], "db1")
        assert [line["entry"]["passed"] for line in lines if line["phase"] == "decided"] == [passed]
    finally:
        lab.on("db1", "systemctl reset-failed mongod; systemctl start mongod")


@pytest.mark.parametrize("answer", ["n", "y"])
def test_a_question_on_a_terminal(answer: str, records: Path) -> None:
    lab.on("db1", "systemctl stop mongod")
    try:
        code, said = _on_a_terminal(answer, records)
        assert "cause    stopped: " in said
        assert "remedy   start_service" in said
        assert "risk     low" in said
        assert "changes  db1: service mongod.service active_state: inactive -> active" in said
        assert "Run start_service on db1? [y/N]" in said
        running = lab.on("db1", "systemctl is-active mongod").stdout.strip() == "active"
        assert (code, running) == ((0, True) if answer == "y" else (7, False)), said
    finally:
        lab.on("db1", "systemctl start mongod")


def _on_a_terminal(answer: str, records: Path) -> tuple[int, str]:
    """Run the CLI with a person before it, who types one answer."""
    theirs, ours = pty.openpty()
    argv = [lab.command("runbook"), "run", "recover_mongodb", "-i", lab.INVENTORY, "--limit", "db1"]
    environment = {**os.environ, "PATH": f"{Path(argv[0]).parent}:{os.environ['PATH']}", "XDG_STATE_HOME": str(records)}
    environment.pop("OPS_RUNBOOK_RUN_ID", None)
    process = subprocess.Popen(
        [*argv, "--records", str(records)], cwd=lab.ROOT, env=environment, stdin=ours, stdout=ours, stderr=ours
    )
    os.close(ours)
    said, asked = b"", False
    while True:
        try:
            said += os.read(theirs, 65536)
        except OSError:  # the other side is gone
            break
        if b"[y/N]" in said and not asked:
            asked = True
            os.write(theirs, answer.encode() + b"\n")
    os.close(theirs)
    return process.wait(30), said.decode("utf-8", "replace")
