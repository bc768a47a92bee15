# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command and account for all that it costs this machine, processes that outlive it included.

This process becomes the reaper of its orphans (PR_SET_CHILD_SUBREAPER), so whatever a command leaves behind, such as
the master of a shared ssh connection, stays below it: what has ended is in RUSAGE_CHILDREN, what lives is in /proc. CPU
of a command is the difference of that sum, so work that a master does for a later command is counted there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import threading
import time
import typing as t
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
SHARE = 0.03  # of one core, at most, goes into looking at memory


class Cost(t.NamedTuple):
    """What a command took: seconds of wall clock and CPU (user and system), peak memory in bytes, exit code.

    code is None when it was ended because it ran longer than it may. busy is what the whole machine spent meanwhile.
    """

    wall: float
    cpu: float
    busy: float
    memory: int
    code: int | None


@contextlib.contextmanager
def adopting_orphans() -> t.Iterator[None]:
    """Be the parent of whatever commands leave behind, for a while: what starts the hosts must not be among them."""
    _be_reaper(True)
    try:
        yield
    finally:
        end_all()
        _be_reaper(False)


def _be_reaper(on: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


class Family:
    """The living descendants of this process. Strangers are remembered: /proc holds every process of the hosts."""

    def __init__(self) -> None:
        self.strangers: set[int] = set()

    def pids(self) -> list[int]:
        """Process ids of all living descendants, zombies included."""
        everybody = {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - a hundred times a run
        self.strangers &= everybody
        parents = {pid: _parent(pid) for pid in everybody - self.strangers}
        mine = {os.getpid()}
        while found := {pid for pid, parent in parents.items() if parent in mine} - mine:
            mine |= found
        # One that was just forked may have a parent that this look has missed: it is looked at again.
        known = {0, *parents, *self.strangers}
        self.strangers |= {pid for pid, parent in parents.items() if pid not in mine and parent in known}
        return sorted(mine - {os.getpid()})

    def memory(self) -> int:
        """Bytes: the sum of proportional set sizes, so that pages shared after a fork count once."""
        return sum(_pss(pid) for pid in self.pids())


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; [] when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _cpu(pid: int) -> float:
    fields = _stat(pid)
    if not fields:
        return 0.0
    ticks = sum(int(field) for field in fields[11:15])
    with contextlib.suppress(OSError, ValueError):
        if fields[17] == "1":  # one thread: the scheduler knows it finer than in ticks of 10 ms
            own = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
            return own + sum(int(field) for field in fields[13:15]) / TICKS
    return ticks / TICKS


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _busy() -> float:
    """Seconds that all cores of this machine have worked since boot: user, nice, system, irq, softirq, steal."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(int(fields[index]) for index in (0, 1, 2, 5, 6, 7)) / TICKS


def _spent() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime + sum(_cpu(pid) for pid in Family().pids())


def run(argv: list[str], log: Path, timeout: float, env: dict[str, str], cwd: Path) -> Cost:
    """Run a command, its output in log; see Cost. To be called while adopting orphans, by one thread."""
    before, busy = _spent(), _busy()
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd
        )
        with _watch() as watch, _deadline(timeout, process.pid) as expired:
            process.returncode = _reap_until(process.pid)
            wall = time.perf_counter() - started
    code = None if expired.is_set() else process.returncode
    return Cost(wall, _spent() - before, _busy() - busy, max(watch), code)


def _reap_until(wanted: int) -> int:
    """Wait for all children as they end, until it is that one; returns its exit code."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == wanted:
            return os.waitstatus_to_exitcode(status)


@contextlib.contextmanager
def _watch() -> t.Iterator[list[int]]:
    """Sums of memory in bytes, looked at as often as SHARE allows."""
    family, seen, done = Family(), [0], threading.Event()

    def look() -> None:
        pause = 0.05
        while not done.wait(pause):
            began = time.thread_time()
            seen.append(family.memory())
            pause = max(0.05, (time.thread_time() - began) / SHARE)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def _deadline(seconds: float, pid: int) -> t.Iterator[threading.Event]:
    """Interrupt the process when the time is over, and end it ten seconds later."""
    expired, done = threading.Event(), threading.Event()

    def end() -> None:
        if done.wait(seconds):
            return
        expired.set()
        os.kill(pid, signal.SIGINT)
        if not done.wait(10):
            os.kill(pid, signal.SIGKILL)

    timer = threading.Thread(target=end)
    timer.start()
    try:
        yield expired
    finally:
        done.set()
        timer.join()


def end_all() -> None:
    """End every descendant of this process, and wait for it."""
    while living := descendants():
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def descendants() -> list[int]:
    """Process ids of all that live below this process, after orphans that have ended were waited for."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return Family().pids()
