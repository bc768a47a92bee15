# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ast
import inspect
import pathlib
import socket
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.collectors import _proc
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, CannotLook, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost
from ansible_collections.ops.runbook.plugins.module_utils.platforms import contract, systemd
from ansible_collections.ops.runbook.plugins.module_utils.platforms.systemd import Systemd
from systemd_host import FIXTURES, SystemdHost, recorded

CASES = sorted(path.stem[len("252-show-") :] for path in FIXTURES.glob("252-show-*.txt"))
ETC, RUN = "/etc/systemd/system/mongod.service", "/run/systemd/system/mongod.service"
NO_UNITS = recorded("list-unit-files")


def state(case: str, **replaced: t.Any) -> dict[str, t.Any]:
    return Systemd(SystemdHost((case, replaced)), "mongod").state()


def some(found: dict[str, t.Any], wanted: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key: found[key] for key in wanted}


class TestContract:
    @pytest.mark.parametrize("case", CASES)
    def test_every_recorded_state_has_exactly_the_fields_of_the_contract(self, case: str) -> None:
        found = state(case)
        assert set(found) == set(contract.STATE)
        for field in ("need_reload", "can_reload", "runs_once"):
            assert isinstance(found[field], bool)
        assert found["pid"] is None or found["pid"] > 0

    def test_every_verb_is_there_with_the_same_arguments(self) -> None:
        tree = ast.parse(pathlib.Path(contract.__file__).read_text())
        service = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
        verbs = [node for node in service.body if isinstance(node, ast.FunctionDef)]
        wanted = {verb.name: [one.arg for one in verb.args.args] for verb in verbs}
        assert len(wanted) == 14
        found = {name: list(inspect.signature(getattr(Systemd, name)).parameters) for name in wanted}
        assert found == wanted


class TestState:
    def test_running(self) -> None:
        wanted = {
            "name": "mongod.service",
            "load_state": "loaded",
            "active_state": "active",
            "sub_state": "running",
            "unit_file_state": "enabled",
            "masks": [],
            "pid": 50,
            "started_at": "2026-11-20T15:56:38.000Z",
            "restarts": 0,
            "result": "success",
            "exit": None,
            "restart_delay": None,
            "need_reload": False,
            "can_reload": False,
            "runs_once": False,
            "suspended": False,
            "load_error": "",
        }
        assert state("active") == wanted

    @pytest.mark.parametrize(
        ("case", "wanted"),
        [
            (
                "failed-signal",
                {"active_state": "failed", "pid": None, "started_at": None, "result": "signal", "exit": "signal 9"},
            ),
            (
                "failed-exit-code",
                {"active_state": "failed", "result": "exit-code", "exit": "status 1", "runs_once": True},
            ),
            ("auto-restart", {"active_state": "activating", "sub_state": "auto-restart", "restart_delay": 90.0}),
            ("deactivating", {"active_state": "deactivating", "pid": None}),
            ("need-reload", {"active_state": "active", "need_reload": True}),
            ("oneshot-done", {"active_state": "inactive", "runs_once": True, "result": "success", "exit": None}),
            ("active-reloadable", {"can_reload": True}),
            ("not-found", {"load_state": "not-found", "load_error": "Unit nothere.service not found."}),
            ("deleted", {"load_state": "not-found", "active_state": "active"}),
        ],
    )
    def test_others(self, case: str, wanted: dict[str, t.Any]) -> None:
        assert some(state(case), wanted) == wanted

    def test_a_oneshot_that_remains_is_not_one_that_ends(self) -> None:
        assert state("oneshot-done", RemainAfterExit="yes")["runs_once"] is False

    def test_a_service_without_a_main_process_began_when_it_became_active(self) -> None:
        assert state("active", MainPID=0)["started_at"] == "2026-11-20T15:56:38.000Z"

    def test_an_old_systemd_does_not_count_restarts(self) -> None:
        assert state("active", NRestarts="")["restarts"] is None

    def test_a_core_dump(self) -> None:
        assert state("failed-signal", ExecMainCode=3, ExecMainStatus=6)["exit"] == "signal 6 with a core dump"

    def test_masks_are_the_links_to_dev_null(self) -> None:
        host = SystemdHost("masked", links={ETC: "/dev/null", RUN: "elsewhere"})
        assert Systemd(host, "mongod").state()["masks"] == [ETC]

    def test_a_mask_that_came_with_the_package(self) -> None:
        vendor = "/lib/systemd/system/mongod.service"
        host = SystemdHost(("masked", {"FragmentPath": vendor}), links={vendor: "/dev/null"})
        assert Systemd(host, "mongod").state()["masks"] == [vendor]

    def test_the_canonical_name_is_used_from_then_on(self) -> None:
        service = Systemd(SystemdHost("active"), "mongodb")
        service.state()
        assert service.name == "mongod.service"

    def test_a_machine_without_systemd_running(self) -> None:
        host = SystemdHost("active")
        host.run = lambda *_: Completed(1, "", "System has not been booted with systemd as init system (PID 1).\n")  # type: ignore[method-assign]
        with pytest.raises(CannotLook, match="has not been booted with systemd") as caught:
            Systemd(host, "mongod").state()
        assert "ps -p 1" in caught.value.hint

    def test_a_machine_without_systemctl(self, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
        (tmp_path / "env").symlink_to("/usr/bin/env")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(CannotLook, match="systemctl is not installed"):
            Systemd(LocalHost(), "mongod").state()


@pytest.mark.parametrize("name", ["", "mongo*", "--force", ".hidden", "a/b", "x" * 256, "two units", "a;b", "mon\nod"])
def test_names_that_could_reach_other_units_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match="cannot be the name of a unit"):
        Systemd(SystemdHost("active"), name)


@pytest.mark.parametrize("name", ["mongod", "getty@tty1.service", r"dev-disk\x2d1.mount", "a:b", "x_y-z.socket"])
def test_names_that_units_have(name: str) -> None:
    assert systemd.unit_name(name) == name


class TestVerbs:
    @pytest.mark.parametrize(
        ("verb", "argv"),
        [
            ("start", ["--job-mode=fail", "start", "--", "mongod.service"]),
            ("restart", ["--job-mode=fail", "restart", "--", "mongod"]),
            ("reload", ["--job-mode=fail", "reload", "--", "mongod"]),
            ("stop", ["stop", "--", "mongod"]),
        ],
    )
    def test_how_systemctl_is_called(self, verb: str, argv: list[str]) -> None:
        host = SystemdHost("failed-signal", {verb: "active"})
        getattr(Systemd(host, "mongod"), verb)(30)
        assert host.calls[-1] == ["systemctl", "--no-ask-password", *argv]

    def test_a_start_does_not_wait_for_the_automatic_restart(self) -> None:
        host = SystemdHost("auto-restart", {"restart": "active"})
        Systemd(host, "demo").start(30)
        assert host.verbs() == ["restart"]

    def test_flags(self) -> None:
        host = SystemdHost("active", {"reset-failed": "active", "daemon-reload": "active", "enable": "active"})
        Systemd(host, "mongod").reset_failed()
        Systemd(host, "mongod").daemon_reload()
        Systemd(host, "mongod").enable()
        assert host.calls == [
            ["systemctl", "--no-ask-password", "reset-failed", "--", "mongod"],
            ["systemctl", "--no-ask-password", "daemon-reload"],
            ["systemctl", "--no-ask-password", "enable", "--", "mongod"],
        ]

    @pytest.mark.parametrize(
        ("name", "kind", "said", "hint"),
        [
            ("start-exit-code", OpsError, "Job for wrong.service failed because the control process exited", ""),
            ("start-limit", OpsError, "Job for demo.service failed because a fatal signal was delivered", ""),
            ("start-conflict", Refused, "is destructive", ""),
            ("start-masked", Refused, "is masked", ""),
            ("start-bad-setting", Refused, "bad unit file setting", ""),
            ("start-denied", Refused, "Access denied", "become: true"),
        ],
    )
    def test_a_failure_says_what_systemctl_said(self, name: str, kind: type[OpsError], said: str, hint: str) -> None:
        host = SystemdHost("active", {"restart": Completed(1, "", recorded(name))})
        with pytest.raises(kind, match="systemctl restart failed: ") as caught:
            Systemd(host, "mongod").restart(30)
        assert type(caught.value) is kind
        assert said in caught.value.what
        assert hint in caught.value.hint
        assert "\n" not in caught.value.what

    @pytest.mark.parametrize("said", ["Failed to start x.service: Connection timed out", "Failed to connect to bus"])
    def test_without_an_answer_nobody_knows_whether_it_was_taken_on(self, said: str) -> None:
        host = SystemdHost("active", {"restart": Completed(1, "", said)})
        with pytest.raises(OpsError) as caught:
            Systemd(host, "mongod").restart(30)
        assert not isinstance(caught.value, Refused)

    def test_a_job_that_takes_too_long_goes_on_in_systemd(self) -> None:
        host = SystemdHost("active", {"stop": CannotLook("systemctl --no-ask-password ... did not end within 3 s")})
        with pytest.raises(OpsError, match=r"^mongod: systemctl stop did not end within 3 s") as caught:
            Systemd(host, "mongod").stop(3)
        assert "list-jobs" in caught.value.hint
        assert not isinstance(caught.value, CannotLook)


class TestUnmask:
    def test_the_links_removed_are_named(self) -> None:
        host = SystemdHost("masked", {"unmask": "failed-signal"}, links={ETC: "/dev/null"})
        assert Systemd(host, "mongod").unmask() == [ETC]
        assert host.verbs() == ["unmask"]

    def test_a_mask_until_reboot_needs_a_call_of_its_own(self) -> None:
        moves = {"unmask": iter(["masked-runtime", "failed-signal"])}
        host = SystemdHost("masked-runtime", moves, links={RUN: "/dev/null"})
        assert Systemd(host, "mongod").unmask() == [RUN]
        assert ["systemctl", "--no-ask-password", "--runtime", "unmask", "--", "mongod.service"] in host.calls

    def test_a_mask_that_stays_is_a_failure(self) -> None:
        host = SystemdHost("masked", {"unmask": "masked"}, links={ETC: "/dev/null"})
        with pytest.raises(OpsError, match="still masked"):
            Systemd(host, "mongod").unmask()


class TestLogs:
    def test_the_last_lines_oldest_first(self) -> None:
        host = SystemdHost("active", commands={"journalctl": Completed(0, recorded("journal-start-limit"), "")})
        lines = Systemd(host, "demo").logs(1795189716.5, 16)
        assert len(lines) == 16
        assert lines[-1].endswith("Stopped demo.service.")
        assert lines == sorted(lines, key=lambda line: line[:24])
        assert host.calls[0] == ["journalctl", "--sync"]
        assert {"--reverse", "@1795189716.500", "16"} <= set(host.calls[1])

    def test_a_journal_that_may_not_be_read(self) -> None:
        said = "No journal files were opened due to insufficient permissions.\n"
        host = SystemdHost("active", commands={"journalctl": Completed(1, "", said)})
        with pytest.raises(CannotLook, match="insufficient permissions"):
            Systemd(host, "demo").logs(0, 5)


def test_units_that_look_like_it_are_named() -> None:
    host = SystemdHost("not-found", commands={"systemctl": Completed(0, NO_UNITS, "")})
    assert Systemd(host, "mongo").candidates() == ["mongod.service"]
    assert "mongod.service" in Systemd(host, "mongodb").candidates()
    assert Systemd(host, "zzz").candidates() == []


class TestPort:
    """On real sockets of this machine; no process of it is in the control group of mongod.service."""

    def test_nobody_listens(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            why = Systemd(SystemdHost("active"), "mongod").port_problem(port, "127.0.0.1", 1)
        assert why == f"port {port} on 127.0.0.1: refused"

    @pytest.mark.parametrize(("unit", "foreign"), [("mongod.service", True), ("pytest.scope", False)])
    def test_whose_listener_it_is(self, monkeypatch: pytest.MonkeyPatch, unit: str, foreign: bool) -> None:
        monkeypatch.setattr(_proc, "unit", lambda _host, _pid: "pytest.scope")  # this machine has no systemd
        host = SystemdHost(("active", {"Id": unit}))
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            service = Systemd(host, unit)
            why = service.port_problem(port, "127.0.0.1", 1)
        assert (f"port {port} is held by" in why and "not by mongod.service" in why) if foreign else why == ""


@pytest.mark.parametrize(
    ("replaced", "logs", "wanted"),
    [
        ({"Result": "start-limit-hit"}, [], "reset_failed: true"),
        ({}, recorded("journal-start-limit").splitlines(), "reset_failed: true"),
        ({"Result": "oom-kill"}, [], "MemoryMax"),
        ({}, [], "systemctl status mongod.service; journalctl -u mongod.service"),
    ],
)
def test_advice(replaced: dict[str, str], logs: list[str], wanted: str) -> None:
    service = Systemd(SystemdHost(("failed-signal", replaced)), "mongod")
    assert wanted in service.advice(service.state(), logs)
