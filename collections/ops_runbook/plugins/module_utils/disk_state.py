# SPDX-License-Identifier: BSD-2-Clause
"""When a filesystem was last reclaimed, and how full its folders were then.

A filesystem that is full again within a day has a cause that deleting does not cure: a person has to look. Kept in
`/var/lib/ops-runbook/reclaim/<identity>.json`: `{at, boot_id, uptime, mount_point, deleted, freed_bytes, directories}`.
"""

from __future__ import annotations

import json
import os
import time

from . import managed_file
from .errors import OpsError, Refused
from .files import os_error, write_file
from .locks import age, boot_clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .disk_room import Filesystem

DAY = 86400.0


def path_of(filesystem: Filesystem) -> str:
    """Where it is kept."""
    return os.path.join(managed_file.STATE, "reclaim", filesystem.identity + ".json")


def read(filesystem: Filesystem) -> dict[str, Any] | None:
    """The last reclaim: as in the file, and `hours` ago; None where there was none, or of another mount point.

    Raises:
        Refused: It is damaged: nobody knows whether there was one.
        PermissionError: This user may not read it.
    """
    path = path_of(filesystem)
    try:
        with open(path, "rb") as stream:
            last = parse_state(stream.read(8388608), path)
    except FileNotFoundError:
        return None
    except PermissionError:
        raise
    except OSError as error:
        raise os_error(error, path) from None
    return dict(last, hours=age(last) / 3600.0) if last["mount_point"] == filesystem.mount_point else None


def parse_state(content: bytes, path: str) -> dict[str, Any]:
    """The last reclaim in a file's content.

    Raises:
        Refused: It is damaged.
    """
    try:
        last = json.loads(content)
        numbers = [last["at"], last["uptime"], last["deleted"], *last["directories"].values()]
        if not all(isinstance(one, (int, float)) for one in numbers):
            raise ValueError
        if not isinstance(last["boot_id"], str) or not isinstance(last["mount_point"], str):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        hint = "Look when it was reclaimed last (runbook history), then: rm %s" % path
        raise Refused("the note of the last reclaim is damaged", path, hint) from None
    return dict(last)


def recent(last: dict[str, Any] | None) -> bool:
    """Whether files were deleted within a day."""
    return last is not None and bool(last["deleted"]) and last["hours"] * 3600 < DAY


def write(filesystem: Filesystem, deleted: int, freed: int, directories: dict[str, int]) -> str:
    """Note a reclaim. Returns why it could not be noted; empty where it is."""
    boot_id, uptime = boot_clock()
    note = {"at": time.time(), "boot_id": boot_id, "uptime": uptime, "mount_point": filesystem.mount_point}
    text = json.dumps(dict(note, deleted=deleted, freed_bytes=freed, directories=directories), sort_keys=True)
    try:
        managed_file.ensure_folder("reclaim")
        write_file(path_of(filesystem), text.encode("ascii"))
    except OpsError as error:
        return str(error)
    return ""
