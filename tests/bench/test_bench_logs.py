# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench of logs compares what it says: on small logs the guides' pipelines and the module give the same numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bench import logs


def test_a_small_bench_agrees_and_makes_a_page(capfd: pytest.CaptureFixture[str]) -> None:
    rows = logs.bench(4_000_000, 2)
    assert [row.title for row in rows] == [contest.title for contest in logs.contests(0)]
    assert all(cost.wall > 0 and cost.memory > 1 << 20 for row in rows for cost in (row.theirs, row.ours))
    text = logs.page(rows, 4_000_000, 2)
    assert text.count("| S") == len(rows)
    assert "where the guide is wrong" in text
    assert "/tmp" not in text
    capfd.readouterr()


def test_numbers_that_differ_end_the_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "text.log"
    logs.make_text(log, 100_000, 1_767_571_207)
    lying = logs.Contest("x", "text", [logs.Question("echo 5", logs.count("bad"))], logs.BATCH_ASKED)
    with pytest.raises(SystemExit, match="not the same numbers"):
        logs.compete(lying, log, 1)
    honest = logs.Contest("x", "text", [logs.BATCH[0]._replace(wrong="it is not")], logs.BATCH_ASKED)
    with pytest.raises(SystemExit, match="not the same numbers"):
        logs.compete(honest, log, 1)


def test_without_room_or_tools_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="no room"):
        logs.bench(10**15, 1)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit, match="grep, awk"):
        logs.bench(1000, 1)
