# SPDX-License-Identifier: BSD-2-Clause
"""As much of BSON as a probe needs, because a target has no driver.

Source: the BSON specification 1.1. Encoding knows what commands are made of; decoding knows every type, so that any
reply can be read, and gives plain JSON-ready values except for `Milliseconds` and `bytes`.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator


class Milliseconds(int):
    """A BSON datetime: milliseconds since the epoch, UTC."""


class Long(int):
    """An integer that is written with 64 bits whatever its value, such as a cursor's id."""


_WIDE = {Milliseconds: b"\x09", Long: b"\x12"}


def encode(document: dict[str, Any]) -> bytes:
    """A dict as a BSON document: str, bool, int, float, None, bytes, Milliseconds, Long, dict and list, at will."""
    body = b"".join(_element(str(name), value) for name, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(name: str, value: Any) -> bytes:
    kind, payload = _value(value)
    return kind + name.encode() + b"\0" + payload


def _value(value: Any) -> tuple[bytes, bytes]:
    if value is None:
        return b"\x0a", b""
    if isinstance(value, bool):
        return b"\x08", b"\1" if value else b"\0"
    if type(value) in _WIDE:
        return _WIDE[type(value)], struct.pack("<q", value)
    if isinstance(value, int):
        return (b"\x10", struct.pack("<i", value)) if -(2**31) <= value < 2**31 else (b"\x12", struct.pack("<q", value))
    if isinstance(value, float):
        return b"\x01", struct.pack("<d", value)
    if isinstance(value, str):
        return b"\x02", _text(value)
    if isinstance(value, bytes):
        return b"\x05", struct.pack("<iB", len(value), 0) + value
    if isinstance(value, dict):
        return b"\x03", encode(value)
    if isinstance(value, list):
        return b"\x04", encode({str(at): item for at, item in enumerate(value)})
    raise TypeError("cannot be written as BSON: %s" % type(value).__name__)


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<i", len(raw) + 1) + raw + b"\0"


def decode(raw: bytes) -> dict[str, Any]:
    """The BSON document in raw.

    Object ids, decimals and scripts come as text, timestamps as their number, the two extreme keys as "MinKey" and
    "MaxKey".

    Raises:
        ValueError: raw is not one whole BSON document.
    """
    try:
        document, end = _document(raw, 0)
    except (struct.error, IndexError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("damaged BSON: %s" % error) from error
    if end != len(raw):
        raise ValueError("damaged BSON: %d bytes after its end" % (len(raw) - end))
    return document


def parts(raw: bytes, at: int = 0) -> Iterator[tuple[str, int, int, int]]:
    """The elements of the document at a place, undecoded: (name, type, where the value begins, where it ends).

    Raises:
        ValueError: It is no whole BSON document.
    """
    try:
        (size,) = struct.unpack_from("<i", raw, at)
        end = at + size
        if size < 5 or end > len(raw) or raw[end - 1]:
            raise ValueError("damaged BSON: a document of %d bytes does not fit" % size)
        at += 4
        while raw[at]:
            kind = raw[at]
            name, begin = _cstring(raw, at + 1)
            at = begin + struct.unpack_from("<i", raw, begin)[0] if kind in (0x03, 0x04) else _read(kind, raw, begin)[1]
            if at >= end:
                raise ValueError("damaged BSON: %s runs over the end of its document" % name)
            yield name, kind, begin, at
    except (struct.error, IndexError) as error:
        raise ValueError("damaged BSON: %s" % error) from error


def inside(raw: bytes, *names: str) -> list[bytes]:
    """The documents of the array that lies at a path of names, as they came; empty where there is none."""
    begin = 0
    for name in names:
        found = next((part for part in parts(raw, begin) if part[0] == name), None)
        if found is None:
            return []
        begin = found[2]
    return [raw[start:stop] for _name, _kind, start, stop in parts(raw, begin)]


def _document(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
    (size,) = struct.unpack_from("<i", raw, at)
    end = at + size
    if size < 5 or end > len(raw) or raw[end - 1]:
        raise ValueError("damaged BSON: a document of %d bytes does not fit" % size)
    document: dict[str, Any] = {}
    at += 4
    while raw[at]:
        kind = raw[at]
        name, at = _cstring(raw, at + 1)
        document[name], at = _read(kind, raw, at)
        if at >= end:
            raise ValueError("damaged BSON: %s runs over the end of its document" % name)
    return document, end


def _cstring(raw: bytes, at: int) -> tuple[str, int]:
    end = raw.index(b"\0", at)
    return raw[at:end].decode("utf-8", "backslashreplace"), end + 1


def _string(raw: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from("<i", raw, at)
    end = at + 4 + size
    if size < 1 or end > len(raw):
        raise ValueError("damaged BSON: a string of %d bytes does not fit" % size)
    return raw[at + 4 : end - 1].decode("utf-8", "backslashreplace"), end


_FIXED = {0x01: "<d", 0x08: "<?", 0x10: "<i", 0x11: "<Q", 0x12: "<q"}
_EMPTY = {0x06: None, 0x0A: None, 0xFF: "MinKey", 0x7F: "MaxKey"}
_BYTES = {0x07: 12, 0x13: 16}


def _read(kind: int, raw: bytes, at: int) -> tuple[Any, int]:
    if kind in _FIXED:
        return struct.unpack_from(_FIXED[kind], raw, at)[0], at + struct.calcsize(_FIXED[kind])
    if kind in _EMPTY:
        return _EMPTY[kind], at
    if kind in (0x02, 0x0D, 0x0E):
        return _string(raw, at)
    if kind == 0x03:
        return _document(raw, at)
    if kind == 0x04:
        items, end = _document(raw, at)
        return list(items.values()), end
    if kind == 0x09:
        return Milliseconds(struct.unpack_from("<q", raw, at)[0]), at + 8
    return _rare(kind, raw, at)


def _rare(kind: int, raw: bytes, at: int) -> tuple[Any, int]:
    if kind in _BYTES:
        return raw[at : at + _BYTES[kind]].hex(), at + _BYTES[kind]
    if kind == 0x05:
        (size,) = struct.unpack_from("<i", raw, at)
        return raw[at + 5 : at + 5 + size], at + 5 + size
    if kind == 0x0B:
        pattern, at = _cstring(raw, at)
        options, at = _cstring(raw, at)
        return "/%s/%s" % (pattern, options), at
    if kind == 0x0C:
        name, at = _string(raw, at)
        return "%s:%s" % (name, raw[at : at + 12].hex()), at + 12
    if kind == 0x0F:
        code, _end = _string(raw, at + 4)
        return code, at + struct.unpack_from("<i", raw, at)[0]
    raise ValueError("damaged BSON: unknown type 0x%02x" % kind)
