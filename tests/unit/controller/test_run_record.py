# SPDX-License-Identifier: GPL-3.0-or-later
"""How long each phase took, from the lines of a run."""

from __future__ import annotations

from ansible_collections.ops.runbook.plugins.action.run_record import seconds_by_phase


def line(second: float, phase: str, **entry: float) -> dict:
    return {"at": f"2026-11-30T10:00:{second:06.3f}Z", "phase": phase, "entry": entry}


def test_phases_end_with_their_lines_and_evidence_tells_its_own_time() -> None:
    lines = [
        line(0, "looked", seconds=0.4),
        line(1, "leased"),
        line(2, "evidence", seconds=0.25),  # before it comes the second look
        line(3, "decided"),
        line(3, "intent"),
        line(5, "acted"),
        line(9, "verified"),
    ]
    assert seconds_by_phase(lines) == {"detect": 0.4, "decide": 2.75, "evidence": 0.25, "act": 2.0, "verify": 4.0}


def test_a_clock_that_jumps_back_makes_no_negative_time() -> None:
    lines = [line(10, "looked", seconds=0.4), line(3, "leased"), line(4, "evidence", seconds=9), line(2, "decided")]
    assert seconds_by_phase(lines) == {"detect": 0.4, "decide": 0.0, "evidence": 1.0}
