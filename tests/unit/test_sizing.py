# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that depend on the host: shares of its CPUs and memory, bounded, in plain units."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import sizing
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from hypothesis import given
from hypothesis import strategies as st

GIB = 1 << 30
NUMBERS = st.integers(1, 1 << 40)


def compute(**asked: t.Any) -> int:
    return sizing.compute(asked, cpus=8, memory=16 * GIB, where="variables.X")


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ({"of": "cpus"}, 8),
        ({"of": "cpus", "factor": 2}, 16),
        ({"of": "cpus", "factor": 0.5}, 4),
        ({"of": "cpus", "factor": 0.01}, 1),
        ({"of": "cpus", "percent": 30}, 2),
        ({"of": "cpus", "maximum": 6}, 6),
        ({"of": "cpus", "factor": 0.1, "minimum": "4"}, 4),
        ({"of": "memory", "percent": 1}, 16 * GIB // 100),
        ({"of": "memory", "percent": 25, "maximum": "1GiB"}, GIB),
        ({"of": "memory", "factor": 0.001, "minimum": "64MB"}, 64 * 10**6),
        ({"of": "memory", "factor": 3, "maximum": "8 GiB"}, 8 * GIB),
        ({"of": "memory"}, 16 * GIB),
    ],
)
def test_shares_within_bounds(asked: dict[str, t.Any], value: int) -> None:
    assert compute(**asked) == value


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "it cannot be computed from of: None"),
        ({"of": "disk"}, "of: disk"),
        ({"of": "cpus", "share": 1}, "share"),
        ({"of": "cpus", "factor": 1, "percent": 5}, "factor and percent are both given"),
        ({"of": "cpus", "factor": 0}, "0 is no positive number"),
        ({"of": "cpus", "factor": -1}, "no positive number"),
        ({"of": "cpus", "factor": "many"}, "no positive number"),
        ({"of": "cpus", "factor": True}, "no positive number"),
        ({"of": "cpus", "factor": [1]}, "no positive number"),
        ({"of": "cpus", "factor": float("inf")}, "no positive number"),
        ({"of": "cpus", "factor": float("nan")}, "no positive number"),
        ({"of": "cpus", "maximum": 1.5}, "1.5 is no number of CPUs"),
        ({"of": "cpus", "maximum": "1GiB"}, "no number of CPUs"),
        ({"of": "cpus", "minimum": 5, "maximum": 4}, "the minimum 5 is above the maximum 4"),
        ({"of": "memory", "factor": 2}, "more than the"),
        ({"of": "memory", "minimum": "32GiB"}, "more than the"),
        ({"of": "memory", "maximum": "lots"}, "'lots' is no size"),
    ],
)
def test_what_makes_no_sense(asked: dict[str, t.Any], says: str) -> None:
    with pytest.raises(BadInput) as caught:
        compute(**asked)
    assert says in str(caught.value)
    assert caught.value.where.startswith("variables.X")


@given(st.integers(1, 512), NUMBERS, st.floats(0.001, 100), st.none() | NUMBERS, st.none() | NUMBERS)
def test_never_outside_its_bounds(cpus: int, memory: int, percent: float, low: int | None, high: int | None) -> None:
    asked = {"of": "memory", "percent": percent, "minimum": low, "maximum": high}
    try:
        value = sizing.compute(asked, cpus, memory, "x")
    except BadInput:
        assert (low or 0) > min(memory, high if high is not None else memory) or percent > 100
        return
    assert (low or 0) <= value <= min(memory, memory if high is None else high)


def test_the_cpus_of_a_service_are_those_of_the_host_cut_to_its_quota() -> None:
    here = len(os.sched_getaffinity(0))
    assert [sizing.cpus_of(text) for text in ("infinity", "", "999s", "1s", "100ms")] == [here, here, here, 1, 1]


def test_the_memory_of_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       16777216 kB\nMemFree: 1 kB\n")
    monkeypatch.setattr(sizing, "MEMINFO", str(tmp_path / "meminfo"))
    monkeypatch.setattr(sizing, "CGROUPS", (str(tmp_path / "v2"), str(tmp_path / "v1")))
    assert sizing.memory_of("infinity") == 16 * GIB
    assert sizing.memory_of(str(GIB)) == GIB
    (tmp_path / "v2").write_text("max\n")
    assert sizing.memory_of("infinity") == 16 * GIB
    (tmp_path / "v1").write_text("9223372036854771712\n")
    assert sizing.memory_of("infinity") == 16 * GIB
    (tmp_path / "v2").write_text(f"{4 * GIB}\n")
    assert sizing.memory_of("infinity") == 4 * GIB


def test_the_memory_of_this_machine_is_seen() -> None:
    assert (
        1 << 26 < sizing.memory_of("infinity") <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") + (1 << 26)
    )
