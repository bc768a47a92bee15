# SPDX-License-Identifier: BSD-2-Clause
"""What a person has left on the target for remedies to obey.

`PATH` is what `target_hold` writes, `{schema, reason, by, since, until, lasts (seconds or null), at, boot_id, uptime}`,
or a text that somebody wrote by hand: then all of it is the reason. Only one of ours can end by itself; whatever cannot
be read or understood is in force.
"""

from __future__ import annotations

import os

from .errors import Refused
from .locks import age, is_stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATH = "/var/lib/ops-runbook/hold"
SCHEMA = "ops.runbook/hold/1"
_TEXTS = ("reason", "by", "since")


def read_hold(path: str) -> dict[str, Any] | None:
    """The hold at path, {path, text} and of one of ours {reason, by, since, until}; None where none is in force."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(8192)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return {"path": path, "text": "it cannot be read: %s" % os.strerror(error.errno or 0)}
    hold = parse_hold(data)
    if hold is None:
        return {"path": path, "text": data[:500].decode("utf-8", "replace")}
    if hold["lasts"] is not None and age(hold) >= hold["lasts"]:
        return None
    shown = {key: hold[key] for key in (*_TEXTS, "until")}
    return dict(shown, path=path, text=hold_text(hold))


def parse_hold(data: bytes) -> dict[str, Any] | None:
    """The hold that target_hold wrote; None for anything else, which has no end."""
    import json

    try:
        hold = json.loads(data)
        lasts = hold["lasts"]
        whole = hold["schema"] == SCHEMA and is_stamp(hold) and all(isinstance(hold[key], str) for key in _TEXTS)
        ends = lasts is None or (not isinstance(lasts, bool) and lasts > 0 and isinstance(hold["until"], str))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return dict(hold) if whole and ends else None


def hold_text(hold: dict[str, Any]) -> str:
    """Why it is there, whose it is, and until when."""
    until = ", until %s" % hold["until"] if hold["until"] else ""
    return "%s; set by %s at %s%s" % (hold["reason"], hold["by"], hold["since"], until)


def demand_none() -> None:
    """A person's hold on this target goes before any act.

    Raises:
        Refused: There is one.
    """
    hold = read_hold(PATH)
    if hold:
        said = hold["text"].strip() or "no reason given"
        raise Refused("a hold is in force on the target (%s)" % said, hint="When it is over: rm %s" % hold["path"])
