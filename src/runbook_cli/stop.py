# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping a run: SIGINT to Ansible's main process, which ends its workers; SIGKILL for all of them only after a while.

What already runs on a target lives on until its own deadline, and the lease expires by itself (docs/design.md).
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_cli.answer import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from runbook_cli.progress import Event

GRACE = 10.0
SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung_up"}


class Interrupted(BaseException):
    """A signal asked for the end while nothing was at work on a host. Like KeyboardInterrupt it is no Exception."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@contextlib.contextmanager
def raising(over: Callable[[], bool]) -> Iterator[None]:
    """While inside, ctrl-C, SIGTERM and a lost terminal raise Interrupted; what is ignored (nohup) stays ignored.

    over: Whether all is done but for telling it, which no signal is to cut short.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if not over():
            raise Interrupted(SIGNALS[signal.Signals(number)])

    with _handled(handle):
        yield


def deafen() -> None:
    """From here on, outside of raising() and Stop.signals(), a signal does nothing: the process is about to end."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)


@contextlib.contextmanager
def _handled(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return
    heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # nohup means it
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
        with _handled(self._interrupt):
            yield

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        if self.reason is None:
            self.request(SIGNALS[signal.Signals(number)])
        elif self._kill_at > time.monotonic():
            self._kill_at = time.monotonic()
            say("Stopping at once: Ansible is killed. What runs on a host ends by its own deadline all the same.")

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
            again = "" if reason == "timed_out" else " Once more, and it is killed at once."
            say(f"Stopping ({reason.replace('_', ' ')}): Ansible has {self._grace:g} s to end its tasks.{again}")
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
