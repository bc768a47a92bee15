# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests do to lab hosts: run tasks, run a runbook, and look by another tool than the one under test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
INVENTORY = "inventories/lab"
NAME, SUBNET = os.environ.get("LAB_NAME", "ops-runbook"), os.environ.get("LAB_SUBNET", "10.213.57")
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]
Json = dict[str, t.Any]


class Ran(t.NamedTuple):
    """A finished command."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """All it said."""
        return self.stdout + self.stderr


def command(name: str) -> str:
    """A tool of the environment that the tests run in."""
    return str(Path(sys.executable).parent / name)


def run(argv: list[str], timeout: float = 300, env: dict[str, str] | None = None, cwd: Path = ROOT) -> Ran:
    """Run a command from the project's root."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **(env or {})}
    environment.pop("OPS_RUNBOOK_RUN_ID", None)
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def tasks(host: str, steps: list[Json], what: str) -> None:
    """Run tasks on a lab host as root; a failing one fails the test with its message."""
    if not steps:
        return
    play = [{"name": what, "hosts": host, "gather_facts": False, "become": True, "tasks": steps}]
    with tempfile.NamedTemporaryFile("w", suffix=".yml", prefix="tasks-") as file:
        yaml.safe_dump(play, file, sort_keys=False)
        file.flush()
        done = run([command("ansible-playbook"), "-i", INVENTORY, file.name])
    assert done.code == 0, f"{what} on {host}:\n{done.text[-3000:]}"


def on(host: str, argv: str, timeout: float = 60) -> Ran:
    """Run one command line on a lab host through podman: a road that the code under test does not use."""
    return run([*AS_ROOT, "podman", "exec", f"{NAME}-{host}", "sh", "-c", argv], timeout)


def data(host: str) -> Json:
    """Count and SHA-256 of all seeded documents, and acknowledged writes that are missing, by pymongo."""
    said = on(host, "/opt/SimpleRS/simplers checksum")
    assert said.code == 0, said.text
    return t.cast("Json", json.loads(said.stdout))


def runbook(*arguments: str, records: Path, host: str | None = "db1", timeout: float = 300) -> tuple[Ran, Json]:
    """`runbook ARGUMENTS -i inventories/lab --format json`: the process and its document."""
    limit = ["--limit", host] if host is not None else []
    done = run(
        [command("runbook"), *arguments, "-i", INVENTORY, *limit, "--format", "json", "--records", str(records)],
        timeout,
        {"XDG_STATE_HOME": str(records)},
    )
    try:
        return done, json.loads(done.stdout)
    except ValueError:
        return done, {}


def baseline(records: Path) -> None:
    """Keep the configuration of the healthy hosts."""
    env = {"OPS_RUNBOOK_RECORDS": str(records), "XDG_STATE_HOME": str(records)}
    done = run([command("ansible-playbook"), "-i", INVENTORY, "playbooks/baseline.yml"], env=env)
    assert done.code == 0, done.text


def reset(*hosts: str, records: Path) -> None:
    """Pristine hosts in the place of broken ones, with a baseline; all of them first, for it is taken of all."""
    done = run([str(ROOT / "lab" / "lab"), "reset", *hosts])
    assert done.code == 0, done.text
    baseline(records)


def pristine(host: str, like: str) -> None:
    """A pristine host in the place of a broken one, with the baseline of another that is like it."""
    done = run([str(ROOT / "lab" / "lab"), "reset", host])
    assert done.code == 0, done.text
    kept = on(like, "tar -C /var/lib/ops-runbook -cz baseline | base64 -w 0")
    assert kept.code == 0, kept.text
    put = on(
        host,
        f"install -d -m 700 /var/lib/ops-runbook && echo {kept.stdout} | base64 -d | tar -C /var/lib/ops-runbook -xz",
    )
    assert put.code == 0, put.text
