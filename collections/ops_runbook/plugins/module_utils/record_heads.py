# SPDX-License-Identifier: BSD-2-Clause
"""The heads of the record that runs have left in this host's journal. Source: journalctl(1), systemd.journal-fields(7).

Only what root wrote, or the user that looks: journald notes the sender's id itself, so that no other can pretend.
"""

from __future__ import annotations

import json
import os

from .collectors._units import journal_lines
from .errors import CannotLook
from .host import LocalHost, utc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TAG = "ops-runbook"
_READ = ["journalctl", "--no-pager", "--system", "--output=json"]


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Read them: {changed: False, heads: [{run, phase, head, record, at}], oldest: RFC 3339}, oldest first.

    Raises:
        CannotLook: There is no journal here, or this user may not read it.
    """
    host, me = LocalHost(), os.geteuid()
    host.run(["journalctl", "--sync"], timeout=params["timeout"])  # only root may; else the last ones may be under way
    asked = [*_READ, "--output-fields=MESSAGE", "--identifier=" + TAG, "_UID=0", *(["_UID=%d" % me] if me else [])]
    done = host.run(asked, timeout=params["timeout"])
    lines, first = journal_lines(done), _oldest()
    if lines is None or first is None:
        said = (done.stderr.strip().splitlines() or ["it is empty"])[0]
        hint = "Look as root (become), or add the user to the group systemd-journal."
        raise CannotLook("the journal may not be read: %s" % said, hint=hint)
    found = [_head(json.loads(line)) for line in lines if line.startswith("{")]
    return {"changed": False, "heads": [head for head in found if head], "oldest": _at(first)}


def _oldest() -> dict[str, Any] | None:
    """The journal's first entry; journalctl begins with it, and is not waited for."""
    import subprocess

    with subprocess.Popen(
        [*_READ, "--output-fields=MESSAGE"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        line = child.stdout.readline() if child.stdout else b""
        child.kill()
    return json.loads(line) if line.startswith(b"{") else None


def _at(entry: dict[str, Any]) -> str:
    return utc(int(entry["__REALTIME_TIMESTAMP"]) / 1e6)


def _head(entry: dict[str, Any]) -> dict[str, Any] | None:
    """What action/run_record.py wrote: `run RUN PHASE head HEAD record RECORD`; older ones lack the record."""
    words = str(entry.get("MESSAGE")).split()
    if len(words) < 5 or (words[0], words[3]) != ("run", "head"):
        return None
    record = words[6] if len(words) > 6 and words[5] == "record" else None
    return {"run": words[1], "phase": words[2], "head": words[4], "record": record, "at": _at(entry)}
