# SPDX-License-Identifier: GPL-3.0-or-later
"""The old and the new one change places, and there is no moment without one of them."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.backup import swap
from ansible_collections.ops.runbook.plugins.module_utils.errors import OpsError, Refused


def test_a_directory_and_its_successor_change_places(tmp_path: Path) -> None:
    for name in ("data", "data.new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(name)
    swap.exchange(str(tmp_path / "data"), str(tmp_path / "data.new"))
    assert (tmp_path / "data/who").read_text() == "data.new"
    assert (tmp_path / "data.new/who").read_text() == "data"


def test_a_reader_always_finds_one_of_them(tmp_path: Path) -> None:
    for name in ("data", "data.new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(name)
    program = (
        "import sys; misses = reads = 0\n"
        "while reads < 20000:\n"
        "    reads += 1\n"
        "    try: open(sys.argv[1]).read()\n"
        "    except OSError: misses += 1\n"
        "print(misses)\n"
    )
    reader = subprocess.Popen([sys.executable, "-c", program, tmp_path / "data/who"], stdout=subprocess.PIPE, text=True)
    while reader.poll() is None:
        swap.exchange(str(tmp_path / "data"), str(tmp_path / "data.new"))
    assert reader.stdout
    assert reader.stdout.read().strip() == "0"


def test_what_is_not_there_is_told_and_nothing_is_done(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(OpsError, match="data"):
        swap.exchange(str(tmp_path / "data"), str(tmp_path / "gone"))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EINVAL, "cannot exchange two names"),
        (errno.EXDEV, "on another filesystem"),
        (errno.EACCES, "this user may not do that"),
    ],
)
def test_a_filesystem_that_cannot_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fail(one: str, _other: str) -> None:
        raise OSError(number, "Permission denied", one)

    monkeypatch.setattr(swap, "_renameat2", fail)
    with pytest.raises(OpsError if number == errno.EACCES else Refused, match=words):
        swap.demand_possible(str(tmp_path))
    assert list(tmp_path.iterdir()) == [], "nothing of ours is left"


def test_one_that_can_is_left_as_it_was(tmp_path: Path) -> None:
    swap.demand_possible(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
