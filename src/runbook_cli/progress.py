# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees while it runs: a line for each task of each host, or of many hosts how far they are."""

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
CROWD = 6
"""From so many hosts on, a line for each task of each host is too much."""


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
            waiting[host] = f"{time.monotonic() - began:6.1f} s  {host}  {task_name(data)}"
        elif kind == "runner_on_skipped":
            waiting.pop(host, None)
        elif kind.startswith("runner_on_") and host in waiting:
            say(waiting.pop(host))

    return feed


class Crowd:
    """A sink that tells, for many hosts, how many are through the play.

    A host is through when an outcome is told of it, or when it failed; in a play that tells none, when it has done
    anything. A new batch of the same play goes on counting.

    Args:
        show: Shows one line; `last` is true for one that is to stay.
        total: How many hosts there are.
        pause: Seconds between two lines.
    """

    def __init__(self, show: Callable[[str, bool], None], total: int, pause: float) -> None:
        self._show, self._total, self._pause = show, total, pause
        self._began = self._shown_at = time.monotonic()
        self._shown = ""
        self._play = self._task = ""
        self._ended: set[str] = set()
        self._told: set[str] = set()
        self._bad: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Take one event."""
        data = event.get("event_data") or {}
        kind = event.get("event", "")
        if kind == "playbook_on_play_start" and str(data.get("play")) != self._play:
            self._next_play(str(data.get("play")))
        elif kind == "runner_on_start" and _module(data) not in _SILENT:
            self._task = task_name(data)
        elif kind in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable"):
            self._end(kind, data)
        elif kind == "playbook_on_stats":
            self._next_play("")
        if self._play and time.monotonic() - self._shown_at >= self._pause:
            self._tell(last=False)

    def _next_play(self, name: str) -> None:
        if self._play and self._through():
            self._tell(last=True)
        self._play, self._task = name, ""
        self._ended, self._told = set(), set()

    def _through(self) -> set[str]:
        return self._told | self._bad if self._told else self._ended

    def _end(self, kind: str, data: Event) -> None:
        host = str(data.get("host"))
        self._ended.add(host)
        report = (data.get("res") or {}).get("ops_runbook")
        told = isinstance(report, dict) and "outcome" in report
        if told:
            self._told.add(host)
        if kind == "runner_on_unreachable" or (kind == "runner_on_failed" and not data.get("ignore_errors")):
            self._bad.add(host)
        elif told:
            self._bad.discard(host)  # it was rescued

    def _tell(self, *, last: bool) -> None:
        counts = f"{len(self._through())} of {self._total} hosts"
        bad = f", {len(self._bad)} not well" if self._bad else ""
        task = f"  ({self._task})" if self._task and not last else ""
        text = f"{self._play}: {counts}{bad}{task}"
        if last or text != self._shown:
            self._shown, self._shown_at = text, time.monotonic()
            self._show(f"{self._shown_at - self._began:6.1f} s  {text}", last)


def _module(data: Event) -> str:
    return str(data.get("task_action")).rpartition(".")[2]


def task_name(data: Event) -> str:
    """ROLE: TASK, as a person is told it."""
    role, task = str(data.get("role") or "").rpartition(".")[2], str(data.get("task") or "")
    return f"{role}: {task}" if role else task
