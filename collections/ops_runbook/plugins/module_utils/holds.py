# SPDX-License-Identifier: BSD-2-Clause
"""What a person has left on the target for remedies to obey."""

from __future__ import annotations

import os

from .errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATH = "/var/lib/ops-runbook/hold"


def read_hold(path: str) -> dict[str, str] | None:
    """The hold on this target: {path, text}, or None. One that cannot be read is in force all the same."""
    try:
        with open(path, "rb") as stream:
            return {"path": path, "text": stream.read(500).decode("utf-8", "replace")}
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except OSError as error:
        return {"path": path, "text": "it cannot be read: %s" % os.strerror(error.errno or 0)}


def demand_none() -> None:
    """A person's hold on this target goes before any act.

    Raises:
        Refused: There is one.
    """
    hold = read_hold(PATH)
    if hold:
        said = hold["text"].strip() or "no reason given"
        raise Refused("a hold is in force on the target (%s)" % said, hint="When it is over: rm %s" % hold["path"])


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """{changed: False, hold: {path, text} | None}."""
    return {"changed": False, "hold": read_hold(PATH)}
