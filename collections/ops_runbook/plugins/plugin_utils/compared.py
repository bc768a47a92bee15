# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module's answer shows as a difference, as the record keeps it: unified, bounded, and without secrets."""

from __future__ import annotations

import difflib
import typing as t

from ..module_utils.redact import redact

MOST = 16384
"""Characters of one diff in the record."""
_MOST_LINES = 4000
_CONTEXT = 1


def unified(diff: dict[str, t.Any]) -> str:
    """A module's `diff` as text: as it was prepared, or its `before` and `after` compared; empty where it has neither.

    Secrets are masked before the texts are compared, so where only a secret differs no line shows.
    """
    if "prepared" in diff:
        return _cut(redact(str(diff["prepared"])))
    if not isinstance(diff.get("before"), str) or not isinstance(diff.get("after"), str):
        return ""
    old, new = (redact(diff[side]).splitlines(keepends=True) for side in ("before", "after"))
    was, now = (f"{diff.get(f'{side}_header') or side} ({side})" for side in ("before", "after"))
    if len(old) + len(new) > _MOST_LINES:
        return f"{len(old)} and {len(new)} lines are too many to compare here\n"
    lines = difflib.unified_diff(old, new, was, now, n=_CONTEXT)
    return _cut("".join(line if line.endswith("\n") else line + "\n" for line in lines))


def _cut(text: str) -> str:
    if len(text) <= MOST:
        return text
    kept = text[:MOST].rpartition("\n")[0]
    return f"{kept}\n({len(text) - len(kept)} characters more)\n"
