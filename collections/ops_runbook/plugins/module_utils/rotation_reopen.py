# SPDX-License-Identifier: BSD-2-Clause
"""Whether a service really opens its logs again when it is told so."""

from __future__ import annotations

from .collectors import _proc
from .errors import BadInput, Refused
from .rotation_policy import signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host


def demand_reopens(host: Host, reopen: dict[str, Any]) -> None:
    """A signal that a service does not handle would end it; a reload that it does not know fails every night.

    Raises:
        BadInput: There is no such service here, or it cannot be reloaded.
        Refused: Its process does not handle the signal.
    """
    from .unit_look import look as look_at

    unit = look_at(host, reopen["unit"], "CanReload")
    if reopen["method"] == "reload":
        if unit.shown.get("CanReload") != ["yes"]:
            raise BadInput("it cannot be reloaded", unit.name, "Use method: signal, if it reopens its logs on one.")
        return
    import signal

    name = signal_name(reopen["signal"])
    if unit.pid and not _handles(host, unit.pid, int(getattr(signal, name))):
        hint = "See which one it takes, or use method: reload, if its unit has one; without any: copytruncate."
        raise Refused("its process %d does not handle %s, which would end it" % (unit.pid, name), unit.name, hint)


def _handles(host: Host, pid: int, number: int) -> bool:
    """Whether a process handles a signal; one that has just ended is not ended by it."""
    try:
        return _proc.handles(_proc.text(host, pid, "status"), number)
    except _proc.GONE:
        return True
