# SPDX-License-Identifier: BSD-2-Clause
"""Room that deleted files still take, because a process has them open: who holds it, and a reopen that gives it back.

Guides S2 334, S3 193 and S5 526 delete logs that a process writes to: that frees nothing until it opens its log anew.
"""

from __future__ import annotations

import time

from .amounts import size_text
from .collectors import _proc
from .disk_open import look
from .errors import CannotLook
from .names import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .disk_open import Opened
    from .disk_policy import Policy
    from .host import Host

WAIT = 10.0  # seconds for a service to open its log anew


class Release:
    """A service that is told to open its logs anew: unit, argv, files (those of Opened.deleted it holds)."""

    def __init__(self, unit: str, name: str | None, files: list[dict[str, Any]]) -> None:
        self.unit, self.signal, self.files = unit, name, files
        self.argv = ["systemctl", "--no-ask-password", "reload", "--", unit]
        if name:
            self.argv = ["systemctl", "--no-ask-password", "kill", "-s", name, "--kill-who=main", "--", unit]

    def change(self) -> dict[str, Any]:
        """As a change."""
        paths = ", ".join(sorted({shown(one["path"]) for one in self.files})[:3])
        before = "holds %s deleted (%s)" % (paths, size_text(held_bytes(self.files)))
        return {"object": self.unit, "before": before, "after": "logs opened anew (%s)" % how(self.signal)}


def how(name: str | None) -> str:
    """How a service is told."""
    return "SIG" + name if name else "reload"


def plan(policy: Policy, deleted: list[dict[str, Any]]) -> list[Release]:
    """Which services may give back which deleted files: all who hold the file are on the policy's list.

    Never a file of protected data, which would be lost for good, nor one outside the allowed roots.
    """
    by_file: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for one in deleted:
        by_file.setdefault(one["identity"], []).append(one)
    by_unit: dict[str, list[dict[str, Any]]] = {}
    for held in by_file.values():
        path = held[0]["path"]
        if policy.allowed(path) and not policy.protected(path) and all(one["unit"] in policy.reopen for one in held):
            for one in held:
                by_unit.setdefault(one["unit"], []).append(one)
    return [Release(unit, policy.reopen[unit], files) for unit, files in sorted(by_unit.items())]


def held_bytes(files: list[dict[str, Any]]) -> int:
    """Bytes that deleted files take, each counted once."""
    return sum({one["identity"]: one["bytes"] for one in files}.values())


def views(policy: Policy, opened: Opened, releases: list[Release]) -> list[dict[str, Any]]:
    """[{path, bytes, pid, unit, command, released_by}] of all, the largest first."""
    planned = {one["identity"]: release for release in releases for one in release.files}
    rows = []
    for one in sorted(opened.deleted, key=lambda one: (-one["bytes"], one["path"], one["pid"])):
        release = planned.get(one["identity"])
        said = " ".join(release.argv) + " (the policy allows it)" if release else _advice(policy, one)
        kept = {key: one[key] for key in ("bytes", "pid", "unit", "command")}
        rows.append(dict(kept, path=shown(one["path"]), released_by=said))
    return rows


def _advice(policy: Policy, one: dict[str, Any]) -> str:
    if policy.protected(one["path"]):
        return "nothing yet: it is protected data, copy it from /proc/%d/fd before anything is restarted" % one["pid"]
    if one["unit"] and one["unit"].endswith(".service"):
        return "systemctl reload %(unit)s, or else systemctl restart %(unit)s" % one
    return "the end of process %d, when it may end" % one["pid"]


def able(host: Host, releases: list[Release]) -> tuple[list[Release], list[dict[str, str]]]:
    """Those whose service takes its signal, and [{path, reason}] of the others: a signal not taken ends a process."""
    good, bad = [], []
    for one in releases:
        if one.signal is None or _takes(host, one.unit, one.signal):
            good.append(one)
        else:
            bad.append({"path": one.unit, "reason": "its main process has no handler for %s" % how(one.signal)})
    return good, bad


def release(host: Host, one: Release, device: int) -> str:
    """Tell the service, and see that it lets go. Returns why it did not; empty where the room is back."""
    try:
        done = host.run(one.argv, timeout=30)
    except CannotLook as error:
        return str(error)
    if done.rc:
        return (done.stderr.strip().splitlines() or ["exit code %d" % done.rc])[-1]
    until, identities = time.monotonic() + WAIT, {file["identity"] for file in one.files}
    while identities & {held["identity"] for held in look(device).deleted}:
        if time.monotonic() > until:
            return "still holds it %g s after %s" % (WAIT, how(one.signal))
        time.sleep(0.2)
    return ""


def _takes(host: Host, unit: str, name: str) -> bool:
    import signal

    said = host.run(["systemctl", "show", "--property=MainPID", "--value", "--", unit], timeout=10).stdout.strip()
    try:
        return said.isdigit() and _proc.handles(_proc.text(host, int(said), "status"), getattr(signal, "SIG" + name))
    except _proc.GONE:
        return False
