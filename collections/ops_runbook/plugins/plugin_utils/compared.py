# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module's answer shows as a difference, as the record keeps it: unified, bounded, and without secrets."""

from __future__ import annotations

import typing as t

from ..module_utils import text_diff
from ..module_utils.redact import redact

MOST = text_diff.MOST
"""Characters of one diff in the record."""
_CONTEXT = 1


def unified(diff: dict[str, t.Any]) -> str:
    """A module's `diff` as text: as it was prepared, or its `before` and `after` compared; empty where it has neither.

    Secrets are masked before the texts are compared, so where only a secret differs no line shows.
    """
    if "prepared" in diff:
        return text_diff.cut(redact(str(diff["prepared"])))
    old, new = diff.get("before"), diff.get("after")
    if not isinstance(old, str) or not isinstance(new, str):
        return ""
    was, now = (f"{diff.get(f'{side}_header') or side} ({side})" for side in ("before", "after"))
    return text_diff.cut(text_diff.unified(old, new, (was, now), context=_CONTEXT))
