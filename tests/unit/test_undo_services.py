# SPDX-License-Identifier: GPL-3.0-or-later
"""Undo steps about services: states, masks, definitions and owed restarts, on recorded states of systemd."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import managed_file, service, undo
from ansible_collections.ops.runbook.plugins.module_utils.errors import CannotLook, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed
from ansible_collections.ops.runbook.plugins.module_utils.managed_file import FilePlan
from ansible_collections.ops.runbook.plugins.module_utils.platforms import watch
from ansible_collections.ops.runbook.plugins.module_utils.undo_steps import definition, service_state
from systemd_host import SystemdHost
from test_service import params

NAME = "mongod.service"
LINK = f"/etc/systemd/system/{NAME}"
RUNTIME = f"/run/systemd/system/{NAME}"
NEW = ("active", {"MainPID": 99})
NOTHING = {"kind": "none", "reason": "nothing was changed"}
FAILED = Completed(1, "", "Job for mongod.service failed because the control process exited with error code.")
Json = dict[str, t.Any]


class MaskableHost(SystemdHost):
    """Its systemctl makes and removes the links of masks."""

    def _verb(self, verb: str) -> Completed:
        link = RUNTIME if "--runtime" in self.calls[-1] else LINK
        done = super()._verb(verb)
        if done.rc == 0 and verb == "mask":
            self.links[link] = "/dev/null"
        return done


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    tmp_path.chmod(0o755)
    (tmp_path / "etc").mkdir()
    monkeypatch.setattr(watch, "_POLL", 0.01)
    monkeypatch.setattr(service_state, "STEADY", 0.02)
    monkeypatch.setattr(managed_file, "STATE", str(tmp_path / "state"))
    return tmp_path


def replay(host: SystemdHost, *steps: Json, check: bool = False) -> Json:
    return undo.replay_on(t.cast("t.Any", host), list(steps), "undo1", check)


def failed(host: SystemdHost, *steps: Json) -> OpsError:
    with pytest.raises(OpsError) as caught:
        replay(host, *steps)
    assert set(caught.value.result) == {"changed", "changes", "undo", "message", "steps"}
    return caught.value


def step(state: str, expect: str, **more: t.Any) -> Json:
    wanted = {"kind": "service_state", "platform": "systemd", "name": NAME, "state": state}
    return {**wanted, "expect": {"active_state": expect}, **more}


def written(folder: pathlib.Path, name: str = "a.conf") -> list[Json]:
    """A file that a change made; its undo steps."""
    owner = (folder.owner(), folder.group())
    plan = FilePlan(str(folder / "etc" / name), b"new", "0644", *owner).plan("run1")
    plan.put()
    return plan.steps


def reloaded(restarted: bool) -> Json:
    return {"kind": "definition", "name": NAME, "restarted": restarted}


# ---- states


def test_what_was_started_is_stopped_and_the_other_way_round() -> None:
    host = SystemdHost("active", {"stop": "inactive"})
    predicted = replay(SystemdHost("active"), step("stopped", "active"), check=True)
    result = replay(host, step("stopped", "active"))
    assert result == predicted
    assert host.verbs() == ["stop"]
    before, after = {"active_state": "active"}, {"active_state": "inactive"}
    assert result["changes"] == [{"object": f"service {NAME}", "before": before, "after": after}]
    assert result["undo"] == {"kind": "steps", "steps": [step("started", "inactive")]}
    host = SystemdHost("inactive", {"start": "active"})
    assert replay(host, *result["undo"]["steps"])["undo"]["steps"] == [step("stopped", "active")]
    assert host.verbs() == ["start"]


@pytest.mark.parametrize("now", ["inactive", "failed-signal"])
def test_what_is_down_already_is_left_alone(now: str) -> None:
    host = SystemdHost(now)
    result = replay(host, step("stopped", "active"))
    assert (result["changed"], result["undo"], host.verbs()) == (False, NOTHING, [])
    assert result["message"] == f"already as it was: service {NAME}"


def test_a_service_that_somebody_started_or_broke_since() -> None:
    error = failed(SystemdHost("auto-restart"), step("started", "inactive"))
    assert isinstance(error, Refused)
    assert "it is now activating, and should be down" in error.what
    assert error.hint.startswith(f"Look at it: systemctl status {NAME}.")
    assert "should be activating" in failed(SystemdHost("active"), step("stopped", "activating")).what


def test_a_stop_that_ended_with_an_exit_code_is_a_stop() -> None:
    """Services that do not exit with 0 on SIGTERM are failed after a stop, and the module said inactive."""
    host = SystemdHost("failed-exit-code", {"start": "active"})
    assert replay(host, step("started", "inactive"))["changed"] is True


def test_a_stop_and_a_start_with_nothing_between_them_are_none() -> None:
    host = SystemdHost("active")
    result = replay(host, step("stopped", "active"), step("started", "inactive"))
    assert (result["changed"], host.verbs()) == (False, [])
    host = SystemdHost("inactive", {"start": "active"})
    replay(host, step("started", "inactive"), step("stopped", "active"), step("started", "inactive"))
    assert host.verbs() == ["start"]
    host = SystemdHost("active", {"stop": "inactive"})
    assert replay(host, step("stopped", "active"), step("started", "active"))["changed"] is False


def test_a_service_that_does_not_start_is_told_with_what_was_done(apart: pathlib.Path) -> None:
    host = SystemdHost("inactive", {"start": FAILED})
    error = failed(host, *written(apart), step("started", "inactive"))
    assert [one["object"] for one in error.result["changes"]] == [str(apart / "etc" / "a.conf")]
    assert [one["done"] for one in error.result["steps"]] == [True, False]
    host = SystemdHost("inactive", {"start": "failed-exit-code"})
    error = failed(host, step("started", "inactive"))
    assert error.result["changes"][0]["after"] == {"active_state": "failed"}
    assert error.result["undo"]["steps"] == [step("stopped", "failed")]


# ---- masks


def unit_step(state: str = "stopped", expect: str = "active", **more: t.Any) -> Json:
    return step(state, expect, kind="unit", mask=True, links=[LINK], **more)


def test_what_service_restart_unmasked_and_started_is_stopped_and_masked() -> None:
    links = {LINK: "/dev/null"}
    host = MaskableHost("masked", {"unmask": "inactive", "start": "active", "stop": "inactive"}, links=links)
    done = service.run_on(t.cast("t.Any", host), params(state="started", unmask=True), False)
    assert done["undo"]["kind"] == "unit"
    host.moves["mask"] = "masked"
    predicted = replay(host, done["undo"], check=True)
    result = replay(host, done["undo"])
    assert result == predicted
    assert (host.verbs()[-2:], host.links) == (["stop", "mask"], {LINK: "/dev/null"})
    assert result["changes"][1] == {"object": f"mask of {NAME}", "before": {"links": []}, "after": {"links": [LINK]}}
    host.states = ["masked"]
    redone = replay(host, *result["undo"]["steps"])
    assert host.verbs()[-2:] == ["unmask", "start"]
    assert host.links == {}
    host.states = ["active"]
    assert replay(host, *redone["undo"]["steps"], check=True)["changed"] is True


def test_masks_below_run_and_of_a_unit_that_kept_running() -> None:
    wanted = {**unit_step("started"), "links": [LINK, RUNTIME]}
    host = MaskableHost("active", {"mask": "active"})
    result = replay(host, wanted)
    assert host.links == {LINK: "/dev/null", RUNTIME: "/dev/null"}
    assert [one["object"] for one in result["changes"]] == [f"mask of {NAME}"] * 2
    assert "stop" not in host.verbs()


def test_a_crash_between_stop_and_mask_is_completed() -> None:
    host = MaskableHost("inactive", {"mask": "masked"})
    result = replay(host, unit_step())
    assert host.verbs() == ["mask"]
    assert [one["done"] for one in result["steps"]] == [False, True]


def test_a_unit_file_that_somebody_put_where_the_mask_was(monkeypatch: pytest.MonkeyPatch) -> None:
    host = MaskableHost("active", links={LINK: "/opt/mongod.service"})
    assert "it is now something else (/opt/mongod.service), and should be not masked" in failed(host, unit_step()).what

    def no_link(_path: str) -> str:
        raise OSError(22, "not a link")

    monkeypatch.setattr(host, "readlink", no_link)
    error = failed(host, unit_step())
    assert "something else (a file)" in error.what
    assert error.hint.startswith(f"Look at it: ls -l {LINK}.")


def test_a_mask_that_systemd_does_not_make() -> None:
    host = MaskableHost("active", {"stop": "inactive", "mask": Completed(1, "", "Failed to mask unit: File exists")})
    error = failed(host, unit_step())
    assert "systemctl mask failed: Failed to mask unit" in error.what
    assert [one["done"] for one in error.result["steps"]] == [True, False]
    assert error.result["undo"]["steps"] == [step("started", "inactive")]


# ---- definitions


def test_files_come_back_before_the_definition_and_the_restart(apart: pathlib.Path) -> None:
    steps = [*written(apart), reloaded(True), *written(apart, "b.conf"), reloaded(True)]
    predicted = replay(SystemdHost("active"), *steps, check=True)
    host = SystemdHost("active", {"daemon-reload": "active", "restart": NEW})
    result = replay(host, *steps)
    assert result == predicted
    assert host.verbs() == ["daemon-reload", "restart"]
    assert list((apart / "etc").iterdir()) == []
    assert list((apart / "state" / "owed").iterdir()) == []
    assert result["changes"][-2:] == [
        {"object": f"definition of {NAME}", "before": {"need_reload": True}, "after": {"need_reload": False}},
        {
            "object": f"service {NAME}",
            "before": {"active_state": "active", "pid": 50},
            "after": {"active_state": "active", "pid": "new"},
        },
    ]
    assert [one["kind"] for one in result["undo"]["steps"]] == ["file", "file", "definition"]
    host = SystemdHost("active", {"daemon-reload": "active", "restart": NEW})
    replay(host, *result["undo"]["steps"])
    assert host.verbs() == ["daemon-reload", "restart"]
    assert len(list((apart / "etc").iterdir())) == 2


def test_a_change_that_was_pending_is_pending_again_after_undo_and_redo(apart: pathlib.Path) -> None:
    """The first change of the run was restarted for, the second was not."""
    steps = [*written(apart), reloaded(False), *written(apart, "b.conf"), reloaded(True)]
    host = SystemdHost("active", {"daemon-reload": "active", "restart": NEW})
    result = replay(host, *steps)
    assert host.verbs() == ["daemon-reload", "daemon-reload", "restart"]
    assert "not restarted" not in result["message"]
    host = SystemdHost("active", {"daemon-reload": "active", "restart": NEW})
    replay(host, *result["undo"]["steps"])
    assert host.verbs() == ["daemon-reload", "restart", "daemon-reload"]


@pytest.mark.parametrize(("now", "restarted"), [("inactive", True), ("active", False)])
def test_only_what_the_change_restarted_and_runs_is_restarted(apart: pathlib.Path, now: str, restarted: bool) -> None:
    host = SystemdHost(now, {"daemon-reload": now})
    result = replay(host, *written(apart), reloaded(restarted))
    assert host.verbs() == ["daemon-reload"]
    assert ("not restarted" in result["message"]) is (now == "active")
    assert len(result["changes"]) == 2


def test_a_service_that_the_run_restarted_later_has_what_is_put_back(apart: pathlib.Path) -> None:
    """It was restarted after the change, or is started by the undo itself, so it runs with what was changed."""
    none = {"kind": "none", "reason": "the process that was replaced is gone", "object": f"service {NAME}"}
    host = SystemdHost("active", {"daemon-reload": "active", "restart": NEW})
    replay(host, none, *written(apart), reloaded(False))
    assert host.verbs() == ["daemon-reload", "restart"]
    host = SystemdHost("inactive", {"start": "active", "daemon-reload": "active", "restart": NEW})
    replay(host, step("started", "inactive"), *written(apart), reloaded(False))
    assert host.verbs() == ["start", "daemon-reload", "restart"]
    host = SystemdHost("active", {"daemon-reload": "active", "restart": NEW})
    replay(host, *written(apart), reloaded(True), *written(apart, "b.conf"), reloaded(False))
    assert host.verbs() == ["daemon-reload", "restart"]
    host = SystemdHost("active", {"daemon-reload": "active"})
    replay(host, {**none, "object": "service other.service"}, *written(apart), reloaded(False))
    assert host.verbs() == ["daemon-reload"]


def test_a_stopped_service_is_not_restarted_by_its_definition(apart: pathlib.Path) -> None:
    host = SystemdHost("active", {"stop": "inactive", "daemon-reload": "inactive"})
    replay(host, step("stopped", "active"), *written(apart), reloaded(True))
    assert host.verbs() == ["stop", "daemon-reload"]


def test_a_restart_that_fails_stays_owed_until_a_rerun(apart: pathlib.Path) -> None:
    steps = [*written(apart), reloaded(True)]
    host = SystemdHost("active", {"daemon-reload": "active", "restart": FAILED})
    error = failed(host, *steps)
    assert error.result["changed"] is True
    assert [one["done"] for one in error.result["steps"]] == [True, True]
    assert [one["kind"] for one in error.result["undo"]["steps"]] == ["file", "definition"]
    assert [path.name for path in (apart / "state" / "owed").iterdir()] == [NAME]
    host = SystemdHost("active", {"daemon-reload": "active", "restart": NEW})
    result = replay(host, *steps)
    assert (host.verbs(), [one["done"] for one in result["steps"]]) == (["daemon-reload", "restart"], [False, True])
    host = SystemdHost("active")
    assert replay(host, *steps)["changed"] is False
    assert host.verbs() == []


def test_what_was_owed_before_a_boot_is_not_owed_any_more(apart: pathlib.Path) -> None:
    steps = [*written(apart), reloaded(True)]
    failed(SystemdHost("active", {"daemon-reload": "active", "restart": FAILED}), *steps)
    (apart / "state" / "owed" / NAME).write_text("0000-an-earlier-boot")
    host = SystemdHost("active")
    assert (replay(host, *steps)["changed"], host.verbs()) == (False, [])


def test_a_crash_before_daemon_reload_is_completed(apart: pathlib.Path) -> None:
    steps = [*written(apart), reloaded(False)]
    (apart / "etc" / "a.conf").unlink()
    host = SystemdHost("need-reload", {"daemon-reload": "active"})
    assert replay(host, *steps)["changed"] is True
    assert host.verbs() == ["daemon-reload"]


def test_a_marker_that_cannot_be_read_is_an_error(apart: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (apart / "state" / "owed" / NAME).mkdir(parents=True)
    with pytest.raises(OpsError, match=NAME):
        definition.due(reloaded(True), {"need_reload": False})


def test_a_systemd_that_does_not_answer_is_unknown_and_nothing_is_touched(apart: pathlib.Path) -> None:
    host = SystemdHost("active")
    host.run = lambda *_args: Completed(1, "", "Failed to connect to bus")  # type: ignore[method-assign]
    steps = written(apart)
    with pytest.raises(CannotLook):
        replay(host, *steps, reloaded(True))
    assert (apart / "etc" / "a.conf").exists()
    assert json.dumps(steps)
