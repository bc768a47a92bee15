# SPDX-License-Identifier: BSD-2-Clause
"""What systemd says about a unit; every collector asks with the same words, so that one probe asks only once."""

from __future__ import annotations

from ..errors import BadInput, CannotLook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Completed, Host

PROPERTIES = (
    "Id",
    "LoadState",
    "LoadError",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "Result",
    "MainPID",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainStartTimestamp",
    "StateChangeTimestamp",
    "NRestarts",
    "RestartUSec",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
    "ControlGroup",
    "ExecStart",
)
_DENIED = ("insufficient permissions", "not seeing messages from other users", "Permission denied")
UNIT = {"type": "list", "doc": "Names the unit may have, such as [mongod, mongodb]; the first that exists is taken."}


def full_name(name: str) -> str:
    """The unit's name with its suffix."""
    return name if "." in name else name + ".service"


def verify_names(names: list[Any] | None) -> None:
    """Refuse what is not the name of a unit: a leading dash would be an option, a wildcard several units."""
    for name in names or []:
        if not isinstance(name, str) or not name or name[0] == "-" or set(name) & set("*?[]/ \n"):
            raise BadInput("%r is not the name of a unit" % (name,), "unit", "Write a name such as mongod.service.")


def show(host: Host, names: list[str], timeout: float) -> dict[str, str]:
    """Properties of the first of names that exists, else of the first one with LoadState=not-found.

    Raises:
        CannotLook: There is no systemd here, or it does not answer.
    """
    wanted = [full_name(name) for name in names]
    asked = ["systemctl", "show", "--no-pager", "--property", ",".join(PROPERTIES), "--", *wanted]
    done = host.run(["env", "TZ=UTC", *asked], timeout=timeout)
    blocks = [_properties(block) for block in done.stdout.split("\n\n") if "LoadState=" in block]
    if not blocks:
        said = (done.stderr.strip().splitlines() or ["systemctl show gave nothing"])[0]
        raise CannotLook(said, hint="Only systemd units can be looked at.")
    return next((block for block in blocks if block["LoadState"] != "not-found"), blocks[0])


def _properties(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def main_pid(properties: dict[str, str]) -> int | None:
    """The unit's main process, or None when it has none."""
    return int(properties.get("MainPID") or 0) or None


def exec_path(properties: dict[str, str]) -> str | None:
    """The program that ExecStart= names, from `{ path=/usr/bin/mongod ; argv[]=... }`."""
    _before, mark, rest = properties.get("ExecStart", "").partition("path=")
    return rest.split(" ;")[0].strip() or None if mark else None


def journal_lines(done: Completed) -> list[str] | None:
    """What journalctl printed, without its own remarks; None when there is no journal or this user sees only a part.

    journalctl must have run without --quiet, which would hide that; --output cat implies it.
    """
    if done.rc or "No journal files" in done.stderr or any(words in done.stderr for words in _DENIED):
        return None
    return [line for line in done.stdout.splitlines() if not line.startswith("-- ")]
