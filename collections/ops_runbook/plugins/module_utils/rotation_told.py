# SPDX-License-Identifier: BSD-2-Clause
"""What a rotation policy's call says of itself, for people and for the record."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .managed_file import FilePlan
    from .rotation_file import Document

NOTHING = {"kind": "none", "reason": "nothing was changed"}
ROTATED = {"kind": "none", "reason": "a forced rotation is not taken back"}


def text_of(data: bytes | None) -> str:
    """A file's content as text; empty where there is none."""
    return (data or b"").decode("utf-8", "surrogateescape")


def said_by(document: Document | None) -> dict[str, str]:
    """What a drop-in says, in one mapping: of several stanzas each with its line."""
    said: dict[str, str] = {}
    stanzas = document.stanzas if document else []
    for stanza in stanzas:
        lead = "line %d " % stanza.line if len(stanzas) > 1 else ""
        said[lead + "paths"] = _globs(stanza.patterns)
        said.update((lead + each.name, _one_line(each.value)) for each in stanza.body if each.name)
    return said


def _one_line(value: str) -> str:
    return "; ".join(value.split("\n")) or "yes"


def _globs(patterns: list[str]) -> str:
    shown_ones, more = " ".join(patterns[:3]), len(patterns) - 3
    return shown_ones + (" and %d more" % more if more > 0 else "")


def changes_of(plan: FilePlan, before: dict[str, str], after: dict[str, str]) -> list[dict[str, Any]]:
    """The change of the drop-in, as the directives that differ where there are such."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    if not plan.differs or not keys:
        return plan.changes
    pair = [{key: said[key] for key in keys if key in said} for said in (before, after)]
    return [{"object": plan.path, "before": pair[0], "after": pair[1]}]


def forced(path: str) -> dict[str, Any]:
    """The change that a forced rotation is."""
    return {"object": path, "before": "in use", "after": "rotated"}


def answer_of(path: str, changes: list[dict[str, Any]], undo: dict[str, Any]) -> dict[str, Any]:
    """All keys of an answer."""
    return {
        "changed": bool(changes),
        "changes": changes,
        "undo": undo,
        "message": "",
        "file": path,
        "files": [],
        "omitted": [],
        "findings": [],
        "schedule": None,
        "trial": None,
    }
