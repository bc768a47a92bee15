# SPDX-License-Identifier: BSD-2-Clause
"""A second process for the second half of a large file, where a core has nothing to do."""

from __future__ import annotations

import marshal
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

WORTH = 33554432  # bytes of a half from which on a process costs less than it saves


def spare_core() -> bool:
    """Whether there is another core, and less to do on this machine than it has cores."""
    try:
        cores = len(os.sched_getaffinity(0))
        return cores > 1 and os.getloadavg()[0] < cores
    except OSError:
        return False


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
