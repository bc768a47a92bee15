# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ansible's events to the outcome of each target and the exit code of the run (docs/design.md, "The lifecycle").

Ansible's own exit code is never looked at: it is 4 both for an unreachable host and for a playbook that does not parse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

CODES = {
    "healthy": 0,
    "remedied": 0,
    "recovered": 0,
    "done": 0,  # a job without the lifecycle, such as a baseline
    "wrong_input": 2,  # a variable that a role or module refuses; nothing was done
    "predicted": 3,
    "unreachable": 4,
    "failed": 5,
    "unverified": 6,
    "reverted": 6,
    "refused": 7,
    "untouched": 7,
    "escalated": 8,
    "crashed": 1,  # a task failed outside the lifecycle: a bug of ours
    "unfinished": 1,  # nothing was heard of the host: Ansible ended, or was stopped, before
}
_REFUSED = "REFUSED:"  # as the summary callback begins, when it ends a run before it touches a host
GRAVITY = (1, 2, 5, 6, 8, 7, 4, 3, 0)
STOPPED = {"timed_out": 124, "hung_up": 129, "interrupted": 130, "terminated": 143}
ENDS = ("runner_on_ok", "runner_on_failed", "runner_on_unreachable", "runner_on_skipped")
_PROVISIONAL = ("untouched", "predicted")
"""What was said when a host was looked at; what happens to it later takes its place."""

_NO_PYTHON = (
    "no usable Python on the host",
    "Install python3 there, or set ansible_python_interpreter to one that runs.",
)
# What Ansible reports as a failed task, but means that the host could not be used: it counts as unreachable.
_NO_ACCESS = (
    (
        r"Incorrect \w+ password|Duplicate become password|incorrect password attempt|Sorry, try again",
        "the sudo password is wrong",
        "Run again with -K and the right one.",
    ),
    (
        r"Missing \w+ password|a password is required|a terminal is required",
        "sudo wants a password and none was given",
        "Add -K, or give ansible_become_password in a vault.",
    ),
    (
        r"is not in the sudoers file|may not run sudo|is not allowed to (execute|run)|sudo: (command )?not found",
        "this login may not use sudo",
        "Allow it in sudoers, or use another login (ansible_user).",
    ),
    (r"module interpreter .* was not found|cannot be run on the target|No Python was found", *_NO_PYTHON),
    (r"Python 3\.\d+ or newer is needed|requires a minimum of Python", *_NO_PYTHON),
    (r"No start of json char found(.|\n)*exit code 12[67]", *_NO_PYTHON),
)


@dataclass
class Target:
    """What became of one target; `lines` are for people, `summary` is for programs."""

    host: str
    target: str
    outcome: str
    lines: list[str] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    task: str | None = None
    message: str | None = None
    hint: str | None = None

    @property
    def code(self) -> int:
        """The exit code that this target alone would give; an outcome that we do not know is a bug."""
        return CODES.get(self.outcome, 1)

    def document(self) -> dict[str, Any]:
        """The target in the JSON document."""
        return {**self.__dict__, "exit_code": self.code}


def gravest(codes: list[int]) -> int:
    """The exit code of several targets."""
    return min(codes, key=GRAVITY.index, default=0)


class Collector:
    """Reads the events of one run, in order."""

    def __init__(self) -> None:
        self.stats: dict[str, Any] | None = None
        self._ended: dict[tuple[str, str], Target] = {}
        self._at_work: set[str] = set()
        self._trouble: dict[str, Target] = {}
        self._error = ""
        self._refusal = ""

    def feed(self, event: dict[str, Any]) -> None:
        """Take one event of ansible-runner."""
        data = event.get("event_data") or {}
        kind = event.get("event", "")
        if kind == "playbook_on_stats":
            self.stats = data
        elif kind == "runner_on_start":
            self._at_work.add(str(data.get("host")))
        elif kind in ENDS:
            self._at_work.discard(str(data.get("host")))
            self._result(kind, data)
        elif not data.get("host"):
            self._listen(str(event.get("stdout") or ""))

    def _listen(self, text: str) -> None:
        """Keep what Ansible and our callback say on their own account, outside of any host's result."""
        for line in text.splitlines():
            if line.startswith(_REFUSED):
                self._refusal = line.removeprefix(_REFUSED).strip()
            elif found := re.match(r"(?:ERROR!|\[ERROR\]:)\s*(.+)", line):
                self._error = found[1]

    def _result(self, kind: str, data: dict[str, Any]) -> None:
        result = data.get("res") or {}
        report = result.get("ops_runbook")
        host = str(data.get("host"))
        if isinstance(report, dict) and "outcome" in report:
            ended = Target(
                host,
                str(report.get("target") or host),
                str(report["outcome"]),
                [str(line) for line in report.get("lines") or []],
                dict(report.get("summary") or {}),
            )
            self._ended[host, ended.target] = ended
            self._trouble.pop(host, None)  # it was rescued: the outcome tells
        elif kind == "runner_on_unreachable":
            self._trouble[host] = Target(
                host,
                host,
                "unreachable",
                message=_message(result),
                task=data.get("task"),
                hint="Look at its address, host key and login.",
            )
        elif kind == "runner_on_failed" and not data.get("ignore_errors"):
            self._trouble[host] = _failed(host, data.get("task"), result)

    def targets(self, hosts: list[str], lifecycle: bool, check: bool, stopped: str | None = None) -> list[Target]:
        """One entry a target, in the order of hosts.

        lifecycle: each host must end in an outcome, so one that ran to the end without any is a bug.
        stopped: why the run was stopped, if it was.
        """
        found = []
        for host in dict.fromkeys([*hosts, *(key[0] for key in self._ended), *self._trouble]):
            mine = [target for key, target in self._ended.items() if key[0] == host]
            later = self._later(host, stopped)
            if later or (self.stats is None and not stopped):  # Ansible itself broke off: what was only seen is no end
                mine = [target for target in mine if target.outcome not in _PROVISIONAL]
            mine += [later] if later else []
            found += mine or [self._without_outcome(host, lifecycle, check, stopped)]
        return found

    def _later(self, host: str, stopped: str | None) -> Target | None:
        """What became of a host after its last outcome, if anything did."""
        if self._is_bad(host) and host in self._trouble:
            return self._trouble[host]
        return self._unfinished(host, stopped) if self.stats is None and host in self._at_work else None

    def _unfinished(self, host: str, stopped: str | None) -> Target:
        why = "the run was stopped before it ended here" if stopped else self._error
        return Target(host, host, "unfinished", message=why or "Ansible ended before it came to this host")

    def _is_bad(self, host: str) -> bool:
        stats = self.stats
        return stats is None or host in (stats.get("failures") or {}) or host in (stats.get("dark") or {})

    def _without_outcome(self, host: str, lifecycle: bool, check: bool, stopped: str | None) -> Target:
        stats = self.stats
        if stats is None and self._refusal:
            return Target(host, host, "refused", message=self._refusal)
        if stats is None:
            return self._unfinished(host, stopped)
        if host not in (stats.get("processed") or {}):
            return Target(host, host, "untouched", message="the run ended before it came to this host")
        if lifecycle or self._is_bad(host):
            last = self._trouble.get(host)
            said = f"; the last task that failed said: {last.message}" if last else ""
            return Target(host, host, "crashed", message=f"the run ended without an outcome{said}")
        changed = int((stats.get("changed") or {}).get(host, 0))
        text = f"ran to its end; {changed} {'tasks would change' if check else 'tasks changed'} something"
        return Target(host, host, "predicted" if check and changed else "done", message=text)


def _failed(host: str, task: str | None, result: dict[str, Any]) -> Target:
    message = _message(result)
    noise = "\n".join(
        [
            message,
            *(str(result.get(key) or "") for key in ("module_stderr", "module_stdout", "stderr")),
            f"exit code {result.get('rc')}",
        ]
    )
    for pattern, meaning, hint in _NO_ACCESS:
        if re.search(pattern, noise):
            return Target(host, host, "unreachable", message=f"{meaning} ({message})", task=task, hint=hint)
    if "argument_errors" in result or (result.get("error") or {}).get("kind") in ("BadInput", "RecordError"):
        return Target(
            host, host, "wrong_input", message=message, task=task, hint="Mend it: in the inventory, or by -e."
        )
    if "assertion" in result:  # a playbook's own condition, such as: no baseline of a sick service
        return Target(host, host, "refused", message=message, task=task)
    hint = "--verbose shows all that Ansible said."
    return Target(host, host, "crashed", message=message, task=task, hint=hint)


def _message(result: dict[str, Any]) -> str:
    """The failure's message in one line; of a loop, that of the first item that failed."""
    items = [item for item in result.get("results") or [] if isinstance(item, dict) and item.get("failed")]
    text = str((items[0] if items else result).get("msg") or result.get("censored") or "no message")
    return " ".join(text.removeprefix("Task failed: ").split())[:500]
