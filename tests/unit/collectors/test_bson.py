# SPDX-License-Identifier: GPL-3.0-or-later
"""BSON against another implementation of it: the driver's."""

from __future__ import annotations

import contextlib
import datetime
import struct
from typing import Any

import bson
import pytest
from ansible_collections.ops.runbook.plugins.module_utils.bson import Milliseconds, decode, encode
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=9)
    | st.text(st.characters(blacklist_categories=["Cs"]), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_bson_is_what_the_driver_reads_and_writes(document: dict[str, Any]) -> None:
    assert bson.decode(encode(document)) == document
    assert decode(bson.encode(document)) == document
    assert decode(encode(document)) == document


def test_every_type_of_bson_can_be_read() -> None:
    when = datetime.datetime(2026, 11, 20, 16, 0, 0, 5000, tzinfo=datetime.UTC)
    one = bson.ObjectId("656565656565656565656565")
    document = {
        "id": one,
        "at": when,
        "re": bson.Regex("^a", "i"),
        "ts": bson.Timestamp(7, 1),
        "dec": bson.Decimal128("1.5"),
        "code": bson.Code("f()"),
        "scoped": bson.Code("g()", {"x": 1}),
        "min": bson.MinKey(),
        "max": bson.MaxKey(),
        "ref": bson.DBRef("c", one),
        "uuid": bson.Binary(b"x" * 16, 4),
        "last": 1,
    }
    read = decode(bson.encode(document))
    assert read["id"] == str(one)
    assert read["at"] == int(when.timestamp() * 1000)
    assert isinstance(read["at"], Milliseconds)
    assert (read["re"], read["ts"], read["code"], read["scoped"]) == ("/^a/i", (7 << 32) + 1, "f()", "g()")
    assert (read["min"], read["max"], read["uuid"], read["last"]) == ("MinKey", "MaxKey", b"x" * 16, 1)
    assert bson.decode(encode({"at": Milliseconds(5)}))["at"] == datetime.datetime(1970, 1, 1, 0, 0, 0, 5000)


def test_obsolete_types_of_bson() -> None:
    def with_type(kind: bytes, payload: bytes) -> bytes:
        return struct.pack("<i", len(payload) + 8) + kind + b"a\0" + payload + b"\0"

    assert decode(with_type(b"\x06", b"")) == {"a": None}
    assert decode(with_type(b"\x0e", b"\x02\0\0\0s\0")) == {"a": "s"}
    assert decode(with_type(b"\x0c", b"\x02\0\0\0s\0" + b"\1" * 12)) == {"a": "s:" + "01" * 12}
    with pytest.raises(ValueError, match="unknown type 0x77"):
        decode(with_type(b"\x77", b""))


@given(st.binary(max_size=40))
def test_damaged_bson_is_a_value_error(raw: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bson.encode({"a": 1})[:-1],
        bson.encode({"a": 1}) + b"x",
        b"\x0f\0\0\0\x02a\0\xff\0\0\0x\0\0\0",
        b"\4\0\0\0",
        b"\x08\0\0\0\x08a\0\0\0",
        b"\x0c\0\0\0\x03a\0\x00\x01\0\0\0",
    ],
)
def test_bson_that_does_not_fit_together(raw: bytes) -> None:
    with pytest.raises(ValueError, match="damaged BSON"):
        decode(raw)


def test_what_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="cannot be written as BSON: object"):
        encode({"a": object()})
