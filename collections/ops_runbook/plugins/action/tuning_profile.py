# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of tuning_profile: the experiment around the change, and what came of it."""

from __future__ import annotations

import time
import typing as t

from ansible import context
from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.ops.runbook.plugins.module_utils import environment, limits, sysctl, tuning
from ansible_collections.ops.runbook.plugins.plugin_utils import (
    checks,
    experiment,
    guard,
    packing,
    record,
    undo_plan,
    verdict,
)
from ansible_collections.ops.runbook.plugins.plugin_utils.errors import BadInput, CannotLook, OpsError, Refused
from ansible_collections.ops.runbook.plugins.plugin_utils.light import Errand, LightAction

Json = dict[str, t.Any]
PARTS = (environment, limits, sysctl)
"""Imported here, in the main process, because a worker would compile them again for every host."""
packing.precompile("tuning", ("holds", "locks", "managed_file", "limits", "limits_pam", "sysctl", "sysctl_apply"))
_CONTROLLER_ONLY = ("checks", "thresholds", "measurement", "kill_switch", "conclude", "waiting_group", "from_role")
# Of a concluded answer: the rest is in its summary, and all of a fleet's results pass through one process.
_KEPT = ("add_group", "ansible_facts", "changed", "error", "failed", "message", "parent_groups", "seconds", "verdict")
_OUTCOMES = {
    "already": "healthy",
    "waiting": "untouched",
    "predicted": "predicted",
    "kept": "done",
    "reverted": "reverted",
}
_MEASURE = "measurement"
_OF_ROLE = (
    "optional",
    "allow_lowering",
    "restart",
    "restart_timeout",
    "steady",
    "checks",
    "thresholds",
    "measurement",
    "kill_switch",
)
_SETTINGS = ("sysctl", "limits", "environment", "files")
_WAITING = "tuning_waiting"


class ActionModule(LightAction):
    """Looks, applies, looks again, and puts back what did harm."""

    NAME = "tuning_profile"
    ENTRY = "tuning"

    def checked(self, task_vars: Json) -> Json:
        """As every module; with from_role the variables of roles/tuning are options, too."""
        if boolean(self._task.args.get("from_role", False)):
            self._task.args = {**self._of_role(task_vars), **self._task.args}
        return super().checked(task_vars)

    def _of_role(self, task_vars: Json) -> Json:
        """Options from variables: each by itself, because one expression for all would be compiled for every host."""

        def value(name: str) -> t.Any:
            return self._templar.template(task_vars[name])

        options = {option: value(f"tuning_{option}") for option in _OF_ROLE}
        if boolean(value("tuning_look_only")):
            self._task.check_mode = True
            options["waiting_group"] = _WAITING
        # Only the profile that is asked for: another one's templates may need variables that this inventory lacks.
        own = task_vars["tuning_profiles"]
        known = {**task_vars["tuning_shipped"], **(value("tuning_profiles") if isinstance(own, str) else own)}
        name = str(self._task.args.get("profile", ""))
        profile = self._templar.template(known.get(name) or {})
        if not isinstance(profile, dict) or not set(profile) <= set(_SETTINGS):
            raise BadInput(f"is not a mapping of {', '.join(_SETTINGS)}", f"profile {name!r}")
        return {**options, "measurement": options["measurement"] or None, "conclude": True, **profile}

    def extra(self, params: Json) -> t.Iterable[str]:
        """The parts of the profile, and undo for what fails halfway."""
        return tuning.late(params)

    def deadline(self, params: Json) -> int:
        """As long as the restarts of the profile may take."""
        return int(tuning.longest(params)) + 60

    def perform(self, params: Json, task_vars: Json, no_log: set[str]) -> Json:
        """The experiment, or without checks and measurement the change alone."""
        began = time.monotonic()
        guard.demand_no_kill_switch(params["kill_switch"])
        _validate(params)
        host = _Host(self, params, task_vars, no_log)
        watched = bool(params["checks"] or params["measurement"]) and not self._task.check_mode
        answer = _experiment(host) if watched else {**host.tune(), "measured": None}
        return {**answer, "seconds": round(time.monotonic() - began, 3)}

    def concluded(self, answer: Json, params: Json, task_vars: Json) -> Json:
        """The outcome of this host, so that a fleet does not pay for a task of its own."""
        answer = {**answer, "failed": bool(answer.get("failed")) or answer.get("verdict") == "reverted"}
        answer = self._waiting(answer, params["waiting_group"])
        name = _outcome(answer)
        if not params["conclude"] or name is None:
            return answer
        facts = {
            "target": str(task_vars["inventory_hostname"]),
            "outcome": name,
            "message": answer.get("message") or answer.get("msg", ""),
            "changes": answer.get("changes", []) if name in ("done", "predicted", "untouched") else [],
            "undo": [answer["undo"]] if name == "done" else [],
            "next_step": _next_step(answer),
            "keys": answer.get("keys", {}),
            "measured": answer.get("measured"),
            "seconds": {"act": answer.get("seconds", 0.0)},
        }
        kept = {key: answer[key] for key in _KEPT if key in answer}
        return {**kept, "ops_runbook": self.conclude_job(facts), "msg": answer.get("msg") or answer["message"]}

    def _waiting(self, answer: Json, group: str) -> Json:
        """Let a host that differs join a group, with what Ansible's own group_by returns; it waits, unless --check."""
        if not group or answer.get("verdict") != "predicted" or context.CLIARGS.get("check"):
            return answer
        return {**answer, "verdict": "waiting", "add_group": group, "parent_groups": ["all"]}


def _experiment(host: _Host) -> Json:
    healthy, numbers = host.well(), host.samples()
    answer = host.tune()
    if answer.get("failed") or not answer["changed"]:
        return {**answer, "measured": None}
    try:
        harm, measured = host.harm(healthy, numbers)
    except AnsibleConnectionFailure as lost:
        harm, measured = f"afterwards it could not be reached: {lost}", None
    if harm:
        return _reverted(host, answer, harm, measured)
    said = f"; measured {experiment.sentence(measured)}" if measured else ""
    return {**answer, "measured": measured, "message": answer["message"] + said}


def _reverted(host: _Host, answer: Json, harm: str, measured: Json | None) -> Json:
    """Everything put back at once; what cannot be put back stays recorded as a change."""
    try:
        undone = host.undo(answer["undo"]["steps"])
    except AnsibleConnectionFailure as lost:  # said here, or the record would not know what there is to undo
        undone = {"failed": True, "msg": str(lost)}
    if undone.get("failed"):
        text = f"{harm}; and it could not be put back: {undone['msg']}"
        result = {**answer, "measured": measured, "message": text}
        raise OpsError(text, hint=f"runbook undo {record.run_id()}", result=result)
    return {
        **answer,
        "changes": answer["changes"] + undone["changes"],
        "verdict": "reverted",
        "undo": {"kind": "none", "reason": "it did harm and was put back by the run itself"},
        "measured": measured,
        "message": f"put back: {harm}",
    }


class _Host:
    """What the experiment does on the target."""

    def __init__(self, action: LightAction, params: Json, task_vars: Json, no_log: set[str]) -> None:
        self._action, self._params, self._task_vars, self._no_log = action, params, task_vars, no_log
        self._plan = params["measurement"]

    def tune(self) -> Json:
        """Apply the profile, or predict."""
        sent = {key: value for key, value in self._params.items() if key not in _CONTROLLER_ONLY}
        return self._action.call(sent, self._task_vars, self._no_log)

    def undo(self, steps: list[Json]) -> Json:
        """Replay undo steps."""
        deadline = self._action.deadline(self._params)
        errand = Errand("change_undo", "undo", tuple(undo_plan.modules(steps, False)), deadline)
        options = {"steps": steps, "leases": [], "lease": "", "run_id": self._params["run_id"]}
        return self._action.call(options, self._task_vars, self._no_log, errand)

    def well(self) -> Json | None:
        """The probe document of a host that may be tuned; None where no checks are given."""
        if not self._params["checks"]:
            return None
        document = self._probe()
        if document["status"] not in experiment.WELL:
            raise Refused(
                f"the host is not well, so nothing was tuned: {verdict.headline(document)}",
                hint="Recover it first, then run again.",
            )
        return document

    def samples(self) -> list[float]:
        """The numbers that the measurement yields now; [] where none is asked for."""
        return [self._sample() for _turn in range(self._plan["samples"])] if self._plan else []

    def harm(self, healthy: Json | None, numbers: list[float]) -> tuple[str, Json | None]:
        """Why the change has to be put back (empty: it has not), and the judgement of the numbers."""
        time.sleep(self._plan["settle"] if self._plan else 0)
        try:
            worse = experiment.worse(healthy, self._probe() if healthy else None)
            if worse:
                return f"afterwards it is not as well as before: {worse}", None
            if not self._plan:
                return "", None
            judged = experiment.judge(numbers, self.samples(), self._plan["better"], self._plan["tolerance"])
        except CannotLook as problem:  # could not tell is never a pass
            return f"afterwards it could not be looked at: {problem}", None
        return (f"measured {experiment.sentence(judged)}" if judged["verdict"] == "harmful" else ""), judged

    def _probe(self) -> Json:
        chosen = checks.select(self._params["checks"], False, False)
        answer = self._measure({name: checks.measured(check) for name, check in chosen.items()})
        target = str(self._task_vars["inventory_hostname"])
        return verdict.judge(target, chosen, answer, self._params["thresholds"])

    def _sample(self) -> float:
        plan = self._plan
        if plan["query"]:
            return experiment.prometheus(plan["url"], plan["query"], plan["timeout"])
        check = {"type": "command", "argv": plan["command"], "timeout": plan["timeout"]}
        found = self._measure({_MEASURE: check})["measurements"][_MEASURE]
        return experiment.of_check(found, f"measurement {plan['command'][0]}")

    def _measure(self, asked: Json) -> Json:
        kinds = tuple(sorted({f"collectors.{check['type']}" for check in asked.values()}))
        longest = int(max(float(check.get("timeout") or 5) for check in asked.values())) + 30
        answer = self._action.call(
            {"checks": asked}, self._task_vars, self._no_log, Errand("health_probe", "probe", kinds, longest)
        )
        if answer.get("failed"):
            raise CannotLook(str(answer["msg"]))
        return answer


def _validate(params: Json) -> None:
    if not any(params[part] for part in _SETTINGS):
        raise BadInput(
            "it says nothing: it is empty, or no profile of that name is known",
            f"profile {params['profile']!r}",
            "Profiles ship in roles/tuning/vars/main.yml; the inventory's own are in tuning_profiles.",
        )
    if params["checks"]:
        checks.validate(params["checks"], params["thresholds"])
    measurement = params["measurement"]
    if measurement is None:
        return
    if measurement["command"] is not None and not measurement["command"]:
        raise BadInput("it names no command", "measurement.command", "Give the command and its arguments as a list.")
    for name, least in (("tolerance", 0.0), ("samples", 1), ("settle", 0.0), ("timeout", 0.1)):
        if not least <= measurement[name] <= 3600:
            raise BadInput(f"{measurement[name]:g} is not from {least:g} to 3600", f"measurement.{name}")


def _next_step(answer: Json) -> str:
    """What a person does next: what an error advises, or the restarts that were not allowed."""
    if answer.get("failed"):
        return str((answer.get("error") or {}).get("hint", ""))
    parts = (answer.get("parts") or {}).values()
    units = sorted({unit for part in parts for unit in part.get("restart_needed") or []})
    said = f"it takes a restart to reach {', '.join(units)}: run again with -e tuning_restart=true"
    return said if units and answer["verdict"] in ("already", "kept") else ""


def _outcome(answer: Json) -> str | None:
    """The outcome of what came back; None for what the callback has to judge (wrong input, no access, a bug)."""
    kind = (answer.get("error") or {}).get("kind")
    if answer.get("verdict") == "reverted":
        return "reverted"
    if not answer.get("failed"):
        return _OUTCOMES[answer["verdict"]]
    return {"Refused": "refused", "OpsError": "failed", "CannotLook": "escalated"}.get(kind or "")
