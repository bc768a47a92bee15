# SPDX-License-Identifier: GPL-3.0-or-later
"""The first bad sign of an incident, from the unit's state and the lines of its journal and logs. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from runbook_cli import report_times as times

if TYPE_CHECKING:
    from runbook_cli.report_evidence import Said

Sign = tuple[datetime, str, str]
"""When, what, and where it was found."""
JOURNAL = "unit-journal.txt"
QUIET = timedelta(seconds=60)
"""A start that was followed by so long without a bad sign ended an earlier incident."""
SILENCE = timedelta(minutes=10)
"""What was said so long before anything else is no part of a unit's failure."""
_MOST = 8
_START = re.compile(r"systemd\[\d+\]: Started ")
_BAD = re.compile(
    r"Sent signal SIG(?:KILL|STOP|ABRT|SEGV|QUIT)|Main process exited, code=(?:killed|dumped|exited, status=[1-9])"
    r"|Failed with result|Failed to start|start request repeated too quickly|A process of this unit has been killed by"
    r"|level=(?:ERROR|FATAL|PANIC|error|fatal|panic)\b|\"s\":\s?\"[EF]\"|\b(?:ERROR|FATAL|CRITICAL|PANIC|SEVERE)\b"
    r"|\b[Ee]rror:|\bpanic:|[Nn]o space left on device|(?:database or )?disk is full|disk image is malformed"
    r"|is not a database|WT_PANIC|[Aa]ddress already in use|[Pp]ermission denied|[Rr]ead-only file ?system"
    r"|[Tt]oo many open files|Input/output error|[Oo]ut of memory|[Cc]orrupt"
)


def is_bad(text: str) -> bool:
    """Whether a line of a log says that something is wrong."""
    return bool(_BAD.search(text))


def _bad_before(lines: list[Said], look: datetime) -> list[Said]:
    """Bad lines from before the first look; what a log says later may only echo the look itself."""
    return [said for said in lines if said.at is not None and said.at < look and is_bad(said.text)]


def of_incident(lines: list[Said], look: datetime, since: datetime | None) -> list[Said]:
    """The bad lines that belong to this incident, in the order of time.

    Args:
        lines: Of all files.
        look: When the first look began, by the host's clock.
        since: When the target was last seen well, by the host's clock; None where nobody knows.
    """
    bad = sorted(_bad_before(lines, look), key=_when)
    starts = [said.at for said in lines if said.at and said.file == JOURNAL and _START.search(said.text)]
    begin, before = since, None
    for said in bad:
        for start in starts:
            if start <= _when(said) - QUIET and (before is None or start > before):
                begin = start if begin is None else max(begin, start)
        before = _when(said)
    return [said for said in bad if begin is None or _when(said) > begin]


def _when(said: Said) -> datetime:
    assert said.at is not None  # noqa: S101 - only lines with a moment come here
    return said.at


def shown(bad: list[Said]) -> list[Said]:
    """The bad lines that a report shows: the first and the last, each text once."""
    once = list({said.text: said for said in reversed(bad)}.values())[::-1]
    return once if len(once) <= _MOST else once[: _MOST // 2] + once[-_MOST // 2 :]


def first(document: dict[str, Any], bad: list[Said], since: datetime | None) -> dict[str, Any]:
    """When it began: {at, sign, source, why_unknown}; at by the host's clock, None where no sign tells.

    Args:
        document: The first look's probe document.
        bad: As of_incident gives them.
        since: When the target was last seen well.
    """
    candidates = [(said.at, said.text, said.file) for said in bad if said.own and said.at]
    changed = _unit_failed(document)
    if changed and (since is None or changed[0] > since):
        candidates = _leading_to(changed[0], candidates) or [changed]
    if not candidates:
        return {"at": None, "sign": None, "source": None, "why_unknown": _unknown(bad)}
    at, sign, source = min(candidates)
    return {"at": times.text(at), "sign": sign, "source": source, "why_unknown": None}


def _leading_to(failed: datetime, candidates: list[Sign]) -> list[Sign]:
    """Those that led to a unit's failure without a long silence; systemd tells when it failed in whole seconds."""
    found: list[Sign] = []
    reached = failed + timedelta(seconds=1)
    for one in sorted(candidates, reverse=True):
        if one[0] < failed + timedelta(seconds=1) and reached - one[0] <= SILENCE:
            found.append(one)
            reached = one[0]
    return found


def _unknown(bad: list[Said]) -> str:
    if bad:
        return "the lines that tell of it carry no time"
    return "neither the unit's state nor the kept journal and logs hold a sign from before the first look"


def _unit_failed(document: dict[str, Any]) -> Sign | None:
    """When a unit that is not well came to the state that it was found in."""
    for name, check in document.get("checks", {}).items():
        when = times.moment((check.get("data") or {}).get("state_changed_at"))
        if check.get("status") == "critical" and when:
            return when, str(check.get("summary")), f"check {name}"
    return None
