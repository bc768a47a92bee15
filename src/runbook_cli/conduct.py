# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a request and tell what became of it."""

from __future__ import annotations

import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

from runbook_cli.answer import Answer, Output, say, show
from runbook_cli.launch import Ended, launch
from runbook_cli.mask import Mask, file_variables
from runbook_cli.outcome import STOPPED, Collector, Target, gravest
from runbook_cli.progress import CROWD, Crowd, echo, progress
from runbook_cli.standing import Standing, commands
from runbook_cli.terminal import some
from runbook_cli.view import run_text

if TYPE_CHECKING:
    from runbook_cli.request import Request

SCHEMA = "ops.runbook/run/1"


def conduct(request: Request, output: Output) -> Answer:
    """Run the job, with progress on stderr unless a program listens, and return the run document.

    The document: schema, run_id, playbook, mode (run | check | diagnose), incident, inventories, limit, hosts,
    started_at (RFC 3339 UTC), seconds, records, stopped (null | timed_out | interrupted | terminated | hung_up),
    standing (of a stopped run: as standing.Standing.document gives it), exit_code,
    silent: {host: why no connection could be made to it, so that the run left it out},
    targets: [{host, target, outcome, exit_code, lines, summary, task, message, hint}], fleet (None, or what
    plugin_utils/fleet.py says of a run over many hosts).
    """
    job = request.job
    mask = Mask([file_variables(item) if isinstance(item, str) else item for item in job.extra], job.become_password)
    began, started_at = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    collector = Collector()
    listeners, standing = _listeners(request, output, mask), Standing()
    output.begun = True
    reached = [host for host in request.hosts if host not in request.silent]
    stopped, summary = launch(job, [collector.feed, standing, *listeners]) if reached else Ended(None, None)
    targets = [*collector.targets(reached, request.lifecycle, job.check, stopped), *_silent(request)]
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
            "standing": standing.document(_left(targets), job.records, job.run_id) if stopped else {},
            "exit_code": _code(stopped, targets),
            "silent": request.silent,
            "targets": [target.document() for target in targets],
            "fleet": fleet.get("document"),
        }
    )
    text = run_text(document, mask.tree(fleet.get("lines")))
    if stopped:
        text += "\n" + "\n".join(commands(job.commands["again"], request.limit, _left(targets)))
    return Answer(document, text, document["exit_code"])


def _left(targets: list[Target]) -> list[str]:
    """Hosts that the run did not come to an end with."""
    return [target.host for target in targets if target.outcome in ("unfinished", "untouched")]


def _silent(request: Request) -> list[Target]:
    words = request.job.commands["again"]
    inventories = [word for at, word in enumerate(words) if "-i" in (word, words[at - 1])]
    hint = f"See '{shlex.join(['runbook', 'doctor', *inventories])}'."
    return [Target(host, host, "unreachable", message=why, hint=hint) for host, why in request.silent.items()]


def _code(stopped: str | None, targets: list[Target]) -> int:
    return STOPPED[stopped] if stopped else gravest([target.code for target in targets])


def _listeners(request: Request, output: Output, mask: Mask) -> list[Any]:
    if output.verbose:
        return [echo(lambda text: say(mask.text(text)))]
    if output.is_json:
        return []
    if request.silent:
        count = f"{len(request.silent)} of {len(request.hosts)} hosts"
        say(f"{count} cannot be connected to, and are left out: {some(list(request.silent))}")
    there = [host for host in request.hosts if host not in request.silent]
    hosts = there if len(there) <= 5 else [*there[:4], f"{len(there) - 4} more"]
    say(f"Run {request.job.run_id} ({request.mode}): {request.playbook.name} on {', '.join(hosts) or 'no host'}")
    if len(there) < CROWD:
        return [progress(lambda text: say(mask.text(text)))]
    pause = 0.1 if sys.stderr.isatty() else 1.0
    return [Crowd(lambda text, last: show(mask.text(text), last), len(there), pause)]
