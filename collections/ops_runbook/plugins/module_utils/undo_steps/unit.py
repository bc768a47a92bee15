# SPDX-License-Identifier: BSD-2-Clause
"""Mask a unit again that a change had unmasked, and the other way round; first it is stopped, or afterwards started."""

from __future__ import annotations

from ..errors import OpsError
from ..platforms.systemd import unit_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

_MASK = "/dev/null"


def split(step: dict[str, Any]) -> list[dict[str, Any]]:
    """A step for the state of the service and one for each link; one with neither state nor several links is done."""
    links = [
        {"kind": "unit", "name": step["name"], "mask": step["mask"], "links": [link]} for link in sorted(step["links"])
    ]
    if "state" not in step:
        return links
    keys = ("name", "platform", "state", "expect")
    service = dict({key: step[key] for key in keys if key in step}, kind="service_state")
    return [service, *links] if step["mask"] else [*links, service]


def thing(step: dict[str, Any]) -> str:
    """The mask."""
    return "mask of %s" % step["name"]


def claim(step: dict[str, Any]) -> tuple[tuple[str, str], dict[str, Any], dict[str, Any]]:
    """Where the link was nothing is, or the link is there."""
    states = ({"link": ""}, {"link": _MASK})
    return ("mask", step["links"][0]), states[not step["mask"]], states[step["mask"]]


def look(host: Host, step: dict[str, Any]) -> dict[str, Any]:
    """{link: what it points to, empty where nothing is}."""
    try:
        return {"link": host.readlink(step["links"][0])}
    except FileNotFoundError:
        return {"link": ""}
    except OSError:
        return {"link": "a file"}


def describe(state: dict[str, Any]) -> str:
    """Whether the link masks."""
    return {_MASK: "masked", "": "not masked"}.get(state["link"], "something else (%s)" % state["link"])


def hint(step: dict[str, Any]) -> str:
    """How a person sees what somebody changed."""
    return "Look at it: ls -l %s" % step["links"][0]


def tell(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """The change, as service_restart tells it."""
    pair = {
        name: {"links": step["links"] if state["link"] else []}
        for name, state in (("before", before), ("after", after))
    }
    return [dict(pair, object=thing(step))] if pair["before"] != pair["after"] else []


def inverse(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any], run_id: str) -> list[dict[str, Any]]:
    """The step that takes this one back."""
    return [dict(step, mask=not step["mask"])]


def take(host: Host, step: dict[str, Any], before: dict[str, Any], run_id: str) -> None:
    """Mask or unmask, below /run where the link lay there.

    Raises:
        OpsError: systemctl failed, or the link is not as it was.
    """
    verb, link = "mask" if step["mask"] else "unmask", step["links"][0]
    where = ["--runtime"] if link.startswith("/run/") else []
    done = host.run(["systemctl", "--no-ask-password", *where, verb, "--", unit_name(step["name"])], 60.0)
    if look(host, step) != claim(step)[2]:
        raise OpsError("systemctl %s failed: %s" % (verb, done.stderr.strip() or "no message"), link, hint(step))
