# SPDX-License-Identifier: GPL-3.0-or-later
"""What is searched in whole blocks is what a look at each line would find."""

from __future__ import annotations

import re

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.log_stats_match import Block, Matcher, containing, matching
from hypothesis import example, given
from hypothesis import strategies as st

WORDS = st.sampled_from(
    [
        b"ERROR",
        b"error",
        b"Err",
        b"CRITICAL",
        b"crit",
        b"k",
        "\u212a".encode(),
        "\u017f".encode(),
        "오류".encode(),
        b" ",
        b"12",
    ]
)
LINES = st.lists(st.lists(WORDS, max_size=6).map(b"".join), min_size=1, max_size=40)
PATTERNS = [
    "ERROR",
    "ERROR|CRITICAL",
    "오류|k",
    "BATCH.*done",
    "a.*b.*a",
    "aa.*a",
    r"\d+ ?ms",
    "(?i)error|critical",
    "(?i:err)or",
    "(?:err|crit)+ ",
    "^ERROR",
    "done$",
    r"\bk\b",
    "",
    ".",
    "(?x) E R R # a comment",
    "ERR(?=OR)",
    "(?:ERROR)?done",
    "(ERROR|error)(?: done)?",
    "[Ee]rr",
    "a{2,}b",
    "ERROR\\n|done",
    r"x\.y|1",
    "|".join(f"w{at}" for at in range(20)) + "|a",
]
TEXTS = ["ERROR", "error", "오류", "k", "s", " ", "\udcff", "CRITICAL", "ss"]


def block(lines: list[bytes]) -> Block:
    return Block(b"".join(line + b"\n" for line in lines))


def numbers(matcher: Matcher, inside: Block) -> list[int]:
    """Which lines it finds."""
    return [inside.data.count(b"\n", 0, at) for at in matcher.found(inside)]


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_found_where_the_expression_is(pattern: str, ignore_case: bool) -> None:
    regex = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    matcher = matching(pattern, ignore_case, "x")

    @given(LINES)
    @example([b"BATCH done"] * 30)
    @example([b"BATCH done BATCH done", b"done BATCH"] * 20)
    @example([b"aaa", b"aa a", b"a b a", b"ab"] * 10)
    def check(lines: list[bytes]) -> None:
        expected = [at for at, line in enumerate(lines) if regex.search(line.decode("utf-8", "surrogateescape"))]
        assert numbers(matcher, block(lines)) == expected

    check()


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("pattern", ["a", "ERROR", "a.*b", "BATCH.*done", "a.*b.*a", "ERROR|a", r"\d"])
def test_where_most_lines_match_the_count_and_the_last_lines_are_the_same(pattern: str, ignore_case: bool) -> None:
    regex = re.compile(pattern, re.IGNORECASE if ignore_case else 0)

    @given(LINES, LINES, st.integers(1, 4))
    @example([b"BATCH done"] * 3, [b"BATCH done", b"x BATCH done BATCH done", b"BATCH done x"], 2)
    @example([b"aba"] * 30, [b"ab", b"xaba", b"aba", b"a a b aab", b"aba", b"b"], 4)
    def check(before: list[bytes], lines: list[bytes], most: int) -> None:
        matcher = matching(pattern, ignore_case, "x")
        for part in (before, lines, before):
            found = [line for line in part if regex.search(line.decode("utf-8", "surrogateescape"))]
            assert matcher.count(block(part), most) == (len(found), found[-most:])

    check()


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_found_where_it_is(text: str, ignore_case: bool) -> None:
    wanted = text.encode("utf-8", "surrogateescape")
    matcher = containing(text, ignore_case, "x")

    @given(LINES)
    def check(lines: list[bytes]) -> None:
        expected = [
            at for at, line in enumerate(lines) if (wanted.lower() in line.lower() if ignore_case else wanted in line)
        ]
        assert numbers(matcher, block(lines)) == expected

    check()


@given(LINES, st.permutations(["error", "ERROR", "CRITICAL|ERROR", "ERR", "crit", "BATCH.*done"]))
def test_what_one_job_found_helps_another_and_changes_nothing(lines: list[bytes], patterns: list[str]) -> None:
    shared = block(lines)
    for pattern in patterns:
        for ignore_case in (True, False):
            matcher = matching(pattern, ignore_case, "x")
            assert numbers(matcher, shared) == numbers(matcher, block(lines))


@given(
    st.lists(st.sampled_from([b"took 12 ms", b"took x ms", b"took 3.5 ms", b"no", b"took 1 ms took 2 ms"]), min_size=1)
)
def test_groups_are_those_of_the_first_match_in_each_line(lines: list[bytes]) -> None:
    for pattern in (r"took ([\d.]+) ms", r"([\d.]+)", r"took (?:x|(\d+))"):
        every = [re.search(pattern, line.decode()) for line in lines]
        expected = [one.group(1) for one in every if one and one.group(1) is not None]
        assert matching(pattern, False, "x", group=True).groups(block(lines)) == expected


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("ERROR", [b"ERROR"]),
        ("a|b", [b"a", b"b"]),
        ("Processed.*users", [b"Processed"]),
        (r"took (\d+) milliseconds", [b" milliseconds"]),
        (r"(timeout|refused): \d", [b"timeout", b"refused"]),
        (r"\d+", None),
        (r"x?y?", None),
        (r"(?:ab|\d)", None),
        ("|".join(f"{at}\\d" for at in range(10, 40)), None),
    ],
)
def test_what_is_searched_is_the_longest_text_that_a_line_must_have(pattern: str, texts: list[bytes] | None) -> None:
    assert matching(pattern, False, "x").texts == texts


def test_letters_that_match_beyond_ascii_are_not_searched_without_regard_to_case() -> None:
    assert matching("task error", True, "x").texts == [b" error"]
    assert matching("kiss", True, "x").texts is None
    assert numbers(matching("task", True, "x"), block(["ta\u017f\u212a".encode()])) == [0]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [("(", "is not a regular expression"), ("a{99999999999}", "is not a regular expression")],
)
def test_what_does_not_compile_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        matching(pattern, False, "counts.bad.pattern")
    assert caught.value.where == "counts.bad.pattern"


@pytest.mark.parametrize("pattern", ["none", "(a)(b)"])
def test_a_value_needs_one_group(pattern: str) -> None:
    with pytest.raises(BadInput, match="groups"):
        matching(pattern, False, "x", group=True)


@pytest.mark.parametrize("text", ["", "a\nb", "\ud800"])
def test_a_text_that_no_line_can_hold_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        containing(text, False, "x")


def test_an_expression_with_a_lone_surrogate_is_tried_on_each_line() -> None:
    assert matching("(?:\ud800)x?\\d", False, "x").texts is None
