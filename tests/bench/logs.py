# SPDX-License-Identifier: GPL-3.0-or-later
"""log_stats_info beside the pipelines of the operations guides, on the same large logs: `python -m tests.bench.logs`.

It makes a text log and a JSON log in a temporary folder, runs the guides' grep, jq and awk and the module's program as
a target runs it, by turns, and compares what they say. The page goes to standard output, with --write to
docs/bench/logs.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from tests.support import debian
from tests.support.specs import defaults

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/bench/logs.md"
MARK = "--mark--"
TOOLS = ("grep", "awk", "sort", "uniq", "tail", "wc", "bash")
LENT = ("jq", "time")
"""Those that not every machine has come out of Debian's packages, and are not installed."""
DEFAULTS = defaults("log_stats_info")
Answer = dict[str, t.Any]


class Question(t.NamedTuple):
    """What a guide asks with a pipeline, and where the module's answer has it; both as text that must be the same."""

    command: str
    ours: t.Callable[[Answer], str]
    wrong: str = ""
    """Why the guide's own number is wrong; then both must differ."""


class Contest(t.NamedTuple):
    """Pipelines, one after the other, beside one call."""

    title: str
    log: str
    questions: list[Question]
    asked: dict[str, t.Any]


class Cost(t.NamedTuple):
    """Seconds, CPU seconds of all processes, and the most memory of one of them in bytes."""

    wall: float
    cpu: float
    memory: int


def count(name: str) -> t.Callable[[Answer], str]:
    """The number of lines, as wc prints it."""
    return lambda answer: str(answer["counts"][name]["count"])


def tail(name: str) -> t.Callable[[Answer], str]:
    """The last lines."""
    return lambda answer: "\n".join(answer["counts"][name]["tail"])


def groups(name: str) -> t.Callable[[Answer], str]:
    """As sort | uniq -c | sort -k2 prints it, without its padding."""
    return lambda answer: "\n".join(sorted(f"{one['count']} {one['value']}" for one in answer["groups"][name]["top"]))


def times(answer: Answer) -> str:
    """As the guide's awk prints a week's times."""
    told = answer["values"]["ms"]
    fast, normal, slow = told["buckets"]
    shares = [f"{one['count']} {one['percent']:.1f}" for one in (fast, normal, slow)]
    return "\n".join([str(told["count"]), f"{told['mean']:.1f} {told['min']:.1f} {told['max']:.1f}", *shares])


AWK = """awk '{sum+=$1; count++; if($1>max) max=$1; if(min=="" || $1<min) min=$1; if($1<25) fast++;
  if($1>=25 && $1<50) normal++; if($1>=50) slow++}
END {printf "%d\\n%.1f %.1f %.1f\\n%d %.1f\\n%d %.1f\\n%d %.1f\\n", count, sum/count, min, max, fast, fast/count*100,
  normal, normal/count*100, slow, slow/count*100}'"""
UNPADDED = "awk '{print $1\" \"$2}' | sort"
BATCH = [
    Question('grep -c "ERROR\\|CRITICAL" {log}', count("bad")),
    Question("grep -i error {log} | tail -20", tail("error")),
    Question('grep "BATCH PROCESS COMPLETED" {log} | wc -l', count("completed")),
    Question('grep "BATCH PROCESS FAILED" {log} | wc -l', count("failed")),
    Question('grep "Total duration" {log} | tail -10', tail("duration")),
    Question('grep "Processed.*users with candidates" {log} | tail -5', tail("users")),
    Question('grep "response time" {log} | tail -10', tail("response")),
    Question('grep "BATCH PROCESS COMPLETED SUCCESSFULLY" {log} | tail -1', tail("success")),
]
BATCH_ASKED = {
    "counts": {
        "bad": {"pattern": "ERROR|CRITICAL"},
        "error": {"contains": "error", "ignore_case": True, "tail": 20},
        "completed": {"contains": "BATCH PROCESS COMPLETED"},
        "failed": {"contains": "BATCH PROCESS FAILED"},
        "duration": {"contains": "Total duration", "tail": 10},
        "users": {"pattern": "Processed.*users with candidates", "tail": 5},
        "response": {"contains": "response time", "tail": 10},
        "success": {"contains": "BATCH PROCESS COMPLETED SUCCESSFULLY"},
    }
}
PRETTY = "jq prints an object over many lines, so `wc -l` counts lines of its layout, not requests"
REQUESTS = [
    Question('jq -r \'select(.level=="ERROR") | "\\(.timestamp) \\(.message)"\' {log} | wc -l', count("errors")),
    Question(
        "jq -r 'select(.function==\"analyze_peg_data\") | .status' {log} | sort | uniq -c | " + UNPADDED,
        groups("status"),
    ),
    Question(
        "jq -r 'select(.execution_time_ms > 50) | \"\\(.timestamp) \\(.request_id)\"' {log} | wc -l", count("slow")
    ),
    Question("jq -r 'select(.execution_time_ms) | .execution_time_ms' {log} | " + AWK, times),
    Question(
        "jq -r 'select(.level==\"ERROR\") | .error_type' {log} | sort | uniq -c | sort -nr | " + UNPADDED,
        groups("types"),
    ),
    Question("jq -r 'select(.status)' {log} | wc -l", count("requests"), PRETTY),
    Question("jq -r 'select(.status==\"error\")' {log} | wc -l", count("failed"), PRETTY),
]
REQUESTS_ASKED = {
    "counts": {
        "errors": {"where": {"level": "ERROR"}},
        "slow": {"where": {"execution_time_ms": "> 50"}},
        "requests": {"where": {"status": "!= null"}},
        "failed": {"where": {"status": "error"}},
    },
    "values": {"ms": {"field": "execution_time_ms", "buckets": [25, 50]}},
    "groups": {
        "status": {"field": "status", "where": {"function": "analyze_peg_data"}},
        "types": {"field": "error_type", "where": {"level": "ERROR"}},
    },
    "ratios": {"error_rate": {"part": "failed", "whole": "requests"}},
}
RECENT = (
    'tail -n 1000 {log} | jq -r \'select(.level=="ERROR" and '
    '(.timestamp | strptime("%Y-%m-%dT%H:%M:%SZ") | mktime) > (END - 300))\' | wc -l'
)


def contests(end: int) -> list[Contest]:
    """All of them; end is the time of the logs' last lines, epoch seconds."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end - 299))
    recent = Question(
        RECENT.replace("END", str(end or "now")),
        count("errors"),
        "it looks at 1000 lines, which are less than five minutes, and see above",
    )
    return [
        Contest("S1: the batch, eight pipelines", "text", BATCH, BATCH_ASKED),
        Contest(
            "S1: only `grep -c ERROR\\|CRITICAL`", "text", BATCH[:1], {"counts": {"bad": {"pattern": "ERROR|CRITICAL"}}}
        ),
        Contest("S2: the requests, seven pipelines", "json", REQUESTS, REQUESTS_ASKED),
        Contest(
            "S2: only the types of errors",
            "json",
            REQUESTS[4:5],
            {"groups": {"types": REQUESTS_ASKED["groups"]["types"]}},
        ),
        Contest(
            "S2: only the times of requests", "json", REQUESTS[3:4], {"values": {"ms": REQUESTS_ASKED["values"]["ms"]}}
        ),
        Contest(
            "S2: errors of five minutes",
            "json",
            [recent],
            {"since": since, "counts": {"errors": {"where": {"level": "ERROR"}}}},
        ),
    ]


def make_text(path: Path, size: int, end: int) -> None:
    """A log of the batch, some 100 bytes a line: half of its lines are about users and response times."""
    rng, lines = random.Random(1), int(size / 102)  # noqa: S311 - a log, no secret
    with path.open("w", buffering=1 << 20) as stream:
        for at in range(lines):
            when = end - (lines - at) * 0.004
            stamp = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(when))},{int(when % 1 * 1000):03d} - "
            stream.write(f"{stamp}{_batch_line(rng.random(), at)}\n")


def _batch_line(dice: float, at: int) -> str:
    if dice < 0.002:
        return f"ERROR candidate_generation portfolio API timed out for USER{at} after {at % 5000} ms"
    if dice < 0.0023:
        return "CRITICAL mongo_client connection refused by the primary, trying again"
    if dice < 0.0026:
        return f"INFO candidate_generation BATCH PROCESS COMPLETED SUCCESSFULLY; Total duration: {at % 1000 / 7:.1f} s"
    if dice < 0.25:
        return f"INFO candidate_generation Processed {at % 9973} users with candidates in batch {at % 977}"
    if dice < 0.5:
        return f"DEBUG opensearch_client response time: {at % 997} ms for index screen-{at % 31} shard {at % 7}"
    if dice < 0.75:
        return f"INFO candidate_generation fetching portfolio for USER{at} from cluster node {at % 13}"
    return f"INFO mongo_client upserted {at % 1000} documents into user_candidate chunk {at % 4099}"


def make_json(path: Path, size: int, end: int) -> None:
    """A log of requests, some 230 bytes a line."""
    rng, lines = random.Random(2), int(size / 237)  # noqa: S311 - a log, no secret
    with path.open("w", buffering=1 << 20) as stream:
        for at in range(lines):
            bad, when = rng.random() < 0.009, time.gmtime(end - (lines - 1 - at) * 0.02)
            row = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", when), "level": "ERROR" if bad else "INFO"}
            row |= {"logger": "analysis.service", "function": ("analyze_peg_data", "load_data", "health")[at % 3]}
            row |= {
                "request_id": f"{rng.getrandbits(32):08x}-{at % 65536:04x}",
                "message": f"handled in {at % 9} steps",
            }
            more = {"status": "error" if bad else "success", "execution_time_ms": round(rng.lognormvariate(3, 0.6), 2)}
            kind = {"error_type": ("TimeoutError", "ValueError", "DatabaseError")[at % 3]} if bad else {}
            stream.write(json.dumps({**row, **more, **kind}) + "\n")


def timed(argv: list[str], stdin: bytes = b"") -> tuple[str, Cost]:
    """Run a command under time(1), which is small itself: a process that a large one forks counts as large."""
    with tempfile.NamedTemporaryFile("r") as costs:
        begun = time.monotonic()
        command = [debian.program("time"), "-o", costs.name, "-f", "%U %S %M", *argv]
        done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, timeout=1800, check=True)
        wall = time.monotonic() - begun
        user, system, memory = costs.read().split()
    return done.stdout.decode(), Cost(wall, float(user) + float(system), int(memory) * 1024)


def theirs(contest: Contest, log: Path) -> tuple[list[str], Cost]:
    """Run the pipelines: what each says, and what all cost."""
    said, costs = [], []
    for question in contest.questions:
        text, cost = timed(["bash", "-c", question.command.replace("{log}", str(log))])
        said.append(text.rstrip("\n"))
        costs.append(cost)
    whole = Cost(sum(cost.wall for cost in costs), sum(cost.cpu for cost in costs), max(cost.memory for cost in costs))
    return said, whole


def ours(contest: Contest, log: Path) -> tuple[Answer, Cost]:
    """Run the module's program as a target runs it."""
    call = packing.Call(
        "log_stats", {**DEFAULTS, "paths": [str(log)], **contest.asked}, extra=("redact",), deadline=360
    )
    python = str(Path(sys.executable).resolve())
    text, cost = timed([python, "-I", "-S", "-B", "-"], packing.program(call, MARK))
    answer: Answer = json.loads(text.split(MARK)[1])
    if answer.get("failed"):
        raise SystemExit(f"error: {answer['msg']}; where: {contest.title}")
    return answer, cost


def differences(contest: Contest, said: list[str], answer: Answer) -> list[str]:
    """Where both do not say the same although they should, or do although the guide's is wrong."""
    return [
        f"{question.command}: {text[:80]!r} and {question.ours(answer)[:80]!r}"
        for question, text in zip(contest.questions, said, strict=True)
        if (text.strip() == question.ours(answer)) == bool(question.wrong)
    ]


class Row(t.NamedTuple):
    """The medians of a contest."""

    title: str
    theirs: Cost
    ours: Cost


def median(costs: list[Cost]) -> Cost:
    """Each figure's median."""
    return Cost(*(statistics.median(column) for column in zip(*costs, strict=True)))  # type: ignore[arg-type]


def compete(contest: Contest, log: Path, rounds: int) -> Row:
    """Both by turns, the first of them changing from round to round."""
    costs: tuple[list[Cost], list[Cost]] = [], []
    for number in range(rounds):
        said: list[str] = []
        answer: Answer = {}
        for who in (0, 1) if number % 2 else (1, 0):
            if who:
                answer, cost = ours(contest, log)
            else:
                said, cost = theirs(contest, log)
            costs[who].append(cost)
        wrong = differences(contest, said, answer)
        if wrong:
            raise SystemExit(f"error: not the same numbers; where: {contest.title}: " + "; ".join(wrong))
    return Row(contest.title, median(costs[0]), median(costs[1]))


_REMARKS = (
    "The call also counts all lines, and says rates, percentiles, the last line's age, and what could not be read.",
    "A single `grep -c` for rare words asks less and is faster than the call; so is `tail -n 1000`: it takes less than",
    "the start of any Python, and is wrong.",
)


def page(rows: list[Row], size: int, rounds: int) -> str:
    """The whole page, Markdown."""
    tools = [first_line("grep", "--version"), first_line("jq", "--version"), first_line("awk", "-W", "version")]
    lines = [
        "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->",
        "<!-- Written by `make bench`. -->",
        "# Counting in logs, side by side",
        "",
        "The pipelines of the operations guides, one after the other, and one call of `log_stats_info` for them all,",
        f"on the same text log and JSON log of {size / 1e6:.0f} MB each in the page cache. Medians of {rounds} rounds,",
        "by turns. The guides' jq reads the file itself, without `docker-compose logs` before it. The call is the",
        "whole program as a target runs it, start included; where another core has nothing to do it reads the second",
        "half of a log beside the first. The ratio is one of wall clocks; memory is that of the largest process.",
        "",
        f"- Machine: {os.cpu_count()} cores; {platform.platform(terse=True)}; Python {platform.python_version()}",
        f"- {'; '.join(tools)}; {os.environ.get('LANG', 'C')}",
        "",
        "| | pipelines | one call | times as fast | CPU, pipelines | CPU, call | memory, pipelines | memory, call |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [f"{row.theirs.wall:.2f} s", f"{row.ours.wall:.2f} s", f"{row.theirs.wall / row.ours.wall:.2f}"]
        cells += [f"{row.theirs.cpu:.2f} s", f"{row.ours.cpu:.2f} s"]
        cells += [f"{row.theirs.memory / 2**20:.0f} MiB", f"{row.ours.memory / 2**20:.0f} MiB"]
        lines.append(f"| {row.title} | {' | '.join(cells)} |")
    asked = [question for contest in contests(0) for question in contest.questions]
    wrong = {question.command: question.wrong for question in asked if question.wrong}
    lines += ["", "Both say the same, which is checked in every round, but for these, where the guide is wrong:", ""]
    lines += [f"- `{command.replace('{log} ', '')}`: {why}." for command, why in wrong.items()]
    lines += ["", *_REMARKS, ""]
    return "\n".join(lines)


def first_line(*argv: str) -> str:
    """The first line that a command prints."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False)
    return (done.stdout.splitlines() or [argv[0]])[0]


def bench(size: int, rounds: int) -> list[Row]:
    """Make the logs, let all compete, and remove the logs."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        raise SystemExit(f"error: {', '.join(missing)} missing; what to do: apt-get install grep mawk coreutils bash")
    lent = {str(Path(debian.program(name)).parent): None for name in LENT}
    os.environ["PATH"] = ":".join([os.environ["PATH"], *lent])
    if shutil.disk_usage(tempfile.gettempdir()).free < 3 * size:
        raise SystemExit(
            f"error: no room for two logs of {size} bytes; where: {tempfile.gettempdir()}; what to do: --size"
        )
    with tempfile.TemporaryDirectory(prefix="ops-runbook-logs-") as folder:
        end, logs = int(time.time()), {kind: Path(folder) / f"{kind}.log" for kind in ("text", "json")}
        make_text(logs["text"], size, end)
        make_json(logs["json"], size, end)
        rows = []
        for contest in contests(end):
            ours(contest, logs[contest.log])  # fills the page cache
            rows.append(compete(contest, logs[contest.log], rounds))
            print(f"{rows[-1].title}: {rows[-1].theirs.wall:.2f} s, {rows[-1].ours.wall:.2f} s", file=sys.stderr)
        return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.bench.logs")
    parser.add_argument("--size", type=int, default=1000, help="MB of each log (default 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (default 3)")
    parser.add_argument("--write", action="store_true", help="write docs/bench/logs.md")
    chosen = parser.parse_args()
    text = page(bench(chosen.size * 1_000_000, chosen.rounds), chosen.size * 1_000_000, chosen.rounds)
    sys.stdout.write(text)
    if chosen.write:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
