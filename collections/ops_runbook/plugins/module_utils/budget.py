# SPDX-License-Identifier: BSD-2-Clause
"""How often a service was started by us lately: one that keeps dying is not restarted for ever.

`DIRECTORY/<name>.json` holds `{"starts": [{"at": epoch seconds, "boot_id": text, "uptime": seconds}]}`. Within a boot
the age of a start is counted in CLOCK_BOOTTIME, so that a clock step neither frees nor eats the budget.
"""

from __future__ import annotations

import json
import os

from .errors import Refused
from .files import ensure_directory, os_error, write_file
from .locks import age, is_stamp, mutex, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DIRECTORY = "/var/lib/ops-runbook/budget"
_KEPT = 86400.0  # seconds; another caller may count over a longer window than this one


def check_budget(name: str, count: int, window: float) -> None:
    """See whether one more start of name fits into count starts within window seconds; writes nothing.

    Raises:
        Refused: It does not fit, or the file cannot be read or understood: then nobody knows.
    """
    _afford(name, _load(name), count, window)


def spend(name: str, count: int, window: float) -> None:
    """Count one start of name, durably, before it happens.

    Raises:
        Refused: As check_budget; two callers at once cannot both take the last one.
        OpsError: The count cannot be written.
    """
    ensure_directory(DIRECTORY)
    with mutex(DIRECTORY):
        starts = _load(name)
        _afford(name, starts, count, window)
        starts = [start for start in starts if age(start) < max(window, _KEPT)]
        starts.append(stamp())
        write_file(_path(name), json.dumps({"starts": starts}).encode("ascii"))


def _afford(name: str, starts: list[dict[str, Any]], count: int, window: float) -> None:
    recent = sorted(seconds for seconds in map(age, starts) if seconds < window)
    if len(recent) < count:
        return
    hint = "Find out why it does not stay up."
    if count > 0:
        hint += " The next start is possible in %.0f s, or with a larger budget." % (window - recent[count - 1])
    what = "the restart budget is used up: %d of %d starts within %g s" % (len(recent), count, window)
    raise Refused(what, name, hint)


def _path(name: str) -> str:
    return os.path.join(DIRECTORY, name + ".json")


def _load(name: str) -> list[dict[str, Any]]:
    path = _path(name)
    try:
        with open(path, "rb") as stream:
            return parse_budget(stream.read(1048576), path)
    except FileNotFoundError:
        return []
    except OSError as error:
        problem = os_error(error, path)
        raise Refused("the restart budget cannot be read: " + problem.what, path, problem.hint) from None


def parse_budget(data: bytes, path: str) -> list[dict[str, Any]]:
    """The starts in a budget file's content.

    Raises:
        Refused: It is damaged. Starting from zero would lift the limit just when something is wrong.
    """
    try:
        starts = json.loads(data)["starts"]
        if not isinstance(starts, list) or not all(map(is_stamp, starts)):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused(
            "the restart budget is damaged, so nobody knows how often it was started",
            path,
            "Look at the journal for recent starts, then: rm %s" % path,
        ) from None
    return starts
