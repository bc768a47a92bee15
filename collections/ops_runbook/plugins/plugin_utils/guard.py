# SPDX-License-Identifier: GPL-3.0-or-later
"""May this remedy run on this target now? A pure decision over facts; a refusal has a reason a person understands."""

from __future__ import annotations

import re
import shlex
import typing as t
from pathlib import Path

from ansible.inventory.manager import split_host_pattern

from ..module_utils.holds import read_hold
from . import freeze, members, recurrence
from .diagnosis import ALWAYS, RISKS
from .errors import Refused
from .refusal import Json, Refusal, again, approve

REPORT_ONLY = "report_only"
ESCALATE = "escalate"
"""A cause with this remedy is known, and no safe act for it is."""


def positive_tokens(pattern: str) -> list[str]:
    """The parts of a host pattern that name hosts: `web:!web1` has `web`; `!web1`, `,` and the empty text have none.

    Split as Ansible does, which drops what it cannot read: `~[` becomes `~`, an expression that matches every host.
    """
    tokens = [token.strip() for token in split_host_pattern(pattern)]
    return [token for token in tokens if token.strip("~,: ") and token[0] not in "!&" and not _is_empty_file(token)]


def _is_empty_file(token: str) -> bool:
    """Whether `@FILE` is a file without a host: Ansible takes every host for that, too."""
    if not token.startswith("@"):
        return False
    try:
        return not Path(token[1:]).expanduser().read_text(encoding="utf-8").strip()
    except OSError:
        return False  # Ansible says so itself


def limit_refusal(limit: str | None) -> Refusal | None:
    """Ansible itself takes every host for `--limit ""`, `","` and `":"`; here an empty target means refuse."""
    if limit is None or positive_tokens(limit):
        return None
    return Refusal(
        rule="empty_target",
        reason=f"--limit {limit!r} names no host, and Ansible would take every host for it",
        next_step="Name a host or group: --limit db1",
    )


def remedy_file(remedy: str, folders: t.Iterable[str]) -> str | None:
    """The first existing `tasks/remedies/<remedy>.yml` below the given role folders."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", remedy):
        return None
    for folder in folders:
        path = Path(folder) / "tasks" / "remedies" / f"{remedy}.yml"
        if path.is_file():
            return str(path)
    return None


def refusals(cause: Json, facts: Json) -> list[Refusal]:
    """Why the cause's remedy may not run; empty when it may.

    Args:
        cause: The chosen cause of a diagnosis.
        facts: `target`, `run`, `limit` (the run's own --limit or None), `again` (the words that started this run, and
            `lift`, those that lift the hold), `hosts` and `most_hosts` (targets of this batch and the cap),
            `kill_switch` and `hold` (as holds.read_hold gives them), `now` and `freeze` (windows), `break_glass`,
            `memory` and `memory_problem` (as guard_facts gives them), `cooldown` (seconds), `flapping` (`count`,
            `window`), `group` (members.Group), `risk_limit`, `approved` (remedies or causes), `confirm`,
            `desired_state`, `remedy_file` (path or None).
    """
    if cause["remedy"] == REPORT_ONLY:
        return [_left_to_a_person(cause, facts)]
    if cause["remedy"] == ESCALATE:
        return [refusal for rule in (_empty_target, _missing_remedy) if (refusal := rule(cause, facts))]
    facts = {**facts, "approves": bool({cause["remedy"], cause["cause"]} & set(facts["approved"]))}
    return [refusal for rule in RULES if (refusal := rule(cause, facts))]


def let_through(cause: Json, facts: Json) -> list[Json]:
    """Rules that would have said no, and what a person said to let them pass: `rule`, `reason`, `by`."""
    silent = {**facts, "approved": [], "break_glass": "", "desired_state": "unspecified"}
    said = {refusal["rule"] for refusal in refusals(cause, facts)}
    by = {"freeze": f"break glass: {' '.join(facts['break_glass'].split())}"}
    if not {cause["remedy"], cause["cause"]} & set(facts["approved"]):
        by["ask"] = f"desired state: {facts['desired_state']}"
    passed = [refusal for refusal in refusals(cause, silent) if refusal["rule"] not in said]
    return [
        {"rule": one["rule"], "reason": one["reason"], "by": by.get(one["rule"], "approved by a person")}
        for one in passed
    ]


def escalates(refused: list[Refusal], facts: Json) -> bool:
    """Whether this is the one time that a flapping service is brought before a person."""
    return any(one["rule"] == recurrence.FLAPPING for one in refused) and not recurrence.escalation(facts)


def _left_to_a_person(cause: Json, facts: Json) -> Refusal:
    step = str(cause.get("next_step") or "").replace("{target}", facts["target"])
    return Refusal(rule=REPORT_ONLY, reason=f"{cause['cause']} is left to a person", next_step=step)


def _empty_target(_cause: Json, facts: Json) -> Refusal | None:
    return limit_refusal(facts["limit"])


def _kill_switch(_cause: Json, facts: Json) -> Refusal | None:
    return kill_switch_refusal(facts["kill_switch"])


def _hold(_cause: Json, facts: Json) -> Refusal | None:
    hold = facts["hold"]
    refusal = _stop_file(hold, "hold", "a hold is in force on the target", "When it is over, on the target")
    if refusal and facts["lift"] and "by" in hold:
        refusal["next_step"] = f"When it is over: {shlex.join(facts['lift'])}"
    return refusal


def demand_no_kill_switch(path: str) -> None:
    """For a module that acts without remedy_guard.

    Raises:
        Refused: The kill switch is set.
    """
    refusal = kill_switch_refusal(read_hold(str(Path(path).expanduser())))
    if refusal:
        raise Refused(refusal["reason"], hint=refusal["next_step"])


def kill_switch_refusal(found: Json | None) -> Refusal | None:
    """The kill switch's refusal; found is its file, {path, text}, or None where there is none."""
    return _stop_file(found, "kill_switch", "the kill switch is set on the controller", "When it is safe again")


def _stop_file(found: Json | None, rule: str, reason: str, when: str) -> Refusal | None:
    """A file that a person left; its text is the reason, and removing it lifts the refusal."""
    if found is None:
        return None
    said = found["text"].strip() or "no reason given"
    return Refusal(rule=rule, reason=f"{reason} ({said})", next_step=f"{when}: rm {found['path']}")


def _blast_radius(_cause: Json, facts: Json) -> Refusal | None:
    if facts["hosts"] <= facts["most_hosts"]:
        return None
    return Refusal(
        rule="blast_radius",
        reason=f"this batch takes {facts['hosts']} hosts at once, and the cap is {facts['most_hosts']}",
        next_step="Use --limit or a smaller serial, or raise remediate_most_hosts in the inventory.",
    )


def _missing_remedy(cause: Json, facts: Json) -> Refusal | None:
    if facts["remedy_file"]:
        return None
    if cause["remedy"] == ESCALATE:
        return Refusal(rule=ESCALATE, reason="no safe act is known", next_step=str(cause.get("next_step") or ""))
    return Refusal(
        rule="missing_remedy",
        reason=f"the remedy {cause['remedy']} does not exist",
        next_step=f"Add tasks/remedies/{cause['remedy']}.yml to the pack, or correct the cause {cause['cause']}.",
    )


def _asked(cause: Json, facts: Json) -> Refusal | None:
    wanted = facts["desired_state"] == "started" and cause.get("ask") != ALWAYS
    if not cause.get("ask") or wanted or facts["approves"]:
        return None
    return Refusal(
        rule="ask",
        reason=f"{cause['cause']}: a person may have done this on purpose",
        next_step=f"If it is wanted: {approve(cause, facts)}",
    )


def _risk(cause: Json, facts: Json) -> Refusal | None:
    limit = facts["risk_limit"]
    if RISKS.index(cause["risk"]) <= RISKS.index(limit) or facts["approves"]:
        return None
    return Refusal(
        rule="risk",
        reason=f"the remedy's risk is {cause['risk']}, above the automatic level {limit}",
        next_step=f"If it is wanted: {approve(cause, facts)}",
    )


def _destructive(cause: Json, facts: Json) -> Refusal | None:
    if cause["risk"] != "destructive" or facts["confirm"] == facts["target"]:
        return None
    confirm = ["-e", f"remediate_confirm={facts['target']}"]
    return Refusal(
        rule="confirm",
        reason="the remedy destroys data and nothing grants that automatically",
        next_step=f"If it is wanted: {again(facts, confirm, confirm)}",
    )


RULES = (
    _empty_target,
    _kill_switch,
    _hold,
    freeze.refusal,
    _blast_radius,
    _missing_remedy,
    recurrence.memory_refusal,
    recurrence.flapping_refusal,
    recurrence.cooldown_refusal,
    members.refusal,
    _asked,
    _risk,
    _destructive,
)
"""In this order; all that say no are heard."""
