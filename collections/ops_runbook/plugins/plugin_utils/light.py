# SPDX-License-Identifier: GPL-3.0-or-later
"""The light road: a module's code and arguments travel as one program through the interpreter's standard input.

Ansible's own packaging costs the target about 0.2 s of CPU a call; this costs 0.02 s. Where the connection cannot pipe
(pipelining off, `async`, su, a sudo that wants a tty), the ordinary module runs instead: it imports the same
module_utils, so both roads give the same result. See docs/design.md, "Modules that travel light".
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import secrets
import time
import typing as t

from ansible import constants as C  # noqa: N812 - the name every Ansible plugin uses
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.executor.interpreter_discovery import discover_interpreter
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase

from ..module_utils import errors
from . import compared, foreseen, guard, outcome, record, warm, wording
from .packing import PACKAGE, Call, program

record.run_id()  # when this module is imported, in the main process, so that all workers share it


warm.up()


# What the ssh client says when it could not connect, and Ansible when sudo refused the password.
_NOT_SENT = re.compile(
    r"\bssh: (?:connect to host \S+ port \d+: |Could not resolve hostname )|(?:Incorrect|Missing) \w+ password"
)


class Errand(t.NamedTuple):
    """What runs on the target: a module's own work, or another module's that an action needs on the way."""

    module: str
    entry: str
    extra: tuple[str, ...] = ()
    deadline: int = 120


def brief(value: t.Any) -> t.Any:
    """Arguments for the record: of a file's `content`, which may be a key, how long it is and its hash."""
    if isinstance(value, dict):
        return {key: _digest(item) if key == "content" else brief(item) for key, item in value.items()}
    return [brief(item) for item in value] if isinstance(value, list) else value


def _digest(content: t.Any) -> t.Any:
    if not isinstance(content, str):
        return brief(content)
    raw = content.encode()
    return f"{len(raw)} bytes, SHA-256 {hashlib.sha256(raw).hexdigest()}"


class LightAction(ActionBase):
    """An action that pipes its module's code to the target, or else runs the ordinary module.

    A module is: `module_utils/specs/NAME.py` (ARGUMENT_SPEC, RULES), `module_utils/ENTRY.py` (`run(params, check)`),
    and a
    subclass of this with those two names.
    """

    _supports_check_mode = True
    _supports_async = True
    _supports_diff = True
    NAME: t.ClassVar[str]
    ENTRY: t.ClassVar[str]
    RECORDED = False
    """Whether it is recorded although it has no lease: a person's word, not an act."""
    in_one = True
    """Whether all went to the target in one command, so that one that was not sent did nothing."""

    def __init_subclass__(cls) -> None:
        """Load the argument spec once, in the main process."""
        importlib.import_module(f"{PACKAGE}.specs.{cls.NAME}")

    def prepare(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """What goes to the target, from the validated arguments; raise OpsError to refuse."""
        return params

    def extra(self, params: dict[str, t.Any]) -> t.Iterable[str]:
        """Lazily imported module_utils that this call needs."""
        return ()

    def deadline(self, params: dict[str, t.Any]) -> int:
        """Seconds after which the program ends itself, because the remote command outlives a lost controller."""
        return int(params.get("timeout") or 60) + 60

    def finish(
        self, answer: dict[str, t.Any], params: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """The controller's half, from the target's answer; not called for a failed one."""
        return answer

    def concluded(
        self, answer: dict[str, t.Any], params: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """What a changing module adds once its act is in the record, failed or not."""
        return answer

    def conclude_job(self, facts: dict[str, t.Any]) -> dict[str, t.Any]:
        """Sum up a job on this host and record its end; facts as in outcome.conclude_job, returns the `ops_runbook`."""
        concluded = outcome.conclude_job(record.run_id(), facts)
        record.append(record.folder(), record.run_id(), facts["target"], "job", self.ending(concluded))
        return concluded

    def conclude_act(
        self, answer: dict[str, t.Any], task_vars: dict[str, t.Any], name: str, next_step: str, **more: t.Any
    ) -> dict[str, t.Any]:
        """The answer of a module that is a job by itself, with the outcome of that name; more are further facts."""
        facts = {
            "target": str(task_vars["inventory_hostname"]),
            "outcome": name,
            "message": answer.get("message") or answer["msg"],
            "changes": answer.get("changes") or [],
            "undo": [answer["undo"]] if answer.get("changed") else [],
            "next_step": next_step,
        }
        return {**answer, "ops_runbook": self.conclude_job({**facts, **more})}

    def ending(self, concluded: dict[str, t.Any]) -> dict[str, t.Any]:
        """What the record says at the end of a run on a host."""
        incident = os.environ.get("OPS_RUNBOOK_INCIDENT")
        about = {"check": bool(self._task.check_mode), "incident": incident}
        return {**concluded["summary"], **about, "commands": wording.commands(record.run_id())}

    def perform(self, params: dict[str, t.Any], task_vars: dict[str, t.Any], no_log: set[str]) -> dict[str, t.Any]:
        """The whole work after validation; modules that live on the controller alone replace this."""
        answer = self.call(self.prepare(params, task_vars), task_vars, no_log)
        return answer if answer.get("failed") else self.finish(answer, params, task_vars)

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Validate, travel, finish."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        started = time.monotonic()
        answer = errors.answer(lambda _params, _check: self.checked(task_vars or {}), {}, False)
        answer.pop("invocation", None)
        result.update(answer)
        result["ops_runbook"] = {**answer.get("ops_runbook", {}), "seconds": round(time.monotonic() - started, 3)}
        return result

    def checked(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Validate the arguments, then work."""
        params, no_log, error = self.validated()
        if error:
            raise errors.BadInput(error)
        return self._recorded(params, task_vars, no_log)

    def _recorded(self, params: dict[str, t.Any], task_vars: dict[str, t.Any], no_log: set[str]) -> dict[str, t.Any]:
        """Modules that change a target (they have a lease) are recorded: intent before, outcome after."""
        if "lease" not in params and not self.RECORDED:
            return self.perform(params, task_vars, no_log)
        if task_vars.get(foreseen.VARIABLE):
            return self._foreseen(params, task_vars, no_log)
        self._demand_not_stopped(params, task_vars)
        where, run, host = record.folder(), record.run_id(), str(task_vars.get("inventory_hostname"))
        shown = brief(remove_values(params, no_log) if no_log else params)
        about = {"module": self.NAME, "arguments": shown, "check": bool(self._task.check_mode)}
        record.append(where, run, host, "intent", about)
        try:
            answer = errors.answer(lambda _params, _check: self.perform(params, task_vars, no_log), {}, False)
        except AnsibleError as error:
            reached = self._reached(error)
            if not reached or isinstance(error, AnsibleConnectionFailure):
                lost = {"module": self.NAME, "check": about["check"], "unreachable": True, "reached": reached}
                record.append(where, run, host, "acted", {**lost, "msg": str(error)[:500]})
            raise
        kept = ("changed", "changes", "undo", "failed", "msg", "message")
        said = {key: answer[key] for key in kept if key in answer}
        diff = compared.unified(answer.get("diff") or {})
        said |= {"diff": diff} if diff else {}
        record.append(where, run, host, "acted", {"module": self.NAME, "check": about["check"], **said})
        return self.concluded(answer, params, task_vars)

    def _foreseen(self, params: dict[str, t.Any], task_vars: dict[str, t.Any], no_log: set[str]) -> dict[str, t.Any]:
        """Predict for a person who has yet to say yes: no act, no intent, and the task did not change anything."""
        if not self._task.check_mode:
            raise errors.BadInput(f"{foreseen.VARIABLE} is for check mode alone", self.NAME, "Set check_mode: true.")
        answer = errors.answer(lambda _params, _check: self.perform(params, task_vars, no_log), {}, False)
        host = str(task_vars.get("inventory_hostname"))
        record.append(record.folder(), record.run_id(), host, foreseen.PHASE, foreseen.entry(self.NAME, answer))
        return {**answer, "changed": False}

    def _demand_not_stopped(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> None:
        """The kill switch is looked at right before every act of a remedy, not only when the guard was asked."""
        if params.get("lease") and "remediate_kill_switch" in task_vars and not self._task.check_mode:
            guard.demand_no_kill_switch(str(self._templar.template(task_vars["remediate_kill_switch"])))

    def _reached(self, error: AnsibleError) -> bool:
        """Whether the program may have come to the target: not where ssh, or sudo, failed before it was sent."""
        try:
            again = self._connection.get_option("reconnection_retries")
        except KeyError:  # another connection: nobody knows
            return True
        return bool(again) or not self.in_one or not _NOT_SENT.search(str(error))

    def validated(self) -> tuple[dict[str, t.Any], set[str], str | None]:
        """The task's arguments after the module's own argument spec: (parameters, values to mask, error or None)."""
        spec = importlib.import_module(f"{PACKAGE}.specs.{self.NAME}")
        # Plain before the validator copies it: copies of the strings that Ansible tags cost as much as all else here.
        arguments = json.loads(json.dumps(self._task.args, default=str))
        if "run_id" in spec.ARGUMENT_SPEC:
            arguments.setdefault("run_id", record.run_id())
        checked = ArgumentSpecValidator(spec.ARGUMENT_SPEC, **spec.RULES).validate(arguments)
        if checked.error_messages:
            msg = checked.errors.msg
            if isinstance(checked.errors[0], UnsupportedError):
                msg = f"Unsupported parameters for ({self._task.action}) module: {msg}"
            return {}, set(), str(msg)
        return dict(checked.validated_parameters), set(checked._no_log_values), None

    def call(
        self,
        params: dict[str, t.Any],
        task_vars: dict[str, t.Any],
        no_log: set[str],
        errand: Errand | None = None,
    ) -> dict[str, t.Any]:
        """Run a module on the target, this one unless errand says which; by the light road where the connection can."""
        errand = errand or Errand(self.NAME, self.ENTRY, tuple(self.extra(params)), self.deadline(params))
        if self._task.async_val or not self._is_pipelining_enabled("new", False):
            return self._ordinary(errand, params, task_vars)
        answer = self._light(errand, params, task_vars)
        if answer is None:  # sudo wants a tty: no pipes on this connection
            self._connection.set_option("pipelining", False)
            return self._ordinary(errand, params, task_vars)
        return t.cast("dict[str, t.Any]", remove_values(answer, no_log)) if no_log else answer

    def _ordinary(self, errand: Errand, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        wanted = {name: value for name, value in params.items() if value is not None}
        self.in_one = False
        answer = self._execute_module(
            module_name=f"ops.runbook.{errand.module}",
            module_args=wanted,
            task_vars=task_vars,
            wrap_async=bool(self._task.async_val),
        )
        if not self._task.async_val:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return dict(answer)

    def _light(self, errand: Errand, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any] | None:
        mark = f"--{secrets.token_hex(8)}--"
        text = program(Call(errand.entry, params, self._task.check_mode, errand.extra, errand.deadline), mark)
        python, facts = self._interpreter(task_vars)
        command = " ".join(filter(None, [self._compute_environment_string().strip(), python, "-I -S -B -"]))
        answer = self._low_level_execute_command(command, in_data=text)
        parts = answer["stdout"].split(mark)
        if len(parts) == 3:
            return {**json.loads(parts[1]), **facts}
        if "must have a tty" in answer["stderr"]:
            return None
        return {"failed": True, **_no_answer(python, answer), **facts}

    def _interpreter(self, task_vars: dict[str, t.Any]) -> tuple[str, dict[str, t.Any]]:
        if getattr(self._connection, "_remote_is_local", False):
            return str(task_vars["ansible_playbook_python"]), {}
        delegated = task_vars.get("ansible_delegated_vars", {})
        seen = delegated.get(self._task.delegate_to, task_vars) if self._task.delegate_to else task_vars
        chosen = self._templar.template(C.config.get_config_value("INTERPRETER_PYTHON", variables=seen))
        if chosen and not chosen.startswith("auto"):
            return str(chosen), {}
        known = seen.get("ansible_facts", {}).get("discovered_interpreter_python")
        if known:
            return str(known), {}
        found = discover_interpreter(
            action=self, interpreter_name="python", discovery_mode=chosen or "auto", task_vars=seen
        )
        if found is None:
            raise AnsibleError("No Python was found on the target. Install python3 or set ansible_python_interpreter.")
        if self._task.delegate_to and not self._task.delegate_facts:
            return str(found), {}
        return str(found), {"ansible_facts": {"discovered_interpreter_python": str(found)}}


def _no_answer(python: str, answer: dict[str, t.Any]) -> dict[str, t.Any]:
    """Why a target gave no document: no interpreter, killed at its deadline, or something unforeseen."""
    noise = (answer["stderr"] or answer["stdout"] or "").strip()
    last = noise.splitlines()[-1] if noise else "no output"
    if answer["rc"] in (126, 127):
        msg = f"{python} cannot be run on the target. Install Python 3.8 or newer or set ansible_python_interpreter."
    elif answer["rc"] in (142, -14):
        msg = "The program on the target passed its deadline and ended itself."
    else:
        msg = f"The target did not answer (exit code {answer['rc']}): {last}"
    return {"msg": msg, "rc": answer["rc"], "module_stdout": answer["stdout"], "module_stderr": answer["stderr"]}
