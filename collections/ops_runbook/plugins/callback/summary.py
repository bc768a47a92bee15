# Copyright (c) 2026, the ops_runbook authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last lines of a run and its exit code, the same under plain ansible-playbook and the CLI."""

from __future__ import annotations

DOCUMENTATION = """
name: summary
type: aggregate
short_description: Says in ten lines a target what was seen, decided, done and proven
version_added: "0.1.0"
description:
  - Prints what the run came to for every target of an ops.runbook playbook, after Ansible's own recap.
  - Ends C(ansible-playbook) with the exit code of the gravest outcome (see docs/design.md), and refuses a run whose
    limit names no
    host or which matched no host at all.
  - Does nothing for other playbooks.
requirements:
  - Enabled in C(ansible.cfg) by C(callbacks_enabled = ops.runbook.summary).
author:
  - The ops_runbook authors (@ops-runbook)
"""

import sys
import typing as t

from ansible import context
from ansible.plugins.callback import CallbackBase
from ansible_collections.ops.runbook.plugins.plugin_utils import guard, outcome, record

MARK = "ops_runbook_name"
"""A play of ours says its runbook's name in this variable."""


class CallbackModule(CallbackBase):
    """Collects outcomes; see DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "ops.runbook.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Make the run's id before workers are forked."""
        super().__init__()
        record.run_id()
        self.name: str | None = None
        self.outcomes: dict[str, dict[str, t.Any]] = {}
        self.problems: dict[str, dict[str, t.Any]] = {}

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        """Refuse an empty target before any host is touched."""
        self.name = play.get_vars().get(MARK) or self.name
        if not play.get_vars().get(MARK):
            return
        refusal = guard.limit_refusal(context.CLIARGS.get("subset"))
        if refusal:
            self._end(7, f"REFUSED: {refusal['reason']}. {refusal['next_step']}")

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Zero hosts is a refusal, not a success."""
        if self.name:
            self._end(7, "REFUSED: no host of the inventory matches. Look at: ansible-inventory --graph")

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """Keep an outcome."""
        self._keep(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """Keep an outcome, or what broke the lifecycle."""
        if not self._keep(result) and not ignore_errors:
            self.problems[result.host.get_name()] = result.result

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """Keep why a host could not be reached."""
        self.problems[result.host.get_name()] = {**result.result, "unreachable": True}

    def _keep(self, result: t.Any) -> bool:
        said = result.result.get("ops_runbook")
        if not isinstance(said, dict) or "outcome" not in said:
            return False
        self.outcomes[result.host.get_name()] = said
        return True

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """Print the last lines and end with the run's code."""
        if not self.name:
            return
        codes = []
        for host in sorted({*stats.processed, *stats.dark}):
            code, lines = self._of_host(host, bool(stats.dark.get(host)))
            codes.append(code)
            self._display.display(
                "\n" + "\n".join(lines), color="green" if code == 0 else "yellow" if code == 3 else "red"
            )
        self._display.display(f"\nrun {record.run_id()}  record {record.folder() / record.NAME}")
        code = outcome.gravest(codes)
        if code:
            sys.stdout.flush()
            raise SystemExit(code)

    def _of_host(self, host: str, dark: bool) -> tuple[int, list[str]]:
        said = self.outcomes.get(host)
        if said and not dark:
            return outcome.EXIT_CODES[said["outcome"]], said["lines"]
        problem = outcome.of_problem(host, self.problems.get(host, {"unreachable": dark}))
        head = f"{host:<10} {problem['word'].upper()}"
        return problem["code"], [head, f"{'why':<10} {problem['why']}", f"{'next step':<10} {problem['next_step']}"]

    def _end(self, code: int, text: str) -> t.NoReturn:
        self._display.display(text, color="red", stderr=True)
        sys.stdout.flush()
        raise SystemExit(code)
