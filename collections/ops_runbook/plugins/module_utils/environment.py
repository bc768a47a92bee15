# SPDX-License-Identifier: BSD-2-Clause
"""The environment of a service, set where it reaches its process, seen there, and put back when its time is over.

An `export` in a shell, or a line in a file that nobody reads, never reaches a service. Here a file of ours is the last
EnvironmentFile= of the unit, which wins over Environment= and the files before it. Only a process that has the
variables proves that they arrived.
"""

from __future__ import annotations

import os

from . import environment_file, unit_look
from .environment_process import environ_of, unset_by, winners
from .environment_wanted import MASK, wanted_of
from .errors import OpsError, Refused
from .host import LocalHost
from .managed_file import FilePlan, demand_root, snapshot
from .statuses import counted
from .unit_change import NOTHING, Change, longest, tell_put_back
from .unit_look import Unit, look, started_before

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .environment_wanted import Wanted
    from .host import Host

FOLDER = "/etc/ops-runbook/environment"
_PROPERTIES = "EnvironmentFiles,UnsetEnvironment,MemoryMax,CPUQuotaPerSecUSec"
_DROP_IN = """\
# Written by ops.runbook.service_environment; what is changed here is lost.
[Service]
EnvironmentFile=-%s
"""
_LATER = "it does not run: in effect from its next start"
_UNSEEN = "its process does not show what it was started with"


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Set variables of a service, or remove them.

    Returns:
        changed, changes, undo, message, environment ({name: {before, wanted, after, status, note}}), restart_needed
        and restarted (names of units), until ({at, unit} of a timer that waits, or None): the same keys on every path.
    """
    return run_on(LocalHost(), params, check)


def run_on(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """As run, where systemctl is run on any host."""
    try:
        demand_root()
        return _run(host, params, check)
    except OpsError as error:
        nothing = _answer([], {})
        error.result = dict({key: error.result.get(key, value) for key, value in nothing.items()}, message=str(error))
        raise


def late(params: dict[str, Any]) -> list[str]:
    """The module_utils that a call imports late."""
    names = ["service", "platforms.systemd", "environment_until", "redact", "sizing"]
    names += ["collectors.deleted_open"] if params["protect"] else []
    return names + [name for name in ("budget", "lease") if params[name]]


def seconds(params: dict[str, Any]) -> float:
    """How long a call takes at most; a timer may wait for another act."""
    return longest(params, 1 if params["restart"] else 0) + (900 if params["until"] else 0)


def path_of(unit: str) -> str:
    """The file with the variables of a unit; a backslash in its name would be taken as part of a pattern."""
    return "%s/%s.env" % (FOLDER, unit.replace("\\", "="))


class Variable:
    """One variable of one service.

    Attributes:
        wanted: Its value, None where it is to go away; ours: the one in our file until now.
        stale: Whether the process gets it by a restart only.
        row: What is told of it.
    """

    def __init__(self, name: str, wanted: Wanted, ours: str | None, masked: bool) -> None:
        self.name, self.wanted, self.ours, self._masked = name, wanted.value, ours, masked
        self.stale = False
        self.row: dict[str, Any] = dict.fromkeys(("before", "wanted", "after", "status", "note"))
        self.row.update(wanted=self.shown(self.wanted), status="already", note=wanted.note)

    def shown(self, value: str | None) -> str | None:
        """A value as it may be told."""
        return MASK if self._masked and value is not None else value

    def judge(self, unit: Unit, environ: dict[str, str] | None, old: bool, restart: bool) -> None:
        """Fill the row and stale; environ is that of the process, old whether it began before the files were so."""
        has = self.ours if environ is None else environ.get(self.name)
        theirs = self.wanted is None and self.ours is None and not old and has is not None
        self.row.update(before=self.shown(has), after=self.shown(has if theirs else self.wanted))
        self._note("" if unit.pid and environ is not None else _UNSEEN if unit.runs else _LATER)
        if theirs:
            self._note("set elsewhere, not by this module")
        elif environ is None and unit.runs:
            self.stale = old
        elif has != self.wanted and unit.runs and not old:
            self.overridden("", has)
        else:
            self.stale = has != self.wanted and unit.runs
        if self.stale and not restart:
            self.row.update(after=self.shown(has), status="pending_restart")
        elif self.stale or (has != self.wanted and not theirs and self.row["status"] == "already"):
            self.row["status"] = "applied"

    def overridden(self, by: str, has: str | None) -> None:
        """Tell that it does not get through."""
        note = by or "its process has another value: what it is started by sets it, or a drop-in that is read later"
        self.row.update(after=self.shown(has), status="overridden", note=note)

    def prove(self, environ: dict[str, str]) -> bool:
        """Whether a process that was started with the files has it."""
        has = environ.get(self.name)
        if self.wanted is not None and has != self.wanted:
            self.overridden("", has)
            return False
        self.row["after"] = self.shown(has)
        if has != self.wanted:
            self._note("set elsewhere, too")
        return True

    def _note(self, text: str) -> None:
        self.row["note"] = "; ".join(filter(None, [self.row["note"], text]))


class Environment:
    """What is there, what is wanted, and what is to be done for one service."""

    def __init__(self, host: Host, params: dict[str, Any]) -> None:
        self._host, self._params = host, params
        self.unit = look(host, params["service"], _PROPERTIES)
        self._path = path_of(self.unit.name)
        text = (snapshot(self._path)[1] or b"").decode("utf-8", "surrogateescape")
        self._ours, secrets = environment_file.parse_ours(text)
        wanted = wanted_of(params, self.unit, list(self._ours))
        masked = secrets | {name for name, one in wanted.items() if one.secret}
        self.variables = [Variable(name, one, self._ours.get(name), name in masked) for name, one in wanted.items()]
        self._values = {name: value for name, value in self._ours.items() if name not in wanted}
        self._values.update((one.name, one.wanted) for one in self.variables if one.wanted is not None)
        self.files = self._plans(secrets - set(wanted) | {name for name in masked if name in wanted})
        environ, old = environ_of(self.unit), self._is_old()
        for variable in self.variables:
            variable.judge(self.unit, environ, old, params["restart"])
            if variable.wanted is not None and variable.name in unset_by(self.unit):
                variable.overridden("UnsetEnvironment= of the unit", None)

    def _plans(self, secrets: set[str]) -> list[FilePlan]:
        """The variables, and the drop-in that names them; removed in the other order."""
        text = environment_file.render(self._values, secrets)
        drop_in = (_DROP_IN % self._path).encode("ascii") if text else None
        plans = [
            FilePlan(self._path, text.encode("utf-8", "surrogateescape") if text else None, "0600"),
            FilePlan(self.unit.drop_in("environment"), drop_in),
        ]
        return [plan.plan(self._params["run_id"]) for plan in (plans if text else plans[::-1])]

    def _is_old(self) -> bool:
        """Whether the process began before the files were as they are going to be."""
        if self.unit.need_reload or any(plan.differs for plan in self.files):
            return True
        paths = [plan.path for plan in self.files if plan.before is not None]
        folder = os.path.dirname(self.unit.drop_in("environment"))  # tells when the last of ours went away
        return bool(self.unit.pid) and started_before(self.unit.pid or 0, paths or [folder])

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Name -> {before, wanted, after, status, note}."""
        return {variable.name: variable.row for variable in self.variables}

    @property
    def stale(self) -> list[Unit]:
        """The unit, where its process gets a variable by a restart only."""
        return [self.unit] if any(variable.stale for variable in self.variables) else []

    def configured(self) -> None:
        """See what systemd makes of the files.

        Raises:
            OpsError: Something else wins.
        """
        if not self._values:
            return
        now = look(self._host, self.unit.name, _PROPERTIES)
        found = winners(now, self._path, self._values)
        for variable in self.variables:
            if variable.name in found and variable.wanted is not None:
                variable.overridden(found[variable.name], None)
                what = "%s does not get through: %s wins" % (variable.name, found[variable.name])
                raise OpsError(what, self.unit.name, "See which file it is: systemctl cat %s." % self.unit.name)

    def proven(self) -> None:
        """Look into the process.

        Raises:
            OpsError: A variable is not as it was set.
        """
        now = look(self._host, self.unit.name, _PROPERTIES)
        environ = environ_of(now)
        waiting = now.pid == self.unit.pid
        for variable in self.variables if environ is not None else []:
            if not (variable.stale and waiting) and not variable.prove(environ or {}):
                hint = "See what else sets it: systemctl cat %s." % self.unit.name
                raise OpsError("its process does not have %s as it was set" % variable.name, self.unit.name, hint)


def _run(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    work = Environment(host, params)
    _refuse(work)
    change = Change(host, params, work.files, [work.unit], work.stale if params["restart"] else [])
    answer = _answer(_told(work) + change.changes, work.rows)
    answer["undo"] = change.undo
    answer["restarted" if params["restart"] else "restart_needed"] = [unit.name for unit in work.stale]
    if params["until"] or _has_timers():
        from .environment_until import timed

        change.timer = timed(params, work.unit.name, change, answer)
    answer["message"] = _message(work.unit.name, answer)
    if not check and answer["changed"]:
        _make(change, work)
    return answer


def _refuse(work: Environment) -> None:
    """Nothing is written where one variable could not get through."""
    for name, row in work.rows.items():
        if row["status"] == "overridden":
            hint = "See where: systemctl cat %s" % work.unit.name
            raise Refused(
                "%s does not get through: %s" % (name, row["note"]), work.unit.name, hint, {"environment": work.rows}
            )


def _has_timers() -> bool:
    try:
        return any(name.startswith("ops-runbook-until-") for name in os.listdir(unit_look.UNITS))
    except OSError:
        return False


def _make(change: Change, work: Environment) -> None:
    try:
        change.make(work.configured, work.proven)
    except OpsError as error:
        if not error.result.get("undo", {}).get("steps"):
            tell_put_back(list(work.rows.values()))
        error.result = dict(error.result, environment=work.rows)
        raise


def _told(work: Environment) -> list[dict[str, Any]]:
    """The variables as changes."""
    return [
        {
            "object": "variable %s of %s" % (one.name, work.unit.name),
            "before": one.row["before"],
            "after": one.row["wanted"],
        }
        for one in work.variables
        if one.ours != one.wanted or one.row["status"] == "applied"
    ]


def _answer(changes: list[dict[str, Any]], rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "changed": bool(changes),
        "changes": changes,
        "undo": NOTHING,
        "message": "",
        "environment": rows,
        "restart_needed": [],
        "restarted": [],
        "until": None,
    }


def _message(unit: str, answer: dict[str, Any]) -> str:
    said = [counted(row["status"] for row in answer["environment"].values()) or "none"]
    said += ["restarted"] if answer["restarted"] else []
    said += ["to be restarted"] if answer["restart_needed"] else []
    said += ["put back at %s" % answer["until"]["at"]] if answer["until"] else []
    return "environment of %s: %s" % (unit, "; ".join(said))
