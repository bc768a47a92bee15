# SPDX-License-Identifier: BSD-2-Clause
"""What the guard must know of the target: the hold, and what was done to the service lately."""

from __future__ import annotations

from .errors import Refused
from .holds import PATH, read_hold
from .remedies import seen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """{changed: False, hold, memory, memory_problem}; see holds.read_hold and remedies.seen.

    memory is None without a service, and where nobody can tell: then memory_problem has {reason, next_step}.
    """
    answer: dict[str, Any] = {"changed": False, "hold": read_hold(PATH), "memory": None, "memory_problem": None}
    if params["service"]:
        try:
            answer["memory"] = seen(params["service"])
        except Refused as error:
            where = "%s: %s" % (error.where, error.what)
            answer["memory_problem"] = {"reason": where, "next_step": error.hint}
    return answer
