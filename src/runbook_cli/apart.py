# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in a process of its own, beside what this one does meanwhile."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import traceback
from typing import TYPE_CHECKING, Any

from runbook_cli.answer import CliError
from runbook_cli.stop import descendants

if TYPE_CHECKING:
    from collections.abc import Callable


def apart(work: Callable[[], Any], meanwhile: Callable[[], None]) -> Any:
    """What work returns, as JSON can carry it; it runs in a fork, so that what it imports and sets stays there.

    Raises:
        CliError: As work raised it; what meanwhile raises comes first.
        RuntimeError: work failed in another way; the text is its traceback.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(work, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as stream:
            try:
                meanwhile()
            finally:
                said = json.loads(stream.read() or b'{"bug": "a process ended without an answer"}')
    except BaseException as error:
        if not isinstance(error, Exception):  # ctrl-C: an inventory may be a program that takes its time
            for one in (*descendants(pid), pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
        raise
    finally:
        os.waitpid(pid, 0)
    if "refused" in said:
        raise CliError(**said["refused"])
    if "bug" in said:
        raise RuntimeError(said["bug"])
    return said["result"]


def _child(work: Callable[[], Any], writing: int) -> None:
    """Never returns: what the caller does next is not for this process."""
    gc.disable()  # it lives for a blink, and imports a tenth faster so
    try:
        said = json.dumps(_told(work)).encode()
        with os.fdopen(writing, "wb") as stream:
            stream.write(said)
    finally:
        os._exit(0)


def _told(work: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"result": work()}
    except CliError as error:
        return {"refused": {"what": error.what, "where": error.where, "hint": error.hint, "code": error.code}}
    except Exception:
        return {"bug": traceback.format_exc()}
