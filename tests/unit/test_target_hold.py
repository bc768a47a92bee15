# SPDX-License-Identifier: GPL-3.0-or-later
"""A hold says whose it is and why, ends by itself where it may, and is in force where nobody can tell."""

from __future__ import annotations

import json
import os
import pathlib
import time
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import holds, lease, locks, managed_file, target_hold, undo
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused

KEYS = {"changed", "changes", "undo", "message", "hold"}
root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root owns the target's state")
pytestmark = root_only


@pytest.fixture(autouse=True)
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "state" / "hold"
    for module in (managed_file, target_hold):
        monkeypatch.setattr(module, "STATE", str(path.parent))
    for module in (holds, target_hold):
        monkeypatch.setattr(module, "PATH", str(path))
    return path


def call(state: str, check: bool = False, **given: t.Any) -> dict[str, t.Any]:
    params = {"reason": "restore under way", "by": "ann@ops1", "lasts": "", "run_id": "run-1"}
    answer = target_hold.run({**params, "state": state, **given}, check)
    assert set(answer) == KEYS
    return answer


def refused(kind: type[OpsError], state: str, **given: t.Any) -> OpsError:
    with pytest.raises(kind) as caught:
        call(state, **given)
    assert set(caught.value.result) == KEYS
    assert caught.value.hint
    return caught.value


def rewrite(file: pathlib.Path, **fields: t.Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_it_is_set_seen_and_lifted(file: pathlib.Path) -> None:
    assert call("read")["hold"] is None
    made = call("present")
    assert made["changed"] is True
    change = made["changes"][0]
    assert (change["object"], change["before"]) == ("hold", None)
    assert change["after"].startswith("restore under way; set by ann@ops1 at 20")
    assert (made["hold"]["reason"], made["hold"]["by"], made["hold"]["until"]) == (
        "restore under way",
        "ann@ops1",
        None,
    )
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    told = call("read")["hold"]["text"]
    assert told.startswith("restore under way; set by ann@ops1 at 20")
    assert call("present")["changed"] is False
    with pytest.raises(Refused, match="set by ann@ops1"):
        holds.demand_none()
    lifted = call("absent", by="bob@ops2")
    assert "the hold is lifted: restore under way; set by ann@ops1" in lifted["message"]
    assert lifted["changes"][0]["before"] == change["after"]
    assert not file.exists()
    assert call("absent")["changed"] is False
    holds.demand_none()


def test_no_act_begins_under_a_hold(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at right before the act, so one that was set after the guard was asked counts."""
    monkeypatch.setattr(lease, "DIRECTORY", str(tmp_path / "run"))
    lease.run({"name": "x", "state": "acquired", "ttl": 60, "run_id": "run-1", "holder": ""}, False)
    with lease.fence("x", "run-1", 5):
        pass
    call("present")
    with pytest.raises(Refused, match="restore under way"), lease.fence("x", "run-1", 5):
        pytest.fail("the act must not begin")


def test_somebody_else_s_is_not_replaced(file: pathlib.Path) -> None:
    call("present")
    before = file.read_bytes()
    error = refused(Refused, "present", by="bob@ops2", reason="mine")
    assert "set by ann@ops1" in error.what
    assert f"rm {file}" in error.hint
    assert file.read_bytes() == before
    assert call("present", reason="longer", lasts="2h")["changes"][0]["before"].startswith("restore")


def test_a_text_written_by_hand_is_one_too(file: pathlib.Path) -> None:
    file.parent.mkdir(mode=0o700)
    file.write_text("migration\n")
    assert call("read")["hold"] == {"text": "migration", "reason": None, "by": None, "since": None, "until": None}
    assert "migration" in refused(Refused, "present").what
    assert "the hold is lifted: migration" in call("absent")["message"]


class TestEnd:
    def test_it_ends_by_itself(self, file: pathlib.Path) -> None:
        made = call("present", lasts="2h")
        assert made["message"] == "no remedy runs here for 2 h: restore under way"
        assert made["hold"]["until"] > made["hold"]["since"]
        assert ", until 20" in call("read")["hold"]["text"]
        rewrite(file, lasts=10, uptime=locks.boot_clock()[1] - 11)
        assert call("read")["hold"] is None
        holds.demand_none()
        assert call("absent")["message"] == "the hold had ended by itself; its file is removed"

    def test_an_ended_one_is_replaced_by_anybody(self, file: pathlib.Path) -> None:
        call("present", lasts="1h")
        rewrite(file, lasts=10, uptime=locks.boot_clock()[1] - 11)
        assert call("present", by="bob@ops2")["changed"] is True

    def test_a_clock_set_forward_does_not_end_it(self, file: pathlib.Path) -> None:
        call("present", lasts="2h")
        rewrite(file, at=time.time() - 86400)
        assert call("read")["hold"]

    def test_nor_does_one_set_back_make_it_last(self, file: pathlib.Path) -> None:
        call("present", lasts="2h")
        rewrite(file, at=time.time() + 86400, lasts=10, uptime=locks.boot_clock()[1] - 11)
        assert call("read")["hold"] is None

    def test_after_a_boot_the_wall_clock_counts(self, file: pathlib.Path) -> None:
        call("present", lasts="2h")
        rewrite(file, boot_id="another", at=time.time() - 7100)
        assert call("read")["hold"]
        rewrite(file, at=time.time() - 7300)
        assert call("read")["hold"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"lasts": "soon"},
        {"lasts": 0},
        {"lasts": -1},
        {"lasts": True},
        {"until": None},
        {"boot_id": 7},
        {"uptime": None},
        {"schema": "ops.runbook/hold/2"},
        {"by": None},
    ],
)
def test_what_cannot_be_understood_is_in_force(file: pathlib.Path, fields: dict[str, t.Any]) -> None:
    call("present", lasts="1h")
    rewrite(file, at=1, boot_id="another")
    assert call("read")["hold"] is None
    rewrite(file, **fields)
    assert "restore under way" in call("read")["hold"]["text"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 90000, b"null", b"[]"])
def test_so_is_what_is_damaged(file: pathlib.Path, content: bytes) -> None:
    file.parent.mkdir(mode=0o700)
    file.write_bytes(content)
    assert call("read")["hold"]
    with pytest.raises(Refused):
        holds.demand_none()


def test_and_what_cannot_be_read(file: pathlib.Path) -> None:
    file.mkdir(parents=True, mode=0o700)
    assert "cannot be read" in call("read")["hold"]["text"]


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"reason": ""}, "reason"),
        ({"reason": " \n "}, "reason"),
        ({"reason": "x" * 401}, "reason"),
        ({"reason": "a\x1b[2Jb"}, "reason"),
        ({"by": " "}, "by"),
        ({"lasts": "2"}, "lasts"),
        ({"lasts": "0s"}, "lasts"),
        ({"lasts": "soon"}, "lasts"),
    ],
)
def test_input_that_makes_no_sense(file: pathlib.Path, given: dict[str, str], where: str) -> None:
    assert refused(BadInput, "present", **given).where == where
    assert not file.exists()


@pytest.mark.parametrize("lasts", ["", "2h"])
def test_check_mode_says_the_same_and_writes_nothing(file: pathlib.Path, lasts: str) -> None:
    predicted = call("present", check=True, lasts=lasts)
    assert not file.parent.exists()
    made = call("present", lasts=lasts)
    assert predicted["message"] == made["message"]
    assert [change["object"] for change in predicted["changes"]] == [change["object"] for change in made["changes"]]
    before = file.read_bytes()
    assert call("absent", check=True)["changed"] is True
    assert file.read_bytes() == before


def test_both_are_undone(file: pathlib.Path) -> None:
    made = call("present")
    undone = undo.replay(made["undo"]["steps"], "run-2", False)
    assert undone["changed"] is True
    assert call("read")["hold"] is None
    call("present")
    lifted = call("absent", run_id="run-3")
    undo.replay(lifted["undo"]["steps"], "run-4", False)
    assert call("read")["hold"]["by"] == "ann@ops1"


def test_an_undo_does_not_take_away_another_s_hold() -> None:
    made = call("present")
    call("absent", run_id="run-2")
    call("present", by="bob@ops2", reason="mine")
    with pytest.raises(Refused):
        undo.replay(made["undo"]["steps"], "run-3", False)
    assert call("read")["hold"]["by"] == "bob@ops2"
