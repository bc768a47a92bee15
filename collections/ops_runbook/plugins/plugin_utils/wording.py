# SPDX-License-Identifier: GPL-3.0-or-later
"""The last lines of a run, as a person reads them at 3 a.m.; what they say is decided in outcome.py."""

from __future__ import annotations

import shlex
import typing as t

Json = dict[str, t.Any]


def lines(summary: Json, facts: Json) -> list[str]:
    """The ten lines of a run that looked for a fault; summary and facts as in outcome.conclude."""
    total = sum(summary["seconds"].values())
    pairs = (
        (summary["target"], f"{summary['outcome'].upper()} in {total:.1f} s"),
        ("failing", _failing_line(summary)),
        ("cause", _cause_line(summary, facts)),
        ("remedy", _remedy_line(summary)),
        ("changed", _changed_line(summary, facts["check_mode"])),
        ("proof", _proof_line(summary, facts)),
        ("time", ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in summary["seconds"].items())),
        ("undo", _undo_line(summary)),
        ("evidence", summary["evidence"] or "none taken"),
        ("next step", summary["next_step"]),
    )
    return _aligned(pairs)


def job_lines(summary: Json) -> list[str]:
    """The lines of a job that cures nothing; summary as in outcome.conclude_job."""
    return _aligned(
        (
            (summary["target"], summary["outcome"].upper()),
            ("why" if summary["outcome"] == "refused" else "done", summary["message"]),
            ("changed", _changed_line(summary, check_mode=False)),
            ("undo", _undo_line(summary)),
            ("next step", summary["next_step"] or "none"),
        )
    )


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
    return "; ".join(done + refused + broken) or "none"


def _changed_line(summary: Json, check_mode: bool) -> str:
    lead = "would change " if check_mode and summary["changes"] else ""
    shown = [change_text(change) for change in summary["changes"][:6]]
    more = len(summary["changes"]) - len(shown)
    return lead + ("; ".join(shown) or "nothing") + (f"; and {more} more" if more > 0 else "")


def change_text(change: Json) -> str:
    """One change for a person: `mongod.service active_state: failed -> active`; of mappings only what differs."""
    before, after = change["before"], change["after"]
    if not isinstance(before, dict) or not isinstance(after, dict):
        return f"{change['object']}: {before} -> {after}"
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return ", ".join(f"{change['object']} {key}: {before.get(key)} -> {after.get(key)}" for key in keys)


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


def _undo_line(summary: Json) -> str:
    if not summary["changes"]:
        return "nothing to undo"
    return "; ".join(dict.fromkeys(undo_text(undo) for undo in summary["undo"])) or "nothing to undo"


def undo_text(undo: Json) -> str:
    """How a person puts one change back, as a literal command where there is one."""
    kind = undo.get("kind")
    if kind == "none":
        return f"none ({undo['reason']})"
    if kind == "file" and undo.get("aside"):
        return shlex.join(["cp", "--preserve=all", str(undo["aside"]), str(undo["path"])])
    if kind == "file":
        return shlex.join(["rm", str(undo["path"])])
    if kind == "unit" and undo.get("mask"):
        return shlex.join(["systemctl", "mask", str(undo["name"])])
    if kind == "service_state":
        return f"none (a start is not undone; {shlex.join(['systemctl', 'stop', str(undo['name'])])} stops it)"
    return f"{kind}: {len(undo.get('entries') or [])} prior values are in the record of this run"
