# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping a run: SIGINT to Ansible's main process, which ends its workers; SIGKILL for all of them only after a while.

What already runs on a target lives on until its own deadline, and the lease expires by itself (docs/design.md).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_cli.answer import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from runbook_cli.progress import Event

GRACE = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether and why a run is to be stopped.

    Args:
        timeout: Seconds for the whole run; None for no limit.
        grace: Seconds between SIGINT and SIGKILL.
    """

    def __init__(self, timeout: float | None, grace: float = GRACE) -> None:
        self.reason: str | None = None
        self._grace = grace
        self._limit = time.monotonic() + timeout if timeout is not None else float("inf")
        self._kill_at = float("inf")
        self._pid: int | None = None
        self._asked = False

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """While inside, ctrl-C, SIGTERM and a lost terminal ask for a gentle stop instead of ending this process."""
        heeded = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # nohup means it
        before = {number: signal.signal(number, self._interrupt) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.request("interrupted")

    def see(self, event: Event) -> None:
        """Learn the main process's id: runner itself does not tell it. A stop asked for before is passed on now."""
        if event.get("pid"):
            self._pid = int(event["pid"])
            if self.reason:
                self._ask()

    def request(self, reason: str) -> None:
        """Ask for the end; the first reason stays."""
        if self.reason is None:
            self.reason, self._kill_at = reason, time.monotonic() + self._grace
            say(f"Stopping ({reason.replace('_', ' ')}): Ansible has {self._grace:g} s to end its tasks.")
            self._ask()

    def _ask(self) -> None:
        if self._pid is not None and not self._asked:
            self._asked = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGINT)

    def must_kill(self) -> bool:
        """Asked by runner twice a second; True makes it kill the main process, after we have killed its children."""
        now = time.monotonic()
        if now > self._limit:
            self.request("timed_out")
        if now <= self._kill_at:
            return False
        for pid in descendants(self._pid) if self._pid is not None else ():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        return True


def descendants(pid: int) -> list[int]:
    """Process ids below pid, from /proc; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, queue = list[int](), [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found
