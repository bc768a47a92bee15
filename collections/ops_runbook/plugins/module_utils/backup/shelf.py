# SPDX-License-Identifier: BSD-2-Clause
"""Where the backups of one store lie: `<root>/<system>/<store>/<UTC time>/`, and how one comes to be there.

A backup grows in `.partial-<UTC time>-<run>`, is synced, and gets its name by one rename: what has a name is whole.
What a killed run left is taken away by the next one. Folders are 0700, files 0600.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import contextmanager

from ..digest import sha256
from ..errors import BadInput, OpsError, Refused
from ..files import ensure_directory, os_error, sync_directory
from . import chain, manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Iterator, Sequence

NAMED = re.compile(r"\d{8}T\d{6}Z\Z")
PARTIAL = ".partial-"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}\Z")
_SYNCED = 64 * 1048576
"""Bytes after which what was written goes to the disk, so that the end does not wait for all of it."""


def named(epoch: float) -> str:
    """The name of a backup that began then."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch))


def taken_at(name: str) -> float:
    """Epoch seconds of a backup's name."""
    import calendar

    return float(calendar.timegm(time.strptime(name, "%Y%m%dT%H%M%SZ")))


class Shelf:
    """The backups of one store of one system."""

    def __init__(self, root: str, system: str, store: str) -> None:
        for what, text in (("system", system), ("store", store)):
            if not _PLAIN.match(text):
                raise BadInput("%r is no name" % text, what, "Use letters, digits, '_', '.', '@' and '-'.")
        if not os.path.isabs(root):
            raise BadInput("%r is no full path" % root, "root")
        self.path = os.path.join(os.path.normpath(root), system, store)

    def names(self) -> list[str]:
        """Names of the backups that lie here, oldest first."""
        try:
            return sorted(name for name in os.listdir(self.path) if NAMED.match(name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise os_error(error, self.path) from None

    def folder(self, name: str) -> str:
        """The folder of a backup; `latest` is the youngest.

        Raises:
            BadInput: There is none of this name.
        """
        names = self.names()
        if name == "latest" and names:
            return os.path.join(self.path, names[-1])
        if name in names:
            return os.path.join(self.path, name)
        known = "There are %s" % ", ".join(names[-5:]) if names else "There is none yet: take one"
        raise BadInput("there is no backup %s" % name, self.path, known)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only one that writes here.

        Raises:
            Refused: Another process does.
        """
        import fcntl

        ensure_directory(self.path)
        held = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(
                    "another run writes here", self.path, "Wait for its end, or see who it is: fuser -v %s" % self.path
                ) from None
            yield
        finally:
            os.close(held)

    def sweep(self) -> list[str]:
        """Take away what killed runs left; under the lock. Returns the names."""
        left = [name for name in os.listdir(self.path) if name.startswith(PARTIAL)]
        for name in left:
            shutil.rmtree(os.path.join(self.path, name))
        return left

    def demand_room(self, wanted: int, keep: int) -> None:
        """Refuse a backup that the filesystem cannot take.

        Args:
            wanted: Bytes that it may need.
            keep: Bytes that must stay free.
        """
        room = os.statvfs(self.path)
        free = room.f_bavail * room.f_frsize
        if free < wanted + keep:
            raise Refused(
                "has %d bytes free; the backup may need %d, and %d must stay free" % (free, wanted, keep),
                self.path,
                "Prune old backups (playbooks/prune_backups.yml) or give another root",
            )

    @contextmanager
    def staging(self, began: float, run_id: str) -> Iterator[Staging]:
        """A folder in which a backup grows; gone unless `commit` was called. Under the lock."""
        name = named(began)
        if os.path.lexists(os.path.join(self.path, name)):
            raise Refused("a backup of this second lies there", os.path.join(self.path, name), "Try again.")
        safe = re.sub(r"[^\w.-]", "_", run_id)[:60]
        staging = Staging(self.path, "%s%s-%s" % (PARTIAL, name, safe), name)
        os.mkdir(staging.path, 0o700)
        try:
            yield staging
        finally:
            if not staging.committed:
                shutil.rmtree(staging.path, ignore_errors=True)


class Staging:
    """A backup that is growing."""

    def __init__(self, shelf: str, partial: str, name: str) -> None:
        self.shelf, self.name = shelf, name
        self.path, self.final = os.path.join(shelf, partial), os.path.join(shelf, name)
        self.files: list[dict[str, Any]] = []
        self.committed = False

    def stream(self, name: str, stages: Sequence[chain.Stage], patience: chain.Patience) -> chain.Outcome:
        """Run a row of processes into a file, which is synced and listed with its size and SHA-256."""
        path = os.path.join(self.path, name)
        digest, fresh = sha256(), [0]
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(file, "wb", buffering=0) as stream:

            def take(block: bytes) -> None:
                digest.update(block)
                _write(stream, block, path)
                fresh[0] += len(block)
                if fresh[0] >= _SYNCED:
                    os.fdatasync(stream.fileno())
                    fresh[0] = 0

            outcome = chain.run(stages, take, patience)
            os.fsync(stream.fileno())
        if not outcome.bytes:
            raise OpsError("wrote nothing", stages[-1].name, "A backup of nothing does not count")
        self.files.append({"name": name, "bytes": outcome.bytes, "sha256": digest.hexdigest()})
        return outcome

    def commit(self, said: dict[str, Any]) -> str:
        """Write the manifest, make everything durable, and give the backup its name; returns the manifest's SHA-256."""
        whole = dict(said, schema=manifest.SCHEMA, files=self.files, bytes=sum(file["bytes"] for file in self.files))
        digest = manifest.write(self.path, whole)
        sync_directory(self.path)
        os.rename(self.path, self.final)
        self.committed = True
        sync_directory(self.shelf)
        return digest


def _write(stream: BinaryIO, block: bytes, path: str) -> None:
    view = memoryview(block)
    try:
        while view:
            view = view[stream.write(view) or 0 :]
    except OSError as error:
        raise os_error(error, path) from None
