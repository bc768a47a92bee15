# SPDX-License-Identifier: GPL-3.0-or-later
"""log_stats_info on real files: what is counted, and what is said where it cannot be."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.module_utils import errors, log_stats_read
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, CannotLook
from ansible_collections.ops.runbook.plugins.module_utils.log_stats import run
from ansible_collections.ops.runbook.plugins.modules import log_stats_info
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.specs import defaults

DEFAULTS = defaults("log_stats_info")
BAD = {"bad": {"contains": "ERROR"}}
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


def ask(*paths: Any, **options: Any) -> dict[str, Any]:
    answer = run({**DEFAULTS, "paths": [str(path) for path in paths], **options}, False)
    json.dumps(answer).encode("ascii")
    return answer


def stamp(ago: float, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    return time.strftime(form, time.gmtime(time.time() - ago))


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def records(path: Path, *found: dict[str, Any]) -> Path:
    return write(path, *(json.dumps(record) for record in found))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def test_the_guides_questions_about_a_batch_in_one_call(log: Path) -> None:
    write(
        log,
        f"{stamp(7200)} INFO BATCH PROCESS COMPLETED SUCCESSFULLY",
        f"{stamp(7200)} INFO Total duration: 61.5 s",
        f"{stamp(3600)} INFO Processed 512 users with candidates",
        f"{stamp(3600)} ERROR mongo: refused",
        f"{stamp(1800)} CRITICAL Error: refused",
        f"{stamp(1800)} INFO response time 12 ms",
    )
    answer = ask(
        log,
        counts={
            "bad": {"pattern": "ERROR|CRITICAL"},
            "error": {"contains": "error", "ignore_case": True, "tail": 20},
            "completed": {"contains": "BATCH PROCESS COMPLETED"},
            "failed": {"contains": "BATCH PROCESS FAILED"},
            "users": {"pattern": "Processed.*users with candidates"},
            "all": {},
        },
        values={"duration": {"pattern": r"Total duration: ([\d.]+)", "percentiles": [50]}},
        groups={"level": {"pattern": r"Z (\w+) "}},
        ratios={"rate": {"part": "bad", "whole": "all"}, "nothing": {"part": "bad", "whole": "failed"}},
    )
    found = {name: one["count"] for name, one in answer["counts"].items()}
    assert found == {"bad": 2, "error": 2, "completed": 1, "failed": 0, "users": 1, "all": 6}
    assert answer["counts"]["error"]["tail"][0].endswith("ERROR mongo: refused")
    assert answer["counts"]["completed"]["age_seconds"] == pytest.approx(7200, abs=5)
    assert answer["counts"]["failed"] == {
        "count": 0,
        "rate": 0.0,
        "last": None,
        "last_at": None,
        "age_seconds": None,
        "tail": [],
    }
    assert answer["counts"]["bad"]["rate"] == pytest.approx(2 / 5400)
    assert answer["window"]["covered_seconds"] == pytest.approx(5400, abs=1)
    assert answer["values"]["duration"]["percentiles"] == {"50": 61.5}
    assert answer["groups"]["level"]["top"][0] == {
        "value": "INFO",
        "count": 4,
        "percent": pytest.approx(66.67, abs=0.01),
    }
    assert answer["ratios"] == {"rate": pytest.approx(100 / 3), "nothing": None}
    assert answer["complete"]
    assert not answer["changed"]
    assert answer["message"].startswith("6 lines; ")
    assert "bad 2" in answer["message"]
    assert "rate 33.3 %" in answer["message"]


def test_nine_of_a_thousand_are_not_zero_percent(log: Path) -> None:
    records(log, *({"status": "error" if at < 9 else "success"} for at in range(1000)))
    counts = {"errors": {"where": {"status": "error"}}, "all": {"where": {"status": "!= null"}}}
    assert ask(log, counts=counts, ratios={"r": {"part": "errors", "whole": "all"}})["ratios"]["r"] == pytest.approx(
        0.9
    )


def test_the_guides_questions_about_json_behind_the_name_of_a_service(log: Path) -> None:
    rows = [
        {
            "timestamp": stamp(100 - at),
            "level": "ERROR" if at % 10 == 0 else "INFO",
            "status": "error" if at % 10 == 0 else "ok",
        }
        | {
            "function": "analyze_peg_data",
            "execution_time_ms": at,
            "error_type": "Timeout" if at % 20 == 0 else "Value",
        }
        for at in range(100)
    ]
    write(log, *("analysis-service_1  | " + json.dumps(row) for row in rows))
    answer = ask(
        log,
        since="3600",
        counts={"errors": {"where": {"level": "ERROR"}}, "slow": {"where": {"execution_time_ms": "> 50"}}},
        values={"ms": {"field": "execution_time_ms", "percentiles": [50, 95], "buckets": [25, 50]}},
        groups={
            "status": {"field": "status", "where": {"function": "analyze_peg_data"}},
            "types": {"field": "error_type", "where": {"level": "ERROR"}, "top": 1},
        },
    )
    assert (answer["counts"]["errors"]["count"], answer["counts"]["slow"]["count"]) == (10, 49)
    assert answer["counts"]["slow"]["age_seconds"] == pytest.approx(1, abs=3)
    assert answer["values"]["ms"]["mean"] == 49.5
    assert answer["values"]["ms"]["percentiles"] == {"50": 49, "95": 94}
    assert [one["count"] for one in answer["values"]["ms"]["buckets"]] == [25, 25, 50]
    assert [(one["value"], one["count"]) for one in answer["groups"]["status"]["top"]] == [("ok", 90), ("error", 10)]
    assert [(one["value"], one["count"]) for one in answer["groups"]["types"]["top"]] == [("Timeout", 5)]
    assert (answer["logs"][0]["format"], answer["logs"][0]["unparsed"]) == ("json", 0)
    assert answer["window"]["covered_seconds"] == pytest.approx(100, abs=3)


def test_a_value_that_is_no_number_is_told(log: Path) -> None:
    records(log, {"ms": 5}, {"ms": "7.5"}, {"ms": None}, {"ms": "fast"}, {"ms": True}, {"other": 1})
    told = ask(log, values={"ms": {"field": "ms"}})["values"]["ms"]
    assert (told["count"], told["sum"], told["not_numbers"]) == (2, 12.5, 3)


def test_lines_that_are_no_json_are_counted_and_not_lost(log: Path) -> None:
    write(log, '{"level": "ERROR"}', "Traceback (most recent call last):", "", '{"level": "ERROR"', '{"level": "INFO"}')
    answer = ask(log, counts={"errors": {"where": {"level": "ERROR"}}, "trace": {"contains": "Traceback"}})
    assert (answer["counts"]["errors"]["count"], answer["counts"]["trace"]["count"]) == (1, 1)
    assert answer["logs"][0]["unparsed"] == 2


@pytest.mark.parametrize("form", ["auto", "json"])
def test_fields_of_a_log_without_json_are_not_known(log: Path, form: str) -> None:
    write(log, "ERROR one", "two")
    answer = ask(
        log,
        format=form,
        counts={"errors": {"where": {"level": "ERROR"}}, **BAD},
        values={"ms": {"field": "ms"}},
        groups={"s": {"field": "s"}},
        ratios={"r": {"part": "errors", "whole": "bad"}},
    )
    assert answer["counts"]["errors"] == dict.fromkeys(("count", "rate", "last", "last_at", "age_seconds", "tail"))
    assert set(answer["values"]["ms"].values()) == {None}
    assert set(answer["groups"]["s"].values()) == {None}
    assert answer["ratios"] == {"r": None}
    assert answer["counts"]["bad"]["count"] == 1
    assert answer["missing"] == ["counts.errors", "values.ms", "groups.s", "ratios.r"]
    assert "has no JSON" in answer["message"]


def test_a_missing_log_is_not_a_quiet_one(tmp_path: Path, log: Path) -> None:
    write(log, f"{stamp(10)} ERROR", f"{stamp(5)} ok")
    gone = tmp_path / "gone.log"
    answer = ask(
        log,
        gone,
        counts={**BAD, "here": {"contains": "ERROR", "path": str(log)}, "there": {"path": str(gone)}},
        ratios={"r": {"part": "here", "whole": "there"}},
    )
    assert [one["exists"] for one in answer["logs"]] == [True, False]
    assert [answer["counts"][name]["count"] for name in ("bad", "here", "there")] == [None, 1, None]
    assert answer["logs"][0]["counts"] == {"bad": 1, "here": 1}
    assert answer["missing"] == ["counts.bad", "counts.there", "ratios.r"]
    assert not answer["complete"]
    assert "is not there" in answer["message"]
    assert answer["cursors"][str(gone)]["inode"] is None


def test_an_empty_log_has_counts_and_no_rate(log: Path) -> None:
    log.touch()
    answer = ask(log, counts={**BAD, "f": {"where": {"level": "ERROR"}}}, values={"v": {"field": "ms"}})
    assert (answer["counts"]["bad"]["count"], answer["counts"]["bad"]["rate"]) == (0, None)
    assert (answer["counts"]["f"]["count"], answer["values"]["v"]["count"]) == (0, 0)
    assert answer["logs"][0]["format"] is None
    assert answer["complete"]


def test_the_error_rate_of_two_logs(tmp_path: Path) -> None:
    access = write(tmp_path / "access.log", *["1.2.3.4 - - [05/Jan/2026:02:00:07 +0000] GET"] * 1000)
    errors = write(tmp_path / "error.log", *["2026/01/05 02:00:07 [error] x"] * 9)
    answer = ask(
        access,
        errors,
        counts={"all": {"path": str(access)}, "errors": {"path": str(errors)}},
        ratios={"rate": {"part": "errors", "whole": "all"}},
    )
    assert answer["ratios"]["rate"] == pytest.approx(0.9)
    assert answer["counts"]["all"]["last_at"] == "2026-01-05T02:00:07.000Z"


def test_a_window_counts_what_lies_in_it(log: Path) -> None:
    write(log, *(f"{stamp(ago)} ERROR {ago}" for ago in (7200, 3000, 1800, 600, 60)))
    assert ask(log, since="3600", counts=BAD)["counts"]["bad"]["count"] == 4
    assert ask(log, since="3600", until="900", counts=BAD)["counts"]["bad"]["count"] == 2
    assert ask(log, since=stamp(2000), until=stamp(60), counts=BAD)["counts"]["bad"]["count"] == 2
    answer = ask(log, until="1000", counts=BAD)
    assert (answer["counts"]["bad"]["count"], answer["window"]["since"]) == (3, None)
    assert answer["window"]["covered_seconds"] == pytest.approx(6200, abs=5)
    assert ask(log, since="30", counts=BAD)["window"]["covered_seconds"] is not None


def test_a_rate_is_over_what_the_log_covers_of_the_window(log: Path) -> None:
    write(log, *(f"{stamp(600 - at)} ERROR" for at in range(0, 600, 10)))
    answer = ask(log, since="86400", counts=BAD)
    assert answer["window"]["covered_seconds"] == pytest.approx(600, abs=5)
    assert answer["counts"]["bad"]["rate"] == pytest.approx(0.1, rel=0.02)


def test_a_log_that_was_last_written_before_the_window_is_quiet(log: Path) -> None:
    write(log, f"{stamp(90000)} ERROR", "ERROR without a time")
    os.utime(log, (time.time() - 86400, time.time() - 86400))
    answer = ask(log, since="3600", counts=BAD)
    assert (answer["counts"]["bad"]["count"], answer["bytes"], answer["logs"][0]["files"]) == (0, 0, [])
    assert answer["window"]["covered_seconds"] == pytest.approx(3600, abs=1)
    assert answer["counts"]["bad"]["rate"] == 0.0


def test_lines_that_match_and_have_no_time_cannot_be_told_in_a_window(log: Path) -> None:
    write(log, *["ERROR who knows when"] * 5, "end")
    log.write_text(log.read_text() * 60_000)  # the first block is not the last one
    answer = ask(
        log, since="3600", counts={**BAD, "quiet": {"contains": "nothing such"}}, values={"v": {"pattern": r"(\d)"}}
    )
    assert answer["counts"]["bad"]["count"] is None
    assert answer["counts"]["quiet"]["count"] == 0
    assert answer["missing"] == ["counts.bad"]
    assert answer["logs"][0]["untimed"] > 100_000
    assert "matching lines without a time" in answer["message"]
    assert ask(log, counts=BAD)["counts"]["bad"]["count"] == 300_000


def test_values_and_groups_of_lines_without_a_time_cannot_be_told_either(log: Path) -> None:
    records(log, *[{"ms": 1}] * 50_000)
    answer = ask(
        log,
        since="60",
        counts={"c": {"where": {"ms": 1}}},
        values={"v": {"field": "ms"}},
        groups={"g": {"field": "ms"}},
    )
    assert answer["missing"] == ["counts.c", "values.v", "groups.g"]


def test_what_a_program_says_as_it_dies_counts_as_written_last(log: Path) -> None:
    write(log, f"{stamp(90000)} started", "ERROR unknown option", "  in line 3")
    assert ask(log, since="60", counts=BAD)["counts"]["bad"]["count"] == 1


def test_the_time_field_can_be_named(log: Path) -> None:
    records(log, {"when": stamp(90000), "time": stamp(1)}, {"when": stamp(10), "time": stamp(90000)})
    assert ask(log, since="60", time_field="when", counts={"all": {}})["counts"]["all"]["count"] == 1


def test_the_last_line_belongs_to_the_next_look_until_it_has_an_end(log: Path) -> None:
    log.write_text("ERROR one\nERROR tw")
    first = ask(log, counts=BAD)
    assert (first["counts"]["bad"]["count"], first["logs"][0]["unfinished_bytes"]) == (1, 8)
    with log.open("a") as stream:
        stream.write("o\nERROR three\n")
    second = ask(log, cursors=first["cursors"], counts={"bad": {"contains": "ERROR", "tail": 5}})
    assert second["counts"]["bad"]["tail"] == ["ERROR two", "ERROR three"]


def test_a_line_that_is_too_long_is_cut_and_told(log: Path) -> None:
    with log.open("wb") as stream:
        stream.write(b"ERROR begin " + b"x" * (5 << 20) + b" ERROR end\nERROR two\n" + b"y" * (3 << 20))
    answer = ask(log, counts={**BAD, "end": {"contains": "end"}, "two": {"contains": "two"}})
    assert {name: one["count"] for name, one in answer["counts"].items()} == {"bad": 2, "end": 0, "two": 1}
    assert (answer["logs"][0]["cut"], answer["complete"], answer["lines"]) == (1, False, 2)
    assert len(answer["counts"]["bad"]["last"]) < 301


def test_a_last_line_is_at_most_300_characters_and_can_be_shown(log: Path) -> None:
    log.write_bytes(b"ERROR \xff " + "한".encode() * 400 + b"\r\n")
    last = ask(log, counts=BAD)["counts"]["bad"]["last"]
    assert last.startswith("ERROR \\xff 한")
    assert len(last) == 300
    log.write_bytes(b'{"a": "\xff", "b": "\\ud800"}\n')
    answer = ask(log, counts={"a": {"where": {"a": "!= null"}}}, groups={"a": {"field": "a"}, "b": {"field": "b"}})
    assert answer["groups"]["a"]["top"][0]["value"] == "\\udcff"
    assert answer["groups"]["b"]["top"][0]["value"] == "\\ud800"


def test_secrets_in_lines_that_are_returned_are_masked(log: Path) -> None:
    write(log, "ERROR login of kim failed, password=hunter2", "ERROR mongodb://kim:hunter2@db1/ refused")
    answer = ask(log, counts={"bad": {"contains": "ERROR", "tail": 5}}, groups={"rest": {"pattern": "ERROR (.*)"}})
    assert "hunter2" not in json.dumps(answer)
    assert "password=***" in json.dumps(answer)
    assert answer["groups"]["rest"]["distinct"] == 2


WORDS = ["ERROR", "error", "CRITICAL", "a", "took 5 ms", "took 7.5 ms", "x" * 70, "오류", ""]


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join), max_size=60), st.integers(1, 40), st.booleans()
)
def test_blocks_of_any_size_give_what_a_naive_look_gives(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], chunk: int, ended: bool
) -> None:
    log = tmp_path_factory.mktemp("blocks") / "app.log"
    log.write_text("\n".join(lines) + ("\n" if ended else ""))
    whole = log.read_text().split("\n")[:-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_stats_read, "CHUNK", chunk)
        answer = ask(
            log,
            format="text",
            counts={
                "bad": {"pattern": "ERROR|CRITICAL", "tail": 3},
                "fold": {"contains": "error", "ignore_case": True},
                "order": {"pattern": "a.*ERROR"},
                "all": {},
            },
            values={"ms": {"pattern": r"took ([\d.]+) ms"}},
            groups={"word": {"pattern": r"^(\w+)", "top": 1000}},
        )
    bad = [line for line in whole if "ERROR" in line or "CRITICAL" in line]
    assert answer["counts"]["bad"]["tail"] == [line.strip()[:300] for line in bad[-3:]]
    assert {name: one["count"] for name, one in answer["counts"].items()} == {
        "bad": len(bad),
        "fold": sum("error" in line.lower() for line in whole),
        "order": sum(bool(re.search("a.*ERROR", line)) for line in whole),
        "all": len(whole),
    }
    times = [float(one.group(1)) for one in (re.search(r"took ([\d.]+) ms", line) for line in whole) if one]
    assert (answer["values"]["ms"]["count"], answer["values"]["ms"]["sum"]) == (len(times), sum(times))
    words = [one.group(1) for one in (re.match(r"(\w+)", line) for line in whole) if one]
    assert {one["value"]: one["count"] for one in answer["groups"]["word"]["top"]} == {
        word: words.count(word) for word in words
    }
    assert answer["lines"] == len(whole)
    assert answer["logs"][0]["unfinished_bytes"] == (0 if ended or not lines else len(lines[-1].encode()))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """20 MB in the order of time but for some seconds, and the times of its ERROR lines."""
    path, rng, now, bad = tmp_path_factory.mktemp("large") / "app.log", random.Random(7), time.time(), []  # noqa: S311 - a log
    with path.open("w") as stream:
        for at in range(200_000):
            when = now - 86400 + at * 0.43 + rng.uniform(-20, 20)
            is_bad = rng.random() < 0.01
            if is_bad:
                bad.append(float(f"{when:.3f}"))
            text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(when))) + f".{int(when % 1 * 1000):03d}Z"
            stream.write(f"{text} {'ERROR' if is_bad else 'INFO'} {'x' * 70}\n")
            if at % 50 == 0:
                stream.write("    a line without a time\n")
    return path, bad


@pytest.mark.parametrize(
    ("since", "until"), [(60, 0), (3600, 0), (40000, 36400), (86000, 80000), (200000, 90000), (90000, 0)]
)
def test_of_a_large_log_only_what_the_window_needs_is_read(
    large: tuple[Path, list[float]], since: float, until: float
) -> None:
    path, bad = large
    begin, end = time.time() - since, time.time() - until
    answer = ask(
        path,
        since=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin)),
        until=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)),
        counts=BAD,
    )
    expected = sum(int(begin) <= one < int(end) for one in bad)
    assert answer["counts"]["bad"]["count"] == expected
    share = (since - until + 300) / 86400
    assert answer["bytes"] <= path.stat().st_size * share + 600_000
    assert answer["window"]["covered_seconds"] is None or answer["window"]["covered_seconds"] <= since - until + 1


def test_of_a_log_that_is_not_in_order_all_is_read(large: tuple[Path, list[float]], tmp_path: Path) -> None:
    path, bad = large
    data = path.read_bytes()
    cut = data.find(b"\n", len(data) // 2) + 1
    mixed = tmp_path / "mixed.log"
    mixed.write_bytes(data[cut:] + data[:cut])
    begin = int(time.time() - 3600)
    answer = ask(mixed, since=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin)), counts=BAD)
    assert answer["counts"]["bad"]["count"] == sum(one >= begin for one in bad)
    assert answer["bytes"] == len(data)


def test_of_a_large_log_without_times_all_is_read(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("no time here\n" * 500_000)
    assert ask(log, since="60", counts=BAD)["bytes"] == log.stat().st_size


def test_where_many_lines_have_no_time_the_search_for_the_beginning_ends_before_them(tmp_path: Path) -> None:
    log, now, rows = tmp_path / "app.log", int(time.time()), 200_000
    with log.open("w") as stream:
        for at in range(rows):
            blank = 101_000 < at < 105_500  # 450 kB between two of the places that are looked at first
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - rows + at))
            stream.write(
                f"{'                    ' if blank else stamp} {'ERROR' if at % 1000 == 0 else 'INFO '} {'x' * 72}\n"
            )
    answer = ask(log, since=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - rows + 106_000)), counts=BAD)
    assert answer["counts"]["bad"]["count"] == 94
    assert answer["bytes"] < 11_000_000


def test_one_line_far_back_among_others_is_seen(log: Path) -> None:
    lines = [f"{stamp(100)} ok"] * 3000
    lines[1500] = f"{stamp(90000)} ERROR long ago"
    lines[1600] = f"{stamp(50)} ERROR now"
    write(log, *lines)
    assert ask(log, since="3600", counts=BAD)["counts"]["bad"]["count"] == 1


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no paths": ({"paths": []}, "paths: is empty"),
    "relative": ({"paths": ["app.log"]}, "is not an absolute path"),
    "zero byte": ({"paths": ["/tmp/a\0b"]}, "is not an absolute path"),
    "since": ({"since": "yesterday"}, "since: 'yesterday' is no time"),
    "until": ({"until": "2026-02-30T25:00:00Z"}, "until: "),
    "order": ({"since": "60", "until": "3600"}, "since: is not before until"),
    "future": ({"since": "2999-01-01T00:00:00Z"}, "since: is not before now"),
    "timeout": ({"timeout": 0}, "timeout: 0 s is no limit"),
    "pattern": ({"counts": {"x": {"pattern": "("}}}, "counts.x.pattern: '(' is not a regular expression"),
    "no text": ({"counts": {"x": {"pattern": 5}}}, "counts.x.pattern: 5 is no text"),
    "unknown": ({"counts": {"x": {"regex": "a"}}}, "counts.x: has no option regex"),
    "no mapping": ({"counts": {"x": "ERROR"}}, "counts.x: 'ERROR' is no mapping"),
    "both": ({"counts": {"x": {"pattern": "a", "contains": "b"}}}, "counts.x: says pattern and contains"),
    "pattern and where": ({"counts": {"x": {"pattern": "a", "where": {"a": 1}}}}, "counts.x: says pattern and where"),
    "tail": ({"counts": {"x": {"tail": 1000}}}, "counts.x.tail: 1000 is no whole number"),
    "where": ({"counts": {"x": {"where": {"ms": "> fast"}}}}, "counts.x.where.ms: 'fast' is no number"),
    "value of nothing": ({"values": {"x": {}}}, "values.x: says nothing to look for"),
    "field and pattern": ({"values": {"x": {"field": "a", "pattern": "(b)"}}}, "values.x: says pattern and field"),
    "no group": ({"values": {"x": {"pattern": "a"}}}, "has 0 groups"),
    "percentile": ({"values": {"x": {"field": "a", "percentiles": [101]}}}, "values.x.percentiles: lie between"),
    "percentiles": ({"values": {"x": {"field": "a", "percentiles": "p95"}}}, "is no list of numbers"),
    "buckets": ({"values": {"x": {"field": "a", "buckets": [50, 25]}}}, "values.x.buckets: do not ascend"),
    "bucket": ({"values": {"x": {"field": "a", "buckets": ["fast"]}}}, "is no list of numbers"),
    "top": ({"groups": {"x": {"field": "a", "top": 0}}}, "groups.x.top: 0 is no whole number"),
    "path": ({"counts": {"x": {"path": "/other"}}}, "counts.x.path: '/other' is none of the paths"),
    "text": ({"format": "text", "values": {"x": {"field": "a"}}}, "values.x: asks for fields"),
    "ratio": ({"ratios": {"x": {"part": "a", "whole": "b"}}}, "ratios.x.part: 'a' is none of the counts"),
    "ratio of more": ({"ratios": {"x": {"of": "a"}}}, "ratios.x: has no option of"),
    "cursor": ({"cursors": {"/a": {"inode": 1}}}, "cursors./a: is no cursor"),
    "cursor of text": (
        {"cursors": {"/a": dict.fromkeys(("inode", "offset", "mark", "written", "at", "before"), "1")}},
        "is no cursor",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_makes_no_sense_is_refused_with_the_same_keys(log: Path, case: str) -> None:
    options, says = WRONG[case]
    write(log, "x")
    with pytest.raises(BadInput) as caught:
        run({**DEFAULTS, "paths": [str(log)], **options}, False)
    assert says in str(caught.value)
    assert set(caught.value.result) == set(ask(log))
    assert caught.value.hint


UNFIT: dict[str, tuple[Callable[[Path], None], str]] = {
    "directory": (lambda path: path.mkdir(), "is a directory"),
    "pipe": (os.mkfifo, "is a pipe"),
    "loop": (lambda path: path.symlink_to(path), "symbolic link"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_is_no_log_cannot_be_looked_at(log: Path, kind: str) -> None:
    make, says = UNFIT[kind]
    make(log)
    with pytest.raises(CannotLook, match=says) as caught:
        ask(log, counts=BAD)
    assert caught.value.where == str(log)


def test_a_socket_and_a_device_cannot_be_looked_at(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        with pytest.raises(CannotLook):
            ask(tmp_path / "s", counts=BAD)
    with pytest.raises(CannotLook, match="is a device"):
        ask("/dev/null", counts=BAD)


def test_one_log_that_cannot_be_looked_at_is_told_among_others(tmp_path: Path, log: Path) -> None:
    write(log, "ERROR")
    (tmp_path / "folder").mkdir()
    answer = ask(log, tmp_path / "folder", counts=BAD)
    assert answer["logs"][1]["note"] == "is a directory"
    assert answer["missing"] == ["counts.bad"]
    assert not answer["complete"]


@root_only
def test_what_the_user_may_not_read_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = write(folder / "app.log", f"{stamp(5)} ERROR")
    old = write(folder / "app.log.1", "ERROR")
    ours = [place for place in folder.parents if Path(tempfile.gettempdir()) in place.parents]
    for place in (folder, *ours):
        place.chmod(0o755)

    def look() -> dict[str, Any]:
        read, wrote = os.pipe()
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            found = errors.answer(run, {**DEFAULTS, "paths": [str(log)], "counts": BAD}, False)
            os.write(wrote, json.dumps(found).encode())
            os._exit(0)
        os.close(wrote)
        with os.fdopen(read) as stream:
            told: dict[str, Any] = json.load(stream)
        os.waitpid(child, 0)
        return told

    old.chmod(0)
    told = look()
    assert (told["counts"]["bad"]["count"], told["complete"]) == (1, False)
    assert "app.log.1" in told["logs"][0]["note"]
    old.chmod(0o644)
    folder.chmod(0o711)
    told = look()
    assert (told["counts"]["bad"]["count"], told["complete"]) == (1, False)
    assert "cannot be listed" in told["logs"][0]["note"]
    folder.chmod(0o755)
    log.chmod(0)
    told = look()
    assert told["error"]["kind"] == "CannotLook"
    assert told["error"]["where"] == str(log)


def test_names_may_hold_anything(tmp_path: Path) -> None:
    names = [b"new\nline.log", b"not-\xff-utf8.log", "로그.log".encode()]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("ERROR\n")
    answer = ask(tmp_path / "*.log", counts=BAD)
    assert answer["counts"]["bad"]["count"] == 3
    shown = sorted(one["path"].rpartition("/")[2] for one in answer["logs"])
    assert shown == sorted(["new\\nline.log", "not-\\xff-utf8.log", "로그.log"])
    again = ask(tmp_path / "*.log", counts=BAD, cursors=answer["cursors"])
    assert again["counts"]["bad"]["count"] == 0


def test_patterns_of_names(tmp_path: Path) -> None:
    for name in ("a.log", "b.log", "a.log.1", "c[1].log"):
        write(tmp_path / name, "ERROR")
    assert ask(tmp_path / "[ab].log", counts=BAD)["counts"]["bad"]["count"] == 3
    assert ask(tmp_path / "a.log*", counts=BAD)["counts"]["bad"]["count"] == 2
    assert ask(tmp_path / "a.log*", counts=BAD, rotated=False)["counts"]["bad"]["count"] == 2
    assert ask(tmp_path / "a.log", counts=BAD, rotated=False)["counts"]["bad"]["count"] == 1
    assert ask(tmp_path / "c[1].log", counts=BAD)["counts"]["bad"]["count"] == 1
    assert ask(tmp_path / "*.log", tmp_path / "a.log", counts=BAD)["counts"]["bad"]["count"] == 4
    answer = ask(tmp_path / "*.none", counts=BAD)
    assert (answer["counts"]["bad"]["count"], answer["logs"][0]["exists"]) == (None, False)


def test_it_gives_up_at_its_limit(large: tuple[Path, list[float]]) -> None:
    with pytest.raises(CannotLook, match="not read to its end within timeout"):
        ask(large[0], counts=BAD, timeout=1e-6)


def test_what_the_documentation_says_it_returns(log: Path) -> None:
    write(log, '{"ms": 5}')
    answer = ask(
        log,
        counts={"errors": {"where": {"ms": 5}}},
        values={"execution_time_ms": {"field": "ms", "buckets": [25]}},
        groups={"error_types": {"field": "ms"}},
    )
    documented = yaml.safe_load(log_stats_info.RETURN)
    assert set(answer) - {"changed"} == set(documented) - {"error"}
    assert set(answer["logs"][0]) == set(documented["logs"]["contains"])
    for kind in ("counts", "values", "groups"):
        for name, sample in documented[kind]["sample"].items():
            assert set(answer[kind][name]) == set(sample)
