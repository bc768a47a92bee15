# SPDX-License-Identifier: GPL-3.0-or-later
"""From the command line that started a plain ansible-playbook to the ones that a person types next. Pure."""

from __future__ import annotations

import typing as t
from pathlib import PurePath

from ..module_utils.redact import redact

LIMIT = ("-l", "--limit")
INVENTORY = ("-i", "--inventory", "--inventory-file")


def commands(argv: t.Sequence[str], playbook: str, run: str) -> dict[str, t.Any]:
    """`again`: the same words without the limit and with secrets masked; `limit`; `undo`. Shape: wording.commands.

    Args:
        argv: As the process was started; the first is the program.
        playbook: The playbook as it was given; undo.yml lies beside it.
        run: The run's id.
    """
    limits, rest = _taken(argv[1:], LIMIT)
    inventories = [word for name in _taken(rest, INVENTORY)[0] for word in ("-i", name)]
    return {
        "again": ["ansible-playbook", *map(redact, rest)],
        "limit": limits[-1] if limits else None,
        "undo": [
            "ansible-playbook",
            *inventories,
            str(PurePath(playbook).with_name("undo.yml")),
            "-e",
            f"undo_run={run}",
        ],
    }


def _taken(words: t.Sequence[str], names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """(values of the option, the other words); all four ways of writing it: -l X, -lX, --limit X, --limit=X."""
    values: list[str] = []
    rest: list[str] = []
    waiting = iter(words)
    for word in waiting:
        name, equals, value = word.partition("=")
        if word in names:
            values.append(next(waiting, ""))
        elif equals and name.startswith("--") and name in names:
            values.append(value)
        elif len(word) > 2 and word[:2] in names and word[1] != "-":
            values.append(word[2:])
        else:
            rest.append(word)
    return values, rest
