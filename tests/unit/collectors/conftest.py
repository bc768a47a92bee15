# SPDX-License-Identifier: GPL-3.0-or-later
"""A host made of a folder and of recorded commands, for what cannot run here: systemd, other users, other kernels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.module_utils.errors import CannotLook
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, FileStat, LocalHost
from recorded_mongodb import Recorded, recorded

FIXTURES = Path(__file__).parents[2] / "fixtures" / "probe"
NOW = 1795191708.5  # Fri 2026-11-20 16:21:48.5 UTC, when the recorded unit was killed


class FolderHost(LocalHost):
    """Paths lie below `root`; commands answer from `commands` by the name of their program.

    `denied` are paths that this user may not read or list.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: dict[str, Any] = {}
        self.denied: set[str] = set()
        self.asked: list[list[str]] = []
        self.clock = NOW

    def where(self, path: str) -> str:
        if path in self.denied:
            raise PermissionError(13, "Permission denied", path)
        return str(self.root) + path

    def run(self, argv: Any, timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        self.asked.append(list(argv))
        for program, said in self.commands.items():
            if program in argv:
                if isinstance(said, Exception):
                    raise said
                return said
        raise CannotLook(f"{argv[0]} is not installed")

    def read(self, path: str, limit: int = 1048576, offset: int = 0) -> bytes:
        return super().read(self.where(path), limit, offset)

    def stat(self, path: str, follow: bool = True) -> FileStat:
        return super().stat(self.where(path), follow)

    def listdir(self, path: str) -> list[str]:
        return super().listdir(self.where(path))

    def readlink(self, path: str) -> str:
        return super().readlink(self.where(path))

    def statvfs(self, path: str) -> dict[str, int]:
        return super().statvfs(self.where(path))

    def now(self) -> float:
        return self.clock

    # ---- setting the scene

    def file(self, path: str, text: str) -> Path:
        """Write a file."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def unit(self, state: str, **properties: Any) -> None:
        """What systemctl says: a recorded state, with some properties replaced."""
        text = (FIXTURES / "systemctl" / f"{state}-252.txt").read_text()
        first, _, rest = text.partition("\n\n")
        lines = [line for line in first.splitlines() if line.split("=")[0] not in properties]
        lines += [f"{name}={value}" for name, value in properties.items()]
        self.commands["systemctl"] = Completed(0, "\n".join(lines) + "\n\n" + rest, "")

    def process(self, pid: int, **about: Any) -> Path:
        """A process below /proc, as Linux 6.18 shows one."""
        comm, state = about.get("comm", "ferretdb"), about.get("state", "S")
        fields = [
            state,
            *["1"] * 10,
            str(about.get("ticks", 7)),
            "3",
            "0",
            "0",
            "20",
            "0",
            "8",
            "0",
            str(about.get("start", 1000)),
        ]
        self.file(f"/proc/{pid}/stat", f"{pid} ({comm}) " + " ".join(fields) + " 0 0\n")
        self.file(f"/proc/{pid}/comm", comm + "\n")
        self.file(f"/proc/{pid}/status", f"Name:\t{comm}\nVmRSS:\t    2048 kB\nThreads:\t8\n")
        self.file(f"/proc/{pid}/cmdline", about.get("words", comm + "\0"))
        group = about.get("group", "/system.slice/mongod.service")
        self.file(f"/proc/{pid}/cgroup", f"4:memory:{group}\n9:name=systemd:{group}\n0::{group}\n")
        folder = self.root / "proc" / str(pid)
        (folder / "fd").mkdir(exist_ok=True)
        for number, target in enumerate(about.get("fds", ())):
            (folder / "fd" / str(number)).symlink_to(target)
        if about.get("exe"):
            (folder / "exe").symlink_to(about["exe"])
        return folder


@pytest.fixture
def host(tmp_path: Path) -> FolderHost:
    made = FolderHost(tmp_path)
    made.file("/proc/uptime", "5000.0 9000.0\n")
    return made


@pytest.fixture
def run_as_nobody() -> list[str]:
    """The start of a command line that gives up root's rights."""
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.getuid() or not Path("/usr/bin/python3").exists():
        pytest.skip("needs root, setpriv and a Python that everybody may run")
    return [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]


def measure(host: Any, kind: str, /, **args: Any) -> dict[str, Any]:
    """What a collector measures, with its arguments completed and its fields checked as the engine does it."""
    found = probe.measure(host, {"it": probe.plan("it", {"type": kind, **args})})["it"]
    if found["unknown"] is None:
        fields = set(probe.collector(kind).FIELDS)
        assert set(found["data"]) == fields
        assert set(found["missing"]) <= fields
    return found


@pytest.fixture(name="measure")
def measure_fixture() -> Any:
    return measure


@pytest.fixture
def serve() -> Iterator[Callable[..., Recorded]]:
    made: list[Recorded] = []

    def start(base: str = "healthy", **replaced: Any) -> Recorded:
        made.append(Recorded({**recorded(base), **replaced}))
        return made[-1]

    yield start
    for one in made:
        one.socket.close()
