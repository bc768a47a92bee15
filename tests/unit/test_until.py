# SPDX-License-Identifier: GPL-3.0-or-later
"""A timer leads back to before the first change, survives a crash at any point, and tells what it did."""

from __future__ import annotations

import json
import pathlib
import stat
import subprocess
import sys
import time
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import files, holds, managed_file, undo, until, until_timer
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.managed_file import FilePlan
from ansible_collections.ops.runbook.plugins.plugin_utils import packing, until_program
from test_files import Killer, in_child
from test_ownership import oldest

UNIT = "logcaster.service"
TIMER = "ops-runbook-until-logcaster.timer"
SERVICE = "ops-runbook-until-logcaster.service"
# Answers as systemd 252 does (recorded with TZ=UTC), the time computed from the unit file as systemd computes it.
SYSTEMCTL = """#!/bin/sh
cd {folder}
echo "$*" | sed 's/--no-ask-password --no-pager //' >> told
if [ -e refuse ] && grep -q "^$3" refuse; then echo "Failed to $3 unit: no" >&2; exit 1; fi
case "$*" in
*show*)
  echo "ActiveState=$(cat active 2>/dev/null || echo inactive)"
  [ -e units/{timer} ] && echo UnitFileState=enabled || echo UnitFileState=
  when=$(sed -n 's/^OnCalendar=//p' units/{timer} 2>/dev/null)
  echo "NextElapseUSecRealtime=$(LC_ALL=C date -u -d "$when" '+%a %F %T UTC')";;
*restart*) echo active > active;;
*disable*) rm -f active;;
esac
"""
Json = dict[str, t.Any]


@pytest.fixture
def top(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder that plays a host: etc, units, stamps, state, and a systemctl."""
    tmp_path.chmod(0o755)
    for name in ("bin", "units", "stamps", "etc"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "systemctl").write_text(SYSTEMCTL.format(folder=tmp_path, timer=TIMER))
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    (tmp_path / "told").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(managed_file, "STATE", str(tmp_path / "state"))
    monkeypatch.setattr(until_timer, "UNITS", str(tmp_path / "units"))
    monkeypatch.setattr(until_timer, "STAMPS", str(tmp_path / "stamps"))
    monkeypatch.setattr(holds, "PATH", str(tmp_path / "state" / "hold"))
    return tmp_path


def change(top: pathlib.Path, text: str, run_id: str = "run1") -> list[Json]:
    """A change of the service's file; its undo steps."""
    owner = (top.owner(), top.group())
    plan = FilePlan(str(top / "etc" / "a.env"), text.encode(), "0644", *owner).plan(run_id)
    plan.put()
    return plan.steps


def armed(top: pathlib.Path, text: str, seconds: float = 3600, run_id: str = "run1") -> list[Json]:
    """Change for a while, as a module does; the undo steps of the module."""
    owner = (top.owner(), top.group())
    file = FilePlan(str(top / "etc" / "a.env"), text.encode(), "0644", *owner).plan(run_id)
    plan = until.plan(UNIT, time.time() + seconds, file.steps, "# program of " + run_id, run_id)
    plan.arm()
    file.put()
    return [*file.steps, *plan.steps]


def folder(top: pathlib.Path) -> pathlib.Path:
    return top / "state" / "until" / "logcaster"


def value(top: pathlib.Path) -> str | None:
    path = top / "etc" / "a.env"
    return path.read_text() if path.exists() else None


def told(top: pathlib.Path) -> list[str]:
    """What systemctl was told to do, not what it was asked."""
    return [line for line in (top / "told").read_text().splitlines() if not line.startswith("show")]


def test_a_plan_says_what_it_would_do_and_writes_nothing(top: pathlib.Path) -> None:
    steps = change(top, "new")
    before = sorted(top.rglob("*"))
    when = time.time() + 3600.2
    plan = until.plan(UNIT, when, steps, "program", "run1")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(int(when) + 1))
    assert plan.changes == [{"object": f"timer {TIMER}", "before": None, "after": {"until": stamp}}]
    assert [(step["kind"], step["name"], step["aside"]) for step in plan.steps] == [("timer", "logcaster", None)]
    assert sorted(top.rglob("*")) == before
    assert until.plan(UNIT, when, steps, "program", "run1").steps == plan.steps


def test_an_armed_timer_is_absolute_persistent_exact_and_for_root_alone(top: pathlib.Path) -> None:
    armed(top, "new")
    timer, service = ((top / "units" / name).read_text() for name in (TIMER, SERVICE))
    when = json.loads((folder(top) / "plan.json").read_text())["when"]
    assert time.strftime("OnCalendar=%Y-%m-%d %H:%M:%S UTC\n", time.gmtime(when)) in timer
    assert "Persistent=true\n" in timer
    assert "AccuracySec=1s\n" in timer
    assert "WantedBy=timers.target\n" in timer
    assert f'ExecStart="{sys.executable}" -I -B "{folder(top)}/undo.py"\n' in service
    assert (folder(top) / "undo.py").read_text() == "# program of run1"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder(top).iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder(top), folder(top).parent)} == {0o700}
    assert told(top) == ["daemon-reload", f"enable {TIMER}", f"restart {TIMER}"]


def test_what_fires_puts_back_and_removes_itself(top: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (top / "etc" / "a.env").write_text("old")
    steps = armed(top, "new")
    (top / "stamps" / f"stamp-{TIMER}").write_text("")
    assert until.fire(str(folder(top))) == 0
    assert value(top) == "old"
    assert capsys.readouterr().out == f"put back: {top}/etc/a.env\n"
    assert list((top / "units").iterdir()) == list((top / "stamps").iterdir()) == []
    assert told(top)[-3:] == [f"disable --now {TIMER}", "daemon-reload", told(top)[-1]]
    result = json.loads((folder(top) / "result.json").read_text())
    assert (result["changed"], result["steps"][0]["done"]) == (True, True)
    answer = undo.replay(steps, "undo1", False)
    assert answer["changed"] is False
    assert f"timer {TIMER} (it ended at {result['at']}: put back: {top}/etc/a.env)" in answer["message"]
    assert until.fire(str(folder(top))) == 0  # nothing to do any more


def test_what_somebody_changed_stays_and_the_failure_stays_visible(
    top: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = armed(top, "new")
    (top / "etc" / "a.env").write_text("somebody's")
    assert until.fire(str(folder(top))) == 1
    assert value(top) == "somebody's"
    assert (top / "units" / TIMER).exists()
    result = json.loads((folder(top) / "result.json").read_text())
    assert result["error"]["kind"] == "Refused"
    assert f"systemctl start {SERVICE}" in capsys.readouterr().out
    (top / "etc" / "a.env").write_text("new")
    assert until.fire(str(folder(top))) == 0
    assert value(top) is None
    assert steps


def test_a_hold_stops_it_too(top: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    armed(top, "new")
    (top / "state" / "hold").write_text("restore under way\n")
    assert until.fire(str(folder(top))) == 1
    assert "a hold is in force (restore under way)" in capsys.readouterr().out
    assert value(top) == "new"


def test_a_second_until_leads_back_to_before_the_first(top: pathlib.Path) -> None:
    (top / "etc" / "a.env").write_text("original")
    armed(top, "one")
    armed(top, "two", 7200, "run2")
    assert value(top) == "two"
    assert len(list((top / "units").iterdir())) == 2
    assert until.fire(str(folder(top))) == 0
    assert value(top) == "original"


def test_a_second_until_that_dies_before_its_change_leads_back_all_the_same(top: pathlib.Path) -> None:
    armed(top, "one")
    owner = (top.owner(), top.group())
    file = FilePlan(str(top / "etc" / "a.env"), b"two", "0644", *owner).plan("run2")
    until.plan(UNIT, time.time() + 60, file.steps, "x", "run2").arm()  # and then it was killed
    assert until.fire(str(folder(top))) == 0
    assert value(top) is None


def test_undoing_the_second_until_brings_the_timer_of_the_first_back(top: pathlib.Path) -> None:
    first = armed(top, "one")
    second = armed(top, "two", 7200, "run2")
    one = (folder(top) / "plan.json").read_text()
    result = undo.replay(second, "undo1", False)
    assert value(top) == "one"
    assert (folder(top) / "plan.json").read_text() != one
    assert (folder(top) / "undo.py").read_text() == "# program of run1"
    assert [change["object"] for change in result["changes"]][-1] == f"timer {TIMER}"
    redone = undo.replay(result["undo"]["steps"], "undo2", False)
    assert (value(top), (folder(top) / "plan.json").read_text()) == ("two", one)
    assert (folder(top) / "undo.py").read_text() == "# program of run2"
    undo.replay(redone["undo"]["steps"], "undo3", False)
    undo.replay(first, "undo4", False)
    assert value(top) is None
    assert not folder(top).exists()


def test_two_timers_of_one_run_are_undone_redone_and_undone(top: pathlib.Path) -> None:
    """The program of the first one lies nowhere when the second undo is planned: it comes from what was kept aside."""
    steps = [*armed(top, "2"), *armed(top, "3", 7200)]
    last = {path.name: path.read_bytes() for path in folder(top).iterdir()}
    first = undo.replay(steps[2:] + steps[:2], "undo1", False)
    assert (value(top), folder(top).exists()) == (None, False)
    second = undo.replay([first["undo"]], "undo2", False)
    assert value(top) == "3"
    assert {path.name: path.read_bytes() for path in folder(top).iterdir()} == last
    undo.replay([second["undo"]], "undo3", False)
    assert (value(top), folder(top).exists()) == (None, False)


def test_the_first_run_cannot_be_undone_under_the_second(top: pathlib.Path) -> None:
    first = armed(top, "one")
    armed(top, "two", 7200, "run2")
    with pytest.raises(Refused):
        undo.replay(first, "undo1", False)
    with pytest.raises(Refused, match="it is now waiting until") as caught:
        undo.replay(first[-1:], "undo1", False)
    assert "should be as the run left it" in caught.value.what
    assert caught.value.hint.startswith(f"Look at it: systemctl status {TIMER}")


def test_only_the_time_may_be_new(top: pathlib.Path) -> None:
    armed(top, "one")
    when = json.loads((folder(top) / "plan.json").read_text())["when"]
    later = until.plan(UNIT, when + 60, [], "x", "run2")
    assert later.changes[0]["before"] != later.changes[0]["after"]
    later.arm()
    plan = json.loads((folder(top) / "plan.json").read_text())
    assert (plan["when"], len(plan["steps"])) == (when + 60, 1)
    same = until.plan(UNIT, when + 60, [], "x", "run3")
    assert (same.changes, same.steps) == ([], [])
    before = told(top)
    same.arm()
    same.disarm()
    assert told(top) == before
    assert until.plan("other", time.time() + 60, [], "x", "run3").changes == []


@pytest.mark.parametrize("seconds", [-1, 0, 400 * 86400, float("inf"), float("nan")])
def test_a_time_that_makes_no_sense(top: pathlib.Path, seconds: float) -> None:
    for steps in (change(top, "new"), []):
        with pytest.raises(BadInput) as caught:
            until.plan(UNIT, time.time() + seconds, steps, "x", "run1")
        assert caught.value.where == "until"


@pytest.mark.parametrize("unit", ["", "../x", "a b", "-x"])
def test_a_unit_that_cannot_be_one(top: pathlib.Path, unit: str) -> None:
    with pytest.raises(BadInput):
        until.plan(unit, time.time() + 60, [], "x", "run1")


def test_an_instance_gets_a_timer_that_is_no_template() -> None:
    assert until.name_of("batch@1.service") == "batch:401"
    assert until.name_of(r"a\x2db.socket") == r"a:5cx2db.socket"
    assert until.name_of("a_b") == "a_b"


def test_a_change_that_fails_takes_its_timer_away(top: pathlib.Path) -> None:
    (top / "etc" / "a.env").write_text("original")
    plan = until.plan(UNIT, time.time() + 60, change(top, "one"), "x", "run1")
    plan.arm()
    plan.disarm()
    assert list((top / "units").iterdir()) == []
    assert not folder(top).exists()
    armed(top, "two")
    waiting = (folder(top) / "plan.json").read_bytes()
    again = until.plan(UNIT, time.time() + 60, change(top, "three", "run2"), "x", "run2")
    again.arm()
    again.disarm()
    assert (folder(top) / "plan.json").read_bytes() == waiting


def test_a_timer_waits_until_the_act_that_armed_it_has_ended(top: pathlib.Path) -> None:
    owner = (top.owner(), top.group())
    file = FilePlan(str(top / "etc" / "a.env"), b"new", "0644", *owner).plan("run1")
    program = until_program.text(60)
    plan = until.plan(UNIT, time.time() + 60, file.steps, moved(top, program), "run1")
    plan.arm()
    fired = subprocess.Popen([sys.executable, "-I", "-B", str(folder(top) / "undo.py")], stdout=subprocess.PIPE)
    time.sleep(0.5)
    file.put()
    assert fired.poll() is None
    del plan
    assert fired.communicate(timeout=30)[0] == f"put back: {top}/etc/a.env\n".encode()
    assert (fired.returncode, value(top)) == (0, None)


def moved(top: pathlib.Path, text: str) -> str:
    """The program, for a host that this folder plays."""
    places = {"STATE": "/var/lib/ops-runbook", "UNITS": "/etc/systemd/system", "STAMPS": "/var/lib/systemd/timers"}
    for name, place in places.items():
        assert f'{name} = "{place}"' in text
        text = text.replace(f'{name} = "{place}"', f'{name} = "{top / name.lower()}"')
    return text


@pytest.mark.parametrize("python", [oldest(), sys.executable])
def test_the_program_alone_puts_back(top: pathlib.Path, python: str) -> None:
    """With the oldest Python too, from a file, and knowing nothing of this checkout."""
    steps = armed(top, "new")
    (folder(top) / "undo.py").write_text(moved(top, until_program.text(60)))
    done = subprocess.run(
        [python, "-I", "-B", str(folder(top) / "undo.py")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"put back: {top}/etc/a.env\n"), done.stderr
    assert value(top) is None
    assert undo.replay(steps, "undo1", False)["changed"] is False


def test_the_program_carries_every_kind_of_step() -> None:
    text = until_program.text(77)
    compile(text, "undo.py", "exec")
    assert "signal.alarm(77)" in text
    for name in packing.SOURCES:
        if name.startswith("undo_steps."):
            assert f"{packing.PACKAGE}.{name}" in text


def test_a_timer_that_systemd_does_not_take_leaves_nothing(top: pathlib.Path) -> None:
    steps = change(top, "new")
    (top / "refuse").write_text("enable\n")
    with pytest.raises(OpsError, match="systemctl enable failed: Failed to enable unit: no"):
        until.plan(UNIT, time.time() + 60, steps, "x", "run1").arm()
    assert list((top / "units").iterdir()) == []
    (top / "refuse").unlink()
    deaf = SYSTEMCTL.format(folder=top, timer=TIMER).replace("*restart*)", "*nothing*)")
    (top / "bin" / "systemctl").write_text(deaf)
    with pytest.raises(OpsError, match="systemd does not wait for it"):
        until.plan(UNIT, time.time() + 60, steps, "x", "run1").arm()
    assert list((top / "units").iterdir()) == []


def test_one_whose_time_is_past_is_started(top: pathlib.Path) -> None:
    second = armed(top, "one") and armed(top, "two", 7200, "run2")
    aside = pathlib.Path(second[-1]["aside"])
    plan = json.loads(aside.read_text())
    plan["when"] = int(time.time()) - 5
    data = json.dumps(plan).encode()
    step = {**second[-1], "aside": managed_file.aside_path("run2", "/x", data)}
    pathlib.Path(step["aside"]).write_bytes(data)
    (top / "told").write_text("")
    (top / "bin" / "systemctl").write_text(SYSTEMCTL.format(folder=top, timer=TIMER).replace("echo active >", "rm -f"))
    undo.replay([step], "undo1", False)
    assert told(top)[-1] == f"start --no-block {SERVICE}"


def test_a_crash_after_the_units_before_systemd_heard_of_them_is_completed(top: pathlib.Path) -> None:
    steps = armed(top, "one")
    removed = undo.replay(steps, "undo1", False)
    redo = removed["undo"]["steps"]
    undo.replay(redo, "undo2", False)
    (top / "active").unlink()  # as if killed before the restart of the timer
    (top / "told").write_text("")
    assert undo.replay(redo, "undo3", False)["changed"] is False
    assert f"restart {TIMER}" in told(top)


def test_a_timer_that_a_person_removed_is_no_reason_to_stop(top: pathlib.Path) -> None:
    steps = armed(top, "new")
    for path in (top / "units").iterdir():
        path.unlink()
    result = undo.replay(steps, "undo1", False)
    assert (result["changed"], value(top)) == (True, None)
    assert undo.replay([{"kind": "timer", "name": "logcaster"}], "undo1", False)["changed"] is False


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"steps": 1, "when": 1, "unit": "x", "run": "y"}'])
def test_a_damaged_plan_is_told(top: pathlib.Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    armed(top, "new")
    (folder(top) / "plan.json").write_text(text)
    with pytest.raises(Refused, match="is damaged"):
        until.plan(UNIT, time.time() + 60, [], "x", "run2")
    assert until.fire(str(folder(top))) == 1
    assert "is damaged" in capsys.readouterr().out


def test_units_that_cannot_be_removed(top: pathlib.Path) -> None:
    steps = armed(top, "new")
    (top / "units" / SERVICE).unlink()
    (top / "units" / SERVICE / "x").mkdir(parents=True)
    with pytest.raises(OpsError, match=SERVICE) as caught:
        undo.replay(steps, "undo1", False)
    assert [step["done"] for step in caught.value.result["steps"]] == [True, False]
    (folder(top) / "plan.json").unlink()
    assert until.present("logcaster") is None


def test_a_foreign_file_in_the_folder_stays(top: pathlib.Path) -> None:
    steps = armed(top, "new")
    (folder(top) / "note").write_text("somebody's")
    undo.replay(steps, "undo1", False)
    assert [path.name for path in folder(top).iterdir()] == ["note"]


def test_unit_files_are_quoted(top: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managed_file, "STATE", str(top / 'st%a"te'))
    armed(top, "new")
    assert 'st%%a\\"te/until/logcaster/undo.py"' in (top / "units" / SERVICE).read_text()


def killed_change(top: pathlib.Path, when: int) -> int:
    def work() -> None:
        killer = Killer(when, bool(when % 2))
        for module in (files, managed_file, until_timer):
            module.os = killer  # type: ignore[assignment]
        armed(top, "new")

    return in_child(work)


def test_sigkill_at_any_call_never_leaves_a_change_without_its_timer(top: pathlib.Path) -> None:
    (top / "etc" / "a.env").write_text("old")
    codes, seen = set(), set()
    for when in range(1, 2000, 9):
        codes.add(killed_change(top, when))
        seen.add(value(top))
        assert value(top) in ("old", "new")
        if value(top) == "new":
            assert (top / "active").exists()
            assert until.present("logcaster") is not None
        assert until.fire(str(folder(top))) == 0
        assert value(top) == "old"
        assert list((top / "units").glob("*.timer")) == []
        if 0 in codes:
            break
    assert (codes, seen) == ({-9, 0}, {"old", "new"})


def test_acts_with_timers_come_one_after_the_other(top: pathlib.Path) -> None:
    steps = armed(top, "new")

    def free() -> bool:
        return not subprocess.run(["flock", "-n", str(folder(top).parent), "true"], check=False).returncode

    with until_timer.alone():
        with until_timer.alone():  # a process may go in again
            assert not free()
        assert not free()
    assert free()
    assert undo.replay(steps, "undo1", False)["changed"] is True
