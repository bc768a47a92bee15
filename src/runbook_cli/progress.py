# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees while it runs: one line on stderr for each task of each host that really starts."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Event = dict[str, Any]

# Bookkeeping of the playbook that says nothing to a person.
_SILENT = {
    "set_fact",
    "include_tasks",
    "import_tasks",
    "include_role",
    "import_role",
    "include_vars",
    "meta",
    "assert",
    "debug",
    "validate_argument_spec",
}
# A task that is skipped is said to have started, too; it is skipped well within this many seconds.
_PATIENCE = 0.2


class Progress:
    """Turns events into lines; `tick` is called when no event came for a while."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._start = say, time.monotonic()
        self._waiting: dict[str, str] = {}

    def feed(self, event: Event) -> None:
        """Take one event of ansible-runner."""
        data = event.get("event_data") or {}
        kind, host = event.get("event", ""), str(data.get("host"))
        if kind == "runner_on_start":
            if str(data.get("task_action")).rpartition(".")[2] not in _SILENT:
                took = time.monotonic() - self._start
                self._waiting[host] = f"{took:6.1f} s  {host}  {_task(data)}"
        elif kind == "runner_on_skipped":
            self._waiting.pop(host, None)
        elif kind.startswith("runner_") and host in self._waiting:
            self._say(self._waiting.pop(host))

    def tick(self) -> None:
        """Tell what has started and is still at work."""
        for host in list(self._waiting):
            self._say(self._waiting.pop(host))


class Echo:
    """With --verbose: all that Ansible itself says."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def feed(self, event: Event) -> None:
        """Take one event of ansible-runner."""
        if event.get("stdout"):
            self._say(str(event["stdout"]).strip("\r\n").replace("\r\n", "\n"))

    def tick(self) -> None:
        """Nothing to do: it is said already."""


def _task(data: Event) -> str:
    role, task = data.get("role"), str(data.get("task") or "")
    return f"{str(role).rpartition('.')[2]}: {task}" if role else task


def consume(events: queue.SimpleQueue[Event | None], *sinks: Any) -> None:
    """Feed events to the sinks until None comes; the runner's own thread must not wait for a terminal."""
    while True:
        try:
            event = events.get(timeout=_PATIENCE)
        except queue.Empty:
            event = {}
        if event is None:
            break
        for sink in sinks:
            sink.feed(event) if event else sink.tick()
