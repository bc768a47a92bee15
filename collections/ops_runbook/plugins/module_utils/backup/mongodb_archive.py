# SPDX-License-Identifier: BSD-2-Clause
"""What is in an archive of mongodump: each collection's documents, counted and hashed as they lie there.

MongoDB's tools have no snapshot that a count could be taken in, so the archive itself is asked. Source: the archive
format of mongo-tools (common/archive): a magic number, the header, the metadata of collections, a terminator; then
slices, each a namespace header and documents up to a terminator.
"""

from __future__ import annotations

import struct

from ..bson import decode
from ..digest import sha256
from ..errors import OpsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Protocol

    class Reader(Protocol):
        """What read() reads from."""

        def read(self, size: int, /) -> bytes:
            """At most so many bytes; none at the end."""


MAGIC = 0x8199E26D
_END = 0xFFFFFFFF
_LARGEST = 48 * 1048576
_SPACE = 1 << 128


class Sum:
    """A collection's documents: how many, how many bytes, and a digest that does not depend on their order."""

    __slots__ = ("bytes", "count", "total")

    def __init__(self) -> None:
        self.count = self.bytes = self.total = 0

    def add(self, document: bytes) -> None:
        """Take in a document as BSON."""
        self.count += 1
        self.bytes += len(document)
        self.total = (self.total + int.from_bytes(sha256(document).digest()[:16], "big")) % _SPACE

    def said(self, name: str) -> dict[str, Any]:
        """It as an object of a manifest."""
        return {
            "name": name,
            "kind": "collection",
            "count": self.count,
            "bytes": self.bytes,
            "digest": "%032x" % self.total,
        }


def indexes(name: str, found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A collection's indexes as an object: which there are, and over what."""
    told = sorted((str(one["name"]), [(field, _plain(order)) for field, order in one["key"].items()]) for one in found)
    digest = sha256(repr(told).encode()).hexdigest()
    return {
        "name": name + " (indexes)",
        "kind": "indexes",
        "count": len(told),
        "bytes": 0,
        "digest": str(digest),
    }


def read(stream: Reader, path: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The objects of an archive, and its header (server_version, tool_version, ...), once it was read to its end.

    Raises:
        OpsError: It is no archive, or not a whole one.
    """
    archive = _Archive(stream, path)
    header, metadata = archive.preamble()
    sums = {_name(each): Sum() for each in metadata}
    ended = set()
    for name, last, documents in archive.slices():
        if last:
            ended.add(name)
        for document in documents:
            sums.setdefault(name, Sum()).add(document)
    open_ones = sorted(name for name in sums if name not in ended)
    if open_ones:
        raise OpsError("is not whole: the end of collection %s is not in it" % open_ones[0], path)
    found = [sums[name].said(name) for name in sorted(sums)]
    kept = [each for each in metadata if each.get("type", "collection") == "collection" and each.get("metadata")]
    return found + [indexes(_name(each), _indexes_of(each["metadata"])) for each in kept], header


def _name(each: dict[str, Any]) -> str:
    return "%s.%s" % (each["db"], each["collection"])


def _indexes_of(metadata: str) -> list[dict[str, Any]]:
    import json

    return list(json.loads(metadata).get("indexes", []))


def _plain(order: Any) -> Any:
    """An index's direction, from extended JSON."""
    if isinstance(order, dict):
        (order,) = order.values()
    try:
        return int(float(order))
    except (TypeError, ValueError):
        return order  # text, 2dsphere, hashed


class _Archive:
    """A stream, read in the order of the format."""

    def __init__(self, stream: Reader, path: str) -> None:
        self._stream, self._path = stream, path
        self._held, self._at = b"", 0

    def _exactly(self, size: int, at_end: bool = False) -> bytes:
        while len(self._held) - self._at < size:
            more = self._stream.read(1048576)
            if not more:
                if at_end and self._at == len(self._held):
                    return b""
                raise OpsError("ends in the middle", self._path, "It is no whole archive of mongodump")
            self._held, self._at = self._held[self._at :] + more, 0
        self._at += size
        return self._held[self._at - size : self._at]

    def _document(self, size: bytes) -> bytes:
        (length,) = struct.unpack("<i", size)
        if not 5 <= length <= _LARGEST:
            raise OpsError("has a document of %d bytes" % length, self._path, "It is damaged")
        return size + self._exactly(length - 4)

    def _block(self) -> list[bytes]:
        """Documents up to a terminator."""
        found: list[bytes] = []
        while True:
            size = self._exactly(4)
            if struct.unpack("<I", size)[0] == _END:
                return found
            found.append(self._document(size))

    def preamble(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The header, and the metadata of each collection."""
        if self._exactly(4) != struct.pack("<I", MAGIC):
            raise OpsError("is no archive of mongodump", self._path)
        header, *metadata = (decode(each) for each in self._block())
        return header, metadata

    def slices(self) -> Any:
        """Each slice: (namespace, whether it is the last of that one, its documents)."""
        while True:
            size = self._exactly(4, at_end=True)
            if not size:
                return
            about = decode(self._document(size))
            yield _name(about), bool(about.get("EOF")), self._documents()

    def _documents(self) -> Any:
        while True:
            size = self._exactly(4)
            if struct.unpack("<I", size)[0] == _END:
                return
            yield self._document(size)
