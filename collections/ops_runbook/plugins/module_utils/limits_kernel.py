# SPDX-License-Identifier: BSD-2-Clause
"""Resource limits as the kernel has them: their names everywhere, what a process has, what may be set."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Tuple, Union

    Limits = Dict[str, Tuple[int, int]]  # item -> (soft, hard) in the kernel's own units

NR_OPEN = "/proc/sys/fs/nr_open"
INFINITY = (1 << 64) - 1  # RLIM64_INFINITY: larger than any limit, so that numbers compare
LARGEST = (1 << 63) - 1  # more is not expressible everywhere
# item of limits.conf(5) -> directive of systemd.exec(5), line of /proc/PID/limits, kernel units in one of limits.conf's
ITEMS = {
    "as": ("LimitAS", "Max address space", 1024),
    "core": ("LimitCORE", "Max core file size", 1024),
    "cpu": ("LimitCPU", "Max cpu time", 60),
    "data": ("LimitDATA", "Max data size", 1024),
    "fsize": ("LimitFSIZE", "Max file size", 1024),
    "locks": ("LimitLOCKS", "Max file locks", 1),
    "memlock": ("LimitMEMLOCK", "Max locked memory", 1024),
    "msgqueue": ("LimitMSGQUEUE", "Max msgqueue size", 1),
    "nice": ("LimitNICE", "Max nice priority", 1),
    "nofile": ("LimitNOFILE", "Max open files", 1),
    "nproc": ("LimitNPROC", "Max processes", 1),
    "rss": ("LimitRSS", "Max resident set", 1024),
    "rtprio": ("LimitRTPRIO", "Max realtime priority", 1),
    "rttime": ("LimitRTTIME", "Max realtime timeout", 1),
    "sigpending": ("LimitSIGPENDING", "Max pending signals", 1),
    "stack": ("LimitSTACK", "Max stack size", 1024),
}
# Zero of these leaves no process that could do anything: with pam_limits, nobody logs in any more.
NEVER_ZERO = frozenset(("as", "cpu", "data", "fsize", "nofile", "nproc", "stack"))
_LABELS = {label: item for item, (_directive, label, _factor) in ITEMS.items()}


def parse_limits(text: str) -> Limits:
    """The limits in the text of /proc/PID/limits."""
    found = {}
    for line in text.splitlines()[1:]:
        item = _LABELS.get(line[:26].rstrip())
        if item:
            soft, hard = (INFINITY if word == "unlimited" else int(word) for word in line[26:].split()[:2])
            found[item] = (soft, hard)
    return found


def limits_of(pid: Union[int, str]) -> Limits:
    """The limits of a process.

    Raises:
        OSError: It has ended, or may not be looked at.
    """
    with open("/proc/%s/limits" % pid) as stream:
        return parse_limits(stream.read())


def nr_open() -> int:
    """The most descriptors that any process may have, whatever its limits say."""
    with open(NR_OPEN) as stream:
        return int(stream.read())


def refusals(wanted: dict[str, tuple[str, int, int]], others: Limits | None = None) -> dict[str, str]:
    """Which of wanted the kernel would not take, and why.

    Args:
        wanted: Any name -> (item, soft, hard), to be set by somebody with this session's rights.
        others: What somebody else has who will set them, such as PID 1: nothing up to that is refused.
    """
    import resource

    found, raised = {}, {}
    for name, (item, soft, hard) in wanted.items():
        number = getattr(resource, "RLIMIT_" + item.upper(), None)
        if item == "nofile" and max(soft, hard) > nr_open():
            found[name] = "it is above fs.nr_open (%d): the kernel refuses it to everybody" % nr_open()
        elif number is not None:
            own = resource.getrlimit(number)[1]
            has = max(INFINITY if own < 0 else own, others[item][1] if others and item in others else 0)
            if hard > has:
                raised[name] = (number, hard, has)
    for name in _not_taken(raised):
        why = "this session may not raise it above %d: it lacks CAP_SYS_RESOURCE, as in a container"
        found[name] = why % raised[name][2]
    return found


def _not_taken(raised: dict[str, tuple[int, int, int]]) -> list[str]:
    """The names whose hard limit a child of ours cannot raise; it ends at once, so nothing stays of the trial."""
    if not raised:
        return []
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, b"".join(b"1" if _may(number, hard) else b"0" for number, hard, _has in raised.values()))
        finally:
            os._exit(0)
    os.close(writer)
    said = os.read(reader, 4096)
    os.close(reader)
    os.waitpid(child, 0)
    return [name for place, name in enumerate(raised) if said[place : place + 1] != b"1"]


def _may(number: int, hard: int) -> bool:
    import resource

    try:
        resource.setrlimit(number, (resource.getrlimit(number)[0], -1 if hard == INFINITY else hard))
    except (OSError, ValueError):
        return False
    return True
