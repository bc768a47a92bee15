# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of a service: set where they reach the process, seen there, secrets never told, and put back on failure."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import stat
import sys
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.action.service_environment import ActionModule
from ansible_collections.ops.runbook.plugins.module_utils import (
    environment,
    environment_file,
    environment_process,
    environment_until,
    environment_wanted,
    files,
    lease,
    managed_file,
    redact,
    undo,
    unit_change,
    unit_look,
    until,
    until_timer,
)
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.specs.service_environment import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.modules import service_environment
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from small_systemd import SmallSystemd, WriteKiller, small_host
from test_files import NOBODY, in_child, root_only

pytestmark = root_only
KEYS = {"changed", "changes", "undo", "message", "environment", "restart_needed", "restarted", "until"}
UNIT = "[Service]\nExecStart=exec sleep 600\nEnvironment=SIZE=100 THEIRS=1\n"
ODD = 'a "b" \\ $HOME `x` \' end\nsecond\tline # no comment '
SECRET = "hunter2-Swordfish"
Json = dict[str, t.Any]


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[SmallSystemd]:
    """A host where app.service runs with SIZE=100, and idle.service does not run."""
    with small_host(monkeypatch, UNIT, ["app.service"], ["idle.service"]) as small:
        monkeypatch.setattr(until_timer, "UNITS", unit_look.UNITS)
        monkeypatch.setattr(environment, "FOLDER", str(small.top / "ours" / "environment"))
        yield small


def params(**given: t.Any) -> Json:
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate({"service": "app", "steady": 0, **given})
    assert not checked.error_messages
    return dict(checked.validated_parameters)


def run(systemd: SmallSystemd, check: bool = False, **given: t.Any) -> Json:
    answer = environment.run_on(systemd, params(**given), check)  # type: ignore[arg-type]
    assert set(answer) == KEYS
    return answer


def failed(kind: type[OpsError], systemd: SmallSystemd, **given: t.Any) -> OpsError:
    with pytest.raises(OpsError) as caught:
        run(systemd, **given)
    assert type(caught.value) is kind, caught.value
    assert set(caught.value.result) == KEYS
    assert caught.value.result["message"] == str(caught.value)
    return caught.value


def ours(systemd: SmallSystemd, unit: str = "app.service") -> dict[str, str] | None:
    path = Path(environment.FOLDER) / f"{unit}.env"
    return environment_file.parse(path.read_text()) if path.exists() else None


def files_of(systemd: SmallSystemd) -> Json:
    return {
        str(path): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for folder in ("etc", "ours")
        for path in sorted((systemd.top / folder).rglob("*"))
        if path.is_file()
    }


def statuses(answer: Json) -> dict[str, str]:
    return {name: row["status"] for name, row in answer["environment"].items()}


SIZE: Json = {"variables": {"SIZE": 500}}


# ---- what is done


def test_variables_reach_the_process(systemd: SmallSystemd) -> None:
    pid = systemd.pid("app.service")
    answer = run(systemd, variables={"SIZE": 500, "ODD": ODD, "ON": True, "RATE": 0.5}, restart=True, run_id="r")
    environ = systemd.environ("app.service")
    assert {name: environ[name] for name in ("SIZE", "ODD", "ON", "RATE", "THEIRS")} == {
        "SIZE": "500",
        "ODD": ODD,
        "ON": "true",
        "RATE": "0.5",
        "THEIRS": "1",
    }
    assert systemd.pid("app.service") != pid
    assert systemd.told == ["daemon-reload", "restart app.service"]
    assert answer["environment"]["SIZE"] == {
        "before": "100",
        "wanted": "500",
        "after": "500",
        "status": "applied",
        "note": "",
    }
    assert answer["environment"]["ODD"]["before"] is None
    assert (answer["restarted"], answer["restart_needed"], answer["until"]) == (["app.service"], [], None)
    assert [change["object"] for change in answer["changes"]] == [
        "variable SIZE of app.service",
        "variable ODD of app.service",
        "variable ON of app.service",
        "variable RATE of app.service",
        f"{environment.FOLDER}/app.service.env",
        str(systemd.top / "etc" / "app.service.d" / "90-ops-runbook-environment.conf"),
        "service app.service",
    ]
    assert answer["message"] == "environment of app.service: 4 applied; restarted"
    assert {mode for _data, mode in files_of(systemd).values()} == {0o600, 0o644}
    assert stat.S_IMODE((Path(environment.FOLDER) / "app.service.env").stat().st_mode) == 0o600


def test_undoing_brings_files_and_process_back(systemd: SmallSystemd) -> None:
    answer = run(systemd, **SIZE, restart=True, run_id="r")
    assert [step["kind"] for step in answer["undo"]["steps"]] == ["file", "file", "definition"]
    undo.replay_on(systemd, answer["undo"]["steps"], "r2", False)  # type: ignore[arg-type]
    assert files_of(systemd) == {}
    assert not (systemd.top / "ours").exists()
    assert not (systemd.top / "etc" / "app.service.d").exists()
    assert systemd.environ("app.service")["SIZE"] == "100"


def test_a_second_run_changes_and_restarts_nothing(systemd: SmallSystemd) -> None:
    run(systemd, **SIZE, restart=True)
    before, pid = files_of(systemd), systemd.pid("app.service")
    systemd.told.clear()
    answer = run(systemd, **SIZE, restart=True)
    assert (answer["changed"], answer["changes"], answer["restarted"]) == (False, [], [])
    assert answer["undo"] == {"kind": "none", "reason": "nothing was changed"}
    assert statuses(answer) == {"SIZE": "already"}
    assert (systemd.told, systemd.pid("app.service"), files_of(systemd)) == ([], pid, before)


def test_check_mode_says_the_same_and_does_nothing(systemd: SmallSystemd) -> None:
    pid = systemd.pid("app.service")
    given: Json = {"variables": {"SIZE": 5}, "secrets": {"API_KEY": SECRET}, "restart": True, "run_id": "r"}
    predicted = run(systemd, check=True, **given)
    assert (files_of(systemd), systemd.told, systemd.pid("app.service")) == ({}, [], pid)
    assert not (systemd.top / "state").exists()
    assert predicted == run(systemd, **given)


def test_a_variable_that_is_in_force_already_is_written_without_a_restart(systemd: SmallSystemd) -> None:
    answer = run(systemd, variables={"SIZE": 100}, restart=True)
    assert statuses(answer) == {"SIZE": "already"}
    assert (answer["changed"], answer["restarted"]) == (True, [])
    assert ours(systemd) == {"SIZE": "100"}
    assert run(systemd, variables={"SIZE": 100}, restart=True)["changed"] is False


def test_without_leave_the_service_is_not_restarted_but_named(systemd: SmallSystemd) -> None:
    pid = systemd.pid("app.service")
    answer = run(systemd, **SIZE)
    assert (systemd.pid("app.service"), systemd.told) == (pid, ["daemon-reload"])
    assert (answer["restarted"], answer["restart_needed"]) == ([], ["app.service"])
    assert answer["environment"]["SIZE"] == {
        "before": "100",
        "wanted": "500",
        "after": "100",
        "status": "pending_restart",
        "note": "",
    }
    assert answer["message"] == "environment of app.service: 1 pending_restart; to be restarted"
    again = run(systemd, **SIZE)
    assert (again["changed"], again["restart_needed"], statuses(again)) == (
        False,
        ["app.service"],
        {"SIZE": "pending_restart"},
    )
    later = run(systemd, **SIZE, restart=True)
    assert later["undo"] == {"kind": "none", "reason": "the process that was replaced is gone"}
    assert systemd.environ("app.service")["SIZE"] == "500"


def test_a_service_that_does_not_run_gets_them_at_its_next_start(systemd: SmallSystemd) -> None:
    answer = run(systemd, service="idle", **SIZE, restart=True)
    row = answer["environment"]["SIZE"]
    assert (row["before"], row["after"], row["status"]) == (None, "500", "applied")
    assert row["note"] == "it does not run: in effect from its next start"
    assert (answer["restarted"], answer["restart_needed"]) == ([], [])
    systemd.run(["systemctl", "start", "--", "idle.service"])
    assert systemd.environ("idle.service")["SIZE"] == "500"
    assert run(systemd, service="idle", **SIZE)["changed"] is False


def test_calls_add_to_each_other_and_take_only_their_own_away(systemd: SmallSystemd) -> None:
    run(systemd, **SIZE, restart=True)
    run(systemd, variables={"B": 2, "C": 3}, restart=True)
    assert ours(systemd) == {"SIZE": "500", "B": "2", "C": "3"}
    answer = run(systemd, variables={"B": None}, state="absent", restart=True, run_id="r")
    assert ours(systemd) == {"SIZE": "500", "C": "3"}
    assert "B" not in systemd.environ("app.service")
    assert answer["environment"]["B"] == {"before": "2", "wanted": None, "after": None, "status": "applied", "note": ""}
    answer = run(systemd, state="absent", restart=True, run_id="r")
    assert set(answer["environment"]) == {"SIZE", "C"}
    assert answer["environment"]["SIZE"]["after"] == "100"
    assert answer["environment"]["SIZE"]["note"] == "set elsewhere, too"
    assert (ours(systemd), files_of(systemd)) == (None, {})
    assert systemd.environ("app.service")["SIZE"] == "100"
    undo.replay_on(systemd, answer["undo"]["steps"], "r2", False)  # type: ignore[arg-type]
    assert systemd.environ("app.service")["C"] == "3"


def test_what_was_removed_without_a_restart_is_still_known(systemd: SmallSystemd) -> None:
    run(systemd, variables={"B": 2}, restart=True)
    time.sleep(0.03)
    answer = run(systemd, state="absent")
    assert statuses(answer) == {"B": "pending_restart"}
    assert answer["environment"]["B"]["after"] == "2"
    answer = run(systemd, state="absent", variables={"B": None}, restart=True)
    assert answer["restarted"] == ["app.service"]
    assert "B" not in systemd.environ("app.service")


def test_what_others_set_is_not_ours_to_remove(systemd: SmallSystemd) -> None:
    answer = run(systemd, state="absent", variables={"THEIRS": None, "NEVER": None}, restart=True)
    assert (answer["changed"], answer["restarted"]) == (False, [])
    assert answer["environment"]["THEIRS"]["note"] == "set elsewhere, not by this module"
    assert statuses(answer) == {"THEIRS": "already", "NEVER": "already"}
    assert run(systemd, state="absent")["message"] == "environment of app.service: none"


def test_computed_values_keep_to_the_service_s_own_bounds(systemd: SmallSystemd) -> None:
    systemd.write("app.service", UNIT + f"MemoryMax={1 << 30}\nCPUQuotaPerSecUSec=1s\n")
    wanted = {
        "THREADS": {"of": "cpus"},
        "BUFFER": {"of": "memory", "percent": 10},
        "CAPPED": {"of": "memory", "percent": 50, "maximum": "64MB"},
    }
    answer = run(systemd, check=True, variables=wanted)
    values = {name: (row["wanted"], row["note"]) for name, row in answer["environment"].items()}
    assert values == {
        "THREADS": ("1", "of 1 CPUs"),
        "BUFFER": (str((1 << 30) // 10), f"of {1 << 30} bytes of memory"),
        "CAPPED": ("64000000", f"of {1 << 30} bytes of memory"),
    }


# ---- secrets


def test_secrets_are_in_files_of_mode_0600_and_nowhere_else(systemd: SmallSystemd) -> None:
    given: Json = {"secrets": {"LOGIN": SECRET}, "variables": {"DB_PASSWORD": SECRET, "URL": f"db://u:{SECRET}@h/x"}}
    answer = run(systemd, **given, restart=True, run_id="r")
    environ = systemd.environ("app.service")
    assert (environ["LOGIN"], environ["DB_PASSWORD"]) == (SECRET, SECRET)
    assert SECRET not in json.dumps(answer)
    masked = {"before": None, "wanted": "(secret)", "after": "(secret)", "status": "applied", "note": ""}
    assert answer["environment"] == {"LOGIN": masked, "DB_PASSWORD": masked, "URL": masked}
    assert {"object": "variable LOGIN of app.service", "before": None, "after": "(secret)"} in answer["changes"]
    second = run(systemd, secrets={"LOGIN": "another-" + SECRET[::-1]}, restart=True, run_id="r")
    assert second["environment"]["LOGIN"]["before"] == "(secret)"
    for path in systemd.top.rglob("*"):
        if path.is_file() and not path.is_symlink() and SECRET.encode() in path.read_bytes():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert path.name.endswith(".env") or "undo" in path.parts


def test_a_secret_stays_one_for_later_calls(systemd: SmallSystemd) -> None:
    run(systemd, secrets={"PLAIN_NAME": SECRET}, variables={"X": 1}, restart=True)
    for given in ({"variables": {"PLAIN_NAME": "public"}}, {"state": "absent"}, {"variables": {"X": 2}}):
        answer = run(systemd, check=True, **given)
        assert SECRET not in json.dumps(answer)
    answer = run(systemd, check=True, state="absent")
    assert answer["environment"]["PLAIN_NAME"]["before"] == "(secret)"
    assert answer["environment"]["X"]["before"] == "1"


def test_a_secret_that_does_not_arrive_is_not_told(systemd: SmallSystemd) -> None:
    systemd.write("app.service", UNIT.replace("exec sleep", "LOGIN=other exec sleep"))
    error = failed(OpsError, systemd, secrets={"LOGIN": SECRET}, restart=True)
    assert SECRET not in str(error) + json.dumps(error.result)
    assert error.what == "its process does not have LOGIN as it was set"


def test_the_quick_look_at_names_misses_nothing_that_redact_knows() -> None:
    for word in redact._WORDS:
        assert not word.isascii() or any(part in word for part in environment_wanted._SUSPECT), word
    for name in (
        "DB_PASSWORD",
        "API_KEY",
        "PGPASSWORD",
        "GITHUB_TOKEN",
        "SECRET",
        "AWS_SECRET_ACCESS_KEY",
        "X_CREDENTIAL",
    ):
        assert environment_wanted.looks_secret(name, "abc12345")
    for value in ("db://u:hunter22@h/x", "ghp_0123456789abcdef", "AKIA0123456789ABCDEF", "Bearer abcdefghijkl"):
        assert environment_wanted.looks_secret("PLAIN", value)
    for name, value in (
        ("SIZE", "500"),
        ("MONKEY", "banana"),
        ("URL", "http://h/x"),
        ("PATH", "/usr/local/bin:/usr/bin"),
    ):
        assert not environment_wanted.looks_secret(name, value)


# ---- what is refused, before anything is written


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "no variable is given"),
        ({"variables": {"A B": 1}}, "'A B' is no name of a variable"),
        ({"secrets": {"1A": "abcd"}}, "'1A' is no name of a variable"),
        ({"variables": {"NOTIFY_SOCKET": "x"}}, "NOTIFY_SOCKET is set by systemd itself"),
        ({"variables": {"A": "a\0b"}}, "the value of A has control characters"),
        ({"secrets": {"A": "abc\0d"}}, "the value of A has control characters"),
        ({"variables": {"A": "x" * 140000}}, "is longer than"),
        ({"variables": {"A": None}}, "A has no value that a variable can have"),
        ({"variables": {"A": [1]}}, "A has no value"),
        ({"variables": {"A": {}}}, "it cannot be computed"),
        ({"variables": {"A": {"of": "memory", "percent": 500}}}, "more than the"),
        ({"variables": {"A": 1}, "secrets": {"A": "abcd"}}, "A is given twice"),
        ({"secrets": {"A": "abc"}}, "less than 4 characters cannot be masked"),
        ({"service": "ap", "variables": {"A": 1}}, "Did you mean app.service"),
        ({"service": "app@", "variables": {"A": 1}}, "it is a template"),
        ({"service": "app.timer", "variables": {"A": 1}}, "it is no service"),
        ({"service": "a b", "variables": {"A": 1}}, "cannot be the name of a unit"),
        ({"variables": {"A": 1}, "until": "soon"}, "'soon' is no time"),
        ({"variables": {"A": 1}, "until": "-5"}, "-5 is not within 30 days"),
        ({"variables": {"A": 1}, "until": str(31 * 86400)}, "not within 30 days"),
        ({"variables": {"A": 1}, "until": "2020-01-01T00:00:00Z"}, "not within 30 days"),
        ({"variables": {"A": 1}, "until": "60"}, "nothing that the timer could run"),
    ],
)
def test_what_makes_no_sense_is_said(systemd: SmallSystemd, given: Json, says: str) -> None:
    systemd.write("app.timer", "")
    for check in (True, False):
        assert says in str(failed(BadInput, systemd, check=check, **given))
    assert (files_of(systemd), systemd.told) == ({}, [])


def test_a_masked_service_is_refused(systemd: SmallSystemd) -> None:
    (systemd.top / "lib" / "masked.service").symlink_to("/dev/null")
    systemd.reload()
    assert "it is masked" in str(failed(Refused, systemd, service="masked", **SIZE))


def test_an_instance_has_an_environment_of_its_own(systemd: SmallSystemd) -> None:
    systemd.write("w@1.service", UNIT)
    run(systemd, service="w@1", **SIZE)
    assert ours(systemd, "w@1.service") == {"SIZE": "500"}
    assert (systemd.top / "etc" / "w@1.service.d").is_dir()


def test_a_backslash_in_a_unit_s_name_is_no_pattern(systemd: SmallSystemd) -> None:
    """EnvironmentFile= takes patterns, in which it would be an escape."""
    assert environment.path_of("a\\x2db@c:d.service") == f"{environment.FOLDER}/a=x2db@c:d.service.env"


def test_what_the_unit_takes_away_is_seen_first(systemd: SmallSystemd) -> None:
    systemd.write("app.service", UNIT + 'UnsetEnvironment=Q "SIZE=a b" R\n')
    error = failed(Refused, systemd, **SIZE)
    assert "SIZE does not get through: UnsetEnvironment= of the unit" in str(error)
    assert statuses(error.result) == {"SIZE": "overridden"}
    assert (files_of(systemd), systemd.told) == ({}, [])


def test_a_program_that_sets_the_variable_itself_is_seen_and_all_is_put_back(systemd: SmallSystemd) -> None:
    systemd.write("app.service", UNIT.replace("exec sleep", "SIZE=9 exec sleep"))
    systemd.run(["systemctl", "restart", "--", "app.service"])
    systemd.told.clear()
    error = failed(OpsError, systemd, **SIZE, restart=True)
    assert error.what == "its process does not have SIZE as it was set"
    assert error.hint.startswith("What was changed was put back. See what else sets it")
    assert statuses(error.result) == {"SIZE": "overridden"}
    assert error.result["environment"]["SIZE"]["after"] == "9"
    assert files_of(systemd) == {}
    assert systemd.told == ["daemon-reload", "restart app.service"] * 2
    assert systemd.environ("app.service")["SIZE"] == "9"


def test_once_seen_not_to_arrive_it_is_refused_without_a_restart(systemd: SmallSystemd) -> None:
    run(systemd, **SIZE)
    systemd.write("app.service", UNIT.replace("exec sleep", "SIZE=9 exec sleep"))
    time.sleep(0.03)
    systemd.run(["systemctl", "restart", "--", "app.service"])
    systemd.told.clear()
    error = failed(Refused, systemd, **SIZE, restart=True)
    assert "its process has another value" in str(error)
    assert systemd.told == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("EnvironmentFile={top}/later\n", "{top}/later wins"),
        ("EnvironmentFile=-{top}/lat*\n", "{top}/later wins"),
        ("EnvironmentFile=\n", "a drop-in that is read later empties EnvironmentFile= wins"),
    ],
)
def test_a_file_that_is_read_later_is_seen_before_the_restart(systemd: SmallSystemd, text: str, says: str) -> None:
    (systemd.top / "later").write_text("SIZE=7\nOTHER=8\n")
    systemd.drop_in("app.service", "95.conf", "[Service]\n" + text.format(top=systemd.top))
    systemd.reload()
    pid, before = systemd.pid("app.service"), files_of(systemd)
    error = failed(OpsError, systemd, **SIZE, restart=True)
    assert says.format(top=systemd.top) in str(error)
    assert systemd.told == ["daemon-reload", "daemon-reload"]
    assert (systemd.pid("app.service"), files_of(systemd)) == (pid, before)
    assert statuses(error.result) == {"SIZE": "overridden"}


def test_a_later_file_without_the_variable_does_not_matter(systemd: SmallSystemd) -> None:
    (systemd.top / "later").write_text("OTHER=8\nSIZE=500\n")
    text = f"EnvironmentFile=-{systemd.top}/none\nEnvironmentFile={systemd.top}/later\n"
    systemd.drop_in("app.service", "95.conf", text)
    assert statuses(run(systemd, **SIZE, restart=True)) == {"SIZE": "applied"}


def test_who_is_not_root_is_told_so(systemd: SmallSystemd) -> None:
    def work() -> None:
        assert failed(Refused, systemd, **SIZE).hint == "Run with become: true."

    assert in_child(work, NOBODY) == 0


def test_a_link_in_the_place_of_our_file_is_not_followed(systemd: SmallSystemd) -> None:
    Path(environment.FOLDER).mkdir(parents=True)
    (Path(environment.FOLDER) / "app.service.env").symlink_to("/etc/shadow")
    assert "symbolic link" in str(failed(Refused, systemd, **SIZE))


def test_a_read_only_filesystem(systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*args: object, **options: object) -> t.NoReturn:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files.os, "mkdir", read_only)
    assert "read-only" in str(failed(OpsError, systemd, **SIZE))
    assert files_of(systemd) == {}


def test_a_service_that_dies_of_them_runs_again_as_before(systemd: SmallSystemd) -> None:
    systemd.write("app.service", UNIT.replace("exec sleep", '[ "$SIZE" -lt 200 ] && exec sleep'))
    run(systemd, variables={"B": 1}, restart=True)
    before = files_of(systemd)
    error = failed(OpsError, systemd, **SIZE, restart=True)
    assert "systemctl restart failed" in str(error)
    assert files_of(systemd) == before
    assert systemd.environ("app.service")["SIZE"] == "100"
    assert [change["object"] for change in error.result["changes"]] == ["service app.service"]
    assert error.result["environment"]["SIZE"]["note"] == "put back"


def test_the_budget_is_heard_before_anything_is_written(systemd: SmallSystemd) -> None:
    failed(Refused, systemd, **SIZE, restart=True, budget={"count": 0, "window": 60})
    assert (files_of(systemd), systemd.told) == ({}, [])


def test_the_lease_is_held_before_the_first_write(systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "DIRECTORY", str(systemd.top / "leases"))
    failed(Refused, systemd, **SIZE, lease="db1", run_id="run1")
    assert files_of(systemd) == {}
    lease.run({"name": "db1", "state": "acquired", "ttl": 60, "run_id": "run1", "holder": "t"}, False)
    assert run(systemd, **SIZE, lease="db1", run_id="run1", restart=True)["changed"] is True


# ---- processes that do not show their environment

CLOBBER = """
import ctypes, time
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
start, end = int(fields[47]), int(fields[48])
ctypes.memset(start, 0, end - start)
time.sleep(600)
"""


def test_a_process_that_overwrites_its_environment_is_not_called_wrong(systemd: SmallSystemd) -> None:
    """As programs do that show their state in ps, such as Redis: then the definition is all that can be seen."""
    (systemd.top / "clobber.py").write_text(CLOBBER)
    systemd.write("app.service", UNIT.replace("exec sleep 600", f"exec {sys.executable} -I {systemd.top}/clobber.py"))
    systemd.run(["systemctl", "restart", "--", "app.service"])
    time.sleep(0.3)
    assert "SIZE" not in systemd.environ("app.service")
    answer = run(systemd, **SIZE, restart=True)
    time.sleep(0.3)
    assert answer["environment"]["SIZE"]["note"] == "its process does not show what it was started with"
    assert answer["environment"]["SIZE"]["status"] == "applied"
    again = run(systemd, **SIZE, restart=True)
    assert (again["changed"], statuses(again)) == (False, {"SIZE": "already"})
    assert ctypes.sizeof(ctypes.c_void_p) == 8


def test_a_process_that_is_gone_shows_nothing() -> None:
    unit = unit_look.Unit(
        {"Id": ["x.service"], "ActiveState": ["active"], "MainPID": ["99999999"], "NeedDaemonReload": ["no"]}
    )
    assert environment_process.environ_of(unit) is None
    assert unit_look.started_before(99999999, []) is True


# ---- for a while


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("60", 1060.0),
        ("0.5", 1000.5),
        ("1970-01-01T00:20:00Z", 1200.0),
        ("1970-01-01t00:20:00.5z", 1200.5),
        ("1970-01-01 01:20:00+01:00", 1200.0),
        ("1969-12-31T23:50:00-00:30", 1200.0),
    ],
)
def test_times(text: str, moment: float) -> None:
    assert environment_until.moment(text, 1000.0) == moment


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "nan",
        "inf",
        "1970-01-01",
        "1970-01-01T00:20:00",
        "1970-01-01T00:20Z",
        "1970-13-01T00:20:00Z",
        "1970-01-01T24:20:00Z",
        "1970-01-01T00:20:00+1",
        "1970-01-01T00:20:00 CET",
        "1970-01-01T00:10:00Z",
        "1970-03-01T00:20:00Z",
        "tomorrow",
        "1970-01-01X00:20:00Z",
    ],
)
def test_what_is_no_time_ahead(text: str) -> None:
    with pytest.raises(BadInput):
        environment_until.moment(text, 1000.0)


class Timer:
    """Records what becomes of the timer, between the verbs of systemd."""

    def __init__(self, systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(until.UntilPlan, "arm", lambda plan: systemd.told.append("arm"))
        monkeypatch.setattr(until.UntilPlan, "disarm", lambda plan: systemd.told.append("disarm"))


def test_the_timer_waits_before_the_change_is_made(systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    Timer(systemd, monkeypatch)
    answer = run(systemd, **SIZE, restart=True, until="3600", program="p", run_id="r")
    assert systemd.told == ["arm", "daemon-reload", "restart app.service"]
    assert answer["changes"][-1]["object"] == "timer ops-runbook-until-app.timer"
    assert answer["until"]["unit"] == "ops-runbook-until-app.timer"
    assert (
        abs(
            time.mktime(time.strptime(answer["until"]["at"][:19], "%Y-%m-%dT%H:%M:%S"))
            - time.timezone
            - time.time()
            - 3600
        )
        < 5
    )
    kinds = [step["kind"] for step in answer["undo"]["steps"]]
    assert kinds == ["file", "file", "definition", "timer"]
    assert answer["message"].endswith(f"; restarted; put back at {answer['until']['at']}")


def test_a_change_that_fails_leaves_no_timer(systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    Timer(systemd, monkeypatch)
    systemd.write("app.service", UNIT.replace("exec sleep", '[ "$SIZE" -lt 200 ] && exec sleep'))
    failed(OpsError, systemd, **SIZE, restart=True, until="3600", program="p")
    assert systemd.told[0] == "arm"
    assert systemd.told[-1] == "disarm"


def test_where_nothing_changes_a_timer_that_waits_is_told_and_left(
    systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    Timer(systemd, monkeypatch)
    run(systemd, **SIZE, restart=True)
    answer = run(systemd, **SIZE, restart=True, until="60", program="p")
    assert (answer["changed"], answer["until"]) == (False, None)
    when = int(time.time()) + 500
    plan = {"schema": until.SCHEMA, "unit": "app.service", "run": "r", "when": when, "steps": [{"kind": "none"}]}
    managed_file.ensure_folder("until", "app")
    (systemd.top / "state" / "until" / "app" / "plan.json").write_text(json.dumps(plan))
    (systemd.top / "etc" / "ops-runbook-until-app.timer").touch()
    for given in ({}, {"until": "60", "program": "p"}):
        answer = run(systemd, **SIZE, restart=True, **given)
        assert answer["changed"] is False
        assert answer["until"]["at"].startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when)))
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when + 500))
    answer = run(systemd, **SIZE, restart=True, until=later, program="p")
    assert [change["object"] for change in answer["changes"]] == ["timer ops-runbook-until-app.timer"]
    assert answer["until"]["at"][:19] == later[:19]


# ---- crashes and roads


def test_sigkill_at_any_step_is_completed_by_a_rerun(systemd: SmallSystemd) -> None:
    path = Path(environment.FOLDER) / "app.service.env"
    outcomes = set()
    for when in range(2, 200):
        run(systemd, state="absent", restart=True)
        run(systemd, variables={"SIZE": 300}, restart=True)
        shutil.rmtree(systemd.top / "state", ignore_errors=True)

        def work(when: int = when) -> None:
            killer = WriteKiller(when // 2, bool(when % 2))
            files.os = managed_file.os = unit_change.os = killer  # type: ignore[assignment]
            run(systemd, variables={"SIZE": 500, "B": 1}, restart=True)

        code = in_child(work)
        values = environment_file.parse(path.read_text())
        assert values in ({"SIZE": "300"}, {"SIZE": "500", "B": "1"})
        outcomes.add((code, values["SIZE"]))
        answer = run(systemd, variables={"SIZE": 500, "B": 1}, restart=True)
        assert answer["environment"]["SIZE"]["after"] == systemd.environ("app.service")["SIZE"] == "500"
        if code == 0:
            assert answer["changed"] is False
            break
    assert outcomes == {(-9, "300"), (-9, "500"), (0, "500")}


def test_sigkill_while_all_is_removed_never_stops_the_service_from_starting(systemd: SmallSystemd) -> None:
    outcomes = set()
    for when in range(2, 200):
        run(systemd, **SIZE, restart=True)

        def work(when: int = when) -> None:
            killer = WriteKiller(when // 2, bool(when % 2))
            files.os = managed_file.os = unit_change.os = killer  # type: ignore[assignment]
            run(systemd, state="absent", restart=True)

        code = in_child(work)
        outcomes.add((code, len(files_of(systemd))))
        assert systemd.run(["systemctl", "restart", "--", "app.service"]).rc == 0
        run(systemd, state="absent", variables={"SIZE": None}, restart=True)
        assert files_of(systemd) == {}
        assert systemd.environ("app.service")["SIZE"] == "100"
        if code == 0:
            break
    assert {count for _code, count in outcomes} == {2, 1, 0}


def test_what_travels_is_all_that_is_imported_late() -> None:
    given = params(**SIZE, budget={"count": 1, "window": 1}, lease="x", run_id="r")
    assert {"service", "platforms.systemd", "environment_until", "redact", "sizing", "budget", "lease"} == set(
        environment.late(given)
    )
    bundle = packing.bundle("environment", environment.late(given))
    assert f"{packing.PACKAGE}.until" in bundle


def test_the_action_sends_the_timer_s_program_along_when_one_is_wanted() -> None:
    action = object.__new__(ActionModule)
    assert action.prepare(params(**SIZE, program="mine"), {})["program"] == ""
    given = action.prepare(params(**SIZE, until="60"), {})
    assert "until import fire" in given["program"]
    assert action.deadline(params(**SIZE)) == 120
    assert action.deadline(params(**SIZE, restart=True)) > 2 * 90


def test_documentation_tells_what_is_returned() -> None:
    documented = yaml.safe_load(service_environment.RETURN)
    assert {key for key, entry in documented.items() if entry["returned"] == "always"} == KEYS - {"changed"}
    for task in yaml.safe_load(service_environment.EXAMPLES):
        params(**task["ops.runbook.service_environment"])


def test_who_started_when(systemd: SmallSystemd) -> None:
    pid = systemd.pid("app.service") or 0
    path = systemd.top / "x"
    assert unit_look.started_before(pid, [str(path)]) is False
    path.touch()
    assert unit_look.started_before(pid, [str(path)]) is True
    os.utime(path, (1, 1))
    assert unit_look.started_before(pid, [str(path)]) is False
