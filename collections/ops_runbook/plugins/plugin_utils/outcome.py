# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to, for one target: the outcome, its exit code, and the last ten lines that a person reads."""

from __future__ import annotations

import shlex
import typing as t

Json = dict[str, t.Any]

EXIT_CODES = {
    "done": 0,
    "healthy": 0,
    "remedied": 0,
    "recovered": 0,
    "predicted": 3,
    "unreachable": 4,
    "failed": 5,
    "unverified": 6,
    "refused": 7,
    "escalated": 8,
}
GRAVITY = (1, 2, 5, 6, 8, 7, 4, 3, 0)
"""Several hosts: the first of these that occurs is the run's exit code."""
ESCALATE = "escalate"
"""A cause with this remedy is known, and no safe act for it is."""


def gravest(codes: t.Iterable[int]) -> int:
    """The exit code of a run over several hosts."""
    present = set(codes)
    return next((code for code in GRAVITY if code in present), 1 if present else 0)


def decide(facts: Json) -> str:
    """Name the outcome.

    Args:
        facts: `first` (probe document of the first look), `act` (False for diagnose), `check_mode`, `error` (a task
            of the
            lifecycle itself failed, or None), `recovered` (bool), `lease_refused` (text or None), `diagnosis`, `guard`
            (last ones, or None), `history` (attempts: `remedy`, `failed`, `refused`, `stable`).
    """
    status = facts["first"]["status"]
    if status in ("ok", "warning"):
        return "healthy"
    if status == "unknown":
        return "escalated"
    if facts["error"]:
        return "failed"
    if facts["lease_refused"]:
        return "refused"
    if facts["recovered"]:
        return "recovered"
    return _after_diagnosis(facts)


def _after_diagnosis(facts: Json) -> str:
    chosen = (facts["diagnosis"] or {}).get("chosen")
    history = facts["history"]
    if history and history[-1]["stable"]:
        return "remedied"
    if chosen is None:
        return _unsolved(history)
    if not facts["act"]:
        return "predicted"
    if chosen["remedy"] == ESCALATE:
        return "escalated"
    if facts["guard"] and not facts["guard"]["allowed"]:
        return "refused"
    if facts["check_mode"]:
        return "predicted"
    return _unsolved(history)


def _unsolved(history: list[Json]) -> str:
    if not history:
        return "escalated"
    last = history[-1]
    if last["failed"]:
        return "refused" if last["refused"] else "failed"
    return "unverified"


def conclude(facts: Json) -> Json:
    """The outcome with its exit code, ten lines and structured summary.

    Args:
        facts: As for `decide`, and `target`, `run`, `final` (last probe document), `changes` (`{object, before,
            after}`),
            `undo` (list of what changing modules returned), `evidence` (path or None), `seconds` (phase -> seconds).
    """
    outcome = decide(facts)
    chosen = _cause_of(facts)
    summary: Json = {
        "run": facts["run"],
        "target": facts["target"],
        "outcome": outcome,
        "exit_code": EXIT_CODES[outcome],
        "failing": {name: check["summary"] for name, check in _failing(facts["first"]).items()},
        "cause": chosen["cause"] if chosen else None,
        "why": chosen["why"] if chosen else None,
        "remedy": chosen["remedy"] if chosen else None,
        "attempts": facts["history"],
        "refusals": _refusals(facts),
        "error": facts["error"] or None,
        "changes": facts["changes"],
        "undo": facts["undo"],
        "evidence": facts["evidence"],
        "seconds": facts["seconds"],
        "next_step": _next_step(outcome, facts, chosen),
    }
    return {"outcome": outcome, "target": facts["target"], "summary": summary, "lines": _lines(summary, facts)}


def conclude_job(run: str, facts: Json) -> Json:
    """The same shape for a job that cures nothing, such as keeping a baseline.

    Args:
        run: The run's id.
        facts: `target`, `outcome` (done or refused), `message` (what was done, or why not), `changes`, `undo`,
            `next_step`.
    """
    undo = "; ".join(dict.fromkeys(undo_text(undo) for undo in facts["undo"])) if facts["changes"] else ""
    pairs = (
        (facts["target"], f"{facts['outcome'].upper()}"),
        ("why" if facts["outcome"] == "refused" else "done", facts["message"]),
        ("changed", "; ".join(change_text(change) for change in facts["changes"]) or "nothing"),
        ("undo", undo or "nothing to undo"),
        ("next step", facts["next_step"] or "none"),
    )
    summary = {**facts, "run": run, "exit_code": EXIT_CODES[facts["outcome"]]}
    lines = [f"{label:<10} {text}" for label, text in pairs]
    return {"outcome": facts["outcome"], "target": facts["target"], "summary": summary, "lines": lines}


def _cause_of(facts: Json) -> Json | None:
    """What the person has to hear of: what cured it, else what was found last."""
    if facts["history"] and facts["history"][-1]["stable"]:
        return t.cast("Json", facts["history"][-1]["chosen"])
    chosen = (facts["diagnosis"] or {}).get("chosen")
    return t.cast("Json | None", chosen or (facts["history"][-1]["chosen"] if facts["history"] else None))


def _failing(document: Json) -> dict[str, Json]:
    return {name: check for name, check in document["checks"].items() if check["status"] in ("critical", "unknown")}


def _refusals(facts: Json) -> list[Json]:
    if facts["lease_refused"]:
        return [
            {
                "rule": "lease",
                "reason": facts["lease_refused"],
                "next_step": "Wait for the other run to end, then run again.",
            }
        ]
    if facts["history"] and facts["history"][-1]["stable"]:
        return []
    if facts["history"] and facts["history"][-1]["refused"] and not (facts["diagnosis"] or {}).get("chosen"):
        return [{"rule": "module", "reason": facts["history"][-1]["failed"], "next_step": ""}]
    return list((facts["guard"] or {}).get("refusals", []))


def _next_step(outcome: str, facts: Json, chosen: Json | None) -> str:
    if outcome in ("healthy", "remedied", "recovered"):
        return "none"
    if outcome == "predicted":
        return (
            "run again without --check"
            if facts["check_mode"]
            else "run it: the same playbook without remediate_act=false"
        )
    steps = [refusal["next_step"] for refusal in _refusals(facts) if refusal["next_step"]]
    if steps and outcome == "refused":
        return " ; ".join(steps)
    if chosen and chosen.get("next_step"):
        return str(chosen["next_step"]).replace("{target}", facts["target"])
    unknown = [name for name, check in facts["first"]["checks"].items() if check["status"] == "unknown"]
    if unknown and facts["first"]["status"] == "unknown":
        return f"look as a user who may: {', '.join(unknown)} could not be determined"
    return (
        f"read the evidence: {facts['evidence']}" if facts["evidence"] else "look at the failing checks above by hand"
    )


def _lines(summary: Json, facts: Json) -> list[str]:
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


_ACCESS = (
    ("missing sudo password", "give the sudo password: -K, or ansible_become_password from a vault"),
    ("a password is required", "give the sudo password: -K, or ansible_become_password from a vault"),
    ("incorrect sudo password", "give the right sudo password: -K, or ansible_become_password from a vault"),
    ("incorrect password attempt", "give the right sudo password: -K, or ansible_become_password from a vault"),
    ("not in the sudoers", "use a user who may use sudo, or set ansible_become: false to look only"),
    ("may not run sudo", "use a user who may use sudo, or set ansible_become: false to look only"),
    ("python 3.8 or newer", "install a newer python3 on the target, or set ansible_python_interpreter"),
    ("no python", "install python3 on the target, or set ansible_python_interpreter"),
    ("interpreter", "install python3 on the target, or set ansible_python_interpreter"),
)


def of_problem(host: str, result: Json) -> Json:
    """What to say of a host whose run ended without an outcome: `code`, `word`, `why`, `next_step`.

    Args:
        host: The inventory name.
        result: The failed task's answer: `msg`, what the target printed (`module_stderr`, ...), `error.kind` where a
            module
            of ours failed, `unreachable`.
    """
    why = " ".join(str(result.get("msg") or "ended without an outcome").split())
    printed = (str(result.get(key) or "") for key in ("msg", "module_stderr", "module_stdout", "stderr"))
    said = " ".join(" ".join(printed).lower().split())
    for sign, step in _ACCESS:
        if sign in said:
            return _problem("unreachable", why, step)
    if result.get("unreachable"):
        return _problem("unreachable", why, f"ansible -m ansible.builtin.ping {host}")
    if (result.get("error") or {}).get("kind") in ("BadInput", "RecordError") or "argument_errors" in result:
        return _problem("wrong input", why, "correct it; nothing was done")
    if "assertion" in result:  # a playbook's own condition
        return _problem("refused", why, "see why")
    return _problem("internal error", why, "report it with the output of -vvv")


def _problem(word: str, why: str, step: str) -> Json:
    code = {"wrong input": 2, "internal error": 1, **EXIT_CODES}[word]
    return {"code": code, "word": word, "why": why, "next_step": step}
