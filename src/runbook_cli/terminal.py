# SPDX-License-Identifier: GPL-3.0-or-later
"""What a terminal adds for people: colour beside the words, and tables that fit its width."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

_GOOD, _FAIR, _BAD = "32", "33", "31"
_COLOURS = {
    **dict.fromkeys(("healthy", "remedied", "recovered", "done", "ok"), _GOOD),
    **dict.fromkeys(("predicted", "refused", "untouched", "reverted", "warning", "unknown", "blocked"), _FAIR),
    **dict.fromkeys(("failed", "unverified", "escalated", "unreachable", "crashed", "unfinished", "wrong_input"), _BAD),
}
_WORDS = "|".join(_COLOURS)
# An outcome stands where it was put: after a target, in a column of its own, or at the beginning of a fleet's line.
_OUTCOME = re.compile(
    rf"^(?P<head>\S+ )(?P<upper>{_WORDS.upper()})(?=$| )"
    rf"|^(?P<first>{_WORDS})(?= {{2,}})"
    rf"|(?<=  )(?P<cell>{_WORDS})(?=  |$)",
    re.M,
)
NARROWEST = 20
"""A last column is folded to no fewer characters than these; below that the terminal itself breaks the line."""


def coloured(stream: TextIO) -> bool:
    """Whether to colour: NO_COLOR and FORCE_COLOR (or CLICOLOR_FORCE) decide, else a terminal that is not dumb."""
    if os.environ.get("NO_COLOR"):
        return False
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
        if os.environ.get(name, "0") != "0":
            return True
    return is_terminal(stream) and os.environ.get("TERM", "dumb") != "dumb"


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at it; a stream that is closed is none."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def paint(text: str) -> str:
    """The outcomes in colour; the words stay, so that nothing is said by colour alone."""
    return _OUTCOME.sub(_painted, text)


def _painted(found: re.Match[str]) -> str:
    word = found["upper"] or found["first"] or found["cell"]
    return f"{found['head'] or ''}\x1b[{_COLOURS[word.lower()]}m{word}\x1b[0m"


def width() -> int | None:
    """Columns for what goes to stdout; None where no terminal is at its end."""
    if not is_terminal(sys.stdout):
        return None
    import shutil  # noqa: PLC0415 - only on a terminal

    return shutil.get_terminal_size().columns


def table(rows: list[list[str]], indent: str = "", wide: int | None = None) -> str:
    """Rows with aligned columns, two blanks apart; the last one is not padded.

    wide: Columns there are. A row that is too long has its last cell folded below itself, between words; nothing is
    cut off. Where even that leaves no room, each row becomes a line for each cell.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    before = len(indent) + sum(widths[:-1]) + 2 * (len(widths) - 1)
    if wide is None or before + widths[-1] <= wide:
        return "\n".join(indent + _row(row, widths) for row in rows)
    if wide - before >= NARROWEST:
        return "\n".join(_folded(row, widths, indent, before, wide) for row in rows)
    named = all(name.isupper() for name in rows[0] if name)
    return "\n\n".join("\n".join(_down(rows[0] if named else None, row, indent)) for row in rows[named:])


def columns(rows: list[list[str]], indent: str = "") -> str:
    """Rows as a table that fits the terminal, if there is one."""
    return table(rows, indent, width())


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _row(row: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width_) for cell, width_ in zip(row, widths, strict=True)).rstrip()


def _folded(row: list[str], widths: list[int], indent: str, before: int, wide: int) -> str:
    import textwrap  # noqa: PLC0415 - only on a narrow terminal

    last = textwrap.wrap(row[-1], wide - before, break_long_words=False, break_on_hyphens=False) or [""]
    first = indent + _row([*row[:-1], last[0]], widths)
    return "\n".join([first, *(" " * before + line for line in last[1:])])


def _down(head: list[str] | None, row: list[str], indent: str) -> list[str]:
    """A row as lines, the head's names before its cells."""
    if head is None:
        return [indent + row[0], *(f"{indent}  {cell}" for cell in row[1:] if cell)]
    names = max(len(name) for name in head)
    return [f"{indent}{name.ljust(names)}  {cell}" for name, cell in zip(head, row, strict=True) if cell]
