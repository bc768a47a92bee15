# SPDX-License-Identifier: BSD-2-Clause
"""A second process for the second half of a large file, where a core has nothing to do."""

from __future__ import annotations

import marshal
import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

WORTH = 33554432  # bytes of a half from which on a process costs less than it saves


_RUNNING = "/proc/loadavg"
_LOOKS, _APART = 3, 0.002  # one that runs for a moment only takes no core away


def spare_core() -> bool:
    """Whether a core has nothing to do now: fewer processes run than there are cores, this one among them.

    An average of the load would still tell of what ended a minute ago.
    """
    try:
        cores = len(os.sched_getaffinity(0))
        return cores > 1 and min(_running() for _look in range(_LOOKS)) < cores
    except (OSError, ValueError, IndexError):
        return False


def _running() -> int:
    """How many processes run or could run on this machine now. Source: proc(5), the fourth field of loadavg."""
    time.sleep(_APART)
    with open(_RUNNING) as stream:
        return int(stream.read().split()[3].partition("/")[0])


class Beside:
    """Work that goes on beside this process.

    Args:
        work: What to do; it returns what marshal can carry.
        seconds: After which it ends itself, because it may outlive this process.
    """

    def __init__(self, work: Callable[[], Any], seconds: float) -> None:
        self._read, wrote = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            code = 1
            try:
                signal.alarm(max(1, int(seconds) + 1))
                data = marshal.dumps(work())
                while data:
                    data = data[os.write(wrote, data) :]
                code = 0
            finally:
                os._exit(code)
        os.close(wrote)

    def result(self) -> Any:
        """What it returned; None where it came to no end: then nothing of it counts."""
        with os.fdopen(self._read, "rb") as stream:
            data = stream.read()
        return marshal.loads(data) if os.waitpid(self._child, 0)[1] == 0 else None  # noqa: S302 - of our own process

    def drop(self) -> None:
        """End it, and forget it."""
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        os.close(self._read)
