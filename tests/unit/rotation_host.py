# SPDX-License-Identifier: GPL-3.0-or-later
"""A host for rotation in a folder: Debian's real logrotate with a configuration, logs and a state file of its own.

Only systemctl is played, from what a real one said (tests/fixtures/systemd); services are real processes.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
import time
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import (
    managed_file,
    rotation,
    rotation_job,
    rotation_look,
    rotation_schedule,
    rotation_trial,
    rotation_verify,
)
from ansible_collections.ops.runbook.plugins.module_utils.collectors import _proc
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost
from systemd_host import recorded
from tests.support import debian
from tests.support.specs import defaults

Json = dict[str, t.Any]
MAIN = "weekly\nrotate 4\ncreate\ninclude {folder}\n"
DEFAULTS = defaults("log_rotation")
REOPEN: Json = {"method": "none", "unit": None, "signal": "HUP", "command": None}


class RotationHost(LocalHost):
    """`units` are services by name, with properties of `systemctl show` as `timer` has them; `told` are the verbs."""

    def __init__(self, top: pathlib.Path, program: str) -> None:
        self.top, self._program = top, program
        self.etc, self.logs, self.state = top / "logrotate.d", top / "logs", top / "status"
        self.timer = dict(line.split("=", 1) for line in recorded("show-logrotate-timer").splitlines())
        self.service = dict(line.split("=", 1) for line in recorded("show-logrotate-service").splitlines())
        self.units: dict[str, Json] = {}
        self.told: list[str] = []
        self.refused = ""
        self.started: t.Callable[[], object] = self.state.touch

    def run(self, argv: t.Sequence[str], timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        """Only systemctl is not the real one."""
        words = list(argv[2:] if argv[0] == "env" else argv)
        if words[0] == "logrotate":
            done = super().run([self._program, *words[1:]], timeout)
            said = [text.replace("/var/lib/logrotate/status", str(self.state)) for text in (done.stdout, done.stderr)]
            return Completed(done.rc, *said)
        if words[0] != "systemctl":
            return super().run(argv, timeout, stdin)
        if words[1] == "show":
            return self._show(words[-1], words[words.index("-p") + 1].split(","))
        self.told.append(" ".join(word for word in words[1:] if word not in ("--now", "--")))
        if self.refused:
            return Completed(1, "", self.refused)
        state = ("enabled", "active") if words[1] in ("enable", "start") else ("disabled", "inactive")
        self.timer.update(UnitFileState=state[0], ActiveState=state[1])
        if state[1] == "active":
            self.started()
        return Completed(0, "", "")

    def _show(self, unit: str, asked: list[str]) -> Completed:
        known = {rotation_schedule.TIMER: self.timer, rotation_schedule.SERVICE: self.service}.get(unit)
        found = known or self.units.get(unit) or {"LoadState": "not-found", "Id": unit, "ActiveState": "inactive"}
        return Completed(0, "".join(f"{key}={found[key]}\n" for key in asked if key in found), "")

    # ---- what a test does

    def log(self, name: str, text: str = "a line\n") -> pathlib.Path:
        """A log."""
        path = self.logs / name
        path.write_text(text)
        path.chmod(0o640)
        return path

    def drop_in(self, name: str, text: str) -> pathlib.Path:
        """A drop-in of somebody else."""
        path = self.etc / name
        path.write_text(text.replace("LOGS", str(self.logs)))
        path.chmod(0o644)
        return path

    def rotate(self, **options: t.Any) -> Json:
        """The module, with defaults of its spec; check is one of the options."""
        check = options.pop("check", False)
        given: Json = {
            "name": "app",
            "paths": [f"{self.logs}/*.log"],
            "every": "daily",
            "roots": [str(self.top)],
            "run_id": "run1",
            **options,
        }
        given["reopen"] = {**REOPEN, **given.get("reopen", {})} if given.get("reopen", {}) is not None else None
        if given.get("directory"):
            given["directory"] = {"owner": None, "group": None, "mode": None, **given["directory"]}
        return rotation.run_on(self, {**DEFAULTS, **given}, check)

    def age_state(self, days: float) -> None:
        """Let logrotate have run last so many days ago."""
        self.state.touch()
        then = time.time() - days * 86400
        os.utime(self.state, (then, then))


@contextlib.contextmanager
def rotation_host(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[RotationHost]:
    """A host whose configuration is empty but for the main file."""
    top = pathlib.Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    top.chmod(0o755)
    host = RotationHost(top, debian.program("logrotate"))
    for folder in (host.etc, host.logs):
        folder.mkdir()
    main = top / "logrotate.conf"
    main.write_text(MAIN.format(folder=host.etc))
    main.chmod(0o644)
    for module in (rotation_look, rotation_verify, rotation_trial):
        monkeypatch.setattr(module, "CONFIG", str(main))
    for module in (rotation_look, rotation):
        monkeypatch.setattr(module, "FOLDER", str(host.etc))
    monkeypatch.setattr(rotation_verify, "SCRATCH", str(top / "run"))
    monkeypatch.setattr(rotation_schedule, "_WAIT", 0.5)
    monkeypatch.setattr(rotation_job, "program_of", lambda name: None if name == "none" else "/bin/true")
    monkeypatch.setattr(managed_file, "STATE", str(top / "state"))
    everybody = _proc.pids
    monkeypatch.setattr(_proc, "pids", lambda looks: [pid for pid in everybody(looks) if _may_look(pid)])
    yield host
    shutil.rmtree(top)


def _may_look(pid: int) -> bool:
    """In a container even root may not look at some; a test of its own has one of those."""
    try:
        os.readlink(f"/proc/{pid}/fd/0")  # noqa: PTH115 - whatever it points to
    except PermissionError:
        return False
    except OSError:
        return True
    return True
