# SPDX-License-Identifier: BSD-2-Clause
"""Put a unit's definition in force once its files are back, and let the service take it where the change had.

That a restart is still owed lies in `/var/lib/ops-runbook/owed/<unit>` from before the first file until it is done:
a rerun after a crash finds the files already put back, and could not tell otherwise.
"""

from __future__ import annotations

import os

from .. import managed_file
from ..files import os_error, write_file
from ..locks import boot_clock
from ..platforms.systemd import Systemd, unit_name
from .service_state import act, describe, look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

__all__ = ["describe", "look"]


def thing(step: dict[str, Any]) -> str:
    """The definition."""
    return "definition of %s" % step["name"]


def key(step: dict[str, Any]) -> tuple[str, str]:
    """The service whose state decides whether it is restarted."""
    return "service", step["name"]


def due(step: dict[str, Any], state: dict[str, Any]) -> bool:
    """Whether there is something to do although no file was put back now: a crash came between."""
    return bool(state["need_reload"]) or _owed(step)


def restarts(step: dict[str, Any], state: dict[str, Any]) -> bool:
    """Whether the service takes it by a restart."""
    return bool(step.get("restarted")) and state["active_state"] == "active"


def note(step: dict[str, Any], before: dict[str, Any], todo: bool) -> str:
    """What a person must know of a service that was not restarted."""
    idle = todo and before["active_state"] == "active" and not restarts(step, before)
    return "not restarted: until then it may run with what was changed" if idle else ""


def tell(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """The changes, as service_restart tells them."""
    told = [{"object": thing(step), "before": {"need_reload": True}, "after": {"need_reload": False}}]
    if restarts(step, before):
        pid = {"active_state": before["active_state"], "pid": before["pid"]}
        new = {"active_state": after["active_state"], "pid": "new"}
        told.append({"object": "service %s" % step["name"], "before": pid, "after": new})
    return told


def inverse(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any], run_id: str) -> list[dict[str, Any]]:
    """The step that takes this one back; without a restart, a running process had not had what was on disk."""
    idle = before["active_state"] == "active" and not restarts(step, before)
    return [dict(step, pending=idle and not step.get("pending"))]


def begin(step: dict[str, Any], before: dict[str, Any]) -> None:
    """Before the first file: remember that a restart is owed; after a boot none is."""
    if restarts(step, before):
        managed_file.ensure_folder("owed")
        write_file(_path(step), boot_clock()[0].encode("ascii"))


def take(host: Host, step: dict[str, Any], before: dict[str, Any], run_id: str) -> None:
    """daemon-reload, and a restart that is seen to hold.

    Raises:
        OpsError: systemctl failed, or the service did not stay up.
    """
    Systemd(host, step["name"]).daemon_reload()
    if restarts(step, before):
        act(host, step, "restarted")
    if _owed(step):
        try:
            os.unlink(_path(step))
        except OSError as error:
            raise os_error(error, _path(step)) from None


def _path(step: dict[str, Any]) -> str:
    return os.path.join(managed_file.STATE, "owed", unit_name(step["name"]))


def _owed(step: dict[str, Any]) -> bool:
    try:
        with open(_path(step), encoding="ascii") as stream:
            return stream.read() == boot_clock()[0]
    except FileNotFoundError:
        return False
    except OSError as error:
        raise os_error(error, _path(step)) from None
