# SPDX-License-Identifier: BSD-2-Clause
"""Texts before and after, as a person compares them: unified, bounded, and with secrets masked first."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .managed_file import Content

MOST = 16384
"""Characters of a diff."""
_LINES = 4000


def text_diff(files: list[tuple[str, Content, Content]]) -> dict[str, str]:
    """{prepared: unified diffs of (path, before, after)}; where nothing but a secret changed no line shows."""
    return {"prepared": cut("".join(_one(*file) for file in files))}


def unified(old: str, new: str, names: tuple[str, str], where: str = "", context: int = 3) -> str:
    """The unified diff of two texts with these names, uncut; where leads what is said of texts that are too long."""
    from difflib import unified_diff

    from .redact import redact

    was, now = (redact(text).splitlines(True) for text in (old, new))
    if len(was) + len(now) > _LINES:
        return "%s%d and %d lines are too many to compare here\n" % (where, len(was), len(now))
    lines = unified_diff(was, now, names[0], names[1], n=context)
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def cut(text: str) -> str:
    """The text, or as many whole lines of it as may be kept."""
    if len(text) <= MOST:
        return text
    kept = text[:MOST].rpartition("\n")[0]
    return "%s\n(%d characters more)\n" % (kept, len(text) - len(kept))


def _one(path: str, before: Content, after: Content) -> str:
    try:
        old, new = ((data or b"").decode("utf-8") for data in (before, after))
    except UnicodeDecodeError:
        return "%s is not text\n" % path
    return unified(old, new, (path + " (before)", path + " (after)"), path + ": ")
