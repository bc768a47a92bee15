# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees while it runs: one line on stderr for each task of each host that really starts."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Event = dict[str, Any]

# Bookkeeping of the playbook that says nothing to a person.
_INCLUDES = {"include_tasks", "import_tasks", "include_role", "import_role", "include_vars"}
_SILENT = _INCLUDES | {"set_fact", "meta", "assert", "debug", "validate_argument_spec"}
# A task that is skipped is said to have started, too; it is skipped well within this many seconds.
PATIENCE = 0.2


def consume(events: queue.SimpleQueue[Event | None], sinks: Sequence[Callable[[Event], None]]) -> None:
    """Feed the sinks until None comes; an empty event tells them that none came for a while."""
    while True:
        try:
            event = events.get(timeout=PATIENCE)
        except queue.Empty:
            event = {}
        if event is None:
            return
        for sink in sinks:
            sink(event)


def echo(say: Callable[[str], None]) -> Callable[[Event], None]:
    """A sink for --verbose: all that Ansible itself says."""

    def feed(event: Event) -> None:
        text = str(event.get("stdout") or "").replace("\r\n", "\n").strip("\n")
        if text:
            say(text)

    return feed


def progress(say: Callable[[str], None]) -> Callable[[Event], None]:
    """A sink that tells of a task when it ends in anything but a skip, or is still at work after a while."""
    began = time.monotonic()
    waiting: dict[str, str] = {}

    def feed(event: Event) -> None:
        data = event.get("event_data") or {}
        kind, host = event.get("event", ""), str(data.get("host"))
        if not event:
            for line in [waiting.pop(name) for name in list(waiting)]:
                say(line)
        elif kind == "runner_on_start" and _module(data) not in _SILENT:
            waiting[host] = f"{time.monotonic() - began:6.1f} s  {host}  {_task(data)}"
        elif kind == "runner_on_skipped":
            waiting.pop(host, None)
        elif kind.startswith("runner_on_") and host in waiting:
            say(waiting.pop(host))

    return feed


def _module(data: Event) -> str:
    return str(data.get("task_action")).rpartition(".")[2]


def _task(data: Event) -> str:
    role, task = str(data.get("role") or "").rpartition(".")[2], str(data.get("task") or "")
    return f"{role}: {task}" if role else task
