# SPDX-License-Identifier: GPL-3.0-or-later
"""Freeze windows, the memory of remedies and the last member of a group: when they refuse, and in which words."""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import (
    diagnosis,
    freeze,
    guard,
    members,
    outcome,
    recurrence,
    wording,
)
from ansible_collections.ops.runbook.plugins.plugin_utils.errors import BadInput
from test_guard import CAUSE, FACTS

CLI = ["runbook", "run", "recover_mongodb", "-i", "inv"]
PLAIN = ["ansible-playbook", "-i", "inv", "playbooks/recover_mongodb.yml"]


def said(facts: dict[str, t.Any], **cause: t.Any) -> list[dict[str, str]]:
    return [dict(one) for one in guard.refusals({**CAUSE, **cause}, {**FACTS, "again": CLI, **facts})]


def only(facts: dict[str, t.Any], **cause: t.Any) -> dict[str, str]:
    found = said(facts, **cause)
    assert len(found) == 1, found
    return found[0]


class TestNextCommand:
    def test_it_can_be_pasted(self) -> None:
        assert only({}, ask=True)["next_step"] == (
            "If it is wanted: runbook run recover_mongodb -i inv --limit db1 --approve start_service"
        )

    def test_also_without_the_cli(self) -> None:
        assert only({"again": PLAIN}, risk="high")["next_step"] == (
            "If it is wanted: ansible-playbook -i inv playbooks/recover_mongodb.yml --limit db1 "
            """-e '{"remediate_approved": ["start_service"]}'"""
        )

    @pytest.mark.parametrize(
        ("undo", "words"),
        [
            (["runbook", "undo", "RUN", "-i", "inv", "-K"], "runbook hold lift -i inv -K --limit db1"),
            (
                ["ansible-playbook", "-i", "inv", "playbooks/undo.yml", "-e", "undo_run=RUN"],
                "ansible-playbook -i inv playbooks/hold.yml -e hold_state=absent --limit db1",
            ),
        ],
    )
    def test_a_hold_is_lifted_by(self, undo: list[str], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
        told = {"again": CLI, "limit": None, "undo": undo}
        monkeypatch.setattr(wording, "commands", lambda _run: told)
        lift = wording.lift_words("RUN", "db1")
        hold = {"path": "/h", "text": "restore; set by ann@ops1 at T", "by": "ann@ops1"}
        refusal = only({"hold": hold, "lift": lift})
        assert refusal["next_step"] == f"When it is over: {words}"
        assert "restore; set by ann@ops1 at T" in refusal["reason"]
        by_hand = only({"hold": {"path": "/h", "text": "migration"}, "lift": lift})
        assert by_hand["next_step"] == "When it is over, on the target: rm /h"


def frozen(*windows: dict[str, t.Any], now: str = "2026-12-25T12:00:00+00:00", **facts: t.Any) -> list[str]:
    given = {"freeze": freeze.parse(windows), "now": datetime.fromisoformat(now), **facts}
    return [refusal["rule"] for refusal in said(given)]


XMAS = {"from": "2026-12-24T00:00:00Z", "to": "2026-12-27T06:00:00+01:00", "reason": "Christmas"}
NIGHTLY = {"days": ["mon", "tue"], "from": "22:30", "to": "06:00", "timezone": "UTC", "reason": "batch"}


class TestFreeze:
    def test_it_refuses_with_its_reason_its_end_and_the_way_around_it(self) -> None:
        refusal = only({"freeze": freeze.parse([XMAS])})
        assert refusal["reason"] == "a freeze window is in force until 2026-12-27T05:00:00Z (Christmas)"
        assert refusal["next_step"] == (
            "Wait until it ends. If it cannot wait, with your reason: "
            "runbook run recover_mongodb -i inv --limit db1 --break-glass ''"
        )
        plain = only({"freeze": freeze.parse([XMAS]), "again": PLAIN})
        assert plain["next_step"].endswith("""-e '{"remediate_break_glass": ""}'""")

    def test_breaking_the_glass_takes_a_reason(self) -> None:
        given = {"freeze": freeze.parse([XMAS])}
        assert said({**given, "break_glass": "INC-2041"}) == []
        assert "takes a reason" in only({**given, "break_glass": "  "})["reason"]

    def test_nothing_else_is_let_through_by_it(self) -> None:
        given = {"break_glass": "INC-2041", "kill_switch": {"path": "/k", "text": "x"}, "hosts": 9}
        assert [one["rule"] for one in said(given, risk="high")] == ["kill_switch", "blast_radius", "risk"]

    @pytest.mark.parametrize(
        ("now", "in_force"),
        [
            ("2026-12-23T23:59:59+00:00", False),
            ("2026-12-24T00:00:00+00:00", True),
            ("2026-12-27T04:59:59+00:00", True),
            ("2026-12-27T05:00:00+00:00", False),
        ],
    )
    def test_from_one_moment_to_another(self, now: str, in_force: bool) -> None:
        assert frozen(XMAS, now=now) == ["freeze"] * in_force

    @pytest.mark.parametrize(
        ("now", "in_force"),
        [
            ("2026-11-30T22:29:59+00:00", False),  # a Monday
            ("2026-11-30T22:30:00+00:00", True),
            ("2026-12-01T05:59:59+00:00", True),
            ("2026-12-01T06:00:00+00:00", False),
            ("2026-12-02T05:59:59+00:00", True),  # Tuesday's ends on Wednesday
            ("2026-12-02T22:30:00+00:00", False),
            ("2026-11-30T05:00:00+00:00", False),  # Sunday's night is none
        ],
    )
    def test_every_week_across_midnight(self, now: str, in_force: bool) -> None:
        assert frozen(NIGHTLY, now=now) == ["freeze"] * in_force

    def test_on_the_clock_of_its_own_zone_also_where_the_hour_changes(self) -> None:
        window = {"days": ["sun"], "from": "01:00", "to": "04:00", "timezone": "Europe/Berlin", "reason": "x"}
        begin = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)  # 01:00 in winter time; the window has two hours that night
        (one,) = freeze.parse([window])
        assert one.until(begin) == datetime(2026, 3, 29, 2, 0, tzinfo=UTC)
        assert one.until(begin - timedelta(seconds=1)) is None
        assert one.until(datetime(2026, 3, 29, 2, 0, tzinfo=UTC)) is None
        (summer,) = freeze.parse([{**window, "from": "00:00", "to": "24:00"}])
        assert summer.until(datetime(2026, 7, 4, 22, 0, tzinfo=UTC)) == datetime(2026, 7, 5, 22, 0, tzinfo=UTC)

    def test_of_several_the_one_that_ends_last_is_told(self) -> None:
        longer = {**XMAS, "to": "2027-01-02T00:00:00Z", "reason": "year's end"}
        assert "year's end" in only({"freeze": freeze.parse([longer, XMAS])})["reason"]

    def test_times_as_yaml_reads_them(self) -> None:
        assert freeze.parse([{**NIGHTLY, "from": 1350}]) == freeze.parse([NIGHTLY])
        assert freeze.parse([{**XMAS, "from": "2026-12-24 00:00:00+00:00"}]) == freeze.parse([XMAS])
        assert freeze.parse([{**NIGHTLY, "days": "mon"}]) == freeze.parse([{**NIGHTLY, "days": ["MON"]}])

    @pytest.mark.parametrize(
        ("window", "words"),
        [
            ({}, "lacks from, reason, to"),
            ({**XMAS, "till": 1}, "unknown key 'till'"),
            ({**XMAS, "reason": " "}, "has no reason"),
            ({**XMAS, "from": "tomorrow"}, "'tomorrow' is no moment"),
            ({**XMAS, "from": "2026-12-24T00:00:00"}, "is no moment"),
            ({**XMAS, "to": XMAS["from"]}, "ends before it begins"),
            ({**NIGHTLY, "days": ["monday"]}, "'monday' is no day"),
            ({**NIGHTLY, "days": []}, "is no day"),
            ({**NIGHTLY, "from": "25:00"}, "'25:00' is no time of day"),
            ({**NIGHTLY, "from": True}, "is no time of day"),
            ({**NIGHTLY, "to": "24:01"}, "is no time of day"),
            ({**NIGHTLY, "to": "22:30"}, "begins when it ends"),
            ({**NIGHTLY, "timezone": "Europe/Atlantis"}, "is no timezone"),
            ({**NIGHTLY, "timezone": "../../etc/passwd"}, "is no timezone"),
            ({key: value for key, value in NIGHTLY.items() if key != "timezone"}, "lacks timezone"),
        ],
    )
    def test_one_that_makes_no_sense_is_named(self, window: dict[str, t.Any], words: str) -> None:
        with pytest.raises(BadInput, match=words) as caught:
            freeze.parse([XMAS, window])
        assert caught.value.where.startswith("remediate_freeze, window 2")
        assert caught.value.hint


def note(run: str, age: float, result: str = "cured", remedy: str = "start_service") -> dict[str, t.Any]:
    at = datetime(2026, 12, 25, 12, tzinfo=UTC) - timedelta(seconds=age)
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"run": run, "remedy": remedy, "cause": "killed", "result": result, "age": age, "at": stamp}


def memory(*notes: dict[str, t.Any], escalated: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    return {"memory": {"remedies": list(notes), "escalated": escalated}}


class TestCooldown:
    def test_the_same_remedy_waits_whoever_ran_it(self) -> None:
        refusal = only({**memory(note("run-1", 130)), "cooldown": 300})
        assert refusal["rule"] == "cooldown"
        assert refusal["reason"] == (
            "start_service ran here 2 min ago (run run-1, cured), and the same remedy waits 300 s"
        )
        assert (
            "possible in 170 s, or now: runbook run recover_mongodb -i inv --limit db1 --approve start_service"
            in (refusal["next_step"])
        )

    @pytest.mark.parametrize("result", ["cured", "not_cured", "begun"])
    def test_whatever_came_of_it(self, result: str) -> None:
        assert only({**memory(note("run-1", 1, result)), "cooldown": 300})["rule"] == "cooldown"

    @pytest.mark.parametrize(
        "given",
        [
            {**memory(note("run-1", 301)), "cooldown": 300},
            {**memory(note("run-1", 1)), "cooldown": 0},
            {**memory(note("run-1", 1, remedy="another")), "cooldown": 300},
            {**memory(note("run-now", 1)), "cooldown": 300},  # this run's own: it never takes one twice anyway
            {**memory(note("run-1", 1)), "cooldown": 300, "approved": ["start_service"]},
            {**memory(note("run-1", 1)), "cooldown": 300, "approved": ["killed"]},
        ],
    )
    def test_and_nothing_else_does(self, given: dict[str, t.Any]) -> None:
        assert said(given) == []


FLAPPING = {"flapping": {"count": 3, "window": 3600}}
THREE = (note("run-1", 3000), note("run-2", 2000), note("run-3", 1000))


class TestFlapping:
    def test_the_runs_are_listed_and_it_is_escalated(self) -> None:
        facts = {**FACTS, **FLAPPING, **memory(*THREE)}
        (refusal,) = guard.refusals(CAUSE, facts)
        assert refusal["rule"] == "flapping"
        assert refusal["reason"].startswith("it was remedied 3 times within 3600 s and is broken again: ")
        for one in THREE:
            assert f"start_service at {one['at']} (run {one['run']}, cured)" in refusal["reason"]
        assert guard.escalates([refusal], facts)

    def test_only_once(self) -> None:
        told = {"run": "run-4", "at": "2026-12-25T11:50:00.000Z", "age": 600.0}
        facts = {**FACTS, **FLAPPING, **memory(*THREE, escalated=told)}
        (refusal,) = guard.refusals(CAUSE, facts)
        assert refusal["reason"] == (
            "run run-4 has escalated it at 2026-12-25T11:50:00.000Z, and nothing is done here for 3600 s "
            "unless a person approves"
        )
        assert "--approve start_service" in refusal["next_step"]
        assert not guard.escalates([refusal], facts)

    def test_an_escalation_holds_for_the_window_even_when_the_remedies_are_older(self) -> None:
        told = {"run": "run-4", "at": "T", "age": 3599.0}
        assert only({**FLAPPING, **memory(escalated=told)})["rule"] == "flapping"
        assert said({**FLAPPING, **memory(escalated={**told, "age": 3601.0})}) == []

    @pytest.mark.parametrize(
        "notes",
        [
            THREE[:2],
            (note("run-1", 3601), *THREE[1:]),
            (note("run-1", 3000, "not_cured"), *THREE[1:]),
            (note("run-2", 2100), *THREE[1:]),  # two remedies of one run
            (note("run-now", 3000), *THREE[1:]),
        ],
    )
    def test_fewer_cures_are_no_flapping(self, notes: tuple[dict[str, t.Any], ...]) -> None:
        assert said({**FLAPPING, **memory(*notes)}) == []

    def test_a_remedy_that_broke_off_counts(self) -> None:
        assert only({**FLAPPING, **memory(note("run-1", 3000, "begun"), *THREE[1:])})["rule"] == "flapping"

    def test_a_person_lets_it_through_and_zero_switches_it_off(self) -> None:
        assert said({**FLAPPING, **memory(*THREE), "approved": ["start_service"]}) == []
        assert said({"flapping": {"count": 0, "window": 3600}, **memory(*THREE)}) == []

    def test_an_outcome_of_escalated_with_the_runs_and_later_of_refused(self) -> None:
        document = {"status": "critical", "checks": {}}
        facts = {
            "first": document,
            "final": document,
            "target": "db1/mongodb",
            "run": "r",
            "act": True,
            "check_mode": False,
            "error": "",
            "lease_refused": "",
            "recovered": False,
            "diagnosis": {"chosen": CAUSE, "unexplained": []},
            "history": [],
            "changes": [],
            "undo": [],
            "evidence": None,
            "seconds": {},
        }
        refusal = {"rule": "flapping", "reason": "again", "next_step": "Find out why."}
        answer = {"allowed": False, "refusals": [refusal], "passed": [], "escalates": True}
        told = outcome.conclude({**facts, "guard": answer})
        assert (told["outcome"], told["summary"]["next_step"]) == ("escalated", "Find out why.")
        assert "refused by flapping: again" in "\n".join(told["lines"])
        assert outcome.conclude({**facts, "guard": {**answer, "escalates": False}})["outcome"] == "refused"


def test_without_a_memory_nobody_knows() -> None:
    problem = {"reason": "/m.json: the memory of remedies is damaged", "next_step": "rm /m.json"}
    refusal = only({"memory_problem": problem, "cooldown": 300, **FLAPPING})
    assert refusal == {"rule": "memory", **problem}


class TestAlert:
    MEMORY = memory(note("run-1", 600), note("run-2", 300, "not_cured"))["memory"]  # cured at 11:50

    @pytest.mark.parametrize(
        ("alert_at", "words"),
        [
            ("2026-12-25T11:48:00Z", "run run-1 cured it (start_service at 2026-12-25T11:50:00.000Z, 2 min after the"),
            ("2026-12-25T12:51:00+01:00", "1 min before the alert of 2026-12-25T11:51:00Z)"),
        ],
    )
    def test_the_cure_is_found(self, alert_at: str, words: str) -> None:
        told = recurrence.answered(alert_at, 300, self.MEMORY)
        assert (told["run"], told["remedy"]) == ("run-1", "start_service")
        assert words in told["text"]

    def test_one_of_long_before_is_not_it(self) -> None:
        told = recurrence.answered("2026-12-25T11:56:00Z", 300, self.MEMORY)
        assert told["run"] is None
        assert "no run of ours cured it" in told["text"]

    def test_a_memory_that_cannot_be_read_does_not_make_a_healthy_target_sick(self) -> None:
        assert "cannot be read" in recurrence.answered("2026-12-25T11:56:00Z", 300, None)["text"]

    @pytest.mark.parametrize("alert_at", ["yesterday", "2026-12-25T11:56:00", "1766664000"])
    def test_a_time_that_is_none(self, alert_at: str) -> None:
        with pytest.raises(BadInput, match="remediate_alert_at"):
            recurrence.validate({"count": 3, "window": 60}, 0, alert_at)

    @pytest.mark.parametrize(
        ("flapping", "cooldown", "where"),
        [
            ({"count": -1, "window": 60}, 0, "remediate_flapping.count"),
            ({"count": 1, "window": float("nan")}, 0, "remediate_flapping.window"),
            ({"count": 1, "window": 60}, -1, "remediate_cooldown"),
        ],
    )
    def test_numbers_that_are_none(self, flapping: dict[str, t.Any], cooldown: float, where: str) -> None:
        with pytest.raises(BadInput) as caught:
            recurrence.validate(flapping, cooldown, "")
        assert caught.value.where == where


def lease_of(host: str, **given: t.Any) -> dict[str, t.Any]:
    view = {"held": False, "mine": False, "holder": None, "run_id": None}
    return {"item": host, "lease": {**view, **given}, "changed": True}


def probe(host: str, status: str) -> dict[str, t.Any]:
    check = {"status": status, "summary": f"mongod on {host} is {status}"}
    return {"item": host, "document": {"status": status, "checks": {"unit": check}}}


HELD = {
    "item": "db2",
    "error": {"kind": "Refused", "what": "the lease group-mongodb is held by ann (run R)"},
    "msg": "",
}
GONE = {"item": "db2", "unreachable": True, "msg": "no route"}
DISRUPTS = {"disrupts": True}


def group(
    leases: list[dict[str, t.Any]] | None = None,
    busy: list[dict[str, t.Any]] | None = None,
    probes: list[dict[str, t.Any]] | None = None,
    hosts: tuple[str, ...] = ("db1", "db2"),
) -> dict[str, t.Any]:
    own = [lease_of(host) for host in hosts]
    calm = [lease_of(host) for host in hosts if host != "db1"]
    return {
        "group": members.Group(
            "mongodb",
            list(hosts),
            own if leases is None else leases,
            calm if busy is None else busy,
            [probe("db2", "ok")] if probes is None else probes,
        )
    }


class TestLastMember:
    def test_another_one_that_is_well_now_lets_it_run(self) -> None:
        assert said(group(), **DISRUPTS) == []
        assert said(group(probes=[probe("db2", "warning")]), **DISRUPTS) == []

    def test_a_service_that_is_down_disrupts_nobody(self) -> None:
        assert said(group(probes=[probe("db2", "critical")]), disrupts=False) == []
        assert said(group(probes=[probe("db2", "critical")])) == []

    @pytest.mark.parametrize(
        ("seen", "words"),
        [
            ({"probes": [probe("db2", "critical")]}, "db2: critical, unit: mongod on db2 is critical"),
            ({"probes": [probe("db2", "unknown")]}, "db2: unknown, unit: mongod on db2 is unknown"),
            ({"probes": [{**GONE}]}, "db2: unreachable"),
            ({"probes": [{"item": "db2", "failed": True, "msg": "a bug"}]}, "db2: it cannot be told (a bug)"),
            ({"probes": [{"item": "db2", "failed": False, "msg": "x"}]}, "db2: it cannot be told (x)"),
            ({"probes": []}, "db2: not looked at"),
            ({"leases": [lease_of("db1"), GONE], "busy": [GONE], "probes": []}, "db2: unreachable"),
            ({"leases": [lease_of("db1")]}, "db2: not looked at"),
            (
                {"busy": [lease_of("db2", held=True, holder="recover_mongodb", run_id="R")]},
                "db2: recover_mongodb (run R) works on it",
            ),
            ({"hosts": ("db1",), "probes": []}, "it has no other member"),
        ],
    )
    def test_none_that_is_well_refuses_and_says_how_each_is(self, seen: dict[str, t.Any], words: str) -> None:
        refusal = only(group(**seen), **DISRUPTS)
        assert refusal["rule"] == "last_member"
        assert words in refusal["reason"]
        assert refusal["next_step"]

    def test_what_to_do_next_is_to_bring_the_other_back(self) -> None:
        refusal = only(group(probes=[probe("db2", "critical")]), **DISRUPTS)
        assert refusal["next_step"] == (
            "Bring another member back first: runbook run recover_mongodb -i inv --limit db2"
        )

    def test_one_of_several_is_enough(self) -> None:
        hosts = ("db1", "db2", "db3")
        seen = group(probes=[probe("db2", "critical"), probe("db3", "ok")], hosts=hosts)
        assert said(seen, **DISRUPTS) == []

    def test_a_lease_of_the_group_that_another_run_has(self) -> None:
        refusal = only(group(leases=[lease_of("db1"), HELD], busy=[], probes=[]), **DISRUPTS)
        assert refusal["rule"] == "group_lease"
        assert refusal["reason"] == "on db2: the lease group-mongodb is held by ann (run R)"
        assert refusal["next_step"].endswith("then: runbook run recover_mongodb -i inv --limit db1")

    def test_one_that_could_not_be_taken_on_the_target_itself(self) -> None:
        seen = group(leases=[{"item": "db1", "error": {"kind": "OpsError"}, "msg": "no space"}, lease_of("db2")])
        assert "could not be taken on db1: it cannot be told (no space)" in only(seen, **DISRUPTS)["reason"]

    def test_a_host_that_is_not_in_its_group(self) -> None:
        refusal = only(group(hosts=("db2", "db3")), **DISRUPTS)
        assert "db1 is not in the group mongodb" in refusal["reason"]
        assert refusal["next_step"].endswith("ansible-inventory --graph mongodb")

    def test_no_approval_lets_it_through(self) -> None:
        seen = {**group(probes=[]), "approved": ["start_service"], "break_glass": "x"}
        assert only(seen, **DISRUPTS)["rule"] == "last_member"


class TestDisrupts:
    CHECKS = {"unit": {"type": "systemd_unit"}}

    @staticmethod
    def seen(state: str, status: str = "critical") -> dict[str, t.Any]:
        check = {"status": status, "summary": "", "data": {"active_state": state, "result": "x"}, "missing": []}
        return {"checks": {"unit": check}}

    @pytest.mark.parametrize(
        ("said", "state", "status", "disrupts"),
        [
            (True, "failed", "critical", True),
            (False, "active", "critical", False),
            ("checks.unit.data.active_state == 'active'", "active", "critical", True),
            ("checks.unit.data.active_state == 'active'", "failed", "critical", False),
            ("checks.unit.data.active_state == 'active'", "failed", "unknown", True),  # nobody knows
            ("checks.unit.data.restarts > `1`", "failed", "critical", True),  # nor here: it was not measured
        ],
    )
    def test_what_cannot_be_told_counts_as_serving(self, said: t.Any, state: str, status: str, disrupts: bool) -> None:
        cause = {**CAUSE, "when": "checks.unit.status != 'ok'", "disrupts": said}
        assert diagnosis.disrupts(cause, self.seen(state, status)) is disrupts

    def test_the_chosen_cause_carries_the_answer(self) -> None:
        cause = {
            **CAUSE,
            "when": "checks.unit.data.result == 'x'",
            "disrupts": "checks.unit.data.active_state == 'active'",
        }
        assert diagnosis.diagnose(self.seen("failed"), [cause])["chosen"]["disrupts"] is False
        assert diagnosis.diagnose(self.seen("active"), [cause])["chosen"]["disrupts"] is True

    @pytest.mark.parametrize(
        ("said", "words"),
        [
            ("checks.unitt.data.active_state == 'x'", "unknown check 'unitt'"),
            ("checks.unit.data.active ==", "does not compile"),
            (1.5, "neither true, false nor a condition"),
        ],
    )
    def test_a_condition_that_is_none(self, said: t.Any, words: str) -> None:
        cause = {**CAUSE, "why": "w", "explains": ["unit"], "when": "checks.unit.data.result == 'x'", "disrupts": said}
        (problem,) = diagnosis.validate([cause], self.CHECKS)
        assert words in problem


def test_what_a_person_let_through_is_told() -> None:
    facts = {
        **FACTS,
        **FLAPPING,
        **memory(*THREE),
        "cooldown": 3000,
        "freeze": freeze.parse([XMAS]),
        "break_glass": " INC-2041:\n disk ",
        "approved": ["start_service"],
    }
    passed = guard.let_through({**CAUSE, "ask": True, "risk": "high"}, facts)
    assert {one["rule"]: one["by"] for one in passed} == {
        "freeze": "break glass: INC-2041: disk",
        "flapping": "approved by a person",
        "cooldown": "approved by a person",
        "ask": "approved by a person",
        "risk": "approved by a person",
    }
    assert all(one["reason"] for one in passed)
    assert guard.let_through(CAUSE, FACTS) == []
    by_state = guard.let_through({**CAUSE, "ask": True}, {**FACTS, "desired_state": "started"})
    assert [(one["rule"], one["by"]) for one in by_state] == [("ask", "desired state: started")]
