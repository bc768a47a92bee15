# SPDX-License-Identifier: BSD-2-Clause
"""Reading /proc: small functions that raise GONE when the process ended, and PermissionError when it is not ours."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import FileStat, Host

GONE = (FileNotFoundError, ProcessLookupError)
HERTZ = 100.0  # USER_HZ, the unit of times in /proc/PID/stat, is 100 on every architecture that systemd runs on


def text(host: Host, pid: int, name: str, limit: int = 65536) -> str:
    """A file below /proc/PID."""
    return host.read("/proc/%d/%s" % (pid, name), limit=limit).decode("utf-8", "backslashreplace")


def pids(host: Host) -> list[int]:
    """Every process that this user can see."""
    return sorted(int(name) for name in host.listdir("/proc") if name.isdigit())


def command(host: Host, pid: int) -> str:
    """The process's name as the kernel keeps it: at most 15 characters."""
    return text(host, pid, "comm").strip()


def owner(host: Host, pid: int) -> str:
    """The user that the process runs as."""
    return host.stat("/proc/%d" % pid).owner


def unit(host: Host, pid: int) -> str | None:
    """The systemd unit that the process runs in, from its control group."""
    found = None
    for line in text(host, pid, "cgroup").splitlines():
        for part in line.split(":", 2)[-1].split("/"):
            if part.endswith((".service", ".scope")):
                found = part
    return found


class Vitals:
    """state (a letter), cpu (seconds used so far), threads, started (seconds after boot) from /proc/PID/stat."""

    def __init__(self, stat: str) -> None:
        fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
        self.state = fields[0]
        self.cpu = (int(fields[11]) + int(fields[12])) / HERTZ
        self.threads = int(fields[17])
        self.started = int(fields[19]) / HERTZ


def vitals(host: Host, pid: int) -> Vitals:
    """How the process is now."""
    return Vitals(text(host, pid, "stat"))


def is_runnable(host: Host, pid: int, most: int = 200) -> bool:
    """Whether one of its threads runs, or would if a processor were free; of very many, the first are looked at."""
    try:
        threads = host.listdir("/proc/%d/task" % pid)
    except GONE:
        return False
    for name in threads[:most]:
        try:
            if Vitals(text(host, pid, "task/%s/stat" % name)).state == "R":
                return True
        except GONE:
            continue
    return False


def rss(host: Host, pid: int) -> int | None:
    """Resident memory in bytes; None for a zombie or a kernel thread."""
    for line in text(host, pid, "status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return None


def boot_time(host: Host) -> float:
    """When the machine started, in epoch seconds."""
    return host.now() - float(host.read("/proc/uptime", limit=100).split()[0])


def descriptors(host: Host, pid: int) -> dict[str, str]:
    """Open descriptors of the process: path below /proc -> what it points at."""
    folder = "/proc/%d/fd" % pid
    found = {}
    for name in host.listdir(folder):
        try:
            found[folder + "/" + name] = host.readlink(folder + "/" + name)
        except GONE:
            continue
    return found


def opened(host: Host, path: str) -> FileStat | None:
    """The file behind a descriptor of /proc/PID/fd; None when it was closed meanwhile."""
    try:
        return host.stat(path)
    except GONE:
        return None


def handles(status: str, number: int) -> bool:
    """Whether a process has a handler for a signal, by its /proc/PID/status; without one the signal would end it.

    One that waits for it (sigwait) looks just like one that it would end, so that it has to be told by a reload.
    """
    mask = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(mask, 16) >> (number - 1) & 1)
