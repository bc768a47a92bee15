# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a lab host that are killed at a moment of the controller's or of the target's, and what is left of them.

Moments are found by counting them in a run that nobody harms: the controller's by tests/support/callbacks/killed.py,
the target's by watching its disk at each system call (killed_host.py and killed_at.py, which are copied to the host).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import typing as t
from pathlib import Path

from ansible_collections.ops.runbook.plugins.plugin_utils import record

from runbook_cli.history import Run, history

from . import lab

HOST, UNIT, CONFIG = "db1", "mongod.service", "/etc/default/mongod"
PROGRAMS = "/usr/local/lib/lab/killed"
CHANGING = ("lease", "service", "baseline", "ownership", "limits", "environment", "disk_reclaim", "undo")
"""Entries of the modules that write on a target."""
EASY = {"remediate_stabilization_window": 1, "mongodb_timeout": 20, "remediate_timeout": 60}
"""A short window; and patience, because it is states that are looked at here, on a machine that may be busy."""
KEPT = f"{PROGRAMS}/mongod.default"
PRISTINE = (
    f"systemctl stop {UNIT} 2>/dev/null; systemctl unmask {UNIT}; cp -p {KEPT} {CONFIG};"
    " chown -R mongodb:mongodb /var/lib/mongo; rm -rf /run/ops-runbook* /var/lib/ops-runbook/undo"
    f" /var/lib/ops-runbook/budget; systemctl reset-failed {UNIT};"
)
"""As it was before any run, but for the baseline; and stopped."""
MOST = 1000
"""More moments than any program has: it is not killed."""
Json = dict[str, t.Any]


def shell(text: str, stdin: str = "") -> str:
    """Run a script on the host by podman."""
    argv = [*lab.AS_ROOT, "podman", "exec", "-i", f"{lab.NAME}-{HOST}", "sh", "-c", text]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def install() -> None:
    """The programs that kill, and a copy of the configuration as it is now."""
    folder = Path(__file__).parent
    shell(f"rm -rf {PROGRAMS}; mkdir -p {PROGRAMS}; cp -p {CONFIG} {KEPT}")
    for source, name in (("killed_host.py", "killed_host.py"), ("killed_host.py", "python3"), ("killed_at.py",) * 2):
        argv = [*lab.AS_ROOT, "podman", "cp", str(folder / source), f"{lab.NAME}-{HOST}:{PROGRAMS}/{name}"]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
    shell(f"chmod 755 {PROGRAMS}/*.py {PROGRAMS}/python3")


def look() -> Json:
    """What is there; see killed_host.py."""
    return t.cast("Json", json.loads(shell(f"{PROGRAMS}/killed_host.py look")))


class Ended(t.NamedTuple):
    """A run that has ended, by itself or not.

    Attributes:
        code: The exit code; -9 where it was killed.
        run: Its id.
        moments: What it was about to do, one after the other; it died at the last one.
        text: What it said.
    """

    code: int
    run: str
    moments: list[str]
    text: str

    def did(self, moment: str) -> bool:
        """Whether that moment was survived."""
        return any(each == moment for each in self.moments[:-1])


class Controller(t.NamedTuple):
    """An ansible-playbook under way."""

    process: subprocess.Popen[str]
    run: str
    log: Path
    output: Path

    def kill(self) -> None:
        """The main process, and the worker with its ssh clients."""
        self.process.kill()
        os.killpg(self._moments()[-1][0], signal.SIGKILL)

    def ended(self) -> Ended:
        """Once it has ended, and a worker that was left alone, too."""
        code = self.process.wait(120)
        worker = self._moments()[-1][0]
        end = time.monotonic() + 60
        while code == -signal.SIGKILL and _lives(worker):
            assert time.monotonic() < end, f"process {worker} goes on for a minute"
            time.sleep(0.02)
        moments = self._moments()
        return Ended(code, self.run, [what for _pid, what in moments], self.output.read_text())

    def _moments(self) -> list[tuple[int, str]]:
        words = [line.split(" ", 1) for line in self.log.read_text().splitlines()]
        return [(int(pid), what) for pid, what in words]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def play(playbook: str, records: Path, extra: Json, at: int = 0, who: str = "all") -> Ended:
    """ansible-playbook on the host, killed at a moment of its own; 0 is never."""
    return begin(playbook, records, extra, at, who).ended()


def begin(playbook: str, records: Path, extra: Json, at: int = 0, who: str = "all") -> Controller:
    """As play, but it does not wait for its end."""
    number = len(list(records.glob("output-*")))
    log, output, run = records / f"moments-{number}", records / f"output-{number}", f"run-{number}"
    env = {
        **os.environ,
        "PATH": f"{Path(lab.command('python')).parent}:{os.environ['PATH']}",
        "OPS_RUNBOOK_RECORDS": str(records),
        "XDG_STATE_HOME": str(records),
        "OPS_RUNBOOK_RUN_ID": run,
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "ops.runbook.summary,killed",
        "KILLED_LOG": str(log),
        "KILLED_AT": str(at),
        "KILLED_WHO": who,
    }
    argv = [lab.command("ansible-playbook"), "-i", lab.INVENTORY, f"playbooks/{playbook}.yml", "--limit", HOST]
    with output.open("w") as stream:
        process = subprocess.Popen(
            [*argv, "-e", json.dumps({**EASY, **extra})],
            cwd=lab.ROOT,
            env=env,
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
    return Controller(process, run, log, output)


def beginning(kept: Path | None, folder: Path) -> Path:
    """A folder of records: empty, or as another one was."""
    if kept:
        shutil.copytree(kept, folder)
    else:
        folder.mkdir(parents=True)
    return folder


def told(records: Path, run: str) -> Run | None:
    """What `undo --list` says of a run."""
    return next((each for each in history(records) if each.id == run), None)


def lines(records: Path, run: str) -> list[Json]:
    """A run's lines of the record, which is whole."""
    assert record.verify(records)[1] is None
    if not (records / record.NAME).exists():
        return []
    every = map(json.loads, (records / record.NAME).read_text().splitlines())
    return [line for line in every if line["run"] == run]


def outcome(records: Path, run: str) -> str | None:
    """What a run came to."""
    said = [line["entry"]["outcome"] for line in lines(records, run) if line["phase"] in ("outcome", "job")]
    return said[-1] if said else None


def bring_lease_forward() -> None:
    """To its end, as if its time had passed."""
    path = "/run/ops-runbook/mongodb.json"
    shell(f"""[ ! -e {path} ] || sed -i 's/"expires": [0-9.]*/"expires": 0.0/' {path}""")


def replay(job: Json) -> list[Json]:
    """A program killed at each of its moments; see killed_host.py."""
    return t.cast("list[Json]", json.loads(shell(f"{PROGRAMS}/killed_host.py replay", json.dumps(job))))


def plan(number: int, when: int, who: str = "all") -> None:
    """What the stand-in does to the next run's programs: kill that one at that moment."""
    shell(
        f"rm -rf {PROGRAMS}/programs; cat > {PROGRAMS}/plan.json",
        json.dumps({"number": number, "when": when, "who": who}),
    )


def programs() -> dict[int, str]:
    """The programs that changed something in the last run through the stand-in: number -> entry."""
    each = "for each in *; do echo $each; grep -ao 'module_utils[.][a-z_]* import run' $each; done"
    found, number = {}, 0
    for line in shell(f"cd {PROGRAMS}/programs; {each}").splitlines():
        if line.endswith(".py"):
            number = int(line[:3])
        elif (entry := line.split(".")[1].split()[0]) in CHANGING:
            found[number] = entry
    return found
