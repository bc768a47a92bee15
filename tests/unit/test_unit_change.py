# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of a unit is made, put in force and proven as a whole, or it is put back and what could not be is told."""

from __future__ import annotations

import os
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import unit_change, unit_look
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, CannotLook, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed
from ansible_collections.ops.runbook.plugins.module_utils.managed_file import FilePlan
from ansible_collections.ops.runbook.plugins.module_utils.unit_change import Change
from small_systemd import SmallSystemd, small_host
from test_files import root_only

pytestmark = root_only
PARAMS = {"restart_timeout": 5, "steady": 0, "budget": None, "protect": [], "lease": "", "run_id": "run1"}
UNIT = "[Service]\nExecStart=exec sleep 600\n"


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[SmallSystemd]:
    """A host with app.service and web.service running."""
    with small_host(monkeypatch, UNIT, ["app.service", "web.service"]) as small:
        yield small


def look(systemd: SmallSystemd, name: str, properties: str = "") -> unit_look.Unit:
    return unit_look.look(systemd, name, properties)  # type: ignore[arg-type]


def change(systemd: SmallSystemd, texts: dict[Path, str | None], restarts: bool = True, **others: t.Any) -> Change:
    plans = [FilePlan(str(path), text.encode() if text else None).plan("run1") for path, text in texts.items()]
    units = [look(systemd, name) for name in ("app", "web")]
    return Change(systemd, {**PARAMS, **others}, plans, units, units if restarts else [])  # type: ignore[arg-type]


def fails(problem: OpsError) -> t.Callable[[], None]:
    def proof() -> None:
        raise problem

    return proof


def nothing() -> None:
    """Nothing to see."""


def test_files_then_reload_then_restarts_then_the_proof(systemd: SmallSystemd) -> None:
    one, two = systemd.top / "etc" / "one" / "a.conf", systemd.top / "etc" / "b.conf"
    two.write_text("old")
    two.chmod(0o600)
    made = change(systemd, {one: "1", two: "2"})
    assert [each["object"] for each in made.changes] == [
        str(one),
        str(two),
        "service app.service",
        "service web.service",
    ]
    assert [(step["kind"], step.get("path") or step["name"]) for step in made.steps] == [
        ("file", str(two)),
        ("file", str(one)),
        ("definition", "app.service"),
        ("definition", "web.service"),
    ]
    assert systemd.told == []
    seen = []
    made.make(lambda: seen.append(list(systemd.told)), lambda: seen.append(list(systemd.told)))
    assert seen == [["daemon-reload"], ["daemon-reload", "restart app.service", "restart web.service"]]
    assert (one.read_text(), two.read_text()) == ("1", "2")


def test_what_fails_at_the_end_leaves_nothing_behind(systemd: SmallSystemd) -> None:
    one, two, three = (systemd.top / "etc" / name for name in ("new/a.conf", "b.conf", "c.conf"))
    two.write_text("old")
    os.chown(two, 12, 12)
    two.chmod(0o640)
    three.write_text("gone")
    pids = [systemd.pid("app.service"), systemd.pid("web.service")]
    made = change(systemd, {one: "1", two: "2", three: None})
    with pytest.raises(OpsError) as caught:
        made.make(nothing, fails(OpsError("it is not so", "x", "Look.")))
    assert str(caught.value) == "x: it is not so. What was changed was put back. Look."
    assert not one.parent.exists()
    assert (two.read_text(), two.stat().st_uid, stat.S_IMODE(two.stat().st_mode)) == ("old", 12, 0o640)
    assert three.read_text() == "gone"
    verbs = ["daemon-reload", "restart app.service", "restart web.service"]
    assert systemd.told == [*verbs, "daemon-reload", "restart web.service", "restart app.service"]
    assert [systemd.pid("app.service"), systemd.pid("web.service")] != pids
    assert caught.value.result["undo"] == {"kind": "none", "reason": "it was put back"}
    assert [each["object"] for each in caught.value.result["changes"]] == ["service web.service", "service app.service"]


def test_folders_that_somebody_uses_meanwhile_stay(systemd: SmallSystemd) -> None:
    path = systemd.top / "etc" / "new" / "deep" / "a.conf"
    made = change(systemd, {path: "1"}, restarts=False)

    def proof() -> None:
        (path.parent.parent / "theirs").touch()
        raise OpsError("no")

    with pytest.raises(OpsError):
        made.make(nothing, proof)
    assert [each.name for each in path.parent.parent.iterdir()] == ["theirs"]


def test_what_cannot_be_put_back_is_told_with_its_steps(systemd: SmallSystemd) -> None:
    one, two = systemd.top / "etc" / "a.conf", systemd.top / "etc" / "b.conf"
    made = change(systemd, {one: "1", two: "2"}, restarts=False)

    def proof() -> None:
        one.write_text("theirs")
        raise OpsError("no")

    with pytest.raises(OpsError) as caught:
        made.make(nothing, proof)
    assert caught.value.hint.startswith(f"Not everything could be put back: {one} (somebody else has changed it since)")
    assert (one.read_text(), two.exists()) == ("theirs", False)
    assert [step["path"] for step in caught.value.result["undo"]["steps"]] == [str(one)]
    assert [each["object"] for each in caught.value.result["changes"]] == [str(one)]


def test_a_daemon_reload_that_fails_is_tried_again_for_the_old_files(systemd: SmallSystemd) -> None:
    path = systemd.top / "etc" / "app.service.d" / "a.conf"
    real, calls = systemd._do, list[str]()

    def do(verb: str, unit: str) -> Completed:
        calls.append(verb)
        failed = verb == "daemon-reload" and len(calls) == 1
        return Completed(1, "", "Failed to reload daemon: Connection timed out\n") if failed else real(verb, unit)

    systemd._do = do  # type: ignore[method-assign]
    with pytest.raises(OpsError, match="Connection timed out"):
        change(systemd, {path: "Nice=1\n"}).make(nothing, nothing)
    assert calls == ["daemon-reload", "daemon-reload"]
    assert not path.exists()


def test_a_service_that_does_not_come_back_is_told(systemd: SmallSystemd) -> None:
    path = systemd.top / "etc" / "app.service.d" / "a.conf"
    made = change(systemd, {path: "Nice=1\n"})

    def proof() -> None:
        systemd.write("app.service", "[Service]\nExecStart=exit 1\n")
        raise OpsError("no")

    with pytest.raises(OpsError) as caught:
        made.make(nothing, proof)
    assert "Not everything could be put back: app.service (systemctl restart failed" in caught.value.hint
    assert systemd.pid("web.service") is not None


def test_putting_back_goes_before_the_budget(systemd: SmallSystemd) -> None:
    path = systemd.top / "etc" / "app.service.d" / "a.conf"
    made = change(systemd, {path: "Nice=1\n"}, budget={"count": 1, "window": 60})
    with pytest.raises(OpsError):
        made.make(nothing, fails(OpsError("no")))
    assert systemd.told.count("restart app.service") == 2


def test_where_nothing_differs_nothing_is_done(systemd: SmallSystemd) -> None:
    made = change(systemd, {systemd.top / "etc" / "a.conf": None}, restarts=False)
    assert (made.changes, made.steps, made.undo) == ([], [], unit_change.NOTHING)
    made.make(nothing, nothing)
    assert systemd.told == []
    with pytest.raises(OpsError) as caught:
        made.make(fails(OpsError("no", hint="Look.")), nothing)
    assert caught.value.hint == "Look."


def test_a_definition_that_lies_ready_is_put_in_force(systemd: SmallSystemd) -> None:
    systemd.drop_in("app.service", "x.conf", "Nice=1\n")
    made = change(systemd, {}, restarts=False)
    assert made.changes == [
        {"object": "definition of app.service", "before": {"need_reload": True}, "after": {"need_reload": False}}
    ]
    assert made.undo == unit_change.NOTHING
    made.make(nothing, nothing)
    assert systemd.told == ["daemon-reload"]
    assert look(systemd, "app").need_reload is False


def test_the_time_that_it_takes_at_most() -> None:
    assert unit_change.longest(PARAMS, 0) == 60
    assert unit_change.longest(PARAMS, 2) > 60 + 2 * 2 * 2 * 5


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "a b", "environment"])
def test_names_of_files(name: str) -> None:
    with pytest.raises(BadInput):
        unit_change.demand_name(name, "name")


def test_a_unit_as_it_is(systemd: SmallSystemd) -> None:
    (systemd.top / "lib" / "alias.service").symlink_to("app.service")
    path = systemd.drop_in("app.service", "x.conf", "UnsetEnvironment=A B\n")
    systemd.reload()
    unit = look(systemd, "alias", "UnsetEnvironment,LimitCORE")
    assert (unit.name, unit.runs, unit.pid) == ("app.service", True, systemd.pid("app.service"))
    assert unit.drop_ins == [str(path)]
    assert unit.drop_in("p") == f"{systemd.top}/etc/app.service.d/90-ops-runbook-p.conf"
    assert unit.shown["UnsetEnvironment"] == ["A B"]
    systemd.run(["systemctl", "stop", "--", "app.service"])
    assert (look(systemd, "app").runs, look(systemd, "app").pid) == (False, None)


def test_a_systemd_that_does_not_answer(systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "_show", lambda *arguments: Completed(1, "", "Failed to connect to bus\n"))
    with pytest.raises(CannotLook, match="systemctl show failed: Failed to connect to bus"):
        look(systemd, "app")
    answers = iter([Completed(1, "", "Failed: odd\n"), Completed(0, "Id=app.service\nLoadState=loaded\n", "")])
    monkeypatch.setattr(systemd, "_show", lambda *arguments: next(answers))
    with pytest.raises(BadInput, match="systemd does not know it: Failed: odd"):
        look(systemd, "app")


def test_what_refuses_the_restart_is_heard_before_anything_is_written(systemd: SmallSystemd) -> None:
    with pytest.raises(Refused, match="budget"):
        change(systemd, {systemd.top / "etc" / "a.conf": "1"}, budget={"count": 0, "window": 60})
    assert not (systemd.top / "etc" / "a.conf").exists()
