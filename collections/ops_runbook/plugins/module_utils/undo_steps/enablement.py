# SPDX-License-Identifier: BSD-2-Clause
"""Disable and stop a unit that a change had enabled and started, or the other way round; or only one of the two."""

from __future__ import annotations

from ..errors import CannotLook, OpsError
from ..platforms.systemd import parse_enablement, parse_show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host


def thing(step: dict[str, Any]) -> str:
    """The unit."""
    return str(step["name"])


def claim(step: dict[str, Any]) -> tuple[tuple[str, str], dict[str, Any], dict[str, Any]]:
    """As the change left it; afterwards as it was before."""
    return ("enablement", step["name"]), dict(step["expect"]), dict(step["state"])


def look(host: Host, step: dict[str, Any]) -> dict[str, Any] | None:
    """{enabled, active}; None where the unit is gone."""
    argv = ["systemctl", "show", "--no-pager", "-p", "LoadState,UnitFileState,ActiveState", "--", step["name"]]
    done = host.run(argv, 10.0)
    if done.rc:
        raise CannotLook("systemctl show failed: %s" % done.stderr.strip(), step["name"])
    found = parse_show(done.stdout)
    if found.get("LoadState") == "not-found":
        return None
    return dict(parse_enablement(found))


def describe(state: dict[str, Any]) -> str:
    """What is known of it, in words."""
    words = {"enabled": ("disabled", "enabled"), "active": ("stopped", "running")}
    return " and ".join(pair[bool(state[key])] for key, pair in words.items() if key in state)


def hint(step: dict[str, Any]) -> str:
    """How a person sees what somebody changed."""
    return "Look at it: systemctl status %s" % step["name"]


def tell(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """The change."""
    pair = [{key: state[key] for key in step["state"]} for state in (before, after)]
    return [{"object": thing(step), "before": pair[0], "after": pair[1]}] if pair[0] != pair[1] else []


def inverse(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any], run_id: str) -> list[dict[str, Any]]:
    """The step that takes this one back."""
    return [dict(step, state=step["expect"], expect=step["state"])]


def take(host: Host, step: dict[str, Any], before: dict[str, Any], run_id: str) -> None:
    """As it was.

    Raises:
        OpsError: systemd refused.
    """
    wanted = step["state"]
    verbs = {"enabled": ("disable", "enable"), "active": ("stop", "start")}
    for verb in [pair[bool(wanted[key])] for key, pair in verbs.items() if key in wanted]:
        done = host.run(["systemctl", verb, "--", step["name"]], 60.0)
        if done.rc:
            raise OpsError("systemctl %s failed: %s" % (verb, done.stderr.strip()), step["name"], hint(step))
