#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the lanes of `make test` and end with one line: `N passed, N failed`.

    tests/run.py              every lane; what needs lab hosts runs beside what does not, and then in a second lab
    tests/run.py unit drills  only these

Each lane's whole output goes to artifacts/<lane>.log; a lane that fails shows the end of it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import subprocess
import sys
import time
from pathlib import Path

from lanes import Result, Step, of_lane

ROOT = Path(__file__).resolve().parent.parent
ARTIFACTS = ROOT / "artifacts"
DESK = ("lint", "unit", "sanity")
SECOND = ("ordeals",)
SECOND_LAB = {"LAB_NAME": "ops-runbook-2", "LAB_SUBNET": "10.213.59"}
"""Beside the first one: where its lanes run, two hosts of the same name have nothing in common."""
LAB = ("drills", "molecule", "docs", "versions", "packaging", "bench", "demo")
EVERY = (*DESK, *SECOND, *LAB)
TAIL = 60
LIMIT = 3000
"""Seconds that one step may take before it is ended."""


def run_step(step: Step, log: Path, more: dict[str, str] | None = None) -> Result:
    """Run one command; its output goes to the log, its counts come from its report or its exit code."""
    started = time.monotonic()
    environment = {**os.environ, **step.environment, "ANSIBLE_NOCOLOR": "1", "PY_COLORS": "0", "NO_COLOR": "1"}
    environment.update(more or {})
    with log.open("ab") as stream:
        stream.write(f"\n$ {' '.join(step.argv)}\n".encode())
        stream.flush()
        try:
            done = subprocess.run(
                step.argv,
                cwd=step.folder or ROOT,
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=LIMIT,
                check=False,
            )
            code = done.returncode
        except subprocess.TimeoutExpired:
            stream.write(f"ended after {LIMIT} s\n".encode())
            code = 124
    passed, failed = step.counted(code, log)
    return Result(step.name, passed, failed, time.monotonic() - started)


def run_lane(lane: str) -> list[Result]:
    """Run a lane's steps in order; a lane whose preparation fails stops there."""
    log = ARTIFACTS / f"{lane}.log"
    log.write_bytes(b"")
    results = []
    for step in of_lane(lane, ROOT, ARTIFACTS):
        result = run_step(step, log, SECOND_LAB if lane in SECOND else None)
        results.append(result)
        verdict = "ok  " if not result.failed else "FAIL"
        print(
            f"{verdict} {lane:<9} {step.name:<44} {result.passed:>4} passed {result.failed:>3} failed "
            f"{result.seconds:7.1f} s",
            flush=True,
        )
        if result.failed and step.needed:
            break
    if any(result.failed for result in results):
        lines = log.read_text(errors="replace").splitlines()[-TAIL:]
        print(f"---- end of {log.relative_to(ROOT)}\n" + "\n".join(lines) + "\n----", flush=True)
    for table in sorted(ARTIFACTS.glob(f"{lane}*.table")):
        print(table.read_text(), flush=True)
    return results


def run_track(lanes: list[str]) -> list[Result]:
    """Run lanes one after the other."""
    return [result for lane in lanes for result in run_lane(lane)]


def lab(command: str, environment: dict[str, str] | None = None) -> None:
    """Boot or end the lab hosts, loudly when it fails."""
    argv = [str(ROOT / "lab" / "lab"), command]
    subprocess.run(argv, cwd=ROOT, env={**os.environ, **(environment or {})}, check=True, timeout=900)


def main() -> int:
    """Run what was asked for; 0 when nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lanes", nargs="*", metavar="lane", help=f"of {', '.join(EVERY)}")
    asked = parser.parse_args().lanes
    unknown = sorted(set(asked) - {*EVERY})
    if unknown:
        parser.error(f"no such lane: {', '.join(unknown)}; known are {', '.join(EVERY)}")
    ARTIFACTS.mkdir(exist_ok=True)
    for old in ARTIFACTS.glob("*.table"):
        old.unlink()
    desk = [lane for lane in (*DESK, *SECOND) if not asked or lane in asked]
    hosts = [lane for lane in LAB if not asked or lane in asked]
    started = time.monotonic()
    try:
        if hosts:
            lab("up")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = [result for track in pool.map(run_track, (desk, hosts)) for result in track]
    finally:
        if hosts:
            lab("down")
        if set(desk) & set(SECOND):
            lab("down", SECOND_LAB)
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    print(f"{time.monotonic() - started:.0f} s")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
