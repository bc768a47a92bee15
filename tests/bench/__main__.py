# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole bench: BENCH_HOSTS="10 30 60" sizes, BENCH_RUNS=3 rounds, BENCH_ONLY="ours raw" for some contestants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from tests.bench import contestants, facts, fleet, report, rounds

ARTIFACTS = fleet.ROOT / "artifacts" / "bench"
PAGES = fleet.ROOT / "docs" / "bench"
FULL = [10, 30, 60]


def main() -> int:
    """Measure, write the table and the plot; 1 when a run did not do its work."""
    sizes = [int(word) for word in os.environ.get("BENCH_HOSTS", "10 30 60").split()]
    runs = int(os.environ.get("BENCH_RUNS", "3"))
    only = os.environ.get("BENCH_ONLY", "").split()
    everybody = [one for one in contestants.everybody() if not only or one.key in only]
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    document: dict[str, t.Any] = {"facts": facts.gather(), "cores": os.cpu_count(), "runs": runs, "results": []}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, fleet.running() as up:
        try:
            for result in _measure(everybody, sizes, runs, up, Path(folder)):
                document["results"].append(result)
                say(_line(result))
        finally:
            _save(document)
    full = sizes == FULL and runs >= 3 and not only
    return _tell(document, PAGES if full else ARTIFACTS, time.monotonic() - began)


def _measure(
    everybody: list[contestants.Contestant],
    sizes: list[int],
    runs: int,
    up: t.Callable[[int], list[fleet.Host]],
    folder: Path,
) -> t.Iterator[rounds.Result]:
    """All results. The first run of each, on one host, is for the caches alone."""
    say("Warming up, on one host")
    alone = up(1)
    for contestant in everybody:
        if contestant.key != "playbook":  # its modules are warmed up by the tuned one
            rounds.compete(contestant, alone, folder / "run", [rounds.FIRST])
    for count in [1, *sizes]:
        hosts = up(count)
        for number in range(runs):
            for contestant in everybody[number % len(everybody) :] + everybody[: number % len(everybody)]:
                once = contestant.slow and count >= rounds.LARGE
                if (count == 1) != contestant.alone or (once and number):
                    continue
                for result in rounds.compete(contestant, hosts, folder / "run", rounds.phases_of(contestant, count)):
                    if result["wrong"]:
                        (ARTIFACTS / result["log"]).write_bytes((folder / result["log"]).read_bytes())
                    yield {**result, "round": number}


def _line(result: rounds.Result) -> str:
    what = f"{result['hosts']:2} hosts  {result['contestant']:15} {result['phase']:10}"
    cost = f"{result['wall']:7.2f} s, CPU {result['cpu']:6.2f} s here, {result['hosts_cpu']:6.2f} s on hosts"
    return f"{what} {cost} {'; '.join(result['wrong'][:3])[:200]}".rstrip()


def _save(document: dict[str, t.Any]) -> None:
    (ARTIFACTS / "tuning.json").write_text(json.dumps(document, indent=1) + "\n")


def _tell(document: dict[str, t.Any], pages: Path, seconds: float) -> int:
    """Write table and plot; the last line of the bench."""
    verdicts = report.targets(document)
    (pages / "tuning.md").write_text(report.page(document, verdicts))
    plot = [str(contestants.BENCH / "bin/python"), "-m", "tests.bench.plot"]
    subprocess.run(
        [*plot, str(ARTIFACTS / "tuning.json"), str(pages / "tuning.svg")], check=True, timeout=120, cwd=fleet.ROOT
    )
    wrong = [result for result in document["results"] if result["wrong"]]
    met = sum(verdict.met for verdict in verdicts)
    told = (
        f"{met} of {len(verdicts)} targets met, {len(wrong)} of {len(document['results'])} runs did not do their work"
    )
    sys.stdout.write(f"bench: {told}; {seconds:.0f} s; {pages.relative_to(fleet.ROOT)}/tuning.md\n")
    return 1 if wrong else 0


def say(text: str) -> None:
    """Progress, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
