# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way of changing a record shows, and an untouched one raises no alarm: on a generated corpus."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import record, record_chain
from tests.support import tampering

EACH = 60
"""Records of each kind of tampering; 14 kinds make 840."""
PHASES = ("looked", "leased", "evidence", "decided", "intent", "acted", "verified", "outcome")


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same records in every run


def written(where: Path, luck: random.Random, runs: int = 4) -> None:
    """A record of a few runs on a few hosts, some of them at the same time."""
    waiting = [
        (f"R{run}", host, [*PHASES[: luck.randint(1, len(PHASES))]])
        for run in range(runs)
        for host in luck.sample(["db1", "db2", "fleet07"], luck.randint(1, 3))
    ]
    while waiting:
        run, host, phases = luck.choice(waiting)
        entry = {"journal": True} if phases[0] in ("leased", "decided", "verified") else {"n": luck.random()}
        record.append(where, run, host, phases.pop(0), {**entry, "filler": "é" * luck.randint(0, 40)})
        waiting = [one for one in waiting if one[2]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Untouched records."""
    folders = []
    for seed in range(20):
        folders.append(tmp_path_factory.mktemp(f"whole{seed}"))
        written(folders[-1], seeded(seed))
    return folders


def test_untouched_records_raise_no_alarm(whole: list[Path]) -> None:
    for where in whole:
        chain = record_chain.look(where)
        assert (chain.problem, chain.notes) == (None, [])
        assert len(chain.links) == len(tampering.read(where))


@pytest.mark.parametrize("tamper", tampering.IN_THE_FILE, ids=lambda one: one.__name__)
def test_every_kind_of_tampering_shows(tamper: tampering.Tamper, whole: list[Path], tmp_path: Path) -> None:
    tried = 0
    for seed in range(EACH):
        source = whole[seed % len(whole)]
        shutil.copytree(source, tmp_path, dirs_exist_ok=True)
        before = tampering.read(source)
        after = tamper(before, seeded(seed))
        tampering.write(tmp_path, after)
        if after == before:
            continue
        tried += 1
        chain = record_chain.look(tmp_path)
        assert chain.problem, f"seed {seed}: {tamper.__doc__}"
        assert chain.problem.hint
        if tamper in tampering.EVERYWHERE[:2]:
            continue  # a chain without a fault: only its end tells
        changed = (n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1])
        intact = next(changed, min(len(before), len(after)))
        assert intact <= len(chain.links) <= intact + 1, f"seed {seed}: {chain.problem}"
        assert chain.problem.line in (intact, intact + 1, intact + 2), f"seed {seed}: {chain.problem}"
    assert tried >= EACH - 2


def test_a_cut_end_is_no_reason_to_go_on(whole: list[Path], tmp_path: Path) -> None:
    """What would hide tampering below new lines is refused: append looks at the end, too."""
    for seed, tamper in enumerate([tampering.cut, tampering.added, tampering.added_garbage, tampering.cut_within] * 5):
        shutil.copytree(whole[seed], tmp_path, dirs_exist_ok=True)
        lines = tamper(tampering.read(whole[seed]), seeded(seed))
        tampering.write(tmp_path, lines)
        with pytest.raises(record.RecordError, match=r"damaged|newer") as error:
            record.append(tmp_path, "R9", "db1", "looked", {})
        assert "mv record.jsonl" in error.value.hint
        assert tampering.read(tmp_path) == b"".join(lines).splitlines(keepends=True)
