#!/usr/bin/python3 -ISB
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that writes numbered lines into a log, so that a reader can tell whether one of them is lost.

sequence_writer.py NAME HOW RATE UNTIL LOG STATE

A line is `NAME NUMBER CHECKSUM`. RATE is lines per second, UNTIL the end in seconds of the boot clock. HOW is

reopen  opens its log anew on SIGHUP
never   keeps its descriptor for ever
seek    the same, and without O_APPEND: it writes where it wrote last
crash   like reopen, and dies at a random moment within half a second, by a signal that it does not handle

A line is acknowledged when write() has taken all its bytes. STATE has the number that was begun last, the one that was
acknowledged last, and how many times the disk was full; STATE.unsure the numbers begun by a process that then died:
these may be in the log or not, and are never written again. A full disk is waited for. What write() took of a line
before it was full is completed in the same file; what a dead process left of one is ended by a newline.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import socket
import sys
import time
import zlib

PAUSE = 0.002  # seconds between bursts
FULL_PAUSE = 0.02  # seconds until a full disk is tried again


class State:
    """Numbers that survive the process; one write each, which no signal cuts in two."""

    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        found = os.pread(self.file, 100, 0).split()
        self.begun, self.acknowledged, self.full = map(int, found) if found else (0, 0, 0)
        self.broken_off = self.begun != self.acknowledged
        if self.broken_off:
            unsure = os.open(f"{path}.unsure", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(unsure, f"{self.begun}\n".encode())
            os.close(unsure)
            self.acknowledged = self.begun

    def write(self) -> None:
        """Keep them."""
        os.pwrite(self.file, f"{self.begun:019d} {self.acknowledged:019d} {self.full:019d}\n".encode(), 0)


class Writer:
    """One log, open."""

    def __init__(self, name: str, how: str, until: float, log: str, state: State) -> None:
        self.name, self.until, self.log, self.state = name, until, log, state
        self.flags = os.O_WRONLY | os.O_CREAT | (0 if how == "seek" else os.O_APPEND)
        self.asked = False
        self.file = os.open(log, self.flags, 0o640)
        if how in ("reopen", "crash"):
            signal.signal(signal.SIGHUP, lambda *_: setattr(self, "asked", True))
        else:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if state.broken_off:
            self.put(b"\n")

    def line(self) -> None:
        """Write the next line, and acknowledge it."""
        self.state.begun += 1
        self.state.write()
        text = f"{self.name} {self.state.begun}"
        self.put(f"{text} {zlib.crc32(text.encode()):08x}\n".encode())
        self.state.acknowledged = self.state.begun
        self.state.write()

    def put(self, data: bytes) -> None:
        """All of data into the log; a line is never begun in one file and ended in another."""
        done = 0
        while done < len(data):
            if self.asked and not done:
                self.reopen()
            try:
                done += os.write(self.file, data[done:])
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                self.wait()

    def wait(self) -> None:
        """The disk is full."""
        self.state.full += 1
        self.state.write()
        if time.clock_gettime(time.CLOCK_BOOTTIME) > self.until:
            sys.exit(0)  # the line stays unsure
        time.sleep(FULL_PAUSE)

    def reopen(self) -> None:
        """Write into what has the log's name now; where that cannot be opened, go on with the old file."""
        with contextlib.suppress(OSError):
            file = os.open(self.log, self.flags, 0o640)
            os.close(self.file)
            self.file, self.asked = file, False


def say_ready() -> None:
    """Tell systemd: from now on SIGHUP has a handler."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))


def main() -> None:
    """Write until the time is over, or SIGTERM comes."""
    name, how, rate, until, log, state = sys.argv[1:]
    writer = Writer(name, how, float(until), log, State(state))
    signal.signal(signal.SIGTERM, lambda *_: setattr(writer, "until", 0))
    say_ready()
    if how == "crash":
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.01, 0.5))  # noqa: S311 - no secret
    began, written = time.monotonic(), 0
    while time.clock_gettime(time.CLOCK_BOOTTIME) < writer.until:
        while writer.until and written < (time.monotonic() - began) * float(rate):
            writer.line()
            written += 1
        if writer.asked:
            writer.reopen()
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
