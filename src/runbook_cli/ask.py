# SPDX-License-Identifier: GPL-3.0-or-later
"""The question on a terminal: a remedy that only waits for a person's word is shown, and runs when they say yes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from runbook_cli.answer import Answer, Output, emit, say
from runbook_cli.outcome import gravest
from runbook_cli.terminal import some
from runbook_cli.view import change_text

if TYPE_CHECKING:
    from collections.abc import Callable

    Again = Callable[[str, str], Answer]
    """Run again on these hosts, with this cause approved."""

ASKED = {"ask", "risk"}
Document = dict[str, Any]


class Question(NamedTuple):
    """A remedy for a cause, and the targets that wait for a word about it."""

    cause: str
    remedy: str
    targets: list[Document]

    @property
    def hosts(self) -> list[str]:
        """Where they are."""
        return list(dict.fromkeys(target["host"] for target in self.targets))


def may_ask(output: Output) -> bool:
    """Whether somebody sits there: nobody is asked through a pipe, nor where a program listens."""
    return not output.is_json and sys.stdin.isatty() and sys.stderr.isatty()


def questions(targets: list[Document]) -> list[Question]:
    """What is refused by nothing but the want of a person's word, by cause."""
    found: dict[tuple[str, str], list[Document]] = {}
    for target in targets:
        summary = target["summary"]
        rules = {refusal["rule"] for refusal in summary.get("refusals") or []}
        if target["outcome"] == "refused" and rules and rules <= ASKED:
            found.setdefault((summary["cause"], summary["remedy"]), []).append(target)
    return [Question(*names, waiting) for names, waiting in found.items()]


def follow_up(answer: Answer, output: Output, again: Again) -> Answer:
    """Ask for each remedy that waits for a word; run it where the word is yes, and sum up anew."""
    asked = questions(answer.data["targets"]) if not answer.data["stopped"] else []
    if not asked:
        return answer
    emit(answer, output)
    targets, last = list(answer.data["targets"]), ""
    for question in asked:
        if not _agreed(question):
            say(f"{question.remedy}: not approved, nothing was done.")
            continue
        # The cause is approved, not the remedy: should another cause have come up meanwhile, nobody was asked about it.
        done = again(",".join(question.hosts), question.cause)
        if last:
            emit(Answer(None, last), output)
        last = done.text
        targets = [one for one in targets if one["host"] not in question.hosts] + done.data["targets"]
        if done.data["stopped"]:
            return done
    return Answer({**answer.data, "targets": targets}, last, gravest([one["exit_code"] for one in targets]))


def _agreed(question: Question) -> bool:
    """Show what a yes would change, as the run foresaw it, and ask; what would fail is not asked about."""
    for target in question.targets:
        if target["summary"]["would_fail"]:
            say(f"{target['target']}: a yes would fail: {target['summary']['would_fail']}")
            return False
    say("\n".join(_told(question)))
    return _yes(f"Run {question.remedy} on {some(question.hosts)}? [y/N] ")


def _told(question: Question) -> list[str]:
    first = question.targets[0]["summary"]
    lines = [
        "",
        f"target   {some([target['target'] for target in question.targets])}",
        f"cause    {question.cause}: {first['why']}",
        f"remedy   {question.remedy}",
        f"risk     {first['risk']}",
    ]
    lines += [f"asked    {refusal['reason']}" for refusal in first["refusals"]]
    for target in question.targets:
        changes = target["summary"]["would_change"]
        lines += [f"changes  {target['host']}: {change_text(change)}" for change in changes] or [
            f"changes  {target['host']}: nothing that can be told before"
        ]
    return lines


def _yes(question: str) -> bool:
    """A person's yes; an empty answer, the end of the input and everything else is no."""
    print(question, end="", file=sys.stderr, flush=True)  # noqa: T201 - the answer stands in the same line
    typed = sys.stdin.readline()
    if not typed:
        say("")
    return typed.strip().lower() in ("y", "yes")
