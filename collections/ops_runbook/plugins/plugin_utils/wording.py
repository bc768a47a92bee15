# SPDX-License-Identifier: GPL-3.0-or-later
"""The last lines of a run, as a person reads them at 3 a.m.; what they say is decided in outcome.py."""

from __future__ import annotations

import json
import os
import shlex
import typing as t

Json = dict[str, t.Any]
COMMANDS = "OPS_RUNBOOK_COMMANDS"
_DIFF_LINES = 40
PLANNED = ("predicted", "untouched")
"""Outcomes whose changes were only seen to be needed."""
GOOD = ("done", "healthy", "remedied", "recovered")


def lines(summary: Json, facts: Json) -> list[str]:
    """The ten lines of a run that looked for a fault, and what a remedy would do that waits for a person.

    Args:
        summary: As in outcome.conclude.
        facts: Likewise.
    """
    pairs = (
        (summary["target"], f"{summary['outcome'].upper()} in {spent(summary):.1f} s"),
        ("failing", _failing_line(summary)),
        ("cause", _cause_line(summary, facts)),
        ("remedy", _remedy_line(summary)),
        *_would_lines(summary),
        ("changed", _changed_line(summary, facts["check_mode"])),
        ("proof", _proof_line(summary, facts)),
        ("time", ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in summary["seconds"].items())),
        ("undo", _undo_line(summary, facts["check_mode"])),
        ("evidence", summary["evidence"] or "none taken"),
        ("next step", summary["next_step"]),
    )
    return _aligned(pairs)


def job_lines(summary: Json) -> list[str]:
    """The lines of a job that cures nothing; summary as in outcome.conclude_job."""
    planned, took = summary["outcome"] in PLANNED, spent(summary)
    return _aligned(
        (
            (summary["target"], summary["outcome"].upper() + (f" in {took:.1f} s" if took else "")),
            ("done" if summary["outcome"] in GOOD else "why", summary["message"]),
            ("changed", _changed_line(summary, planned)),
            ("undo", _undo_line(summary, planned)),
            ("next step", summary["next_step"] or "none"),
        )
    )


def spent(summary: Json) -> float:
    """Seconds that a target took; 0 where nobody counted them."""
    seconds = summary.get("seconds") or 0
    return float(sum(seconds.values()) if isinstance(seconds, dict) else seconds)


def _aligned(pairs: t.Iterable[tuple[str, str]]) -> list[str]:
    return [f"{label:<10} {text}" for label, text in pairs]


def _failing_line(summary: Json) -> str:
    return "; ".join(f"{name}: {text}" for name, text in summary["failing"].items()) or "nothing"


def _cause_line(summary: Json, facts: Json) -> str:
    if summary["cause"]:
        return f"{summary['cause']}: {summary['why']}"
    if not summary["failing"]:
        return "none"
    unexplained = (facts["diagnosis"] or {}).get("unexplained", [])
    return f"not known; no cause explains {', '.join(unexplained)}" if unexplained else "not known"


def _remedy_line(summary: Json) -> str:
    done = [
        f"{attempt['remedy']} ({'cured' if attempt['stable'] else attempt['failed'] or 'did not cure'})"
        for attempt in summary["attempts"]
    ]
    refused = [f"refused by {refusal['rule']}: {refusal['reason']}" for refusal in summary["refusals"]]
    if summary["outcome"] == "predicted":
        return f"would be {summary['remedy']}"
    broken = [f"the run broke off: {summary['error']}"] if summary["error"] else []
    passed = [f"let through {one['rule']} ({one['by']})" for one in summary["passed"]]
    alert = [f"none: {summary['alert']['text']}"] if summary["alert"] else []
    return "; ".join(done + refused + broken + passed + alert) or "none"


def _would_lines(summary: Json) -> list[tuple[str, str]]:
    """What the remedy would change that was refused until a person says yes; the diffs below it."""
    if summary["would_fail"]:
        return [("would", f"fail: {summary['would_fail']}")]
    if not summary["would_change"]:
        return []
    diffs = [line for change in summary["would_change"] for line in change.get("diff", "").splitlines()]
    more = len(diffs) - _DIFF_LINES
    shown = diffs[:_DIFF_LINES] + ([f"({more} lines more)"] if more > 0 else [])
    return [("would", f"change {_changes_text(summary['would_change'])}"), *(("", line) for line in shown)]


def _changed_line(summary: Json, check_mode: bool) -> str:
    lead = "would change " if check_mode and summary["changes"] else ""
    return lead + (_changes_text(summary["changes"]) or "nothing")


def _changes_text(changes: list[Json]) -> str:
    shown = [change_text(change) for change in changes[:6]]
    more = len(changes) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def change_text(change: Json) -> str:
    """One change for a person: `mongod.service active_state: failed -> active`; of mappings only what differs."""
    before, after = change["before"], change["after"]
    if (isinstance(before, dict) and after is None) or (before is None and isinstance(after, dict)):
        return f"{change['object']}: {'removed' if after is None else 'new'}"
    if not isinstance(before, dict) or not isinstance(after, dict):
        return f"{change['object']}: {before} -> {after}"
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    told = ", ".join(f"{key}: {before.get(key)} -> {after.get(key)}" for key in keys)
    return f"{change['object']} {told}"


def _proof_line(summary: Json, facts: Json) -> str:
    checks = facts["final"]["checks"]
    good = sum(check["status"] == "ok" for check in checks.values())
    if summary["outcome"] == "remedied":
        return f"{good} of {len(checks)} checks ok, stable for {facts['history'][-1]['stable_seconds']:.1f} s"
    if summary["outcome"] in ("healthy", "recovered"):
        warnings = "".join(
            f"; {name}: {check['summary']}" for name, check in checks.items() if check["status"] == "warning"
        )
        return f"{good} of {len(checks)} checks ok{warnings}"
    return f"{good} of {len(checks)} checks ok, not healthy"


def _undo_line(summary: Json, planned: bool) -> str:
    if not summary["changes"]:
        return "nothing to undo"
    able, reasons = undo_parts(summary["undo"])
    if able and planned:
        return undo_text("can be undone", reasons)
    cured = able and summary["outcome"] == "remedied"
    return undo_text(shlex.join(commands(summary["run"])["undo"]) if able else "", reasons, cured)


def undo_parts(undos: t.Iterable[Json]) -> tuple[bool, list[str]]:
    """Whether there is anything to put back, and why the rest cannot be, from what changing modules returned."""
    able, reasons = False, []
    for undo in undos:
        if undo.get("kind") == "none":
            reasons.append(str(undo["reason"]))
        elif undo.get("kind") == "steps":
            inner, more = undo_parts(undo["steps"])
            able, reasons = able or inner, reasons + more
        else:
            able = True
    return able, list(dict.fromkeys(reasons))


def undo_text(command: str, reasons: list[str], cured: bool = False) -> str:
    """The literal command that puts a run back (empty: none does), what it does not put back, and what comes back."""
    if not command:
        return f"none ({'; '.join(reasons)})" if reasons else "nothing to undo"
    notes = ["not undone: " + "; ".join(reasons)] if reasons else []
    notes += ["it brings the fault back, and wants approval"] if cured else []
    return command + ("  # " + "; ".join(notes) if notes else "")


def commands(run: str) -> Json:
    """What a person types next: `again` (words, without a limit), `limit` (text or None) and `undo` (words).

    The CLI and the callback say it in the environment, because they know how the run was started.
    """
    told = os.environ.get(COMMANDS)
    if told:
        return t.cast("Json", json.loads(told))
    return {"again": [], "limit": None, "undo": ["ansible-playbook", "playbooks/undo.yml", "-e", f"undo_run={run}"]}


def lift_words(run: str, host: str) -> list[str]:
    """The words that lift the hold of a host; empty where nobody knows how this run was started."""
    known = commands(run)
    if not known["again"]:
        return []
    undo = known["undo"]
    if undo[0] == "runbook":  # runbook undo RUN and where
        return ["runbook", "hold", "lift", *undo[3:], "--limit", host]
    return [*(word.replace("undo.yml", "hold.yml") for word in undo[:-2]), "-e", "hold_state=absent", "--limit", host]
