# SPDX-License-Identifier: GPL-3.0-or-later
"""The record against the heads in the targets' journals: what was computed anew shows, what is normal does not."""

from __future__ import annotations

import json
import random
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import record, record_chain, record_heads
from tests.support import tampering

Journals = dict[str, list[dict[str, t.Any]]]
LONG_AGO, JUST_NOW = "2020-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z"
PHASES = ("looked", "leased", "evidence", "decided", "intent", "acted", "verified", "outcome")
EACH = 100


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same records in every run


def run(where: Path, journals: Journals, name: str, host: str, phases: t.Sequence[str] = PHASES) -> None:
    """What a run of the lifecycle writes, and leaves in the journal."""
    for phase in phases:
        journal = phase in ("leased", "decided", "verified")
        head = record.append(where, name, host, phase, {"journal": True} if journal else {"changed": True})
        if journal:
            words = record_heads.message(name, phase, head, record_chain.first_head(where)).split()
            said = {"run": words[1], "phase": words[2], "head": words[4], "record": words[6]}
            journals.setdefault(host, []).append({**said, "at": "2026-01-05T02:00:07.000Z"})


def compared(where: Path, journals: Journals, oldest: str = LONG_AGO) -> dict[str, record_heads.Compared]:
    chain = record_chain.look(where)
    return {host: record_heads.compare(chain, host, heads, oldest) for host, heads in journals.items()}


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Journals]:
    """Three runs on two hosts, one of them killed on its way."""
    journals: Journals = {}
    run(tmp_path / "r", journals, "R1", "db1")
    run(tmp_path / "r", journals, "R2", "db2", PHASES[:4])
    run(tmp_path / "r", journals, "R2", "db1")
    run(tmp_path / "r", journals, "R3", "db2")
    return tmp_path / "r", journals


def test_what_is_whole_matches(made: tuple[Path, Journals]) -> None:
    found = compared(*made)
    assert {host: (one.matched, one.untold, one.problems, one.notes) for host, one in found.items()} == {
        "db1": (6, 0, [], []),
        "db2": (5, 0, [], []),
    }
    assert found["db1"].message == "6 lines have their head in the journal"


@pytest.mark.parametrize("tamper", tampering.EVERYWHERE, ids=lambda one: one.__name__)
def test_a_record_that_was_computed_anew_shows_in_a_journal(
    tamper: tampering.Tamper, made: tuple[Path, Journals], tmp_path: Path
) -> None:
    """Every time that a line went or changed before the last one with a head: what follows that one is not bound."""
    where, journals = made
    before = tampering.read(where)
    bound = max(number for number, raw in enumerate(before) if b'"journal":true' in raw)
    tried = 0
    for seed in range(EACH):
        after = tamper(before, seeded(seed))
        changed = (n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1])
        if next(changed, len(after)) > bound:
            continue
        tried += 1
        shutil.copytree(where, tmp_path / "t", dirs_exist_ok=True)
        tampering.write(tmp_path / "t", after, with_end=True)
        assert record_chain.look(tmp_path / "t").problem is None, "only the journal can tell"
        found = compared(tmp_path / "t", journals)
        assert any(one.problems or one.notes for one in found.values()), seed
        assert any(one.problems for one in found.values()) or not after, "all of it is gone: nothing is left to compare"
        assert "is not the one that was written" in str([one.message for one in found.values()]) or not after
    assert tried > EACH * 0.6


def test_a_forged_line_that_claims_a_head(made: tuple[Path, Journals]) -> None:
    where, journals = made
    record.append(where, "R9", "db1", "leased", {"journal": True})
    record.append(where, "R9", "db1", "outcome", {})
    (problem,) = compared(where, journals)["db1"].problems
    assert "run R9, phase leased) has no head in the journal" in problem


def test_a_journal_that_was_rotated_cannot_tell(made: tuple[Path, Journals]) -> None:
    where, journals = made
    kept = {host: heads[-1:] for host, heads in journals.items()}
    found = compared(where, kept, JUST_NOW)
    assert (found["db1"].matched, found["db1"].untold, found["db1"].problems) == (1, 5, [])
    assert "5 cannot be told: the journal does not have them any more" in found["db1"].message
    gone = {host: heads[:1] + heads[2:] for host, heads in journals.items()}
    assert len(compared(where, gone, JUST_NOW)["db1"].problems) == 1, "it has an older one, so that it reaches back"


def test_a_run_that_was_killed_between_record_and_journal(made: tuple[Path, Journals]) -> None:
    where, journals = made
    run(where, {}, "R4", "db1", PHASES[:2])
    found = compared(where, journals)["db1"]
    assert (found.untold, found.problems) == (1, [])


def test_a_head_that_could_not_be_written_was_told(made: tuple[Path, Journals]) -> None:
    where, journals = made
    head = record.append(where, "R4", "db1", "leased", {"journal": True})
    record.append(where, "R4", "db1", record_chain.UNJOURNALED, {"head": head, "reason": "/dev/log: refused"})
    record.append(where, "R4", "db1", "decided", {})
    assert compared(where, journals)["db1"].problems == []


def test_another_controllers_heads_are_named_and_no_damage(made: tuple[Path, Journals], tmp_path: Path) -> None:
    where, journals = made
    run(tmp_path / "other", journals, "R77", "db1")
    found = compared(where, journals)["db1"]
    assert (found.matched, found.problems) == (6, [])
    name = record_chain.first_head(tmp_path / "other")[:12]
    assert f"3 heads of 1 other records ({name}), the latest of run R77" in found.notes[0]
    run(where, journals, "R78", "db1", ["looked", "leased"])
    lines = tampering.read(where)[:-2]
    tampering.write(where, lines, with_end=True)
    assert "run R78, phase leased" in compared(where, journals)["db1"].problems[0], "it is of this record by its name"


def test_the_step_says_what_to_keep(made: tuple[Path, Journals]) -> None:
    where, journals = made
    lines = [json.loads(line) for line in tampering.read(where)]
    lines[3]["entry"]["allowed"] = True
    tampering.write(where, tampering.recomputed([json.dumps(line).encode() + b"\n" for line in lines]), with_end=True)
    found = compared(where, journals)["db1"]
    assert len(found.problems) > 3
    assert "more like these" in found.message
    assert "journalctl -t ops-runbook" in found.next_step
