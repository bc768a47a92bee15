# SPDX-License-Identifier: BSD-2-Clause
"""Change files that define a unit, put them in force, restart what may be restarted, and prove it; else put all back.

In this order: the plans are made and what is refused is heard, the lease, the files, daemon-reload, a look at what
systemd makes of them, the restarts, the proof. Whatever fails from the first write on, the old files come back, are put
in force, and what was restarted is restarted with them.
"""

from __future__ import annotations

from .errors import BadInput, OpsError, Refused
from .files import replace_file, resolved
from .managed_file import FilePlan, remove_file, remove_folders, sha256, snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .host import Host
    from .unit_look import Unit
    from .until import UntilPlan

LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
NOTHING = {"kind": "none", "reason": "nothing was changed"}
_OWN = 60  # seconds for what has no limit of its own: looking, writing, daemon-reload


def demand_name(text: str, option: str) -> None:
    """What becomes part of a file's name must be harmless there, and not hide the file."""
    if not 1 <= len(text) <= 64 or not LETTERS.issuperset(text) or text == "environment":  # which is the other module's
        raise BadInput("%r cannot be part of a file's name" % text, option, "Use letters, digits, - and _ only.")


class Change:
    """What is to be done on one host, and what came of it.

    Args:
        host: Where systemctl runs.
        params: The options restart_timeout, steady, budget, protect, lease, run_id.
        files: Plans of files in the order in which they are written.
        units: The services that they define.
        restarts: Those of them that are to be restarted afterwards.

    Attributes:
        changes: [{object, before, after}], also of the restarts.
        timer: What will put the change back by itself; None where it is for good.
    """

    def __init__(
        self, host: Host, params: dict[str, Any], files: list[FilePlan], units: list[Unit], restarts: list[Unit]
    ) -> None:
        self._host, self._params = host, params
        self._files = [plan for plan in files if plan.differs]
        self._units, self._restarts = units, restarts
        self._reload = bool(units) and (bool(self._files) or any(unit.need_reload for unit in units))
        self.timer: UntilPlan | None = None
        self._begun: list[FilePlan] = []
        self._restarted: list[str] = []
        self._left: list[str] = []  # what could not be put back
        said = [self._service(unit.name, True) for unit in restarts]  # what the act would refuse, before any write
        self.changes = [change for plan in self._files for change in plan.changes]
        if not self.changes:
            self.changes = [_reloaded(unit) for unit in units if unit.need_reload]
        self.changes += [one for each in said for one in each["changes"] if one["object"].startswith("service ")]

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Undo steps in the order in which putting back takes them; [] where no file changes."""
        files = [step for plan in reversed(self._files) for step in plan.steps]
        again = [unit.name for unit in self._restarts]
        units = [{"kind": "definition", "name": unit.name, "restarted": unit.name in again} for unit in self._units]
        return files + units if files else []

    @property
    def undo(self) -> dict[str, Any]:
        """The undo of the answer."""
        if self.steps:
            return {"kind": "steps", "steps": self.steps}
        return {"kind": "none", "reason": "the process that was replaced is gone"} if self._restarts else NOTHING

    def make(self, configured: Callable[[], None], proven: Callable[[], None]) -> None:
        """Do it.

        Args:
            configured: Called when the files are in force, before anything is restarted; raises OpsError.
            proven: Called at the end; raises OpsError where what was wanted is not so.

        Raises:
            OpsError: It failed; what had been done was put back, or the error says what was not.
        """
        if not self._params["lease"]:
            return self._make(configured, proven)  # and lease.py has not travelled
        from .lease import fence

        with fence(self._params["lease"], self._params["run_id"], longest(self._params, len(self._restarts))):
            return self._make(configured, proven)

    def _make(self, configured: Callable[[], None], proven: Callable[[], None]) -> None:
        try:
            if self.timer:
                self.timer.arm()
            for plan in self._files:
                self._put(plan)
            if self._reload:
                self._daemon_reload()
            configured()
            for unit in self._restarts:
                self._restarted.append(unit.name)
                self._service(unit.name, False)
            proven()
        except OpsError as error:
            self._put_back(error)
            raise

    def _put(self, plan: FilePlan) -> None:
        self._begun.append(plan)
        try:
            plan.put()
        except Refused:  # it is another's now
            self._begun.pop()
            raise

    def _daemon_reload(self) -> None:
        from .platforms.systemd import Systemd

        Systemd(self._host, self._units[0].name).daemon_reload()

    def _service(self, name: str, check: bool, back: bool = False) -> dict[str, Any]:
        from .service import run_on

        budget = None if back else self._params["budget"]
        return run_on(self._host, restart_of(name, dict(self._params, budget=budget), reset_failed=back), check)

    def _put_back(self, error: OpsError) -> None:
        """The files as they were, in force again; error says so, and its result what is different all the same."""
        if not (self._begun or self._restarted or self.timer):
            return
        stuck = [plan for plan in reversed(self._begun) if not self._took(plan.path, revert, plan)]
        if self._reload:
            self._took("daemon-reload", self._daemon_reload)
        changes: list[dict[str, Any]] = []
        for name in reversed(self._restarted):
            self._took(name, lambda unit=name: changes.extend(self._service(unit, False, True)["changes"]))
        if self.timer and not stuck:
            self._took("the timer", self.timer.disarm)
        left, steps = "; ".join(self._left), [step for plan in stuck for step in plan.steps]
        said = "Not everything could be put back: %s" % left if left else "What was changed was put back"
        error.hint = ("%s. %s" % (said, error.hint)).strip()
        changes += [change for plan in stuck for change in plan.changes]
        undo = {"kind": "steps", "steps": steps} if steps else dict(NOTHING, reason="it was put back")
        error.result = dict(error.result, changed=bool(changes), changes=changes, undo=undo)

    def _took(self, what: str, act: Callable[..., None], *arguments: Any) -> bool:
        try:
            act(*arguments)
        except OpsError as error:
            self._left.append("%s (%s)" % (what, error.what))
            return False
        return True


def longest(params: dict[str, Any], units: int) -> float:
    """Seconds that a change takes at most, putting it back included."""
    from .service import longest as each

    return _OWN + 2 * units * each(restart_of("", params)) if units else float(_OWN)


def restart_of(name: str, params: dict[str, Any], reset_failed: bool = False) -> dict[str, Any]:
    """The options of service_restart for one restart; the lease is already held."""
    return {
        "name": name,
        "platform": "systemd",
        "state": "restarted",
        "validate": None,
        "drain": None,
        "reset_failed": reset_failed,
        "unmask": False,
        "enable": False,
        "protect": params["protect"],
        "ready": None,
        "steady": params["steady"],
        "timeout": params["restart_timeout"],
        "budget": params["budget"],
        "lease": "",
        "run_id": params["run_id"],
    }


def revert(plan: FilePlan) -> None:
    """Put back what lay there before a plan, unless somebody else has changed it since.

    Raises:
        Refused: It is neither what was there nor what was written.
        OpsError: The operating system said no.
    """
    step = plan.steps[0]
    now = sha256(snapshot(plan.path)[1])
    if now not in (sha256(plan.before), step["sha256"]):
        raise Refused("somebody else has changed it since", plan.path)
    if plan.before is None and now is not None:
        remove_file(plan.path)
    elif plan.before is not None:
        replace_file(resolved(plan.path), plan.before, int(step["mode"], 8), step["uid"], step["gid"])
    remove_folders(step["folders"])


def tell_put_back(rows: list[dict[str, Any]]) -> None:
    """Rows of a change that failed and left nothing behind."""
    for row in rows:
        if row["status"] in ("applied", "pending_restart"):
            row.update(after=row["before"], note="put back")


def _reloaded(unit: Unit) -> dict[str, Any]:
    """A change: what lies on disk is put in force."""
    before, after = {"need_reload": True}, {"need_reload": False}
    return {"object": "definition of %s" % unit.name, "before": before, "after": after}
