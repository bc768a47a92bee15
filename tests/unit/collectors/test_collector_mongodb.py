# SPDX-License-Identifier: GPL-3.0-or-later
"""mongodb: the wire against another implementation of BSON, verdicts on replies recorded from FerretDB 1.24.2, a real FerretDB."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bson
import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.module_utils.bson import Milliseconds, decode, encode
from ansible_collections.ops.runbook.plugins.module_utils.collectors import _mongoreplies
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost
from ansible_collections.ops.runbook.plugins.module_utils.mongowire import Connection, NoAnswer
from bson import json_util
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parents[2] / "fixtures" / "probe" / "mongodb"
SERVER = sorted(Path.home().glob(".cache/ops-runbook/ferretdb-*/ferretdb"))

# ---- BSON

NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.binary(max_size=9)
    | st.text(st.characters(blacklist_categories=["Cs"]), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_bson_is_what_the_driver_reads_and_writes(document: dict[str, Any]) -> None:
    assert bson.decode(encode(document)) == document
    assert decode(bson.encode(document)) == document
    assert decode(encode(document)) == document


def test_every_type_of_bson_can_be_read() -> None:
    when = datetime.datetime(2026, 11, 20, 16, 0, 0, 5000, tzinfo=datetime.timezone.utc)
    one = bson.ObjectId("656565656565656565656565")
    document = {"id": one, "at": when, "re": bson.Regex("^a", "i"), "ts": bson.Timestamp(7, 1), "dec": bson.Decimal128("1.5"),
                "code": bson.Code("f()"), "scoped": bson.Code("g()", {"x": 1}), "min": bson.MinKey(), "max": bson.MaxKey(),
                "ref": bson.DBRef("c", one), "uuid": bson.Binary(b"x" * 16, 4), "last": 1}
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
    try:
        decode(raw)
    except ValueError:
        pass


@pytest.mark.parametrize("raw", [
    b"", bson.encode({"a": 1})[:-1], bson.encode({"a": 1}) + b"x", b"\x0f\0\0\0\x02a\0\xff\0\0\0x\0\0\0", b"\4\0\0\0",
    b"\x08\0\0\0\x08a\0\0\0", b"\x0c\0\0\0\x03a\0\x00\x01\0\0\0",
])
def test_bson_that_does_not_fit_together(raw: bytes) -> None:
    with pytest.raises(ValueError, match="damaged BSON"):
        decode(raw)


def test_what_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="cannot be written as BSON: object"):
        encode({"a": object()})


# ---- a server that gives recorded replies


class Recorded(threading.Thread):
    """Answers commands from `replies` by their name; a reply that is a function answers with raw bytes, or not at all."""

    def __init__(self, replies: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.replies, self.asked = replies, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self) -> None:
        while True:
            try:
                made, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(made,), daemon=True).start()

    def serve(self, made: socket.socket) -> None:
        with contextlib.suppress(OSError, struct.error):  # the other side went away
            while True:
                size, serial, _, opcode = struct.unpack("<iiii", made.recv(16, socket.MSG_WAITALL))
                assert opcode == 2013
                command = bson.decode(made.recv(size - 16, socket.MSG_WAITALL)[5:])
                self.asked.append(command)
                reply = self.replies.get(next(iter(command)), {"ok": 0.0, "code": 59, "errmsg": "no such command"})
                if callable(reply):
                    reply(made, serial)
                else:
                    made.sendall(message(reply, serial))


def message(reply: dict[str, Any], serial: int, flags: int = 0, kind: int = 0, opcode: int = 2013) -> bytes:
    body = struct.pack("<IB", flags, kind) + bson.encode(reply) + (b"\1\2\3\4" if flags & 1 else b"")
    return struct.pack("<iiii", len(body) + 16, 9, serial, opcode) + body


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json_util.loads((FIXTURES / f"{name}-ferretdb-1.24.2.json").read_text())
    return found


@pytest.fixture
def serve() -> Iterator[Callable[..., Recorded]]:
    made: list[Recorded] = []

    def start(base: str = "healthy", **replaced: Any) -> Recorded:
        made.append(Recorded({**recorded(base), **replaced}))
        return made[-1]

    yield start
    for one in made:
        one.socket.close()


DATA = {"database": "recommendation", "collection": "user_candidate"}
DEEP = {**DATA, "deep": True, "freshness_field": "modi_dt"}


def test_hello_and_ping(serve: Any, measure: Any) -> None:
    server = serve()
    found = measure(LocalHost(), "mongodb", port=server.port)
    data = found["data"]
    assert (data["answered"], data["version"], data["writable"], data["secondary"]) == (True, "7.0.42", True, False)
    assert (data["read_ok"], data["count"], data["errors"], found["missing"]) == (None, None, [], [])
    assert [next(iter(one)) for one in server.asked] == ["ping", "hello", "buildInfo"]


def test_a_counted_read_touches_documents_within_limits(serve: Any, measure: Any) -> None:
    server = serve()
    data = measure(LocalHost(), "mongodb", port=server.port, read_limit=500, timeout=2, **DATA)["data"]
    assert (data["count"], data["read_documents"], data["read_ok"], data["damaged"]) == (3000, 3000, True, False)
    count, read = server.asked[3:]
    assert (count["$db"], count["maxTimeMS"], read["maxTimeMS"]) == ("recommendation", 1800, 1800)
    assert read["pipeline"][0] == {"$limit": 500}
    assert "$group" in read["pipeline"][1]


def test_damaged_pages_answer_ping_only(serve: Any, measure: Any) -> None:
    data = measure(LocalHost(), "mongodb", port=serve("damaged").port, **DEEP)["data"]
    assert (data["answered"], data["read_ok"], data["validate_ok"], data["damaged"]) == (True, False, False, True)
    assert data["errors"][0]["operation"] == "count"
    assert "malformed (11)" in data["errors"][0]["message"]


def test_a_deep_look(serve: Any, measure: Any) -> None:
    server = serve()
    found = measure(LocalHost(), "mongodb", port=server.port, **DEEP)
    data = found["data"]
    assert found["missing"] == []
    assert (data["collections"], data["indexes"]) == (1, ["_id_", "cust_no_1", "modi_dt_1"])
    assert (data["data_bytes"], data["storage_bytes"], data["validate_ok"]) == (1687552, 1687552, True)
    assert data["freshness_seconds"] == pytest.approx(time.time() - 1795190400, abs=5)
    find = server.asked[-1]
    assert (find["sort"], find["limit"], find["hint"]) == ({"modi_dt": -1}, 1, "modi_dt_1")
    assert next(one for one in server.asked if "validate" in one)["background"] is True
    assert not any("update" in one for one in server.asked)


def indexes(*found: dict[str, Any]) -> dict[str, Any]:
    return {"ok": 1.0, "cursor": {"firstBatch": [{"v": 2, "key": {"_id": 1}, "name": "_id_"}, *found]}}


@pytest.mark.parametrize("index", [
    {"key": {"cust_no": 1, "modi_dt": 1}, "name": "x"}, {"key": {"modi_dt": "hashed"}, "name": "x"},
    {"key": {"modi_dt": 1}, "name": "x", "sparse": True}, {"key": {"modi_dt": 1}, "name": "x", "partialFilterExpression": {"a": 1}},
])
def test_without_a_fitting_index_there_is_no_scan(serve: Any, measure: Any, index: Any) -> None:
    server = serve(listIndexes=indexes(index))
    found = measure(LocalHost(), "mongodb", port=server.port, **DEEP)
    assert found["missing"] == ["freshness_seconds"]
    assert not any("find" in one for one in server.asked)


def test_freshness_of_nothing_and_of_what_is_no_date(serve: Any, measure: Any) -> None:
    empty = serve(find={"ok": 1.0, "cursor": {"firstBatch": []}})
    found = measure(LocalHost(), "mongodb", port=empty.port, **DEEP)
    assert (found["missing"], found["data"]["freshness_seconds"]) == ([], None)
    text = serve(find={"ok": 1.0, "cursor": {"firstBatch": [{"modi_dt": "2026"}]}})
    assert measure(LocalHost(), "mongodb", port=text.port, **DEEP)["missing"] == ["freshness_seconds"]


def test_a_collection_that_is_not_there(serve: Any, measure: Any) -> None:
    found = measure(LocalHost(), "mongodb", port=serve("no-collection").port, **DEEP)
    data = found["data"]
    assert (data["count"], data["read_ok"], data["validate_ok"], data["damaged"]) == (0, True, None, False)
    assert {one["code"] for one in data["errors"]} == {26}


@pytest.mark.parametrize("code", [59, 115, 238])
def test_what_the_server_does_not_have_is_no_error(serve: Any, measure: Any, code: int) -> None:
    absent = {"ok": 0.0, "code": code, "errmsg": "no"}
    found = measure(LocalHost(), "mongodb", port=serve(collStats=absent, validate=absent, aggregate=absent).port, **DEEP)
    assert (found["data"]["unsupported"], found["data"]["errors"], found["missing"]) == (["read", "collStats", "validate"], [], [])
    assert (found["data"]["read_ok"], found["data"]["validate_ok"]) == (True, None)


@pytest.mark.parametrize(("reply", "expected", "missing"), [
    ({"ok": 1.0, "valid": False}, False, False),
    ({"ok": 0.0, "code": 50, "errmsg": "operation exceeded time limit"}, None, True),
    ({"ok": 0.0, "code": 72, "errmsg": "unknown option"}, None, False),
    ({"ok": 0.0, "code": 1, "errmsg": "WT_PANIC: WiredTiger library panic"}, False, False),
])
def test_what_validate_may_say(serve: Any, measure: Any, reply: Any, expected: Any, missing: bool) -> None:
    found = measure(LocalHost(), "mongodb", port=serve(validate=reply).port, **DEEP)
    assert found["data"]["validate_ok"] is expected
    assert ("validate_ok" in found["missing"]) is missing
    assert found["data"]["damaged"] is (expected is False)


def test_old_servers_know_ismaster_only(serve: Any, measure: Any) -> None:
    old = {"ok": 1.0, "ismaster": True, "setName": "rs0", "primary": "db1:27017"}
    server = serve(hello={"ok": 0.0, "code": 59, "errmsg": "no such command: 'hello'"}, isMaster=old)
    data = measure(LocalHost(), "mongodb", port=server.port)["data"]
    assert (data["writable"], data["set_name"], data["primary"], data["unsupported"]) == (True, "rs0", "db1:27017", [])


# ---- the write


def test_a_write_is_made_only_when_asked_for_and_touches_one_document(serve: Any, measure: Any) -> None:
    server = serve()
    data = measure(LocalHost(), "mongodb", port=server.port, write_check=True)["data"]
    assert data["write_ok"] is True
    assert data["write_ms"] is not None
    update = server.asked[-1]
    assert (update["update"], update["$db"]) == ("ops_runbook_probe", "ops_runbook_probe")
    assert update["updates"] == [{"q": {"_id": "ops-runbook-probe"}, "u": {"$currentDate": {"at": True}}, "upsert": True}]


def test_no_write_in_check_mode_nor_on_a_secondary(serve: Any, measure: Any) -> None:
    server = serve(hello={"ok": 1.0, "isWritablePrimary": False, "secondary": True})
    assert measure(LocalHost(), "mongodb", port=server.port, write_check=True)["data"]["write_ok"] is None
    healthy = serve()
    probe.run({"checks": {"it": {"type": "mongodb", "port": healthy.port, "write_check": True}}}, True)
    assert not any("update" in one for one in [*server.asked, *healthy.asked])


@pytest.mark.parametrize("reply", [
    {"ok": 1.0, "n": 0, "writeErrors": [{"index": 0, "code": 1, "errmsg": "database or disk is full (13)"}]},
    {"ok": 0.0, "code": 1, "errmsg": "database or disk is full (13)"},
])
def test_a_write_that_fails(serve: Any, measure: Any, reply: Any) -> None:
    data = measure(LocalHost(), "mongodb", port=serve(update=reply).port, write_check=True)["data"]
    assert data["write_ok"] is False
    assert data["errors"] == [{"operation": "write", "code": 1, "message": "database or disk is full (13)"}]


# ---- no answer, or a wrong one


def test_no_server(measure: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port = made.getsockname()[1]
    data = measure(LocalHost(), "mongodb", port=port, **DATA)["data"]
    assert (data["answered"], data["error"], data["read_ok"]) == (False, "connection refused", None)


def test_a_server_that_accepts_and_says_nothing(measure: Any) -> None:
    """The look of exhausted descriptors and of a stopped process: the kernel accepts, nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        began = time.monotonic()
        data = measure(LocalHost(), "mongodb", port=made.getsockname()[1], timeout=0.3, **DATA)["data"]
    assert (data["answered"], data["error"]) == (False, "no answer within the limit")
    assert time.monotonic() - began < 0.8


@pytest.mark.parametrize(("reply", "words"), [
    (lambda made, serial: made.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "the answer is not MongoDB's"),
    (lambda made, serial: made.sendall(message({"ok": 1}, serial, opcode=1)), "the answer is not MongoDB's"),
    (lambda made, serial: made.sendall(message({"ok": 1}, serial + 1)), "the answer is not MongoDB's"),
    (lambda made, serial: made.sendall(message({"ok": 1}, serial, kind=1)), "the answer is not MongoDB's"),
    (lambda made, serial: made.sendall(struct.pack("<iiii", 30, 1, serial, 2013) + b"x" * 14), "the answer is not MongoDB's"),
    (lambda made, serial: made.shutdown(socket.SHUT_RDWR), "the server closed the connection"),
    (lambda made, serial: os.close(reset(made)), "the server closed the connection"),
])
def test_what_is_not_mongodb(serve: Any, measure: Any, reply: Any, words: str) -> None:
    data = measure(LocalHost(), "mongodb", port=serve(ping=reply).port, timeout=1)["data"]
    assert data["answered"] is False
    assert words in data["error"]


def reset(made: socket.socket) -> int:
    """The descriptor of a socket whose close tells the other side so with a reset."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return made.detach()


def test_a_reply_with_a_checksum_in_small_pieces(serve: Any, measure: Any) -> None:
    def slowly(made: socket.socket, serial: int) -> None:
        for byte in message({"ok": 1.0}, serial, flags=1):
            made.sendall(bytes([byte]))

    assert measure(LocalHost(), "mongodb", port=serve(ping=slowly).port)["data"]["answered"] is True


def test_it_answers_ping_and_then_falls_silent(serve: Any, measure: Any) -> None:
    found = measure(LocalHost(), "mongodb", port=serve(count=lambda made, serial: None).port, timeout=0.4, **DEEP)
    data = found["data"]
    assert (data["answered"], data["read_ok"], data["count"]) == (True, False, None)
    assert data["errors"][0] == {"operation": "count", "code": None, "message": "no answer within the limit"}
    assert "count" in found["missing"]
    assert "validate_ok" in found["missing"]


def test_an_unreachable_address() -> None:
    class Nowhere(LocalHost):
        def connect(self, host: str, port: int, timeout: float) -> socket.socket:
            raise OSError(113, "No route to host")

    with pytest.raises(NoAnswer, match="No route to host") as caught:
        Connection(Nowhere(), "192.0.2.1", 1, 1)
    assert caught.value.kind == "unreachable"


# ---- authentication


def credentials(tmp_path: Path, mode: int = 0o600) -> str:
    path = tmp_path / "mongodb.uri"
    path.write_text("mongodb://probe:s3cret@127.0.0.1/admin\n")
    path.chmod(mode)
    return str(path)


class Shells(LocalHost):
    """A host with a shell that says what it is given, by program name; others are not installed."""

    def __init__(self, **said: Any) -> None:
        self.said, self.asked = said, []

    def run(self, argv: Any, timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        self.asked.append(argv)
        said = self.said.get(argv[2], Completed(127, "", f"env: '{argv[2]}': No such file or directory"))
        if isinstance(said, Exception):
            raise said
        return said


REPLIES = """Connecting...
ops-runbook-replies {"count":{"reply":{"n":7,"ok":1},"ms":12},"read":{"reply":{"cursor":{"firstBatch":[{"n":7}]},"ok":1},"ms":3},\
"newest":{"reply":{"cursor":{"firstBatch":[{"modi_dt":{"$date":1795190400000}}]},"ok":1},"ms":1}}
"""


def test_without_a_login_reading_is_missing_and_ping_still_measured(serve: Any, measure: Any) -> None:
    found = measure(LocalHost(), "mongodb", port=serve("unauthorized").port, **DEEP)
    assert found["data"]["authentication_required"] is True
    assert found["data"]["answered"] is True
    assert {"read_ok", "count", "validate_ok", "freshness_seconds"} <= set(found["missing"])
    assert found["data"]["read_ok"] is None


def test_with_a_login_the_client_is_asked_and_never_told_the_password(serve: Any, measure: Any, tmp_path: Path) -> None:
    server, host, path = serve("unauthorized"), Shells(mongo=Completed(0, REPLIES, "")), credentials(tmp_path)
    found = measure(host, "mongodb", port=server.port, auth="client", credentials_file=path, **DATA)
    assert (found["data"]["count"], found["data"]["read_ok"], found["data"]["count_ms"]) == (7, True, 12)
    assert (found["data"]["errors"], found["missing"]) == ([], [])
    assert [argv[2] for argv in host.asked] == ["mongosh", "mongo"]
    assert "s3cret" not in str(host.asked)
    assert path in host.asked[-1][-1]
    assert not any("s3cret" in str(command) for command in server.asked)


@pytest.mark.parametrize(("said", "mode", "words"), [
    ({}, 0o600, "neither mongosh nor mongo is installed"),
    ({}, 0o640, "others may read it (file 0640)"),
    ({"mongosh": Completed(0, 'ops-runbook-replies {"code":18,"message":"Authentication failed.","connection":true}', "")}, 0o600,
     "login: Authentication failed."),
    ({"mongosh": Completed(1, "", "Error: boom\n")}, 0o600, "the client gave no answer: Error: boom"),
])
def test_when_the_client_cannot_ask_it_is_missing_not_red(
    serve: Any, measure: Any, tmp_path: Path, said: Any, mode: int, words: str
) -> None:
    args = {"auth": "client", "credentials_file": credentials(tmp_path, mode), **DATA}
    found = measure(Shells(**said), "mongodb", port=serve("unauthorized").port, **args)
    assert words in found["data"]["errors"][0]["message"]
    assert set(found["missing"]) == {"count", "read_documents", "read_ok"}


def test_credentials_that_are_not_there(serve: Any, measure: Any) -> None:
    found = measure(Shells(), "mongodb", port=serve("unauthorized").port, auth="client", credentials_file="/no/such", **DATA)
    assert "/no/such: does not exist" in found["data"]["errors"][0]["message"]


def test_credentials_that_may_not_be_reached(serve: Any, measure: Any) -> None:
    class Denied(Shells):
        def stat(self, path: str, follow: bool = True) -> Any:
            raise PermissionError(13, "no", path)

    found = measure(Denied(), "mongodb", port=serve("unauthorized").port, auth="client", credentials_file="/x", **DATA)
    assert "may not be reached" in found["data"]["errors"][0]["message"]


def test_freshness_through_the_client(serve: Any, measure: Any, tmp_path: Path) -> None:
    text = REPLIES.replace('{"count"', '{"listIndexes":{"reply":{"cursor":{"firstBatch":[{"key":{"modi_dt":1},"name":"m"}]}}},"count"')
    host = Shells(mongosh=Completed(0, text.replace('"reply":{"cursor":{"firstBatch":[{"key"', '"ms":1,"reply":{"cursor":{"firstBatch":[{"key"'), ""))
    args = {"auth": "client", "credentials_file": credentials(tmp_path), **DEEP}
    data = measure(host, "mongodb", port=serve("unauthorized").port, **args)["data"]
    assert data["freshness_seconds"] == pytest.approx(time.time() - 1795190400, abs=5)


@pytest.mark.parametrize(("args", "words"), [
    ({"collection": "c"}, "check it, database: is missing. Name the database of collection c"),
    ({"deep": True}, "check it, collection: is missing"),
    ({"freshness_field": "at"}, "check it, freshness_field: needs deep: true"),
    ({"auth": "client"}, "check it, auth: needs credentials_file"),
    ({"auth": "scram"}, "check it, auth: 'scram' is none of none, client"),
])
def test_bad_arguments(args: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        probe.plan("it", {"type": "mongodb", **args})


# ---- a real server


class Real:
    """FerretDB as the lab runs it, on a port and a folder of its own."""

    def __init__(self, data: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as made:
            self.port = made.getsockname()[1]
        self.data = data
        self.child: Any = None

    def start(self) -> None:
        options = [f"--sqlite-url=file:{self.data}/", f"--state-dir={self.data}", f"--listen-addr=127.0.0.1:{self.port}"]
        argv = [str(SERVER[-1]), "--handler=sqlite", "--debug-addr=-", "--telemetry=disable", *options]
        self.child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        ask = {"checks": {"it": {"type": "mongodb", "port": self.port}}}
        while not probe.run(ask, False)["measurements"]["it"]["data"]["answered"]:
            assert time.monotonic() < end
            time.sleep(0.1)

    def stop(self) -> None:
        self.child.terminate()
        self.child.wait(20)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Real]:
    if not SERVER:
        pytest.skip("no server in ~/.cache/ops-runbook yet: make lab-up builds it")
    server = Real(tmp_path)
    server.start()
    yield server
    server.stop()


def test_a_real_server_from_healthy_to_damaged(real: Real, measure: Any) -> None:
    now = time.time() * 1000
    documents = [{"_id": at, "modi_dt": Milliseconds(now - 1000 * at), "pad": "x" * 200} for at in range(2000)]
    link = Connection(LocalHost(), "127.0.0.1", real.port, 30)
    assert link.command("shop", {"insert": "orders", "documents": documents})["n"] == 2000
    assert link.command("shop", {"createIndexes": "orders", "indexes": [{"key": {"modi_dt": 1}, "name": "m"}]})["ok"]
    link.close()
    args = {"port": real.port, "database": "shop", "collection": "orders", "deep": True, "timeout": 20}
    found = measure(LocalHost(), "mongodb", write_check=True, freshness_field="modi_dt", **args)
    data = found["data"]
    assert (data["count"], data["read_documents"], data["read_ok"]) == (2000, 2000, True)
    assert (data["validate_ok"], data["write_ok"], data["errors"], found["missing"]) == (True, True, [], [])
    assert 0 <= data["freshness_seconds"] < 60
    real.stop()
    file = real.data / "shop.sqlite"
    pages = file.stat().st_size // 4096
    with file.open("r+b") as stream:
        stream.seek(pages // 4 * 4096)
        stream.write(b"\xa5" * 4096 * (pages // 2))
    real.start()
    data = measure(LocalHost(), "mongodb", **args)["data"]
    assert (data["answered"], data["read_ok"], data["damaged"]) == (True, False, True)


def test_pure_helpers() -> None:
    assert _mongoreplies.index_of(None, "a") is None
    assert _mongoreplies.writable({}) is False
