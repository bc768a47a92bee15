# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket
import time
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.collectors import _proc
from ansible_collections.ops.runbook.plugins.module_utils.errors import CannotLook, OpsError
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost
from ansible_collections.ops.runbook.plugins.module_utils.platforms import watch
from ansible_collections.ops.runbook.plugins.module_utils.platforms.systemd import Systemd
from systemd_host import SystemdHost


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_POLL", 0.01)


def state(case: str, **replaced: t.Any) -> dict[str, t.Any]:
    return Systemd(SystemdHost((case, replaced)), "mongod").state()


def service(*cases: t.Any, commands: dict[str, t.Any] | None = None) -> tuple[Systemd, SystemdHost]:
    host = SystemdHost(cases[0], commands=commands)
    host.states = list(cases)
    return Systemd(host, "mongod"), host


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("active", "active"),
        ("failed-signal", "failed (signal 9)"),
        ("failed-exit-code", "failed (status 1)"),
        ("auto-restart", "activating (auto-restart, signal 9)"),
        ("inactive", "inactive"),
        ("oneshot-done", "inactive"),
        ("deactivating", "deactivating (stop-post, signal 15)"),
    ],
)
def test_describe(case: str, text: str) -> None:
    assert watch.describe(state(case)) == text


def test_describe_names_the_result_where_no_process_ended() -> None:
    assert watch.describe(state("failed-signal", ExecMainCode=0, Result="timeout")) == "failed (timeout)"


class TestReady:
    def test_running_is_enough_when_nothing_else_is_asked(self) -> None:
        assert watch.wait_ready(*service("active"), {"timeout": 1})["pid"] == 50

    def test_it_waits_while_the_service_is_starting(self) -> None:
        starting = ("active", {"ActiveState": "activating", "SubState": "start"})
        assert watch.wait_ready(*service(starting, starting, "active"), {"timeout": 5})["active_state"] == "active"

    @pytest.mark.parametrize("case", ["failed-signal", "inactive"])
    def test_a_service_that_died_is_not_waited_for(self, case: str) -> None:
        began = time.monotonic()
        with pytest.raises(OpsError, match=r"did not stay up: it is (failed|inactive)"):
            watch.wait_ready(*service("auto-restart", case), {"timeout": 30})
        assert time.monotonic() - began < 5

    def test_one_that_ends_when_its_work_is_done_is_ready(self) -> None:
        assert watch.wait_ready(*service("oneshot-done"), {"timeout": 1})["active_state"] == "inactive"

    def test_one_whose_work_failed_is_not(self) -> None:
        with pytest.raises(OpsError, match=r"it is failed \(status 1\)"):
            watch.wait_ready(*service("failed-exit-code"), {"timeout": 1})

    def test_a_crash_loop_ends_with_the_reason(self) -> None:
        with pytest.raises(OpsError, match=r"not ready within 0.1 s: it is activating \(auto-restart, signal 9\)"):
            watch.wait_ready(*service("auto-restart"), {"timeout": 0.1})

    def test_the_port_must_accept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_proc, "unit", lambda _host, _pid: "mongod.service")  # this process plays the server
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            ready = {"timeout": 0.1, "port": bound.getsockname()[1], "host": "127.0.0.1"}
            with pytest.raises(OpsError, match=r"not ready within 0.1 s: port .* refused"):
                watch.wait_ready(*service("active"), ready)
            bound.listen()
            assert watch.wait_ready(*service("active"), ready)["active_state"] == "active"

    def test_the_command_must_exit_with_0(self) -> None:
        answers = iter([Completed(1, "", "warming up\nnot yet\n"), Completed(0, "ok", "")])
        found, host = service("active", commands={"check": answers})
        watch.wait_ready(found, host, {"timeout": 5, "command": ["check", "it"]})
        assert [call for call in host.calls if call[0] == "check"] == [["check", "it"]] * 2

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (Completed(3, "", "first\nlast words\n"), "check exited with 3: last words"),
            (Completed(3, "", ""), "check exited with 3"),
            (CannotLook("check did not end within 1 s"), "check did not end within 1 s"),
        ],
    )
    def test_why_the_command_says_no(self, answer: t.Any, why: str) -> None:
        found, host = service("active", commands={"check": answer})
        with pytest.raises(OpsError) as caught:
            watch.wait_ready(found, host, {"timeout": 0.05, "command": ["check"]})
        assert caught.value.what == f"it was not ready within 0.05 s: {why}"

    def test_a_real_command_that_hangs_is_cut_off(self) -> None:
        began = time.monotonic()
        found, _ = service("active")
        with pytest.raises(OpsError, match="did not end within"):
            watch.wait_ready(found, LocalHost(), {"timeout": 0.5, "command": ["sleep", "30"]})
        assert time.monotonic() - began < 5


class TestSteady:
    def test_it_watches_for_the_whole_window(self) -> None:
        found, host = service("active")
        began = time.monotonic()
        assert watch.hold_steady(found, host, None, 0.3, state("active"))["pid"] == 50
        assert time.monotonic() - began >= 0.3
        assert len(host.calls) > 3

    def test_no_window_no_look(self) -> None:
        found, host = service("failed-signal")
        assert watch.hold_steady(found, host, {"timeout": 1, "command": ["x"]}, 0, state("active"))["pid"] == 50
        assert host.calls == []

    @pytest.mark.parametrize(
        ("later", "why"),
        [
            ("failed-signal", r"it is failed \(signal 9\)"),
            ("auto-restart", r"it is activating \(auto-restart, signal 9\)"),
            (("active", {"MainPID": 51}), "its process changed from 50 to 51"),
            (("active", {"NRestarts": 1}), "it was restarted automatically"),
        ],
    )
    def test_what_is_not_steady(self, later: t.Any, why: str) -> None:
        with pytest.raises(OpsError, match=f"did not stay steady for 5 s: after .* s {why}"):
            watch.hold_steady(*service("active", later), None, 5, state("active"))

    def test_a_stopped_service_that_comes_back(self) -> None:
        with pytest.raises(OpsError, match=r"did not stay steady .* it is active"):
            watch.hold_steady(*service("inactive", "active"), None, 5, state("inactive"))

    def test_a_stopped_service_that_stays_so(self) -> None:
        assert watch.hold_steady(*service("inactive"), None, 0.05, state("inactive"))["active_state"] == "inactive"

    def test_readiness_is_seen_again_at_the_end(self) -> None:
        found, host = service("active", commands={"check": Completed(1, "", "gone")})
        with pytest.raises(OpsError, match=r"it was ready, but no longer is after 0.05 s: check exited with 1: gone"):
            watch.hold_steady(found, host, {"timeout": 1, "command": ["check"]}, 0.05, state("active"))
