# SPDX-License-Identifier: GPL-3.0-or-later
"""log: real files, really rotated."""

from __future__ import annotations

import calendar
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.module_utils.collectors import _lines, _when
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost

PATTERNS = {"bad": "ERROR|panic", "full": "disk is full"}


def stamp(ago: float, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    return time.strftime(form, time.gmtime(time.time() - ago))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture
def look(log: Path, measure: Any) -> Any:
    def look(**args: Any) -> dict[str, Any]:
        found: dict[str, Any] = measure(LocalHost(), "log", path=str(log), **{"patterns": PATTERNS, **args})
        return found

    return look


def write(path: Path, *lines: str, mode: str = "a") -> None:
    with path.open(mode) as stream:
        stream.writelines(line + "\n" for line in lines)


FORMS = {
    "rfc3339": ("2026-11-20T13:49:17.528Z x", 1795182557.528),
    "offset": ("2026-11-20T22:49:17+09:00 x", 1795182557.0),
    "comma, short offset": ("2026-11-20 08:19:17,25 -0530 x", 1795182557.25),
    "ferretdb": ('time=2026-11-20T13:49:27.259Z level=WARN source=clientconn/conn.go:167 msg="x"', 1795182567.259),
    "mongod": ('{"t":{"$date":"2026-11-20T13:49:17.528+00:00"},"s":"I","c":"NETWORK"}', 1795182557.528),
    "opensearch": ("[2026-11-20T13:49:17,528+0000][INFO ][o.o.n.Node]", 1795182557.528),
    "none": ("\tat java.lang.Thread.run(Thread.java:840)", None),
    "no date": ("2026-13-45T99:99:99Z", None),
}


@pytest.mark.parametrize("form", FORMS)
def test_times_as_programs_write_them(form: str) -> None:
    line, expected = FORMS[form]
    assert _lines.line_time(line) == (expected if expected is None else pytest.approx(expected, abs=0.001))


@pytest.mark.parametrize("line", ["2026/11/20 13:49:20 Failed to create", "2026-11-20 13:49:20 INFO"])
def test_a_time_without_a_zone_is_the_hosts(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    try:
        assert _lines.line_time(line) == 1795182560.0 - 9 * 3600
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("when", [0, 951782399, 951782400, 1078012800, 1709164800, 1709251199, 4102444799, 1795191708])
def test_civil_time_against_the_standard_library(when: int) -> None:
    t = time.gmtime(when)
    assert _when.epoch((t[0], t[1], t[2]), (t[3], t[4], t[5])) == when == calendar.timegm(t)


@pytest.mark.parametrize(
    ("text", "seconds"), [("100ms", 0.1), ("1min 30s", 90), ("1h 5us", 3600.000005), ("infinity", None), ("", None)]
)
def test_time_spans_of_systemd(text: str, seconds: float | None) -> None:
    assert _when.systemd_span(text) == (seconds if seconds is None else pytest.approx(seconds))


def test_a_window_counts_only_what_is_in_it(log: Path, look: Any) -> None:
    write(
        log,
        f"{stamp(5000)} ERROR old",
        f"{stamp(100)} ERROR one",
        f"{stamp(50)} ERROR two disk is full",
        f"{stamp(5)} fine",
    )
    found = look(window=600)
    data = found["data"]
    assert data["counts"] == {"bad": 2, "full": 1}
    assert (data["matched"], data["lines"], data["truncated"], found["missing"]) == (3, 3, False, [])
    assert data["last"]["bad"].endswith("ERROR two disk is full")
    assert look()["data"]["counts"]["bad"] == 2  # 900 seconds by default


def test_a_line_without_a_time_belongs_to_the_line_before(log: Path, look: Any) -> None:
    write(log, f"{stamp(5000)} start", "panic: old trace", f"{stamp(5)} start", "panic: new trace", "  at x")
    assert look(window=60)["data"]["counts"]["bad"] == 1


def test_lines_at_the_beginning_belong_to_the_first_time(log: Path, look: Any) -> None:
    write(log, "panic: cut off", f"{stamp(5)} start")
    assert look(window=60)["data"]["counts"]["bad"] == 1


def test_long_lines_are_cut(log: Path, look: Any) -> None:
    write(log, f"{stamp(5)} ERROR " + "x" * 1000)
    assert len(look()["data"]["last"]["bad"]) == 300


def test_a_missing_log_is_not_a_quiet_one(look: Any, log: Path) -> None:
    found = look()
    assert found["data"]["exists"] is False
    assert {"counts", "matched"} <= set(found["missing"])
    assert found["data"]["path"] == str(log)


def test_an_unreadable_log_is_unknown(host: Any, measure: Any) -> None:
    host.denied.add("/var/log/app.log")
    found = measure(host, "log", path="/var/log/app.log", patterns=PATTERNS)
    assert found["unknown"] == "/var/log/app.log may not be read by this user"


def test_without_any_time_only_quiet_and_old_logs_are_known(log: Path, look: Any) -> None:
    write(log, "all is well")
    assert look(window=60)["missing"] == []
    write(log, "ERROR of some time")
    assert look(window=60)["missing"] == ["counts", "matched"]
    os.utime(log, (1, 1))
    found = look(window=60)
    assert (found["missing"], found["data"]["matched"]) == ([], 0)


def test_only_the_last_bytes_are_read(log: Path, look: Any) -> None:
    write(log, *[f"{stamp(10)} ERROR {number:05}" for number in range(1000)])
    data = look(limit=1000)["data"]
    assert 0 < data["counts"]["bad"] < 40
    assert data["truncated"] is True
    write(log, *[f"{stamp(500)} ERROR {number:05}" for number in range(1000)], mode="w")
    assert look(limit=1000, window=60)["data"]["truncated"] is False  # what was left out is older than the window


def test_a_cursor_counts_what_was_written_since(log: Path, look: Any) -> None:
    write(log, "ERROR before")
    cursor = look()["data"]["cursor"]
    assert cursor == {"inode": log.stat().st_ino, "offset": 13}
    write(log, "ERROR after", "ERROR after")
    data = look(cursor=cursor)["data"]
    assert (data["counts"]["bad"], data["gap"], data["cursor"]["offset"]) == (2, False, log.stat().st_size)
    assert look(cursor=data["cursor"])["data"]["counts"]["bad"] == 0
    assert look(cursor=json.loads(json.dumps(cursor)))["missing"] == []


def test_a_half_written_line_is_counted_and_read_again(log: Path, look: Any) -> None:
    log.write_text("fine\nERROR hal")
    data = look(cursor={"inode": 0, "offset": 0})["data"]
    assert (data["counts"]["bad"], data["cursor"]["offset"]) == (1, 5)


def test_cursor_and_window_together(log: Path, look: Any) -> None:
    write(log, "start")
    cursor = look()["data"]["cursor"]
    write(log, f"{stamp(500)} ERROR", f"{stamp(5)} ERROR")
    assert look(cursor=cursor, window=60)["data"]["counts"]["bad"] == 1


def test_a_cursor_too_far_back_reads_the_end(log: Path, look: Any) -> None:
    write(log, "x")
    cursor = look()["data"]["cursor"]
    write(log, *["ERROR"] * 1000)
    data = look(cursor=cursor, limit=600)["data"]
    assert (data["truncated"], data["counts"]["bad"]) == (True, 99)


def test_rotation_by_renaming(log: Path, look: Any) -> None:
    write(log, "ERROR before")
    cursor = look()["data"]["cursor"]
    write(log, "ERROR in the rotated part")
    log.rename(f"{log}.1")
    write(log, "ERROR in the new file")
    data = look(cursor=cursor)["data"]
    assert (data["counts"]["bad"], data["gap"]) == (2, False)
    assert look(cursor=cursor, limit=30)["data"]["truncated"] is False
    write(Path(f"{log}.1"), *["ERROR more"] * 9)
    assert look(cursor=cursor, limit=30)["data"]["truncated"] is True


def test_rotation_by_copying_and_truncating(log: Path, look: Any) -> None:
    write(log, *["ERROR before"] * 5)
    cursor = look()["data"]["cursor"]
    write(log, "ERROR in the rotated part")
    Path(f"{log}-20261120").write_text(log.read_text())
    log.write_text("ERROR new\n")
    data = look(cursor=cursor)["data"]
    assert (data["counts"]["bad"], data["gap"]) == (2, False)


def test_what_was_rotated_away_for_good_is_a_gap(log: Path, look: Any) -> None:
    write(log, "before")
    cursor = look()["data"]["cursor"]
    log.rename(f"{log}.1.gz")
    write(log, "ERROR new")
    data = look(cursor=cursor)["data"]
    assert (data["counts"]["bad"], data["gap"]) == (1, True)


def test_a_window_reaches_into_the_rotated_file(log: Path, look: Any) -> None:
    write(log, f"{stamp(5000)} ERROR", f"{stamp(50)} ERROR")
    log.rename(f"{log}.1")
    write(log, f"{stamp(5)} ERROR")
    assert look(window=600)["data"]["counts"]["bad"] == 2
    os.utime(f"{log}.1", (1, 1))
    assert look(window=600)["data"]["counts"]["bad"] == 1


def test_a_dangling_sibling_is_no_rotated_file(log: Path, look: Any) -> None:
    Path(f"{log}.1").symlink_to("nowhere")
    write(log, f"{stamp(5)} ERROR")
    assert look()["data"]["counts"]["bad"] == 1


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        ({"bad": "("}, r"check it, patterns.bad: '\(' is not a regular expression"),
        ({"bad": 7}, "check it, patterns.bad: 7 is not a regular expression"),
        ({}, "check it, patterns: is empty"),
    ],
)
@pytest.mark.parametrize("kind", ["log", "journal"])
def test_bad_patterns(kind: str, patterns: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        probe.plan("it", {"type": kind, "patterns": patterns, **({"path": "/x"} if kind == "log" else {"unit": "x"})})


class StartedHost(LocalHost):
    """This machine, with a unit that was last started at a known time."""

    def __init__(self, started: float) -> None:
        self.started = started

    def run(self, argv: Any, timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        when = time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(self.started))
        return Completed(0, f"Id=x.service\nLoadState=loaded\nExecMainStartTimestamp={when}\n", "")


def test_with_a_unit_only_what_was_written_since_its_last_start_counts(log: Path, measure: Any) -> None:
    write(log, f"{stamp(60)} ERROR of an earlier start", f"{stamp(5)} ERROR of this one")
    host = StartedHost(time.time() - 30)
    found = measure(host, "log", path=str(log), patterns=PATTERNS, unit=["x"], window=300)
    assert found["data"]["counts"] == {"bad": 1, "full": 0}
    assert found["data"]["last"]["bad"].endswith("of this one")


def test_a_window_that_begins_after_the_start_still_holds(log: Path, measure: Any) -> None:
    write(log, f"{stamp(60)} ERROR", f"{stamp(5)} ERROR")
    found = measure(StartedHost(time.time() - 600), "log", path=str(log), patterns=PATTERNS, unit=["x"], window=30)
    assert found["data"]["counts"]["bad"] == 1


def test_lines_without_a_time_at_the_end_are_as_old_as_the_file(look: Any, log: Path) -> None:
    write(log, f"{stamp(5000)} INFO stopped", "app: ERROR: unknown flag --no-such-option")
    assert look(window=300)["data"]["counts"]["bad"] == 1
    old = time.time() - 4000
    os.utime(log, (old, old))
    assert look(window=300)["data"]["counts"]["bad"] == 0


def test_lines_without_a_time_in_the_middle_belong_to_the_line_before(look: Any, log: Path) -> None:
    write(log, f"{stamp(5000)} INFO", "ERROR of long ago", f"{stamp(5)} INFO started")
    assert look(window=300)["data"]["counts"]["bad"] == 0
