# SPDX-License-Identifier: GPL-3.0-or-later
"""From results to medians, from medians to targets met or missed, and the page that tells both."""

from __future__ import annotations

import json
import statistics
import sys
import typing as t
from pathlib import Path

from tests.bench import contestants
from tests.bench.rounds import CONNECTED, FIRST, UNCHANGED, Result

Document = dict[str, t.Any]
PHASES = {
    FIRST: "First run: hosts reset, no connection open",
    UNCHANGED: "Second run: nothing to change, no connection open",
    CONNECTED: "Third run: nothing to change, connections of the second run still open",
}


class Verdict(t.NamedTuple):
    """A target at one size of the fleet: what was found, what is asked for."""

    target: str
    hosts: int
    found: float
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.found >= self.limit if self.at_least else self.found <= self.limit


class Medians:
    """Medians over the rounds, of runs that did their work."""

    def __init__(self, document: Document) -> None:
        self.results: list[Result] = document["results"]
        self.sizes = sorted({result["hosts"] for result in self.results} - {1})

    def runs(self, key: str, hosts: int, phase: str) -> list[Result]:
        """The results of a cell that count."""
        where = (key, hosts, phase)
        return [
            one for one in self.results if (one["contestant"], one["hosts"], one["phase"]) == where and not one["wrong"]
        ]

    def get(self, metric: str, key: str, hosts: int, phase: str) -> float | None:
        """wall, cpu, hosts_cpu or memory, or `both`: CPU seconds of the controller and all hosts."""
        values = [
            one["cpu"] + one["hosts_cpu"] if metric == "both" else one[metric] for one in self.runs(key, hosts, phase)
        ]
        return statistics.median(values) if values else None


def targets(document: Document) -> list[Verdict]:
    """Every target at every size that was measured."""
    medians = Medians(document)
    found = [verdict for hosts in medians.sizes for verdict in _at(medians, hosts)]
    return [*found, *_growth(medians)]


# target, metric, whose, divided by whose, phase, limit, at least
_RATIOS: list[tuple[str, str, str, str, str, float, bool]] = [
    ("Idiomatic playbook, default: wall clock", "wall", "playbook", "ours", FIRST, 20, True),
    ("Idiomatic playbook, default: controller CPU", "cpu", "playbook", "ours", FIRST, 10, True),
    ("Idiomatic playbook, tuned: wall clock", "wall", "playbook-tuned", "ours", FIRST, 15, True),
    ("Idiomatic playbook, tuned: controller CPU", "cpu", "playbook-tuned", "ours", FIRST, 5, True),
    ("pyinfra at its best, first run: wall clock", "wall", "pyinfra-best", "ours", FIRST, 3, True),
    ("pyinfra at its best, first run: CPU of both sides", "both", "pyinfra-best", "ours", FIRST, 3, True),
    ("pyinfra at its best, nothing to change: wall clock", "wall", "pyinfra-best", "ours", UNCHANGED, 1.5, True),
    ("pyinfra at its best, nothing to change: CPU of both sides", "both", "pyinfra-best", "ours", UNCHANGED, 1.5, True),
    ("Ours to raw ssh, cold: wall clock", "wall", "ours", "raw", FIRST, 2, False),
    ("By `runbook` to by ansible-playbook: wall clock", "wall", "ours-cli", "ours", FIRST, 1.1, False),
]


def _at(medians: Medians, hosts: int) -> t.Iterator[Verdict]:
    for target, metric, above, below, phase, limit, at_least in _RATIOS:
        over, under = medians.get(metric, above, hosts, phase), medians.get(metric, below, hosts, phase)
        if over and under:
            yield Verdict(target, hosts, over / under, limit, at_least)


def _growth(medians: Medians) -> t.Iterator[Verdict]:
    """What a host costs in the largest fleet, against the smallest, without the start-up."""
    for metric, name in (("wall", "wall clock"), ("both", "CPU of both sides")):
        start = medians.get(metric, "start", 1, FIRST)
        found = {hosts: medians.get(metric, "ours", hosts, FIRST) for hosts in medians.sizes}
        costs = {hosts: (cost - start) / hosts for hosts, cost in found.items() if cost and start}
        if len(costs) > 1 and costs[min(costs)] > 0:
            small, large = min(costs), max(costs)
            target = f"A host's cost, to that among {small}, start-up taken off: {name}"
            yield Verdict(target, large, costs[large] / costs[small], 1.3, False)


def page(document: Document, verdicts: list[Verdict]) -> str:
    """The whole page, Markdown."""
    medians = Medians(document)
    parts = [_head(document), _targets(verdicts), _start(medians)]
    parts += [_table(medians, hosts, phase) for hosts in medians.sizes for phase in PHASES]
    return "\n".join(parts)


_INTRODUCTION = """<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `make bench`. -->
# Tuning a fleet, side by side

12 kernel parameters, 4 limits and one rotation file on each host; docs/bench/README.md tells how it is measured.
Medians of {runs} rounds. The hosts share the controller's cores, so compare rows; they are not what your machines take.

{facts}
- Anybody else on the machine: {usual:.0%} of its cores (median of all runs), {worst:.0%} at worst

![Seconds and controller CPU by number of hosts](tuning.svg)
"""


def _head(document: Document) -> str:
    others = [_others(result, document["cores"]) for result in document["results"]]
    facts = "\n".join(f"- {name}: {value}" for name, value in document["facts"].items())
    return _INTRODUCTION.format(runs=document["runs"], facts=facts, usual=statistics.median(others), worst=max(others))


def _others(result: Result, cores: int) -> float:
    """The share of the machine that was spent by neither the contestant nor its hosts."""
    others: float = max(0.0, result["busy"] - result["cpu"] - result["hosts_cpu"]) / (result["wall"] * cores)
    return others


def _targets(verdicts: list[Verdict]) -> str:
    sizes = sorted({verdict.hosts for verdict in verdicts})
    rows: dict[str, dict[int, str]] = {}
    for one in verdicts:
        goal = f"{one.target} | {'≥' if one.at_least else '≤'} {one.limit:g}"
        rows.setdefault(goal, {})[one.hosts] = f"{one.found:.2f} {'pass' if one.met else '**fail**'}"
    lines = [f"| target | asked | {' | '.join(f'{size} hosts' for size in sizes)} |", "|---|---|" + "---|" * len(sizes)]
    lines += [f"| {goal} | {' | '.join(cells.get(size, '') for size in sizes)} |" for goal, cells in rows.items()]
    return "\n".join(["## Targets", "", "Each is a ratio.", "", *lines, ""])


def _start(medians: Medians) -> str:
    values = [medians.get(metric, "start", 1, FIRST) for metric in ("wall", "cpu")]
    if None in values:
        return ""
    told = "Start-up of tune_fleet, until it would go to the first host: {:.2f} s, controller CPU {:.2f} s.\n"
    return told.format(*values)


def _table(medians: Medians, hosts: int, phase: str) -> str:
    there = {one["contestant"] for one in medians.results if (one["hosts"], one["phase"]) == (hosts, phase)}
    rows = [_row(medians, one, hosts, phase) for one in contestants.everybody() if one.key in there]
    head = "| | wall clock | controller CPU | CPU of all hosts | per host, both sides | controller memory | runs |"
    return "\n".join([f"## {hosts} hosts. {PHASES[phase]}", "", head, "|---|---|---|---|---|---|---|", *rows, ""])


def _row(medians: Medians, one: contestants.Contestant, hosts: int, phase: str) -> str:
    counted = len(medians.runs(one.key, hosts, phase))
    if not counted:
        return f"| {one.title} | did not do its work | | | | | 0 |"
    wall, cpu, there, both, memory = (
        medians.get(metric, one.key, hosts, phase) or 0.0 for metric in ("wall", "cpu", "hosts_cpu", "both", "memory")
    )
    cells = [
        f"{wall:.2f} s",
        f"{cpu:.2f} s",
        f"{there:.2f} s",
        f"{both / hosts * 1000:.0f} ms",
        f"{memory / 2**20:.0f} MiB",
    ]
    return f"| {one.title} | {' | '.join(cells)} | {counted} |"


if (
    __name__ == "__main__"
):  # again, from results that are there: python -m tests.bench.report artifacts/bench/tuning.json
    given = json.loads(Path(sys.argv[1]).read_text())
    sys.stdout.write(page(given, targets(given)))
