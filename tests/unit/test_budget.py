# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import budget, locks
from ansible_collections.ops.runbook.plugins.module_utils.errors import OpsError, Refused

NAME = "mongod.service"
UTILS = pathlib.Path(budget.__file__).parents[6] / "collections"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    monkeypatch.setattr(budget, "DIRECTORY", str(tmp_path / "budget"))
    return tmp_path / "budget"


def starts(folder: pathlib.Path) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", json.loads((folder / f"{NAME}.json").read_text())["starts"])


def plant(folder: pathlib.Path, *found: dict[str, t.Any]) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps({"starts": found}))


def start(age: float, **fields: t.Any) -> dict[str, t.Any]:
    boot_id, uptime = locks.boot_clock()
    return {"at": time.time() - age, "boot_id": boot_id, "uptime": max(0.0, uptime - age), **fields}


def test_starts_are_counted_until_they_are_used_up(folder: pathlib.Path) -> None:
    for _ in range(3):
        budget.check_budget(NAME, 3, 600)
        budget.spend(NAME, 3, 600)
    for act in (budget.check_budget, budget.spend):
        with pytest.raises(Refused, match="3 of 3 starts within 600 s") as caught:
            act(NAME, 3, 600)
        assert "possible in 600 s" in caught.value.hint
    assert len(starts(folder)) == 3
    budget.check_budget(NAME, 4, 600)
    budget.check_budget("other.service", 1, 600)


def test_looking_writes_nothing(folder: pathlib.Path) -> None:
    budget.check_budget(NAME, 1, 600)
    assert not folder.exists()


def test_what_is_written_can_only_be_read_by_its_owner(folder: pathlib.Path) -> None:
    budget.spend(NAME, 1, 60)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / f"{NAME}.json").stat().st_mode & 0o777 == 0o600
    assert starts(folder)[0]["at"] == pytest.approx(time.time(), abs=5)


def test_a_budget_of_none_allows_none() -> None:
    with pytest.raises(Refused, match="0 of 0 starts within 60 s"):
        budget.check_budget(NAME, 0, 60)


def test_old_starts_no_longer_count(folder: pathlib.Path) -> None:
    plant(folder, start(100), start(50))
    budget.check_budget(NAME, 2, 99)
    with pytest.raises(Refused) as caught:
        budget.check_budget(NAME, 2, 130)
    assert "possible in 30 s" in caught.value.hint


def test_starts_are_kept_for_callers_with_a_longer_window(folder: pathlib.Path) -> None:
    plant(folder, start(90000, boot_id="another"), start(80000, boot_id="another"), start(100))
    budget.spend(NAME, 5, 60)
    assert len(starts(folder)) == 3
    with pytest.raises(Refused, match="3 of 3 starts"):
        budget.check_budget(NAME, 3, 86000)


def test_a_clock_set_forward_does_not_free_the_budget(folder: pathlib.Path) -> None:
    plant(folder, start(10, at=time.time() - 10 * 86400))
    with pytest.raises(Refused):
        budget.check_budget(NAME, 1, 600)


def test_a_clock_set_back_after_a_boot_does_not_free_it_either(folder: pathlib.Path) -> None:
    plant(folder, start(0, boot_id="another", at=time.time() + 86400))
    with pytest.raises(Refused):
        budget.check_budget(NAME, 1, 600)


def test_after_a_boot_the_wall_clock_counts(folder: pathlib.Path) -> None:
    plant(folder, start(1, boot_id="another", at=time.time() - 700))
    budget.check_budget(NAME, 1, 600)
    with pytest.raises(Refused):
        budget.check_budget(NAME, 1, 800)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"starts": {}}',
        b'{"starts": [1]}',
        b'{"starts": [{}]}',
        b"[" * 90000,
        b"\xff",
        b'{"starts": [{"at": 1, "boot_id": "b"}]}',
        b'{"starts": [{"at": "1", "boot_id": "b", "uptime": 1}]}',
        b'{"starts": [{"at": NaN, "boot_id": "b", "uptime": 1}]}',
        b'{"starts": [{"at": 1, "boot_id": 1, "uptime": 1}]}',
    ],
)
@pytest.mark.parametrize("act", [budget.check_budget, budget.spend])
def test_a_damaged_file_is_refused_and_left_alone(folder: pathlib.Path, content: bytes, act: t.Any) -> None:
    folder.mkdir(mode=0o700)
    (folder / f"{NAME}.json").write_bytes(content)
    with pytest.raises(Refused, match="damaged") as caught:
        act(NAME, 100, 600)
    assert f"rm {folder}/{NAME}.json" in caught.value.hint
    assert (folder / f"{NAME}.json").read_bytes() == content


def test_a_file_that_cannot_be_read_is_refused(folder: pathlib.Path) -> None:
    (folder / f"{NAME}.json").mkdir(parents=True)
    with pytest.raises(Refused, match="cannot be read"):
        budget.check_budget(NAME, 100, 600)


def test_a_count_that_cannot_be_written_is_an_error(folder: pathlib.Path) -> None:
    folder.parent.joinpath("file").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "DIRECTORY", str(folder.parent / "file" / "budget"))
        with pytest.raises(OpsError):
            budget.spend(NAME, 1, 60)


def test_eight_processes_cannot_take_more_than_three(folder: pathlib.Path) -> None:
    code = (
        "import sys; from ansible_collections.ops.runbook.plugins.module_utils import budget\n"
        "from ansible_collections.ops.runbook.plugins.module_utils.errors import Refused\n"
        "budget.DIRECTORY = sys.argv[1]\n"
        "try:\n    budget.spend(sys.argv[2], 3, 600); print('taken')\nexcept Refused: print('refused')"
    )
    env = {**os.environ, "PYTHONPATH": str(UTILS)}
    argv = [sys.executable, "-c", code, str(folder), NAME]
    racers = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env) for _ in range(8)]
    said = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert sorted(said) == ["refused"] * 5 + ["taken"] * 3
    assert len(starts(folder)) == 3
