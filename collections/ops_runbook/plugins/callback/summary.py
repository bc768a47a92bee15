# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last lines of a run and its exit code, the same under plain ansible-playbook and the CLI."""

from __future__ import annotations

DOCUMENTATION = """
name: summary
type: aggregate
short_description: Says in ten lines a target, or a fleet, what was seen, decided, done and proven
version_added: "0.1.0"
description:
  - Prints what the run came to for every target of an ops.runbook playbook, after Ansible's own recap. Where a play
    says C(ops_runbook_fleet=true) in its vars, the targets are summed up in about ten lines, also when the run is
    interrupted. With a number in its place so many hosts make a fleet, and of fewer each is told.
  - With the variable C(ops_runbook_values=true), of a play or by C(-e), a table of values by host follows.
  - Ends C(ansible-playbook) with the exit code of the gravest outcome (see docs/design.md), and refuses a run whose
    limit names no
    host or which matched no host at all.
  - Writes everything as JSON to the path in E(OPS_RUNBOOK_SUMMARY), if that is set.
  - Does nothing for other playbooks.
requirements:
  - Enabled in C(ansible.cfg) by C(callbacks_enabled = ops.runbook.summary).
author:
  - The ops_runbook authors (@ops-runbook)
"""

import atexit
import json
import os
import sys
import time
import typing as t
from pathlib import Path

from ansible import context
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.callback import CallbackBase
from ansible_collections.ops.runbook.plugins.plugin_utils import (
    fleet,
    fleet_wording,
    guard,
    outcome,
    record,
    retyped,
    warm,
    wording,
)

warm.up()  # before the first task, which is Ansible's own

MARK = "ops_runbook_name"
"""A play of ours says its runbook's name in this variable."""
FLEET = "ops_runbook_fleet"
VALUES = "ops_runbook_values"
SCHEMA = "ops.runbook/summary/1"
Json = dict[str, t.Any]


class CallbackModule(CallbackBase):
    """Collects outcomes; see DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "ops.runbook.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Make the run's id, and what a person types next, before workers are forked."""
        super().__init__()
        self.began = time.monotonic()
        playbook = str((context.CLIARGS.get("args") or ["playbooks/undo.yml"])[0])
        next_ = retyped.commands(sys.argv, playbook, record.run_id())
        os.environ.setdefault(wording.COMMANDS, json.dumps(next_))
        self.name: str | None = None
        self.fleet = self.values = False
        self.least = 1
        self.hosts: dict[str, None] = {}
        self.outcomes: dict[str, Json] = {}
        self.problems: dict[str, Json] = {}
        self.at_work: set[str] = set()

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        """Refuse an empty target before any host is touched."""
        variables = play.get_vars()
        if not variables.get(MARK):
            return
        self.name = variables[MARK]
        refusal = guard.limit_refusal(context.CLIARGS.get("subset"))
        if refusal:
            self._end(7, f"REFUSED: {refusal['reason']}. {refusal['next_step']}")
        least = variables.get(FLEET, False)
        if boolean(least, strict=False) or _is_count(least):
            self.least = least if _is_count(least) else 1
            self._begin_fleet(play, variables)

    def _begin_fleet(self, play: t.Any, variables: Json) -> None:
        if not self.fleet:
            atexit.register(self._interrupted)
        self.fleet = True
        manager = play.get_variable_manager()
        self.values = boolean(manager.extra_vars.get(VALUES, variables.get(VALUES, False)), strict=False)
        meant = manager._inventory.get_hosts(play.hosts, ignore_restrictions=True)  # a batch is a restriction
        self.hosts.update((host.get_name(), None) for host in meant)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Zero hosts is a refusal, not a success; in a fleet run, only if no play has any."""
        if self.name and not self.fleet:
            self._refuse_no_hosts()

    def _refuse_no_hosts(self) -> t.NoReturn:
        self._end(7, "REFUSED: no host of the inventory matches. Look at: ansible-inventory --graph")

    def v2_runner_on_start(self, host: t.Any, _task: t.Any) -> None:
        """Know who is at work, should the run be interrupted."""
        self.at_work.add(host.get_name())

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        """Nothing came of it."""
        self.at_work.discard(result.host.get_name())

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """Keep an outcome."""
        self._keep(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """Keep an outcome, or what broke the lifecycle."""
        if not self._keep(result) and not ignore_errors:
            self.problems[result.host.get_name()] = result.result

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """Keep why a host could not be reached."""
        self.at_work.discard(result.host.get_name())
        self.problems[result.host.get_name()] = {**result.result, "unreachable": True}

    def _keep(self, result: t.Any) -> bool:
        """Whether the result tells an outcome; what is said later wins."""
        host, said = result.host.get_name(), result.result.get("ops_runbook")
        self.at_work.discard(host)
        if not isinstance(said, dict) or "outcome" not in said:
            return False
        self.outcomes[host] = said
        self.problems.pop(host, None)  # it was rescued: the outcome tells
        return True

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """Print the last lines and end with the run's code."""
        if not self.name:
            return
        if self.fleet and not self.hosts:
            self._refuse_no_hosts()
        for host in self.problems.keys() - {*stats.failures, *stats.dark}:
            del self.problems[host]  # it was rescued
        for host in stats.dark:
            self.problems.setdefault(host, {"unreachable": True})
        code = self._conclude({*stats.processed, *stats.dark}, interrupted=False)
        if code:
            sys.stdout.flush()
            raise SystemExit(code)

    def _interrupted(self) -> None:
        """At the end of a process that never came to its statistics: a fleet's summary is then worth most."""
        if self.name and self.fleet:
            self._conclude(set(), interrupted=True)

    def _conclude(self, reached: set[str], interrupted: bool) -> int:
        """Print and write what the run came to; the exit code."""
        name, self.name = str(self.name), None  # once only
        hosts = list(dict.fromkeys([*self.hosts, *sorted(reached | self.outcomes.keys() | self.problems.keys())]))
        few = len(hosts) < self.least and self.outcomes.keys() | self.problems.keys() >= set(hosts)
        if not self.fleet or few:
            code, summed = self._say_each(hosts), None
        else:
            said = {host: self._of_fleet(host, host in reached, interrupted) for host in hosts}
            seconds = time.monotonic() - self.began
            run = fleet.Run(name, record.run_id(), seconds, interrupted, wording.commands(record.run_id()))
            summed = fleet.summarise(run, said)
            code = summed["document"]["exit_code"]
            table = fleet_wording.values_table(said) if self.values else []
            summed["lines"] += ["", *table] if table else []
            self._say(code, summed["lines"])
        self._display.display(f"\nrun {record.run_id()}  record {record.folder() / record.NAME}")
        self._write(name, code, summed)
        return code

    def _say_each(self, hosts: list[str]) -> int:
        codes: list[int] = []
        for host in hosts:
            said, problem = self.outcomes.get(host), self._problem(host)
            lines = list(said["lines"]) if said else []
            mine = [outcome.EXIT_CODES[said["outcome"]]] if said else []
            if problem:
                mine.append(problem["code"])
                lines += [f"{host:<10} {problem['word'].upper()}"]
                lines += [f"{'why':<10} {problem['why']}", f"{'next step':<10} {problem['next_step']}"]
            self._say(outcome.gravest(mine), lines)
            codes += mine
        return outcome.gravest(codes)

    def _problem(self, host: str) -> Json | None:
        """What is wrong with a host besides its outcome, which may be missing."""
        if host in self.problems or host not in self.outcomes:
            return outcome.of_problem(host, self.problems.get(host, {}))
        return None

    def _of_fleet(self, host: str, reached: bool, interrupted: bool) -> Json:
        """The one thing that is said of a host of a fleet."""
        if interrupted and host in self.at_work:
            return outcome.UNFINISHED
        if host in self.problems:
            return outcome.of_problem(host, self.problems[host])
        if host in self.outcomes:
            return t.cast("Json", self.outcomes[host]["summary"])
        return outcome.of_problem(host, {}) if reached else outcome.UNTOUCHED

    def _say(self, code: int, lines: list[str]) -> None:
        self._display.display("\n" + "\n".join(lines), color="green" if code == 0 else "yellow" if code == 3 else "red")

    def _write(self, name: str, code: int, summed: Json | None) -> None:
        """The whole document for the CLI; a run is not worth less because it cannot be written."""
        path = os.environ.get("OPS_RUNBOOK_SUMMARY")
        if not path:
            return
        document = {
            "schema": SCHEMA,
            "run": record.run_id(),
            "name": name,
            "seconds": round(time.monotonic() - self.began, 3),
            "exit_code": code,
            "outcomes": self.outcomes,
            "fleet": summed,
        }
        try:
            _replace(Path(path), json.dumps(document, default=str))
        except OSError as error:
            self._display.warning(f"the summary cannot be written to {path}: {error.strerror}")

    def _end(self, code: int, text: str) -> t.NoReturn:
        self.name = None
        self._display.display(text, color="red", stderr=True)
        sys.stdout.flush()
        raise SystemExit(code)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _replace(path: Path, text: str) -> None:
    """Write beside it and rename, for its owner only."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
