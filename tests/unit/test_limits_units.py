# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of services: a drop-in of ours, put in force, seen in the running process, or else put back."""

from __future__ import annotations

import os
import resource
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import (
    files,
    limits,
    limits_directives,
    limits_kernel,
    limits_unit,
    managed_file,
    undo,
    unit_change,
)
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from small_systemd import SmallSystemd, WriteKiller, small_host
from test_files import in_child, root_only
from test_limits import KEYS, params, statuses

pytestmark = root_only
LINE = "90-ops-runbook-t1.conf"
UNIT = "[Service]\nExecStart=exec sleep 600\nLimitNOFILE=512:4000\n"
Json = dict[str, t.Any]


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[SmallSystemd]:
    """A host with app.service (512:4000 files) running, and idle.service not."""
    with small_host(monkeypatch, UNIT, ["app.service"], ["idle.service"]) as small:
        yield small


def run(systemd: SmallSystemd, check: bool = False, **given: t.Any) -> Json:
    answer = limits.run_on(systemd, params(**{"steady": 0, **given}), check)  # type: ignore[arg-type]
    assert set(answer) == KEYS
    return answer


def failed(kind: type[OpsError], systemd: SmallSystemd, **given: t.Any) -> OpsError:
    with pytest.raises(OpsError) as caught:
        run(systemd, **given)
    assert type(caught.value) is kind, caught.value
    assert set(caught.value.result) == KEYS
    assert caught.value.result["message"] == str(caught.value)
    return caught.value


def drop_in(systemd: SmallSystemd, unit: str = "app.service") -> list[str] | None:
    path = systemd.top / "etc" / f"{unit}.d" / LINE
    return path.read_text().splitlines()[1:] if path.exists() else None


def files_of(systemd: SmallSystemd) -> Json:
    return {
        str(path): (path.read_bytes(), path.stat().st_mode)
        for path in sorted((systemd.top / "etc").rglob("*"))
        if path.is_file()
    }


APP: Json = {"units": {"app": {"LimitNOFILE": 2000}}}


# ---- what is done


def test_a_limit_is_in_the_process_after_the_restart(systemd: SmallSystemd) -> None:
    pid = systemd.pid("app.service")
    answer = run(systemd, **APP, restart=True, run_id="r")
    assert drop_in(systemd) == ["[Service]", "LimitNOFILE=2000:4000"]
    assert systemd.limits("app.service", "Max open files") == ["2000", "4000"]
    assert systemd.pid("app.service") != pid
    assert systemd.told == ["daemon-reload", "restart app.service"]
    assert answer["limits"][0] == {
        "object": "app.service",
        "item": "LimitNOFILE",
        "type": "soft",
        "before": 512,
        "wanted": 2000,
        "after": 2000,
        "status": "applied",
        "note": "",
    }
    assert statuses(answer) == ["applied", "better_kept"]
    assert answer["limits"][1]["after"] == 4000
    assert (answer["restarted"], answer["restart_needed"]) == (["app.service"], [])
    assert [change["object"] for change in answer["changes"]] == [
        "limit LimitNOFILE (soft) of app.service",
        str(systemd.top / "etc" / "app.service.d" / LINE),
        "service app.service",
    ]
    assert answer["undo"]["steps"][-1] == {"kind": "definition", "name": "app.service", "restarted": True}
    assert answer["undo"]["steps"][0]["folders"] == [str(systemd.top / "etc" / "app.service.d")]
    assert answer["message"] == "limits of t1: 1 applied, 1 better_kept; restarted: app.service"


def test_undoing_brings_files_and_process_back(systemd: SmallSystemd) -> None:
    before = files_of(systemd)
    answer = run(systemd, **APP, restart=True, run_id="r")
    undo.replay_on(systemd, answer["undo"]["steps"], "r2", False)  # type: ignore[arg-type]
    assert files_of(systemd) == before
    assert not (systemd.top / "etc" / "app.service.d").exists()
    assert systemd.limits("app.service", "Max open files") == ["512", "4000"]


def test_a_second_run_changes_and_restarts_nothing(systemd: SmallSystemd) -> None:
    run(systemd, **APP, restart=True)
    pid = systemd.pid("app.service")
    systemd.told.clear()
    answer = run(systemd, **APP, restart=True)
    assert (answer["changed"], answer["changes"], answer["restarted"]) == (False, [], [])
    assert statuses(answer) == ["already", "better_kept"]
    assert (systemd.told, systemd.pid("app.service")) == ([], pid)


def test_check_mode_says_the_same_and_does_nothing(systemd: SmallSystemd) -> None:
    pid = systemd.pid("app.service")
    predicted = run(systemd, check=True, **APP, restart=True, run_id="r")
    assert (files_of(systemd), systemd.told, systemd.pid("app.service")) == ({}, [], pid)
    assert not (systemd.top / "state").exists()
    assert predicted == run(systemd, **APP, restart=True, run_id="r")


def test_without_leave_the_service_is_not_restarted_but_named(systemd: SmallSystemd) -> None:
    pid = systemd.pid("app.service")
    answer = run(systemd, **APP)
    assert systemd.told == ["daemon-reload"]
    assert systemd.pid("app.service") == pid
    assert (answer["restarted"], answer["restart_needed"]) == ([], ["app.service"])
    assert answer["limits"][0]["after"] == 512
    assert answer["limits"][0]["note"] == "in effect from its next start"
    assert answer["message"].endswith("; to be restarted: app.service")
    assert answer["undo"]["steps"][-1]["restarted"] is False
    again = run(systemd, **APP)
    assert (again["changed"], again["restart_needed"]) == (False, ["app.service"])
    assert again["limits"][0]["status"] == "already"
    later = run(systemd, **APP, restart=True)
    assert [change["object"] for change in later["changes"]] == ["service app.service"]
    assert later["undo"] == {"kind": "none", "reason": "the process that was replaced is gone"}
    assert systemd.limits("app.service", "Max open files") == ["2000", "4000"]


def test_a_service_that_does_not_run_gets_its_limits_at_its_next_start(systemd: SmallSystemd) -> None:
    answer = run(systemd, units={"idle.service": {"LimitNOFILE": 2000}}, restart=True)
    assert (answer["restarted"], answer["restart_needed"]) == ([], [])
    assert answer["limits"][0]["note"] == "it does not run: in effect from its next start"
    assert systemd.pid("idle.service") is None
    systemd.run(["systemctl", "start", "--", "idle.service"])
    assert systemd.limits("idle.service", "Max open files") == ["2000", "4000"]


def test_several_units_are_reloaded_once(systemd: SmallSystemd) -> None:
    run(
        systemd,
        units={"app": {"LimitNOFILE": 2000}, "idle": {"LimitCORE": "0:0"}},
        allow_lowering=["core"],
        restart=True,
    )
    assert systemd.told == ["daemon-reload", "restart app.service"]
    assert drop_in(systemd, "idle.service") == ["[Service]", "LimitCORE=0:0"]


def test_a_higher_limit_is_kept_unless_it_may_be_lowered(systemd: SmallSystemd) -> None:
    low = {"units": {"app": {"LimitNOFILE": 300}}, "restart": True}
    answer = run(systemd, **low)
    assert statuses(answer) == ["better_kept", "better_kept"]
    assert (answer["changed"], drop_in(systemd)) == (False, None)
    answer = run(systemd, **low, allow_lowering=["LimitNOFILE"])
    assert statuses(answer) == ["applied", "applied"]
    assert systemd.limits("app.service", "Max open files") == ["300", "300"]
    assert statuses(run(systemd, **low)) == ["already", "already"]
    # what we had set before is kept like any other
    assert statuses(run(systemd, units={"app": {"LimitNOFILE": 200}})) == ["better_kept", "better_kept"]
    assert drop_in(systemd) == ["[Service]", "LimitNOFILE=300:300"]


def test_infinitely_many_files_are_as_many_as_anybody_may_have(
    systemd: SmallSystemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard = limits_kernel.limits_of("self")["nofile"][1]
    (tmp_path / "nr_open").write_text(f"{hard}\n")
    monkeypatch.setattr(limits_kernel, "NR_OPEN", str(tmp_path / "nr_open"))
    answer = run(systemd, units={"app": {"LimitNOFILE": "infinity"}}, restart=True)
    assert drop_in(systemd) == ["[Service]", "LimitNOFILE=infinity:infinity"]
    assert [row["after"] for row in answer["limits"]] == [hard, hard]
    assert run(systemd, units={"app": {"LimitNOFILE": "infinity"}}, restart=True)["changed"] is False


def test_a_process_that_raises_its_own_limit_is_not_restarted_for_ever(systemd: SmallSystemd) -> None:
    """As every Go program does, from the soft to the hard limit."""
    systemd.write("app.service", UNIT.replace("exec sleep", "ulimit -Sn 4000; exec sleep"))
    systemd.run(["systemctl", "restart", "--", "app.service"])
    answer = run(systemd, **APP, restart=True)
    assert answer["limits"][0]["note"] == "the process raised it itself"
    assert answer["limits"][0]["after"] == 4000
    again = run(systemd, **APP, restart=True)
    assert (again["changed"], again["restarted"], statuses(again)) == (False, [], ["already", "better_kept"])


def test_absent_removes_the_files_of_all_units(systemd: SmallSystemd) -> None:
    run(systemd, units={"app": {"LimitNOFILE": 2000}, "idle": {"LimitNOFILE": 1000}}, restart=True)
    answer = run(systemd, state="absent", restart=True, run_id="r")
    assert drop_in(systemd) is drop_in(systemd, "idle.service") is None
    assert answer["restarted"] == ["app.service"]
    assert systemd.limits("app.service", "Max open files") == ["512", "4000"]
    rows = [(row["object"], row["type"], row["before"], row["wanted"], row["after"]) for row in answer["limits"]]
    assert rows == [
        ("app.service", "soft", 2000, None, 512),
        ("app.service", "hard", 4000, None, 4000),
        ("idle.service", "soft", 1000, None, 512),
        ("idle.service", "hard", 4000, None, 4000),
    ]
    undo.replay_on(systemd, answer["undo"]["steps"], "r2", False)  # type: ignore[arg-type]
    assert systemd.limits("app.service", "Max open files") == ["2000", "4000"]
    assert run(systemd, state="absent", name="other")["changed"] is False


def test_absent_removes_the_file_of_a_service_that_is_gone(systemd: SmallSystemd) -> None:
    systemd.drop_in("gone.service", LINE, "[Service]\nLimitNOFILE=1\n")
    assert run(systemd, state="absent")["changed"] is True
    assert drop_in(systemd, "gone.service") is None


def test_somebody_s_changed_definition_is_put_in_force_first(systemd: SmallSystemd) -> None:
    """A rerun after a crash between the file and daemon-reload finds it like this."""
    systemd.drop_in("app.service", LINE, "# title\n[Service]\nLimitNOFILE=2000:4000\n")
    answer = run(systemd, **APP, restart=True)
    assert systemd.told == ["daemon-reload", "restart app.service"]
    assert answer["limits"][0]["after"] == 2000
    assert run(systemd, **APP, restart=True)["changed"] is False


# ---- what is refused, before anything is written


@pytest.mark.parametrize(
    ("units", "kind", "says"),
    [
        ({"ap": {"LimitNOFILE": 1}}, BadInput, "there is no such service here. Did you mean app.service"),
        ({"nothing-like-it": {"LimitNOFILE": 1}}, BadInput, "systemctl list-unit-files"),
        (
            {"app@": {"LimitNOFILE": 1}},
            BadInput,
            "it is a template. Name one of its instances, such as app@one.service",
        ),
        ({"app@.service": {"LimitNOFILE": 1}}, BadInput, "template"),
        ({"a*": {"LimitNOFILE": 1}}, BadInput, "cannot be the name of a unit"),
        ({"a/b": {"LimitNOFILE": 1}}, BadInput, "cannot be the name of a unit"),
        ({"-p": {"LimitNOFILE": 1}}, BadInput, "cannot be the name of a unit"),
        ({"app.timer": {"LimitNOFILE": 1}}, BadInput, "it is no service"),
        ({"masked": {"LimitNOFILE": 1}}, Refused, "it is masked"),
        ({"broken": {"LimitNOFILE": 1}}, Refused, "cannot be loaded (bad-setting): It is broken."),
        ({"app": {"LimitNOFILE": 1}, "app.service": {"LimitNOFILE": 2}}, BadInput, "it is named twice"),
        ({"app": {"LimitNOFILES": 1}}, BadInput, "'LimitNOFILES' is no limit of systemd"),
        ({"app": {"LimitNOFILE": "x"}}, BadInput, "'x' is no value of LimitNOFILE"),
        ({"app": {}}, BadInput, "it names no limit"),
        ({"app": 5}, BadInput, "it names no limit"),
    ],
)
def test_what_makes_no_sense_is_said(systemd: SmallSystemd, units: Json, kind: type[OpsError], says: str) -> None:
    systemd.write("app.timer", "")
    systemd.write("broken.service", "LoadState=bad-setting\n")
    (systemd.top / "lib" / "masked.service").symlink_to("/dev/null")
    systemd.reload()
    for check in (True, False):
        error = failed(kind, systemd, units=units, check=check)
        assert says in str(error)
    assert (files_of(systemd), systemd.told) == ({}, [])


@pytest.mark.parametrize(
    ("directive", "value", "pair"),
    [
        ("LimitNOFILE", 65535, (65535, 65535)),
        ("LimitNOFILE", "1024:65535", (1024, 65535)),
        ("LimitNOFILE", "infinity", (limits_kernel.INFINITY,) * 2),
        ("LimitCORE", "0:infinity", (0, limits_kernel.INFINITY)),
        ("LimitMEMLOCK", "64K", (65536, 65536)),
        ("LimitMEMLOCK", "1M:2G", (1 << 20, 2 << 30)),
        ("LimitNICE", -5, (25, 25)),
        ("LimitNICE", "+5", (15, 15)),
        ("LimitNICE", 5, (5, 5)),
        ("LimitRTPRIO", 0, (0, 0)),
    ],
)
def test_values_as_units_write_them(directive: str, value: object, pair: tuple[int, int]) -> None:
    assert limits_directives.wanted_of("app", {directive: value}) == {directive: pair}


@pytest.mark.parametrize(
    ("directive", "value"),
    [
        ("LimitNOFILE", ""),
        ("LimitNOFILE", True),
        ("LimitNOFILE", 1.5),
        ("LimitNOFILE", None),
        ("LimitNOFILE", [1]),
        ("LimitNOFILE", "64K"),
        ("LimitNOFILE", "1:2:3"),
        ("LimitNOFILE", "1:"),
        ("LimitNOFILE", "2:1"),
        ("LimitNOFILE", "infinity:1"),
        ("LimitNOFILE", 0),
        ("LimitNOFILE", -1),
        ("LimitNOFILE", 1 << 63),
        ("LimitMEMLOCK", "9E9"),
        ("LimitMEMLOCK", "M"),
        ("LimitMEMLOCK", "1MB"),
        ("LimitNICE", 41),
        ("LimitNICE", -21),
        ("LimitNICE", "infinity"),
        ("LimitCPU", "5min"),
        ("LimitNOFILE\nExecStart", 1),
        (5, 1),
    ],
)
def test_values_that_no_unit_may_have(directive: str, value: object) -> None:
    with pytest.raises(BadInput):
        limits_directives.wanted_of("app", {directive: value})


def test_more_than_the_kernel_gives_anybody(systemd: SmallSystemd) -> None:
    error = failed(Refused, systemd, units={"app": {"LimitNOFILE": limits_kernel.nr_open() + 1}}, restart=True)
    assert "fs.nr_open" in str(error)
    assert statuses(error.result) == ["refused_by_kernel"] * 2
    assert error.result["limits"][0]["after"] == 512
    assert (files_of(systemd), systemd.told) == ({}, [])


def test_a_later_drop_in_wins(systemd: SmallSystemd) -> None:
    other = systemd.drop_in("app.service", "95.conf", "[Service]\n LimitNOFILE = 600:4000\n", "run")
    systemd.drop_in("app.service", "99.conf", "[Service]\nNice=1\n")
    systemd.reload()
    other.write_text("[Service]\n LimitNOFILE = 600:4000\n")
    error = failed(Refused, systemd, **APP)
    assert f"LimitNOFILE (soft) cannot be 2000 (overridden): {other}:2" in str(error)
    assert drop_in(systemd) is None


def test_an_earlier_drop_in_does_not(systemd: SmallSystemd) -> None:
    systemd.drop_in("app.service", "50.conf", "[Service]\nLimitNOFILE=600:4000\n")
    systemd.reload()
    assert run(systemd, **APP, restart=True)["limits"][0]["after"] == 2000


def test_a_process_that_got_less_than_its_unit_says(systemd: SmallSystemd) -> None:
    """systemd may not set it, or the program lowers it: no restart would help."""
    systemd.write("app.service", UNIT.replace("exec sleep", "ulimit -n 100; exec sleep"))
    systemd.run(["systemctl", "restart", "--", "app.service"])
    systemd.told.clear()
    error = failed(Refused, systemd, units={"app": {"LimitNOFILE": 400}}, restart=True)
    assert "its process got 100: systemd may not set more, or the service lowers it" in str(error)
    assert systemd.told == []


# ---- what fails is put back


def test_a_drop_in_that_appears_meanwhile_is_seen_and_all_is_put_back(
    systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = managed_file.FilePlan.put
    monkeypatch.setattr(
        managed_file.FilePlan,
        "put",
        lambda plan: [systemd.drop_in("app.service", "95.conf", "LimitNOFILE=600:4000\n"), real(plan)],
    )
    pid = systemd.pid("app.service")
    error = failed(OpsError, systemd, **APP, restart=True)
    assert error.what == "LimitNOFILE (soft) is 600, although 2000 was written"
    assert error.hint.startswith("What was changed was put back. See which file wins: systemctl cat app.service")
    assert systemd.told == ["daemon-reload", "daemon-reload"]
    assert (drop_in(systemd), systemd.pid("app.service")) == (None, pid)
    assert error.result["limits"][0]["status"] == "overridden"
    assert "95.conf:1" in error.result["limits"][0]["note"]
    assert (error.result["changed"], error.result["changes"]) == (False, [])


def test_a_service_that_dies_of_its_limits_runs_again_with_the_old_ones(systemd: SmallSystemd) -> None:
    systemd.write("app.service", UNIT.replace("exec sleep", "[ $(ulimit -n) = 512 ] && exec sleep"))
    error = failed(OpsError, systemd, **APP, restart=True)
    assert "systemctl restart failed" in str(error)
    assert systemd.told == [
        "daemon-reload",
        "restart app.service",
        "daemon-reload",
        "reset-failed app.service",
        "restart app.service",
    ]
    assert systemd.limits("app.service", "Max open files") == ["512", "4000"]
    assert drop_in(systemd) is None
    assert [change["object"] for change in error.result["changes"]] == ["service app.service"]
    assert error.result["undo"] == {"kind": "none", "reason": "it was put back"}
    assert error.result["limits"][0]["note"] == "put back"


def test_a_process_that_did_not_get_its_limit_is_a_failure(
    systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel would let us, and PID 1 not: systemd sets what it may and says nothing."""
    monkeypatch.setattr(limits_unit, "refusals", lambda *arguments: {})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    error = failed(OpsError, systemd, units={"app": {"LimitNOFILE": hard + 1}}, restart=True)
    assert f"its process got {hard}" in str(error)
    assert error.result["limits"][0]["status"] == "refused_by_kernel"
    assert systemd.limits("app.service", "Max open files") == ["512", "4000"]
    assert drop_in(systemd) is None


def test_a_spent_budget_is_heard_before_anything_is_written(systemd: SmallSystemd) -> None:
    error = failed(Refused, systemd, **APP, restart=True, budget={"count": 0, "window": 60})
    assert "the restart budget is used up" in str(error)
    assert (files_of(systemd), systemd.told) == ({}, [])
    one = {"count": 1, "window": 60}
    assert run(systemd, **APP, restart=True, budget=one)["restarted"] == ["app.service"]
    failed(Refused, systemd, units={"app": {"LimitNOFILE": 2001}}, restart=True, budget=one)


def test_a_read_only_filesystem(systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*args: object, **options: object) -> t.NoReturn:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files.os, "mkdir", read_only)
    error = failed(OpsError, systemd, **APP)
    assert "read-only" in str(error)
    assert not (systemd.top / "etc" / "app.service.d").exists()


def test_limits_of_sessions_and_services_stand_or_fall_together(
    systemd: SmallSystemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.ops.runbook.plugins.module_utils import limits_conf

    monkeypatch.setattr(limits_conf, "FOLDER", str(systemd.top / "etc" / "limits.d"))
    systemd.write("app.service", UNIT.replace("exec sleep", "[ $(ulimit -n) = 512 ] && exec sleep"))
    pam = [{"domain": "nobody", "item": "core", "value": "0", "type": "soft"}]
    error = failed(OpsError, systemd, **APP, pam=pam, restart=True)
    assert "put back" in error.hint
    assert files_of(systemd) == {}
    assert [row["note"] for row in error.result["limits"] if row["status"] == "applied"] == ["put back"]


# ---- crashes


def test_sigkill_at_any_step_is_completed_by_a_rerun(systemd: SmallSystemd) -> None:
    """The files, the definition in force and the process are looked at anew, so that none is forgotten."""
    path = systemd.top / "etc" / "app.service.d" / LINE
    outcomes = set()
    for when in range(2, 200):
        run(systemd, state="absent", restart=True)
        shutil.rmtree(systemd.top / "state", ignore_errors=True)

        def work(when: int = when) -> None:
            killer = WriteKiller(when // 2, bool(when % 2))
            files.os = managed_file.os = unit_change.os = killer  # type: ignore[assignment]
            run(systemd, **APP, restart=True)

        code = in_child(work)
        outcomes.add((code, path.exists()))
        answer = run(systemd, **APP, restart=True)
        assert drop_in(systemd) == ["[Service]", "LimitNOFILE=2000:4000"]
        assert systemd.limits("app.service", "Max open files") == ["2000", "4000"]
        assert answer["limits"][0]["after"] == 2000
        if code == 0:
            assert answer["changed"] is False
            break
    assert outcomes == {(-9, False), (-9, True), (0, True)}


@pytest.mark.parametrize("verb", ["daemon-reload", "restart"])
@pytest.mark.parametrize("after", [False, True])
def test_sigkill_around_the_verbs_of_systemd(systemd: SmallSystemd, verb: str, after: bool) -> None:
    real = SmallSystemd._do

    def killing(self: SmallSystemd, name: str, unit: str) -> t.Any:
        if name == verb and not after:
            os.kill(os.getpid(), 9)
        done = real(self, name, unit)
        if name == verb:
            os.kill(os.getpid(), 9)
        return done

    def work() -> None:
        SmallSystemd._do = killing  # type: ignore[method-assign]
        run(systemd, **APP, restart=True)

    assert in_child(work) == -9
    run(systemd, **APP, restart=True)
    assert systemd.limits("app.service", "Max open files") == ["2000", "4000"]
    assert run(systemd, **APP, restart=True)["changed"] is False
