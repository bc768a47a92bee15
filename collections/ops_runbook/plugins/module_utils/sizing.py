# SPDX-License-Identifier: BSD-2-Clause
"""Values that depend on the host: a share of its CPUs or of its memory, within bounds, in plain units.

Guide S5 (326) sets a buffer to "MB x 10" and calls it 1 % of memory: here it is said as a share, computed in bytes and
capped.
"""

from __future__ import annotations

import os

from .amounts import size
from .collectors._when import systemd_span
from .errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MEMINFO = "/proc/meminfo"
# Where a container is told what its machine's meminfo does not say; v2, v1.
CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_KEYS = ("of", "factor", "percent", "minimum", "maximum")


def compute(asked: dict[str, Any], cpus: int, memory: int, where: str) -> int:
    """The value of {of: cpus|memory, factor or percent, minimum, maximum} on a host with cpus and memory (bytes).

    Returns:
        A number of at least 1 for cpus, bytes for memory.

    Raises:
        BadInput: It makes no sense, or would be more memory than there is.
    """
    unknown = sorted(set(map(str, asked)) - set(_KEYS))
    if unknown or asked.get("of") not in ("cpus", "memory"):
        hint = "Give of: cpus or memory, and factor or percent, minimum, maximum."
        raise BadInput(
            "it cannot be computed from %s" % (", ".join(unknown) or "of: %s" % asked.get("of")), where, hint
        )
    of_memory = asked["of"] == "memory"
    low, high = (_bound(asked.get(key), of_memory, "%s.%s" % (where, key)) for key in ("minimum", "maximum"))
    if low is not None and high is not None and low > high:
        raise BadInput("the minimum %d is above the maximum %d" % (low, high), where)
    value = int((memory if of_memory else cpus) * _share(asked, where))
    value = min(value, high) if high is not None else value
    value = max(value, low if low is not None else 0 if of_memory else 1)
    if of_memory and value > memory:
        raise BadInput("%d bytes are more than the %d that there are" % (value, memory), where, "Set maximum.")
    return value


def _bound(raw: Any, of_memory: bool, where: str) -> int | None:
    if raw is None or of_memory:
        return None if raw is None else size(raw, where)
    if isinstance(raw, (bool, float)) or not str(raw).isdigit():
        raise BadInput("%r is no number of CPUs" % (raw,), where)
    return int(raw)


def _share(asked: dict[str, Any], where: str) -> float:
    given = [key for key in ("factor", "percent") if asked.get(key) is not None]
    if len(given) > 1:
        raise BadInput("factor and percent are both given", where, "Keep one of them.")
    if not given:
        return 1.0
    raw = asked[given[0]]
    try:
        value = -1.0 if isinstance(raw, bool) else float(raw)
    except (TypeError, ValueError):
        value = -1.0
    if not 0 < value <= 1e6:
        raise BadInput("%r is no positive number" % (raw,), "%s.%s" % (where, given[0]))
    return value / 100 if given[0] == "percent" else value


def cpus_of(quota: str) -> int:
    """CPUs that a service may use: those of this host, cut to its CPUQuota (`2s` a second; `infinity` is none)."""
    seconds = systemd_span(quota)
    here = len(os.sched_getaffinity(0))
    return here if seconds is None else max(1, min(here, int(seconds)))


def memory_of(maximum: str) -> int:
    """Bytes of memory that a service may use: those of this host, or of its container, cut to its MemoryMax."""
    with open(MEMINFO) as stream:
        total = next(int(line.split()[1]) * 1024 for line in stream if line.startswith("MemTotal:"))
    for path in CGROUPS:
        try:
            with open(path) as stream:
                total = _least(total, stream.read().strip())
        except OSError:
            continue
    return _least(total, maximum)


def _least(total: int, text: str) -> int:
    return min(total, int(text)) if text.isdigit() and int(text) else total
