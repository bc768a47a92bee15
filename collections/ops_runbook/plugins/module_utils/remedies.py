# SPDX-License-Identifier: BSD-2-Clause
"""What was done to a service here lately, whichever controller it came from: for cooldown, flapping and old alerts.

`DIRECTORY/<service>.json` holds `{"remedies": [{run, remedy, cause, result, at, boot_id, uptime}], "escalated": null |
{run, at, boot_id, uptime}}`, the oldest first. `result` is begun, cured or not_cured; what stayed begun broke off. A
remedy is noted before it acts. Ages are told by the time since boot, so that a clock step neither frees nor eats
anything.
"""

from __future__ import annotations

import json
import os

from .errors import BadInput, Refused
from .files import ensure_directory, os_error, write_file
from .host import utc
from .locks import age, is_stamp, mutex, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DIRECTORY = "/var/lib/ops-runbook/remedies"
RESULTS = ("begun", "cured", "not_cured")
_KEPT = 50  # remedies of a service; what is older is in the record
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """{changed, message, memory}; see the documentation of remedy_memory."""
    service, state = params["service"], params["state"]
    if state == "read":
        return {"changed": False, "message": "what is remembered of %s" % service, "memory": seen(service)}
    if not params["run_id"]:
        raise BadInput("a remedy belongs to a run, and there is no run id", "run_id", "Set OPS_RUNBOOK_RUN_ID.")
    if not check:
        ensure_directory(DIRECTORY)
    with mutex(DIRECTORY):
        memory = load(service)
        said = {"begun": _begin, "ended": _end, "escalated": _escalate}[state](memory, params)
        if not check:
            write_file(path_of(service), json.dumps(memory, sort_keys=True).encode("ascii"))
        return {"changed": True, "message": said, "memory": _view(memory)}


def _begin(memory: dict[str, Any], params: dict[str, Any]) -> str:
    memory["remedies"].append(_note(params, "begun"))
    del memory["remedies"][:-_KEPT]
    return "%s begins" % params["remedy"]


def _end(memory: dict[str, Any], params: dict[str, Any]) -> str:
    """Note how the run's remedy ended; where its beginning could not be noted (no room), that it did."""
    begun = [params["run_id"], params["remedy"], "begun"]
    mine = [note for note in memory["remedies"] if [note["run"], note["remedy"], note["result"]] == begun]
    if mine:
        mine[-1]["result"] = params["result"]
    else:
        memory["remedies"].append(_note(params, params["result"]))
        del memory["remedies"][:-_KEPT]
    if params["result"] == "cured":
        memory["escalated"] = None  # it took a person's approval to come here
    return "%s has %s" % (params["remedy"], params["result"].replace("_", " "))


def _note(params: dict[str, Any], result: str) -> dict[str, Any]:
    return dict(stamp(), run=params["run_id"], remedy=params["remedy"], cause=params["cause"], result=result)


def _escalate(memory: dict[str, Any], params: dict[str, Any]) -> str:
    memory["escalated"] = dict(stamp(), run=params["run_id"])
    return "it is escalated"


def seen(service: str) -> dict[str, Any]:
    """{remedies: [{run, remedy, cause, result, at (RFC 3339), age (seconds)}], escalated: None | {run, at, age}}.

    Raises:
        Refused: Nobody can tell.
    """
    return _view(load(service))


def _view(memory: dict[str, Any]) -> dict[str, Any]:
    last = memory["escalated"]
    return {"remedies": [_told(note) for note in memory["remedies"]], "escalated": _told(last) if last else None}


def _told(note: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in note.items() if key not in ("boot_id", "uptime")}
    return dict(kept, at=utc(note["at"]), age=round(age(note), 1))


def path_of(service: str) -> str:
    """Where the memory of a service lies.

    Raises:
        BadInput: It cannot be the name of a service.
    """
    if not 1 <= len(service) <= 64 or service[0] == "." or not _LETTERS.issuperset(service):
        hint = "Use 1 to 64 letters, digits, '.', '_', '-', not beginning with a dot."
        raise BadInput("%r is not the name of a service" % service, "service", hint)
    return os.path.join(DIRECTORY, service + ".json")


def load(service: str) -> dict[str, Any]:
    """The file's content; nothing is remembered where there is none.

    Raises:
        Refused: It cannot be read or is damaged.
    """
    path = path_of(service)
    try:
        with open(path, "rb") as stream:
            return parse_memory(stream.read(1048576), path)
    except FileNotFoundError:
        return {"remedies": [], "escalated": None}
    except OSError as error:
        problem = os_error(error, path)
        raise Refused("what was done here lately cannot be read: " + problem.what, path, problem.hint) from None


def parse_memory(data: bytes, path: str) -> dict[str, Any]:
    """The memory in a file's content.

    Raises:
        Refused: It is damaged. Starting from nothing would lift every limit just when something is wrong.
    """
    try:
        memory = json.loads(data)
        notes, last = memory["remedies"], memory["escalated"]
        if not isinstance(notes, list) or not all(map(_sound, notes)) or not (last is None or _is_of_run(last)):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused(
            "the memory of remedies is damaged, so nobody knows what was done here lately",
            path,
            "Look at: journalctl -t ops-runbook --since -1d; then: rm %s" % path,
        ) from None
    return {"remedies": notes, "escalated": last}


def _sound(note: dict[str, Any]) -> bool:
    named = isinstance(note["remedy"], str) and isinstance(note["cause"], str)
    return named and note["result"] in RESULTS and _is_of_run(note)


def _is_of_run(note: dict[str, Any]) -> bool:
    return isinstance(note["run"], str) and is_stamp(note)
