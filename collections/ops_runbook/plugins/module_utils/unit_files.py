# SPDX-License-Identifier: BSD-2-Clause
"""The files that define a unit, and whose they are.

What a package brings or a generator makes is not judged: an upgrade replaces it rightly, and a generator makes it anew.
Nor is what this library itself writes: it has an undo of its own.
"""

from __future__ import annotations

import os

PACKAGED = ("/usr/lib/systemd/", "/lib/systemd/", "/run/systemd/generator")
_OURS = "90-ops-runbook-"


def is_packaged(path: str) -> bool:
    """Whether it belongs to a package or a generator."""
    return path.startswith(PACKAGED)


def is_judged(path: str) -> bool:
    """Whether a baseline has an opinion on it: a person or another tool wrote it."""
    return not is_packaged(path) and not os.path.basename(path).startswith(_OURS)


def paths(text: str) -> list[str]:
    """The value of DropInPaths= as paths; systemd quotes those with blanks in them."""
    if '"' not in text:
        return text.split()
    import shlex

    try:
        return shlex.split(text)
    except ValueError:  # cut off
        return text.split()
