# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook report`: what a run, or all runs of an incident, came to, from the record and the evidence alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook_cli import report_times as times
from runbook_cli.answer import CliError
from runbook_cli.history import history
from runbook_cli.outcome import gravest
from runbook_cli.report_evidence import redaction
from runbook_cli.report_lines import Place, Record, chosen, read
from runbook_cli.report_section import section
from runbook_cli.report_text import tree
from runbook_cli.report_words import ended

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]
SCHEMA = "ops.runbook/report/1"
GOOD = ("healthy", "remedied", "recovered", "done")
LEFT = ("predicted", "refused", "untouched", "escalated")
SOLVED = ("remedied", "recovered", "healthy")
PREDICTING = ("check", "diagnosis")


def build(root: Path, records: Path, run: str | None, incident: str | None, host: str | None) -> Json:
    """The report's document.

    Args:
        root: The project.
        records: The folder of the record.
        run: A run's id, or `last`; None where an incident is meant.
        incident: The incident whose runs are meant.
        host: Only this host.

    Raises:
        CliError: There is no such run, incident or host, or no record.
    """
    record = read(records)
    places = chosen(record, run, incident, host)
    redact = redaction(root)
    sections = [tree(one) for own in _by_target(places) if (one := _section(record, own, records, redact))]
    if not sections:
        raise CliError("none of its lines can be read", str(record.path), "The record is damaged there.")
    _mark_undone(sections, records)
    return {**whole(sections, incident), "record": record.chain(places), "sections": sections}


def _section(record: Record, own: list[Place], records: Path, redact: Any) -> Json | None:
    lines = record.lines(own)
    if not lines:
        return None
    target = next((one["entry"]["target"] for one in reversed(lines) if one["entry"].get("target")), None)
    looked = next((one["entry"].get("document") for one in lines if one["phase"] == "looked"), None) or {}
    seen_well = record.well_before(own[0], str(target or looked.get("target")))
    return section(lines, seen_well, records, redact)


def _by_target(places: list[Place]) -> list[list[Place]]:
    """The lines of each run on each host, in the order in which they began."""
    found: dict[tuple[str, str], list[Place]] = {}
    for place in places:
        found.setdefault((place.run, place.host), []).append(place)
    return list(found.values())


def _mark_undone(sections: list[Json], records: Path) -> None:
    """Say by which run a run was undone, and which run an undo took back."""
    runs = {one.id: one for one in history(records)}
    for one in sections:
        known = runs.get(one["run"])
        one["undoes"] = known.undoes if known else None
        one["undo"]["undone_by"] = known.undone.get(one["host"]) if known else None


def whole(sections: list[Json], incident: str | None) -> Json:
    """What all sections come to together."""
    outcomes: dict[str, int] = {}
    for one in sections:
        outcomes[one["outcome"]] = outcomes.get(one["outcome"], 0) + 1
    codes = [one["exit_code"] if one["exit_code"] is not None else 1 for one in sections]
    moments = _moments(sections)
    return {
        "schema": SCHEMA,
        "title": _title(sections, incident, outcomes),
        "incident": incident,
        "severity": next((one["severity"] for one in sections if one["severity"]), None),
        "outcomes": outcomes,
        "exit_code": gravest(codes),
        "times": moments,
        "objective": _objective(sections, moments),
        "runs": _runs(sections),
        "timeline": _timeline(sections),
    }


def _title(sections: list[Json], incident: str | None, outcomes: dict[str, int]) -> str:
    targets = list(dict.fromkeys(one["target"] for one in sections if one["outcome"] != "healthy"))
    lead = f"{incident}: " if incident else ""
    if len(sections) == 1 or (len(targets) == 1 and len(_runs(sections)) == 1):
        one = next((one for one in sections if one["target"] in targets), sections[0])
        causes = ", then ".join(cause["cause"] for cause in one["causes"])
        return f"{lead}{one['target']}: {', '.join(filter(None, [causes, one['outcome']]))}"
    if len(targets) == 1:
        return f"{lead}{targets[0]} in {_count(len(_runs(sections)), 'run')}"
    names = _runs(sections)[0]["playbook"] if len(_runs(sections)) == 1 else None
    hosts = len({one["host"] for one in sections})
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    return f"{lead}{names or _count(len(_runs(sections)), 'run')} on {_count(hosts, 'host')}: {told}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _runs(sections: list[Json]) -> list[Json]:
    """The runs with what was typed, when, and what came of them."""
    found: dict[str, Json] = {}
    for one in sections:
        run = found.setdefault(
            one["run"],
            {
                "run": one["run"],
                "playbook": _playbook(one["commands"]),
                "command": _typed(one["commands"]),
                "began": one["times"]["began"],
                "ended": one["times"]["ended"],
                "hosts": [],
                "outcomes": {},
            },
        )
        run["began"], run["ended"] = min(run["began"], one["times"]["began"]), max(run["ended"], one["times"]["ended"])
        run["hosts"].append(one["host"])
        run["outcomes"][one["outcome"]] = run["outcomes"].get(one["outcome"], 0) + 1
        run["command"] = run["command"] or _typed(one["commands"])
        run["playbook"] = run["playbook"] or _playbook(one["commands"])
    return list(found.values())


def _typed(commands: Json) -> list[str]:
    words = [str(word) for word in commands.get("again") or []]
    return [*words, "--limit", str(commands["limit"])] if words and commands.get("limit") else words


def _playbook(commands: Json) -> str | None:
    """The playbook's name among the words that were typed."""
    words = [str(word) for word in commands.get("again") or []]
    if words[:1] == ["runbook"] and len(words) > 2:
        return "undo" if words[1] == "undo" else words[2]
    named = [word for word in words if word.endswith((".yml", ".yaml")) and "playbook" in word]
    return named[0].rpartition("/")[2].rpartition(".")[0] if named else None


def _moments(sections: list[Json]) -> Json:
    """First sign, first look, first decision and end of all incidents in the sections; what is not known is null."""
    sick = [one for one in sections if one["times"]["detected"]]
    known = [one["times"]["occurred"] for one in sick if one["times"]["occurred"]["at"]]
    unknown = [one["times"]["occurred"]["why_unknown"] for one in sick]
    nothing = {"at": None, "sign": None, "source": None}
    occurred = min(known, key=lambda one: one["at"]) if known else {**nothing, "why_unknown": (unknown or [None])[0]}
    detected = min((one["times"]["detected"] for one in sick), default=None)
    resolved = _resolved(sections)
    return {
        "occurred": occurred,
        "detected": detected,
        "decided": min((one["times"]["decided"] for one in sick if one["times"]["decided"]), default=None),
        "acted": min((one["times"]["acted"] for one in sick if one["times"]["acted"]), default=None),
        "well": resolved["well"],
        "resolved": resolved["at"],
        "unresolved": resolved["why"],
        "to_detect": times.seconds(occurred["at"], detected),
        "to_resolve": times.seconds(detected, resolved["at"]),
        "outage": times.seconds(occurred["at"], resolved["well"]),
    }


def _resolved(sections: list[Json]) -> Json:
    """When the last of the targets was proven well, and why not where one is not (any more)."""
    last: dict[str, Json] = {}
    for one in sections:
        if one["times"]["detected"] or one["outcome"] in SOLVED:
            last[one["target"]] = one
    sick = {one["target"] for one in sections if one["times"]["detected"]}
    left = [one for target, one in last.items() if target in sick and one["outcome"] not in SOLVED]
    ends = [one for target, one in last.items() if target in sick]
    if left:
        return {"at": None, "well": None, "why": f"{left[0]['target']} {ended(left[0])}"}
    at = [one["times"]["resolved"] or one["times"]["ended"] for one in ends]
    well = [one["times"]["well"] or one["times"]["ended"] for one in ends]
    return {"at": max(at, default=None), "well": max(well, default=None), "why": None}


def _objective(sections: list[Json], moments: Json) -> Json | None:
    """The recovery time against the objective, from the first sign where that is known, else from the first look."""
    wanted = next((one["objective"] for one in sections if one["objective"] and one["kind"] not in PREDICTING), None)
    if wanted is None or not moments["detected"]:
        return None
    begin = "occurred" if moments["occurred"]["at"] else "detected"
    from_ = moments["occurred"]["at"] or moments["detected"]
    took = times.seconds(from_, moments["well"])
    met = None if took is None else took <= float(wanted)
    if met is None and moments["unresolved"]:
        met = False
    if met and begin == "detected":
        met = None  # how long it was down before the look is not known
    return {"seconds": float(wanted), "from": begin, "took": took, "met": met}


def _timeline(sections: list[Json]) -> list[Json]:
    """What happened, in the order of time: {at, host, run, kind, what, detail}."""
    events = [event for one in sections for event in _events(one)]
    return sorted(events, key=lambda event: event["at"])


def _events(one: Json) -> list[Json]:
    moments, found = one["times"], []

    def add(at: str | None, kind: str, what: str, detail: str | None = None) -> None:
        if at:
            found.append(
                {"at": at, "host": one["host"], "run": one["run"], "kind": kind, "what": what, "detail": detail}
            )

    add(moments["occurred"]["at"], "bad", "First bad sign", moments["occurred"]["sign"])
    failing = ", ".join(check["check"] for check in one["impact"]["failing"])
    add(moments["detected"], "look", "Detected", f"not well: {failing}" if failing else None)
    if one["evidence"] and one["evidence"]["present"]:
        add(moments["evidence"], "look", "Evidence kept", f"{len(one['evidence']['files'])} files")
    named = ", then ".join(cause["cause"] for cause in one["causes"])
    decided = one["causes"][0]["why"] if one["causes"] else "no cause explains it"
    add(moments["decided"], "decide", f"Cause named: {named}" if named else "No cause found", decided)
    for act in one["acts"]:
        what = "Would change" if act["predicted"] else "Act failed" if act["failed"] else "Changed"
        add(act["at"], "act", f"{what} ({act['module']})", act["message"])
    for tried in one["attempts"]:
        if not tried["stable"]:
            add(
                tried["at"],
                "bad",
                "Not cured yet",
                f"{tried['remedy']}: {tried['failed'] or 'the symptom is not gone'}",
            )
    add(moments["well"], "good", "Well again", "the first of the probes that stayed good")
    add(moments["resolved"], "good", "Resolved", _stable(one))
    ended = one["times"]["ended"]
    if one["outcome"] not in ("remedied", "recovered"):
        kind = "good" if one["outcome"] in GOOD else "decide" if one["outcome"] in LEFT else "bad"
        add(ended, kind, f"Ended: {one['outcome']}", _ending(one))
    return found


def _stable(one: Json) -> str:
    seconds = (one["proof"] or {}).get("stable_seconds")
    return f"verified stable for {times.span(seconds)}" if seconds else "it got well by itself"


def _ending(one: Json) -> str | None:
    refused = [f"{refusal['rule']}: {refusal['reason']}" for refusal in one["refusals"]]
    return one["error"] or (refused[0] if refused else one["broke_off"] or one["message"])
