# SPDX-License-Identifier: BSD-2-Clause
"""What a command says. Only for commands that change nothing: a probe runs in check mode, too."""

from __future__ import annotations

import time

from ..errors import BadInput, CannotLook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {
    "argv": {"type": "list", "required": True, "doc": "The command and its arguments; there is no shell."},
    "limit": {"type": "int", "default": 4096, "doc": "Pass on at most so many of the last characters of each output."},
}
FIELDS = {
    "rc": "exit code; None when it did not end in time",
    "timed_out": "whether it did not end within the limit",
    "stdout": "the end of its standard output",
    "stderr": "the end of its standard error",
    "json": "standard output as a document, when it is JSON; None when it is not",
    "took_ms": "milliseconds until it ended",
}


def verify(args: dict[str, Any]) -> None:
    """Words, not a line for a shell."""
    if not args["argv"] or not all(isinstance(word, (str, int, float)) for word in args["argv"]):
        raise BadInput("is not a list of words", "argv", "Write [program, argument, ...].")


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Run one command."""
    argv, began = [str(word) for word in args["argv"]], time.monotonic()
    # timeout(1) ends with 124 when the limit passed, and with 137 or by that signal when the command had to be killed
    done = host.run(["timeout", "-k", "0.2", "%.2f" % args["timeout"], *argv], timeout=args["timeout"] + 0.4)
    took = round((time.monotonic() - began) * 1000, 1)
    late = done.rc in (124, 137, -9) and took >= args["timeout"] * 1000
    if done.rc in (126, 127) and done.stderr.startswith("timeout:"):
        raise CannotLook("%s cannot be run here" % argv[0], hint="Install it or correct argv.")
    limit = args["limit"]
    return {
        "data": {
            "rc": None if late else done.rc,
            "timed_out": late,
            "stdout": done.stdout[-limit:],
            "stderr": done.stderr[-limit:],
            "json": _document(done.stdout),
            "took_ms": took,
        },
        "missing": [],
    }


def _document(text: str) -> Any:
    if text.strip()[:1] not in ("{", "["):
        return None
    import json

    try:
        return json.loads(text)
    except ValueError:
        return None
