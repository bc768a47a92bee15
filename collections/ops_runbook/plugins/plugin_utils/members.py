# SPDX-License-Identifier: GPL-3.0-or-later
"""The last healthy member of a group is not taken down: who of the others is well now, and may be relied on. Pure.

A member counts when its group lease is this run's, nobody works on its service, and a probe of this moment is ok or
only warns. What is unknown is not healthy, and what an inventory says of a member counts for nothing.
"""

from __future__ import annotations

import typing as t

from .refusal import Json, Refusal, again

WELL = ("ok", "warning")


class Group(t.NamedTuple):
    """What was seen of a group: answers of tasks that looped over hosts, as Ansible registers them (`item`: host)."""

    name: str
    members: list[str]
    leases: list[Json]
    """target_lease, acquired, for all members in sorted order."""
    busy: list[Json]
    """target_lease, read, for the lease of the service on the others."""
    probes: list[Json]
    """health_probe on the others."""


def refusal(cause: Json, facts: Json) -> Refusal | None:
    """The rule's no; facts as for guard.refusals."""
    group, host = facts["group"], facts["target"].partition("/")[0]
    if not cause.get("disrupts") or not group.name:
        return None
    if host not in group.members:
        return Refusal(
            rule="last_member",
            reason=f"it would take down what still serves, and {host} is not in the group {group.name}",
            next_step=f"Correct remediate_group in the inventory: ansible-inventory --graph {group.name}",
        )
    taken = _lease_problem(group, host)
    if taken:
        return Refusal(rule="group_lease", reason=taken, next_step=f"Wait for it to end, then: {again(facts, [], [])}")
    seen = {member: judge(group, member) for member in group.members if member != host}
    if any(why == "" for why in seen.values()):
        return None
    told = "; ".join(f"{member}: {why}" for member, why in seen.items()) or "it has no other member"
    first = next(iter(seen), None)
    other = {**facts, "target": first} if first else facts
    return Refusal(
        rule="last_member",
        reason=f"it would take down the last member of {group.name} that may still serve; {told}",
        next_step=f"Bring another member back first: {again(other, [], [])}"
        if first
        else "Add a member, or clear remediate_group in the inventory.",
    )


def judge(group: Group, member: str) -> str:
    """Why a member cannot be relied on; empty where it can."""
    lease, busy, probe = (_of(answers, member) for answers in (group.leases, group.busy, group.probes))
    held = busy.get("lease") or {}
    if held.get("held"):
        return f"{held['holder'] or 'another run'} (run {held['run_id']}) works on it"
    problem = _unusable(lease) or _unusable(busy) or _unusable(probe)
    if problem:
        return problem
    document = probe["document"]
    return "" if document["status"] in WELL else f"{document['status']}, {_worst(document)}"


def _lease_problem(group: Group, host: str) -> str:
    """Why the group's lease is not ours: somebody has it on a member, or it could not be taken here."""
    for answer in group.leases:
        if (answer.get("error") or {}).get("kind") == "Refused":
            return f"on {answer['item']}: {answer['error']['what']}"
    own = _unusable(_of(group.leases, host))
    return f"the lease of the group {group.name} could not be taken on {host}: {own}" if own else ""


def _of(answers: list[Json], member: str) -> Json:
    return next((answer for answer in answers if answer.get("item") == member), {})


def _unusable(answer: Json) -> str:
    """Why an answer says nothing; empty where it does."""
    if answer.get("unreachable"):
        return "unreachable"
    if not answer or answer.get("skipped"):
        return "not looked at"
    # a task that may fail (failed_when: false) still tells why in msg
    failed = answer.get("failed") or answer.get("error") or not ("lease" in answer or "document" in answer)
    return f"it cannot be told ({' '.join(str(answer.get('msg', 'no answer')).split())[:200]})" if failed else ""


def _worst(document: Json) -> str:
    bad = [f"{name}: {check['summary']}" for name, check in document["checks"].items() if check["status"] not in WELL]
    return "; ".join(bad[:2])
