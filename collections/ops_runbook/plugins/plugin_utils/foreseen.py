# SPDX-License-Identifier: GPL-3.0-or-later
"""What a remedy would change that waits for a person: predicted in check mode, recorded apart from what was done."""

from __future__ import annotations

import re
import typing as t

from .record import Line

Json = dict[str, t.Any]
VARIABLE = "ops_runbook_foresee"
"""Set for the tasks of a remedy that is only to be foreseen; they run in check mode."""
PHASE = "foreseen"
_HEADS = re.compile(r"(?m)^(?=--- .* \(before\)$)")


def entry(module: str, answer: Json) -> Json:
    """What the record says of one module's prediction."""
    kept = ("changes", "failed", "msg", "message")
    diff = (answer.get("diff") or {}).get("prepared") or ""
    return {"module": module, "diff": diff, **{key: answer[key] for key in kept if key in answer}}


def of_lines(lines: t.Iterable[Line]) -> Json:
    """`would_change` ([{object, before, after} and, where there is one, `diff`]) and `would_fail` (why, or empty).

    Args:
        lines: Those of a run on a host. Only what was foreseen after the last decision counts.
    """
    found: list[Json] = []
    problem = ""
    for line in lines:
        if line["phase"] == "decided":
            found, problem = [], ""
        elif line["phase"] == PHASE:
            told = line["entry"]
            problem = str(told.get("problem") or "") or problem
            found += [] if told.get("failed") else _with_diffs(told.get("changes") or [], told.get("diff") or "")
    return {"would_change": [] if problem else found, "would_fail": problem}


def _with_diffs(changes: list[Json], text: str) -> list[Json]:
    """The changes, each with its part of the unified diffs of all files."""
    parts = {part.partition(" (before)\n")[0].removeprefix("--- "): part for part in _HEADS.split(text) if part}
    return [{**change, **_part(parts, str(change["object"]))} for change in changes]


def _part(parts: dict[str, str], name: str) -> Json:
    return {"diff": parts[name]} if name in parts else {}
