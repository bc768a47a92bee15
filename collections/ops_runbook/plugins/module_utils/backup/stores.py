# SPDX-License-Identifier: BSD-2-Clause
"""The kinds of store: one file each, chosen by name; and what a restore of each into a scratch place comes to."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager

from ..errors import BadInput, OpsError
from ..files import ensure_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from ..host import Host
    from . import Store
    from .chain import Patience

    Json = dict[str, Any]

KINDS = ("files", "mongodb", "postgresql")


def store(host: Host, kind: str, options: Json, patience: Patience) -> Store:
    """The store of a kind."""
    if kind == "files":
        from .files import Files

        return Files(host, options, patience)
    if kind == "mongodb":
        from .mongodb import MongoDB

        here = dict(options, address=options["address"] or "127.0.0.1", port=options["port"] or 27017)
        return MongoDB(host, here, patience)
    if kind == "postgresql":
        from .postgresql import PostgreSQL

        return PostgreSQL(host, options, patience)
    raise BadInput("%r is no kind of store" % kind, "kind", "Known are %s" % ", ".join(KINDS))


def needs(kind: str) -> list[str]:
    """The modules of a kind, for a call that travels."""
    more = {"mongodb": ["backup.mongodb_archive", "mongowire", "bson", "mongoscram", "collectors._credentials"]}
    return ["backup.files", "backup." + kind, *more.get(kind, [])]


@contextmanager
def scratch_folder(root: str) -> Iterator[str]:
    """An empty folder for a moment; what killed runs left is taken away first, what is in use is left alone.

    A folder is in use while its maker lives: it holds a lock on it, which the kernel drops.
    """
    import fcntl
    import tempfile

    ensure_directory(root, 0o711)  # a server's own account goes through it
    for name in os.listdir(root):
        path = os.path.join(root, name)
        left = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(left)
    path = tempfile.mkdtemp(prefix="scratch-", dir=root)
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(held)


@contextmanager
def restored(host: Host, folder: str, manifest: Json, options: Json, patience: Patience) -> Iterator[Restored]:
    """A backup, restored into a scratch place of its own: {scratch} of options is its root.

    Raises:
        OpsError: It could not be restored, or there is no server for it on this host.
    """
    with scratch_folder(options["scratch"]) as scratch:
        kind, source = manifest["kind"], manifest["source"]
        if kind == "files":
            from . import files

            files.extract(folder, scratch, patience)
            yield Restored(files.restored(scratch, source["paths"]), None)
        elif kind == "postgresql":
            from . import postgresql

            major = int(str(manifest["server"]["version"]).split(".", 1)[0])
            with postgresql.Scratch(host, scratch, options["account"], major) as server:
                reach = server.options("postgres", dict(options, level=1))
                postgresql.PostgreSQL(host, reach, patience).ask('CREATE DATABASE "restored"')
                there = postgresql.PostgreSQL(host, server.options("restored", options), patience)
                postgresql.restore(folder, there, patience)
                yield Restored(there.objects(), there)
        elif kind == "mongodb":
            from . import mongodb

            with mongodb.Scratch(host, scratch, options["server"], options["account"]) as other:
                here = dict(options, database=source["database"], level=1)
                target = mongodb.MongoDB(host, other.options(here), patience)
                mongodb.restore(folder, target, patience)
                yield Restored(target.objects(), target)
        else:
            raise OpsError("its manifest names no known kind of store: %r" % kind, folder)


class Restored:
    """What lies in a scratch place: objects, and the store, to which smoke queries go (None for files)."""

    __slots__ = ("objects", "store")

    def __init__(self, objects: list[Json], store: Any) -> None:
        self.objects, self.store = objects, store
