# SPDX-License-Identifier: GPL-3.0-or-later
"""The record: an append-only chain that many processes write, in which tampering shows."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import record, record_chain
from ansible_collections.ops.runbook.plugins.plugin_utils.errors import RecordError

ROOT = Path(__file__).resolve().parents[3]


def lines(where: Path) -> list[dict]:
    return [json.loads(line) for line in (where / record.NAME).read_text().splitlines()]


def test_each_line_names_the_one_before(tmp_path: Path) -> None:
    where = tmp_path / "new" / "records"
    heads = [
        record.append(where, "r1", "db1", phase, {"n": n}) for n, phase in enumerate(("looked", "intent", "acted"))
    ]
    found = lines(where)
    assert [line["seq"] for line in found] == [1, 2, 3]
    assert [line["previous"] for line in found] == [record.ORIGIN, *heads[:2]]
    last = (where / record.NAME).read_bytes().splitlines()[-1]
    assert hashlib.sha256(last).hexdigest() == heads[-1]
    assert record.verify(where) == (3, None)


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    where = tmp_path / "records"
    record.append(where, "r1", "db1", "looked", {})
    assert stat.S_IMODE(where.stat().st_mode) == 0o700
    assert stat.S_IMODE((where / record.NAME).stat().st_mode) == 0o600


def test_secrets_are_masked_at_every_depth(tmp_path: Path) -> None:
    record.append(
        tmp_path,
        "r1",
        "db1",
        "looked",
        {"a": [{"b": "mongodb://root:s3cret@db1/admin"}], "c": "password=s3cret", "d": 7},
    )
    text = (tmp_path / record.NAME).read_text()
    assert "s3cret" not in text
    assert '"d":7' in text


@pytest.mark.parametrize("damage", ["edited", "dropped", "reordered", "cut", "garbage", "renumbered"])
def test_damage_shows(tmp_path: Path, damage: str) -> None:
    for number in range(5):
        record.append(tmp_path, "r1", "db1", "looked", {"n": number})
    file = tmp_path / record.NAME
    raw = file.read_bytes().splitlines(keepends=True)
    if damage == "edited":
        raw[2] = raw[2].replace(b'"n":2', b'"n":9')
    elif damage == "dropped":
        del raw[2]
    elif damage == "reordered":
        raw[1], raw[2] = raw[2], raw[1]
    elif damage == "cut":
        raw[4] = raw[4].rstrip(b"\n")
    elif damage == "garbage":
        raw[3] = b"not json\n"
    else:
        line = json.loads(raw[4])
        line["seq"] = 9
        raw[4] = json.dumps(line).encode() + b"\n"
    file.write_bytes(b"".join(raw))
    whole, problem = record.verify(tmp_path)
    assert problem
    assert whole <= 5


def test_an_absent_record_is_an_empty_one(tmp_path: Path) -> None:
    assert record.verify(tmp_path) == (0, None)
    assert record.of_run(tmp_path, "r1", "db1") == []


def _write(where: Path, number: int) -> None:
    for step in range(10):
        record.append(where, f"r{number}", "db1", "looked", {"step": step, "filler": "x" * 3000})


def test_many_processes_keep_one_chain(tmp_path: Path) -> None:
    workers = [
        multiprocessing.get_context("fork").Process(target=_write, args=(tmp_path, number)) for number in range(6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert record.verify(tmp_path) == (60, None)


def test_the_lines_of_one_run_and_host_from_its_first_look(tmp_path: Path) -> None:
    record.append(tmp_path, "r1", "db1", "looked", {"n": "older, of the same run"})
    for run, host, phase in (
        ("r1", "db1", "looked"),
        ("r2", "db1", "looked"),
        ("r1", "db2", "looked"),
        ("r1", "db1", "acted"),
        ("r2", "db1", "acted"),
    ):
        record.append(tmp_path, run, host, phase, {"filler": "x" * 40000})
    found = record.of_run(tmp_path, "r1", "db1")
    assert [line["phase"] for line in found] == ["looked", "acted"]
    assert found[0]["entry"] == {"filler": "x" * 40000}


def test_a_record_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="OPS_RUNBOOK_RECORDS"):
        record.append(tmp_path / "file", "r1", "db1", "looked", {})


def test_a_symbolic_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / record.NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError):
        record.append(tmp_path, "r1", "db1", "looked", {})
    assert not (tmp_path / "elsewhere").exists()


def test_half_a_line_of_a_dead_writer_is_set_aside_and_told(tmp_path: Path) -> None:
    record.append(tmp_path, "r1", "db1", "looked", {})
    half = b'{"seq": 2, "prev'
    with (tmp_path / record.NAME).open("ab") as stream:
        stream.write(half)
    assert "line 2, the last one, is only half written" in str(record.verify(tmp_path)[1])
    assert [line["phase"] for line in record.of_run(tmp_path, "r1", "db1")] == ["looked"]
    record.append(tmp_path, "r1", "db1", "intent", {"n": 1})
    assert [line["phase"] for line in lines(tmp_path)] == ["looked", "mended", "intent"]
    (aside,) = tmp_path.glob("record.half-2-*")
    assert (aside.read_bytes(), stat.S_IMODE(aside.stat().st_mode)) == (half, 0o600)
    assert str(aside) in lines(tmp_path)[1]["entry"]["what"]
    chain = record_chain.look(tmp_path)
    assert (chain.problem, len(chain.notes)) == (None, 1)
    assert "half a line" in chain.notes[0]


def test_half_a_line_that_was_whole_once_is_none_of_a_dead_writer(tmp_path: Path) -> None:
    for number in range(3):
        record.append(tmp_path, "r1", "db1", "looked", {"n": number})
    file = tmp_path / record.NAME
    file.write_bytes(file.read_bytes()[:-9])
    assert "line 3 was cut in its middle" in str(record.verify(tmp_path)[1])
    with pytest.raises(RecordError, match="line 3 was cut in its middle"):
        record.append(tmp_path, "r1", "db1", "intent", {})
    assert not list(tmp_path.glob("record.half-*"))


KILLED = """
import os, sys
from pathlib import Path
from ansible_collections.ops.runbook.plugins.plugin_utils import record, record_chain
os.environ["OPS_RUNBOOK_RECORDS"] = sys.argv[1]
for number in range(2):
    head = record.append(Path(sys.argv[1]), "r1", "db1", "looked", {"n": number})
    print(head, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_record_that_goes_on(tmp_path: Path) -> None:
    """At every moment at which the disk has changed; what was acknowledged is there, and the rest is whole or not."""
    tracer = ROOT / "tests" / "support" / "killed_at.py"
    (tmp_path / "write.py").write_text(KILLED)
    when, ended = 0, False
    while not ended:
        when += 1
        where = tmp_path / f"records{when}"
        where.mkdir()
        command = [sys.executable, str(tmp_path / "write.py"), str(where)]
        done = subprocess.run(
            [sys.executable, "-ISB", str(tracer), str(when), "all", str(where), *command],
            env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        *heads, told = done.stdout.strip().splitlines()
        ended = not json.loads(told)["killed"]
        acknowledged = [head for head in heads if len(head) == 64]
        record.append(where, "r2", "db1", "looked", {})
        chain = record_chain.look(where)
        assert chain.problem is None, (when, json.loads(told), chain.problem)
        assert {link.head for link in chain.links} >= set(acknowledged)
    assert when > 6, "the writer was killed at fewer moments than it has writes"


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path: Path) -> None:
    """The kernel's own short write: the file may not grow beyond a limit in the middle of the line."""
    record.append(tmp_path, "r1", "db1", "looked", {})
    before = (tmp_path / record.NAME).read_bytes()

    def child() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100,) * 2)
        try:
            record.append(tmp_path, "r1", "db1", "intent", {"filler": "x" * 300})
        except RecordError as error:
            os._exit(7 if "cannot be written" in str(error) else 8)
        os._exit(9)

    worker = multiprocessing.get_context("fork").Process(target=child)
    worker.start()
    worker.join(60)
    assert worker.exitcode == 7
    assert (tmp_path / record.NAME).read_bytes() == before
    assert record.verify(tmp_path) == (1, None)
    record.append(tmp_path, "r1", "db1", "intent", {})
    assert record.verify(tmp_path) == (2, None)


def test_a_record_of_a_newer_version_is_left_as_it_is(tmp_path: Path) -> None:
    record.append(tmp_path, "r1", "db1", "looked", {})
    file = tmp_path / record.NAME
    file.write_bytes(file.read_bytes().replace(b'"version":1', b'"version":2'))
    (tmp_path / record_chain.END).unlink()
    before = file.read_bytes()
    with pytest.raises(RecordError, match=r"newer version of ops_runbook \(record version 2.*Use that version"):
        record.append(tmp_path, "r1", "db1", "intent", {})
    assert "newer version" in str(record.verify(tmp_path)[1])
    assert file.read_bytes() == before


def test_a_record_of_before_there_were_versions_goes_on(tmp_path: Path) -> None:
    old = {"seq": 1, "previous": record.ORIGIN, "at": "2026-01-05T02:00:07.123Z", "run": "r0", "host": "db1"}
    (tmp_path / record.NAME).write_text(json.dumps({**old, "phase": "looked", "entry": {}}) + "\n")
    assert record.verify(tmp_path) == (1, None)
    record.append(tmp_path, "r1", "db1", "looked", {})
    assert record.verify(tmp_path) == (2, None)
    assert [line["phase"] for line in lines(tmp_path)] == ["looked", "looked"]


def test_a_missing_head_is_told_and_mended_once(tmp_path: Path) -> None:
    record.append(tmp_path, "r1", "db1", "looked", {})
    (tmp_path / record_chain.END).unlink()
    assert "missing" in str(record.verify(tmp_path)[1])
    record.append(tmp_path, "r1", "db1", "intent", {})
    chain = record_chain.look(tmp_path)
    assert chain.problem is None
    assert "whether lines before this one were cut is not known" in chain.notes[0]


def test_lines_that_a_lost_head_does_not_know_are_no_tampering_after_a_restart(tmp_path: Path) -> None:
    """A machine that lost power may have kept an older record.head than the record."""
    record.append(tmp_path, "r1", "db1", "looked", {})
    old = record_chain.read_end(tmp_path)
    assert old
    for _ in range(3):
        record.append(tmp_path, "r1", "db1", "acted", {})
    record_chain.write_end(tmp_path, old)
    assert "added to the end by something else" in str(record.verify(tmp_path)[1])
    record_chain.write_end(tmp_path, old._replace(boot="another boot"))
    chain = record_chain.look(tmp_path)
    assert (chain.problem, len(chain.notes)) == (None, 1)
    record_chain.write_end(tmp_path, old._replace(boot="another boot", sha256="f" * 64))
    assert "line 1 is not the one that was written there" in str(record.verify(tmp_path)[1])


def test_a_clock_that_jumps_back_changes_nothing_of_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for now in (2000.0, 1000.0, 1500.0):
        monkeypatch.setattr(record.time, "time", lambda now=now: now)
        record.append(tmp_path, "r1", "db1", "looked", {})
    assert record.verify(tmp_path) == (3, None)
    assert [line["seq"] for line in lines(tmp_path)] == [1, 2, 3]


def test_the_first_line_of_a_run_says_what_began_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_RUNBOOK_INCIDENT", "INC-1")
    monkeypatch.setenv("SUDO_USER", "alice")
    for run in ("r1", "r1", "r2", "r1"):
        record.append(tmp_path, run, "db1", "looked", {})
    told = [line.get("started") for line in lines(tmp_path)]
    assert [bool(one) for one in told] == [True, False, True, True]
    assert told[0]["incident"] == "INC-1"
    assert told[0]["by"].endswith(f"@{socket.gethostname()} (sudo by alice)")
    assert set(told[0]) == {"name", "by", "inventory", "limit", "check", "incident"}


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPS_RUNBOOK_RECORDS", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert record.folder() == tmp_path / "ops-runbook"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert record.folder() == tmp_path / ".local/state/ops-runbook"
    monkeypatch.setenv("OPS_RUNBOOK_RECORDS", "~/here")
    assert record.folder() == tmp_path / "here"


def test_one_id_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPS_RUNBOOK_RUN_ID", raising=False)
    first = record.run_id()
    assert record.run_id() == first == os.environ["OPS_RUNBOOK_RUN_ID"]
    assert len(first) == len("20260105T020007Z-abcdef")
