# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a request and tell what became of it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from runbook_cli.answer import Answer, Output, say, show
from runbook_cli.launch import launch
from runbook_cli.mask import Mask, file_variables
from runbook_cli.outcome import STOPPED, Collector, Target, gravest
from runbook_cli.progress import CROWD, Crowd, echo, progress
from runbook_cli.view import run_text

if TYPE_CHECKING:
    from runbook_cli.request import Request

SCHEMA = "ops.runbook/run/1"


def conduct(request: Request, output: Output) -> Answer:
    """Run the job, with progress on stderr unless a program listens, and return the run document.

    The document: schema, run_id, playbook, mode (run | check | diagnose), incident, inventories, limit, hosts,
    started_at (RFC 3339 UTC), seconds, records, stopped (null | timed_out | interrupted), exit_code,
    targets: [{host, target, outcome, exit_code, lines, summary, task, message, hint}], fleet (None, or what
    plugin_utils/fleet.py says of a run over many hosts).
    """
    job = request.job
    mask = Mask([file_variables(item) if isinstance(item, str) else item for item in job.extra], job.become_password)
    began, started_at = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    collector = Collector()
    stopped, summary = launch(job, [collector.feed, *_listeners(request, output, mask)])
    targets = collector.targets(request.hosts, request.lifecycle, job.check, stopped)
    fleet = (summary or {}).get("fleet") or {}
    document: dict[str, Any] = mask.tree(
        {
            "schema": SCHEMA,
            "run_id": job.run_id,
            "playbook": request.playbook.name,
            "mode": request.mode,
            "incident": job.incident,
            "inventories": job.inventories,
            "limit": request.limit,
            "hosts": request.hosts,
            "started_at": started_at,
            "seconds": round(time.monotonic() - began, 3),
            "records": str(job.records),
            "stopped": stopped,
            "exit_code": _code(stopped, targets),
            "targets": [target.document() for target in targets],
            "fleet": fleet.get("document"),
        }
    )
    return Answer(document, run_text(document, mask.tree(fleet.get("lines"))), document["exit_code"])


def _code(stopped: str | None, targets: list[Target]) -> int:
    return STOPPED[stopped] if stopped else gravest([target.code for target in targets])


def _listeners(request: Request, output: Output, mask: Mask) -> list[Any]:
    if output.verbose:
        return [echo(lambda text: say(mask.text(text)))]
    if output.is_json:
        return []
    hosts = request.hosts if len(request.hosts) <= 5 else [*request.hosts[:4], f"{len(request.hosts) - 4} more"]
    say(f"Run {request.job.run_id} ({request.mode}): {request.playbook.name} on {', '.join(hosts)}")
    if len(request.hosts) < CROWD:
        return [progress(lambda text: say(mask.text(text)))]
    pause = 0.1 if sys.stderr.isatty() else 1.0
    return [Crowd(lambda text, last: show(mask.text(text), last), len(request.hosts), pause)]
