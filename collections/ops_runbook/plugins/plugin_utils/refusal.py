# SPDX-License-Identifier: GPL-3.0-or-later
"""A rule's no, and the command that a person types next."""

from __future__ import annotations

import shlex
import typing as t

Json = dict[str, t.Any]


class Refusal(t.TypedDict):
    """Which rule said no, why, and what a person does next."""

    rule: str
    reason: str
    next_step: str


def again(facts: Json, cli: t.Sequence[str], plain: t.Sequence[str]) -> str:
    """The same run again on this host with more words: cli under runbook, plain under ansible-playbook.

    Args:
        facts: As for guard.refusals; `again` are the words that started this run, without a limit.
        cli: Words for runbook.
        plain: Words for ansible-playbook.
    """
    if not facts["again"]:
        return f"run again with {shlex.join(cli)}" if cli else "run again"
    more = cli if facts["again"][0] == "runbook" else plain
    return shlex.join([*facts["again"], "--limit", facts["target"].partition("/")[0], *more])


def approve(cause: Json, facts: Json) -> str:
    """The same run again with the cause's remedy approved."""
    plain = ["-e", f'{{"remediate_approved": ["{cause["remedy"]}"]}}']
    return again(facts, ["--approve", cause["remedy"]], plain)
