# SPDX-License-Identifier: GPL-3.0-or-later
"""The record: an append-only chain that many processes write, in which tampering shows."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import record
from ansible_collections.ops.runbook.plugins.plugin_utils.errors import RecordError


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


def test_a_torn_last_line_stops_the_run_before_it_acts(tmp_path: Path) -> None:
    record.append(tmp_path, "r1", "db1", "looked", {})
    with (tmp_path / record.NAME).open("ab") as stream:
        stream.write(b'{"seq": 2, "prev')
    with pytest.raises(RecordError, match="not whole"):
        record.append(tmp_path, "r1", "db1", "intent", {})
    with pytest.raises(RecordError, match="not ours"):
        record.of_run(tmp_path, "r9", "db1")


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
