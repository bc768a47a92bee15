# SPDX-License-Identifier: GPL-3.0-or-later
"""mongodb: verdicts on replies recorded from FerretDB 1.24.2, wrong answers and none, and a real FerretDB."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymongo
import pymongo.errors
import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.module_utils.bson import Milliseconds
from ansible_collections.ops.runbook.plugins.module_utils.collectors import _mongoreplies
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost
from ansible_collections.ops.runbook.plugins.module_utils.mongowire import Connection, NoAnswer
from recorded_mongodb import DATA, DEEP, message

SERVER = sorted(Path.home().glob(".cache/ops-runbook/ferretdb-*/ferretdb"))


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


@pytest.mark.parametrize(
    "index",
    [
        {"key": {"cust_no": 1, "modi_dt": 1}, "name": "x"},
        {"key": {"modi_dt": "hashed"}, "name": "x"},
        {"key": {"modi_dt": 1}, "name": "x", "sparse": True},
        {"key": {"modi_dt": 1}, "name": "x", "partialFilterExpression": {"a": 1}},
    ],
)
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
    found = measure(
        LocalHost(), "mongodb", port=serve(collStats=absent, validate=absent, aggregate=absent).port, **DEEP
    )
    assert (found["data"]["unsupported"], found["data"]["errors"], found["missing"]) == (
        ["read", "collStats", "validate"],
        [],
        [],
    )
    assert (found["data"]["read_ok"], found["data"]["validate_ok"]) == (True, None)


@pytest.mark.parametrize(
    ("reply", "expected", "missing"),
    [
        ({"ok": 1.0, "valid": False}, False, False),
        ({"ok": 0.0, "code": 50, "errmsg": "operation exceeded time limit"}, None, True),
        ({"ok": 0.0, "code": 72, "errmsg": "unknown option"}, None, False),
        ({"ok": 0.0, "code": 1, "errmsg": "WT_PANIC: WiredTiger library panic"}, False, False),
    ],
)
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
    assert update["updates"] == [
        {"q": {"_id": "ops-runbook-probe"}, "u": {"$currentDate": {"at": True}}, "upsert": True}
    ]


def test_no_write_in_check_mode_nor_on_a_secondary(serve: Any, measure: Any) -> None:
    server = serve(hello={"ok": 1.0, "isWritablePrimary": False, "secondary": True})
    assert measure(LocalHost(), "mongodb", port=server.port, write_check=True)["data"]["write_ok"] is None
    healthy = serve()
    probe.run({"checks": {"it": {"type": "mongodb", "port": healthy.port, "write_check": True}}}, True)
    assert not any("update" in one for one in [*server.asked, *healthy.asked])


@pytest.mark.parametrize(
    "reply",
    [
        {"ok": 1.0, "n": 0, "writeErrors": [{"index": 0, "code": 1, "errmsg": "database or disk is full (13)"}]},
        {"ok": 0.0, "code": 1, "errmsg": "database or disk is full (13)"},
    ],
)
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


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (lambda made, serial: made.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "the answer is not MongoDB's"),
        (lambda made, serial: made.sendall(message({"ok": 1}, serial, opcode=1)), "the answer is not MongoDB's"),
        (lambda made, serial: made.sendall(message({"ok": 1}, serial + 1)), "the answer is not MongoDB's"),
        (lambda made, serial: made.sendall(message({"ok": 1}, serial, kind=1)), "the answer is not MongoDB's"),
        (
            lambda made, serial: made.sendall(struct.pack("<iiii", 30, 1, serial, 2013) + b"x" * 14),
            "the answer is not MongoDB's",
        ),
        (lambda made, serial: made.shutdown(socket.SHUT_RDWR), "the server closed the connection"),
        (lambda made, serial: os.close(reset(made)), "the server closed the connection"),
    ],
)
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


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"collection": "c"}, "check it, database: is missing. Name the database of collection c"),
        ({"deep": True}, "check it, collection: is missing"),
        ({"freshness_field": "at"}, "check it, freshness_field: needs deep: true"),
        ({"auth": "client"}, "check it, auth: needs credentials_file"),
        ({"auth": "scram", "credentials_file": "mongodb.uri"}, "check it, auth: needs credentials_file"),
        ({"auth": "plain"}, "check it, auth: 'plain' is none of none, scram, client"),
    ],
)
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

    def start(self, *more: str, **environment: str) -> None:
        options = [
            *more,
            f"--sqlite-url=file:{self.data}/",
            f"--state-dir={self.data}",
            f"--listen-addr=127.0.0.1:{self.port}",
        ]
        argv = [str(SERVER[-1]), "--handler=sqlite", "--debug-addr=-", "--telemetry=disable", *options]
        env = {**os.environ, **environment}
        self.child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
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


SETUP = {"FERRETDB_SETUP_DATABASE": "admin", "FERRETDB_SETUP_USERNAME": "root", "FERRETDB_SETUP_PASSWORD": "first"}
USERS = [
    # database, user, password, mechanisms
    ("admin", "probe", "s3cret:/@%", ["SCRAM-SHA-1", "SCRAM-SHA-256"]),
    ("admin", "older", "s3cret:/@%", ["SCRAM-SHA-1"]),
    ("admin", "newer", "s3cret:/@%", ["SCRAM-SHA-256"]),
    ("shop", "a b@c:d", "s3cret", ["SCRAM-SHA-1", "SCRAM-SHA-256"]),
    ("admin", "한국", "비밀번호", ["SCRAM-SHA-256"]),
]


def test_a_real_server_that_demands_a_login(real: Real, measure: Any, tmp_path: Path) -> None:
    """The users are made, and every login is tried, by pymongo too."""
    real.stop()
    real.start("--test-enable-new-auth", **SETUP)
    with pymongo.MongoClient("127.0.0.1", real.port, username="root", password="first") as client:
        for database, user, password, mechanisms in USERS:
            client[database].command("createUser", user, pwd=password, roles=[], mechanisms=mechanisms)
        client["shop"]["orders"].insert_many([{"n": n} for n in range(50)])
    path = tmp_path / "mongodb.uri"
    path.touch(0o600)
    args = {"port": real.port, "database": "shop", "collection": "orders", "credentials_file": str(path)}
    for database, user, password, mechanisms in USERS:
        for said, mechanism in [(password, ""), *((password, one) for one in mechanisms), (password + "x", "")]:
            wanted = f"&authMechanism={mechanism}" if mechanism else ""
            login = f"{quote(user, safe='')}:{quote(said, safe='')}"
            path.write_text(f"mongodb://{login}@127.0.0.1:{real.port}/?authSource={database}{wanted}\n")
            found = measure(LocalHost(), "mongodb", auth="scram", deep=True, **args)
            data, right = found["data"], said == password
            assert (data["login_ok"], data["read_ok"], data["count"]) == (
                right,
                right or None,
                50 if right else None,
            ), user
            assert (data["validate_ok"], found["missing"] == []) == (right or None, right)
            assert password not in str(found)
            assert pymongo_may_read(path.read_text().strip()) is right


def pymongo_may_read(uri: str) -> bool:
    try:
        with pymongo.MongoClient(uri, serverSelectionTimeoutMS=3000) as client:
            return client["shop"]["orders"].count_documents({}) == 50
    except pymongo.errors.OperationFailure as error:
        assert error.code == 18
        return False


def test_pure_helpers() -> None:
    assert _mongoreplies.index_of(None, "a") is None
    assert _mongoreplies.writable({}) is False
