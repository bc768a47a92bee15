# SPDX-License-Identifier: GPL-3.0-or-later
"""The record compared with the heads that its runs left in a target's journal, where the controller cannot reach them.

A chain that was computed anew has no fault, and a record whose end was cut neither where `record.head` was written anew
as well. Pure.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from .record_chain import UNJOURNALED, Chain, Link

Json = dict[str, t.Any]
_MARGIN = timedelta(minutes=2)
"""How much the clocks of controller and target may differ where nothing else tells how far the journal reaches."""
_STEP = "Keep the record and this host's journal (journalctl -t ops-runbook) as evidence, and find out who changed it"
_SHOWN = 3


class Compared(t.NamedTuple):
    """What came of it: `matched` lines have their head in the journal; problems are damage, notes are not."""

    matched: int
    untold: int
    """Lines that the journal, as far as it reaches, can say nothing of."""
    problems: list[str]
    notes: list[str]

    @property
    def message(self) -> str:
        """One line for a person."""
        if self.problems:
            more = len(self.problems) - _SHOWN
            shown = [*self.problems[:_SHOWN], *([f"and {more} more like these"] if more > 0 else [])]
            return "the record is not the one that was written: " + "; ".join(shown)
        untold = f", {self.untold} cannot be told: the journal does not have them any more" if self.untold else ""
        return "; ".join([f"{self.matched} lines have their head in the journal{untold}", *self.notes])

    @property
    def next_step(self) -> str:
        """What a person does next."""
        return _STEP if self.problems else ""


def message(run: str, phase: str, head: str, first: str) -> str:
    """What is written to the target's journal; module_utils/record_heads.py reads it."""
    return f"run {run} {phase} head {head} record {first[:12]}"


def compare(chain: Chain, host: str, heads: list[Json], oldest: str) -> Compared:
    """Look for each head in the record, and for each line that should have one in the journal.

    Args:
        chain: The record, whole as far as it goes.
        host: The inventory's name of the target.
        heads: As record_heads_info returns them.
        oldest: When the journal's first entry was written (RFC 3339).
    """
    known = {link.head: link for link in chain.links}
    runs = {link.run for link in chain.links}
    strange = [head for head in heads if head["head"] not in known]
    ours = [head for head in strange if head["run"] in runs or head["record"] == chain.identity]
    problems = [
        f"the journal has the head of run {head['run']}, phase {head['phase']} ({head['at']}), and the record has no "
        "such line: it was edited, dropped or cut"
        for head in ours
    ]
    seen = {known[head["head"]].seq for head in heads if head["head"] in known}
    missing, untold = _missing(chain, host, seen, oldest)
    problems += [
        f"line {link.seq} (run {link.run}, phase {link.phase}) has no head in the journal, which reaches back "
        "to before it: it was edited or inserted"
        for link in missing
    ]
    return Compared(len(seen), untold, problems, _others(strange, ours))


def _missing(chain: Chain, host: str, seen: set[int], oldest: str) -> tuple[list[Link], int]:
    """Lines whose head should be in the journal and is not; and how many it cannot tell of."""
    mine = [link for link in chain.links if link.host == host]
    excused = {link.unjournaled for link in mine if link.phase == UNJOURNALED}
    last = {link.run: link.seq for link in mine}
    first = min(seen, default=None)
    since = datetime.fromisoformat(oldest) + _MARGIN
    missing, untold = [], 0
    for link in mine:
        if not link.journal or link.seq in seen or link.head in excused:
            continue
        reached = (first is not None and first < link.seq) or datetime.fromisoformat(link.at) > since
        if reached and last[link.run] != link.seq:  # a run that ended there was killed before it wrote to the journal
            missing.append(link)
        else:
            untold += 1
    return missing, untold


def _others(strange: list[Json], ours: list[Json]) -> list[str]:
    """That there are heads of another record: another controller's, or one that was replaced."""
    others = [head for head in strange if head not in ours]
    if not others:
        return []
    names = sorted({head["record"] or "of before records had names" for head in others})
    which = f"{len(others)} heads of {len(names)} other records ({', '.join(names[:_SHOWN])})"
    latest = f"the latest of run {others[-1]['run']} at {others[-1]['at']}"
    doubt = "if there is no other controller and no record was put away, this one was replaced"
    return [f"the journal also has {which}, {latest}: {doubt}"]
