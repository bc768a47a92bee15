# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook drill`: break a host of the lab on purpose, see the playbook cure it or rightly refuse, and mend it.

For people who train. It refuses every host that this machine's lab did not boot, and asks for the host's exact name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from runbook_cli.answer import Answer, CliError, Output, did_you_mean, say
from runbook_cli.conduct import conduct
from runbook_cli.launch import environment
from runbook_cli.outcome import STOPPED
from runbook_cli.pack import read_yaml
from runbook_cli.project import Playbook, find_playbook, find_root
from runbook_cli.request import Options, Request, prepare
from runbook_cli.stop import Interrupted
from runbook_cli.terminal import columns

SCHEMA = "ops.runbook/drill/1"
MARKER = "/etc/ssh/lab_authorized_keys"
"""What only hosts of a lab have: they write it when they boot, with the public key of the lab that booted them."""
KEY = Path.home() / ".cache" / "ops-runbook" / "lab" / "id_ed25519.pub"
_ACTS = ("remedied", "done", "failed", "unverified")
_AS_EXPECTED, _OTHERWISE = 0, 6


def known(root: Path) -> dict[str, Path]:
    """The faults by name, such as mongodb/killed."""
    folder = root / "lab" / "faults"
    if not folder.is_dir():
        raise CliError("there are no faults here", str(root), "They are in a checkout: give --project DIR.")
    return {f"{path.parent.name}/{path.stem}": path for path in sorted(folder.glob("*/*.yml"))}


def listed(project: str | None) -> Answer:
    """`runbook drill --list`."""
    faults = {name: read_yaml(path) for name, path in known(find_root(project)).items()}
    found = [
        {"fault": name, "title": fault["title"], "ends": [run["outcome"] for run in fault["runs"]]}
        for name, fault in faults.items()
    ]
    rows = [["FAULT", "ENDS", "WHAT"], *([one["fault"], ", ".join(one["ends"]), one["title"]] for one in found)]
    return Answer(found, columns(rows))


@dataclass
class Drill:
    """A fault, the host that it is for, and what has been seen so far."""

    name: str
    fault: dict[str, Any]
    playbook: Playbook
    options: Options
    output: Output
    request: Request
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The one host."""
        return self.request.hosts[0]


def drill(name: str, confirm: str | None, options: Options, output: Output) -> Answer:
    """Inject, prove, see red, run, compare, see green, mend.

    The document: schema, fault, title, host, steps [{step, seconds, exit_code, outcome, said}], as_expected, exit_code.

    Raises:
        CliError: 2 for wrong usage, 7 for a host that is not the lab's or that was not confirmed; nothing was done.
    """
    root = find_root(options.project)
    faults = known(root)
    if name not in faults:
        raise CliError(
            f"no fault is called {name!r}", hint=f"{did_you_mean(name, list(faults))} See 'runbook drill --list'."
        )
    fault = read_yaml(faults[name])
    playbook = find_playbook(root, fault.get("playbook", f"recover_{name.partition('/')[0]}"))
    limit = options.limit if options.limit is not None else str(fault.get("host", "db1"))
    extra = (*options.extra, *([json.dumps(fault["variables"])] if fault.get("variables") else []))
    options = replace(options, name=playbook.name, limit=limit, extra=extra)
    request = prepare(options)
    if len(request.hosts) != 1:
        raise CliError(
            f"a drill breaks one host, and {len(request.hosts)} are meant", "--limit", f"--limit {request.hosts[0]}"
        )
    this = Drill(name, fault, playbook, options, output, request)
    _demand_lab(this)
    _demand_confirmed(this.host, confirm)
    return _answer(this, _go(this))


def _demand_lab(this: Drill) -> None:
    """Refuse a host that does not hold our own lab's public key: read on the host itself, by Ansible."""
    try:
        key = KEY.read_text(encoding="utf-8").split()[1]
    except (OSError, IndexError):
        raise CliError("this machine has no lab", str(KEY), "Boot it: lab/lab up", 7) from None
    asked = {"ansible.builtin.command": f"grep -F -q {key} {MARKER}", "changed_when": False}
    failure = _tasks(this, [{"name": "See that it is a host of this machine's lab", **asked}])
    if failure and "UNREACHABLE" in failure:
        raise CliError(f"{this.host} is not reached: {failure[-300:]}", "", "See 'runbook doctor'.", 4)
    if failure:
        hint = "Drills are for hosts that 'lab/lab up' booted on this machine."
        raise CliError(f"{this.host} is not a host of this machine's lab ({MARKER} does not have its key)", "", hint, 7)


def _demand_confirmed(host: str, confirm: str | None) -> None:
    if confirm is None and sys.stdin.isatty():
        say(f"This breaks {host} on purpose.")
        confirm = input(f"Type its name to go on ({host}): ").strip()
    if confirm != host:
        what = f"{host} is not confirmed" if confirm is None else f"{confirm!r} is not the host, which is {host!r}"
        raise CliError(what, "--confirm", f"Add --confirm {host} to break it on purpose.", 7)


def _go(this: Drill) -> int:
    """The exit code: 0 as the fault's file says it ends, 6 otherwise, 130 and the like when it was stopped."""
    code = _OTHERWISE
    try:
        _step(this, "inject")
        _step(this, "effect")
        if _look(this):
            code = _runs(this)
            if code == _AS_EXPECTED:
                _step(this, "untouched")
    except _Over as over:
        code = over.code
    except Interrupted as signal:
        code = STOPPED[signal.reason]
        say(f"Stopping ({signal.reason.replace('_', ' ')}); {this.host} is mended first.")
    finally:
        mended = _mend(this)
    return code if mended or code != _AS_EXPECTED else _OTHERWISE


class _Over(Exception):
    """The drill ends here; what is left is to mend."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


def _step(this: Drill, step: str) -> None:
    if failure := _told(this, step, this.fault[step]):
        say(failure)
        raise _Over(_OTHERWISE)


def _told(this: Drill, step: str, tasks: list[dict[str, Any]]) -> str:
    """Run tasks as a step of the drill; what failed, or nothing."""
    if not tasks:
        return ""
    say(f"== {step}: {'; '.join(str(task.get('name', '')) for task in tasks)}")
    began = time.monotonic()
    failure = _tasks(this, tasks)
    _note(this, step, began, (5, "failed", failure) if failure else (0, "done", ""))
    return failure


def _note(this: Drill, step: str, began: float, ended: tuple[int, str, str]) -> None:
    code, outcome, said = ended
    seconds = round(time.monotonic() - began, 3)
    this.steps.append({"step": step, "seconds": seconds, "exit_code": code, "outcome": outcome, "said": said})


def _look(this: Drill) -> bool:
    """See the checks that the fault turns red; a job without a diagnosis predicts."""
    if this.request.lifecycle:
        return _run(this, "red", replace(this.options, act=False), {}, ("predicted", "refused", "escalated"))
    return _run(this, "red", replace(this.options, check=True), {}, ("predicted", "refused"))


def _runs(this: Drill) -> int:
    for number, expected in enumerate(this.fault["runs"], 1):
        if failure := _told(this, f"before run {number}", expected.get("before", [])):
            say(failure)
            return _OTHERWISE
        options = replace(this.options, approve=tuple(expected.get("approve", ())))
        if not _run(this, f"run {number}", options, expected, (expected["outcome"],)):
            return _OTHERWISE
    return _AS_EXPECTED


def _run(this: Drill, step: str, options: Options, expected: dict[str, Any], outcomes: tuple[str, ...]) -> bool:
    """One run of the playbook: whether it ended as expected."""
    say(f"== {step}: {this.playbook.name} on {this.host}")
    began = time.monotonic()
    answer = conduct(prepare(options), this.output)
    this.output.begun = False  # between two runs a signal ends the drill, which mends first
    say(answer.text)
    target = answer.data["targets"][0]
    wanted = {key: expected[key] for key in ("cause", "remedy") if key in expected}
    fits = all(target["summary"].get(key) in _several(value) for key, value in wanted.items())
    right = target["outcome"] in outcomes and fits
    told = [" or ".join(map(str, _several(value))) for value in wanted.values()]
    said = "" if right else f"expected {', '.join([*outcomes, *told])}"
    _note(this, step, began, (answer.code, target["outcome"], said))
    if answer.data["stopped"]:
        raise _Over(answer.code)
    return right


def _several(value: Any) -> list[Any]:
    """What a fault allows; one that leaves it to the moment lists them."""
    return value if isinstance(value, list) else [value]


def _mend(this: Drill) -> bool:
    """Put the host right, and see it green; whatever came before."""
    failure = _told(this, "mend", this.fault["mend"])
    ends = this.fault["runs"][-1]["outcome"]
    if failure:
        say(f"{failure}\n{this.host} is left broken. Next step: lab/lab reset {this.host}")
        return False
    if not this.request.lifecycle or (ends not in _ACTS and not this.fault["mend"]):
        return True
    green = _run(this, "green", replace(this.options, act=False), {}, ("healthy", "recovered"))
    if not green:
        say(f"{this.host} is not well. Next step: lab/lab reset {this.host}")
    return green


def _tasks(this: Drill, tasks: list[dict[str, Any]]) -> str:
    """Run tasks on the host as root; the end of what Ansible said where they failed, else nothing."""
    play = {"name": f"Drill {this.name}", "hosts": this.host, "gather_facts": False, "become": True, "tasks": tasks}
    job = this.request.job
    binary = shutil.which(
        "ansible-playbook", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".yml", prefix="runbook-drill-") as file:
        yaml.safe_dump([play], file, sort_keys=False)
        file.flush()
        words = [word for inventory in job.inventories for word in ("-i", inventory)]
        done = subprocess.run(
            [binary or "ansible-playbook", *words, file.name],
            cwd=job.root,
            env={**os.environ, **environment(job), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-1500:].strip()


def _answer(this: Drill, code: int) -> Answer:
    document = {
        "schema": SCHEMA,
        "fault": this.name,
        "title": this.fault["title"],
        "host": this.host,
        "steps": this.steps,
        "as_expected": code == _AS_EXPECTED,
        "exit_code": code,
    }
    rows = [["STEP", "SECONDS", "OUTCOME", "NOTE"]]
    rows += [
        [step["step"], f"{step['seconds']:.1f}", step["outcome"], step["said"][:200] or "-"] for step in this.steps
    ]
    end = "as the fault's file says" if code == _AS_EXPECTED else "NOT as the fault's file says"
    return Answer(document, f"{columns(rows)}\n\ndrill {this.name} on {this.host}: {end}, exit code {code}", code)
