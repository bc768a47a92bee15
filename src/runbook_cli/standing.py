# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a run stood when it was stopped: what each host was at, what had been changed, and when its lease ends."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook_cli.history import history
from runbook_cli.outcome import ENDS
from runbook_cli.progress import task_name

if TYPE_CHECKING:
    from pathlib import Path

    from runbook_cli.progress import Event

NAMED = 20
"""As many hosts are named in the command by which one goes on; more are the run's own limit."""


@dataclass
class Place:
    """One host."""

    task: str | None = None
    """What it is at now."""
    since: float = 0.0
    changed: list[str] = field(default_factory=list)
    """What modules said that they had changed."""
    lease: str | None = None
    lease_ends: float | None = None
    """Seconds since the epoch; None once an act has extended it, by as much as only the host knows."""


class Standing:
    """A sink that remembers of each host what matters should the run be stopped."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def __call__(self, event: Event) -> None:
        """Take one event."""
        data = event.get("event_data") or {}
        kind, host = event.get("event", ""), str(data.get("host"))
        if kind == "runner_on_start":
            place = self._places.setdefault(host, Place())
            place.task, place.since = task_name(data), time.time()
        elif kind in ENDS:
            place = self._places.setdefault(host, Place())
            place.task = None
            self._learn(place, data.get("res") or {})

    def _learn(self, place: Place, result: dict[str, Any]) -> None:
        lease = result.get("lease")
        if isinstance(lease, dict) and "mine" in lease:
            place.lease = str(lease.get("name")) if lease["mine"] else None
            place.lease_ends = time.time() + float(lease.get("expires_in") or 0)
        elif "undo" in result and "changes" in result:
            place.lease_ends = None
            if result.get("changed") and result.get("message"):
                place.changed.append(str(result["message"]))

    def document(self, hosts: list[str], records: Path, run_id: str) -> dict[str, dict[str, Any]]:
        """Those of hosts that the run had come to.

        {host: {task (None: between two), seconds (in it), acting (an act is under way that nobody waits for any more),
        changed (texts), lease, lease_seconds (until it ends by itself; None where only the host knows)}}.
        """
        now = time.time()
        acting = next((run.unknown for run in history(records) if run.id == run_id), [])
        return {
            host: {
                "task": place.task,
                "seconds": round(now - place.since, 1) if place.task else None,
                "acting": host in acting,
                "changed": place.changed,
                "lease": place.lease,
                "lease_seconds": _left(place, now) if host not in acting else None,
            }
            for host, place in self._places.items()
            if host in hosts
        }


def _left(place: Place, now: float) -> int | None:
    return max(0, round(place.lease_ends - now)) if place.lease and place.lease_ends is not None else None


def lines(standing: dict[str, dict[str, Any]]) -> list[str]:
    """A few lines for each host, for people."""
    told: list[str] = []
    for host, place in standing.items():
        at = f"was at '{place['task']}' for {place['seconds']} s" if place["task"] else "was between two tasks"
        ends = "; what had begun there ends by its own deadline" if place["acting"] else ""
        told.append(f"{host}  {at}{ends}")
        told.append(f"  changed  {'; '.join(place['changed']) or ('not known' if place['acting'] else 'nothing')}")
        if place["lease"]:
            told.append(f"  lease    {place['lease']} ends by itself{_when(place)}; until then another run is refused")
    return told


def _when(place: dict[str, Any]) -> str:
    seconds = place["lease_seconds"]
    if seconds is None:
        return ", when the host says (an act extends it: look below)"
    return f" in {seconds} s ({time.strftime('%H:%M:%S UTC', time.gmtime(time.time() + seconds))})"


def commands(again: list[str], limit: str | None, hosts: list[str]) -> list[str]:
    """`look` and `go on`, literally: for the hosts that are left, or with the run's own limit where they are many."""
    words = shlex.join(["--limit", ",".join(hosts)]) if hosts and len(hosts) <= NAMED else ""
    words = words or (shlex.join(["--limit", limit]) if limit is not None else "")
    inventories = [word for at, word in enumerate(again) if "-i" in (word, again[at - 1])]
    place = ["--local"] if "--local" in again else inventories
    look = shlex.join(["runbook", "doctor", *place])
    return [f"look       {look} {words}".rstrip(), f"go on      {shlex.join(again)} {words}".rstrip()]
