# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import time
import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.module_utils import budget, lease, service, service_plan
from ansible_collections.ops.runbook.plugins.module_utils.collectors import _proc
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, CannotLook, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost
from ansible_collections.ops.runbook.plugins.module_utils.platforms import watch
from ansible_collections.ops.runbook.plugins.module_utils.platforms.systemd import Systemd
from ansible_collections.ops.runbook.plugins.module_utils.specs.service_restart import ARGUMENT_SPEC, RULES
from systemd_host import SystemdHost, recorded

KEYS = {"changed", "changes", "undo", "message", "service", "journal"}
LINK = "/etc/systemd/system/mongod.service"
JOURNAL = {"journalctl": Completed(0, recorded("journal-start-limit"), "")}
FAILED = Completed(1, "", recorded("start-exit-code"))
BUDGET = {"count": 2, "window": 3600}
NEW = ("active", {"MainPID": 99})
DISABLED = ("inactive", {"UnitFileState": "disabled", "Id": "mongod.service"})
DISABLE = {"kind": "enablement", "name": "mongod.service", "state": {"enabled": False}, "expect": {"enabled": True}}


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(watch, "_POLL", 0.01)
    monkeypatch.setattr(budget, "DIRECTORY", str(tmp_path / "budget"))
    monkeypatch.setattr(lease, "DIRECTORY", str(tmp_path / "leases"))


def params(**given: t.Any) -> dict[str, t.Any]:
    given = {"name": "mongod", "steady": 0.03, "timeout": 5, **given}
    outcome = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate(given)
    assert not outcome.error_messages
    return t.cast("dict[str, t.Any]", outcome.validated_parameters)


def state(case: str, **replaced: t.Any) -> dict[str, t.Any]:
    return Systemd(SystemdHost((case, replaced), links={LINK: "/dev/null"}), "mongod").state()


def plan(now: dict[str, t.Any], **given: t.Any) -> dict[str, t.Any]:
    return service_plan.plan_service(now, params(**given))


def failure(host: SystemdHost, check: bool = False, **given: t.Any) -> OpsError:
    with pytest.raises(OpsError) as caught:
        service.run_on(host, params(**given), check)
    assert set(caught.value.result) >= KEYS
    assert caught.value.result["message"] == str(caught.value)
    return caught.value


@pytest.mark.parametrize("case", ["bad-setting", "need-reload"])
def test_what_an_act_before_it_would_have_mended_is_foreseen_in_check_mode_only(case: str) -> None:
    now = ("inactive", {"LoadState": case, "LoadError": "x"} if case == "bad-setting" else {"NeedDaemonReload": "yes"})
    told = service.run_on(SystemdHost(now), params(state="started", redefined=True), True)
    assert [change["object"] for change in told["changes"]] == ["service demo.service"]
    if case == "bad-setting":
        assert "cannot be loaded" in failure(SystemdHost(now), state="started", redefined=True).what
        assert "cannot be loaded" in failure(SystemdHost(now), check=True, state="started").what


class TestPlan:
    @pytest.mark.parametrize(
        ("case", "wanted", "steps", "after"),
        [
            ("active", "started", [], "active"),
            ("failed-signal", "started", ["start"], "active"),
            ("inactive", "started", ["start"], "active"),
            ("auto-restart", "started", ["start"], "active"),
            ("deleted", "started", [], "active"),
            ("oneshot-done", "started", ["start"], "inactive"),
            ("active", "stopped", ["stop"], "inactive"),
            ("auto-restart", "stopped", ["stop"], "inactive"),
            ("deactivating", "stopped", ["stop"], "inactive"),
            ("deleted", "stopped", ["stop"], "inactive"),
            ("inactive", "stopped", [], "inactive"),
            ("failed-signal", "stopped", [], "failed"),
            ("masked", "stopped", [], "failed"),
            ("active", "restarted", ["restart"], "active"),
            ("inactive", "restarted", ["restart"], "active"),
            ("need-reload", "restarted", ["daemon_reload", "restart"], "active"),
            ("need-reload", "stopped", ["stop"], "inactive"),
            ("active-reloadable", "reloaded", ["reload"], "active"),
            ("active", "resumed", [], "active"),
            ("need-reload", "resumed", [], "active"),
        ],
    )
    def test_steps(self, case: str, wanted: str, steps: list[str], after: str) -> None:
        found = plan(state(case), state=wanted)
        assert (found["steps"], found["after"]) == (steps, after)

    def test_a_masked_service_that_runs_is_left_alone(self) -> None:
        assert plan(state("masked", ActiveState="active"), state="started")["steps"] == []

    def test_all_that_may_come_before_the_act_in_order(self) -> None:
        now = state("masked", ActiveState="active", NeedDaemonReload="yes")
        found = plan(now, state="restarted", unmask=True, drain=["leave"], reset_failed=True)
        assert found["steps"] == ["drain", "unmask", "daemon_reload", "restart"]
        assert plan(state("masked"), unmask=True, reset_failed=True)["steps"] == ["unmask", "reset_failed", "restart"]

    def test_a_suspended_process_is_resumed_and_nothing_else(self) -> None:
        now = {**state("need-reload", Id="mongod.service"), "suspended": True}
        found = plan(now, state="resumed", drain=["leave"], reset_failed=True)
        assert (found["steps"], found["after"], found["undo"]["kind"]) == (["resume"], "active", "none")
        assert found["changes"]["resume"] == {
            "object": "process of mongod.service",
            "before": {"suspended": True},
            "after": {"suspended": False},
        }
        assert plan(now, state="started")["steps"] == []

    def test_a_disabled_service_is_enabled_before_it_is_started(self) -> None:
        found = plan(state(DISABLED[0], **DISABLED[1]), state="started", enable=True)
        assert found["steps"] == ["enable", "start"]
        assert [step["kind"] for step in found["undo"]["steps"]] == ["service_state", "enablement"]
        assert found["undo"]["steps"][1] == DISABLE

    def test_one_that_runs_is_only_enabled(self) -> None:
        found = plan(state("active", UnitFileState="disabled"), state="started", enable=True)
        assert (found["steps"], found["undo"], found["after"]) == (["enable"], DISABLE, "active")

    @pytest.mark.parametrize("enabled", ["enabled", "static", "masked", "generated"])
    def test_what_is_not_disabled_is_not_enabled(self, enabled: str) -> None:
        now = state("inactive", UnitFileState=enabled)
        assert plan(now, state="started", enable=True)["steps"] == ["start"]
        assert plan(state("active", UnitFileState="disabled"), state="stopped", enable=True)["steps"] == ["stop"]

    def test_the_failure_is_forgotten_only_where_it_failed(self) -> None:
        assert plan(state("inactive"), state="started", reset_failed=True)["steps"] == ["start"]

    @pytest.mark.parametrize(
        ("case", "wanted", "drained"),
        [
            ("active", "restarted", True),
            ("active", "stopped", True),
            ("active-reloadable", "reloaded", False),
            ("failed-signal", "restarted", False),
            ("failed-signal", "started", False),
        ],
    )
    def test_only_a_running_service_that_goes_away_is_drained(self, case: str, wanted: str, drained: bool) -> None:
        assert ("drain" in plan(state(case), state=wanted, drain=["leave"])["steps"]) is drained

    @pytest.mark.parametrize(
        ("case", "given", "why"),
        [
            ("masked", {"state": "started"}, "is masked"),
            ("masked", {"state": "restarted"}, "is masked"),
            ("masked", {"state": "reloaded", "unmask": True}, "is masked"),
            (
                "bad-setting",
                {"state": "started"},
                r"cannot be loaded \(bad-setting\): Unit empty.service has a bad unit",
            ),
            ("deleted", {"state": "restarted"}, r"cannot be loaded \(not-found\)"),
            ("failed-signal", {"state": "reloaded"}, r"is failed \(signal 9\), so there is nothing to reload"),
            ("active", {"state": "reloaded"}, "without a restart"),
            ("failed-signal", {"state": "resumed"}, r"is failed \(signal 9\), so there is nothing to resume"),
            ("masked", {"state": "resumed", "unmask": True}, "nothing to resume"),
        ],
    )
    def test_refusals(self, case: str, given: dict[str, t.Any], why: str) -> None:
        with pytest.raises(Refused, match=why) as caught:
            plan(state(case), **given)
        assert caught.value.hint

    def test_changes_and_undo_of_a_start(self) -> None:
        found = plan(state("masked"), state="started", unmask=True)
        assert list(found["changes"].values()) == [
            {"object": "mask of mongod.service", "before": {"links": [LINK]}, "after": {"links": []}},
            {
                "object": "service mongod.service",
                "before": {"active_state": "failed"},
                "after": {"active_state": "active"},
            },
        ]
        assert found["undo"] == {
            "kind": "unit",
            "platform": "systemd",
            "name": "mongod.service",
            "state": "stopped",
            "expect": {"active_state": "active"},
            "mask": True,
            "links": [LINK],
        }
        assert found["message"] == "mongod.service, failed (signal 9): unmask, start"

    def test_the_mask_of_a_running_service_can_be_put_back_too(self) -> None:
        undo = plan(state("masked", ActiveState="active"), unmask=True)["undo"]
        assert (undo["kind"], undo["state"], undo["links"]) == ("unit", "started", [LINK])

    @pytest.mark.parametrize(
        ("case", "given", "undo"),
        [
            (
                "active",
                {"state": "stopped"},
                {"kind": "service_state", "state": "started", "expect": {"active_state": "inactive"}},
            ),
            ("inactive", {"state": "restarted"}, {"kind": "service_state", "state": "stopped"}),
            ("oneshot-done", {"state": "started"}, {"kind": "service_state", "expect": {"active_state": "inactive"}}),
            ("active", {"state": "restarted"}, {"kind": "none", "reason": "the process that was replaced is gone"}),
            ("active-reloadable", {"state": "reloaded"}, {"kind": "none"}),
            ("active", {"state": "started"}, {"kind": "none", "reason": "nothing was changed"}),
        ],
    )
    def test_undo(self, case: str, given: dict[str, t.Any], undo: dict[str, t.Any]) -> None:
        found = plan(state(case), **given)["undo"]
        assert {key: found[key] for key in undo} == undo
        assert found["kind"] != "none" or found["reason"]


class TestRun:
    def test_a_healthy_service_is_left_alone(self) -> None:
        host = SystemdHost("active", commands={"check": FAILED})
        found = service.run_on(host, params(state="started", validate=["check"], budget=BUDGET), False)
        assert (found["changed"], found["changes"], len(host.calls)) == (False, [], 1)
        assert found["service"]["before"] == found["service"]["after"]
        assert set(found) == KEYS
        assert not pathlib.Path(budget.DIRECTORY).exists()

    def test_a_killed_service_is_started(self) -> None:
        host = SystemdHost("failed-signal", {"reset-failed": "failed-signal", "start": NEW})
        found = service.run_on(host, params(state="started", reset_failed=True), False)
        assert host.verbs() == ["reset-failed", "start"]
        assert found["changed"] is True
        assert set(found) == KEYS
        before, after = found["service"]["before"], found["service"]["after"]
        assert (before["active_state"], before["exit"], before["pid"]) == ("failed", "signal 9", None)
        assert (after["active_state"], after["pid"], after["restarts"]) == ("active", 99, 0)
        assert after["started_at"] == "2026-11-20T15:56:38.000Z"

    @pytest.mark.parametrize(
        ("case", "moves", "given"),
        [
            ("failed-signal", {"start": NEW}, {"state": "started"}),
            ("active", {"restart": NEW}, {"state": "restarted"}),
            ("active", {"stop": "inactive"}, {"state": "stopped"}),
            ("active-reloadable", {"reload": "active-reloadable"}, {"state": "reloaded"}),
            ("masked", {"unmask": "failed-signal", "start": NEW}, {"state": "started", "unmask": True}),
            ("need-reload", {"daemon-reload": "active", "restart": NEW}, {"drain": ["leave"]}),
            (DISABLED, {"enable": "inactive", "start": NEW}, {"state": "started", "enable": True}),
            (("active", {"UnitFileState": "disabled"}), {"enable": "active"}, {"state": "started", "enable": True}),
            ("active", {}, {"state": "started"}),
        ],
    )
    def test_check_mode_tells_the_truth_and_writes_nothing(self, case: str, moves: t.Any, given: t.Any) -> None:
        commands = {"leave": Completed(0, "", "")}
        looking = SystemdHost(case, {}, commands, links={LINK: "/dev/null"})
        predicted = service.run_on(looking, params(budget=BUDGET, lease="db1", run_id="r", **given), True)
        assert looking.verbs() == []
        assert all(call[0] == "env" for call in looking.calls)
        assert not pathlib.Path(budget.DIRECTORY).exists()
        acting = SystemdHost(case, moves, commands, links={LINK: "/dev/null"})
        done = service.run_on(acting, params(budget=BUDGET, **given), False)
        for key in KEYS - {"service"}:
            assert predicted[key] == done[key]
        assert predicted["service"]["before"] == done["service"]["before"]
        assert predicted["service"]["after"]["active_state"] == done["service"]["after"]["active_state"]

    def test_a_stop_that_ended_in_a_kill_says_so(self) -> None:
        host = SystemdHost("active", {"stop": ("failed-signal", {"Result": "timeout"})})
        found = service.run_on(host, params(state="stopped"), False)
        assert "was killed" in found["message"]
        assert found["changes"][0]["after"] == {"active_state": "failed"}
        assert found["undo"]["expect"] == {"active_state": "failed"}
        assert found["service"]["after"]["result"] == "timeout"


class TestBeforeTheAct:
    def test_a_service_that_does_not_exist(self) -> None:
        host = SystemdHost("not-found", commands={"systemctl": Completed(0, recorded("list-unit-files"), "")})
        error = failure(host, name="mongo")
        assert "there is no such service here" in error.what
        assert host.verbs() == []

    def test_near_names_are_offered(self) -> None:
        host = SystemdHost(
            ("not-found", {"Id": "mongo.service"}),
            commands={"systemctl": Completed(0, recorded("list-unit-files"), "")},
        )
        assert failure(host, name="mongo").hint == "Did you mean mongod.service?"

    def test_a_refusal_has_the_state_and_the_same_keys(self) -> None:
        host = SystemdHost("masked", links={LINK: "/dev/null"})
        error = failure(host, state="started")
        assert isinstance(error, Refused)
        assert LINK in error.hint
        assert error.result["changed"] is False
        assert error.result["service"]["before"]["unit_file_state"] == "masked"
        assert host.verbs() == []

    @pytest.mark.parametrize("check", [False, True])
    def test_an_invalid_configuration_touches_nothing(self, check: bool) -> None:
        host = SystemdHost("active", commands={"check": Completed(2, "", "line 7: unknown option --no-such\n")})
        error = failure(host, check, validate=["check", "--all"], budget=BUDGET, drain=["leave"])
        assert isinstance(error, Refused)
        assert "the validator exited with 2: line 7: unknown option --no-such" in error.what
        assert host.calls[1:] == [["check", "--all"]]
        assert not pathlib.Path(budget.DIRECTORY).exists()

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (CannotLook("check is not installed"), "could not be run: check is not installed"),
            (Completed(1, "", ""), "exited with 1: no message"),
        ],
    )
    def test_a_validator_that_cannot_say_yes_means_no(self, answer: t.Any, why: str) -> None:
        assert why in failure(SystemdHost("active", commands={"check": answer}), validate=["check"]).what

    def test_a_valid_configuration_is_used(self) -> None:
        host = SystemdHost("active", {"restart": NEW}, {"check": Completed(0, "ok", "")})
        assert service.run_on(host, params(validate=["check"]), False)["changed"] is True

    def test_a_stop_needs_no_valid_configuration(self) -> None:
        host = SystemdHost("active", {"stop": "inactive"}, {"check": FAILED})
        assert service.run_on(host, params(state="stopped", validate=["check"]), False)["changed"] is True

    @pytest.mark.parametrize(
        ("given", "where"),
        [
            ({"timeout": 0}, "timeout"),
            ({"timeout": float("nan")}, "timeout"),
            ({"timeout": float("inf")}, "timeout"),
            ({"steady": -1}, "steady"),
            ({"ready": {"port": 1, "timeout": 0}}, "ready.timeout"),
            ({"ready": {"port": 0}}, "ready.port"),
            ({"ready": {"port": 70000}}, "ready.port"),
            ({"budget": {"count": -1, "window": 60}}, "budget.count"),
            ({"budget": {"count": 1, "window": 0}}, "budget.window"),
            ({"validate": []}, "validate"),
            ({"drain": [""]}, "drain"),
            ({"ready": {"command": []}}, "ready.command"),
            ({"lease": "db1"}, "run_id"),
            ({"lease": "db1", "run_id": ""}, "run_id"),
            ({"name": "mongo*"}, "name"),
        ],
    )
    @pytest.mark.parametrize("check", [False, True])
    def test_bad_input(self, given: dict[str, t.Any], where: str, check: bool) -> None:
        host = SystemdHost("active")
        error = failure(host, check, **given)
        assert isinstance(error, BadInput)
        assert error.where == where
        assert host.calls == []


class TestBudget:
    def test_each_start_counts_and_one_too_many_is_refused(self) -> None:
        for pid in (97, 98):
            healthy = SystemdHost("active", {"restart": ("active", {"MainPID": pid})})
            service.run_on(healthy, params(budget=BUDGET), False)
        host = SystemdHost("active", commands={"leave": Completed(0, "", "")})
        error = failure(host, budget=BUDGET, drain=["leave"])
        assert isinstance(error, Refused)
        assert "2 of 2 starts within 3600 s" in error.what
        assert host.verbs() == []
        assert ["leave"] not in host.calls
        assert isinstance(failure(host, True, budget=BUDGET), Refused)

    def test_a_failed_start_counts_too(self) -> None:
        failure(SystemdHost("failed-signal", {"start": FAILED}, JOURNAL), state="started", budget=BUDGET)
        assert len(json.loads(pathlib.Path(budget.DIRECTORY, "mongod.service.json").read_text())["starts"]) == 1

    @pytest.mark.parametrize(
        ("case", "moves", "wanted"),
        [
            ("active", {"stop": "inactive"}, "stopped"),
            ("active-reloadable", {"reload": "active-reloadable"}, "reloaded"),
        ],
    )
    def test_neither_stop_nor_reload_counts(self, case: str, moves: t.Any, wanted: str) -> None:
        service.run_on(SystemdHost(case, moves), params(state=wanted, budget=BUDGET), False)
        assert not pathlib.Path(budget.DIRECTORY).exists()

    def test_a_failed_drain_does_not_count(self) -> None:
        failure(SystemdHost("active", {}, {**JOURNAL, "leave": FAILED}), drain=["leave"], budget=BUDGET)
        assert not pathlib.Path(budget.DIRECTORY).exists()


class TestLease:
    def test_without_it_nothing_is_touched(self) -> None:
        host = SystemdHost("active", commands={"leave": Completed(0, "", "")})
        error = failure(host, lease="db1/mongodb", run_id="run-1", drain=["leave"], budget=BUDGET)
        assert isinstance(error, Refused)
        assert "does not hold the lease db1_mongodb" in error.what
        assert (error.result["changed"], error.result["changes"], error.result["journal"]) == (False, [], [])
        assert error.result["service"]["before"]["active_state"] == "active"
        assert host.verbs() == []
        assert ["leave"] not in host.calls
        assert not pathlib.Path(budget.DIRECTORY).exists()

    def test_it_is_renewed_to_the_length_of_the_act_and_held_during_it(self) -> None:
        lease.run({"name": "db1", "state": "acquired", "ttl": 5, "run_id": "run-1", "holder": ""}, False)
        host = SystemdHost("active", {"restart": NEW})
        seen: list[lease.Seen] = []
        act = host._verb
        host._verb = lambda verb: [seen.append(lease.look("db1", "run-1")), act(verb)][1]  # type: ignore
        wanted = params(lease="db1", run_id="run-1")
        service.run_on(host, wanted, False)
        assert seen[0].busy
        assert seen[0].left == pytest.approx(service.longest(wanted), abs=2)
        assert not lease.look("db1", "run-1").busy


class TestFailure:
    def test_a_start_that_fails_tells_what_happened(self) -> None:
        host = SystemdHost("failed-signal", {"start": Completed(1, "", recorded("start-limit"))}, JOURNAL)
        error = failure(host, state="started")
        assert "systemctl start failed: Job for demo.service failed" in error.what
        assert "reset_failed: true" in error.hint
        assert error.result["journal"][-1].endswith("Stopped demo.service.")
        assert error.result["changed"] is True
        assert error.result["changes"] == [
            {
                "object": "service mongod.service",
                "before": {"active_state": "failed"},
                "after": {"active_state": "failed"},
            }
        ]
        assert error.result["service"]["after"]["exit"] == "signal 9"

    def test_a_restart_that_fails_names_the_state_it_left(self) -> None:
        host = SystemdHost("active", {"restart": ["failed-exit-code"]}, JOURNAL)
        error = failure(host)
        assert "did not stay up: it is failed (status 1)" in error.what
        assert error.result["changes"][0]["before"] == {"active_state": "active", "pid": 50}
        assert error.result["changes"][0]["after"] == {"active_state": "failed", "pid": None}
        assert error.result["undo"]["kind"] == "none"

    def test_one_that_dies_within_the_steady_window(self) -> None:
        host = SystemdHost("inactive", {"start": ["active", "active", "failed-signal"]}, JOURNAL)
        error = failure(host, state="started", steady=5)
        assert "did not stay steady for 5 s" in error.what
        assert error.result["service"]["after"]["active_state"] == "failed"

    def test_a_restart_that_left_the_old_process(self) -> None:
        host = SystemdHost("active", {"restart": "active"}, JOURNAL)
        assert "its process is still 50" in failure(host).what

    def test_a_stop_that_did_not_stop(self) -> None:
        host = SystemdHost("active", {"stop": "active"}, JOURNAL)
        error = failure(host, state="stopped")
        assert "it was stopped, but is active" in error.what
        assert error.result["changes"][0]["after"] == {"active_state": "active"}

    def test_an_unmask_stays_in_the_result_when_the_start_fails(self) -> None:
        host = SystemdHost("masked", {"unmask": "failed-signal", "start": FAILED}, JOURNAL, links={LINK: "/dev/null"})
        error = failure(host, state="started", unmask=True)
        objects = [change["object"] for change in error.result["changes"]]
        assert objects == ["mask of mongod.service", "service mongod.service"]
        assert error.result["undo"]["links"] == [LINK]

    def test_a_failed_unmask_does_not_claim_a_start(self) -> None:
        denied = Completed(1, "", recorded("start-denied"))
        host = SystemdHost("masked", {"unmask": denied}, JOURNAL, links={LINK: "/dev/null"})
        error = failure(host, state="started", unmask=True)
        assert (error.result["changed"], error.result["changes"]) == (False, [])
        assert error.hint == "Run with become: true."

    def test_a_start_that_systemd_does_not_take_on_changed_nothing_but_the_mask(self) -> None:
        refused = Completed(4, "", recorded("start-conflict"))
        host = SystemdHost("masked", {"unmask": "failed-signal", "start": refused}, JOURNAL, links={LINK: "/dev/null"})
        error = failure(host, state="started", unmask=True)
        assert [change["object"] for change in error.result["changes"]] == ["mask of mongod.service"]
        assert error.result["changes"][0]["after"] == {"links": []}
        assert error.result["undo"]["mask"] is True
        assert error.result["undo"]["expect"] == {"active_state": "failed"}

    def test_an_enablement_stays_in_the_result_when_the_start_fails(self) -> None:
        error = failure(
            SystemdHost(DISABLED, {"enable": "inactive", "start": Completed(1, "", "Job for it failed")}, JOURNAL),
            state="started",
            enable=True,
        )
        assert [one["object"] for one in error.result["changes"]] == [
            "enablement of mongod.service",
            "service mongod.service",
        ]
        undo = error.result["undo"]["steps"]
        assert undo[0]["expect"] == {"active_state": "inactive"}
        assert undo[1] == DISABLE

    def test_a_start_that_is_not_taken_on_leaves_the_enablement_alone_to_undo(self) -> None:
        refused = Completed(1, "", "Failed to start mongod.service: Access denied")
        error = failure(
            SystemdHost(DISABLED, {"enable": "inactive", "start": refused}, JOURNAL), state="started", enable=True
        )
        assert error.result["undo"] == DISABLE

    def test_a_failed_drain_leaves_the_service_running(self) -> None:
        host = SystemdHost("active", {}, {**JOURNAL, "leave": Completed(1, "", "pool does not answer\n")})
        error = failure(host, drain=["leave", "pool"])
        assert "the drain command exited with 1: pool does not answer" in error.what
        assert host.verbs() == []
        assert error.where == "mongod.service"
        assert error.result["undo"] == {"kind": "none", "reason": "the service itself was not touched"}
        assert error.result["changes"] == [
            {"object": "drain of mongod.service", "before": {"command": None}, "after": {"command": ["leave", "pool"]}}
        ]

    def test_a_journal_that_cannot_be_read_does_not_hide_the_failure(self) -> None:
        host = SystemdHost("inactive", {"start": FAILED}, {"journalctl": CannotLook("journalctl is not installed")})
        error = failure(host, state="started")
        assert "systemctl start failed" in error.what
        assert error.result["journal"] == ["(journalctl is not installed)"]

    def test_a_manager_that_no_longer_answers_leaves_after_empty(self) -> None:
        host = SystemdHost("inactive", {"start": FAILED}, JOURNAL)
        looks = iter([host.run, host.run])

        def run(argv: t.Any, *rest: t.Any) -> Completed:
            if argv[0] == "env":
                return next(looks, lambda *_: Completed(1, "", "Failed to get D-Bus connection"))(argv, *rest)
            return SystemdHost.run(host, argv, *rest)

        host.run = run  # type: ignore[method-assign]
        error = failure(host, state="started")
        assert error.result["service"]["after"] is None
        assert error.result["service"]["before"]["active_state"] == "inactive"
        assert "D-Bus" in error.result["journal"][0]


class StoppedHost(SystemdHost):
    """A host whose service is a real process that a signal stopped; systemctl kill lets it go on, or does nothing."""

    def __init__(self, stopped: int, works: bool) -> None:
        super().__init__(("active", {"MainPID": stopped}), {"kill": ("active", {"MainPID": stopped})}, JOURNAL)
        self._stopped, self._works = stopped, works

    def _verb(self, verb: str) -> Completed:
        if verb == "kill" and self._works:
            os.kill(self._stopped, signal.SIGCONT)
            _wait_until(lambda: _letter(self._stopped) != "T")
        return super()._verb(verb)


def _letter(pid: int) -> str:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _wait_until(condition: t.Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def stopped() -> t.Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        os.kill(process.pid, signal.SIGSTOP)
        _wait_until(lambda: _letter(process.pid) == "T")
        yield process.pid
        process.kill()


class TestResume:
    def test_its_process_goes_on(self, stopped: int) -> None:
        host = StoppedHost(stopped, works=True)
        found = service.run_on(host, params(state="resumed"), False)
        assert host.calls[1] == [
            *("systemctl", "--no-ask-password", "--kill-who=all", "--signal=CONT", "kill", "--", "mongod.service")
        ]
        assert (found["changed"], found["undo"]["kind"], _letter(stopped)) == (True, "none", "S")
        assert service.run_on(host, params(state="resumed"), False)["changed"] is False

    def test_check_mode_only_says_so(self, stopped: int) -> None:
        host = StoppedHost(stopped, works=True)
        assert service.run_on(host, params(state="resumed"), True)["changes"][0]["after"] == {"suspended": False}
        assert _letter(stopped) == "T"

    def test_one_that_stays_stopped_is_a_failure(self, stopped: int) -> None:
        error = failure(StoppedHost(stopped, works=False), state="resumed")
        assert "stopped again" in error.what
        assert error.result["changes"][0]["after"] == {"suspended": True}


class TestDeletedFiles:
    """A restart would lose a file that was deleted while the service has it open."""

    @pytest.fixture
    def held(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[pathlib.Path]:
        path = tmp_path / "data" / "a.sqlite"
        path.parent.mkdir()
        with path.open("w") as stream:
            stream.write("data")
            path.unlink()
            mine = _proc.unit

            def unit(host: t.Any, pid: int) -> str | None:
                return "mongod.service" if pid == os.getpid() else mine(host, pid)

            monkeypatch.setattr(_proc, "unit", unit)
            yield path

    @pytest.mark.parametrize("check", [False, True])
    @pytest.mark.parametrize("wanted", ["restarted", "stopped"])
    def test_it_is_refused(self, held: pathlib.Path, wanted: str, check: bool) -> None:
        host = LookingHost("active")
        error = failure(host, check=check, state=wanted, protect=[str(held.parent)])
        assert isinstance(error, Refused)
        assert str(held) in error.what
        assert f"/proc/{os.getpid()}/fd" in error.hint
        assert host.verbs() == []

    def test_elsewhere_or_unasked_it_does_not_matter(self, held: pathlib.Path, tmp_path: pathlib.Path) -> None:
        for protect in ([str(tmp_path / "other")], []):
            host = LookingHost("active", {"restart": NEW})
            assert service.run_on(host, params(protect=protect), False)["changed"] is True

    def test_a_service_that_does_not_run_has_none_open(self, held: pathlib.Path) -> None:
        host = LookingHost("failed-signal", {"restart": NEW})
        assert service.run_on(host, params(protect=[str(held.parent)]), False)["changed"] is True

    def test_could_not_tell_is_no(self, monkeypatch: pytest.MonkeyPatch, held: pathlib.Path) -> None:
        monkeypatch.setattr(_proc, "descriptors", _forbidden)
        error = failure(LookingHost("active"), protect=[str(held.parent)])
        assert "nobody can tell" in error.what


def _forbidden(host: t.Any, pid: int) -> dict[str, str]:
    raise PermissionError(13, "Permission denied")


class LookingHost(LocalHost):
    """The real /proc, and the systemctl of SystemdHost."""

    def __init__(self, *arguments: t.Any) -> None:
        super().__init__()
        self._systemd = SystemdHost(*arguments)
        self.run, self.verbs = self._systemd.run, self._systemd.verbs  # type: ignore[method-assign]
