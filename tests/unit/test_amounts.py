# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes and ages as people write them, and nothing that could be meant otherwise."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.amounts import age, age_text, size, size_text
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("10GB", 10 * 10**9),
        ("200MB", 200 * 10**6),
        ("1GiB", 1 << 30),
        ("1.5 MiB", 3 << 19),
        ("64kB", 64000),
        (" 4096 ", 4096),
        (4096, 4096),
        (0, 0),
        ("0B", 0),
        ("2tib", 2 << 40),
        ("5B", 5),
        ("1.5GiB", 3 << 29),
    ],
)
def test_sizes(text: t.Any, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GB",
        "10 apples",
        "10G",
        "-1GB",
        "1e30",
        "1e400GB",
        "9999999TB",
        "1B5",
        "nan",
        "inf",
        True,
        None,
        [],
        "1 2MB",
    ],
)
def test_no_sizes(text: t.Any) -> None:
    with pytest.raises(BadInput, match="is no size") as caught:
        size(text, "free_bytes")
    assert caught.value.where == "free_bytes"
    assert "64MB" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "count"),
    [("30d", 2592000), ("12h", 43200), ("90min", 5400), ("1 w", 604800), ("5s", 5), ("1.5h", 5400), ("0s", 0)],
)
def test_ages(text: t.Any, count: int) -> None:
    assert age(text) == count


@pytest.mark.parametrize(
    "text", ["", "d", "7", 7, "30m", "30D", "-1d", "101000d", "nand", "infd", True, None, {}, "1d 2h", "1dd"]
)
def test_no_ages(text: t.Any) -> None:
    with pytest.raises(BadInput, match="is no age") as caught:
        age(text, "older_than")
    assert caught.value.where == "older_than"
    assert "30d" in caught.value.hint


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans()))
def test_whatever_is_written_is_a_number_or_refused(raw: t.Any) -> None:
    for read in (size, age):
        try:
            assert read(raw) >= 0
        except BadInput:
            continue


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (41_200_000, "41.2 MB"),
        (4096, "4.1 kB"),
        (10**9, "1.0 GB"),
        (7 * 10**15, "7000.0 TB"),
    ],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.9, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (86400 * 31.5, "31 d")]
)
def test_ages_for_people(seconds: float, text: str) -> None:
    assert age_text(seconds) == text
