# SPDX-License-Identifier: BSD-2-Clause
"""One line to the target's journal, so that a record cut or rewritten on the controller shows."""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SOCKET = "/dev/log"
NOTICE = 8 * 10 + 5  # facility authpriv, severity notice


def write_journal(message: str, path: str) -> str | None:
    """Send message as `ops-runbook: ...`; returns why it could not be sent, or None."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stream:
            stream.settimeout(2)
            stream.connect(path)
            stream.send(("<%d>ops-runbook: %s" % (NOTICE, message)).encode("utf-8"))
    except OSError as error:
        return "%s: %s" % (path, error)
    return None


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Write params["entry"]["message"] unless in check mode: {changed: False, journal: None | why not}.

    Not a change of the target in Ansible's sense: the journal is where a host says what is done to it.
    """
    return {"changed": False, "journal": None if check else write_journal(params["entry"]["message"], SOCKET)}
