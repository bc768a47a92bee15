# SPDX-License-Identifier: BSD-2-Clause
"""What a service's process was started with, and what in systemd would win over a file of variables."""

from __future__ import annotations

from .environment_file import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from .unit_look import Unit


def environ_of(unit: Unit) -> dict[str, str] | None:
    """The variables that a unit's main process was started with.

    None where it has no process, or one that has overwritten them in memory, as programs do that show a title of their
    own in ps: then INVOCATION_ID, which systemd gives to every service, is missing.
    """
    if not unit.pid:
        return None
    try:
        with open("/proc/%d/environ" % unit.pid, "rb") as stream:
            parts = stream.read().decode("utf-8", "surrogateescape").split("\0")
    except OSError:  # it ended a moment ago
        return None
    found = dict(part.split("=", 1) for part in parts if "=" in part)
    return found if "INVOCATION_ID" in found else None


def unset_by(unit: Unit) -> set[str]:
    """Names that UnsetEnvironment= of a unit takes away, whatever sets them."""
    pieces = unit.shown.get("UnsetEnvironment", [""])[0].split('"')  # those between two quotes are one entry each
    entries = [entry for place, piece in enumerate(pieces) for entry in ([piece] if place % 2 else piece.split())]
    return {entry.partition("=")[0] for entry in entries}


def winners(unit: Unit, path: str, values: dict[str, str]) -> dict[str, str]:
    """Of the variables in path, those that something else in the unit's definition sets or takes away: name -> what."""
    files = [entry.rpartition(" (")[0] for entry in unit.shown.get("EnvironmentFiles", [])]
    if path not in files:
        return dict.fromkeys(values, "a drop-in that is read later empties EnvironmentFile=")
    found = dict.fromkeys(unset_by(unit) & set(values), "UnsetEnvironment= of the unit")
    for later in _expanded(files[len(files) - files[::-1].index(path) :]):
        for name, value in _read(later).items():
            if name in values and value != values[name]:
                found[name] = later
    return found


def _expanded(paths: list[str]) -> Iterator[str]:
    for path in paths:
        if set(path) & set("*?["):
            from glob import glob

            yield from sorted(glob(path))
        else:
            yield path


def _read(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return parse(stream.read())
    except OSError:  # a missing one may be meant to be optional
        return {}
