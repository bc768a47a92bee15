# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that a timer on the target runs when an `until:` has come: all of undo, in one file, for Python 3.8."""

from __future__ import annotations

from . import packing

_PROGRAM = """\
import os, signal, sys
if sys.version_info < (3, 8):
    sys.exit("Python 3.8 or newer is needed, found " + sys.version.split()[0])
%(finder)ssignal.alarm(%(deadline)d)
from %(package)s.until import fire
sys.exit(fire(os.path.dirname(os.path.abspath(__file__))))
"""


def modules() -> list[str]:
    """What module_utils/until.py imports late when the timer fires: undo and every kind of step."""
    return ["holds", *(name for name in packing.SOURCES if name.partition(".")[0] in ("undo", "undo_steps"))]


def text(deadline: int) -> str:
    """The program, pure ASCII; deadline: seconds after which it ends itself, waiting for other acts included."""
    finder = packing.finder(packing.bundle("until", modules()))
    return _PROGRAM % {"finder": finder, "package": packing.PACKAGE, "deadline": deadline}
