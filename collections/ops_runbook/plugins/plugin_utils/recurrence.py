# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done to a service lately stands against doing it again: cooldown, flapping; and answers an old alert. Pure.

All rests on the target's own memory (module_utils/remedies.py), because another controller may have acted.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from ..module_utils.amounts import age_text
from .errors import BadInput
from .freeze import moment
from .refusal import Json, Refusal, approve

FLAPPING = "flapping"


def memory_refusal(_cause: Json, facts: Json) -> Refusal | None:
    """Without the memory nobody knows what was done."""
    problem = facts["memory_problem"]
    return Refusal(rule="memory", reason=problem["reason"], next_step=problem["next_step"]) if problem else None


def cooldown_refusal(cause: Json, facts: Json) -> Refusal | None:
    """The same remedy, of another run, a moment ago."""
    notes = [note for note in _others(facts) if note["remedy"] == cause["remedy"] and note["age"] < facts["cooldown"]]
    if not notes or facts["approves"]:
        return None
    last = min(notes, key=lambda note: note["age"])
    wait = facts["cooldown"] - last["age"]
    return Refusal(
        rule="cooldown",
        reason=f"{cause['remedy']} ran here {age_text(last['age'])} ago (run {last['run']}, {_said(last)}), "
        f"and the same remedy waits {facts['cooldown']:g} s",
        next_step=f"Find out why it is needed again; it is possible in {wait:.0f} s, or now: {approve(cause, facts)}",
    )


def flapping_refusal(cause: Json, facts: Json) -> Refusal | None:
    """A service that was cured again and again is not cured: a person hears of it once."""
    if not facts["flapping"]["count"] or facts["approves"]:
        return None
    window, earlier = facts["flapping"]["window"], escalation(facts)
    step = f"Find out why it does not stay up. Once it may run again: {approve(cause, facts)}"
    if earlier:
        reason = f"run {earlier['run']} has escalated it at {earlier['at']}, and nothing is done here for {window:g} s"
        return Refusal(rule=FLAPPING, reason=f"{reason} unless a person approves", next_step=step)
    runs = cures(facts)
    if len(runs) < facts["flapping"]["count"]:
        return None
    told = ", ".join(f"{note['remedy']} at {note['at']} (run {note['run']}, {_said(note)})" for note in runs)
    reason = f"it was remedied {len(runs)} times within {window:g} s and is broken again: {told}"
    return Refusal(rule=FLAPPING, reason=reason, next_step=step)


def escalation(facts: Json) -> Json | None:
    """The escalation of another run that is still in force; None where there is none."""
    last = (facts["memory"] or {}).get("escalated")
    return last if last and last["run"] != facts["run"] and last["age"] < facts["flapping"]["window"] else None


def cures(facts: Json) -> list[Json]:
    """Other runs' last remedies within the window that cured, or may have: what broke off is not known to have not."""
    notes = [note for note in _others(facts) if note["age"] < facts["flapping"]["window"]]
    return list({note["run"]: note for note in notes if note["result"] != "not_cured"}.values())


def _others(facts: Json) -> list[Json]:
    return [note for note in (facts["memory"] or {}).get("remedies", []) if note["run"] != facts["run"]]


def _said(note: Json) -> str:
    return {"begun": "broke off", "cured": "cured", "not_cured": "did not cure"}[note["result"]]


def answered(alert_at: str, lookback: float, memory: Json | None) -> Json:
    """What a healthy target says to an alert: {at, run, remedy, cured_at, text}; run is None where none cured it.

    Args:
        alert_at: When the alert began, RFC 3339.
        lookback: Seconds before the alert within which a cure counts: alerts come late.
        memory: What the target remembers; None where it cannot be read.
    """
    alert = moment(alert_at, "remediate_alert_at")
    at = _utc(alert)
    if memory is None:
        return {"at": at, "run": None, "text": f"healthy since the alert of {at}; who cured it cannot be read"}
    since = alert - timedelta(seconds=lookback)
    notes = [note for note in memory["remedies"] if note["result"] == "cured" and _time(note) >= since]
    if not notes:
        return {"at": at, "run": None, "text": f"healthy after the alert of {at}; no run of ours cured it since"}
    last = notes[-1]
    gap = (_time(last) - alert).total_seconds()
    when = f"{age_text(abs(gap))} {'after' if gap >= 0 else 'before'} the alert of {at}"
    text = f"run {last['run']} cured it ({last['remedy']} at {last['at']}, {when})"
    return {"at": at, "run": last["run"], "remedy": last["remedy"], "cured_at": last["at"], "text": text}


def _time(note: Json) -> datetime:
    return moment(note["at"], "at")


def _utc(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def validate(flapping: Json, cooldown: float, alert_at: str = "") -> None:
    """Refuse what makes no sense before a target is touched.

    Raises:
        BadInput: A count or time below zero, or an alert's time that is none.
    """
    numbers: dict[str, t.Any] = {
        "remediate_cooldown": cooldown,
        "remediate_flapping.count": flapping["count"],
        "remediate_flapping.window": flapping["window"],
    }
    for name, value in numbers.items():
        if not 0 <= value < float("inf"):
            raise BadInput(f"{value} is not 0 or more", name, "Give a number; 0 switches the rule off.")
    if alert_at:
        moment(alert_at, "remediate_alert_at")
