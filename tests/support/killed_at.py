#!/usr/bin/python3 -ISB
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command and kills it with SIGKILL at the nth moment at which the disk has changed.

killed_at.py WHEN WHO WATCHED COMMAND...

Every system call of the command and of its children is waited for (ptrace). A moment is: names, inodes or sizes below
WATCHED (folders and files, joined by `:`) are not what they were a call before, or a child begins or ends a program.
A kill between two moments would leave the same disk, so that these are all there are. WHO is `all`, or `first`: then
children go on as orphans. `hold:FILE` kills nobody: all of it stands still at that moment until there is such a file,
and meanwhile there is FILE.held. A path that ends with `!` is watched without its size, because somebody else writes
into it, and a folder without what is in it.

A program whose command line contains one of the words of $KILLED_AT_LOOKS (joined by `:`) only looks, as often as it
takes: neither its beginning nor its end is a moment.

Its last line is one JSON document: moments (up to the kill, in words), killed, and code (None where it was killed).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

TRACEME, SYSCALL, DETACH, SETOPTIONS = 0, 24, 17, 0x4200
SYSGOOD, FORK, VFORK, CLONE, EXEC, EXITKILL = 1, 2, 4, 8, 16, 1 << 20
OPTIONS = SYSGOOD | FORK | VFORK | CLONE | EXEC | EXITKILL
EVENT_EXEC = 4
ALL_KINDS = 0x40000000  # __WALL
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request: int, pid: int, data: int = 0) -> None:
    """The system call; a process that is gone by now is seen by waitpid."""
    LIBC.ptrace(request, pid, None, data)


def start(argv: list[str]) -> int:
    """A child that is traced, before its first call."""
    pid = os.fork()
    if pid == 0:
        ptrace(TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        os.execvp(argv[0], argv)  # noqa: S606 - traced from its first call on
    os.waitpid(pid, 0)
    ptrace(SETOPTIONS, pid, OPTIONS)
    return pid


def look(watched: list[str]) -> dict[str, object]:
    """What is there: path -> (inode, size, mode, owner)."""
    found: dict[str, object] = {}
    alone = {path[:-1] for path in watched if path.endswith("!")}
    todo = [path.rstrip("!") for path in watched]
    while todo:
        path = todo.pop()
        try:
            seen = os.lstat(path)
            folder = seen.st_mode & 0o170000 == 0o040000
            if folder and path not in alone:
                todo += [each.path for each in os.scandir(path)]
        except OSError:
            continue
        size = None if folder or path in alone else (seen.st_size, seen.st_mtime_ns)
        found[path] = (seen.st_ino, seen.st_nlink, size, seen.st_mode, seen.st_uid, seen.st_gid)
    return found


def difference(before: dict[str, object], after: dict[str, object]) -> str:
    """In words."""
    said = ["+" + path for path in after.keys() - before.keys()]
    said += ["-" + path for path in before.keys() - after.keys()]
    said += ["~" + path for path in after.keys() & before.keys() if after[path] != before[path]]
    return " ".join(sorted(said))


class Run:
    """A command under way."""

    def __init__(self, when: int, who: str, watched: list[str], argv: list[str]) -> None:
        self.when, self.who, self.watched = when, who, watched
        self.moments: list[str] = []
        self.seen = look(watched)
        self.first = start(argv)
        self.alive = {self.first}
        self.inside: set[int] = set()  # between the entry and the exit of a call
        self.looks = [word for word in os.environ.get("KILLED_AT_LOOKS", "").split(":") if word]
        self.looking: set[int] = set()
        self.killed, self.code = False, 0

    def go(self) -> None:
        """Until all of it has ended."""
        ptrace(SYSCALL, self.first)
        while self.alive:
            try:
                pid, status = os.waitpid(-1, ALL_KINDS)
            except ChildProcessError:
                return
            if os.WIFSTOPPED(status):
                self.stopped(pid, status)
            else:
                self.ended(pid, status)

    def ended(self, pid: int, status: int) -> None:
        """One of the processes is no more."""
        self.alive.discard(pid)
        if pid == self.first:
            self.code = os.waitstatus_to_exitcode(status)
        elif not self.killed and pid not in self.looking:
            self.moment("end")

    def stopped(self, pid: int, status: int) -> None:
        """At a system call, at an event, or because of a signal, which is passed on."""
        new = pid not in self.alive
        self.alive.add(pid)
        number, event = os.WSTOPSIG(status), status >> 16
        if number == signal.SIGTRAP | 0x80:
            self.inside ^= {pid}
            if pid not in self.inside:
                self.compare()
        elif event == EVENT_EXEC:
            self.began(pid, " ".join(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").split()))
        if self.killed:
            if self.who == "first" and pid != self.first:
                ptrace(DETACH, pid)
                self.alive.discard(pid)
            return
        quiet = event or number == signal.SIGTRAP | 0x80 or (new and number == signal.SIGSTOP)
        ptrace(SYSCALL, pid, 0 if quiet else number)

    def began(self, pid: int, command: str) -> None:
        """A process is another program now."""
        if any(word in command for word in self.looks):
            self.looking.add(pid)
        else:
            self.moment(f"exec {command}"[:65])

    def compare(self) -> None:
        """Whether the disk is another one."""
        now = look(self.watched)
        if now != self.seen:
            self.moment(difference(self.seen, now))
            self.seen = now

    def moment(self, what: str) -> None:
        """Kill, if it is the one."""
        self.moments.append(what)
        if len(self.moments) == self.when and not self.killed:
            if self.who.startswith("hold:"):
                hold(Path(self.who[5:]))
                return
            self.killed = True
            for pid in [self.first] if self.who == "first" else list(self.alive):
                os.kill(pid, signal.SIGKILL)


def hold(file: Path) -> None:
    """Wait for the file; who is traced goes no further meanwhile."""
    held = file.with_name(f"{file.name}.held")
    held.touch()
    while not file.exists():
        time.sleep(0.02)
    held.unlink()


def main() -> None:
    """See above."""
    when, who, watched, *argv = sys.argv[1:]
    run = Run(int(when), who, watched.split(":"), argv)
    run.go()
    found = {"moments": run.moments, "killed": run.killed, "code": None if run.killed else run.code}
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
