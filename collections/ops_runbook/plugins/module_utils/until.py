# SPDX-License-Identifier: BSD-2-Clause
"""A change for a while: a timer on the target puts it back, as a verified act, also when the controller is long gone.

`/var/lib/ops-runbook/until/<name>/` holds `plan.json` (unit, run, when, steps: the undo steps), `undo.py` (a program
with all that replaying them takes) and afterwards `result.json`. The timer is `ops-runbook-until-<name>.timer` of
systemd, its time absolute: neither a reboot nor a late boot loses it. When it has put everything back it removes its
units; where it could not, the unit stays failed, for people and monitoring to see.
"""

from __future__ import annotations

import json
import os
import sys
import time

from .errors import BadInput, OpsError, Refused, answer
from .files import write_file
from .host import LocalHost, utc
from .until_timer import (
    alone,
    arm,
    changes_of,
    disarm,
    keep,
    name_of,
    parse_plan,
    present,
    program_of,
    retire,
    steps_of,
    unit_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .managed_file import Content

__all__ = ["UntilPlan", "fire", "name_of", "plan", "present", "unit_of"]
SCHEMA = "ops.runbook/until/1"
LONGEST = 366 * 86400  # seconds; what is to last longer is no temporary change


class UntilPlan:
    """A timer as it will be.

    Attributes:
        changes: [] or [{object, before, after}] with the time until which it waits.
        steps: [] or [the undo step of kind timer], which belongs at the end of the module's undo.
    """

    def __init__(self, name: str, before: Content, after: Content, program: str, run_id: str) -> None:
        self._name, self._before, self._after = name, before, after
        self._program, self._run_id = program, run_id
        self._lock: Any = None
        self.changes = changes_of(name, before, after)
        was = None if before is None else program_of(name)
        self.steps = steps_of(name, before, was, after, run_id) if self.changes else []

    def arm(self) -> None:
        """Let the timer wait; before the change is made, or a crash between the two would let it stay for ever.

        Should its time come early, it waits until this process has ended or let go of the plan.
        """
        if not self.changes or self._after is None:
            return
        self._lock = alone()
        self._lock.__enter__()
        keep(self._name, self._before, self._run_id)
        try:
            arm(LocalHost(), self._name, self._after, self._program.encode("ascii"))
        except OpsError:
            self.disarm()
            raise

    def disarm(self) -> None:
        """The change failed and was put back: what waited before waits again, or nothing does."""
        if self._lock is None:
            return
        if self._before is None:
            disarm(LocalHost(), self._name)
        else:
            arm(LocalHost(), self._name, self._before, self._program.encode("ascii"))


def plan(unit: str, when: float, steps: list[dict[str, Any]], program: str, run_id: str | None) -> UntilPlan:
    """Plan a timer that replays undo steps.

    Args:
        unit: The unit that the change is about. It has one timer: an earlier one that still waits is replaced, and the
            steps then lead back to before its change.
        when: Seconds since the epoch by the target's clock.
        steps: The undo steps of the change, without the timer's own; [] where at most the time is new.
        program: What until_program.text() made on the controller.
        run_id: The run that makes the change.

    Raises:
        BadInput: The time is past or too far ahead.
    """
    now, name, run = time.time(), name_of(unit), run_id or "standalone"
    before, whole = present(name), -(-when // 1)
    earlier: dict[str, Any] = parse_plan(before) if before is not None else {"steps": [], "when": None}
    if not steps and earlier["when"] == whole:
        return UntilPlan(name, before, before, program, run)
    if not now < when <= now + LONGEST:
        raise BadInput("%.0f s from now is not within a year from now" % (when - now), "until", "It is %s." % utc(now))
    told = {"schema": SCHEMA, "unit": unit, "run": run, "when": int(whole)}
    after = json.dumps(dict(told, steps=[*steps, *earlier["steps"]]), indent=1, sort_keys=True)
    return UntilPlan(name, before, after.encode("ascii") if steps or before is not None else None, program, run)


def fire(folder: str) -> int:
    """What the timer runs: put everything back, say so in the journal and in result.json, and remove the units.

    Returns:
        The exit code; not 0 leaves the unit failed.
    """
    name = os.path.basename(folder)
    with alone():
        content = present(name)
        if content is None:  # undone while this waited
            return 0
        result = answer(lambda _params, _check: _put_back(name, content), {}, False)
        result["at"] = utc(time.time())
        write_file(os.path.join(folder, "result.json"), json.dumps(result, indent=1).encode("ascii"))
        sys.stdout.write("%s\n" % (result.get("msg") or result["message"]))
        return 1 if result.get("failed") else 0


def _put_back(name: str, content: bytes) -> dict[str, Any]:
    from . import holds
    from .undo import replay

    plan, hold = parse_plan(content), holds.read_hold(holds.PATH)
    again = "When that is settled: systemctl start %s" % unit_of(name, "service")
    if hold:
        raise Refused("a hold is in force (%s)" % hold["text"].strip(), hold["path"], again)
    try:
        result = replay(plan["steps"], plan["run"] + "-until", False)
        retire(LocalHost(), name)
    except OpsError as error:
        error.hint = ("%s. %s" % (error.hint.rstrip("."), again)).lstrip(". ")
        raise
    return result
