# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to, for one target: the outcome, its exit code, and what is said of it."""

from __future__ import annotations

import typing as t

from . import wording
from .errors import BadInput
from .guard import ESCALATE
from .recurrence import answered
from .refusal import again
from .wording import Json

EXIT_CODES = {
    "done": 0,
    "healthy": 0,
    "remedied": 0,
    "recovered": 0,
    "predicted": 3,
    "unreachable": 4,
    "failed": 5,
    "unverified": 6,
    "reverted": 6,
    "refused": 7,
    "untouched": 7,
    "escalated": 8,
}
GRAVITY = (1, 2, 5, 6, 8, 7, 4, 3, 0)
"""Several hosts: the first of these that occurs is the run's exit code."""


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
        return "escalated" if facts["guard"].get("escalates") else "refused"
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
            `undo` (list of what changing modules returned), `evidence` (path or None), `seconds` (phase -> seconds),
            perhaps `would_change` and `would_fail` (see foreseen.of_lines), `alert` (arguments of recurrence.answered).
            For reports, where given: `objectives` (the inventory's: `recovery_time_seconds`), `severity` (text).
    """
    outcome = decide(facts)
    alert = answered(**facts["alert"]) if outcome == "healthy" and facts.get("alert") else None
    chosen, refusals = _cause_of(facts), _refusals(facts)
    summary: Json = {
        "run": facts["run"],
        "target": facts["target"],
        "outcome": outcome,
        "exit_code": EXIT_CODES[outcome],
        "failing": {name: check["summary"] for name, check in _failing(facts["first"]).items()},
        "cause": chosen["cause"] if chosen else None,
        "why": chosen["why"] if chosen else None,
        "remedy": chosen["remedy"] if chosen else None,
        "risk": chosen.get("risk") if chosen else None,
        "attempts": facts["history"],
        "refusals": refusals,
        "would_change": facts.get("would_change", []) if outcome == "refused" else [],
        "would_fail": facts.get("would_fail", "") if outcome == "refused" else "",
        "passed": list((facts["guard"] or {}).get("passed", [])),
        "alert": alert,
        "error": facts["error"] or None,
        "changes": facts["changes"],
        "undo": facts["undo"],
        "evidence": facts["evidence"],
        "seconds": facts["seconds"],
        "next_step": _next_step(outcome, facts, chosen, refusals),
        "final": _seen(facts["final"]),
        "objectives": facts.get("objectives") or {},
        "severity": facts.get("severity") or None,
    }
    return {"outcome": outcome, "target": facts["target"], "summary": summary, "lines": wording.lines(summary, facts)}


def conclude_job(run: str, facts: Json) -> Json:
    """The same shape for a job that cures nothing, such as keeping a baseline.

    Args:
        run: The run's id.
        facts: `target`, `outcome` (a key of EXIT_CODES), `message` (what was done, or why not), `changes`, `undo`,
            `next_step`. Kept in the summary where given: `keys` ({key: {before, wanted, after, status, note}}),
            `seconds` (a number, or phase -> seconds), `measured` (see experiment.judge, or None).

    Raises:
        BadInput: The outcome is none.
    """
    if facts["outcome"] not in EXIT_CODES:
        raise BadInput("is no outcome", f"outcome {facts['outcome']!r}", f"One of {', '.join(EXIT_CODES)}.")
    summary = {**facts, "run": run, "exit_code": EXIT_CODES[facts["outcome"]]}
    said = wording.job_lines(summary)
    return {"outcome": facts["outcome"], "target": facts["target"], "summary": summary, "lines": said}


_OF_ERROR = {"Refused": "refused", "OpsError": "failed", "CannotLook": "escalated"}


def of_results(results: list[Json], check: bool, nothing: str) -> Json:
    """What came of a job that is several calls of one module: `outcome`, `message`, `next_step`, `findings`.

    Args:
        results: The answers, as a loop registers them. `findings` in them ({where, what, hint}) are left to a person.
        check: Whether they only predict.
        nothing: What is wrong where there was nothing to do at all.

    Raises:
        BadInput: Wrong input, or an answer that is no module's of ours.
    """
    failed = [result for result in results if result.get("failed")]
    for result in failed:
        error = result.get("error") or {}
        if error.get("kind") not in _OF_ERROR:
            raise BadInput(
                str(error.get("what") or result.get("msg", "")), error.get("where", ""), error.get("hint", "")
            )
    findings = [finding for result in results if not result.get("failed") for finding in result.get("findings") or []]
    hints = [(result["error"].get("hint") or "") for result in failed] + [finding["hint"] for finding in findings]
    if check and any(result.get("changed") for result in results):
        hints.append("run again without --check")
    told = {
        "message": "; ".join(str(result.get("message") or result.get("msg")) for result in results) or nothing,
        "next_step": " ; ".join(dict.fromkeys(hint for hint in hints if hint)),
        "findings": findings,
    }
    outcomes = [_OF_ERROR[result["error"]["kind"]] for result in failed]
    if findings or not results:
        outcomes.append("refused")
    if any(result.get("changed") for result in results):
        outcomes.append("predicted" if check else "done")
    codes = {outcome: EXIT_CODES[outcome] for outcome in outcomes or ["healthy"]}
    return {**told, "outcome": next(name for name, code in codes.items() if code == gravest(codes.values()))}


def _cause_of(facts: Json) -> Json | None:
    """What the person has to hear of: what cured it, else what was found last."""
    if facts["history"] and facts["history"][-1]["stable"]:
        return t.cast("Json", facts["history"][-1]["chosen"])
    chosen = (facts["diagnosis"] or {}).get("chosen")
    return t.cast("Json | None", chosen or (facts["history"][-1]["chosen"] if facts["history"] else None))


def _seen(document: Json) -> Json:
    """A probe document without its measurements."""
    checks = {name: {key: check[key] for key in ("status", "summary")} for name, check in document["checks"].items()}
    return {"taken_at": document.get("taken_at"), "status": document["status"], "checks": checks}


def _failing(document: Json) -> dict[str, Json]:
    return {name: check for name, check in document["checks"].items() if check["status"] in ("critical", "unknown")}


def _refusals(facts: Json) -> list[Json]:
    if facts["lease_refused"]:
        same = again({"again": wording.commands(facts["run"])["again"], "target": facts["target"]}, [], [])
        step = f"Wait for the other run to end, then: {same}"
        return [{"rule": "lease", "reason": facts["lease_refused"], "next_step": step}]
    if facts["history"] and facts["history"][-1]["stable"]:
        return []
    if facts["history"] and facts["history"][-1]["refused"] and not (facts["diagnosis"] or {}).get("chosen"):
        return [{"rule": "module", "reason": facts["history"][-1]["failed"], "next_step": ""}]
    return list((facts["guard"] or {}).get("refusals", []))


def _next_step(outcome: str, facts: Json, chosen: Json | None, refusals: list[Json]) -> str:
    if outcome in ("healthy", "remedied", "recovered"):
        return "none"
    if outcome == "predicted":
        return (
            "run again without --check"
            if facts["check_mode"]
            else "run it: the same playbook without remediate_act=false"
        )
    steps = [refusal["next_step"] for refusal in refusals if refusal["next_step"]]
    if steps and (outcome == "refused" or (facts["guard"] or {}).get("escalates")):
        return " ; ".join(steps)
    if chosen and chosen.get("next_step"):
        return str(chosen["next_step"]).replace("{target}", facts["target"])
    unknown = [name for name, check in facts["first"]["checks"].items() if check["status"] == "unknown"]
    if unknown and facts["first"]["status"] == "unknown":
        return f"look as a user who may, or mend what is said above: {', '.join(unknown)} could not be determined"
    return (
        f"read the evidence: {facts['evidence']}" if facts["evidence"] else "look at the failing checks above by hand"
    )


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
            module of ours failed, `unreachable`.
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
    code = {"wrong input": 2, "internal error": 1, "unfinished": 1, **EXIT_CODES}[word]
    return {"code": code, "word": word, "why": why, "next_step": step}


UNTOUCHED = _problem("untouched", "the run ended before it came to this host", "")
UNFINISHED = _problem("unfinished", "it was at work when the run was interrupted; what had begun ends by itself", "")
