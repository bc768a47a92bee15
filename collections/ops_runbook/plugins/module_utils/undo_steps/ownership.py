# SPDX-License-Identifier: BSD-2-Clause
"""Put owner, group and mode of a file or directory back, through a descriptor of the very object that was looked at."""

from __future__ import annotations

import os
import stat

from ..errors import OpsError, Refused
from ..files import open_path, os_error
from ..names import group_name, user_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

FIELDS = ("uid", "gid", "mode")


def split(step: dict[str, Any]) -> list[dict[str, Any]]:
    """One step for each object."""
    return [dict(step, entries=[entry]) for entry in step["entries"]]


def merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two steps as one."""
    return dict(one, entries=[*one["entries"], *other["entries"]])


def thing(step: dict[str, Any]) -> str:
    """The file or directory."""
    return str(step["entries"][0]["path"])


def claim(step: dict[str, Any]) -> tuple[tuple[str, str], dict[str, Any], dict[str, Any]]:
    """Owner and mode as the change left them; afterwards as before it."""
    entry = step["entries"][0]
    return ("path", _path(entry)), entry["expect"], {field: entry[field] for field in FIELDS}


def look(host: Host, step: dict[str, Any]) -> dict[str, Any] | None:
    """{uid, gid, mode}; None where it is gone, for a running service removes files all the time."""
    try:
        item = open_path(_path(step["entries"][0]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise os_error(error, thing(step)) from None
    try:
        return _state(os.fstat(item))
    finally:
        os.close(item)


def describe(state: dict[str, Any]) -> str:
    """Owner, group and mode."""
    if state["uid"] is None:
        return "something else"
    return "%s:%s %s" % (user_name(state["uid"]), group_name(state["gid"]), state["mode"])


def hint(step: dict[str, Any]) -> str:
    """How a person sees what somebody changed."""
    return "Look at it: ls -ld %s" % thing(step)


def tell(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """A change for each field, as file_ownership tells them."""
    shown = (("owner", "uid", user_name), ("group", "gid", group_name), ("mode", "mode", str))
    return [
        {"object": "%s of %s" % (name, thing(step)), "before": text(before[field]), "after": text(after[field])}
        for name, field, text in shown
        if before[field] != after[field]
    ]


def inverse(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any], run_id: str) -> list[dict[str, Any]]:
    """The step that takes this one back."""
    was, now = ({field: state[field] for field in FIELDS} for state in (before, after))
    return [dict(step, entries=[dict(step["entries"][0], expect=now, **was)])]


def take(host: Host, step: dict[str, Any], before: dict[str, Any], run_id: str) -> None:
    """Put owner and mode back.

    Raises:
        Refused: Somebody changed it since it was looked at.
        OpsError: The operating system said no, or something else sets them.
    """
    entry, where = step["entries"][0], thing(step)
    wanted = {field: entry[field] for field in FIELDS}
    try:
        item = open_path(_path(entry))
        try:
            if any(before[field] != value for field, value in _state(os.fstat(item)).items()):
                raise Refused("somebody changed it a moment ago", where, hint(step))
            path = "/proc/self/fd/%d" % item  # what O_PATH points at, and nothing else
            os.chown(path, wanted["uid"], wanted["gid"])
            os.chmod(path, int(wanted["mode"], 8))  # last: chown clears the set-id bits
            after = _state(os.fstat(item))
        finally:
            os.close(item)
    except OSError as error:
        raise os_error(error, where) from None
    if after != wanted:
        raise OpsError("owner or mode did not stay as put back", where, hint(step))


def _path(entry: dict[str, Any]) -> str:
    """The path; where it is not text, `raw` has its bytes in hexadecimal."""
    return os.fsdecode(bytes.fromhex(entry["raw"])) if "raw" in entry else str(entry["path"])


def _state(seen: os.stat_result) -> dict[str, Any]:
    """{uid, gid, mode}; all None for a link, a device, or a file with other names, which is not the one of then."""
    single = stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1
    if not single and not stat.S_ISDIR(seen.st_mode):
        return dict.fromkeys(FIELDS)
    return {"uid": seen.st_uid, "gid": seen.st_gid, "mode": "%04o" % stat.S_IMODE(seen.st_mode)}
