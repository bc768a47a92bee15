# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import lease, locks
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused

KEYS = {"changed", "changes", "undo", "message", "lease"}
UTILS = pathlib.Path(lease.__file__).parents[6] / "collections"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    monkeypatch.setattr(lease, "DIRECTORY", str(tmp_path / "run"))
    return tmp_path / "run"


def call(state: str, run_id: str | None = "run-1", check: bool = False, **given: t.Any) -> dict[str, t.Any]:
    params = {"name": "db1/mongodb", "state": state, "ttl": 600, "run_id": run_id, "holder": f"holder of {run_id}"}
    result = lease.run({**params, **given}, check)
    assert set(result) == KEYS
    return result


def refusal(kind: type[OpsError], state: str, run_id: str | None = "run-1", **given: t.Any) -> OpsError:
    with pytest.raises(kind) as caught:
        call(state, run_id, **given)
    assert set(caught.value.result) == KEYS
    assert caught.value.result["message"] == str(caught.value)
    assert caught.value.hint
    return caught.value


def stored(folder: pathlib.Path) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((folder / "db1_mongodb.json").read_text()))


def rewrite(folder: pathlib.Path, **fields: t.Any) -> None:
    (folder / "db1_mongodb.json").write_text(json.dumps({**stored(folder), **fields}))


def expire(folder: pathlib.Path) -> None:
    rewrite(folder, expires=locks.boot_clock()[1] - 12)


class TestAcquire:
    def test_a_free_lease_is_taken(self, folder: pathlib.Path) -> None:
        found = call("acquired")
        assert found["changed"] is True
        assert found["changes"] == [
            {"object": "lease db1_mongodb", "before": None, "after": {"run_id": "run-1", "holder": "holder of run-1"}}
        ]
        assert found["lease"] == {
            "name": "db1_mongodb",
            "run_id": "run-1",
            "holder": "holder of run-1",
            "expires_in": 600.0,
            "mine": True,
            "held": True,
        }
        assert set(stored(folder)) == {"name", "run_id", "holder", "boot_id", "expires", "taken_at"}
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "db1_mongodb.json").stat().st_mode & 0o777 == 0o600

    def test_the_run_s_own_is_kept_and_never_shortened(self) -> None:
        call("acquired")
        found = call("acquired", ttl=5)
        assert (found["changed"], found["changes"]) == (False, [])
        assert found["lease"]["expires_in"] > 590
        assert call("acquired", ttl=900)["lease"]["expires_in"] == 900.0

    def test_another_run_s_is_refused_with_who_and_how_long(self, folder: pathlib.Path) -> None:
        call("acquired", ttl=100)
        before = stored(folder)
        error = refusal(Refused, "acquired", "run-2")
        assert "db1_mongodb is held by holder of run-1 (run run-1) for another 100 s" in error.what
        assert error.result["changed"] is False
        view = error.result["lease"]
        assert (view["run_id"], view["mine"], view["held"]) == ("run-1", False, True)
        assert stored(folder) == before

    def test_an_ended_one_is_taken_over(self, folder: pathlib.Path) -> None:
        call("acquired")
        expire(folder)
        found = call("acquired", "run-2")
        assert found["changes"][0]["before"]["run_id"] == "run-1"
        assert stored(folder)["run_id"] == "run-2"

    def test_the_act_of_a_run_that_broke_off_is_known_until_a_lease_is_given_back(self, folder: pathlib.Path) -> None:
        call("acquired")
        assert "acted" not in stored(folder)
        with lease.fence("db1/mongodb", "run-1", 1):
            acted = stored(folder)["acted"]
        assert acted == pytest.approx(locks.boot_clock()[1], abs=5)
        expire(folder)
        call("acquired", "run-2")
        assert stored(folder)["acted"] == acted
        call("released", "run-2")
        call("acquired", "run-3")
        assert "acted" not in stored(folder)

    def test_an_ended_one_whose_act_still_runs_is_not(self, folder: pathlib.Path) -> None:
        call("acquired")
        with lease.fence("db1/mongodb", "run-1", 1):
            expire(folder)
            error = refusal(Refused, "acquired", "run-2")
            assert "has ended, but its act is still running" in error.what
            assert error.result["lease"]["held"] is True
        assert call("acquired", "run-2")["changed"] is True

    def test_one_of_an_earlier_boot_is_void(self, folder: pathlib.Path) -> None:
        call("acquired")
        rewrite(folder, boot_id="another")
        assert call("read")["lease"]["held"] is False
        assert call("acquired", "run-2")["changes"][0]["before"] is None

    def test_other_names_are_other_leases(self) -> None:
        call("acquired")
        assert call("acquired", "run-2", name="db1/nginx")["changed"] is True


class TestRenew:
    def test_it_lasts_longer_and_is_no_change(self) -> None:
        call("acquired", ttl=10)
        found = call("renewed", ttl=300)
        assert found["changed"] is False
        assert found["lease"]["expires_in"] == 300.0

    def test_an_ended_one_is_refused_since_another_may_have_acted(self, folder: pathlib.Path) -> None:
        call("acquired")
        expire(folder)
        assert "ended 12 s ago" in refusal(Refused, "renewed").what

    def test_a_missing_one_is_refused(self) -> None:
        assert "does not hold the lease" in refusal(Refused, "renewed").what

    def test_another_run_s_is_refused(self) -> None:
        call("acquired")
        assert "is held by" in refusal(Refused, "renewed", "run-2").what


class TestRelease:
    def test_the_run_s_own(self, folder: pathlib.Path) -> None:
        call("acquired")
        found = call("released")
        assert found["changed"] is True
        assert found["changes"][0]["after"] is None
        assert found["lease"] == {
            "name": "db1_mongodb",
            "run_id": None,
            "holder": None,
            "expires_in": None,
            "mine": False,
            "held": False,
        }
        assert not (folder / "db1_mongodb.json").exists()

    def test_another_run_s_is_left_alone(self) -> None:
        call("acquired")
        found = call("released", "run-2")
        assert (found["changed"], found["lease"]["mine"], found["lease"]["run_id"]) == (False, False, "run-1")
        assert call("read")["lease"]["mine"] is True

    def test_a_missing_one_is_fine(self, folder: pathlib.Path) -> None:
        assert call("released")["changed"] is False
        assert not folder.exists()


class TestCheckMode:
    @pytest.mark.parametrize("state", ["acquired", "released", "read"])
    def test_nothing_is_written_where_there_is_nothing(self, folder: pathlib.Path, state: str) -> None:
        assert call(state, check=True)["changed"] is (state == "acquired")
        assert not folder.exists()

    def test_it_predicts_what_happens(self, folder: pathlib.Path) -> None:
        predicted = call("acquired", check=True)
        assert predicted == call("acquired")
        before = stored(folder)
        for state in ("acquired", "renewed", "released", "read"):
            predicted = call(state, check=True, ttl=900)
            assert stored(folder) == before
        assert predicted["lease"]["expires_in"] > 590
        assert "is held by" in refusal(Refused, "acquired", "run-2", check=True).what


class TestInput:
    @pytest.mark.parametrize("name", ["", ".", "..", ".x", "a b", "a" * 65, "a\nb", "ä", "a;b"])
    def test_names_that_cannot_be(self, name: str) -> None:
        assert "cannot be the name" in refusal(BadInput, "read", name=name).what

    @pytest.mark.parametrize(
        ("name", "file"), [("db1/mongodb", "db1_mongodb"), ("a" * 64, "a" * 64), ("A-b_c.9", "A-b_c.9")]
    )
    def test_names_that_can(self, name: str, file: str) -> None:
        assert lease.lease_name(name) == file

    @pytest.mark.parametrize("state", ["acquired", "renewed", "released"])
    @pytest.mark.parametrize("run_id", [None, ""])
    def test_a_run_id_is_needed(self, state: str, run_id: str | None) -> None:
        assert "no run id" in refusal(BadInput, state, run_id).what

    def test_but_not_for_looking(self) -> None:
        call("acquired")
        found = call("read", None)
        assert (found["lease"]["held"], found["lease"]["mine"]) == (True, False)

    @pytest.mark.parametrize("ttl", [0, -5, float("nan"), float("inf")])
    def test_a_time_that_is_none(self, ttl: float) -> None:
        assert refusal(BadInput, "acquired", ttl=ttl).where == "ttl"


class TestDamage:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe",
            b'{"name": "x"}',
            b"[" * 60000,
            b'{"name":"x","run_id":"r","holder":"","boot_id":"b","taken_at":"t","expires":NaN}',
            b'{"name":"x","run_id":"r","holder":"","boot_id":"b","taken_at":"t","expires":Infinity}',
            b'{"name":"x","run_id":7,"holder":"","boot_id":"b","taken_at":"t","expires":1}',
            b'{"name":"x","run_id":"r","holder":"","boot_id":"b","taken_at":"t","expires":"soon"}',
        ],
    )
    @pytest.mark.parametrize("state", ["acquired", "renewed", "released", "read"])
    def test_nobody_guesses_who_holds_it(self, folder: pathlib.Path, content: bytes, state: str) -> None:
        folder.mkdir(mode=0o700)
        (folder / "db1_mongodb.json").write_bytes(content)
        error = refusal(Refused, state)
        assert "is damaged" in error.what
        assert f"rm {folder}/db1_mongodb.json" in error.hint
        assert (folder / "db1_mongodb.json").read_bytes() == content

    def test_a_directory_that_anybody_may_write_into_is_not_trusted(self, folder: pathlib.Path) -> None:
        folder.mkdir()
        folder.chmod(0o777)
        with pytest.raises(Refused, match="cannot be trusted"):
            call("acquired")

    def test_a_lease_that_is_a_directory(self, folder: pathlib.Path) -> None:
        (folder / "db1_mongodb.json").mkdir(parents=True)
        with pytest.raises(OpsError, match="Is a directory") as caught:
            call("read")
        assert caught.value.where == str(folder / "db1_mongodb.json")

    def test_a_lock_that_cannot_be_made(self, folder: pathlib.Path) -> None:
        call("acquired")
        (folder / "db1_mongodb.lock").mkdir()
        with pytest.raises(OpsError, match="lock"), lease.fence("db1/mongodb", "run-1", 5):
            pytest.fail("the act must not begin")

    def test_a_user_that_may_not_look(self, folder: pathlib.Path) -> None:
        call("acquired")
        if os.getuid():
            folder.chmod(0)
            error = refusal(OpsError, "read")
        else:
            error = as_nobody(folder)
        assert "become: true" in error.hint

    def test_a_stopped_process_in_the_way_is_named(self, folder: pathlib.Path) -> None:
        call("acquired")
        late = locks.mutex(str(folder), wait=0.05)
        with locks.mutex(str(folder)), pytest.raises(OpsError, match=r"for more than 0.05 s") as caught, late:
            pytest.fail("two at once")
        assert "fuser" in caught.value.hint


def as_nobody(folder: pathlib.Path) -> OpsError:
    """What an ordinary user gets; the parents are opened, so that only the lease's own directory says no."""
    for parent in folder.parents[:3]:
        parent.chmod(0o755)
    os.seteuid(65534)
    try:
        return refusal(OpsError, "read")
    finally:
        os.seteuid(0)


class TestFence:
    def test_no_lease_no_fence(self, folder: pathlib.Path) -> None:
        with lease.fence("", None, 5):
            assert not folder.exists()

    def test_a_run_id_is_needed(self) -> None:
        with pytest.raises(BadInput, match="no run id"), lease.fence("db1", None, 5):
            pytest.fail("the act must not begin")

    def test_it_renews_and_holds_the_lock_for_the_life_of_the_act(self, folder: pathlib.Path) -> None:
        call("acquired", ttl=10)
        with lease.fence("db1/mongodb", "run-1", 400):
            seen = lease.look("db1_mongodb", "run-1")
            assert seen.busy
            assert seen.left == pytest.approx(400, abs=2)
            with lease.fence("db1/mongodb", "run-1", 1):
                assert lease.look("db1_mongodb", "run-1").left > 390
            assert lease.look("db1_mongodb", "run-1").busy
        assert not lease.look("db1_mongodb", "run-1").busy

    def test_the_lock_is_dropped_when_the_act_fails(self) -> None:
        call("acquired")
        with pytest.raises(ZeroDivisionError), lease.fence("db1/mongodb", "run-1", 5):
            raise ZeroDivisionError
        assert not lease.look("db1_mongodb", "run-1").busy

    @pytest.mark.parametrize(
        ("prepare", "why"),
        [
            (lambda _folder: None, "does not hold the lease"),
            (lambda _folder: call("acquired", "run-2"), "is held by holder of run-2"),
            (lambda folder: [call("acquired"), expire(folder)], "ended 12 s ago"),
            (lambda folder: [call("acquired"), rewrite(folder, boot_id="another")], "does not hold the lease"),
            (lambda folder: [call("acquired"), (folder / "db1_mongodb.json").write_text("{")], "is damaged"),
        ],
    )
    def test_a_lease_that_is_not_the_run_s_own(self, folder: pathlib.Path, prepare: t.Any, why: str) -> None:
        prepare(folder)
        with pytest.raises(Refused, match=why) as caught, lease.fence("db1/mongodb", "run-1", 5):
            pytest.fail("the act must not begin")
        assert caught.value.hint


PROCESS = textwrap.dedent("""
    import json, sys, time
    from ansible_collections.ops.runbook.plugins.module_utils import lease
    from ansible_collections.ops.runbook.plugins.module_utils.errors import Refused
    lease.DIRECTORY, run_id, act, seconds = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
    if act == "race":
        time.sleep(max(0, seconds - time.time()))
    try:
        if act == "race":
            params = {"name": "db1", "state": "acquired", "ttl": 600, "run_id": run_id, "holder": run_id}
            print("won" if lease.run(params, False)["changed"] else "mine")
        else:
            with lease.fence("db1", run_id, seconds):
                print("acting", flush=True)
                time.sleep(30)
    except Refused as error:
        print("lost", error.result["lease"]["run_id"])
""")


def process(folder: pathlib.Path, run_id: str, act: str, seconds: float) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", PROCESS, str(folder), run_id, act, str(seconds)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(UTILS)})


@pytest.mark.parametrize("found", ["nothing", "ended"])
def test_of_twenty_processes_exactly_one_wins(folder: pathlib.Path, found: str) -> None:
    if found == "ended":
        call("acquired", "run-before", name="db1")
        path = folder / "db1.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "expires": 1.0}))
    start = time.time() + 2.5
    racers = [process(folder, f"run-{number}", "race", start) for number in range(20)]
    said = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert said.count("won") == 1
    winner = f"run-{said.index('won')}"
    assert set(said) == {"won", f"lost {winner}"}
    assert lease.look("db1", winner).mine


def test_a_killed_act_frees_the_lock_but_the_lease_must_still_end(folder: pathlib.Path) -> None:
    call("acquired", name="db1", ttl=1)
    act = process(folder, "run-1", "act", 2.5)
    try:
        assert act.stdout
        assert act.stdout.readline().strip() == "acting"
        time.sleep(2.7)
        assert "act is still running" in refusal(Refused, "acquired", "run-2", name="db1").what
        act.send_signal(signal.SIGKILL)
        act.wait(10)
        assert call("acquired", "run-2", name="db1")["changed"] is True
        assert "is held by" in refusal(Refused, "acquired", "run-3", name="db1").what
    finally:
        act.kill()
        act.communicate()


def test_a_killed_act_does_not_end_the_lease(folder: pathlib.Path) -> None:
    call("acquired", name="db1", ttl=600)
    act = process(folder, "run-1", "act", 1)
    assert act.stdout
    assert act.stdout.readline().strip() == "acting"
    act.kill()
    act.communicate()
    assert "for another" in refusal(Refused, "acquired", "run-2", name="db1").what
