# SPDX-License-Identifier: BSD-2-Clause
"""What a rotation that broke off has left, and what logrotate never mends or mentions afterwards (seen with 3.21).

Killed between the rename and the reload, or without room for the new log, it leaves a writer in the rotated file: the
new log stays empty, is therefore not rotated, and the writer is never told again. Killed while it compresses, it leaves
`NAME-YYYYMMDDHH.backup`, which nobody removes.
"""

from __future__ import annotations

from .errors import CannotLook
from .names import shown
from .rotation_look import finding
from .rotation_trial import members, writers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host


def left(host: Host, files: list[str], reopen: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Findings about what was rotated away from these logs; reopen is the policy's."""
    rotated = members(files)
    if not rotated:
        return []
    try:
        held = writers(host, rotated)
    except CannotLook:  # it is said only where it was seen
        held = []
    found = []
    for one in held:
        who = "%s (pid %d)" % (one.unit or one.command, one.pid)
        what = "%s still writes into it, so that its log is not rotated again" % who
        found.append(finding("not_reopened", shown(one.path), what, _hint(one.unit, reopen or {}), False))
    return found + _backups(sorted(path for path in rotated.values() if path.endswith(".backup")))


def _hint(unit: str | None, reopen: dict[str, Any]) -> str:
    """How that writer is told."""
    if reopen.get("method") == "signal":
        return "systemctl kill --kill-who=main --signal=%s %s" % (reopen["signal"], reopen["unit"])
    if reopen.get("method") == "reload":
        return "systemctl reload %s" % reopen["unit"]
    return "Let it open its log anew: %s" % ("systemctl restart %s" % unit if unit else "see what it is")


def _backups(paths: list[str]) -> list[dict[str, Any]]:
    if not paths:
        return []
    more = " (and %d more)" % (len(paths) - 1) if len(paths) > 1 else ""
    what = "logrotate broke off here once, and nobody removes it; its lines may be in no other file" + more
    return [finding("left_over", shown(paths[0]), what, "Compare it with its neighbours, then remove it.", False)]
