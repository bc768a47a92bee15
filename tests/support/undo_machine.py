# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing modules on a lab host by the very programs that the light road sends, and what the host looks like.

A sequence of programs travels through one `podman exec`, so that a property test can try many of them.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import typing as t
from pathlib import Path

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.plugin_utils import packing, record, undo_plan

from . import lab

Json = dict[str, t.Any]
MARK = "--undo-machine--"
PLUGINS = "ansible_collections.ops.runbook.plugins"
BACK = "@undo steps of the answer before the last look@"
_DRIVER = """
import json, subprocess, sys
steps = []
for text in %(programs)s:
    text = text.replace(%(back)r, ascii(steps).encode())
    done = subprocess.run([sys.executable, "-I", "-B", "-"], input=text, capture_output=True, timeout=300)
    parts = done.stdout.decode().split(%(mark)r)
    said = parts[1] if len(parts) == 3 else json.dumps({"failed": True, "msg": "no answer: " + done.stderr.decode()})
    steps = json.loads(said).get("undo", {}).get("steps", []) if "undo" in json.loads(said) else steps
    print(said.replace("\\n", " "))
"""
_SNAPSHOT = """
import hashlib, json, os, stat, subprocess, sys
folders, skip, unit = %(folders)r, set(%(skip)r), %(unit)r
found = {}
for folder in folders:
    for top, names, files in os.walk(folder):
        names[:] = [name for name in names if os.path.join(top, name) not in skip]
        for path in [top, *(os.path.join(top, name) for name in [*names, *files])]:
            if path in skip or not os.path.lexists(path):
                continue
            seen = os.lstat(path)
            what = os.readlink(path) if stat.S_ISLNK(seen.st_mode) else ""
            if stat.S_ISREG(seen.st_mode):
                what = hashlib.sha256(open(path, "rb").read()).hexdigest()
            found[path] = [seen.st_uid, seen.st_gid, oct(seen.st_mode), what]
for top, _names, files in os.walk("/proc/sys/net"):
    for name in files:
        try:
            with open(os.path.join(top, name)) as stream:
                found[os.path.join(top, name)] = stream.read().split()
        except OSError:
            continue
asked = "ActiveState,LoadState,UnitFileState,NeedDaemonReload,LimitNOFILE,DropInPaths,MainPID"
shown = subprocess.run(["systemctl", "show", "-p", asked, unit], capture_output=True, text=True).stdout.splitlines()
found["unit"] = sorted(line for line in shown if not line.startswith("MainPID"))
pid = next(line.partition("=")[2] for line in shown if line.startswith("MainPID"))
own = ("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "NOTIFY_SOCKET", "MEMORY_PRESSURE", "WATCHDOG")
if pid != "0":
    environ = open("/proc/%%s/environ" %% pid, "rb").read().decode().split("\\0")
    found["environ"] = sorted(item for item in environ if item and not item.startswith(own))
    found["limits"] = open("/proc/%%s/limits" %% pid).read().splitlines()
print(%(mark)r + json.dumps(found) + %(mark)r)
"""


class Machine(t.NamedTuple):
    """A lab host with a playground: `folders` are compared, `skip` in them is not, `unit` is a service."""

    host: str
    folders: tuple[str, ...]
    skip: tuple[str, ...]
    unit: str

    def python(self, text: str, timeout: float = 300) -> str:
        """Run a Python program on the host; what it printed."""
        argv = [*lab.AS_ROOT, "podman", "exec", "-i", f"{lab.NAME}-{self.host}", "python3", "-I", "-B", "-"]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def run(self, programs: t.Iterable[bytes]) -> list[Json]:
        """Run programs one after the other; what each answered."""
        told = {"programs": ascii(list(programs)), "mark": MARK, "back": f"[{BACK!r}]".encode()}
        said = self.python(_DRIVER % told)
        return [json.loads(line) for line in said.splitlines()]

    def calls(self, calls: t.Iterable[tuple[str, Json]], check: bool = False) -> list[Json]:
        """Run modules (name, options) one after the other by their light programs; their answers."""
        return self.run([program(name, options, check) for name, options in calls])

    def looking(self) -> bytes:
        """A program: files and links (so what is enabled, too), net sysctls, the unit, its process."""
        told = {"folders": self.folders, "skip": self.skip, "unit": self.unit, "mark": MARK}
        return (_SNAPSHOT % told).encode()

    def snapshot(self) -> Json:
        """What looking() sees now."""
        return self.run([self.looking()])[0]


def program(name: str, options: Json, check: bool = False) -> bytes:
    """What the light road would send for a call."""
    action = object.__new__(importlib.import_module(f"{PLUGINS}.action.{name}").ActionModule)
    spec = importlib.import_module(f"{PLUGINS}.module_utils.specs.{name}")
    outcome = ArgumentSpecValidator(spec.ARGUMENT_SPEC, **spec.RULES).validate(options)
    assert not outcome.error_messages, outcome.error_messages
    params = action.prepare(json.loads(json.dumps(outcome.validated_parameters)), {})
    call = packing.Call(action.ENTRY, params, check, tuple(action.extra(params)), action.deadline(params))
    return packing.program(call, MARK)


def undoing(steps: list[Json], run_id: str, last: bool = False) -> bytes:
    """A program that takes these steps, or (last) those that undo the last answer of its batch, of the same kinds."""
    extra = tuple(undo_plan.modules(steps, leases=False))
    params = {"steps": [BACK] if last else steps, "run_id": run_id}
    return packing.program(packing.Call("undo", params, False, extra), MARK)


def undo_of(records: Path, host: str, run: str, acts: list[tuple[str, Json, Json]]) -> list[Json]:
    """The steps that the controller finds for a run with these acts (module, options, answer), by a real record."""
    kept = ("changed", "changes", "undo", "failed", "msg", "message")
    for name, options, answer in acts:
        record.append(records, run, host, "intent", {"module": name, "arguments": options, "check": False})
        said = {key: answer[key] for key in kept if key in answer}
        record.append(records, run, host, "acted", {"module": name, "check": False, **said})
    return undo_plan.plan(records, run, host, approved=False).steps


def differences(one: Json, other: Json) -> Json:
    """What is not the same in two snapshots."""
    return {key: (one.get(key), other.get(key)) for key in {**one, **other} if one.get(key) != other.get(key)}


def shell(host: str, line: str) -> str:
    """Run a shell line on the host as root; what it said, which must be a success."""
    done = lab.on(host, line)
    assert done.code == 0, f"{line}: {done.text}"
    return done.stdout.strip()
