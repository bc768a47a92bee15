# SPDX-License-Identifier: BSD-2-Clause
"""Processes in a row, each reading what the one before writes; every exit code counts.

A shell's pipe tells the last exit code alone, so a dump that broke off looks like a backup. Here the data never pass
through this program except at the end of the row, and nothing is kept in memory but the last lines of what each says.
"""

from __future__ import annotations

import os
import time

from ..errors import BadInput, OpsError
from ..redact import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any, Callable, Mapping, Sequence

BLOCK = 1048576
SAID = 8192
"""Bytes that are kept of what a process says on stderr: the end of it."""
HIDDEN = "@hidden"
LOST_READER = (-13, 141)
"""SIGPIPE, as it is seen of a process and behind a shell."""
TICK = 0.5
PACKAGES = {
    "zstd": "zstd",
    "tar": "tar",
    "pg_dump": "postgresql-client",
    "pg_restore": "postgresql-client",
    "psql": "postgresql-client",
    "mongodump": "mongodb-database-tools",
    "mongorestore": "mongodb-database-tools",
    "restic": "restic",
}


class Stage:
    """One process of a row.

    Args:
        argv: The command. No secret is ever in it.
        env: What is added to the environment.
        calm: Exit codes other than 0 that are no failure, such as those of a tool that warns by its code.
        name: What people know it by, where another program starts it.
        secret: What it reads from a file that has no name: the word HIDDEN in argv becomes that file's path. Nobody
            else can read it, and nothing is left of it.
    """

    __slots__ = ("argv", "calm", "env", "name", "secret")

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        calm: Sequence[int] = (),
        name: str = "",
        secret: bytes = b"",
    ) -> None:
        self.argv, self.env, self.calm, self.secret = list(argv), dict(env or {}), tuple(calm), secret
        self.name = name or os.path.basename(self.argv[0])


class Patience:
    """How long a row may take, and who hears of it.

    Args:
        limit: Seconds after which it is ended.
        idle: Seconds without a byte from any of its processes after which it counts as hung.
        tell: Called about twice a second with the bytes so far and the seconds spent.
    """

    __slots__ = ("idle", "limit", "tell")

    def __init__(self, limit: float, idle: float, tell: Callable[[int, float], object] | None = None) -> None:
        self.limit, self.idle, self.tell = limit, idle, tell


class Outcome:
    """What a row came to: bytes (that the last process wrote), seconds, said (the end of each one's stderr), codes."""

    __slots__ = ("bytes", "codes", "said", "seconds")

    def __init__(self, size: int, seconds: float, said: list[str], codes: list[int]) -> None:
        self.bytes, self.seconds, self.said, self.codes = size, seconds, said, codes


def _hidden(data: bytes) -> int:
    """An open file in memory that only who inherits it can read."""
    file = os.memfd_create("ops-runbook")
    os.write(file, data)
    os.lseek(file, 0, os.SEEK_SET)
    return file


def find(tool: str) -> str:
    """The full path of a tool.

    Raises:
        OpsError: It is not installed; says which package has it.
    """
    import shutil

    found = shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    if found:
        return found
    raise OpsError("is not installed", tool, "Install package %s on this host" % PACKAGES.get(tool, tool))


def run(
    stages: Sequence[Stage], sink: Callable[[bytes], object], patience: Patience, source: int | None = None
) -> Outcome:
    """Run the row and hand what the last process writes to sink, block by block.

    Args:
        stages: The processes, first to last.
        sink: Takes each block; what it raises ends the row.
        patience: How long it may take.
        source: A file descriptor that the first one reads; nothing by default.

    Raises:
        OpsError: A process could not be started, failed or was ended; none is left running.
    """
    if not stages:
        raise BadInput("names no process", "stages")
    row = _Row(stages, source)
    try:
        row.pump(sink, patience)
        return row.outcome(patience.limit)
    finally:
        row.end()


class _Row:
    """The processes under way."""

    def __init__(self, stages: Sequence[Stage], source: int | None) -> None:
        self.began = time.monotonic()
        self.stages, self.size = list(stages), 0
        self.tails: list[bytes] = [b""] * len(self.stages)
        self.children: list[subprocess.Popen[bytes]] = []
        try:
            self._start(source)
        except BaseException:
            self.end()
            raise

    def _start(self, source: int | None) -> None:
        import subprocess

        feed: Any = subprocess.DEVNULL if source is None else source
        for stage in self.stages:
            env = dict(os.environ, LC_ALL="C.UTF-8", **stage.env)
            secret = _hidden(stage.secret) if stage.secret else None
            kept = () if secret is None else (secret,)
            try:
                child = subprocess.Popen(
                    [word.replace(HIDDEN, "/proc/self/fd/%s" % secret) for word in stage.argv],
                    pass_fds=kept,
                    stdin=feed,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=env,
                    start_new_session=True,
                )
            except OSError as error:
                raise OpsError("could not be started: %s" % error.strerror, stage.name) from None
            finally:
                for file in kept:
                    os.close(file)
            if self.children and self.children[-1].stdout:
                self.children[-1].stdout.close()  # else the one before would not learn that its reader has gone
            self.children.append(child)
            feed = child.stdout

    def pump(self, sink: Callable[[bytes], object], patience: Patience) -> None:
        """Read all that they write until each has closed its end."""
        import selectors

        heard = self.began
        with selectors.DefaultSelector() as waiting:
            for number, child in enumerate(self.children):
                waiting.register(child.stderr, selectors.EVENT_READ, number)  # type: ignore[arg-type]
            waiting.register(self.children[-1].stdout, selectors.EVENT_READ, None)  # type: ignore[arg-type]
            while waiting.get_map():
                ready = waiting.select(TICK)
                now = time.monotonic()
                for key, _events in ready:
                    block = os.read(key.fd, BLOCK)
                    heard = now
                    if not block:
                        waiting.unregister(key.fileobj)
                    elif key.data is None:
                        self.size += len(block)
                        sink(block)
                    else:
                        self.tails[key.data] = (self.tails[key.data] + block)[-SAID:]
                if patience.tell:
                    patience.tell(self.size, now - self.began)
                if now - self.began > patience.limit:
                    what = "did not end within %g s and was ended" % patience.limit
                    raise OpsError(what, self._at_work(), "Give it more time: timeout")
                if now - heard > patience.idle:
                    said = self._last(0)
                    what = "wrote nothing for %g s and was ended%s" % (patience.idle, ": " + said if said else "")
                    raise OpsError(what, self._at_work(), "See whether what it reads answers")

    def _at_work(self) -> str:
        names = [self.stages[at].name for at, child in enumerate(self.children) if child.poll() is None]
        return ", ".join(names or [self.stages[0].name])

    def outcome(self, limit: float) -> Outcome:
        """What it came to, once all have ended.

        Raises:
            OpsError: At least one failed. All of those are told, but for who only lost the reader.
        """
        import subprocess

        codes = []
        for at, child in enumerate(self.children):
            try:
                codes.append(child.wait(max(1.0, limit - (time.monotonic() - self.began))))
            except subprocess.TimeoutExpired:
                raise OpsError("closed its output, but does not end", self.stages[at].name) from None
        bad = [at for at, code in enumerate(codes) if code and code not in self.stages[at].calm]
        if bad:
            by_itself = [at for at in bad if codes[at] not in LOST_READER] or bad
            raise OpsError("; ".join(self._failure(at, codes[at]) for at in by_itself))
        said = [redact(tail.decode("utf-8", "backslashreplace")) for tail in self.tails]
        return Outcome(self.size, time.monotonic() - self.began, said, codes)

    def _failure(self, at: int, code: int) -> str:
        how = "was ended by signal %d" % -code if code < 0 else "failed with exit code %d" % code
        said = self._last(at)
        return "%s %s%s" % (self.stages[at].name, how, ": " + said if said else "")

    def _last(self, at: int) -> str:
        """The end of what one said, on one line and without secrets."""
        lines = self.tails[at].decode("utf-8", "backslashreplace").strip().splitlines()
        return redact(" / ".join(line.strip() for line in lines[-3:]))

    def end(self) -> None:
        """End those that still run, with their children, and close what was open."""
        import signal

        for child in self.children:
            if child.poll() is None:
                try:
                    os.killpg(child.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for child in self.children:
            child.wait()
            for stream in (child.stdout, child.stderr):
                if stream:
                    stream.close()
