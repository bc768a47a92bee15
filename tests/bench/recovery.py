# SPDX-License-Identifier: GPL-3.0-or-later
"""A killed database, back and verified: by plain ansible-playbook, by `runbook`, by a careful person's playbook.

`BENCH_RUNS=5`. Each run begins with a server that was killed by signal 9; it counts only where the server, looked at
from outside, answers afterwards. Cold has no shared connection; warm has the one of the run before.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import typing as t
from datetime import datetime
from pathlib import Path

from tests.bench import contestants, facts, fleet, measure, rounds
from tests.bench.contestants import BIN, PEERS, Command, Contestant, Field

PAGE = fleet.ROOT / "docs" / "bench" / "recovery.md"
ARTIFACTS = fleet.ROOT / "artifacts" / "bench"
WINDOW, ALLOWED = 3, 3.0
"""Seconds: the window of stabilization here, and what all the rest may cost beyond it and the server's own start."""
UNIT = "mongod.service"
BREAK = f"""
systemctl start {UNIT}; rm -rf /run/ops-runbook /var/lib/ops-runbook/budget /var/lib/ops-runbook/remedies
systemctl kill --signal=KILL {UNIT}; until systemctl is-failed -q {UNIT}; do sleep 0.02; done
"""
START = f"systemctl reset-failed {UNIT}; date +%s.%N; systemctl start {UNIT}; date +%s.%N"
LOOK = f"""
systemctl is-active {UNIT} || true
python3 -c "import pymongo; print(int(pymongo.MongoClient('127.0.0.1').admin.command('ping')['ok']))" || true
"""
GOOD = ["active", "1"]
COLD, WARM = "cold", "warm"
PHASES = {
    "start": "Ansible starts",
    "detect": "first look",
    "lease": "lease",
    "evidence": "second look, evidence",
    "decide": "diagnosis, guard",
    "act": "act",
    "verify": "verification",
    "conclude": "conclusion, Ansible ends",
}
MARKS = {
    "leased": "lease",
    "evidence": "evidence",
    "decided": "decide",
    "acted": "act",
    "verified": "verify",
}
"""Phase of the record whose line ends a phase."""


def inventory(field: Field) -> str:
    """Ansible's inventory of the database; returns its path."""
    shared = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(fleet.STATE / "id_ed25519"),
        "ansible_ssh_common_args": " ".join(contestants.ssh_options(True)),
        "ansible_python_interpreter": "/usr/bin/python3",
        "mongodb_config_path": "/etc/default/mongod",
        "mongodb_data_path": "/var/lib/mongo",
        "remediate_stabilization_window": WINDOW,
        "window": WINDOW,
    }
    hosts = {host.name: {"ansible_host": host.address} for host in field.hosts}
    path = field.folder / "inventory.yml"
    path.write_text(json.dumps({"mongodb": {"hosts": hosts, "vars": shared}}))
    return str(path)


def ours(cli: bool) -> t.Callable[[Field], Command]:
    """recover_mongodb, plain or by `runbook`."""

    def command(field: Field) -> Command:
        where = ["-i", inventory(field)]
        argv = [str(BIN / "ansible-playbook"), "playbooks/recover_mongodb.yml", *where]
        if cli:
            argv = [str(BIN / "runbook"), "run", "recover_mongodb", *where]
        return argv, contestants.environment(field, fleet.ROOT / "ansible.cfg")

    return command


def plain(field: Field) -> Command:
    """The playbook of a careful person, with pipelining and a shared connection, too."""
    argv = [str(BIN / "ansible-playbook"), str(PEERS / "recovery.yml"), "-i", inventory(field)]
    return argv, contestants.environment(field, PEERS / "tuned.cfg")


EVERYBODY = [
    Contestant("ours", "recover_mongodb", ours(False)),
    Contestant("ours-cli", "recover_mongodb, by `runbook`", ours(True)),
    Contestant("plain", "careful playbook, tuned", plain),
]


def main() -> int:
    """Measure, and write the page; 1 when a run did not do its work."""
    runs = int(os.environ.get("BENCH_RUNS", "5"))
    results, starts = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, fleet.database() as host:
        for number in range(runs):
            starts.append(own_start(host))
            for contestant in EVERYBODY[number % 3 :] + EVERYBODY[: number % 3]:
                results += compete(contestant, host, Path(folder) / "run")
                tell(number, results)
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    (ARTIFACTS / "recovery.json").write_text(json.dumps({"starts": starts, "results": results}, indent=1) + "\n")
    page = PAGE if runs >= 3 else ARTIFACTS / "recovery.md"
    page.write_text(text(results, starts, runs))
    wrong = [result for result in results if result["wrong"]]
    sys.stdout.write(f"bench: recovery: {len(wrong)} of {len(results)} runs did not do their work; {page}\n")
    return 1 if wrong else 0


def own_start(host: fleet.Host) -> float:
    """Seconds that `systemctl start` takes, with nobody around."""
    fleet.on_all([host], BREAK)
    began, ended = map(float, fleet.on_all([host], START)[0].split())
    return ended - began


def compete(contestant: Contestant, host: fleet.Host, folder: Path) -> list[rounds.Result]:
    """A cold run and a warm one."""
    field = contestants.field(folder, [host])
    with measure.adopting_orphans():
        rounds.hang_up(field.sockets)
        found = [_run(contestant, field, connection) for connection in (COLD, WARM)]
        rounds.hang_up(field.sockets)
    return found


def _run(contestant: Contestant, field: Field, connection: str) -> rounds.Result:
    fleet.on_all(field.hosts, BREAK)
    argv, env = contestant.command(field)
    log = field.folder.parent / f"recovery-{contestant.key}-{connection}.log"
    began = time.time()
    cost = measure.run(argv, log, 120, env, fleet.ROOT)
    (seen,) = fleet.on_all(field.hosts, LOOK)
    wrong = [] if seen.split() == GOOD else [f"the server is {' '.join(seen.split())}"]
    if cost.code:
        wrong.insert(0, f"exit code {cost.code}: {log.read_text(errors='replace')[-500:]}")
    record = field.folder / "state" / "ops-runbook" / "record.jsonl"
    spent = phases(record, began, cost.wall) if record.exists() and not wrong else {}
    named = {"contestant": contestant.key, "connection": connection, "phases": spent}
    return {**named, **cost._asdict(), "wrong": wrong}


def phases(record: Path, began: float, wall: float) -> dict[str, float]:
    """Seconds of each phase of the last run in a record; their sum is the run's wall clock."""
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    lines = [line for line in lines if line["run"] == lines[-1]["run"]]
    looked = next(line for line in lines if line["phase"] == "looked")
    last = datetime.fromisoformat(looked["at"]).timestamp()
    detect = float(looked["entry"]["seconds"])
    spent = {**dict.fromkeys(PHASES, 0.0), "start": last - detect - began, "detect": detect}
    for line in lines:
        now = datetime.fromisoformat(line["at"]).timestamp()
        if line["phase"] in MARKS:
            spent[MARKS[line["phase"]]] += now - last
            last = now
    spent["conclude"] = began + wall - last
    return spent


def tell(number: int, results: list[rounds.Result]) -> None:
    """Progress, on stderr."""
    for one in results[-2:]:
        told = " ".join(f"{name} {seconds:.2f}" for name, seconds in one["phases"].items())
        sys.stderr.write(f"round {number}: {one['contestant']:9} {one['connection']} {one['wall']:.2f} s {told}")
        sys.stderr.write(f" {'; '.join(one['wrong'])[:300]}\n")


def text(results: list[rounds.Result], starts: list[float], runs: int) -> str:
    """The page."""
    start = statistics.median(starts)
    budget = start + WINDOW + ALLOWED
    lines = [
        "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->",
        "<!-- Written by `make bench`. -->",
        "# A killed database, back and verified",
        "",
        "From the start of the command to its end, on a server that was killed by signal 9. Medians of",
        f"{runs} rounds, by turns; docs/bench/README.md tells how it is measured.",
        "",
        f"The server's own start takes {start:.2f} s, the window of stabilization {WINDOW} s. With {ALLOWED:g} s for",
        f"all the rest a run may take {budget:.2f} s. The careful playbook looks twice with the window between, and",
        "asks neither for the cause nor whether a start is safe.",
        "",
        *(f"- {name}: {value}" for name, value in facts.gather(peers=False).items()),
        "",
        f"| | connection | wall clock | beyond start and window | within {budget:.2f} s | controller CPU | runs |",
        "|---|---|---|---|---|---|---|",
        *(_row(results, one, connection, start) for connection in (COLD, WARM) for one in EVERYBODY),
        "",
        "## By phase",
        "",
        "| | connection | " + " | ".join(PHASES.values()) + " |",
        "|---|---|" + "---|" * len(PHASES),
        *(_phases_row(results, one, connection) for connection in (COLD, WARM) for one in EVERYBODY[:2]),
        "",
        "The act contains the server's own start, the verification the window.",
        "",
    ]
    return "\n".join(lines)


def _row(results: list[rounds.Result], one: Contestant, connection: str, start: float) -> str:
    counted = _of(results, one, connection)
    if not counted:
        return f"| {one.title} | {connection} | did not do its work | | | | 0 |"
    wall, cpu = (statistics.median(float(each[name]) for each in counted) for name in ("wall", "cpu"))
    rest = wall - start - WINDOW
    verdict = "yes" if rest <= ALLOWED else "no"
    return f"| {one.title} | {connection} | {wall:.2f} s | {rest:.2f} s | {verdict} | {cpu:.2f} s | {len(counted)} |"


def _phases_row(results: list[rounds.Result], one: Contestant, connection: str) -> str:
    counted = _of(results, one, connection)
    spent = [f"{statistics.median(each['phases'][name] for each in counted):.2f} s" for name in PHASES if counted]
    return f"| {one.title} | {connection} | {' | '.join(spent)} |"


def _of(results: list[rounds.Result], one: Contestant, connection: str) -> list[rounds.Result]:
    key = (one.key, connection)
    return [each for each in results if (each["contestant"], each["connection"]) == key and not each["wrong"]]


if __name__ == "__main__":
    sys.exit(main())
