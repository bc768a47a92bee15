# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller half of health_probe: chooses the checks, judges what was measured, and waits until it stays well."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.plugin_utils import checks, verdict
from ansible_collections.ops.runbook.plugins.plugin_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction

checks.load_collectors()

Json = dict[str, t.Any]


class ActionModule(LightAction):
    """Looks once, or again and again until it has been well for a while."""

    NAME = "health_probe"
    ENTRY = "probe"

    def extra(self, params: Json) -> t.Iterable[str]:
        """The collectors that the checks name, and what they import later."""
        return sorted({name for check in params["checks"].values() for name in checks.modules(check)})

    def deadline(self, params: Json) -> int:
        """The slowest check, and time to start and to answer."""
        return int(max(float(check.get("timeout") or probe.TIMEOUT) for check in params["checks"].values())) + 30

    def perform(self, params: Json, task_vars: Json, no_log: set[str]) -> Json:
        """Validate, look, judge."""
        checks.validate(params["checks"], params["thresholds"])
        _validate(params)
        target = params["target"] or str(task_vars["inventory_hostname"])
        watch, began = verdict.Watch(params["stable_for"], params["baseline"]), time.monotonic()
        while True:
            now = time.monotonic()
            chosen = checks.select(params["checks"], params["deep"] and watch.decides(now), self._task.check_mode)
            asked = {name: _asked(check, params["cursors"].get(name)) for name, check in chosen.items()}
            answer = self.call({"checks": asked}, task_vars, no_log)
            if answer.get("failed"):
                return answer
            document = verdict.judge(target, chosen, answer, params["thresholds"])
            watch.see(document, now)
            if not params["stable_for"] or _is_over(watch, params, time.monotonic() - began):
                return _result(document, watch, answer)
            time.sleep(watch.pause(params["interval"], time.monotonic()))


def _is_over(watch: verdict.Watch, params: Json, spent: float) -> bool:
    """Whether to stop looking: stable, out of time, or not once well within the grace."""
    if watch.stable or (params["grace"] and not watch.was_well and spent > params["grace"]):
        return True
    longer = watch.window - params["stable_for"]
    return bool(spent + params["interval"] > params["timeout"] + longer)


def _validate(params: Json) -> None:
    if params["stable_for"] and not 0 < params["stable_for"] < params["timeout"]:
        raise BadInput(
            f"{params['stable_for']:g} s do not fit into the timeout of {params['timeout']:g} s",
            "stable_for",
            "Make timeout longer.",
        )
    if params["interval"] <= 0:
        raise BadInput(f"{params['interval']:g} s is no interval", "interval", "Give seconds above 0.")
    for name in params["cursors"]:
        if name not in params["checks"]:
            raise BadInput("names no check", f"cursors.{name}", f"Known are {', '.join(params['checks'])}.")
    if params["baseline"] is not None and params["baseline"].get("schema") != verdict.SCHEMA:
        raise BadInput("is not a probe document", "baseline", "Give the `document` of an earlier health_probe.")


def _asked(check: Json, cursor: t.Any) -> Json:
    """What the target is asked; the cursor goes to the types that count since one."""
    asked = checks.measured(check)
    if cursor and "cursor" in probe.collector(check["type"]).SPEC:
        asked["cursor"] = cursor
    return asked


def _result(document: Json, watch: verdict.Watch, answer: Json) -> Json:
    kept = {key: answer[key] for key in ("ansible_facts",) if key in answer}
    return {
        **kept,
        "changed": False,
        "message": verdict.headline(document),
        "document": document,
        "cursors": verdict.cursors(document),
        "stable": watch.stable,
        "stable_seconds": round(watch.seconds, 1),
        "probes": watch.probes,
    }
