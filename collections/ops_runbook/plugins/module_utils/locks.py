# SPDX-License-Identifier: BSD-2-Clause
"""A clock that no one can set, and a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

from .errors import OpsError
from .files import os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator


def boot_clock() -> tuple[str, float]:
    """(boot id, seconds since boot, suspended time included)."""
    with open("/proc/sys/kernel/random/boot_id") as stream:
        return stream.read().strip(), time.clock_gettime(time.CLOCK_BOOTTIME)


def stamp() -> dict[str, Any]:
    """This moment, such that its age can be told later: {at (epoch seconds), boot_id, uptime (seconds)}."""
    boot_id, uptime = boot_clock()
    return {"at": time.time(), "boot_id": boot_id, "uptime": uptime}


def age(moment: dict[str, Any]) -> float:
    """Seconds since a stamp; one that seems to lie in the future, after the clock was set back, was just now."""
    boot_id, uptime = boot_clock()
    return float(max(0.0, uptime - moment["uptime"] if moment["boot_id"] == boot_id else time.time() - moment["at"]))


def is_stamp(moment: dict[str, Any]) -> bool:
    """Whether it has the three fields of a stamp, each of which makes sense."""
    return isinstance(moment["boot_id"], str) and 0 <= moment["at"] < 1e11 and 0 <= moment["uptime"] < 1e11


@contextmanager
def mutex(directory: str, wait: float = 5.0) -> Iterator[None]:
    """Hold an exclusive flock on a directory of ours; without the directory there is nothing to protect.

    Raises:
        OpsError: The directory cannot be opened, or another process holds it for more than wait seconds.
    """
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        lock = -1
    except OSError as error:
        raise os_error(error, directory) from None
    try:
        if lock >= 0:
            _wait_for(lock, directory, wait)
        yield
    finally:
        if lock >= 0:
            os.close(lock)


def _wait_for(lock: int, directory: str, wait: float) -> None:
    import fcntl

    until = time.monotonic() + wait
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise OpsError(
                    "another process has locked it for more than %g s" % wait,
                    directory,
                    "See which, and whether it is stopped: fuser -v %s" % directory,
                ) from None
            time.sleep(0.01)
