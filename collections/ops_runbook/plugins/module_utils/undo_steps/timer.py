# SPDX-License-Identifier: BSD-2-Clause
"""Remove the timer of an `until:`, or put the one back that it had replaced."""

from __future__ import annotations

from .. import until_timer as until
from .file import kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host


def thing(step: dict[str, Any]) -> str:
    """The timer."""
    return "timer %s" % until.unit_of(step["name"])


def claim(step: dict[str, Any]) -> tuple[tuple[str, str], dict[str, Any], dict[str, Any]]:
    """The timer that the change left (None: there is none); afterwards none, or that of aside."""
    aside = step.get("aside")
    leaves = until.state_of(kept(aside), kept(step["program"])) if aside else dict(until.NO_TIMER)
    expected = {"sha256": step["sha256"]} if "sha256" in step else {"there": True}
    return ("timer", step["name"]), expected, leaves


def look(host: Host, step: dict[str, Any]) -> dict[str, Any]:
    """{there, sha256, content, program}."""
    return until.state_of(until.present(step["name"]), until.program_of(step["name"]))


def describe(state: dict[str, Any]) -> str:
    """Until when it waits."""
    if state.get("content"):
        return "waiting until %s" % until.when_of(state["content"])
    return "as the run left it" if state.get("there", state["sha256"]) else "not there"


def hint(step: dict[str, Any]) -> str:
    """How a person sees what somebody changed."""
    return "Look at it: systemctl status %s" % until.unit_of(step["name"])


def note(step: dict[str, Any], before: dict[str, Any], todo: bool) -> str:
    """Whether the timer itself has put everything back."""
    return "" if todo or before["there"] else until.last_said(step["name"])


def tidy(host: Host, step: dict[str, Any]) -> None:
    """Where one was put back just before a crash, systemd may not have heard of it."""
    if step.get("aside") and not until.waits(host, step["name"]):
        until.arm(host, step["name"], kept(step["aside"]), kept(step["program"]))


def tell(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """The change, as a module with `until:` tells it."""
    return until.changes_of(step["name"], before["content"], after["content"])


def inverse(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any], run_id: str) -> list[dict[str, Any]]:
    """The step that takes this one back."""
    return until.steps_of(step["name"], before["content"], before["program"], after["content"], run_id)


def take(host: Host, step: dict[str, Any], before: dict[str, Any], run_id: str) -> None:
    """Remove it or put the earlier one back."""
    until.keep(step["name"], before["content"], run_id)
    if step.get("aside"):
        until.arm(host, step["name"], kept(step["aside"]), kept(step["program"]))
    else:
        until.disarm(host, step["name"])
