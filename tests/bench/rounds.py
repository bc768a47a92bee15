# SPDX-License-Identifier: GPL-3.0-or-later
"""One contestant after the other on the same hosts: reset, run, look from outside, run again."""

from __future__ import annotations

import subprocess
import time
import typing as t
from pathlib import Path

from tests.bench import contestants, fleet, measure

FIRST, UNCHANGED, CONNECTED = "first", "unchanged", "connected"
REFUSED = 7
LARGE = 30
"""From so many hosts on a slow contestant runs once."""
Result = dict[str, t.Any]


def compete(
    contestant: contestants.Contestant, hosts: list[fleet.Host], folder: Path, phases: t.Sequence[str]
) -> list[Result]:
    """Results of a contestant's phases, in order: cold on hosts that were reset, cold with nothing to do, connected."""
    fleet.reset(hosts)
    results: list[Result] = []
    field = contestants.field(folder, hosts)
    with measure.adopting_orphans():
        for phase in phases:
            if phase != CONNECTED:
                hang_up(field.sockets)
            results.append(_run(contestant, field, phase))
            if results[-1]["wrong"]:
                break
        hang_up(field.sockets)
    return results


def phases_of(contestant: contestants.Contestant, hosts: int) -> list[str]:
    """The phases that mean something for it."""
    if contestant.alone or (contestant.slow and hosts >= LARGE):
        return [FIRST]
    return [FIRST, UNCHANGED, *([CONNECTED] if contestant.kept else [])]


def _run(contestant: contestants.Contestant, field: contestants.Field, phase: str) -> Result:
    argv, env = contestant.command(field)
    log = field.folder.parent / f"{contestant.key}-{len(field.hosts)}-{phase}.log"
    before = fleet.cpu(field.hosts)
    cost = measure.run(argv, log, 120 + 15 * len(field.hosts), env, fleet.ROOT)
    time.sleep(0.3)  # what a host does after the connection was closed is its work, too
    hosts_cpu = fleet.cpu(field.hosts) - before
    differ = fleet.verify(field.hosts) if not contestant.alone else {}
    wrong = [f"{host}: {line}" for host, lines in differ.items() for line in lines]
    if cost.code != (REFUSED if contestant.alone else 0):
        wrong.insert(0, "ran out of time" if cost.code is None else f"exit code {cost.code}")
    named = {"contestant": contestant.key, "hosts": len(field.hosts), "phase": phase}
    return {**named, **cost._asdict(), "hosts_cpu": hosts_cpu, "wrong": wrong[:20], "log": log.name}


def hang_up(sockets: Path) -> None:
    """End the masters of shared connections by their own sockets, and wait until they are gone."""
    for socket in sockets.iterdir():
        argv = ["ssh", "-F", "none", "-O", "exit", "-o", f"ControlPath={socket}", "host"]
        subprocess.run(argv, capture_output=True, check=False, timeout=10)
    end = time.monotonic() + 5
    while measure.descendants():
        if time.monotonic() > end:
            raise RuntimeError(f"processes {measure.descendants()} do not end with their connections")
        time.sleep(0.02)
