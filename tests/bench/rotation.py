# SPDX-License-Identifier: GPL-3.0-or-later
"""One rotation policy on a fleet, beside a good playbook and a shell script: BENCH_HOSTS="60", BENCH_RUNS=3.

Each run begins with hosts that have no policy and a folder that anybody may write into, and counts only where every
host, looked at from outside, has both right and its logrotate accepts the whole configuration.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from tests.bench import contestants, facts, fleet, measure, rounds
from tests.bench.contestants import BIN, PEERS, Contestant, Field

PAGE = fleet.ROOT / "docs" / "bench" / "rotation.md"
ARTIFACTS = fleet.ROOT / "artifacts" / "bench"
RESET = "rm -rf /etc/logrotate.d/logcaster /var/lib/ops-runbook; chmod 0777 /var/log/logcaster"
LOOK = """
grep -c '^  rotate 30$' /etc/logrotate.d/logcaster || true
stat -c %a /var/log/logcaster
logrotate -d /etc/logrotate.conf >/dev/null 2>&1 && echo accepted || echo refused
"""
GOOD = ["1", "755", "accepted"]


def ours(field: Field) -> contestants.Command:
    """rotate_logs.yml with the policy that ships."""
    extra = {"log_rotation_names": ["logcaster"], "log_rotation_schedule": False}
    path = field.folder / "extra.json"
    path.write_text(json.dumps(extra))
    where = ["-i", contestants.inventory(field, True), "-e", f"@{path}"]
    argv = [str(BIN / "ansible-playbook"), "playbooks/rotate_logs.yml", *where]
    return argv, contestants.environment(field, fleet.ROOT / "ansible.cfg")


def raw(field: Field) -> contestants.Command:
    """One ssh per host and a shell script on its standard input."""
    script = field.folder / "rotation.sh"
    conf = (PEERS / "logcaster.conf").read_text().rstrip("\n")
    script.write_text((PEERS / "rotation.sh").read_text().replace("@CONF@", conf))
    return contestants.by_ssh(field, script)


EVERYBODY = [
    Contestant("ours", "rotate_logs", ours),
    Contestant("playbook-tuned", "good playbook, tuned", contestants.playbook("rotation.yml", "tuned.cfg"), slow=True),
    Contestant("raw", "`xargs -P 50 ssh`, shell script", raw),
]


def main() -> int:
    """Measure, and write the page; 1 when a run did not do its work."""
    sizes = [int(word) for word in os.environ.get("BENCH_HOSTS", "60").split()]
    runs = int(os.environ.get("BENCH_RUNS", "3"))
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, fleet.running() as up:
        for count in sizes:
            hosts = up(count)
            rounds_of = [(number, one) for number in range(runs) for one in EVERYBODY if not (one.slow and number)]
            for number, contestant in rounds_of:
                results += compete(contestant, hosts, Path(folder) / "run")
                tell(number, results)
    page = PAGE if sizes == [60] and runs >= 3 else ARTIFACTS / "rotation.md"
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    (ARTIFACTS / "rotation.json").write_text(json.dumps(results, indent=1) + "\n")
    page.write_text(text(results, sizes, runs))
    wrong = [result for result in results if result["wrong"]]
    sys.stdout.write(f"bench: rotation: {len(wrong)} of {len(results)} runs did not do their work; {page}\n")
    return 1 if wrong else 0


def compete(contestant: Contestant, hosts: list[fleet.Host], folder: Path) -> list[rounds.Result]:
    """A first run on hosts that were reset, and one with nothing to change."""
    fleet.on_all(hosts, RESET)
    if any(seen == GOOD for seen in look(hosts)):
        raise RuntimeError("a host was not reset")
    field = contestants.field(folder, hosts)
    found = []
    with measure.adopting_orphans():
        for phase in (rounds.FIRST, rounds.UNCHANGED):
            rounds.hang_up(field.sockets)
            found.append(_run(contestant, field, phase))
        rounds.hang_up(field.sockets)
    return found


def look(hosts: list[fleet.Host]) -> list[list[str]]:
    """What each host has now."""
    return [seen.split() for seen in fleet.on_all(hosts, LOOK)]


def _run(contestant: Contestant, field: Field, phase: str) -> rounds.Result:
    argv, env = contestant.command(field)
    log = field.folder.parent / f"rotation-{contestant.key}-{phase}.log"
    before = fleet.cpu(field.hosts)
    cost = measure.run(argv, log, 120 + 15 * len(field.hosts), env, fleet.ROOT)
    time.sleep(0.3)
    spent = fleet.cpu(field.hosts) - before
    pairs = zip(field.hosts, look(field.hosts), strict=True)
    wrong = [f"{host.name}: {' '.join(seen)}" for host, seen in pairs if seen != GOOD]
    if cost.code:
        wrong.insert(0, f"exit code {cost.code}: {log.read_text(errors='replace')[-500:]}")
    named = {"contestant": contestant.key, "hosts": len(field.hosts), "phase": phase}
    return {**named, **cost._asdict(), "hosts_cpu": spent, "wrong": wrong[:20]}


def tell(number: int, results: list[rounds.Result]) -> None:
    """Progress, on stderr."""
    for one in results[-2:]:
        told = f"{one['hosts']} hosts  {one['contestant']:15} {one['phase']:10} {one['wall']:6.2f} s"
        sys.stderr.write(f"round {number}: {told} {'; '.join(one['wrong'][:2])[:300]}\n")


def text(results: list[rounds.Result], sizes: list[int], runs: int) -> str:
    """The page."""
    lines = [
        "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->",
        "<!-- Written by `make bench`. -->",
        "# Rotating logs on a fleet, side by side",
        "",
        "One policy on each host: a drop-in of logrotate, the mode of the logs' folder, and `logrotate -d` over all",
        f"files there are. Medians of {runs} rounds; docs/bench/README.md tells how it is measured.",
        "",
        *(f"- {name}: {value}" for name, value in facts.gather().items()),
        "",
    ]
    for count in sizes:
        for phase, title in ((rounds.FIRST, "First run"), (rounds.UNCHANGED, "Second run, nothing to change")):
            lines += [f"## {count} hosts. {title}", "", *_table(results, count, phase), ""]
    return "\n".join(lines)


def _table(results: list[rounds.Result], hosts: int, phase: str) -> t.Iterator[str]:
    yield "| | wall clock | to ours | controller CPU | CPU of all hosts | runs |"
    yield "|---|---|---|---|---|---|"
    base = _median(results, "ours", hosts, phase, "wall")
    for one in EVERYBODY:
        counted = [each for each in results if _is(each, one.key, hosts, phase)]
        if not counted:
            yield f"| {one.title} | did not do its work | | | | 0 |"
            continue
        wall, cpu, there = (_median(results, one.key, hosts, phase, name) for name in ("wall", "cpu", "hosts_cpu"))
        ratio = f"{wall / base:.2f}" if base else ""
        yield f"| {one.title} | {wall:.2f} s | {ratio} | {cpu:.2f} s | {there:.2f} s | {len(counted)} |"


def _is(result: rounds.Result, key: str, hosts: int, phase: str) -> bool:
    return (result["contestant"], result["hosts"], result["phase"]) == (key, hosts, phase) and not result["wrong"]


def _median(results: list[rounds.Result], key: str, hosts: int, phase: str, name: str) -> float:
    found = [float(one[name]) for one in results if _is(one, key, hosts, phase)]
    return statistics.median(found) if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
