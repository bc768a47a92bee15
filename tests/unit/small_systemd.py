# SPDX-License-Identifier: GPL-3.0-or-later
"""A small systemd in a folder: unit files and drop-ins are really read, services are real processes.

Its memory lies in `state.json`, so that it outlives a process under test that is killed. Values of environment files
are read by a shell, not by the code under test.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import typing as t
import uuid

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import (
    budget,
    managed_file,
    unit_baseline,
    unit_files,
    unit_look,
)
from ansible_collections.ops.runbook.plugins.module_utils.errors import CannotLook
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed
from test_files import Killer

WRITES = frozenset(("write", "fchown", "fchmod", "fsync", "rename", "unlink", "mkdir", "rmdir"))
DIRECTIVES = {name: f"Limit{name[7:]}" for name in dir(resource) if name.startswith("RLIMIT_")}
INFINITY = "infinity"
Json = dict[str, t.Any]


class WriteKiller(Killer):
    """Stands for the os module: kills before (half way through) or after its nth call that changes a file."""

    def __getattr__(self, name: str) -> object:
        return super().__getattr__(name) if name in WRITES else getattr(os, name)


@contextlib.contextmanager
def small_host(
    monkeypatch: pytest.MonkeyPatch, unit: str, running: t.Sequence[str], idle: t.Sequence[str] = ()
) -> t.Iterator[SmallSystemd]:
    """A host in a folder of its own, with services that have this unit file; its state is nobody else's."""
    top = pathlib.Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    top.chmod(0o755)
    monkeypatch.setattr(managed_file, "STATE", str(top / "state"))
    monkeypatch.setattr(budget, "DIRECTORY", str(top / "budget"))
    monkeypatch.setattr(unit_look, "UNITS", str(top / "etc"))
    monkeypatch.setattr(unit_baseline, "RUNTIME", str(top / "run"))
    monkeypatch.setattr(unit_files, "PACKAGED", (f"{top}/lib/",))
    small = SmallSystemd(top)
    for name in (*running, *idle):
        small.write(name, unit)
    for name in running:
        small.run(["systemctl", "start", "--", name])
    small.told.clear()
    yield small
    small.stop_all()
    shutil.rmtree(top)


class SmallSystemd:
    """Plays the host of one test; `told` are the verbs that systemctl was called with, with their unit."""

    def __init__(self, top: pathlib.Path) -> None:
        self.top, self.told = top, list[str]()
        for name in ("lib", "etc", "run"):
            (top / name).mkdir()
        self._save({})

    # ---- what a test does

    def write(self, name: str, text: str) -> None:
        """A unit as a package brings it, loaded."""
        (self.top / "lib" / name).write_text(text)
        self.reload()

    def drop_in(self, unit: str, file: str, text: str, where: str = "etc") -> pathlib.Path:
        """A drop-in of somebody else, not loaded yet."""
        folder = self.top / where / f"{unit}.d"
        folder.mkdir(exist_ok=True)
        (folder / file).write_text(text)
        return folder / file

    def pid(self, name: str) -> int | None:
        """The main process of a unit."""
        pid = self._load().get(name, {}).get("pid")
        return pid if pid and _alive(pid) else None

    def environ(self, name: str) -> dict[str, str]:
        """What its process was started with."""
        parts = pathlib.Path(f"/proc/{self.pid(name)}/environ").read_bytes().decode().split("\0")
        return dict(part.split("=", 1) for part in parts if part)

    def limits(self, name: str, label: str) -> list[str]:
        """Soft and hard limit of its process, by their label in /proc."""
        lines = pathlib.Path(f"/proc/{self.pid(name)}/limits").read_text().splitlines()
        return next(line[26:].split()[:2] for line in lines if line.startswith(label))

    def stop_all(self) -> None:
        """End of the test."""
        for name in self._load():
            self._stop(name)

    # ---- the Host protocol, as far as services need it

    def run(self, argv: t.Sequence[str], timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        words = list(argv[2:] if argv[0] == "env" else argv)
        if words[0] == "journalctl":
            return Completed(0, "a line\n", "")
        if words[0] != "systemctl":
            raise CannotLook(f"{words[0]} is not installed")
        verb = next(word for word in words[1:] if not word.startswith("-"))
        unit = words[words.index("--") + 1] if "--" in words else ""
        if verb == "show":
            return self._show(unit, words[words.index("-p") + 1].split(","))
        if verb == "list-unit-files":
            return Completed(0, "".join(f"{path.name} enabled\n" for path in (self.top / "lib").iterdir()), "")
        self.told.append(f"{verb} {unit}".strip())
        return self._do(verb, self._canonical(unit))

    def readlink(self, path: str) -> str:
        return str(pathlib.Path(path).readlink())

    def read(self, path: str, limit: int = 1048576, offset: int = 0) -> bytes:
        return pathlib.Path(path).read_bytes()[:limit]

    def now(self) -> float:
        return time.time()

    # ---- systemd

    def reload(self) -> None:
        """What lies on disk is in force."""
        state = self._load()
        for path in (self.top / "lib").glob("*.*[!d]"):
            unit = state.setdefault(path.name, {"pid": None, "result": "success", "restarts": 0})
            unit["signature"] = self._signature(path.name)
            unit["definition"] = self._read(path.name)
        self._save(state)

    def _do(self, verb: str, unit: str) -> Completed:
        if verb == "daemon-reload":
            time.sleep(0.02)  # the real one takes longer; a process's start is known to 0.01 s, and is after the write
            self.reload()
        elif verb in ("stop", "restart", "start"):
            self._stop(unit)
            if verb != "stop" and not self._start(unit):
                return Completed(1, "", f"Job for {unit} failed because the control process exited with error code.\n")
        return Completed(0, "", "")

    def _canonical(self, name: str) -> str:
        name = name if name.rpartition(".")[2] in ("service", "timer") or not name else f"{name}.service"
        path = self.top / "lib" / name
        return path.readlink().name if path.is_symlink() and str(path.readlink()) != "/dev/null" else name

    def _drop_ins(self, unit: str) -> list[pathlib.Path]:
        folders = [f"{where}/{name}.d" for where in ("lib", "run", "etc") for name in ("service", unit)]
        found = {path.name: path for folder in folders for path in self.top.glob(f"{folder}/*.conf")}
        return [found[name] for name in sorted(found)]

    def _fragment(self, unit: str) -> pathlib.Path:
        """The unit file: one of the administrator's goes before the package's."""
        own = self.top / "etc" / unit
        return own if own.exists() else self.top / "lib" / unit

    def _signature(self, unit: str) -> list[t.Any]:
        paths = [self._fragment(unit), *self._drop_ins(unit)]
        return [[str(path), path.lstat().st_mtime_ns] for path in paths if path.exists()]

    def _read(self, unit: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in [self._fragment(unit), *self._drop_ins(unit)]:
            for line in path.read_text().splitlines() if path.exists() else []:
                key, sign, value = line.partition("=")
                if not sign or line.startswith(("#", "[")):
                    continue
                found[key] = [*found.get(key, []), value] if value else []
        return found

    def _pair(self, unit: str, directive: str) -> tuple[str, str]:
        value = (self._load()[unit]["definition"].get(directive) or [_default(directive)])[-1]
        soft, _colon, hard = value.partition(":")
        return soft, hard or soft

    def _show(self, name: str, asked: list[str]) -> Completed:
        if name.endswith(("@", "@.service")):
            return Completed(1, "", f"Failed to get properties: Unit name {name} is neither valid nor a unit name.\n")
        unit = self._canonical(name)
        state = self._load().get(unit)
        lines = [f"{key}={value}" for key in asked for value in self._property(unit, state, key)]
        return Completed(0, "\n".join(lines) + "\n", "")

    def _property(self, unit: str, state: Json | None, key: str) -> list[str]:
        if state is None:
            absent = {
                "Id": unit,
                "LoadState": "not-found",
                "LoadError": 'x "Unit not found."',
                "ActiveState": "inactive",
            }
            return [absent[key]] if key in absent else ["no"] if key == "NeedDaemonReload" else []
        if key.startswith("Limit"):
            return [self._pair(unit, key.removesuffix("Soft"))[0 if key.endswith("Soft") else 1]]
        if key == "EnvironmentFiles":
            return [_file(value) for value in state["definition"].get("EnvironmentFile", [])]
        pid = self.pid(unit)
        masked = (self.top / "lib" / unit).is_symlink()
        known = {
            "Id": unit,
            "Names": unit,
            "FragmentPath": str(self._fragment(unit)),
            "LoadState": "masked" if masked else _load_state(state["definition"]),
            "LoadError": 'x "It is broken."',
            "ActiveState": "active"
            if pid or state["definition"].get("Active")
            else "failed"
            if state["pid"]
            else "inactive",
            "SubState": "running" if pid else "dead",
            "MainPID": str(pid or 0),
            "Type": "simple",
            "Result": state["result"],
            "NRestarts": "0",
            "Restart": "no",
            "NeedDaemonReload": "yes" if self._signature(unit) != state["signature"] else "no",
            "DropInPaths": " ".join(f'"{path}"' if " " in str(path) else str(path) for path in self._drop_ins(unit)),
            "UnsetEnvironment": " ".join(state["definition"].get("UnsetEnvironment", [])),
            "MemoryMax": state["definition"].get("MemoryMax", [INFINITY])[-1],
            "CPUQuotaPerSecUSec": state["definition"].get("CPUQuotaPerSecUSec", [INFINITY])[-1],
        }
        return [known[key]] if key in known else []

    def _start(self, unit: str) -> bool:
        definition = self._load()[unit]["definition"]
        environ = {"PATH": "/usr/bin:/bin", "INVOCATION_ID": uuid.uuid4().hex}
        environ.update(part.split("=", 1) for line in definition.get("Environment", []) for part in line.split())
        for path in definition.get("EnvironmentFile", []):
            if not path.startswith("-") and not pathlib.Path(path).exists():
                return False
            environ.update(_variables(path))
        for name in " ".join(definition.get("UnsetEnvironment", [])).split():
            environ.pop(name, None)
        argv = ["/bin/sh", "-c", definition["ExecStart"][-1]]
        limits = {
            number: self._pair(unit, DIRECTIVES[name]) for name, number in _numbers() if DIRECTIVES[name] in definition
        }
        child = subprocess.Popen(
            argv,
            env=environ,
            start_new_session=True,
            preexec_fn=lambda: _set(limits),  # noqa: PLW1509 - tests have no threads
        )
        time.sleep(0.05)
        alive = child.poll() is None
        state = self._load()
        state[unit].update(pid=child.pid, result="success" if alive else "exit-code")
        self._save(state)
        return alive

    def _stop(self, unit: str) -> None:
        pid = self.pid(unit)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            while _alive(pid):
                time.sleep(0.005)
        state = self._load()
        if unit in state:
            state[unit]["pid"] = None
            self._save(state)

    def _load(self) -> Json:
        return t.cast("Json", json.loads((self.top / "state.json").read_text()))

    def _save(self, state: Json) -> None:
        (self.top / "state.json.new").write_text(json.dumps(state))
        (self.top / "state.json.new").rename(self.top / "state.json")


def _load_state(definition: dict[str, list[str]]) -> str:
    """Two commands are only for Type=oneshot."""
    return definition.get("LoadState", ["loaded" if len(definition.get("ExecStart", [])) < 2 else "bad-setting"])[-1]


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _numbers() -> list[tuple[str, int]]:
    return [(name, getattr(resource, name)) for name in DIRECTIVES]


def _default(directive: str) -> str:
    number = next((number for name, number in _numbers() if DIRECTIVES[name] == directive), None)
    soft, hard = resource.getrlimit(number) if number is not None else (-1, -1)
    return f"{_text(soft)}:{_text(hard)}"


def _text(value: int) -> str:
    return INFINITY if value < 0 else str(value)


def _set(limits: dict[int, tuple[str, str]]) -> None:
    """As systemd does: what may not be set is set as near as may be."""
    for number, pair in limits.items():
        own = resource.getrlimit(number)[1]
        soft, hard = (resource.RLIM_INFINITY if value == INFINITY else int(value) for value in pair)
        if own >= 0:
            soft, hard = (own if value < 0 else min(value, own) for value in (soft, hard))
        resource.setrlimit(number, (soft, hard))


def _file(value: str) -> str:
    return f"{value.removeprefix('-')} (ignore_errors={'yes' if value.startswith('-') else 'no'})"


def _variables(value: str) -> dict[str, str]:
    path = value.removeprefix("-")
    if not pathlib.Path(path).exists():
        return {}
    argv = ["env", "-i", "/bin/sh", "-c", 'set -a; . "$1"; exec /usr/bin/env -0', "sh", path]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return {
        key: value
        for key, _sign, value in (part.partition("=") for part in said.split("\0") if part)
        if key not in ("PWD", "_", "SHLVL", "OLDPWD")
    }
