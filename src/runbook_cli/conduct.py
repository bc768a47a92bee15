# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a request and tell what became of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from runbook_cli.answer import Answer, Output, say
from runbook_cli.launch import launch
from runbook_cli.mask import Mask, file_variables
from runbook_cli.outcome import STOPPED, Collector, Target, gravest
from runbook_cli.progress import echo, progress
from runbook_cli.view import run_text

if TYPE_CHECKING:
    from runbook_cli.request import Request

SCHEMA = "ops.runbook/run/1"


def conduct(request: Request, output: Output) -> Answer:
    """Run the job, with progress on stderr unless a program listens, and return the run document.

    The document: schema, run_id, playbook, mode (run | check | diagnose), incident, inventories, limit, hosts,
    started_at (RFC 3339 UTC), seconds, records, stopped (null | timed_out | interrupted), exit_code,
    targets: [{host, target, outcome, exit_code, lines, summary, task, message, hint}].
    """
    job = request.job
    mask = Mask([file_variables(item) if isinstance(item, str) else item for item in job.extra], job.become_password)
    began, started_at = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    collector = Collector()
    stopped = launch(job, [collector.feed, *_listeners(request, output, mask)])
    targets = collector.targets(request.hosts, request.lifecycle, job.check, stopped)
    document: dict[str, Any] = mask.tree(
        {
            "schema": SCHEMA,
            "run_id": job.run_id,
            "playbook": request.playbook.name,
            "mode": request.mode,
            "incident": job.incident,
            "inventories": job.inventories,
            "limit": job.limit,
            "hosts": request.hosts,
            "started_at": started_at,
            "seconds": round(time.monotonic() - began, 3),
            "records": str(job.records),
            "stopped": stopped,
            "exit_code": _code(stopped, targets),
            "targets": [target.document() for target in targets],
        }
    )
    return Answer(document, run_text(document), document["exit_code"])


def _code(stopped: str | None, targets: list[Target]) -> int:
    return STOPPED[stopped] if stopped else gravest([target.code for target in targets])


def _listeners(request: Request, output: Output, mask: Mask) -> list[Any]:
    if output.verbose:
        return [echo(lambda text: say(mask.text(text)))]
    if output.is_json:
        return []
    hosts = request.hosts if len(request.hosts) <= 5 else [*request.hosts[:4], f"{len(request.hosts) - 4} more"]
    say(f"Run {request.job.run_id} ({request.mode}): {request.playbook.name} on {', '.join(hosts)}")
    return [progress(lambda text: say(mask.text(text)))]
