# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs changed what, from the record (collections/ops_runbook/plugins/plugin_utils/record.py says its form)."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook_cli.answer import CliError
from runbook_cli.view import columns, some

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "record.jsonl"
UNDO = "change_undo"
_PHASES = (b'"phase":"intent"', b'"phase":"acted"')
_SILENT = ("The target did not answer", "The program on the target passed its deadline")
"""How an answer begins that never came (plugin_utils/light.py)."""
_SHOWN = 5
Line = dict[str, Any]


@dataclass
class Run:
    """What one run did, without what it only predicted."""

    id: str
    at: str
    """When it first meant to act, RFC 3339 UTC."""
    modules: list[str] = field(default_factory=list)
    """Those that changed something, or may have."""
    hosts: list[str] = field(default_factory=list)
    """Where it changed something that can be put back."""
    unknown: list[str] = field(default_factory=list)
    """Where it broke off, so that nobody knows what it changed."""
    stuck: dict[str, list[str]] = field(default_factory=dict)
    """What cannot be put back: reason -> hosts."""
    undoes: str | None = None
    """The run that it undid, for an undo."""
    undone: dict[str, str] = field(default_factory=dict)
    """host -> the run that undid this one there, and is not undone itself."""

    @property
    def targets(self) -> list[str]:
        """Where an undo of it has to go."""
        return list(dict.fromkeys([*self.hosts, *self.unknown]))

    def document(self) -> dict[str, Any]:
        """The run as `undo --list` gives it."""
        stuck = [{"reason": reason, "hosts": hosts} for reason, hosts in self.stuck.items()]
        by = {run: sum(one == run for one in self.undone.values()) for run in dict.fromkeys(self.undone.values())}
        return {
            "run": self.id,
            "at": self.at,
            "modules": self.modules,
            "hosts": self.hosts,
            "unknown": self.unknown,
            "not_undone": stuck,
            "undoes": self.undoes,
            "undone_by": by,
        }


def history(records: Path) -> list[Run]:
    """Every run that acted, the latest last; empty where there is no record."""
    runs: dict[str, Run] = {}
    begun: dict[tuple[str, str], Line] = {}
    for line in _lines(records / NAME):
        key, entry = (line["run"], line["host"]), line["entry"]
        if entry.get("check"):
            continue
        run = runs.setdefault(line["run"], Run(line["run"], line["at"]))
        if line["phase"] == "intent":
            _lost(run, begun.pop(key, None))
            begun[key] = line
            continue
        intent = begun.pop(key, line)
        if (entry.get("unreachable") and entry.get("reached", True)) or str(entry.get("msg", "")).startswith(_SILENT):
            _lost(run, intent)
        elif entry.get("changed"):
            _add(run, line["host"], entry)
            _mark_undone(runs, run, intent, bool(entry.get("failed")))
    for line in begun.values():
        _lost(runs[line["run"]], line)
    for run in reversed(runs.values()):  # the latest first: an undo that was undone counts no more
        run.undone = {host: by for host, by in run.undone.items() if host not in runs[by].undone}
    return list(runs.values())


def _lines(path: Path) -> Iterator[Line]:
    """Intents and what came of them; a line that is not whole is passed over: the undo itself verifies the chain."""
    try:
        with path.open("rb") as stream:
            for raw in stream:
                if any(phase in raw for phase in _PHASES):
                    with contextlib.suppress(ValueError):
                        line = json.loads(raw)
                        if line["phase"] in ("intent", "acted"):
                            yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise CliError(f"the record cannot be read ({error.strerror})", str(path)) from None


def _lost(run: Run, intent: Line | None) -> None:
    """Nobody knows what came of an intent."""
    if intent:
        _once(run.modules, intent["entry"]["module"])
        _once(run.unknown, intent["host"])


def _add(run: Run, host: str, entry: Line) -> None:
    _once(run.modules, entry["module"])
    for step in undo_steps(entry.get("undo") or {}):
        _once(run.stuck.setdefault(str(step.get("reason")), []) if step.get("kind") == "none" else run.hosts, host)


def _once(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)


def _mark_undone(runs: dict[str, Run], run: Run, intent: Line, failed: bool) -> None:
    if intent["entry"]["module"] == UNDO:
        run.undoes = str(intent["entry"].get("arguments", {}).get("run"))
        if run.undoes in runs and not failed:
            runs[run.undoes].undone[intent["host"]] = run.id


def undo_steps(undo: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The single steps of what a changing module returned as its undo."""
    if undo.get("kind") == "steps":
        for step in undo["steps"]:
            yield from undo_steps(step)
    elif undo:
        yield undo


def find(records: Path, name: str) -> Run:
    """The run called name; `last` is the latest that can be undone, is no undo itself, and is not undone everywhere.

    Raises:
        CliError: 2 for a run that is not known or changed nothing, 7 for one of which nothing can be put back.
    """
    runs = history(records)
    if name == "last":
        open_ = [run for run in runs if not run.undoes and set(run.targets) - set(run.undone)]
        if open_:
            return open_[-1]
        raise CliError("there is no run that could be undone", str(records / NAME), "See 'runbook undo --list'.")
    known = next((run for run in runs if run.id == name), None)
    if known is None or not (known.targets or known.stuck):
        what = "changed nothing" if known else "is not in the record, or changed nothing"
        raise CliError(f"run {name!r} {what}", str(records / NAME), _latest(runs))
    if not known.targets:
        reasons = "; ".join(f"{reason} ({some(hosts)})" for reason, hosts in known.stuck.items())
        raise CliError(f"nothing of run {name} can be put back: {reasons}", code=7)
    return known


def _latest(runs: list[Run]) -> str:
    told = [run for run in reversed(runs) if run.targets][:_SHOWN]
    if not told:
        return "No run in it can be undone."
    return "The last ones that can be undone:\n" + columns([_row(run) for run in told], "  ")


def _row(run: Run) -> list[str]:
    what = f"undo of {run.undoes}" if run.undoes else ", ".join(run.modules)
    where = [some(run.hosts)] if run.hosts else []
    where += [f"not known: {some(run.unknown)}"] if run.unknown else []
    return [run.id, run.at[:19].replace("T", " "), what, "; ".join(where)]


def list_text(runs: list[Run]) -> str:
    """`runbook undo --list`, the latest first."""
    if not runs:
        return "No run in the record can be undone."
    rows = [["RUN", "WHEN (UTC)", "WHAT", "HOSTS", "UNDONE BY"]]
    return columns([*rows, *([*_row(run), _undone(run)] for run in runs)])


def _undone(run: Run) -> str:
    by = run.document()["undone_by"]
    total = len(run.targets)
    return (
        ", ".join(name if count >= total else f"{name} ({count} of {total} hosts)" for name, count in by.items()) or "-"
    )
