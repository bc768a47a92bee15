# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of run_record: writes the record, and its head to the target's journal where a remedy runs."""

from __future__ import annotations

import typing as t
from datetime import datetime

from ansible_collections.ops.runbook.plugins.plugin_utils import foreseen, outcome, record, record_chain, record_heads
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction

_FAILURES = ("failed", "unverified", "reverted", "refused", "escalated")
_PHASES = {
    "looked": "detect",
    "leased": "decide",
    "evidence": "evidence",
    "decided": "decide",
    "foreseen": "decide",
    "acted": "act",
    "verified": "verify",
}


def seconds_by_phase(lines: list[record.Line]) -> dict[str, float]:
    """How long each phase took, from the times of a run's lines."""
    spent: dict[str, float] = {}
    before: datetime | None = None
    for line in lines:
        now = datetime.fromisoformat(line["at"])
        phase = _PHASES.get(line["phase"])
        if line["phase"] == "looked":
            spent["detect"] = float(line["entry"].get("seconds", 0.0))
        elif phase and before:
            gone = max(0.0, (now - before).total_seconds())  # a clock may jump back
            own = min(gone, float(line["entry"].get("seconds", gone)))  # before evidence comes the second look
            spent[phase] = spent.get(phase, 0.0) + own
            if gone > own:
                spent["decide"] = spent.get("decide", 0.0) + gone - own
        before = now
    return {phase: round(value, 3) for phase, value in spent.items()}


class ActionModule(LightAction):
    """Writes one line of the record."""

    NAME = "run_record"
    ENTRY = "journal"

    def perform(self, params: dict[str, t.Any], task_vars: dict[str, t.Any], no_log: set[str]) -> dict[str, t.Any]:
        """Write the line, then the head; for the outcome, sum up the run."""
        where, run, host = record.folder(), record.run_id(), str(task_vars["inventory_hostname"])
        entry = dict(params["entry"])
        answer: dict[str, t.Any] = {"changed": False, "journal": None}
        if params["facts"]:
            concluded = self._conclude(params, record.of_run(where, run, host), run)
            entry |= self.ending(concluded)
            answer |= {
                "ops_runbook": concluded,
                "message": concluded["lines"][0],
                "msg": "\n".join(concluded["lines"]),
                "failed": concluded["outcome"] in _FAILURES,
            }
        journal = params["journal"] and not self._task.check_mode
        if journal:
            entry["journal"] = True  # whoever verifies the record looks for it there
        answer["head"] = record.append(where, run, host, params["phase"], entry)
        if params["phase"] == foreseen.PHASE:
            answer |= foreseen.of_lines(record.of_run(where, run, host))
        if journal:
            message = record_heads.message(run, params["phase"], answer["head"], record_chain.first_head(where))
            errand = {"phase": params["phase"], "entry": {"message": message}, "facts": {}}
            said = self.call(errand, task_vars, no_log)
            answer["journal"] = said.get("journal") or (said.get("msg") if said.get("failed") else None)
            if answer["journal"]:
                why = {"head": answer["head"], "reason": answer["journal"]}
                record.append(where, run, host, record_chain.UNJOURNALED, why)
        return answer

    def _conclude(self, params: dict[str, t.Any], lines: list[record.Line], run: str) -> dict[str, t.Any]:
        acted = [line["entry"] for line in lines if line["phase"] == "acted"]
        done = {
            "changes": [change for entry in acted for change in entry.get("changes") or []],
            "undo": [entry["undo"] for entry in acted if entry.get("undo") and entry.get("changed")][::-1],
        }
        facts = {**params["facts"], **done}
        if params["phase"] == "job":
            return outcome.conclude_job(run, self._judged(facts))
        evidence = [line["entry"]["directory"] for line in lines if line["phase"] == "evidence"]
        seconds = seconds_by_phase(lines) or {"detect": float(facts.get("seconds") or 0.0)}
        check = bool(self._task.check_mode)
        more = {"run": run, "check_mode": check, "evidence": evidence[-1] if evidence else None, "seconds": seconds}
        return outcome.conclude({**facts, **more, **foreseen.of_lines(lines)})

    def _judged(self, facts: dict[str, t.Any]) -> dict[str, t.Any]:
        """The facts of a job; where they are the answers of several calls, with what those came to."""
        if "results" not in facts:
            return facts
        results, nothing = facts.pop("results"), facts.pop("nothing")
        return {**facts, **outcome.of_results(results, bool(self._task.check_mode), nothing)}
