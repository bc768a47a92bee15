# SPDX-License-Identifier: GPL-3.0-or-later
"""Which undo steps take a run back on one host, read from the record; and why it may not be taken back.

Sixty workers read the record at once, so it is read once, and only lines that can matter are parsed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import typing as t
from pathlib import Path

from . import record
from .errors import BadInput, Refused
from .packing import SOURCES

Json = dict[str, t.Any]
_UNDO = b'"module":"change_undo"'
SILENT = ("The target did not answer", "The program on the target passed its deadline")  # light.py, _no_answer
_MASKS = ("***", "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")
_BY_HAND = "Look on {host} at: ls -l /var/lib/ops-runbook/undo/{run}; then run its playbook with --check"
_APPROVE = "run again with --approve undo (ansible-playbook: -e undo_approved=true)"


class Act(t.NamedTuple):
    """A changing module's call: what it intended, and what came of it (None: nobody knows)."""

    run: str
    intent: Json
    acted: Json | None

    @property
    def changed(self) -> bool:
        """Whether it is known to have changed something."""
        return bool(self.acted and self.acted.get("changed") and not self.acted.get("check"))

    @property
    def lost(self) -> bool:
        """Whether nobody knows what it changed."""
        if self.intent.get("check"):
            return False
        if self.acted is None or (self.acted.get("unreachable") and self.acted.get("reached", True)):
            return True
        return "changes" not in self.acted and str(self.acted.get("msg", "")).startswith(SILENT)


class Plan(t.NamedTuple):
    """What to do: the steps, latest change first; the leases that the run had; and why there are no steps."""

    steps: list[Json]
    leases: list[str]
    message: str


def plan(where: Path, run: str, host: str, approved: bool) -> Plan:
    """What takes a run back on a host.

    Raises:
        BadInput: There is no such run in the record.
        Refused: The record is damaged, the effect of an act is not known, or it would bring a fault back.
    """
    if not run or run == record.run_id():
        raise BadInput("it names no earlier run", "run", "Give the id that its summary says: -e undo_run=ID")
    known, lines = _read(where, run, host)
    if not known:
        raise BadInput(f"there is no run {run!r} in the record", str(where / record.NAME), _latest(where))
    acts = list(_acts(lines))
    own = [act for act in acts if act.run == run]
    undone = _undoer(acts, run)
    if undone:
        return Plan([], [], f"run {run} is already put back here, by run {undone}")
    changed = [act for act in reversed(own) if act.changed]
    if not approved:
        _demand_known(own, host)
        _demand_no_cure(lines, run, bool(changed))
    steps = [step for act in changed for step in _steps(act)]
    if any(mask in json.dumps(steps) for mask in _MASKS):
        raise Refused(
            "the record does not tell all of it: a part looked like a secret and was masked",
            f"run {run}",
            _BY_HAND.format(host=host, run=run),
        )
    leases = {str(act.intent["arguments"].get("lease") or ""): None for act in own}
    return Plan(steps, [name for name in leases if name], f"run {run} changed nothing here")


def elsewhere(where: Path, run: str, host: str, known: t.Container[str]) -> list[str]:
    """For a host that the run knows by no such name: those that it changed and that are not among the known ones."""
    found: dict[str, None] = {}
    for raw in _lines(where):
        if _is_of(raw, run):
            line = json.loads(raw)
            if line["host"] == host:
                return []
            changed = line["phase"] == "acted" and line["entry"].get("changed") and not line["entry"].get("check")
            if changed and line["host"] not in known:
                found[line["host"]] = None
    return list(found)


def later(where: Path, run: str, host: str, thing: str) -> str | None:
    """The last run after this one that changed the same thing on the host; None where none of ours did."""
    found, begun, named = None, False, json.dumps(thing)[1:-1].encode()
    for raw in _lines(where):
        if _is_of(raw, run):
            begun = True
        elif begun and named in raw and _named(host) in raw and b'"phase":"acted"' in raw:
            line = json.loads(raw)
            if line["host"] == host and line["entry"].get("changed") and not line["entry"].get("check"):
                found = str(line["run"])
    return found


def modules(steps: t.Iterable[Json], leases: bool) -> list[str]:
    """What of module_utils these steps need besides undo itself."""
    kinds: set[str] = set()
    waiting = list(steps)
    while waiting:
        step = waiting.pop()
        waiting += step.get("steps", [])
        kinds |= {str(step.get("kind"))} | ({"service_state"} if step.get("kind") == "unit" else set())
    return [*sorted(f"undo_steps.{kind}" for kind in kinds if f"undo_steps.{kind}" in SOURCES), *["lease"] * leases]


# ---- reading


def _read(where: Path, run: str, host: str) -> tuple[bool, list[record.Line]]:
    """Whether the run is known at all; and of this host its lines, and those of all undoing, oldest first."""
    known = False
    found: list[record.Line] = []
    for raw in _lines(where):
        mine = _is_of(raw, run)
        known = known or mine
        if mine or _UNDO in raw:
            line: record.Line | None = json.loads(raw) if _named(host) in raw else None
            if line and line["host"] == host:
                found.append(line)
    return known, found


def _named(host: str) -> bytes:
    return b'"host":' + json.dumps(host).encode()


def _is_of(raw: bytes, run: str) -> bool:
    """Whether a line is one of the run; nothing before its own field `run` can look like it."""
    return raw.startswith(b'"run":' + json.dumps(run).encode() + b',"host":', raw.find(b'"run":'))


def _lines(where: Path) -> t.Iterator[bytes]:
    """The record's lines, each seen to follow the one before it, as record.append wrote them.

    Raises:
        Refused: A line was edited, dropped or moved, or the end was cut.
    """
    previous, place = record.ORIGIN, 0
    try:
        with (where / record.NAME).open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)  # whole lines only; what comes later is other hosts'
            end = os.fstat(stream.fileno()).st_size
            fcntl.flock(stream, fcntl.LOCK_UN)
            for number, raw in enumerate(stream, 1):
                place += len(raw)
                if place > end:
                    return
                head = f'{{"seq":{number},"previous":"{previous}",'.encode()
                if not raw.startswith(head) or not raw.endswith(b"}\n"):
                    raise _damaged(where, number)
                previous = hashlib.sha256(raw[:-1]).hexdigest()
                yield raw
    except FileNotFoundError:
        return


def _damaged(where: Path, number: int) -> Refused:
    why = record.verify(where)[1] or f"line {number} is not as it was written"
    return Refused(
        f"the record is damaged: {why}",
        str(where / record.NAME),
        "Nothing is undone on its word. Keep it as evidence under another name, and put things back by hand",
    )


def _latest(where: Path, count: int = 5) -> str:
    """The last runs of the record with what they came to, as a hint."""
    runs: dict[str, str] = {}
    for raw in reversed(list(_lines(where))):
        line = json.loads(raw)
        if line["run"] == record.run_id():
            continue
        if line["run"] not in runs and len(runs) == count:
            break
        entry = line["entry"]
        said = f"{entry['outcome']} on {entry.get('target', line['host'])}" if "outcome" in entry else ""
        runs[line["run"]] = runs.get(line["run"]) or said
    told = ", ".join(f"{run} ({said})" if said else run for run, said in runs.items())
    return f"The last runs are {told}" if told else "There are no runs in it"


# ---- judging


def _acts(lines: t.Iterable[record.Line]) -> t.Iterator[Act]:
    """Intents with what came of them; a run's acts on one host come one after the other."""
    waiting: dict[str, Json] = {}
    for line in lines:
        run, entry = line["run"], line["entry"]
        if line["phase"] == "intent":
            if run in waiting:
                yield Act(run, waiting[run], None)
            waiting[run] = entry
        elif line["phase"] == "acted":
            yield Act(run, waiting.pop(run, {"module": entry["module"], "arguments": {}}), entry)
    for run, intent in waiting.items():
        yield Act(run, intent, None)


def _undoer(acts: list[Act], run: str) -> str | None:
    """The run that took this one back and was not taken back itself."""
    for act in acts:
        undid = act.intent["module"] == "change_undo" and act.intent["arguments"].get("run") == run
        if undid and act.changed and not (act.acted or {}).get("failed") and not _undoer(acts, act.run):
            return act.run
    return None


def _steps(act: Act) -> list[Json]:
    """An act's undo as steps; where there is none, it says of what."""
    entry = act.acted or {}
    undo = entry.get("undo") or {"kind": "none", "reason": f"{act.intent['module']} told no way back"}
    if undo["kind"] == "none":
        objects = [str(change["object"]) for change in entry.get("changes") or []]
        return [{**undo, "object": objects[-1] if objects else act.intent["module"]}]
    return list(undo["steps"]) if undo["kind"] == "steps" else [undo]


def _demand_known(acts: list[Act], host: str) -> None:
    lost = [act for act in acts if act.lost]
    if not lost:
        return
    arguments = {key: value for key, value in lost[0].intent["arguments"].items() if value and key != "run_id"}
    what = (
        f"the run broke off in {lost[0].intent['module']} {json.dumps(arguments)}, and what that changed is not known"
    )
    step = f"{_BY_HAND.format(host=host, run=lost[0].run)}. To undo what is known, {_APPROVE}"
    raise Refused(what, f"run {lost[0].run}", step)


def _demand_no_cure(lines: list[record.Line], run: str, changed: bool) -> None:
    cures = [
        line["entry"]
        for line in lines
        if line["run"] == run and line["phase"] == "outcome" and line["entry"].get("outcome") == "remedied"
    ]
    if cures and changed:
        cause = f"{cures[-1].get('cause')}: {cures[-1].get('why')}"
        what = f"it cured {cures[-1].get('target')}, and undoing it would bring the fault back ({cause})"
        raise Refused(what, f"run {run}", f"If that is meant, {_APPROVE}")
