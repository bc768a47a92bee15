# SPDX-License-Identifier: BSD-2-Clause
"""Whether a name resolves the way programs on this host resolve it. Source: getent(1), nsswitch.conf(5)."""

from __future__ import annotations

import time

from ..errors import BadInput, CannotLook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {"name": {"type": "str", "required": True, "doc": "The host name."}}
FIELDS = {
    "name": "the name asked for",
    "resolved": "whether the name has an address",
    "addresses": "its addresses",
    "took_ms": "milliseconds until there was an answer",
    "error": "not found, or no answer within the limit; None when it resolved",
}


def verify(args: dict[str, Any]) -> None:
    """A name, not an option."""
    if args["name"].startswith("-") or not args["name"].strip():
        raise BadInput("%r is not a host name" % args["name"], "name", "Write a name such as db1.example.com.")


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Resolve one name."""
    began = time.monotonic()
    # timeout(1) tells "no answer" (124), which is a measurement, from "getent is not installed" (127), which is none
    done = host.run(
        ["timeout", "-k", "1", "%.2f" % args["timeout"], "getent", "ahosts", args["name"]],
        timeout=args["timeout"] + 0.4,
    )
    took = round((time.monotonic() - began) * 1000, 1)
    addresses = sorted({line.split()[0] for line in done.stdout.splitlines() if line.strip()})
    if done.rc in (126, 127):
        raise CannotLook("getent is not installed")
    error = None if addresses else "no answer within the limit" if done.rc == 124 else "not found"
    return {
        "data": {
            "name": args["name"],
            "resolved": bool(addresses),
            "addresses": addresses,
            "took_ms": took,
            "error": error,
        },
        "missing": [],
    }
