# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook history`: the runs of the record as a list, and one run as a sequence of what was seen, decided and done."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from runbook_cli.answer import Answer, CliError, nearest
from runbook_cli.history import NAME, Line, Run, history, lines
from runbook_cli.terminal import columns, some

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = "ops.runbook/history/1"
SHOWN = 20
"""Runs in the list where nobody says how many."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_WIDE = 160
"""Characters of one line of a run's sequence; `--format json` has all."""


def listed(records: Path, last: int | None, host: str | None, incident: str | None, since: str | None) -> Answer:
    """The runs, newest first."""
    after = moment(since) if since else None
    runs = [
        run
        for run in reversed(history(records))
        if (host is None or host in run.seen)
        and (incident is None or run.incident == incident)
        and (after is None or datetime.fromisoformat(run.at) >= after)
    ]
    shown = runs[: last or SHOWN]
    return Answer([run.told() for run in shown], list_text(shown, len(runs) - len(shown), records))


def moment(text: str) -> datetime:
    """What --since says: RFC 3339 (UTC where it says no zone), or how long ago, such as 90m, 24h or 7d."""
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if ago:
        return datetime.fromtimestamp(time.time(), UTC) - timedelta(seconds=float(ago[1]) * _UNITS[ago[2]])
    try:
        told = datetime.fromisoformat(text.strip())
    except ValueError:
        hint = "Write a date or time such as 2026-01-05 or 2026-01-05T02:00:00Z, or how long ago: 90m, 24h, 7d."
        raise CliError(f"{text!r} is no time", "--since", hint) from None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def list_text(runs: list[Run], more: int, records: Path) -> str:
    """The table."""
    if not runs:
        return f"No such run is in the record ({records / NAME})."
    rows = [["RUN", "WHEN (UTC)", "WHAT", "HOSTS", "OUTCOME", "CHANGED", "INCIDENT", "UNDONE BY"]]
    rows += [
        [*_began(run), some(run.seen), outcomes(run), _changed(run), run.incident or "-", undone(run)] for run in runs
    ]
    return "\n".join([columns(rows), *([f"and {more} more: --last {more + len(runs)}"] if more > 0 else [])])


def _began(run: Run) -> list[str]:
    name = run.name or ", ".join(run.modules) or "-"
    what = f"{name} of {run.undoes}" if run.undoes else name
    return [run.id, run.at[:19].replace("T", " "), what + (" (check)" if run.check else "")]


def outcomes(run: Run) -> str:
    """What it came to, with how many hosts where it were several."""
    counted = Counter(run.outcomes.values()) + Counter({"no end": len(run.unended)})
    return ", ".join(name if len(run.seen) == 1 else f"{count} {name}" for name, count in counted.most_common())


def _changed(run: Run) -> str:
    if run.unknown:
        return "not known"
    return "yes" if run.changed else "no"


def undone(run: Run) -> str:
    """The runs that undid it."""
    return ", ".join(dict.fromkeys(run.undone.values())) or "-"


def one(records: Path, name: str) -> Answer:
    """One run: what began it, and its lines in their order."""
    runs = history(records)
    run = runs[-1] if name == "last" and runs else next((run for run in runs if run.id == name), None)
    if run is None:
        latest = ", ".join(run.id for run in runs[-5:][::-1])
        near = nearest(name, [run.id for run in runs])
        hint = " ".join(filter(None, [near, f"The last ones are {latest}." if latest else "There are no runs in it."]))
        raise CliError(f"run {name!r} is not in the record", str(records / NAME), hint)
    found = list(lines(records / NAME, run.id))
    return Answer({"schema": SCHEMA, **run.told(), "lines": found}, run_text(run, found))


def run_text(run: Run, found: list[Line]) -> str:
    """The run for a person."""
    about = [
        ["run", f"{run.id}, {run.name or 'the playbook was not recorded'}{' (check)' if run.check else ''}"],
        ["when", f"{run.at[:19].replace('T', ' ')} UTC, {_seconds(run):.1f} s"],
        ["by", run.by or "not recorded"],
        ["inventory", ", ".join(run.inventory) + (f", limit {run.limit}" if run.limit else "") or "not recorded"],
        ["hosts", some(run.seen)],
        ["outcome", outcomes(run)],
        ["changed", some(run.changed) if run.changed and not run.unknown else _changed(run)],
        ["undone by", undone(run)],
    ]
    about += [["incident", run.incident]] if run.incident else []
    rows = [[line["at"][11:23], line["host"], line["phase"], _clipped(sentence(line))] for line in found]
    return f"{columns(about)}\n\n{columns(rows)}"


def _seconds(run: Run) -> float:
    """From its first line to its last; a clock that jumped back tells nothing."""
    spent = datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.at)
    return max(0.0, spent.total_seconds())


def _clipped(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 4]} ..."


def sentence(line: Line) -> str:
    """What a line has to say, in words; its phase's own ones, else its entry as it is."""
    words = _WORDS.get(line["phase"])
    try:
        said = words(line["entry"]) if words else ""
    except (KeyError, TypeError, AttributeError):  # of another version
        said = ""
    return said or ", ".join(f"{key} {value}" for key, value in line["entry"].items() if value and key != "journal")


def _looked(entry: Line) -> str:
    document = entry.get("document")
    if not document:
        return f"looked for {float(entry.get('seconds') or 0):.1f} s"
    bad = [f"{name}: {check['summary']}" for name, check in document["checks"].items() if check["status"] != "ok"]
    return f"{document['status']}: {'; '.join(bad) or 'all checks ok'}"


def _decided(entry: Line) -> str:
    chosen = (entry["diagnosis"] or {}).get("chosen")
    if not chosen:
        return "no cause is known"
    refusals = [f"refused by {refusal['rule']}: {refusal['reason']}" for refusal in entry.get("refusals") or []]
    allowed = "allowed" if entry.get("allowed") else "; ".join(refusals) or "left to a person"
    return f"{chosen['cause']}: {chosen['why']} Remedy {chosen['remedy']}: {allowed}"


def _intent(entry: Line) -> str:
    given = {key: value for key, value in entry["arguments"].items() if value and key not in ("run_id", "lease")}
    check = " (check)" if entry.get("check") else ""
    return f"{entry['module']}{check} " + ", ".join(f"{key}={value}" for key, value in given.items())


def _acted(entry: Line) -> str:
    changes = entry.get("changes") or []
    told = [f"{change['object']}: {change['before']} -> {change['after']}" for change in changes]
    said = str(entry.get("message") or entry.get("msg") or "").strip()
    verdict = "lost" if entry.get("unreachable") else "failed" if entry.get("failed") else ""
    if not verdict:
        verdict = ("would change" if entry.get("check") else "changed") if entry.get("changed") else "nothing changed"
    return f"{entry['module']}: " + "; ".join(filter(None, [verdict, said, *told]))


def _verified(entry: Line) -> str:
    attempt = entry["attempt"]
    cured = f"stable for {float(attempt.get('stable_seconds') or 0):.1f} s" if attempt["stable"] else "did not cure"
    return f"{attempt['remedy']}: {attempt.get('failed') or cured}"


def _ended(entry: Line) -> str:
    cause = f"{entry['cause']} " if entry.get("cause") else ""
    step = entry.get("next_step")
    told = [
        str(entry["outcome"]).upper(),
        cause + str(entry.get("message") or ""),
        f"next step: {step}" if step else "",
    ]
    return "; ".join(filter(None, (part.strip() for part in told)))


_WORDS: dict[str, Callable[[Any], str]] = {
    "looked": _looked,
    "leased": lambda _entry: "the lease is held; from here on nobody else acts",
    "evidence": lambda entry: f"kept in {entry['directory']}",
    "decided": _decided,
    "intent": _intent,
    "acted": _acted,
    "verified": _verified,
    "outcome": _ended,
    "job": _ended,
    "mended": lambda entry: f"the record was mended: {entry['what']}",
    "unjournaled": lambda entry: f"a head is not in the host's journal: {entry['reason']}",
}
