# SPDX-License-Identifier: BSD-2-Clause
"""The kinds of undo steps; only those that are needed are imported, but Ansible sees all of them when it packs."""

from __future__ import annotations

from ..errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

_SERVICE = ("service_state", "unit")
KINDS = ("definition", "enablement", "file", "ownership", "service_state", "sysctl", "timer", "unit")


def kind_of(name: str) -> Any:
    """The module of a kind."""
    if name == "definition":
        from . import definition

        return definition
    if name == "enablement":
        from . import enablement

        return enablement
    if name == "file":
        from . import file

        return file
    if name == "ownership":
        from . import ownership

        return ownership
    if name == "service_state":
        from . import service_state

        return service_state
    if name == "sysctl":
        from . import sysctl

        return sysctl
    if name == "timer":
        from . import timer

        return timer
    from . import unit

    return unit


def flattened(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The steps with nested ones in their place.

    Raises:
        BadInput: A step is not one.
    """
    for step in steps:
        if not isinstance(step, dict) or step.get("kind") not in (*KINDS, "steps", "none"):
            raise BadInput("%r is no undo step" % (step,), "steps", "Known kinds are %s." % ", ".join(KINDS))
        if step["kind"] == "steps":
            yield from flattened(step["steps"])
        else:
            yield step


def restarting(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps, where a definition is restarted for that its service was restarted or started after the change.

    A later act comes earlier here; a restart that puts nothing back is a step of kind none about `service NAME`. Where
    the process did not have what was on disk even before the change (`pending`), no restart brings that back.
    """
    begun: set[str] = set()
    found = []
    for step in steps:
        if step["kind"] == "definition" and step["name"] in begun and not step.get("pending"):
            step = dict(step, restarted=True)  # noqa: PLW2901 - the caller's stays as it is
        if step["kind"] == "none":
            begun.add(step.get("object", "").partition("service ")[2])
        elif step.get("state") == "started" or step.get("restarted"):
            begun.add(step["name"])
        found.append(step)
    return found


def settled(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps without a definition where one like it follows: both have the same effect after the files of both."""
    return [step for number, step in enumerate(steps) if not _again(step, steps[number + 1 :])]


def _again(step: dict[str, Any], later: list[dict[str, Any]]) -> bool:
    for other in later if step["kind"] == "definition" else ():
        if other["kind"] in _SERVICE:
            return False
        if other["kind"] == "definition" and other["name"] == step["name"]:
            return bool(other.get("restarted")) == bool(step.get("restarted"))
    return False


def turned(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps back, given in the order of the steps that were taken, in their own: the last first, definitions last."""
    done: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    before = ""
    for step in reversed(steps):
        if step["kind"] in _SERVICE or (step["kind"] == "definition" and before != "definition"):
            done, waiting = [*done, *waiting], []
        (waiting if step["kind"] == "definition" else done).append(step)
        before = step["kind"]
    return [*done, *waiting]


def split(step: dict[str, Any]) -> list[dict[str, Any]]:
    """The step as steps about one object each."""
    parts = getattr(kind_of(step["kind"]), "split", None)
    return parts(step) if parts else [step]


def joined(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps with neighbours that can be one made one."""
    done: list[dict[str, Any]] = []
    for step in steps:
        merge = getattr(kind_of(step["kind"]), "merge", None) if done and done[-1]["kind"] == step["kind"] else None
        both = merge(done[-1], step) if merge else None
        done = [*done[:-1], both] if both else [*done, step]
    return done
