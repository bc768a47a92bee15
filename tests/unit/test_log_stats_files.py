# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotated, compressed and damaged files, and cursors: nothing is counted twice, nothing is missed unsaid."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import (
    log_stats_cursor,
    log_stats_files,
    log_stats_read,
    log_stats_scan,
)
from ansible_collections.ops.runbook.plugins.module_utils.errors import CannotLook
from ansible_collections.ops.runbook.plugins.module_utils.log_stats import run
from ansible_collections.ops.runbook.plugins.module_utils.log_stats_cursor import whole_end
from ansible_collections.ops.runbook.plugins.module_utils.log_stats_files import (
    LogFile,
    in_order,
    open_log,
    parse_siblings,
)
from ansible_collections.ops.runbook.plugins.module_utils.log_stats_read import Broken, Reading, unpacked
from ansible_collections.ops.runbook.plugins.module_utils.names import shown
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import debian
from tests.unit.test_log_stats import DEFAULTS

NUMBERS = {"n": {"pattern": r"line (\d+) end"}}


def ask(log: Path, **options: Any) -> dict[str, Any]:
    return run({**DEFAULTS, "paths": [str(log)], "values": NUMBERS, **options}, False)


def seen(answer: dict[str, Any]) -> tuple[int, int]:
    """How many numbered lines there were, and the sum of their numbers."""
    told = answer["values"]["n"]
    return told["count"], int(told["sum"])


def expected(*numbers: range) -> tuple[int, int]:
    return sum(map(len, numbers)), sum(map(sum, numbers))


def text(numbers: range) -> str:
    return "".join(f"2026-01-05T02:00:07Z line {at} end\n" for at in numbers)


def append(path: Path, numbers: range) -> None:
    with path.open("a") as stream:
        stream.write(text(numbers))


def zstd(data: bytes) -> bytes:
    return subprocess.run([debian.program("zstd"), "-qc"], input=data, capture_output=True, check=True).stdout


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd,
}


@pytest.fixture(autouse=True)
def has_zstd(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that has the program, whatever this machine has."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{Path(debian.program('zstd')).parent}")


def pack(path: Path, kind: str) -> Path:
    """Compress as logrotate does: a new file with the times of the old one, then the old one is gone."""
    packed, was = path.with_name(f"{path.name}.{kind}"), path.stat()
    packed.write_bytes(PACK[kind](path.read_bytes()))
    os.utime(packed, ns=(was.st_atime_ns, was.st_mtime_ns))
    path.unlink()
    return packed


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stats_files, "_PAUSE", 0.01)


def test_what_was_rotated_away_is_told_by_its_name() -> None:
    names = [
        "app.log.1",
        "app.log.2.gz",
        "app.log-20260101",
        "app.log-20260101-3.xz",
        "app.log.2026-01-05T02-00-07",
        "app.log.10.zst",
    ]
    others = [
        "app.log",
        "app.log.bak",
        "app.log.old",
        "app.log2",
        "app.log.1.txt",
        "my.app.log.1",
        "app.log.gz",
        "app.log.1.gz~",
    ]
    found = parse_siblings("app.log", names + others)
    assert sorted(one[0] for one in found) == sorted(names)
    assert {one[0]: one[2] for one in found}["app.log-20260101-3.xz"] == "xz"
    assert parse_siblings("app.log", ["app.log.1.gz", "app.log.1"]) == [("app.log.1", "1", "")]


def test_a_folder_that_is_gone_holds_nothing_and_one_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    errors: dict[str, str] = {}
    assert log_stats_files.siblings(str(tmp_path / "gone"), "app.log", errors) == []
    assert not errors
    (tmp_path / "file").touch()
    assert log_stats_files.siblings(str(tmp_path / "file"), "app.log", errors) == []
    assert "cannot be listed" in errors[str(tmp_path / "file")]


def test_the_oldest_comes_first(tmp_path: Path) -> None:
    def order(*marks: str) -> list[str]:
        files = []
        for at, mark in enumerate(marks):
            path = tmp_path / mark
            path.touch()
            os.utime(path, (at, at))
            files.append((mark, LogFile(str(path))))
        found = [Path(file.path).name for file in in_order(files)]
        for _mark, file in files:
            file.close()
        return found

    assert order("1", "10", "2") == ["10", "2", "1"]
    assert order("20260103", "20260101") == ["20260101", "20260103"]
    assert order("1", "20260101", "2") == ["1", "20260101", "2"]
    assert order() == []


@pytest.mark.parametrize("kind", PACK)
def test_compressed_files_belong_to_the_log(log: Path, kind: str) -> None:
    append(log.with_name("app.log.2"), range(100))
    pack(log.with_name("app.log.2"), kind)
    append(log.with_name("app.log.1"), range(100, 200))
    append(log, range(200, 300))
    answer = ask(log)
    assert seen(answer) == expected(range(300))
    assert [Path(one["path"]).name for one in answer["logs"][0]["files"]] == [
        f"app.log.2.{kind}",
        "app.log.1",
        "app.log",
    ]
    assert [one["lines"] for one in answer["logs"][0]["files"]] == [100, 100, 100]
    assert answer["complete"]
    assert seen(ask(log, rotated=False)) == expected(range(200, 300))


def test_several_members_and_zeros_between_are_one_file(log: Path) -> None:
    log.touch()
    parts = [text(range(50)).encode(), text(range(50, 100)).encode()]
    (log.parent / "app.log.3.gz").write_bytes(
        gzip.compress(parts[0]) + b"\0" * 700_000 + gzip.compress(parts[1]) + b"\0\0"
    )
    (log.parent / "app.log.2.xz").write_bytes(lzma.compress(parts[0]) + b"\0\0\0\0" + lzma.compress(parts[1]))
    (log.parent / "app.log.1.bz2").write_bytes(bz2.compress(parts[0]) + bz2.compress(parts[1]))
    answer = ask(log)
    assert seen(answer) == (300, 3 * sum(range(100)))
    assert answer["complete"]


@pytest.mark.parametrize("kind", PACK)
def test_what_can_be_read_of_a_damaged_file_is_counted_and_told(log: Path, kind: str) -> None:
    numbers = random.Random(3).sample(range(10**9), 60_000)  # noqa: S311 - a log
    whole = "".join(f"line {at} end\n" for at in numbers).encode()
    packed = PACK[kind](whole)
    old = log.with_name(f"app.log.1.{kind}")
    log.write_text("")
    for damaged in (
        packed[: len(packed) // 2],
        packed[: len(packed) // 2] + b"\xff" * 500 + packed[len(packed) // 2 :],
        b"",
        b"no archive",
    ):
        old.write_bytes(damaged)
        answer = ask(log)
        assert 0 <= seen(answer)[0] < 60_001
        assert answer["logs"][0]["files"][0]["damaged"]
        assert not answer["complete"]
        assert "could not be read to its end" in answer["message"]
    old.write_bytes(packed[: len(packed) // 2])
    if kind == "gz":
        assert seen(ask(log))[0] > 20_000


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_file_that_unpacks_to_very_much_takes_little_room(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(PACK[kind](b"\n" * (64 << 20)))
    file = LogFile(str(path), kind)
    assert max(map(len, unpacked(file))) <= log_stats_read.CHUNK
    assert sum(map(len, unpacked(file))) == 64 << 20
    file.close()


def test_without_the_program_a_zst_file_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, range(5))
    log.with_name("app.log.1.zst").write_bytes(b"x")
    monkeypatch.setenv("PATH", "/nowhere")
    answer = ask(log)
    assert seen(answer) == expected(range(5))
    assert "zstd is not installed" in answer["message"]
    assert not answer["complete"]


def test_a_program_that_is_not_read_to_its_end_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "app.log.1.zst"
    path.write_bytes(zstd(os.urandom(1 << 22)))
    file = LogFile(str(path), "zst")
    chunks = unpacked(file)
    assert isinstance(chunks, Iterator)
    assert next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    file.close()


def test_a_rotated_file_may_end_without_a_newline(log: Path) -> None:
    log.with_name("app.log.1").write_text("line 1 end\nline 2 end")
    log.write_text("line 3 end\n")
    answer = ask(log)  # written a moment ago: a program may have it open still
    assert (seen(answer), answer["logs"][0]["unfinished_bytes"]) == ((2, 4), 10)
    os.utime(log.with_name("app.log.1"), (time.time() - 60, time.time() - 60))
    assert seen(ask(log)) == (3, 6)
    assert seen(ask(log, cursors=answer["cursors"])) == (1, 2)


def test_old_files_are_left_out_of_a_window(log: Path) -> None:
    append(log.with_name("app.log.1"), range(10))
    os.utime(log.with_name("app.log.1"), (time.time() - 9000, time.time() - 9000))
    log.write_text(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) + " line 10 end\n")
    answer = ask(log, since="3600")
    assert seen(answer) == (1, 10)
    assert len(answer["logs"][0]["files"]) == 1
    assert answer["window"]["covered_seconds"] == pytest.approx(3600, abs=1)


def test_the_log_may_be_a_link(log: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    append(tmp_path / "real/0.log", range(5, 9))
    append(tmp_path / "real/0.log.20260105-020007", range(5))
    log.symlink_to(tmp_path / "real/0.log")
    assert seen(ask(log)) == expected(range(9))


def test_two_names_of_one_file_are_one_file(log: Path) -> None:
    append(log, range(5))
    os.link(log, log.with_name("app.log.1"))
    assert seen(ask(log)) == expected(range(5))


def test_what_is_no_file_among_the_rotated_ones_is_told(log: Path) -> None:
    append(log, range(5))
    log.with_name("app.log.1").mkdir()
    log.with_name("app.log.2").symlink_to("app.log.2")
    log.with_name("app.log.3").symlink_to("gone")
    answer = ask(log)
    assert seen(answer) == expected(range(5))
    assert "app.log.1 is a directory" in answer["logs"][0]["note"]
    assert "app.log.2" in answer["logs"][0]["note"]
    assert "app.log.3" not in answer["logs"][0]["note"]


def test_a_copy_that_is_being_made_is_not_counted_beside_its_original(log: Path) -> None:
    append(log, range(1000))
    data = log.read_bytes()
    log.with_name("app.log.1").write_bytes(data[: len(data) // 2])
    assert seen(ask(log)) == expected(range(1000))
    log.with_name("app.log.1").write_bytes(data)
    assert seen(ask(log)) == expected(range(1000))


def test_two_short_logs_that_are_alike_are_two(log: Path) -> None:
    log.write_text("line 5 end\n")
    log.with_name("app.log.1").write_text("line 5 end\n")
    assert seen(ask(log)) == (2, 10)


def test_a_log_that_is_not_there_for_a_moment_is_waited_for(log: Path) -> None:
    append(log.with_name("app.log.1"), range(5))
    thread = threading.Timer(0.05, append, (log, range(5, 7)))
    thread.start()
    assert seen(ask(log)) == expected(range(7))
    thread.join()


def test_only_rotated_files_are_no_log(log: Path) -> None:
    append(log.with_name("app.log.1"), range(5))
    answer = ask(log)
    assert (answer["logs"][0]["exists"], answer["values"]["n"]["count"]) == (False, None)


def test_names_that_change_without_end_cannot_be_looked_at(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, range(3))
    real = log_stats_files._open

    def restless(path: str, rotated: bool) -> log_stats_files.Log:
        found = real(path, rotated)
        log.rename(log.with_name("app.log.1"))
        append(log, range(3))
        return found

    monkeypatch.setattr(log_stats_files, "_open", restless)
    with pytest.raises(CannotLook, match="renamed without end"):
        ask(log)


def test_a_log_that_comes_between_two_looks_is_seen(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = log_stats_files._open, []

    def coming(path: str, rotated: bool) -> log_stats_files.Log:
        found = real(path, rotated)
        if not calls:
            append(log, range(3))
        calls.append(path)
        return found

    monkeypatch.setattr(log_stats_files, "_open", coming)
    assert seen(ask(log)) == expected(range(3))
    assert len(calls) == 2


def test_a_log_that_goes_between_two_looks_is_gone(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, range(3))
    real = log_stats_files._open

    def going(path: str, rotated: bool) -> log_stats_files.Log:
        found = real(path, rotated)
        log.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(log_stats_files, "_open", going)
    assert not ask(log)["logs"][0]["exists"]


def test_a_rotation_between_two_looks_at_the_names_is_looked_at_again(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log.with_name("app.log.1"), range(3))
    append(log, range(3, 6))
    real, calls = log_stats_files.siblings, []

    def rotating(folder: str, name: str, errors: dict[str, str]) -> list[tuple[str, str, str]]:
        calls.append(name)
        if len(calls) == 1:  # the log is open already, its folder is not yet listed
            log.with_name("app.log.1").rename(log.with_name("app.log.2"))
            log.rename(log.with_name("app.log.1"))
            append(log, range(6, 9))
        return real(folder, name, errors)

    monkeypatch.setattr(log_stats_files, "siblings", rotating)
    assert seen(ask(log)) == expected(range(9))
    assert len(calls) > 2


def renamed(log: Path) -> None:
    for number in (2, 1):
        old = log.with_name(f"app.log.{number}")
        if old.exists():
            old.rename(log.with_name(f"app.log.{number + 1}"))
    log.rename(log.with_name("app.log.1"))
    log.touch()


def copied(log: Path) -> None:
    for number in (2, 1):
        old = log.with_name(f"app.log.{number}")
        if old.exists():
            old.rename(log.with_name(f"app.log.{number + 1}"))
    shutil.copyfile(log, log.with_name("app.log.1"))
    os.truncate(log, 0)


def packed_gz(log: Path) -> None:
    renamed(log)
    pack(log.with_name("app.log.1"), "gz").rename(log.with_name("app.log.1.gz"))


def copied_xz(log: Path) -> None:
    copied(log)
    pack(log.with_name("app.log.1"), "xz")


ROTATIONS = {"renamed": renamed, "copied": copied, "packed_gz": packed_gz, "copied_xz": copied_xz}


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_a_cursor_is_followed_over_a_rotation(log: Path, rotation: str) -> None:
    append(log, range(100))
    first = ask(log)
    append(log, range(100, 150))
    ROTATIONS[rotation](log)
    append(log, range(150, 400))  # longer than it was at the cursor
    second = ask(log, cursors=first["cursors"])
    assert seen(first) == expected(range(100))
    assert seen(second) == expected(range(100, 400))
    assert not second["logs"][0]["gap"]
    assert second["complete"]
    third = ask(log, cursors=second["cursors"])
    assert seen(third) == (0, 0)


@settings(max_examples=40)
@given(st.lists(st.one_of(st.integers(1, 60), st.sampled_from(["renamed", "copied", "ask"])), max_size=14))
def test_whatever_happens_in_between_each_line_is_counted_once(steps: list[int | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log, cursors, total, written = Path(folder) / "app.log", None, 0, 0
        log.touch()
        rotations = 0
        for step in [*steps, "ask"]:
            if isinstance(step, int):
                append(log, range(written, written + step))
                written += step
            elif step == "ask":
                answer = ask(log, cursors=cursors)
                assert answer["complete"]
                total, cursors = total + seen(answer)[0], answer["cursors"]
            elif rotations < 3 and log.stat().st_size:
                rotations += 1
                time.sleep(0.01)  # more than a tick of the clock that files are dated by
                ROTATIONS[step](log)
                time.sleep(0.01)
        assert total == written


def test_a_cursor_whose_file_is_gone_is_a_gap(log: Path) -> None:
    append(log, range(100))
    first = ask(log)
    append(log, range(100, 120))
    log.unlink()
    append(log, range(200, 210))
    second = ask(log, cursors=first["cursors"])
    assert seen(second) == expected(range(200, 210))
    assert second["logs"][0]["gap"]
    assert not second["complete"]
    assert "lines since the cursor may be lost" in second["message"]


def test_after_a_gap_files_that_were_written_before_the_cursor_are_not_counted_again(log: Path) -> None:
    append(log.with_name("app.log.2"), range(50))
    append(log, range(50, 100))
    os.utime(log.with_name("app.log.2"), (time.time() - 9000, time.time() - 9000))
    first = ask(log)
    log.write_text("other\n")
    append(log.with_name("app.log.1"), range(100, 120))
    os.utime(log.with_name("app.log.1"), (time.time() + 1, time.time() + 1))
    second = ask(log, cursors=first["cursors"])
    assert seen(second) == expected(range(100, 120))
    assert second["logs"][0]["gap"]


def test_a_packed_file_that_is_too_short_or_damaged_is_not_the_cursors(log: Path) -> None:
    append(log, range(100))
    first = ask(log)
    log.unlink()
    log.touch()
    log.with_name("app.log.1.gz").write_bytes(gzip.compress(text(range(3)).encode()))
    log.with_name("app.log.2.gz").write_bytes(gzip.compress(text(range(100)).encode())[:30])
    assert ask(log, cursors=first["cursors"])["logs"][0]["gap"]


def test_a_program_that_writes_on_to_what_was_renamed_is_followed(log: Path) -> None:
    append(log, range(5))
    with log.open("a") as stream:
        renamed(log)
        first = ask(log)
        stream.write("line 100 end\nline 101")
        stream.flush()
        append(log, range(5, 7))
        second = ask(log, cursors=first["cursors"])
        stream.write(" end\n")
        stream.flush()
        third = ask(log, cursors=second["cursors"])
    assert (seen(first), seen(second), seen(third)) == (expected(range(5)), (3, 111), (1, 101))
    assert third["complete"]


def test_a_log_that_comes_later_is_read_from_its_beginning(log: Path) -> None:
    other = log.with_name("other.log")
    other.touch()
    first = run({**DEFAULTS, "paths": [str(log), str(other)], "values": NUMBERS}, False)
    append(log, range(5))
    second = run({**DEFAULTS, "paths": [str(log), str(other)], "values": NUMBERS, "cursors": first["cursors"]}, False)
    assert seen(second) == expected(range(5))
    assert second["complete"]


def test_a_rate_since_a_cursor_is_over_the_time_since(log: Path) -> None:
    append(log, range(5))
    first = ask(log, counts={"all": {}})
    time.sleep(0.2)
    append(log, range(5, 8))
    second = ask(log, counts={"all": {}}, cursors=first["cursors"])
    assert 0.2 <= second["window"]["covered_seconds"] < 30
    assert second["counts"]["all"]["rate"] == pytest.approx(3 / second["window"]["covered_seconds"])


def test_a_log_that_grows_is_read_as_far_as_it_went(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, range(50_000))
    real = log_stats_read.plain

    def growing(descriptor: int, start: int, end: int) -> Iterator[bytes]:
        for chunk in real(descriptor, start, end):
            append(log, range(50_000, 50_100))
            yield chunk

    monkeypatch.setattr(log_stats_read, "plain", growing)
    first = ask(log)
    monkeypatch.undo()
    assert seen(first) == expected(range(50_000))
    assert seen(ask(log, cursors=first["cursors"]))[0] % 100 == 0


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen after the first block of a file was read."""
    real, once = log_stats_read.plain, [happens]

    def interrupted(descriptor: int, start: int, end: int) -> Iterator[bytes]:
        for chunk in real(descriptor, start, end):
            yield chunk
            if once and end - start > log_stats_read.CHUNK:
                once.pop()()

    monkeypatch.setattr(log_stats_read, "plain", interrupted)


@pytest.mark.parametrize("rotation", [renamed, copied])
def test_a_log_that_is_rotated_while_it_is_read_is_read_to_its_end(
    log: Path, monkeypatch: pytest.MonkeyPatch, rotation: Callable[[Path], None]
) -> None:
    append(log, range(50_000))
    meanwhile(monkeypatch, lambda: rotation(log))
    first = ask(log)
    monkeypatch.undo()
    assert seen(first) == expected(range(50_000))
    assert not first["logs"][0]["truncated"]
    append(log, range(50_000, 50_010))
    second = ask(log, cursors=first["cursors"])
    assert seen(second) == expected(range(50_000, 50_010))
    assert second["complete"]


def test_a_log_that_is_truncated_while_it_is_read_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, range(50_000))
    meanwhile(monkeypatch, lambda: os.truncate(log, 0))
    answer = ask(log)
    assert answer["logs"][0]["truncated"]
    assert not answer["complete"]
    assert 0 < seen(answer)[0] < 50_000


def test_a_log_that_is_truncated_and_written_on_while_it_is_read_is_told(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, range(50_000))
    meanwhile(monkeypatch, lambda: log.write_text(text(range(70_000, 130_000))))
    assert ask(log)["logs"][0]["truncated"]


def test_a_copy_that_is_cut_as_well_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, range(50_000))
    real, files = log_stats_scan.copy_of, []

    def cut(*args: Any) -> LogFile | None:
        file = real(*args)
        if file:
            files.append(file)
            os.truncate(file.path, 10)
        return file

    log.with_name("app.log.0.gz").write_bytes(gzip.compress(b"other\n"))  # none of these is the copy
    log.with_name("app.log.01").symlink_to("gone")
    log.with_name("app.log.02").write_text("other\n")
    monkeypatch.setattr(log_stats_scan, "copy_of", cut)
    meanwhile(monkeypatch, lambda: copied(log))
    assert ask(log)["logs"][0]["truncated"]
    assert files


def test_a_rotated_file_that_is_cut_while_it_is_read_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, range(5))
    append(log.with_name("app.log.1"), range(50_000))
    meanwhile(monkeypatch, lambda: os.truncate(log.with_name("app.log.1"), 10))
    assert not ask(log)["complete"]


def test_where_the_last_whole_line_ends(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stats_cursor, "CHUNK", 4)
    for data, end in ((b"", 0), (b"abc", 0), (b"abcdefghijk", 0), (b"a\n", 2), (b"a\nbcdefghijk", 2), (b"ab\ncd\n", 6)):
        log.write_bytes(data)
        file = LogFile(str(log))
        assert whole_end(file) == end
        file.close()


@given(
    st.lists(st.binary(max_size=12).map(lambda one: one.replace(b"\n", b"")), max_size=30),
    st.integers(1, 9),
    st.integers(0, 40),
)
def test_blocks_are_whole_lines_and_all_of_them(lines: list[bytes], chunk: int, start: int) -> None:
    with tempfile.NamedTemporaryFile() as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_stats_read, "CHUNK", chunk)
        whole = b"".join(line + b"\n" for line in lines)
        stream.write(whole + b"rest")
        stream.flush()
        file = LogFile(stream.name)
        reading = Reading(file, min(start, len(whole)))
        blocks = list(reading.blocks())
        assert b"".join(blocks) == whole[start:] + b"rest\n"
        assert all(block.endswith(b"\n") for block in blocks)
        assert b"".join(Reading(file, 0, len(whole), False).blocks()) == whole
        with tempfile.NamedTemporaryFile() as other:
            other.write(gzip.compress(whole + b"rest"))
            other.flush()
            packed = LogFile(other.name, "gz")
            assert b"".join(Reading(packed, min(start, len(whole))).blocks()) == whole[start:] + b"rest\n"
            packed.close()
        file.close()


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(1, 9), st.integers(1, 20))
def test_lines_that_are_too_long_are_cut_and_the_others_are_not(lengths: list[int], chunk: int, longest: int) -> None:
    with tempfile.NamedTemporaryFile() as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_stats_read, "CHUNK", chunk)
        patch.setattr(log_stats_read, "LONGEST", longest)
        lines = [bytes([97 + at]) * length for at, length in enumerate(lengths)]
        stream.write(b"".join(line + b"\n" for line in lines))
        stream.flush()
        file = LogFile(stream.name)
        reading = Reading(file)
        found = b"".join(reading.blocks()).split(b"\n")[:-1]
        file.close()
    assert len(found) == len(lines)
    for was, now in zip(lines, found, strict=True):
        assert now == was or (len(was) > longest and was.startswith(now) and len(now) >= longest)
        assert len(now) <= longest + 2 * chunk
    assert reading.cut == sum(was != now for was, now in zip(lines, found, strict=True))


def test_a_broken_file_says_why(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"line\n" * 1000)[:-4])
    file = LogFile(str(path), "gz")
    with pytest.raises(Broken, match="ends too early"):
        list(unpacked(file))
    file.close()


def test_a_name_for_people() -> None:
    assert shown("/var/log/a\nb\udcff") == "/var/log/a\\nb\\xff"


def test_a_log_is_closed(log: Path) -> None:
    append(log, range(3))
    append(log.with_name("app.log.1"), range(3))
    before = list(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        ask(log)
    opened = open_log(str(log), True)
    opened.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)


CONFIGURATION = """{log} {{
    rotate 1000
    size 1
    {more}
}}
"""


@pytest.mark.parametrize(
    "more",
    [
        "nocompress\n create",
        "compress\n delaycompress\n create",
        "compress\n create",
        "dateext\n dateformat -%s\n create",
    ],
)
def test_logrotate_runs_and_a_program_writes_while_it_is_read(tmp_path: Path, more: str) -> None:
    log, stop, written = tmp_path / "app.log", threading.Event(), [0]
    log.touch()
    (tmp_path / "conf").write_text(CONFIGURATION.format(log=log, more=more))
    tmp_path.chmod(0o755)

    # gzip does not see what a program writes on to the file that it is reading, so that nobody writes then.
    lock = threading.Lock() if "compress" in more and "delay" not in more and "no" not in more else nullcontext()

    def writes() -> None:
        while not stop.is_set():
            with lock, suppress(FileNotFoundError), os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND), "w") as stream:
                for _ in range(9):  # as a program does that learns only later that its log has another name now
                    stream.write(text(range(written[0], written[0] + 50)))
                    stream.flush()
                    written[0] += 50
                    time.sleep(0.001)
            time.sleep(0.001)

    def rotates() -> None:
        while not stop.is_set():
            with lock:
                subprocess.run(
                    [debian.program("logrotate"), "-s", tmp_path / "state", tmp_path / "conf"],
                    check=True,
                    capture_output=True,
                )
            time.sleep(0.3 if "dateext" not in more else 1.1)

    threads = [threading.Thread(target=one) for one in (writes, rotates)]
    for thread in threads:
        thread.start()
    cursors, total, summed, ends = None, 0, 0, time.monotonic() + 5
    while time.monotonic() < ends or threads[0].is_alive():
        if time.monotonic() >= ends:
            stop.set()
            for thread in threads:
                thread.join()
        answer = ask(log, cursors=cursors)
        assert not answer["logs"][0]["gap"], answer["logs"]
        assert answer["complete"], answer["message"]
        cursors, total, summed = answer["cursors"], total + seen(answer)[0], summed + seen(answer)[1]
    assert (total, summed) == expected(range(written[0]))
    assert len(list(tmp_path.glob("app.log*"))) > 3
    assert seen(ask(log)) == (total, summed)


def test_logrotate_copies_and_truncates_while_it_is_read(tmp_path: Path) -> None:
    log, cursors, total, written = tmp_path / "app.log", None, 0, 0
    (tmp_path / "conf").write_text(CONFIGURATION.format(log=log, more="copytruncate\n nocompress"))
    tmp_path.chmod(0o755)
    for _ in range(8):
        append(log, range(written, written + 20_000))
        written += 20_000
        command = [debian.program("logrotate"), "-s", tmp_path / "state", tmp_path / "conf"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as rotation:
            while True:  # what is written between its copy and its truncation is lost to everybody, so nobody writes
                ended = rotation.poll() is not None
                answer = ask(log, cursors=cursors)
                if not answer["complete"]:  # truncated before it could be known again: told, and asked again
                    assert answer["logs"][0]["truncated"], answer["message"]
                    continue
                cursors, total = answer["cursors"], total + seen(answer)[0]
                if ended:
                    break
    assert total == written
    assert seen(ask(log)) == expected(range(written))
