#!/usr/bin/python3 -ISB
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a lab host: stands in for python3, keeps each program that travels, and kills one; or replays what was kept.

As `python3 -I -S -B -` it keeps the program as `programs/NNN.py` and runs it; where `plan.json` beside it names that
number, it runs below killed_at.py. `killed_host.py look` tells what is there; `killed_host.py replay` takes a job as
JSON and kills one program at each of its moments, from the same start each time; `held NAME` tells whether a lease
has not ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS, PLAN = HERE / "programs", HERE / "plan.json"
PYTHON = ["/usr/bin/python3", "-I", "-S", "-B", "-"]
STATE, LEASES, DATA = Path("/var/lib/ops-runbook"), Path("/run/ops-runbook"), Path("/var/lib/mongo")
CONFIG, UNIT = Path("/etc/default/mongod"), "mongod.service"
LIVES = ("-wal", "-shm")  # the server's own, which come and go with it
# Where something may be written; of /run only whether a folder was made there.
SYSTEM = "/etc/systemd/system"
WATCHED = [str(path) for path in (CONFIG, STATE, LEASES, f"{SYSTEM}/{UNIT}.d")]
WATCHED += ["/run!", f"{SYSTEM}!", "/etc/default!"]
MOST = 80
"""Moments of one program."""


def kill(program: Path, when: int, who: str) -> dict[str, object]:
    """Run a program and kill it at that moment; see killed_at.py. Its own answer is under `said`."""
    data = [f"{path}!" for path in (DATA, *sorted(DATA.iterdir())) if not path.name.endswith(LIVES)]
    argv = [sys.executable, "-ISB", str(HERE / "killed_at.py"), str(when), who, ":".join(WATCHED + data), *PYTHON]
    looks = {**os.environ, "KILLED_AT_LOOKS": "systemctl show:systemctl is-:check-config"}
    with program.open("rb") as text:
        done = subprocess.run(argv, stdin=text, stdout=subprocess.PIPE, env=looks, check=True, timeout=120)
    said, _, last = done.stdout.decode().rstrip("\n").rpartition("\n")
    return {**json.loads(last), "said": said}


def stand_in() -> int:
    """Be python3."""
    PROGRAMS.mkdir(exist_ok=True)
    number = len(list(PROGRAMS.iterdir()))
    program = PROGRAMS / f"{number:03}.py"
    program.write_bytes(sys.stdin.buffer.read())
    plan = json.loads(PLAN.read_text()) if PLAN.exists() else {}
    if number != plan.get("number"):
        with program.open("rb") as text:
            return subprocess.run(PYTHON, stdin=text, check=False).returncode
    PLAN.unlink()  # once
    found = kill(program, plan["when"], plan["who"])
    (HERE / "killed.json").write_text(json.dumps(found))
    sys.stdout.write(str(found["said"]))
    return 137 if found["killed"] else int(str(found["code"]))


def look() -> dict[str, object]:
    """Unit, configuration, owners, and what our own files say."""
    ours = [path for top in (STATE, LEASES) if top.exists() for path in sorted(top.rglob("*")) if path.is_file()]
    beside = [path for folder in ("/etc/default", "/etc/systemd/system", "/run") for path in Path(folder).iterdir()]
    temps = [path for path in [*ours, *beside] if path.name.startswith("ops-runbook-")]
    return {
        "unit": unit(),
        "config": {"sha256": hashlib.sha256(CONFIG.read_bytes()).hexdigest(), "mode": CONFIG.stat().st_mode & 0o7777},
        "owners": sorted({path.owner() for path in (DATA, *DATA.iterdir()) if not path.name.endswith(LIVES)}),
        "json": {str(path): _json(path) for path in ours if path.suffix == ".json"},
        "aside": {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in ours if "undo" in path.parts},
        "temps": {str(path): f"{path.owner()} {path.stat().st_mode & 0o7777:04o}" for path in temps},
    }


def unit() -> dict[str, str]:
    """What systemd says, once it has done what it was told: that goes on without whoever told it."""
    names = ("ActiveState", "Result", "LoadState", "UnitFileState", "MainPID", "Job")
    argv = ["/usr/bin/systemctl", "show", UNIT, "--property", ",".join(names)]
    while True:
        shown = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout
        found = dict(line.split("=", 1) for line in shown.splitlines())
        if not found.pop("Job", "").strip("0"):
            return {**found, "process": process(found.pop("MainPID"))}
        time.sleep(0.05)


def process(pid: str) -> str:
    """Whether there is one, and whether SIGSTOP holds it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text() if pid != "0" else None
    except OSError:
        status = None
    if status is None:
        return "none"
    return "stopped" if "\nState:\tT" in status else "running"


def _json(path: Path) -> object:
    """The document, or why it is none."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        return f"broken: {error}"


def replay(job: dict[str, t.Any]) -> list[dict[str, object]]:
    """Kill the program at one moment after the other, until it has no more; what was left each time."""
    found = []
    for when in job["only"] or range(1, MOST):
        subprocess.run(["/bin/sh", "-c", str(job["broken"])], check=False, capture_output=True, timeout=60)
        for number in job["before"]:
            with (PROGRAMS / f"{number:03}.py").open("rb") as text:
                subprocess.run(PYTHON, stdin=text, check=True, capture_output=True, timeout=60)
        killed = kill(PROGRAMS / f"{job['number']:03}.py", when, str(job["who"]))
        found.append({"when": when, **killed, "left": look()})
        if not killed["killed"]:
            break
    return found


def main() -> int:
    """See above."""
    if Path(sys.argv[0]).name == "python3":
        return stand_in()
    if sys.argv[1] == "held":
        expires = json.loads((LEASES / f"{sys.argv[2]}.json").read_bytes())["expires"]
        sys.stdout.write(str(expires > time.clock_gettime(time.CLOCK_BOOTTIME)))
        return 0
    answer = look() if sys.argv[1] == "look" else replay(json.load(sys.stdin))
    sys.stdout.write(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
