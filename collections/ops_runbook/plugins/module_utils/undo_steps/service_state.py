# SPDX-License-Identifier: BSD-2-Clause
"""Start or stop a service that a change had stopped or started, and see that it stays so."""

from __future__ import annotations

from .. import service
from ..platforms.systemd import Systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

STEADY = 2.0  # seconds that it has to stay up, or down
_DOWN = ("inactive", "failed")
_LEAVES = {"started": ("active",), "stopped": _DOWN}


def merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any] | None:
    """A stop and a start with nothing between them are one step, or none at all."""
    continued = one["name"] == other["name"] and other["expect"]["active_state"] in _LEAVES[one["state"]]
    return dict(other, expect=one["expect"]) if continued else None


def thing(step: dict[str, Any]) -> str:
    """The service."""
    return "service %s" % step["name"]


def claim(step: dict[str, Any]) -> tuple[tuple[str, str], dict[str, Any], dict[str, Any]]:
    """In the state in which the change left it; afterwards started or stopped."""
    left = _settled(step["expect"]["active_state"])
    known = {"active_state": _DOWN if left in _DOWN else left}  # how a stop ends is up to the service's exit code
    return ("service", step["name"]), known, {"active_state": _LEAVES[step["state"]]}


def look(host: Host, step: dict[str, Any]) -> dict[str, Any]:
    """{active_state, pid, need_reload}."""
    state = Systemd(host, step["name"]).state()
    return {
        "active_state": _settled(state["active_state"]),
        "pid": state["pid"],
        "need_reload": state["need_reload"],
    }


def describe(state: dict[str, Any]) -> str:
    """Its state."""
    return "down" if state["active_state"] == _DOWN else str(state["active_state"])


def hint(step: dict[str, Any]) -> str:
    """How a person sees what somebody changed."""
    return "Look at it: systemctl status %s" % step["name"]


def tell(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """The change, as service_restart tells it."""
    pair = {name: {"active_state": state["active_state"]} for name, state in (("before", before), ("after", after))}
    return [dict(pair, object=thing(step))] if pair["before"] != pair["after"] else []


def inverse(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any], run_id: str) -> list[dict[str, Any]]:
    """The step that takes this one back."""
    state = "started" if before["active_state"] == "active" else "stopped"
    return [dict(step, kind="service_state", state=state, expect={"active_state": after["active_state"]})]


def take(host: Host, step: dict[str, Any], before: dict[str, Any], run_id: str) -> None:
    """Start or stop it as service_restart does."""
    act(host, step, step["state"])


def act(host: Host, step: dict[str, Any], state: str) -> None:
    """What service_restart does with its defaults, without a budget: to put back is no remedy that could be repeated.

    Raises:
        OpsError: It could not be done, or the service did not stay so.
    """
    given = {"name": step["name"], "platform": step.get("platform", "systemd"), "state": state, "run_id": None}
    given.update(dict.fromkeys(("validate", "drain", "ready", "budget")), lease="", steady=STEADY, timeout=90.0)
    service.run_on(host, dict(given, reset_failed=False, unmask=False, enable=False, protect=[]), False)


def _settled(state: str) -> str:
    return "active" if state == "reloading" else state
