# SPDX-License-Identifier: BSD-2-Clause
"""Files before and after, as a person compares them; secrets are masked first."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .managed_file import Content

_LINES, _CHARACTERS = 4000, 16384


def text_diff(files: list[tuple[str, Content, Content]]) -> dict[str, str]:
    """{prepared: unified diffs of (path, before, after)}; where nothing but a secret changed no line shows."""
    text = "".join(_one(*file) for file in files)
    if len(text) > _CHARACTERS:
        kept = text[:_CHARACTERS].rpartition("\n")[0]
        text = "%s\n(%d characters more)\n" % (kept, len(text) - len(kept))
    return {"prepared": text}


def _one(path: str, before: Content, after: Content) -> str:
    from difflib import unified_diff

    from .redact import redact

    try:
        old, new = (redact((data or b"").decode("utf-8")).splitlines(True) for data in (before, after))
    except UnicodeDecodeError:
        return "%s is not text\n" % path
    if len(old) + len(new) > _LINES:
        return "%s: %d and %d lines are too many to compare here\n" % (path, len(old), len(new))
    lines = unified_diff(old, new, path + " (before)", path + " (after)")
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)
