# SPDX-License-Identifier: GPL-3.0-or-later
"""The sentences of a report. Pure; what they are put into escapes them."""

from __future__ import annotations

import shlex
from typing import Any

from runbook_cli import report_times as times

Json = dict[str, Any]
ENDED = {
    "healthy": "was healthy, and nothing was done",
    "done": "is done",
    "remedied": "was cured, and proven to stay well",
    "recovered": "got well by itself before anything was done",
    "predicted": "was only looked at; nothing was changed",
    "failed": "is not cured: the remedy failed",
    "unverified": "is not cured: a remedy ran, and the symptom is not gone",
    "reverted": "was put back at once, because the change did harm",
    "refused": "is left to a person",
    "untouched": "was not touched: the run ended before it came to this host",
    "escalated": "needs a person: no safe act is known",
    "unreachable": "was not reached",
    "unfinished": "has no end in the record: the run broke off",
}
_FEW = 4
KINDS = {
    "recovery": "recovery",
    "diagnosis": "diagnosis (looked only)",
    "check": "prediction (check mode, nothing was changed)",
    "job": "job",
    "undo": "undo",
}


def summary(document: Json) -> list[str]:
    """What a reader in a hurry needs, in a few sentences."""
    main = main_section(document["sections"])
    told = _with_others(main, document["sections"]) if main else _several(document)
    return told + [sentence for sentence in [objective(document), chain(document["record"])] if sentence]


def main_section(sections: list[Json]) -> Json | None:
    """The only section that has much to say, if there is one: the summary says it then."""
    sick = [one for one in sections if one["times"]["detected"]]
    if len(sections) > 1 and (len(sections) > _FEW or len(sick) != 1):
        return None
    return sick[0] if sick else sections[0]


def _with_others(main: Json, sections: list[Json]) -> list[str]:
    return of_section(main) + [f"{_name(one)} {ended(one)}." for one in sections if one is not main]


def _several(document: Json) -> list[str]:
    told = [f"{_name(one)} {ended(one)} (run {one['run']})." for one in document["sections"]]
    counts = ", ".join(f"{number} {outcome}" for outcome, number in document["outcomes"].items())
    why = document["times"]["unresolved"]
    left = [f"It is not resolved: {why}."] if why and not document["objective"] else []
    return (told if len(told) <= _FEW else [f"Of {len(told)} hosts: {counts}."]) + left


def ended(one: Json) -> str:
    """How one section ended, without its subject."""
    return ENDED.get(str(one["outcome"]), str(one["outcome"]))


def of_section(one: Json) -> list[str]:
    """What happened on one host in one run."""
    told = _seen(one) + _why(one)
    if one["kind"] in ("job", "undo") and one["message"]:
        told.append(f"{one['message'].rstrip('.')}.")
    told.append(f"{_name(one)} {ended(one)}{_stable(one)}.")
    told += _as_left(one)
    told += [f"Refused by rule '{refusal['rule']}': {refusal['reason']}." for refusal in one["refusals"]]
    told += [f"It broke off: {one['error']}."] if one["error"] else []
    return told + ([one["broke_off"]] if one["broke_off"] else [])


def _name(one: Json) -> str:
    lead = {"undo": "The undo on ", "job": "The job on "}.get(one["kind"], "")
    return f"{lead}{one['target']}"


def _seen(one: Json) -> list[str]:
    failing = one["impact"]["failing"]
    if not failing:
        return []
    more = f", and {len(failing) - 1} more checks failed" if len(failing) > 1 else ""
    told = [f"{one['target']} was not well: {failing[0]['seen']}{more}."]
    occurred = one["times"]["occurred"]
    if occurred["at"]:
        waited = times.span(one["times"]["to_detect"])
        told.append(f"The first bad sign is from {times.clock(occurred['at'])} UTC, {waited} before it was detected.")
    elif one["times"]["detected"]:
        told.append(f"When it began is not known: {occurred['why_unknown']}.")
    return told


def _why(one: Json) -> list[str]:
    told = [f"Cause: {cause['cause']}. {cause['why']}" for cause in one["causes"]]
    if one["impact"]["failing"] and not one["causes"] and one["unexplained"]:
        told.append(f"No known cause explains {', '.join(one['unexplained'])}.")
    return told


def _stable(one: Json) -> str:
    seconds = (one["proof"] or {}).get("stable_seconds")
    return f" ({times.span(seconds)} without a bad probe)" if seconds and one["proof"]["stable"] else ""


def _as_left(one: Json) -> list[str]:
    """How the checks of a healthy target stood."""
    checks = one["final"]
    if one["outcome"] != "healthy" or not checks:
        return []
    good = sum(check["status"] == "ok" for check in checks.values())
    others = [f"{name}: {check['seen']}" for name, check in checks.items() if check["status"] != "ok"]
    return ["; ".join([f"{good} of {len(checks)} checks are ok", *others]) + "."]


def objective(document: Json) -> str | None:
    """The recovery time beside its objective."""
    wanted, why = document["objective"], document["times"]["unresolved"]
    if wanted is None:
        return None
    limit = f"the objective is {times.span(wanted['seconds'])}"
    if wanted["took"] is None:
        return f"It is not resolved ({why}); {limit}." if why else None
    since = "the first bad sign" if wanted["from"] == "occurred" else "it was detected"
    judged = {True: ": met", False: ": missed", None: "; how long it was down before that is not known"}[wanted["met"]]
    return f"It was well again {times.span(wanted['took'])} after {since}; {limit}{judged}."


def chain(record: Json) -> str:
    """Whether the record may be believed."""
    first, last = record["first"], record["last"]
    lines = f"line {first}" if first == last else f"lines {first} to {last}"
    if not record["whole"]:
        return f"WARNING: the record's chain is broken here: {record['problem']}. Do not rely on this report."
    other = f" Elsewhere it is not: {record['elsewhere']}." if record["elsewhere"] else ""
    return f"The record's chain is whole around what this report rests on ({lines}).{other}"


def command(words: list[str]) -> str:
    """Words as they are typed."""
    return shlex.join(words)


def undo_notes(one: Json) -> list[str]:
    """What a person must know before undoing."""
    undo = one["undo"]
    notes = [f"Not undone: {reason}." for reason in undo["not_undone"]]
    if undo["brings_back"]:
        notes.append("It brings the fault back, so it wants approval: add --approve undo.")
    if undo["undone_by"]:
        notes.append(f"It was undone by run {undo['undone_by']}.")
    return notes
