# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose systemctl answers what a real one did (tests/fixtures/systemd, systemd 252 on Debian 12)."""

from __future__ import annotations

import collections.abc
import pathlib
import socket
import time
import typing as t

from ansible_collections.ops.runbook.plugins.module_utils.errors import CannotLook
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures" / "systemd"
Case = t.Union[str, "tuple[str, dict[str, t.Any]]"]


def recorded(name: str) -> str:
    return (FIXTURES / f"252-{name}.txt").read_text()


def show(case: Case) -> str:
    """A recorded `systemctl show`, with some properties replaced."""
    name, replaced = (case, {}) if isinstance(case, str) else case
    properties = dict(line.split("=", 1) for line in recorded(f"show-{name}").splitlines())
    properties.update({key: str(value) for key, value in replaced.items()})
    return "".join(f"{key}={value}\n" for key, value in properties.items())


class SystemdHost:
    """Begins in the recorded state `first`; a verb in `moves` leads to the states that later looks see; the last stays.

    A move may also be what systemctl says when it fails (Completed), an error, or an iterator over such moves.
    `commands` are other programs by name.
    """

    def __init__(
        self,
        first: Case,
        moves: dict[str, t.Any] | None = None,
        commands: dict[str, t.Any] | None = None,
        links: dict[str, str] | None = None,
    ) -> None:
        self.states: list[Case] = [first]
        self.moves, self.commands, self.links = moves or {}, commands or {}, links or {}
        self.calls: list[list[str]] = []
        self.files: dict[str, bytes] = {}

    def verbs(self) -> list[str]:
        """What systemctl was told to do, in order."""
        told = [call for call in self.calls if call[:2] == ["systemctl", "--no-ask-password"]]
        return [call[call.index("--") - 1] if "--" in call else call[-1] for call in told]

    def run(self, argv: t.Sequence[str], timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        self.calls.append(list(argv))
        if argv[:4] == ["env", "TZ=UTC", "systemctl", "show"]:
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return Completed(0, show(state), "")
        if argv[0] == "systemctl" and "--no-ask-password" in argv:
            return self._verb(self.verbs()[-1])
        return self._answer(self.commands.get(argv[0], CannotLook(f"{argv[0]} is not installed")))

    def _verb(self, verb: str) -> Completed:
        move = self.moves.get(verb, AssertionError(f"systemctl {verb} was not expected"))
        if isinstance(move, collections.abc.Iterator):
            move = next(move)
        if isinstance(move, (Completed, Exception)):
            return self._answer(move)
        self.states = [move] if isinstance(move, (str, tuple)) else list(move)
        if verb == "unmask":
            self.links.clear()
        return Completed(0, "", "")

    @staticmethod
    def _answer(answer: t.Any) -> Completed:
        if isinstance(answer, collections.abc.Iterator):
            answer = next(answer)
        if isinstance(answer, Exception):
            raise answer
        return t.cast("Completed", answer)

    def readlink(self, path: str) -> str:
        if path.startswith("/proc/"):
            return str(pathlib.Path(path).readlink())
        try:
            return self.links[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def read(self, path: str, limit: int = 1048576, offset: int = 0) -> bytes:
        return pathlib.Path(path).read_bytes()[:limit]

    def listdir(self, path: str) -> list[str]:
        return sorted(entry.name for entry in pathlib.Path(path).iterdir())

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((host, port), timeout)

    def now(self) -> float:
        return time.time()
