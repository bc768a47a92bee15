# SPDX-License-Identifier: GPL-3.0-or-later
"""Globs as glob(3) means them, and the ones that match all but some names."""

from __future__ import annotations

import ctypes

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.rotation_globs import (
    matches,
    overlap,
    takes_rotated,
    without,
)
from hypothesis import given
from hypothesis import strategies as st

LIBC = ctypes.CDLL(None)
FNM_NOESCAPE, FNM_PATHNAME, FNM_PERIOD = 2, 1, 4


def c_library(pattern: str, path: str) -> bool:
    """What the C library that logrotate uses says."""
    return bool(LIBC.fnmatch(pattern.encode(), path.encode(), FNM_PATHNAME | FNM_PERIOD) == 0)


PARTS = st.text("ab.*?-[]!", min_size=1, max_size=6).filter(lambda part: "[" not in part or "]" in part)
PATHS = st.lists(st.text("ab.-", min_size=1, max_size=5), min_size=1, max_size=3).map("/".join)


@given(st.lists(st.text("ab.*?-", min_size=1, max_size=5), min_size=1, max_size=3).map("/".join), PATHS)
def test_matching_is_that_of_the_c_library(pattern: str, path: str) -> None:
    assert matches(f"/{pattern}", f"/{path}") == c_library(f"/{pattern}", f"/{path}")


STEMS = st.text("ab-]_.", min_size=1, max_size=4)


@given(
    st.lists(st.tuples(STEMS, st.booleans()), max_size=4),
    st.text("ab-]_.c", max_size=6),
    st.sampled_from([".log", ".l", ""]),
)
def test_all_but_the_excluded_names(excluded: list[tuple[str, bool]], stem: str, ending: str) -> None:
    names = [f"{begin}*{ending}" if open_ended else f"{begin}{ending}" for begin, open_ended in excluded]
    name = stem + ending
    if not name or name in (".", "..") or not ending:
        return
    wanted = c_library(f"*{ending}", name) and not any(c_library(each, name) for each in names)
    globs = without(f"/logs/*{ending}", [each for each in names if not each.startswith(".")])
    wanted = wanted or (
        c_library(f"*{ending}", name) and all(each.startswith(".") or not c_library(each, name) for each in names)
    )
    found = [each for each in globs if c_library(each, f"/logs/{name}")]
    assert bool(found) == wanted
    assert len(found) < 2, "two entries for one log are an error to logrotate"


def test_the_guides_exclusions() -> None:
    globs = without("/var/log/batch/*.log", ["disk_usage_*.log"])
    assert globs[:3] == ["/var/log/batch/[!d]*.log", "/var/log/batch/d.log", "/var/log/batch/d[!i]*.log"]
    assert globs[-1] == "/var/log/batch/disk_usage[!_]*.log"
    assert without("/var/log/batch/*.log", ["persistence-*.txt"]) == ["/var/log/batch/*.log"]
    assert without("/var/log/batch/one.log", ["o*.log"]) == []
    assert without("/var/log/batch/one.log", ["two.log"]) == ["/var/log/batch/one.log"]
    assert without("/logs/*.log", ["a.log", "ab*.log"]) == ["/logs/[!a]*.log", "/logs/a[!b]*.log"]


@pytest.mark.parametrize(
    ("pattern", "excluded"),
    [
        ("/logs/a*.log", ["ab*.log"]),
        ("/logs/*-?.log", ["x-1.log"]),
        ("/logs/*.log", ["*-x.log"]),
        ("/logs/*.log", ["a?b.log"]),
        ("/logs/*.log", ["*.log"]),
        ("/logs/*.log", ["a*"]),
    ],
)
def test_what_cannot_be_excluded(pattern: str, excluded: list[str]) -> None:
    with pytest.raises(BadInput):
        without(pattern, excluded)


@pytest.mark.parametrize(
    ("pattern", "extension", "name"),
    [
        ("/logs/*.log", "", None),
        ("/logs/app.log", "", None),
        ("/logs/*", "", "/logs/*.1"),
        ("/logs/*.log*", "", "/logs/*.log*.1"),
        ("/logs/app.log?[0-9]", "", None),
        ("/logs/*.log", ".log", "/logs/*.1.log"),
        ("/logs/*.gz", "", "/logs/*.gz.1.gz"),
        ("/logs/*[!x]", "", "/logs/*[!x].1"),
    ],
)
def test_globs_that_take_rotated_logs(pattern: str, extension: str, name: str | None) -> None:
    assert takes_rotated(pattern, extension) == name


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("/logs/*.log", "/logs/app.log", True),
        ("/logs/a*.log", "/logs/*b.log", True),
        ("/logs/[!d]*.log", "/logs/*.log", True),
        ("/logs/[!d]*.log", "/logs/d[!e]*.log", False),
        ("/logs/*.log", "/logs/*.txt", False),
        ("/*/x.log", "/logs/*.log", True),
        ("/logs/*.log", "/logs/in/*.log", False),
    ],
)
def test_patterns_that_share_logs(one: str, other: str, shared: bool) -> None:
    assert overlap(one, other) == shared == overlap(other, one)


@given(PARTS, PARTS, st.text("ab.-!", min_size=1, max_size=5))
def test_what_both_match_they_share(one: str, other: str, name: str) -> None:
    if matches(one, name) and matches(other, name):
        assert overlap(one, other)


LITERALS = st.text("ab.-", min_size=1, max_size=5)


@given(PARTS, LITERALS)
def test_a_name_overlaps_where_it_is_matched(part: str, name: str) -> None:
    assert overlap(part, name) == matches(part, name)
