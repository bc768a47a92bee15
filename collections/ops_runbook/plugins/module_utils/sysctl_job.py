# SPDX-License-Identifier: BSD-2-Clause
"""One attempt of a call with a profile of kernel parameters, and how it is answered."""

from __future__ import annotations

import os

from . import managed_file, sysctl_files
from .managed_file import FilePlan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .sysctl_plan import Key

_NOTHING = {"kind": "none", "reason": "nothing was changed"}


class WithoutIt(Exception):
    """The kernel refused an optional key; everything is as before, and the call begins again without it."""


class Job:
    """One attempt of a call.

    Attributes:
        refusals: Optional keys that the kernel refused in an earlier attempt, with the reason.
        file, state_file: The paths of the drop-in and of what is remembered.
        keys: Those of the profile, their partners, then those that it names no longer.
        dropin, state: The two files as they are and as they will be.
        done: What has been written; None stands for the kernel.
        along: What the kernel set along with a key of the profile: name -> {before, after}.
    """

    dropin: FilePlan
    state: FilePlan

    def __init__(self, params: dict[str, Any], refusals: dict[str, str]) -> None:
        self.params, self.refusals = params, refusals
        self.file = os.path.join(sysctl_files.FOLDERS[0], "90-ops-runbook-%s.conf" % params["name"])
        self.state_file = os.path.join(managed_file.STATE, "sysctl", "%s.json" % params["name"])
        self.keys: list[Key] = []
        self.done: list[FilePlan | None] = []
        self.along: dict[str, dict[str, str | None]] = {}

    def plan_file(self, path: str, data: bytes | None, mode: str = "0644") -> FilePlan:
        """A file of ours, with what undoes it."""
        return FilePlan(path, data, mode).plan(self.params["run_id"])

    @property
    def differs(self) -> bool:
        """Whether anything is to be written."""
        return self.dropin.differs or self.state.differs or any(key.differs for key in self.keys)


def answer_of(job: Job, files: list[FilePlan], moved: list[tuple[Key, str, str]], message: str) -> dict[str, Any]:
    """The answer: files that changed, and keys with their values before and after."""
    changes = [change for plan in files for change in plan.changes]
    changes += [{"object": "sysctl %s" % key.name, "before": before, "after": now} for key, before, now in moved]
    steps: list[dict[str, Any]] = [step for plan in files for step in plan.steps]
    if moved:
        values = {key.name: {"before": before, "after": now} for key, before, now in reversed(moved)}
        steps.append({"kind": "sysctl", "values": values, **({"along": job.along} if job.along else {})})
    return {
        "changed": bool(changes),
        "changes": changes,
        "undo": {"kind": "steps", "steps": steps} if steps else dict(_NOTHING),
        "message": message,
        "keys": {key.name: _shown(key) for key in job.keys},
        "file": job.file,
    }


def _shown(key: Key) -> dict[str, str | None]:
    wanted = key.original if key.asked is None else key.asked
    return {"before": key.live, "wanted": wanted, "after": key.target, "status": key.status, "note": key.note}
