# SPDX-License-Identifier: GPL-3.0-or-later
"""What a target remembers of remedies: durable, bounded, blind to clock steps, and never guessed."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import guard_facts, locks, remedies
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused

UTILS = pathlib.Path(remedies.__file__).parents[6] / "collections"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    monkeypatch.setattr(remedies, "DIRECTORY", str(tmp_path / "state" / "remedies"))
    return tmp_path / "state" / "remedies"


def call(state: str, run_id: str | None = "run-1", check: bool = False, **given: t.Any) -> dict[str, t.Any]:
    params = {"service": "mongodb", "state": state, "remedy": "start", "cause": "killed", "result": "not_cured"}
    return remedies.run({**params, "run_id": run_id, **given}, check)


def stored(folder: pathlib.Path) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((folder / "mongodb.json").read_text()))


def shift(folder: pathlib.Path, **fields: t.Any) -> None:
    memory = stored(folder)
    memory["remedies"][-1].update(fields)
    (folder / "mongodb.json").write_text(json.dumps(memory))


def test_a_remedy_is_noted_before_and_after(folder: pathlib.Path) -> None:
    assert call("read")["memory"] == {"remedies": [], "escalated": None}
    assert not folder.exists()
    assert call("begun")["changed"] is True
    assert [note["result"] for note in call("read")["memory"]["remedies"]] == ["begun"]
    call("ended", result="cured")
    note = call("read")["memory"]["remedies"][0]
    assert {key: note[key] for key in ("run", "remedy", "cause", "result")} == {
        "run": "run-1",
        "remedy": "start",
        "cause": "killed",
        "result": "cured",
    }
    assert note["age"] < 5
    assert set(note) == {"run", "remedy", "cause", "result", "at", "age"}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "mongodb.json").stat().st_mode & 0o777 == 0o600


def test_what_broke_off_stays_begun_and_the_next_attempt_is_its_own() -> None:
    call("begun", remedy="mend")
    call("begun", remedy="start")
    call("ended", remedy="start", result="cured")
    assert [note["result"] for note in call("read")["memory"]["remedies"]] == ["begun", "cured"]


def test_an_end_whose_beginning_found_no_room_is_noted_all_the_same() -> None:
    call("ended", result="cured")
    assert [note["result"] for note in call("read")["memory"]["remedies"]] == ["cured"]


def test_an_escalation_lasts_until_it_is_cured() -> None:
    call("escalated", "run-4")
    assert call("read")["memory"]["escalated"]["run"] == "run-4"
    call("begun", "run-5")
    call("ended", "run-5", result="not_cured")
    assert call("read")["memory"]["escalated"]["run"] == "run-4"
    call("begun", "run-6")
    call("ended", "run-6", result="cured")
    assert call("read")["memory"]["escalated"] is None


def test_it_is_bounded(folder: pathlib.Path) -> None:
    for number in range(60):
        call("begun", f"run-{number}")
    kept = [note["run"] for note in stored(folder)["remedies"]]
    assert kept == [f"run-{number}" for number in range(10, 60)]


@pytest.mark.parametrize("state", ["begun", "ended", "escalated"])
def test_check_mode_writes_nothing(folder: pathlib.Path, state: str) -> None:
    assert call(state, check=True)["changed"] is True
    assert not folder.exists()


@pytest.mark.parametrize("state", ["begun", "ended", "escalated"])
def test_a_run_is_needed(state: str) -> None:
    with pytest.raises(BadInput, match="no run id"):
        call(state, None)


@pytest.mark.parametrize("service", ["", ".", "../x", "a/b", "a" * 65, "Ünï"])
def test_names_that_are_no_service(service: str) -> None:
    with pytest.raises(BadInput, match="not the name of a service"):
        call("read", service=service)


class TestClock:
    def test_set_forward_does_not_age_it(self, folder: pathlib.Path) -> None:
        call("begun")
        shift(folder, at=time.time() - 10 * 86400)
        assert call("read")["memory"]["remedies"][0]["age"] < 5

    def test_set_back_does_not_keep_it_for_ever(self, folder: pathlib.Path) -> None:
        call("begun")
        shift(folder, at=time.time() + 86400, uptime=locks.boot_clock()[1] - 20)
        assert call("read")["memory"]["remedies"][0]["age"] == pytest.approx(20, abs=5)

    def test_set_back_across_a_boot_makes_it_a_moment_ago(self, folder: pathlib.Path) -> None:
        call("begun")
        shift(folder, at=time.time() + 86400, boot_id="another")
        assert call("read")["memory"]["remedies"][0]["age"] == 0

    def test_after_a_boot_the_wall_clock_counts(self, folder: pathlib.Path) -> None:
        call("begun")
        shift(folder, at=time.time() - 700, boot_id="another")
        assert call("read")["memory"]["remedies"][0]["age"] == pytest.approx(700, abs=5)


NOTE = {"run": "r", "remedy": "s", "cause": "c", "at": 1, "boot_id": "b", "uptime": 1, "result": "cured"}


def damaged(**fields: t.Any) -> str:
    return json.dumps({"remedies": [{**NOTE, **fields}], "escalated": None})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"remedies": [], "escalated": {}}',
        '{"remedies": {}, "escalated": null}',
        '{"remedies": [1], "escalated": null}',
        '{"remedies": [{"run": "r"}], "escalated": null}',
        json.dumps({"remedies": [NOTE]}),
        damaged(result="won"),
        damaged(at=float("nan")),
        damaged(at=1e300),
        damaged(remedy=7),
        "[" * 90000,
    ],
)
def test_a_damaged_memory_is_refused_and_left_alone(folder: pathlib.Path, content: str) -> None:
    folder.mkdir(mode=0o700, parents=True)
    (folder / "mongodb.json").write_text(content)
    for state in ("read", "begun", "ended", "escalated"):
        with pytest.raises(Refused, match="damaged") as caught:
            call(state)
        assert f"rm {folder}/mongodb.json" in caught.value.hint
    assert (folder / "mongodb.json").read_text() == content
    told = guard_facts.run({"service": "mongodb"}, False)
    assert told["memory"] is None
    assert "damaged" in told["memory_problem"]["reason"]
    assert told["memory_problem"]["next_step"].endswith(f"rm {folder}/mongodb.json")


def test_one_that_cannot_be_read_is_refused(folder: pathlib.Path) -> None:
    (folder / "mongodb.json").mkdir(parents=True)
    with pytest.raises(Refused, match="cannot be read"):
        call("read")


def test_one_that_cannot_be_written_is_an_error(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.parent.mkdir()
    (folder.parent / "file").write_text("")
    monkeypatch.setattr(remedies, "DIRECTORY", str(folder.parent / "file" / "remedies"))
    with pytest.raises(OpsError):
        call("begun")


def test_without_a_service_nothing_is_remembered() -> None:
    told = guard_facts.run({"service": ""}, False)
    assert (told["memory"], told["memory_problem"]) == (None, None)


def test_notes_of_many_processes_are_all_kept(folder: pathlib.Path) -> None:
    code = (
        "import sys; from ansible_collections.ops.runbook.plugins.module_utils import remedies\n"
        "remedies.DIRECTORY = sys.argv[1]\n"
        "remedies.run({'service': 'mongodb', 'state': 'begun', 'remedy': 's', 'cause': 'c', 'run_id': sys.argv[2]}, 0)"
    )
    env = {**os.environ, "PYTHONPATH": str(UTILS)}
    racers = [subprocess.Popen([sys.executable, "-c", code, str(folder), f"run-{n}"], env=env) for n in range(8)]
    assert [racer.wait(60) for racer in racers] == [0] * 8
    assert sorted(note["run"] for note in stored(folder)["remedies"]) == sorted(f"run-{n}" for n in range(8))
