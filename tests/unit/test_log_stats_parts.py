# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums, percentiles, groups, conditions, JSON lines and times, each by itself."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections import Counter
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import log_stats_sketch
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.log_stats_match import Block
from ansible_collections.ops.runbook.plugins.module_utils.log_stats_records import Records, Table, is_json, parse
from ansible_collections.ops.runbook.plugins.module_utils.log_stats_sketch import Groups, Numbers, percent
from ansible_collections.ops.runbook.plugins.module_utils.log_stats_time import (
    Window,
    json_clock,
    parse_moment,
    text_clock,
)
from ansible_collections.ops.runbook.plugins.module_utils.log_stats_where import Where, needed, number, text
from hypothesis import given
from hypothesis import strategies as st

NOW = 1767571207.0  # 2026-01-05T00:00:07Z
FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9)


def rank(numbers: list[float], percentile: float) -> float:
    return sorted(numbers)[max(1, math.ceil(percentile * len(numbers) / 100)) - 1]


@given(st.lists(st.lists(FINITE, max_size=20), max_size=8))
def test_few_numbers_are_summed_up_exactly(parts: list[list[float]]) -> None:
    summed, every = Numbers([0, 50, 99.9, 100], [-5.0, 0.0, 25.0]), [one for part in parts for one in part]
    for part in parts:
        summed.add(part)
    told = summed.told()
    assert told["count"] == len(every)
    assert told["exact"]
    assert told["relative_error"] == 0.0
    assert told["sum"] == pytest.approx(math.fsum(every), abs=1e-3)
    if every:
        assert (told["min"], told["max"]) == (min(every), max(every))
        assert told["mean"] == told["sum"] / len(every)
        assert told["percentiles"] == {name: rank(every, float(name)) for name in ("0", "50", "99.9", "100")}
    else:
        assert told["percentiles"] == dict.fromkeys(("0", "50", "99.9", "100"))
        assert (told["min"], told["max"], told["mean"]) == (None, None, None)
    bounds = [-math.inf, -5, 0, 25, math.inf]
    expected = [sum(low <= one < high for one in every) for low, high in itertools.pairwise(bounds)]
    assert [bucket["count"] for bucket in told["buckets"]] == expected


@given(st.lists(st.lists(FINITE, max_size=20), max_size=8), st.integers(0, 30))
def test_a_percentile_of_many_different_numbers_is_one_percent_beside_at_most(
    parts: list[list[float]], distinct: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_stats_sketch, "DISTINCT", distinct)
        summed, every = Numbers([1, 50, 95, 100], [0.0, 10.0]), [one for part in parts for one in part]
        for part in parts:
            summed.add(part)
        told = summed.told()
    assert told["exact"] == (told["relative_error"] == 0.0)
    assert sum(bucket["count"] for bucket in told["buckets"]) == len(every)
    assert told["buckets"][1]["count"] == sum(0 <= one < 10 for one in every)
    for name, found in told["percentiles"].items():
        if every:
            expected = rank(every, float(name))
            assert abs(found - expected) <= 0.01 * abs(expected) * (1 + 1e-9) + 1e-9


def test_two_million_different_numbers_keep_to_the_error_in_bounded_room() -> None:
    summed = Numbers([50, 95, 99, 99.9], [])
    numbers = [math.exp((at * 7919 % 2_000_003) / 2e5) for at in range(2_000_000)]
    for at in range(0, len(numbers), 1000):
        summed.add(numbers[at : at + 1000])
    told = summed.told()
    assert not told["exact"]
    assert told["relative_error"] == 0.01
    numbers.sort()
    for name, found in told["percentiles"].items():
        assert found == pytest.approx(numbers[math.ceil(float(name) * 20_000) - 1], rel=0.0101)
    assert len(summed._seen) + len(summed._above) <= log_stats_sketch.DISTINCT + 1100


@given(st.lists(st.sampled_from(["a", "b", "c", "한"]), max_size=50), st.integers(1, 3))
def test_few_groups_are_counted_exactly(texts: list[str], top: int) -> None:
    groups = Groups(top)
    groups.add(texts[:20])
    groups.add(texts[20:])
    told, expected = groups.told(), sorted(Counter(texts).items(), key=lambda one: (-one[1], one[0]))
    assert [(one["value"], one["count"]) for one in told["top"]] == expected[:top]
    assert (told["count"], told["distinct"], told["left_out"], told["short_by"]) == (len(texts), len(expected), 0, 0)
    assert all(one["percent"] == 100 * one["count"] / len(texts) for one in told["top"])


@given(st.lists(st.integers(0, 60).map(str), min_size=1, max_size=400))
def test_a_group_among_too_many_is_short_by_what_is_told_at_most(texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_stats_sketch, "DISTINCT", 8)
        groups = Groups(1000)
        for text_ in texts:
            groups.add([text_])
        told, true = groups.told(), Counter(texts)
    assert told["count"] == len(texts)
    for one in told["top"]:
        assert true[one["value"]] - told["short_by"] <= one["count"] <= true[one["value"]]
    kept = {one["value"] for one in told["top"]}
    assert all(times <= told["short_by"] for value, times in true.items() if value not in kept)
    assert sum(one["count"] for one in told["top"]) + told["left_out"] == len(texts)
    assert (told["distinct"] is None) == (told["short_by"] > 0)


def test_long_texts_are_cut() -> None:
    groups = Groups(1)
    groups.add(["x" * 500])
    assert groups.told()["top"][0]["value"] == "x" * 200


def test_a_percentage_of_nothing_is_not_known() -> None:
    assert percent(9, 1000) == pytest.approx(0.9)
    assert percent(0, 5) == 0.0
    assert (percent(0, 0), percent(None, 5), percent(5, None)) == (None, None, None)


SCALARS = [
    None,
    True,
    False,
    0,
    1,
    500,
    50.5,
    -1,
    "500",
    "50.5",
    "ERROR",
    "true",
    "null",
    "",
    "> 5",
    "오류",
    10**400,
    "nan",
]


@pytest.mark.parametrize(
    ("wanted", "matching"),
    [
        ("ERROR", ["ERROR"]),
        ("== ERROR", ["ERROR"]),
        (500, [500, "500"]),
        ("500", [500, "500"]),
        (["ERROR", 500], [500, "500", "ERROR"]),
        (True, [True, "true"]),
        ("true", [True, "true"]),
        (None, [None, "null"]),
        ("> 50", [500, 50.5, "500", "50.5"]),
        (">= 50.5", [500, 50.5, "500", "50.5"]),
        ("< 0", [-1]),
        ("<=0", [0, -1]),
        ("!= null", [one for one in SCALARS if one is not None and one != "null"]),
        ("!= ERROR", [one for one in SCALARS if one != "ERROR"]),
        ("== > 5", ["> 5"]),
        ("오류", ["오류"]),
        ("", [""]),
    ],
)
def test_a_condition_chooses(wanted: Any, matching: list[Any]) -> None:
    records: list[Any] = [{"field": value} for value in SCALARS] + [{}, {"field": [1]}]
    chosen = Where({"field": wanted}, "x").chosen(Table(records, [""] * len(records)))
    found = [records[at]["field"] for at in chosen]
    expected = matching + ([[1]] if str(wanted).startswith("!=") else [])
    assert [(type(one), one) for one in found] == [(type(one), one) for one in expected]


def test_conditions_must_all_hold_and_a_dotted_name_is_looked_for_inside() -> None:
    records = [
        {"a": {"b": 1}, "c": 2},
        {"a.b": 1, "c": 2},
        {"a": {"b": 1}, "c": 3},
        {"a": 1, "c": 2},
        {"c": 2, "a": {}},
    ]
    table = Table(records, [""] * 5)
    assert Where({"a.b": 1, "c": 2}, "x").chosen(table) == [0, 1]
    assert Where({"c": "> 1", "a.b": [1]}, "x").chosen(table) == [0, 1, 2]


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ({}, "is not a mapping"),
        ("level=ERROR", "is not a mapping"),
        ({"level": []}, "empty list"),
        ({"level": {"a": 1}}, "no value to compare"),
        ({"level": [[1]]}, "no value to compare"),
        ({"ms": "> fast"}, "no number"),
        ({"": 1}, "names no field"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(conditions: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        Where(conditions, "counts.x.where")
    assert caught.value.where.startswith("counts.x.where")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | st.floats()
    | st.sampled_from(["ERROR", "a/b", 'q"', "오류", "\\u"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["level", "a", "ms", "/"]), inner, max_size=3)
    ),
    max_leaves=6,
)
RECORD = st.dictionaries(st.sampled_from(["level", "a", "ms", "a.ms", "/", "오류"]), JSON, max_size=4)
LINE = st.one_of(
    st.builds(lambda record, raw: json.dumps(record, ensure_ascii=not raw), RECORD, st.booleans()),
    st.builds(lambda record: "web-1  | " + json.dumps(record), RECORD),
    st.sampled_from(
        ["", "  ", "Traceback:", "{", "}", "{}", "{} {}", "[{}]", "{broken}", ' {"level": "ERROR"}\r', '"{}"']
    ),
    st.sampled_from(['{"level": "\\u0045RROR"}', '{"level": "a\\/b"}', '{"ms": 1e999}', "12", "null", "{\udcff}"]),
)


def naive(line: str) -> Any:
    """The object on a line, by the book."""
    head, bar, rest = line.partition("| ")
    bare = (
        rest
        if bar and head.strip().replace("-", "").isalnum() and rest[:1] == "{" and " " not in head.strip()
        else line
    )
    try:
        found = json.loads(bare.strip(" \t\r\x0b\x0c"), parse_constant=lambda _name: None)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


@given(
    st.lists(LINE, min_size=1, max_size=30),
    st.sampled_from(
        [("level", "ERROR"), ("a.ms", "> 3"), ("/", "!= null"), ("level", "a/b"), ("오류", 1), ("level", "오류")]
    ),
)
def test_lines_that_are_not_parsed_would_not_have_mattered(lines: list[str], condition: tuple[str, Any]) -> None:
    where = Where(dict([condition]), "x")
    block = Block(b"".join(line.encode("utf-8", "surrogateescape") + b"\n" for line in lines))
    records = Records([where.needed])
    table = records.parse(block)
    found = [table.records[at] for at in where.chosen(table)]
    every = [record for record in map(naive, lines) if record is not None]
    whole = Table(every, [""] * len(every))
    expected = [whole.records[at] for at in where.chosen(whole)]
    assert json.dumps(found) == json.dumps(expected)
    assert records.blank == sum(not line.strip() for line in lines)
    assert records.unparsed <= sum(naive(line) is None for line in lines) - records.blank


@given(st.lists(LINE, min_size=1, max_size=30))
def test_where_all_is_needed_each_line_that_is_no_json_is_counted(lines: list[str]) -> None:
    records = Records([b""])
    table = records.parse(Block(b"".join(line.encode("utf-8", "surrogateescape") + b"\n" for line in lines)))
    assert len(table.records) == len(table.texts) == sum(naive(line) is not None for line in lines)
    assert records.unparsed + records.blank + len(table.records) == len(lines)


def test_lines_that_nobody_needs_are_looked_over() -> None:
    records = Records([])
    assert records.parse(Block(b'{"a": 1}\nTraceback\n\nx | {"b": 1}\n{"half": \n')).records == []
    assert (records.unparsed, records.blank) == (2, 1)


def test_few_lines_are_parsed_when_few_are_needed() -> None:
    lines = [b'{"level": "INFO"}'] * 1000 + [b'{"level": "ERROR"}'] * 3
    assert len(Records([b"ERROR"]).parse(Block(b"\n".join(lines) + b"\n")).records) == 3
    assert len(Records([b'level"', b"ERROR"]).parse(Block(b"\n".join(lines) + b"\n")).records) == 1003


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a": ' * 100_000, '{"a": %s}' % ("9" * 5000)])
def test_what_would_break_a_parser_is_only_no_json(line: str) -> None:
    found = parse(line)
    assert found is None or list(found) == ["a"]


def test_what_a_condition_needs_is_never_what_json_may_write_in_two_ways() -> None:
    assert needed("level", "ERROR") == b"level"
    assert needed("id", "timeout") == b"timeout"
    assert needed("a.b", 5) == b"b"
    assert needed("path", "/var/log") == b"path"
    assert needed("a/b", 'say "x"') == b""
    assert needed("a", "\x07") == b"a"
    assert needed("\ud800") == b""
    assert needed("a", "> 50") == b"a"


def test_numbers_and_texts() -> None:
    for value, expected in {
        "0.005": 0.005,
        "-3": -3.0,
        "1e3": 1000.0,
        "1_000": None,
        "": None,
        "nan": None,
        " 5": None,
    }.items():
        assert number(value) == expected
    assert (number("1-1"), number("5."), number(True), number(None), number(1e300), number(10**400)) == (None,) * 6
    assert (text(True), text(None), text("x"), text(5), text({"b": "오", "a": 1})) == (
        "true",
        "null",
        "x",
        "5",
        '{"a": 1, "b": "오"}',
    )


def test_a_log_is_json_when_one_of_its_first_lines_is() -> None:
    assert is_json(b'starting\n{"a": 1}\n')
    assert is_json(b'web  | {"a": 1}\n')
    assert not is_json(b"INFO got {}\n[]\n5\n")


TIMES = {
    "rfc3339": (b"2026-01-05T02:00:07.500Z x", 1767578407.5),
    "compose": (b"web-1  | 2026-01-05T02:00:07Z x", 1767578407.0),
    "access": (b'127.0.0.1 - kim [05/Jan/2026:11:00:07 +0900] "GET / HTTP/1.1" 200', 1767578407.0),
    "access, west and half": (b"::1 - - [04/Jan/2026:22:30:07 -0330] x", 1767578407.0),
    "no month": (b"127.0.0.1 - - [05/Foo/2026:11:00:07 +0900]", None),
    "no syslog": (b"Foo  5 02:00:07 host app: x", None),
    "none": (b"\tat Main.java", None),
    "not utf-8": (b"\xff\xfe", None),
}


@pytest.mark.parametrize("form", TIMES)
def test_the_time_of_a_text_line(form: str) -> None:
    line, expected = TIMES[form]
    assert text_clock(NOW)(line) == expected


def test_syslog_has_no_year_so_it_is_the_last_one_that_fits() -> None:
    clock = text_clock(NOW)
    for line, year in ((b"Jan  5 00:00:01 host app: x", 2026), (b"Dec 31 23:59:59 host app: x", 2025)):
        found = clock(line)
        assert found is not None
        assert time.localtime(found).tm_year == year


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        (b'{"level": "INFO", "timestamp": "2026-01-05T02:00:07Z"}', None, 1767578407.0),
        (b'{"@timestamp":"2026-01-05T02:00:07Z"}', None, 1767578407.0),
        (b'{"t":{"$date":"2026-01-05T02:00:07.000+00:00"}}', None, 1767578407.0),
        (b'{"ts":1767578407.25,"msg":"zap"}', None, 1767578407.25),
        (b'{"time":1767578407250,"msg":"pino"}', None, 1767578407.25),
        (b'{"ts":1767578407250000}', None, 1767578407.25),
        (b'{"ts":1767578407250000000}', None, 1767578407.25),
        (b'{"when": "2026-01-05T02:00:07Z", "time": 5}', "at.when", 1767578407.0),
        (b'{"time": "soon enough"}', None, None),
        (b'{"msg": "say \\"time\\": \\"2026-01-05T02:00:07Z\\""}', None, None),
        (b"2026-01-05T02:00:07Z Traceback", None, 1767578407.0),
    ],
)
def test_the_time_of_a_json_line(line: bytes, field: str | None, expected: float | None) -> None:
    assert json_clock(field, NOW)(line) == (expected if expected is None else pytest.approx(expected, abs=1e-6))


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("60", NOW - 60),
        ("0.5", NOW - 0.5),
        ("2026-01-05T02:00:07Z", 1767578407.0),
        ("2026-01-05t11:00:07.5+09:00", 1767578407.5),
    ],
)
def test_a_moment(given_: str, expected: float) -> None:
    assert parse_moment(given_, NOW, "since") == expected


@pytest.mark.parametrize(
    "given_", ["yesterday", "1h", "-5", "nan", "inf", "2026-13-05T02:00:07Z", "2026-01-05T02:00:07Z x", "1e99", ""]
)
def test_no_moment(given_: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_moment(given_, NOW, "since")
    assert caught.value.where == "since"


STAMPS = [
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S,123 ",
    "[%Y-%m-%dT%H:%M:%S+00:00]",
    '{"timestamp": "%Y-%m-%dT%H:%M:%SZ"}',
]


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 200_000)), min_size=1, max_size=30),
    st.sampled_from(STAMPS),
    st.integers(1, 8),
    st.integers(0, 200_000),
    st.integers(0, 200_000),
    st.booleans(),
)
def test_a_window_keeps_the_lines_that_a_look_at_each_would(  # noqa: PLR0917
    seconds: list[int | None], form: str, size: int, since: int, until: int, ordered: bool
) -> None:
    if ordered:
        known = sorted(one for one in seconds if one is not None)
        seconds = [None if one is None else known.pop(0) for one in seconds]
    lines = [b"\tat" if one is None else time.strftime(form, time.gmtime(NOW + one)).encode() for one in seconds]
    window = Window(NOW + since, NOW + until, NOW)
    if form.startswith("{"):
        window.clock = json_clock(None, NOW)
    kept, unknown = b"", b""
    for at in range(0, len(lines), size):
        part = window.split(b"".join(line + b"\n" for line in lines[at : at + size]))
        kept, unknown = kept + part[0], unknown + part[1]
    expected, carried, lost = [], None, []
    for at, line in enumerate(lines):
        carried = window.clock(line) if window.clock(line) is not None else carried
        if carried is None:  # what stands before the first time belongs to it, as far as one block shows both
            carried = next((window.clock(one) for one in lines[at : at - at % size + size] if window.clock(one)), None)
        if carried is None:
            lost.append(line)
        elif NOW + since <= carried < NOW + until:
            expected.append(line)
    assert kept == b"".join(line + b"\n" for line in expected)
    assert unknown == b"".join(line + b"\n" for line in lost)


def test_what_stands_last_without_a_time_was_written_last() -> None:
    window = Window(NOW - 60, None, NOW)
    data = b"2026-01-01T00:00:00Z started\nFatal: no memory\n"
    assert window.split(data, closing=NOW - 5) == (b"Fatal: no memory\n", b"")
    assert window.newest == 1767225600.0


def test_the_time_of_a_line_without_one_is_that_of_the_line_before() -> None:
    window = Window(None, None, NOW)
    data = b"2026-01-05T00:00:00Z a\n\tat b\n\tat b\n"
    window.split(data)
    assert window.time_of(data, b"\tat b") == 1767571200.0
    assert window.time_of(b"", b"\tat b") is None
    assert window.oldest == window.newest == 1767571200.0
