# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends ansible-playbook with SIGKILL at the nth of its own writes and calls; see tests/support/killed.py.

A moment is: a line is about to go into the record, a file of evidence to be written or its folder to be made, or a
program to be sent to a target. After the last one there is one more, the end. What lies between two moments is written
nowhere, so a kill before each, and one after the last, are all there are.

KILLED_LOG     a line for each moment: the process and what is about to happen
KILLED_AT      the number of the moment to die at; 0 never
KILLED_WHO     `all`, or `main`: then the worker that was about to write goes on
"""

from __future__ import annotations

import functools
import os
import signal
import typing as t
from pathlib import Path

from ansible.plugins.callback import CallbackBase
from ansible_collections.ops.runbook.plugins.action import evidence_collect
from ansible_collections.ops.runbook.plugins.plugin_utils import light, record

DOCUMENTATION = """
name: killed
type: aggregate
short_description: Kills the controller, for tests
description: See tests/support/killed.py.
"""
MAIN = os.getpid()
LOG = Path(os.environ["KILLED_LOG"])
AT, WHO = int(os.environ["KILLED_AT"]), os.environ["KILLED_WHO"]
Function = t.Callable[..., t.Any]


def moment(what: str) -> None:
    """Note it, and die if it is the one; the workers of a run on one host come one after the other."""
    with LOG.open("a") as log:
        log.write(f"{os.getpid()} {what}\n")
    if len(LOG.read_text().splitlines()) == AT:
        os.kill(MAIN, signal.SIGKILL)
        if WHO == "all" or os.getpid() == MAIN:
            os.killpg(0, signal.SIGKILL)  # a worker has a group of its own, with its ssh clients


def announced(function: Function, name: t.Callable[..., str]) -> Function:
    """The function, after its moment."""

    @functools.wraps(function)
    def wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
        moment(name(*args))
        return function(*args, **kwargs)

    return wrapper


def line(_where: Path, _run: str, _host: str, phase: str, entry: dict[str, t.Any]) -> str:
    """What a line of the record is about."""
    return f"record {phase} {entry.get('module', '')}".rstrip()


def sent(action: light.LightAction, params: dict[str, t.Any], *_more: t.Any) -> str:
    """What a program is about."""
    return f"send {action.NAME} {params.get('state', '')}".rstrip()


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Does it all when it is loaded, in the main process, before there are workers."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "killed"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        record.append = announced(record.append, line)
        light.LightAction.call = announced(light.LightAction.call, sent)  # type: ignore[method-assign]
        for name in ("ensure_directory", "write_file"):
            function = announced(getattr(evidence_collect, name), lambda path, *_: f"keep {Path(path).name}")
            setattr(evidence_collect, name, function)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """After all that is written."""
        moment("end")
