# SPDX-License-Identifier: GPL-3.0-or-later
"""A large file read by two processes gives what one gives, also when the second one fails."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import (
    log_stats_beside,
    log_stats_read,
    log_stats_scan,
    log_stats_sketch,
)
from ansible_collections.ops.runbook.plugins.module_utils.errors import CannotLook
from ansible_collections.ops.runbook.plugins.module_utils.log_stats import run
from ansible_collections.ops.runbook.plugins.module_utils.log_stats_beside import Beside, spare_core
from tests.unit.test_log_stats import DEFAULTS

ROWS = 9000
ASKED: dict[str, Any] = {
    "counts": {
        "bad": {"where": {"level": "ERROR"}, "tail": 3},
        "text": {"pattern": "ERROR|FATAL", "tail": 2},
        "rare": {"contains": "number 7 "},
        "all": {},
    },
    "values": {"ms": {"field": "ms", "buckets": [100, 5000]}, "n": {"pattern": r"number (\d+)"}},
    "groups": {"level": {"field": "level"}, "n": {"pattern": r"number (\d+)", "top": 5}},
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path, now = tmp_path / "app.log", time.time()
    with path.open("w") as stream:
        for at in range(ROWS):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - ROWS + at))
            row = {
                "timestamp": stamp,
                "level": "ERROR" if at % 50 == 0 else "INFO",
                "ms": at * 1.5,
                "text": f"number {at} ",
            }
            stream.write(json.dumps(row) + "\n")
            if at % 100 == 0:
                stream.write("Traceback\n\n")
    return path


def ask(log: Path, **options: Any) -> dict[str, Any]:
    return run({**DEFAULTS, **ASKED, "paths": [str(log)], **options}, False)


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let a second process be worth it always; how many there were."""
    made: list[Beside] = []

    class Counted(Beside):
        def __init__(self, work: Callable[[], Any], seconds: float) -> None:
            made.append(self)
            super().__init__(work, seconds)

    monkeypatch.setattr(log_stats_scan, "WORTH", 1)
    monkeypatch.setattr(log_stats_scan, "spare_core", lambda: True)
    monkeypatch.setattr(log_stats_scan, "Beside", Counted)
    monkeypatch.setattr(log_stats_read, "CHUNK", 4096)
    return lambda: len(made)


def steady(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what time changes; a rate and a sum of floats may differ in their last digit."""
    for told in answer["counts"].values():
        told.update(age_seconds=0, rate=0)
    for told in answer["values"].values():
        told.update(sum=round(told["sum"], 3), mean=round(told["mean"], 6) if told["mean"] is not None else None)
    kept = ("counts", "values", "groups", "lines", "bytes", "complete", "logs", "missing")
    logs = [{**one, "covered_seconds": round(one["covered_seconds"] or 0, -1)} for one in answer["logs"]]
    return {**{key: answer[key] for key in kept}, "logs": logs}


@pytest.mark.parametrize(
    "options", [{}, {"since": "8000", "until": "500"}, {"since": "4000"}, {"until": "6000"}, {"format": "json"}]
)
def test_two_processes_give_what_one_gives(log: Path, forks: Callable[[], int], options: dict[str, Any]) -> None:
    now = time.time()
    for key in {"since", "until"} & set(options):  # the same for both
        options = {**options, key: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - int(options[key])))}
    together = steady(ask(log, **options))
    assert forks() == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_stats_scan, "spare_core", lambda: False)
        alone = steady(ask(log, **options))
    assert forks() == 1
    assert together == alone
    assert together["counts"]["bad"]["count"] > 30


def test_two_processes_with_more_than_can_be_kept(
    log: Path, forks: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stats_sketch, "DISTINCT", 500)
    answer = ask(log)
    assert forks() == 1
    told = answer["values"]["ms"]
    assert (told["count"], told["exact"]) == (ROWS, False)
    assert [one["count"] for one in told["buckets"]] == [67, 3267, ROWS - 3334]
    assert told["percentiles"]["50"] == pytest.approx((ROWS / 2 - 1) * 1.5, rel=0.0101)
    group = answer["groups"]["n"]
    assert group["count"] == ROWS
    assert group["left_out"] > ROWS / 2


def test_a_second_process_of_many_numbers_makes_them_too_many_together(
    forks: Callable[[], int], tmp_path: Path
) -> None:
    log = tmp_path / "app.log"
    log.write_text("".join(f"number {at}\n" for at in range(1000)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_stats_sketch, "DISTINCT", 700)
        answer = run(
            {
                **DEFAULTS,
                "paths": [str(log)],
                "values": {"n": ASKED["values"]["n"]},
                "groups": {"n": ASKED["groups"]["n"]},
            },
            False,
        )
    assert forks() == 1
    assert (answer["values"]["n"]["count"], answer["values"]["n"]["exact"]) == (1000, False)
    assert answer["groups"]["n"]["distinct"] is None


def test_a_second_process_that_fails_is_done_again(
    log: Path, forks: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, real = os.getpid(), log_stats_scan.Scan._state

    def fails(*args: Any) -> list[Any]:
        if os.getpid() != here:
            os.kill(os.getpid(), 9)
        return real(*args)

    expected = steady(ask(log))
    monkeypatch.setattr(log_stats_scan.Scan, "_state", fails)
    assert steady(ask(log)) == expected
    assert forks() == 2


def test_what_goes_wrong_in_the_first_half_ends_the_second(
    log: Path, forks: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[int] = []
    real = os.fork
    monkeypatch.setattr(os, "fork", lambda: children.append(real()) or children[-1])
    with pytest.raises(CannotLook, match="timeout"):
        ask(log, timeout=1e-6)
    assert forks() == len(children) == 1
    with pytest.raises(ChildProcessError):  # it is ended and waited for; another test may have left children of its own
        os.waitpid(children[0], os.WNOHANG)


def test_a_log_that_is_truncated_in_its_second_half_is_told(
    log: Path, forks: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, size = log_stats_read.plain, log.stat().st_size

    def cut(descriptor: int, start: int, end: int) -> Any:
        if start:
            os.truncate(log, size * 3 // 4)
        return real(descriptor, start, end)

    monkeypatch.setattr(log_stats_read, "plain", cut)
    answer = ask(log)
    assert forks() == 1
    assert answer["logs"][0]["truncated"]
    assert ROWS / 2 < answer["values"]["ms"]["count"] < ROWS


def test_without_a_line_in_the_middle_one_process_reads_all(tmp_path: Path, forks: Callable[[], int]) -> None:
    log = tmp_path / "app.log"
    log.write_text("x" * 200_000 + " number 1\n")
    assert (
        run({**DEFAULTS, "paths": [str(log)], "values": {"n": ASKED["values"]["n"]}}, False)["values"]["n"]["count"]
        == 1
    )
    log.write_text("number 1\n" * 30_000)
    untimed = run({**DEFAULTS, "paths": [str(log)], "since": "60", "values": {"n": ASKED["values"]["n"]}}, False)
    assert untimed["missing"] == ["values.n"]
    assert forks() == 0


def test_lines_of_the_second_half_without_matches_leave_the_last_of_the_first(
    tmp_path: Path, forks: Callable[[], int]
) -> None:
    log = tmp_path / "app.log"
    log.write_text("2026-01-05T02:00:07Z ERROR\n" * 100 + "no time\n" * 2000)
    answer = run({**DEFAULTS, "paths": [str(log)], "counts": {"bad": {"contains": "ERROR"}}}, False)
    assert forks() == 1
    assert (answer["counts"]["bad"]["count"], answer["counts"]["bad"]["last_at"]) == (100, "2026-01-05T02:00:07.000Z")


def test_a_core_is_spare_when_fewer_run_than_there_are_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "loadavg"
    monkeypatch.setattr(log_stats_beside, "_RUNNING", str(told))
    for cores, running, spare in ((1, 1, False), (2, 1, True), (2, 2, False), (8, 7, True)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, cores=cores: set(range(cores)))
        told.write_text(f"9.00 9.00 9.00 {running}/200 4711\n")
        assert spare_core() == spare
    for text in ("", "9.00 9.00 9.00 many/200 4711\n"):
        told.write_text(text)
        assert not spare_core()
    told.unlink()
    assert not spare_core()


def test_work_beside_this_process() -> None:
    assert Beside(lambda: [os.getppid(), "\udcff", 1.5, None], 5).result() == [os.getpid(), "\udcff", 1.5, None]
    assert Beside(lambda: ["x" * 10_000_000], 5).result() == ["x" * 10_000_000]
    assert Beside(lambda: 1 / 0, 5).result() is None
    assert Beside(lambda: time.sleep(60), -5).result() is None
    assert log_stats_beside.WORTH >= 1 << 20
