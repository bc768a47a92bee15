# SPDX-License-Identifier: BSD-2-Clause
"""The limits of services that a profile wants: a drop-in of its own for every unit, seen in the running process.

What systemd may not set it sets as near as it may, without a word: only the process shows what it got.
"""

from __future__ import annotations

import os

from . import unit_look
from .errors import BadInput, OpsError
from .limits_directives import ITEM_OF, KINDS, number_of, real, shown, wanted_of
from .limits_kernel import limits_of, refusals
from .managed_file import FilePlan
from .unit_look import Unit, look, started_before

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Tuple

    from .host import Host
    from .limits_kernel import Limits

    Pair = Tuple["Limit", "Limit"]  # soft and hard

_PROPERTIES = ",".join("%s,%sSoft" % (directive, directive) for directive in ITEM_OF)


class Limit:
    """One limit, soft or hard, of one unit.

    Attributes:
        target: What the drop-in says of it; None where it is to say nothing.
        row: What is told of it.
    """

    def __init__(self, unit: Unit, directive: str, kind: str, wanted: int | None, allowed: list[str]) -> None:
        self.unit, self.directive, self.kind, self.wanted = unit, directive, kind, wanted
        self.item = ITEM_OF[directive]
        defined, has = self.defined(unit), self.has(unit)
        kept = wanted is not None and defined > wanted and not {directive, self.item} & set(allowed)
        self.target = defined if kept else wanted
        before = defined if has is None else has
        self.row = {
            "object": unit.name,
            "item": directive,
            "type": kind,
            "before": shown(before),
            "wanted": shown(wanted),
            "after": shown(before if kept else real(self.item, wanted)),
            "status": "better_kept" if kept else "already" if defined == wanted else "applied",
            "note": "already higher" if kept else "",
        }

    def defined(self, unit: Unit) -> int:
        """What systemd has in force for the unit."""
        return number_of(unit.shown[self.directive + ("Soft" if self.kind == "soft" else "")][0])

    def has(self, unit: Unit) -> int | None:
        """What the unit's main process has; None where there is none."""
        limits = process_of(unit)
        return limits[self.item][KINDS.index(self.kind)] if self.item in limits else None

    def fits(self, has: int) -> bool:
        """Whether a process with that needs no restart."""
        if self.row["status"] == "better_kept":
            return has >= real(self.item, self.wanted)
        return has == real(self.item, self.target)

    def refuse(self, why: str) -> None:
        """Tell that the kernel does not let it be."""
        self.row.update(status="refused_by_kernel", after=self.row["before"], note=why)


def process_of(unit: Unit) -> Limits:
    """Limits of the unit's main process; {} where it has none."""
    try:
        return limits_of(unit.pid) if unit.pid else {}
    except OSError:  # it ended a moment ago
        return {}


class UnitPart:
    """What is to be done with the drop-ins of a profile.

    Attributes:
        rows: [{object, item, type, before, wanted, after, status, note}], after as it is going to be.
        files: A plan for each unit.
        units: The services, as they are.
        stale: Those whose running process gets its limits by a restart only.
    """

    def __init__(self, host: Host, params: dict[str, Any]) -> None:
        self._host, self._params = host, params
        self.units: list[Unit] = []
        self.files: list[FilePlan] = []
        self.stale: list[Unit] = []
        self._limits: list[Limit] = []
        if params["state"] == "present":
            wanted = {unit: wanted_of(unit, directives) for unit, directives in params["units"].items()}
            for text, directives in wanted.items():
                self._add(look(host, text, _PROPERTIES), directives)
        else:
            for name, path in written(params["name"]):
                self._remove(name, path)
        self.rows = [limit.row for limit in self._limits]

    def _add(self, unit: Unit, wanted: dict[str, tuple[int, int]]) -> None:
        if unit.name in [other.name for other in self.units]:
            raise BadInput("it is named twice", unit.name, "Give all its limits under one name.")
        allowed, path = self._params["allow_lowering"], unit.drop_in(self._params["name"])
        pairs = [
            (Limit(unit, directive, KINDS[0], soft, allowed), Limit(unit, directive, KINDS[1], hard, allowed))
            for directive, (soft, hard) in wanted.items()
        ]
        limits = [limit for pair in pairs for limit in pair]
        self._plan(unit, path, _text(self._params["name"], pairs, _ours(path)), limits)
        for limit in limits:
            later = _later(unit, path, limit.directive)
            if later and limit.row["status"] == "applied":
                limit.row.update(status="overridden", after=limit.row["before"], note=later)
        _try(pairs)

    def _remove(self, name: str, path: str) -> None:
        try:
            unit = look(self._host, name, _PROPERTIES)
        except OpsError:  # the service is gone, or cannot be loaded any more: its file goes all the same
            self.files.append(FilePlan(path, None).plan(self._params["run_id"]))
            return
        limits = [Limit(unit, directive, kind, None, []) for directive in _ours(path) for kind in KINDS]
        self._plan(unit, path, "", limits)

    def _plan(self, unit: Unit, path: str, text: str, limits: list[Limit]) -> None:
        plan = FilePlan(path, text.encode("ascii") if text else None).plan(self._params["run_id"])
        self.files.append(plan)
        self.units.append(unit)
        self._limits += limits
        old = bool(unit.pid) and (plan.differs or unit.need_reload or started_before(unit.pid or 0, [path]))
        for limit in limits:
            has = limit.has(unit)
            if has is None:
                limit.row["note"] = limit.row["note"] or "it does not run: in effect from its next start"
            elif old and not limit.fits(has):
                self._see_stale(unit, limit, has)
            elif not old:
                self._demand(limit, has)

    def _see_stale(self, unit: Unit, limit: Limit, has: int) -> None:
        if unit not in self.stale:
            self.stale.append(unit)
        if not self._params["restart"]:
            limit.row.update(after=shown(has), note="in effect from its next start")

    def _demand(self, limit: Limit, has: int) -> bool:
        """Whether a process that was started with the limit in force has it; fill its row."""
        limit.row["after"] = shown(has)
        if limit.wanted is not None and has < real(limit.item, limit.wanted):
            limit.refuse("its process got %s: systemd may not set more, or the service lowers it" % shown(has))
            return False
        if limit.row["status"] != "better_kept" and limit.wanted is not None and not limit.fits(has):
            limit.row["note"] = "the process raised it itself"
        return True

    def configured(self) -> None:
        """See what systemd makes of the files.

        Raises:
            OpsError: Another file wins.
        """
        for limit, now in self._looked():
            defined = limit.defined(now)
            if limit.target is None:
                limit.row["after"] = shown(defined)
            elif defined != limit.target:
                where = _later(now, limit.unit.drop_in(self._params["name"]), limit.directive)
                limit.row.update(after=shown(defined), status="overridden", note=where)
                what = "%(item)s (%(type)s) is %(after)s, although %(wanted)s was written" % limit.row
                raise OpsError(what, now.name, "See which file wins: systemctl cat %s." % now.name)

    def proven(self) -> None:
        """Look into the processes.

        Raises:
            OpsError: One has less than it should.
        """
        for limit, now in self._looked():
            has = limit.has(now)
            if has is None or (limit.unit in self.stale and now.pid == limit.unit.pid):
                continue
            if not self._demand(limit, has):
                raise OpsError("%(item)s (%(type)s): %(note)s" % limit.row, now.name)

    def _looked(self) -> list[tuple[Limit, Unit]]:
        """Each limit with its unit as it is now."""
        now = {unit.name: look(self._host, unit.name, _PROPERTIES) for unit in self.units}
        return [(limit, now[limit.unit.name]) for limit in self._limits]


def written(name: str) -> list[tuple[str, str]]:
    """(unit, path) of the drop-ins that a profile has on this host."""
    found = []
    for folder in sorted(os.listdir(unit_look.UNITS)) if os.path.isdir(unit_look.UNITS) else []:
        path = "%s/%s/90-ops-runbook-%s.conf" % (unit_look.UNITS, folder, name)
        if folder.endswith(".service.d") and os.path.lexists(path):
            found.append((folder[:-2], path))
    return found


def _ours(path: str) -> dict[str, str]:
    """The limits in a drop-in: directive -> value."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            pairs = [line.strip().partition("=") for line in stream]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, sign, value in pairs if sign and key.strip() in ITEM_OF}


def _text(name: str, pairs: list[Pair], ours: dict[str, str]) -> str:
    """The drop-in; of what is better already it says what it said before, if anything."""
    lines = []
    for soft, hard in pairs:
        value: str | None = "%s:%s" % (shown(soft.target), shown(hard.target))
        if soft.row["status"] == hard.row["status"] == "better_kept":
            value = ours.get(soft.directive)
        if value is not None:
            lines.append("%s=%s\n" % (soft.directive, value))
    title = "# Written by ops.runbook.resource_limits for the profile %s; what is changed here is lost.\n" % name
    return "%s[Service]\n%s" % (title, "".join(lines)) if lines else ""


def _later(unit: Unit, path: str, directive: str) -> str:
    """file:line of the drop-in that sets directive after path does; empty where none does."""
    found = ""
    for other in unit.drop_ins:
        if os.path.basename(other) <= os.path.basename(path):
            continue
        try:
            with open(other, encoding="utf-8", errors="replace") as stream:
                lines = stream.read().split("\n")
        except OSError:
            continue
        places = [number for number, line in enumerate(lines, 1) if line.partition("=")[0].strip() == directive]
        found = "%s:%d" % (other, places[-1]) if places else found
    return found


def _try(pairs: list[Pair]) -> None:
    """Let the kernel say whether it would take what is to be applied."""
    asked = {}
    for pair in pairs:
        applied = [real(limit.item, limit.target) for limit in pair if limit.row["status"] == "applied"]
        if applied:
            asked[pair[0].directive] = (pair[0].item, applied[0], max(applied))
    refused = refusals(asked, limits_of(1)) if asked else {}
    for limit in [limit for pair in pairs for limit in pair]:
        if limit.directive in refused and limit.row["status"] == "applied":
            limit.refuse(refused[limit.directive])
