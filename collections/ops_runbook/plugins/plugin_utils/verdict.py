# SPDX-License-Identifier: GPL-3.0-or-later
"""From measurements to a probe document: pure functions over data.

Order of gravity: ok < warning < unknown < critical. Unknown is never healthy: a rule whose metric could not be
determined makes its check unknown, unless another rule says that it is critical.
"""

from __future__ import annotations

import typing as t

from . import rules
from .checks import NUMERIC, OTHER, SECONDS, SIZES, Json, expression, names_in

SCHEMA = "ops.runbook/probe/1"
GRAVITY = ("ok", "warning", "unknown", "critical")
HEALTHY = ("ok", "warning")
_ABSENT = object()


def judge(target: str, checks: Json, answer: Json, thresholds: Json) -> Json:
    """The probe document.

    Args:
        target: What was looked at, such as db1/mongodb.
        checks: The selected checks, validated.
        answer: What the target sent: taken_at and measurements.
        thresholds: check -> {warning, critical}, validated; they replace the lists of that check.

    Returns:
        {schema, target, taken_at, status, checks: name -> {type, status, summary, data, missing, took_ms, threshold}}.
    """
    judged = {
        name: _judge_one(check, answer["measurements"][name], thresholds.get(name, {}))
        for name, check in checks.items()
    }
    status = max((one["status"] for one in judged.values()), key=GRAVITY.index)
    return {"schema": SCHEMA, "target": target, "taken_at": answer["taken_at"], "status": status, "checks": judged}


def rules_of(check: Json, thresholds: Json) -> tuple[list[Json], list[Json]]:
    """The (warning, critical) rules in force for a check."""
    own = any(key in check for key in ("warning", "critical", "expect"))
    warning, critical = ([], []) if own else rules.DEFAULTS[check["type"]]
    lists: Json = {"warning": warning, "critical": critical, **check, **thresholds}
    return lists["warning"], lists["critical"]


def _judge_one(check: Json, measurement: Json, thresholds: Json) -> Json:
    seen = {key: measurement[key] for key in ("data", "missing", "took_ms")}
    if measurement["unknown"] is not None:
        status, summary, threshold = "unknown", str(measurement["unknown"]), None
    else:
        status, threshold, doubt = _weigh(check, seen, thresholds)
        summary = rules.summary(check["type"], seen["data"], seen["missing"])
        if doubt and doubt not in summary:
            summary = f"{summary}; {doubt}"
    return {"type": check["type"], "status": status, "summary": summary, **seen, "threshold": threshold}


def _weigh(check: Json, seen: Json, thresholds: Json) -> tuple[str, Json | None, str]:
    """(status, the rule that decided it, what there is to say about it)."""
    warning, critical = rules_of(check, thresholds)
    doubts = []
    for rule in critical:
        fires, doubt = _fires(rule, seen)
        if fires:
            return "critical", rule, ""
        doubts += [doubt] if doubt else []
    if "expect" in check:
        met, doubt = _met(check["expect"], seen)
        if not met and not doubt:
            return "critical", {"expect": check["expect"]}, f"expected {check['expect']}"
        doubts += [doubt] if doubt else []
    fired = []
    for rule in warning:
        fires, doubt = _fires(rule, seen)
        fired += [rule] if fires else []
        doubts += [doubt] if doubt else []
    if doubts:
        return "unknown", None, doubts[0]
    return ("warning", fired[0], "") if fired else ("ok", None, "")


def _fires(rule: Json, seen: Json) -> tuple[bool, str]:
    """Whether a rule fires; or why that cannot be told."""
    metric, operator, value = str(rule["metric"]), rule["operator"], _in_base_unit(rule)
    found = _lookup(metric, seen)
    if found is _ABSENT:
        return False, f"not determined: {metric}"
    if found is None and value is not None:
        return False, ""  # not applicable here
    if operator in NUMERIC:
        if isinstance(found, bool) or not isinstance(found, int | float):
            return False, f"{metric} is no number: {found!r}"
        return bool(NUMERIC[operator](found, value)), ""
    try:
        return bool(OTHER[operator](found, value)), ""
    except TypeError:
        return False, f"{metric} cannot be compared by {operator}: {found!r}"


def _lookup(metric: str, seen: Json) -> t.Any:
    """The value of a metric such as counts.errors; _ABSENT when it could not be determined."""
    first, *rest = metric.split(".")
    if first in seen["missing"]:
        return _ABSENT
    found = seen["data"].get(first, _ABSENT)
    for part in rest:
        found = found.get(part, _ABSENT) if isinstance(found, dict) else _ABSENT
    return found


def _in_base_unit(rule: Json) -> t.Any:
    """A rule's value in the unit of its metric: bytes, seconds, or milliseconds where the metric's name ends in _ms."""
    value, unit = rule["value"], rule.get("unit")
    if unit in SIZES:
        return value * SIZES[unit]
    if unit in SECONDS:
        return value * SECONDS[unit] * (1000 if str(rule["metric"]).endswith("_ms") else 1)
    return value


def _met(expect: str, seen: Json) -> tuple[bool, str]:
    """Whether an expectation is met; or why that cannot be told."""
    compiled = expression(expect)
    unknown = sorted(name for name in names_in(compiled.parsed) if name in seen["missing"] or name not in seen["data"])
    if unknown:
        return False, f"not determined: {unknown[0]}"
    try:
        return compiled.search(seen["data"]) is True, ""
    except (ValueError, TypeError) as error:
        return False, f"{expect} cannot be evaluated: {' '.join(str(error).split())}"


def worse(before: Json, after: Json) -> list[str]:
    """Checks that are graver after than before; one that was not looked at before cannot have got worse."""
    earlier = before["checks"]
    return [
        name
        for name, check in after["checks"].items()
        if name in earlier and GRAVITY.index(check["status"]) > GRAVITY.index(earlier[name]["status"])
    ]


def cursors(document: Json) -> Json:
    """What to give as `cursors` at the next look, by check: for those that count since one."""
    found = {name: check["data"].get("cursor") for name, check in document["checks"].items()}
    return {name: cursor for name, cursor in found.items() if cursor}


def headline(document: Json) -> str:
    """The document in one line: its status and the checks that are as grave as it."""
    status = document["status"]
    if status == "ok":
        return f"{document['target']} is ok: {len(document['checks'])} checks"
    gravest = [f"{name}: {check['summary']}" for name, check in document["checks"].items() if check["status"] == status]
    return f"{document['target']} is {status}: {'; '.join(gravest)}"


class Watch:
    """Whether a target stays well: no check worse than in an earlier document, the same processes, no restart counted.

    `stable` (bool), `seconds` (how long it has been well without a break), `was_well` (whether it was at all), `window`
    (seconds it has to stay well: never below twice a unit's RestartSec, or a crash loop would pass), `probes` (count).
    """

    def __init__(self, stable_for: float, baseline: Json | None) -> None:
        self.window, self._baseline = stable_for, baseline
        self._since: float | None = None
        self._last = 0.0
        self._mark: list[t.Any] = []
        self.probes = 0
        self.seconds = 0.0
        self.stable = self.was_well = False

    def decides(self, now: float) -> bool:
        """Whether a look that begins now opens or closes the window; one between only sees that nothing breaks."""
        return self._since is None or now - self._since >= self.window

    def see(self, document: Json, began: float) -> None:
        """Take in a document whose look began then (any steady clock, in seconds).

        From begin to begin, so that what a check measured early or late in a look is a whole window apart, too.
        """
        self.probes += 1
        self._last = began
        self.window = max(self.window, 2 * _restart_delay(document))
        well = document["status"] in HEALTHY and not (self._baseline and worse(self._baseline, document))
        mark = _processes(document)
        if not well:
            self._since = None
        elif self._since is None or mark != self._mark:
            self._since = began
        self._mark = mark
        self.seconds = 0.0 if self._since is None else began - self._since
        self.was_well = self.was_well or well
        self.stable = well and self.seconds >= self.window

    def pause(self, interval: float, now: float) -> float:
        """Seconds until the next look begins: an interval after the last one, and one just when the window ends.

        Until it has been well once the first looks come sooner, so that a quick start is not waited for.
        """
        after = interval if self.was_well else min(interval, 0.1 * 2 ** (self.probes - 1))
        due = self._last + after
        if self._since is not None:
            due = min(due, self._since + self.window)
        return max(0.05, due - now)


def _restart_delay(document: Json) -> float:
    """The longest time that systemd waits before it restarts one of the units that are meant to restart."""
    units = [check["data"] for check in document["checks"].values() if check["type"] == "systemd_unit"]
    return max((float(data.get("restart_delay") or 0) for data in units), default=0.0)


def _processes(document: Json) -> list[t.Any]:
    """What changes when a unit's process is another one."""
    units = {name: check["data"] for name, check in document["checks"].items() if check["type"] == "systemd_unit"}
    return [[name, data.get("main_pid"), data.get("restarts")] for name, data in units.items()]
