# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of one run: what was wrong there, why, what was done, how that was proven, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runbook_cli import report_signs as signs
from runbook_cli import report_times as times
from runbook_cli.history import UNDO, undo_steps
from runbook_cli.report_evidence import kept, said
from runbook_cli.report_text import clean, line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runbook_cli.report_evidence import Said

Json = dict[str, Any]
_SHORT = 500
_WRONG = ("critical", "unknown")
NOTHING_CHANGED = "nothing was changed"
"""The reason that a module gives which had nothing to change."""
_OPERATORS = {"==": "is", "!=": "is not", "in": "is one of", "not_in": "is none of"}
_KEY = ("before", "wanted", "after", "status", "note")
CURED = ("remedied",)


def section(lines: list[Json], seen_well: Json | None, records: Path, redact: Callable[[str], str]) -> Json:
    """What one run did on one host.

    Args:
        lines: The record's lines of this run and host, in their order.
        seen_well: The line of an earlier run that left the target well, if there is one.
        records: The folder of the record.
        redact: Masks secrets in text.
    """
    end = next((one["entry"] for one in reversed(lines) if one["phase"] in ("outcome", "job")), None)
    looked = next((one for one in lines if one["phase"] == "looked"), None)
    before = (looked["entry"].get("document") if looked else None) or {"checks": {}}
    summary = end or {}
    shift = _shift(lines)
    evidence = _evidence(lines, records)
    excerpts = said(evidence) if evidence else []
    since = times.moment(times.shifted(seen_well["at"], -shift)) if seen_well else None
    bad = signs.of_incident(excerpts, _look_began(looked, before), since) if looked and before["checks"] else []
    decision = _last(lines, "decided")
    proof = _last(lines, "verified")
    return {
        "run": lines[0]["run"],
        "host": lines[0]["host"],
        "target": str(summary.get("target") or before.get("target") or lines[0]["host"]),
        "kind": _kind(lines, end, before),
        "outcome": str(summary["outcome"]) if end else "unfinished",
        "exit_code": summary.get("exit_code") if end else None,
        "message": line(summary.get("message") or "") or None,
        "severity": line(summary.get("severity") or "") or None,
        "clock_ahead": shift,
        "times": _times(lines, before, _first(before, bad, since, redact), shift, summary),
        "seconds": _seconds(summary.get("seconds")),
        "seen_well": {"at": seen_well["at"], "run": seen_well["run"]} if seen_well else None,
        "impact": _impact(before, summary),
        "causes": _causes(lines),
        "signs": [_sign(one, shift, redact) for one in signs.shown(bad)],
        "others": _others(decision, _acted_on(lines)),
        "unexplained": (decision.get("diagnosis") or {}).get("unexplained", []),
        "refusals": [_picked(one, ("rule", "reason", "next_step")) for one in summary.get("refusals") or []],
        "error": line(summary.get("error") or "") or None,
        "attempts": _attempts(lines),
        "acts": _acts(lines),
        "keys": {name: _picked(row, _KEY) for name, row in (summary.get("keys") or {}).items()},
        "findings": [_picked(row, ("where", "what", "hint")) for row in summary.get("findings") or []],
        "measured": summary.get("measured"),
        "proof": _proof(before, proof, summary),
        "final": {name: _status(check) for name, check in ((summary.get("final") or {}).get("checks") or {}).items()},
        "objective": (summary.get("objectives") or {}).get("recovery_time_seconds"),
        "undo": _undo(lines, summary),
        "commands": summary.get("commands") or {},
        "evidence": evidence,
        "next_step": line(summary.get("next_step") or "") or None,
        "broke_off": None if end else _broke_off(lines),
    }


def _picked(row: Json, names: tuple[str, ...]) -> dict[str, str]:
    """These values of a row, as texts; empty where there is none."""
    return {name: "" if row.get(name) in (None, "") else line(row[name], _SHORT) for name in names}


def _last(lines: list[Json], phase: str) -> Json:
    return next((one["entry"] for one in reversed(lines) if one["phase"] == phase), {})


def _kind(lines: list[Json], end: Json | None, before: Json) -> str:
    """undo, job, check, diagnosis, or recovery (also of a healthy target)."""
    if any(one["phase"] == "intent" and one["entry"].get("module") == UNDO for one in lines):
        return "undo"
    if end is None:
        return "recovery" if before["checks"] else "job"
    if lines[-1]["phase"] == "job" or "attempts" not in end:
        return "job"
    if end.get("check"):
        return "check"
    leased = any(one["phase"] == "leased" for one in lines)
    return "diagnosis" if end["outcome"] == "predicted" and not leased else "recovery"


def _shift(lines: list[Json]) -> float:
    """Seconds by which the controller's clock is ahead of the host's; 0 where nobody can say that they differ.

    A document is taken before its line is written, at times by seconds: a clock that is ahead shows at once, one that
    is behind only where it is by more than that.
    """
    ahead = []
    for one in lines:
        written = times.moment(one["at"])
        taken = times.moment((one["entry"].get("document") or {}).get("taken_at"))
        if written and taken:
            ahead.append((written - taken).total_seconds())
    least = min(ahead, default=0.0)
    return round(least, 1) if least > times.LATE or least < -times.EARLY else 0.0


def _look_began(looked: Json, before: Json) -> Any:
    """When the first look began, by the host's clock."""
    taken = times.moment(before.get("taken_at")) or times.moment(looked["at"])
    assert taken is not None  # noqa: S101 - the record writes it
    return taken - timedelta(seconds=float(looked["entry"].get("seconds") or 0.0) + 1.0)


def _evidence(lines: list[Json], records: Path) -> Json | None:
    entry = _last(lines, "evidence")
    return kept(str(entry["directory"]), records) if entry.get("directory") else None


def _first(before: Json, bad: list[Said], since: Any, redact: Callable[[str], str]) -> Json:
    """The first bad sign, by the host's clock."""
    if before.get("status") not in _WRONG:
        return {"at": None, "sign": None, "source": None, "why_unknown": "nothing was seen to be wrong"}
    found = signs.first(before, bad, since)
    return {**found, "sign": line(times.unstamped(redact(found["sign"])), _SHORT) if found["sign"] else None}


def _times(lines: list[Json], before: Json, first: Json, shift: float, summary: Json) -> Json:
    """Moments by the controller's clock: occurred, detected, decided, acted, well, resolved, began, ended."""
    proof = next((one for one in reversed(lines) if one["phase"] == "verified"), None)
    stable = bool(proof and proof["entry"].get("attempt", {}).get("stable"))
    resolved = times.shifted(proof["entry"]["document"].get("taken_at"), shift) if proof and stable else None
    if summary.get("outcome") == "recovered":
        resolved = times.shifted((summary.get("final") or {}).get("taken_at"), shift) or lines[-1]["at"]
    spent = float(proof["entry"]["attempt"].get("stable_seconds") or 0.0) if proof and stable else 0.0
    well = times.shifted(resolved, -spent) if resolved else None
    acted = [one["at"] for one in lines if one["phase"] == "acted"]
    well = max([well, *acted[-1:]]) if well else None  # what the last probe took counts as stable, too
    phases = {one["phase"]: one["at"] for one in reversed(lines)}
    occurred = times.shifted(first["at"], shift)
    detected = times.shifted(before.get("taken_at"), shift) if before.get("status") in _WRONG else None
    return {
        "occurred": {**first, "at": occurred},
        "detected": detected,
        "evidence": phases.get("evidence"),
        "decided": phases.get("decided"),
        "acted": phases.get("intent"),
        "well": well,
        "resolved": resolved,
        "began": lines[0]["at"],
        "ended": lines[-1]["at"],
        "to_detect": times.seconds(occurred, detected),
        "to_resolve": times.seconds(detected, resolved),
        "outage": times.seconds(occurred, well),
    }


def _seconds(spent: Any) -> dict[str, float]:
    """Seconds by phase; a job has one number, or none."""
    if isinstance(spent, dict):
        return {str(phase): float(value) for phase, value in spent.items()}
    return {"act": float(spent)} if spent else {}


def _impact(before: Json, summary: Json) -> Json:
    """Which checks failed, with values and limits, and what worked meanwhile."""
    checks = before["checks"]
    wrong = [_failing(name, check) for name, check in checks.items() if check["status"] in _WRONG]
    if not checks:
        wrong = [
            {"check": name, "status": "critical", "seen": line(text, _SHORT), "value": None, "limit": None}
            for name, text in (summary.get("failing") or {}).items()
        ]
    others = [
        {"check": name, "status": check["status"], "seen": line(check["summary"], _SHORT)}
        for name, check in checks.items()
        if check["status"] not in _WRONG
    ]
    return {"failing": wrong, "others": others}


def _failing(name: str, check: Json) -> Json:
    threshold = check.get("threshold") or {}
    metric = str(threshold.get("metric") or "")
    value = _dotted(check.get("data") or {}, metric) if metric else None
    return {
        "check": name,
        "status": check["status"],
        "seen": line(check["summary"], _SHORT),
        "value": f"{metric} is {line(value, _SHORT)}" if metric else None,
        "limit": line(f"{metric} {_operator(threshold)}", _SHORT) if metric else None,
    }


def _operator(threshold: Json) -> str:
    """What makes a check fail, as words: `is none of active, reloading`, `> 85 percent`."""
    word = _OPERATORS.get(str(threshold.get("operator")), str(threshold.get("operator")))
    value = threshold.get("value")
    shown = ", ".join(map(str, value)) if isinstance(value, list) else line(value, _SHORT)
    return " ".join(filter(None, [word, shown, str(threshold.get("unit") or "")]))


def _dotted(data: Json, path: str) -> Any:
    node: Any = data
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _causes(lines: list[Json]) -> list[Json]:
    """The causes that were acted on or would be, in order, each with what its condition saw."""
    found: dict[str, Json] = {}
    for one in lines:
        diagnosis = (one["entry"].get("diagnosis") or {}) if one["phase"] == "decided" else {}
        chosen = diagnosis.get("chosen")
        if chosen:
            found[str(chosen["cause"])] = {
                **{key: line(chosen.get(key)) for key in ("cause", "why", "remedy", "risk")},
                "when": line(chosen.get("when") or ""),
                "facts": _facts(diagnosis, str(chosen["cause"])),
                "explains": [str(name) for name in chosen.get("explains") or []],
                "prevent": line(chosen.get("prevent") or "") or None,
            }
    return list(found.values())


def _facts(diagnosis: Json, cause: str) -> dict[str, str]:
    return {name: line(value, _SHORT) for name, value in ((diagnosis.get("facts") or {}).get(cause) or {}).items()}


def _acted_on(lines: list[Json]) -> set[str]:
    diagnoses = [one["entry"].get("diagnosis") or {} for one in lines if one["phase"] == "decided"]
    return {str(diagnosis["chosen"]["cause"]) for diagnosis in diagnoses if diagnosis.get("chosen")}


def _others(decision: Json, acted_on: set[str]) -> list[Json]:
    """The causes that were considered as well, and why they were not acted on."""
    diagnosis = decision.get("diagnosis") or {}
    held = [
        {"cause": str(one["cause"]), "reason": "holds too; an earlier one comes first", "facts": {}}
        for one in diagnosis.get("causes") or []
        if one["cause"] not in acted_on
    ]
    return held + [
        {
            "cause": str(one["cause"]),
            "reason": line(one["reason"], _SHORT),
            "facts": _facts(diagnosis, str(one["cause"])),
        }
        for one in diagnosis.get("rejected") or []
        if one["cause"] not in acted_on
    ]


def _attempts(lines: list[Json]) -> list[Json]:
    """What was tried, in order: remedy, cause, and what came of it."""
    found = []
    for one in lines:
        if one["phase"] == "verified":
            tried = one["entry"].get("attempt") or {}
            found.append(
                {
                    "at": one["at"],
                    "remedy": line(tried.get("remedy")),
                    "cause": line((tried.get("chosen") or {}).get("cause")),
                    "failed": line(tried.get("failed") or "") or None,
                    "stable": bool(tried.get("stable")),
                    "stable_seconds": tried.get("stable_seconds"),
                }
            )
    return found


def _acts(lines: list[Json]) -> list[Json]:
    """Each module that acted: what it changed, as rows and, where the record has one, as a diff."""
    told = [_act(one) for one in lines if one["phase"] == "acted" and _worth_telling(one["entry"])]
    done = [act for act in told if not act["predicted"]]
    return done or told


def _worth_telling(entry: Json) -> bool:
    return bool(entry.get("changed") or entry.get("failed") or entry.get("unreachable"))


def _act(one: Json) -> Json:
    entry = one["entry"]
    return {
        "at": one["at"],
        "module": str(entry["module"]),
        "message": line(entry.get("message") or entry.get("msg") or ""),
        "failed": bool(entry.get("failed") or entry.get("unreachable")),
        "predicted": bool(entry.get("check")),
        "changes": [_change(change) for change in entry.get("changes") or []],
        "diff": entry.get("diff"),
    }


def _change(change: Json) -> Json:
    """An object, and what of it differs: rows of (name, before, after)."""
    before, after = change.get("before"), change.get("after")
    if not isinstance(before, dict) or not isinstance(after, dict):
        return {"object": line(change.get("object")), "rows": [["", _shown(before), _shown(after)]]}
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    before, after = _told_apart(before), _told_apart(after)
    rows = [[line(name), _shown(before.get(name)), _shown(after.get(name))] for name in names]
    return {"object": line(change.get("object")), "rows": rows}


def _shown(value: Any) -> str:
    return line(_told_apart(value) if isinstance(value, dict) else value, _SHORT)


def _told_apart(state: Json) -> Json:
    """An object's state with as much of a checksum as tells it apart."""
    return {name: str(value)[:16] if name == "sha256" and value else value for name, value in state.items()}


def _proof(before: Json, proof: Json, summary: Json) -> Json | None:
    """Every check before and after, and how long it was seen stable; None where nothing was verified."""
    after = proof.get("document") or (summary.get("final") if summary.get("outcome") == "recovered" else None)
    if not after or not before["checks"]:
        return None
    names = dict.fromkeys([*before["checks"], *after["checks"]])
    checks = [
        {"check": name, "before": _status(before["checks"].get(name)), "after": _status(after["checks"].get(name))}
        for name in names
    ]
    tried = proof.get("attempt") or {}
    return {"checks": checks, "stable": bool(tried.get("stable")), "stable_seconds": tried.get("stable_seconds")}


def _status(check: Json | None) -> Json | None:
    return {"status": check["status"], "seen": line(check["summary"], _SHORT)} if check else None


def _undo(lines: list[Json], summary: Json) -> Json:
    """How to put it back: {command, not_undone, warning}; command is empty where nothing can be put back."""
    steps = [
        step
        for one in lines
        if one["phase"] == "acted" and one["entry"].get("changed") and not one["entry"].get("check")
        for step in undo_steps(one["entry"].get("undo") or {})
    ]
    reasons = [line(step.get("reason")) for step in steps if step.get("kind") == "none"]
    able = any(step.get("kind") != "none" for step in steps)
    cured = able and summary.get("outcome") in CURED
    words = (summary.get("commands") or {}).get("undo") or ["runbook", "undo", lines[0]["run"]]
    return {
        "command": [clean(str(word)) for word in words] if able else [],
        "not_undone": list(dict.fromkeys(reason for reason in reasons if reason != NOTHING_CHANGED)),
        "brings_back": cured,
        "undone_by": None,
    }


def _sign(one: Said, shift: float, redact: Callable[[str], str]) -> Json:
    at = times.shifted(times.text(one.at), shift)
    return {"at": at, "own": one.own, "file": one.file, "text": line(times.unstamped(redact(one.text)), _SHORT)}


def _broke_off(lines: list[Json]) -> str:
    """Where a run without an end stood."""
    last = lines[-1]
    if last["phase"] == "intent":
        module = line(last["entry"].get("module"))
        return f"The record ends while {module} was at work: what it changed is not known."
    return f"The record ends after the phase '{line(last['phase'])}': nothing was being changed then."
