# SPDX-License-Identifier: BSD-2-Clause
"""Waiting for a service to be ready, and seeing that it stays: exit codes of a start prove neither."""

from __future__ import annotations

import time

from ..errors import CannotLook, OpsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host
    from .contract import Service

_POLL = 0.2  # seconds


def is_up(state: dict[str, Any]) -> bool:
    """Whether it runs."""
    return state["active_state"] in ("active", "reloading")


def is_down(state: dict[str, Any]) -> bool:
    """Whether it does not run and nothing is about to start it."""
    return state["active_state"] in ("inactive", "failed")


def is_done(state: dict[str, Any]) -> bool:
    """Whether it is one that ends when its work is done, and that is what it did."""
    return bool(state["runs_once"]) and state["active_state"] == "inactive" and state["result"] == "success"


def describe(state: dict[str, Any]) -> str:
    """Its state for people: 'failed (signal 9)', 'active', 'activating (auto-restart, status 1)'."""
    fine = [] if state["active_state"] in ("active", "failed", "inactive") else [state["sub_state"]]
    if not is_up(state):
        if state["exit"] and state["exit"] != "status 0":
            fine.append(state["exit"])
        elif state["result"] != "success":
            fine.append(state["result"])
    return "%s (%s)" % (state["active_state"], ", ".join(fine)) if any(fine) else str(state["active_state"])


def wait_ready(service: Service, host: Host, ready: dict[str, Any]) -> dict[str, Any]:
    """Wait until the service runs, its port (if ready names one) accepts and its command (if any) exits 0.

    Returns:
        The state in which it was ready.

    Raises:
        OpsError: It died, or was not ready within ready["timeout"] seconds.
    """
    until = time.monotonic() + ready["timeout"]
    while True:
        state = service.state()
        if is_down(state) and not is_done(state):
            raise OpsError("it did not stay up: it is %s" % describe(state), state["name"])
        why = _not_ready(service, host, ready, state, max(0.2, until - time.monotonic()))
        if not why:
            return state
        if time.monotonic() + _POLL >= until:
            raise OpsError("it was not ready within %g s: %s" % (ready["timeout"], why), state["name"])
        time.sleep(_POLL)


def _not_ready(service: Service, host: Host, ready: dict[str, Any], state: dict[str, Any], left: float) -> str:
    if not is_up(state) and not is_done(state):
        return "it is %s" % describe(state)
    if ready.get("port"):
        why = service.port_problem(ready["port"], ready["host"], min(1.0, left))
        if why:
            return why
    return _command_problem(host, ready["command"], left) if ready.get("command") else ""


def _command_problem(host: Host, argv: list[str], left: float) -> str:
    try:
        done = host.run(argv, left)
    except CannotLook as error:
        return error.what
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return "%s exited with %d%s" % (argv[0], done.rc, ": " + said[-1] if said else "") if done.rc else ""


def hold_steady(
    service: Service, host: Host, ready: dict[str, Any] | None, seconds: float, first: dict[str, Any]
) -> dict[str, Any]:
    """See that the service stays for seconds as it was in the state first and, where ready is given, still is ready.

    Raises:
        OpsError: It ended, came back, has another process or was restarted by the platform meanwhile.
    """
    began = time.monotonic()
    state = first
    while True:
        left = began + seconds - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(left, max(_POLL, seconds / 50)))
        state = service.state()
        why = drift(first, state)
        if why:
            spent = time.monotonic() - began
            raise OpsError("it did not stay steady for %g s: after %.1f s %s" % (seconds, spent, why), state["name"])
    why = _not_ready(service, host, ready, state, 5.0) if ready and seconds else ""
    if why:
        raise OpsError("it was ready, but no longer is after %g s: %s" % (seconds, why), state["name"])
    return state


def drift(first: dict[str, Any], now: dict[str, Any]) -> str:
    """How a service is no longer what it was in the state first; empty when it is the same."""
    if is_up(first) != is_up(now) or is_down(first) != is_down(now):
        return "it is %s" % describe(now)
    if first["pid"] != now["pid"]:
        return "its process changed from %s to %s" % (first["pid"], now["pid"])
    if (now["restarts"] or 0) > (first["restarts"] or 0):
        return "it was restarted automatically"
    return ""
