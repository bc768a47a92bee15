# SPDX-License-Identifier: BSD-2-Clause
"""Directories and configuration as a store: tar with owners, modes and extended attributes. Source: GNU tar 1.34.

An object is a file, directory or link. Its digest covers what a restore must bring back: kind, owner, group, mode, time
of change, target of a link, extended attributes, and the content.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager

from ..digest import sha256
from ..errors import BadInput, OpsError
from ..files import os_error, sha256_of
from . import chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import tarfile
    from typing import IO, Any, Iterator

    from ..host import Host
    from .shelf import Staging

    Json = dict[str, Any]

ARCHIVE = "files.tar.zst"
_KEPT = ["--acls", "--xattrs", "--xattrs-include=*", "--numeric-owner"]
_ATTRIBUTES = ("user.", "security.capability", "trusted.")
"""Extended attributes that count. Those of SELinux are the target's own policy, ACLs tar keeps in a form of its own."""
_PAX = "SCHILY.xattr."


class Files:
    """A few directories or files of a host.

    Options: `paths` (full paths), `exclude` (shell patterns of tar, below them), `level` (of zstd).
    """

    def __init__(self, host: Host, options: Json, patience: chain.Patience) -> None:
        self._host, self._options, self._patience = host, options, patience
        self.paths = [os.path.normpath(path) for path in options["paths"]]
        if not self.paths:
            raise BadInput("names nothing", "paths", "Give the full path of at least one file or directory.")
        for path in self.paths:
            if not os.path.isabs(path) or path == "/":
                raise BadInput("%r is no full path of a directory or file" % path, "paths")

    def look(self) -> Json:
        """See Store.look."""
        tools = {name: version(self._host, name) for name in ("tar", "zstd")}
        size = 0
        for path in self.paths:
            try:
                size += _size(path)
            except OSError as error:
                raise os_error(error, path) from None
        return {"server": {"version": None}, "tools": tools, "bytes": size}

    def dump(self, staging: Staging) -> Json:
        """See Store.dump. A file that changes while it is read fails the backup: it would be half old and half new."""
        staging.stream(ARCHIVE, self._row(), self._patience)
        return {
            "objects": archived(os.path.join(staging.path, ARCHIVE)),
            "source": {"paths": self.paths, "exclude": list(self._options["exclude"])},
            "notes": [],
        }

    def _row(self) -> list[chain.Stage]:
        names = [os.path.relpath(path, "/") for path in self.paths]
        exclude = ["--exclude=%s" % pattern for pattern in self._options["exclude"]]
        create = ["--create", "--file=-", "--format=posix", "--sparse", "--one-file-system", "--directory=/"]
        argv = [chain.find("tar"), *create, *_KEPT, *exclude, "--", *names]
        return [chain.Stage(argv), compress(self._options["level"])]


def compress(level: int) -> chain.Stage:
    """zstd, with all cores and a checksum of the content."""
    return chain.Stage([chain.find("zstd"), "-q", "-c", "-T0", "--check", "-%d" % level])


def decompress(path: str) -> chain.Stage:
    """Zstd back; a cut or damaged file fails."""
    return chain.Stage([chain.find("zstd"), "-q", "-d", "-c", "--", path])


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """What a compressed file holds, as a stream that the caller reads to its end.

    Raises:
        OpsError: It cannot be decompressed.
    """
    import subprocess

    with subprocess.Popen(decompress(path).argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            yield child.stdout  # type: ignore[misc]  # a pipe was asked for
        except BaseException:
            child.kill()
            raise
        said = child.stderr.read(chain.SAID).decode("utf-8", "backslashreplace") if child.stderr else ""
        if child.wait():
            raise OpsError("cannot be decompressed: %s" % said.strip(), path)


def version(host: Host, tool: str) -> str:
    """A tool's version as it says itself, such as 1.34.

    Raises:
        OpsError: It is not installed.
    """
    import re

    said = host.run([chain.find(tool), "--version"], timeout=20)
    found = re.search(r"\bv?(\d+(?:\.\d+)+)", said.stdout + said.stderr)
    return found.group(1) if found else "unknown"


def extract(folder: str, scratch: str, patience: chain.Patience, only: list[str] | None = None) -> None:
    """Restore a backup, or some paths of it, into an empty directory."""
    argv = [chain.find("tar"), "--extract", "--file=-", "--preserve-permissions", "--same-owner", *_KEPT]
    argv += ["--directory=%s" % scratch, *(["--", *(path.lstrip("/") for path in only)] if only else [])]
    chain.run([decompress(os.path.join(folder, ARCHIVE)), chain.Stage(argv)], len, patience)


def archived(path: str) -> list[Json]:
    """The objects of an archive, read to its end: it is whole, and this is what is in it.

    Raises:
        OpsError: It cannot be decompressed, or is no whole tar.
    """
    import tarfile

    found: list[Json] = []
    with opened(path) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=chain.BLOCK) as archive:
                found.extend(_of_member(archive, member) for member in archive)
                while stream.read(chain.BLOCK):  # what tar pads with
                    pass
        except (tarfile.TarError, EOFError) as error:
            raise OpsError("is no whole archive: %s" % error, path) from None
    return _tied(found)


def _of_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Json:
    import tarfile

    content = None
    if member.isreg() or member.islnk():
        stream = archive.extractfile(member) if member.isreg() else None
        content = _digest_of(stream) if stream else None
    kinds = {
        tarfile.DIRTYPE: "directory",
        tarfile.SYMTYPE: "link",
        tarfile.LNKTYPE: "hard link",
        tarfile.FIFOTYPE: "fifo",
    }
    kind = "file" if member.isreg() else kinds.get(member.type, "device")
    attributes = {
        name[len(_PAX) :]: value.encode("utf-8", "surrogateescape")
        for name, value in member.pax_headers.items()
        if name.startswith(_PAX)
    }
    target = {"link": member.linkname, "hard link": "/" + member.linkname}.get(kind, "")
    traits = {
        "kind": kind,
        "target": target,
        "owner": (member.uid, member.gid, stat.S_IMODE(member.mode)),
        "changed": int(member.mtime),
        "attributes": attributes,
        "content": content,
        "size": member.size,
    }
    return _object("/" + member.name, traits)


def _digest_of(stream: Any) -> str:
    digest = sha256()
    for block in iter(lambda: stream.read(chain.BLOCK), b""):
        digest.update(block)
    return str(digest.hexdigest())


def restored(scratch: str, paths: list[str]) -> list[Json]:
    """The objects of a tree that was restored below scratch, with the names that they had."""
    seen: dict[tuple[int, int], str] = {}
    trees = (os.path.join(scratch, path.lstrip("/")) for path in paths)
    return _tied([_of_path(each, scratch, seen) for tree in trees for each in _walk(tree)])


def _walk(top: str) -> Iterator[str]:
    """A path and all below it."""
    yield top
    if os.path.isdir(top) and not os.path.islink(top):
        for name in sorted(os.listdir(top)):
            yield from _walk(os.path.join(top, name))


def _of_path(path: str, scratch: str, seen: dict[tuple[int, int], str]) -> Json:
    found = os.lstat(path)
    name = "/" + os.path.relpath(path, scratch)
    kind, target, content, size = "device", "", None, 0
    if stat.S_ISDIR(found.st_mode):
        kind = "directory"
    elif stat.S_ISLNK(found.st_mode):
        kind, target = "link", os.readlink(path)
    elif stat.S_ISFIFO(found.st_mode):
        kind = "fifo"
    elif stat.S_ISREG(found.st_mode):
        kind, content, size = "file", sha256_of(path), found.st_size
        first = seen.setdefault((found.st_dev, found.st_ino), name)
        if first != name:
            kind, target, content, size = "hard link", first, None, 0
    traits = {
        "kind": kind,
        "target": target,
        "owner": (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)),
        "changed": int(found.st_mtime),
        "attributes": {each: os.getxattr(path, each, follow_symlinks=False) for each in _attributes(path)},
        "content": content,
        "size": size,
    }
    return _object(name, traits)


def _attributes(path: str) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []


def _object(name: str, traits: Json) -> Json:
    """One object; of a hard link only what it is the same as, which _tied needs."""
    if traits["kind"] == "hard link":
        return {"name": name, "same": traits["target"]}
    counted = sorted((each, value) for each, value in traits["attributes"].items() if each.startswith(_ATTRIBUTES))
    told = [*(traits[trait] for trait in ("kind", "target", "owner", "changed")), counted, traits["content"]]
    return {"name": name, "kind": traits["kind"], "count": None, "bytes": traits["size"], "digest": _hash(told)}


def _hash(told: list[Any]) -> str:
    return str(sha256(repr(told).encode("utf-8", "backslashreplace")).hexdigest())


def _tied(objects: list[Json]) -> list[Json]:
    """Names of one file as objects that say so, whichever of them was read first."""
    groups: dict[str, list[str]] = {}
    for one in objects:
        if "same" in one:
            groups.setdefault(one["same"], [one["same"]]).append(one["name"])
    known = {one["name"]: one for one in objects}
    for first, names in groups.items():
        digest = _hash([known[first]["digest"], sorted(names)])
        for name in names:
            size = known[first]["bytes"] if name == first else 0
            known[name] = dict(known[first], name=name, bytes=size, digest=digest)
    return [known[one["name"]] for one in objects]


def _size(path: str) -> int:
    """Bytes below a path, as tar would read them."""
    until = time.monotonic() + 30
    total, waiting = 0, [path]
    device = os.lstat(path).st_dev
    while waiting and time.monotonic() < until:
        each = waiting.pop()
        found = os.lstat(each)
        total += found.st_size + 1024
        if stat.S_ISDIR(found.st_mode) and found.st_dev == device:
            waiting += [os.path.join(each, name) for name in os.listdir(each)]
    return total
