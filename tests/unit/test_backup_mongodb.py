# SPDX-License-Identifier: GPL-3.0-or-later
"""MongoDB's protocol as a store, on a real server of the test's own and with MongoDB's own tools."""

from __future__ import annotations

import os
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.backup import manifest, mongodb, mongodb_archive
from ansible_collections.ops.runbook.plugins.module_utils.backup.chain import Patience
from ansible_collections.ops.runbook.plugins.module_utils.backup.mongodb import MongoDB, Scratch
from ansible_collections.ops.runbook.plugins.module_utils.backup.shelf import Shelf
from ansible_collections.ops.runbook.plugins.module_utils.bson import Milliseconds
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost
from ansible_collections.ops.runbook.plugins.module_utils.mongowire import Connection

BUILT = sorted(Path.home().glob(".cache/ops-runbook/ferretdb-*/ferretdb"))
OPTIONS: dict[str, t.Any] = {"database": "simplers", "credentials_file": "", "level": 3, "address": "127.0.0.1"}
PATIENCE = Patience(120, 30)
pytestmark = pytest.mark.skipif(not BUILT, reason="the lab's server is not built yet (make lab-up); drills use it")


@pytest.fixture(scope="module", autouse=True)
def tools() -> t.Iterator[None]:
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{BUILT[-1].parent}:{before}"
    yield
    os.environ["PATH"] = before


@pytest.fixture(scope="module")
def server(tools: None, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Scratch]:
    """A server with two collections of documents of many types, an index, and an empty collection."""
    with Scratch(LocalHost(), str(tmp_path_factory.mktemp("server")), str(BUILT[-1])) as running:
        wire = Connection(LocalHost(), "127.0.0.1", running.port, 60)
        rows = [
            {
                "_id": n,
                "cust_no": n % 100,
                "modi_dt": Milliseconds(1_700_000_000_000 + n),
                "x": [n, {"y": None}],
                "f": n / 7,
            }
            for n in range(3000)
        ]
        for at in range(0, 3000, 500):
            assert wire.command("simplers", {"insert": "user_candidate", "documents": rows[at : at + 500]})["ok"]
        assert wire.command("simplers", {"insert": "다른 것", "documents": [{"_id": "é", "b": True}]})["ok"]
        assert wire.command("simplers", {"create": "nothing"})["ok"]
        index = {"key": {"cust_no": 1, "modi_dt": -1}, "name": "by_customer"}
        assert wire.command("simplers", {"createIndexes": "user_candidate", "indexes": [index]})["ok"]
        wire.close()
        yield running


def store(server: Scratch, **changes: t.Any) -> MongoDB:
    return MongoDB(LocalHost(), {**server.options(OPTIONS), **changes}, PATIENCE)


def taken(server: Scratch, folder: Path) -> str:
    shelf = Shelf(str(folder), "simplers", "mongodb")
    with shelf.lock(), shelf.staging(1.0, "r") as staging:
        said = store(server).dump(staging)
        about = {"system": "simplers", "store": "mongodb", "kind": "mongodb", "host": "db1", "run_id": "r"}
        times = {"begun_at": "x", "ended_at": "y", "seconds": 1.0, "server": {}, "tools": {}}
        staging.commit({**about, **times, **said})
    return shelf.folder("latest")


def test_it_says_what_it_would_back_up(server: Scratch) -> None:
    look = store(server).look()
    assert look["server"]["version"].startswith("7.")
    assert look["bytes"] > 1000
    assert set(look["tools"]) == {"mongodump", "zstd"}


def test_a_database_that_is_not_there_is_named_with_those_that_are(server: Scratch) -> None:
    with pytest.raises(BadInput, match=r"there is no database 'gone'\. There are simplers"):
        store(server, database="gone").look()


def test_nobody_answers(server: Scratch) -> None:
    with pytest.raises(OpsError, match=r"127\.0\.0\.1:1: does not answer: connection refused\. Diagnose it first"):
        store(server, port=1).look()


def test_what_is_restored_is_what_was_there(server: Scratch, tmp_path: Path) -> None:
    folder = taken(server, tmp_path / "b")
    said = manifest.read(folder)
    counts = {one["name"]: one["count"] for one in said["objects"]}
    assert counts == {
        "simplers.user_candidate": 3000,
        "simplers.다른 것": 1,
        "simplers.nothing": 0,
        "simplers.user_candidate (indexes)": 2,
        "simplers.다른 것 (indexes)": 1,
        "simplers.nothing (indexes)": 1,
    }
    assert manifest.compare(said["objects"], store(server).objects()) == []
    (tmp_path / "scratch").mkdir()
    with Scratch(LocalHost(), str(tmp_path / "scratch"), str(BUILT[-1])) as other:
        target = store(other)
        mongodb.restore(folder, target, PATIENCE)
        assert manifest.compare(said["objects"], target.objects()) == []
        wire = Connection(LocalHost(), "127.0.0.1", other.port, 20)
        change = {"q": {"_id": 7}, "u": {"$set": {"f": 1}}}
        assert wire.command("simplers", {"update": "user_candidate", "updates": [change]})["n"] == 1
        assert wire.command("simplers", {"drop": "nothing"})["ok"]
        wire.close()
        assert manifest.compare(said["objects"], target.objects())[:2] == [
            "simplers.nothing is missing",
            "simplers.nothing (indexes) is missing",
        ]


def test_one_collection_alone(server: Scratch, tmp_path: Path) -> None:
    folder = taken(server, tmp_path / "b")
    (tmp_path / "scratch").mkdir()
    with Scratch(LocalHost(), str(tmp_path / "scratch"), str(BUILT[-1])) as other:
        mongodb.restore(folder, store(other), PATIENCE, ["user_candidate"])
        assert store(other).counts() == {"simplers.user_candidate": 3000}


def test_a_backup_while_others_write_counts_what_is_in_it(server: Scratch, tmp_path: Path) -> None:
    going = threading.Event()
    wire = Connection(LocalHost(), "127.0.0.1", server.port, 60)

    def write() -> None:
        number = 0
        while not going.is_set():
            wire.command("simplers", {"insert": "log", "documents": [{"_id": number}]})
            number += 1

    wire.command("simplers", {"insert": "log", "documents": [{"_id": -1}]})
    writer = threading.Thread(target=write)
    writer.start()
    try:
        folder = taken(server, tmp_path / "b")
    finally:
        going.set()
        writer.join()
        wire.command("simplers", {"drop": "log"})
        wire.close()
    said = manifest.read(folder)
    assert said["notes"] == ["was written to while it was read: simplers.log"]
    (tmp_path / "scratch").mkdir()
    with Scratch(LocalHost(), str(tmp_path / "scratch"), str(BUILT[-1])) as other:
        mongodb.restore(folder, store(other), PATIENCE)
        assert manifest.compare(said["objects"], store(other).objects()) == []


def test_a_dump_that_lacks_documents_is_no_backup() -> None:
    objects = [{"name": "a.b", "kind": "collection", "count": 5}]
    mongodb._demand_all(objects, {"a.b": 5, "a.gone": 3}, {"a.b": 7})
    with pytest.raises(OpsError, match="has 5 documents in the dump, and 6 on the server"):
        mongodb._demand_all(objects, {"a.b": 6}, {"a.b": 7})
    with pytest.raises(OpsError, match=r"a\.c: is not in the dump, and 1 on the server"):
        mongodb._demand_all(objects, {"a.b": 5, "a.c": 1}, {"a.b": 5, "a.c": 1})


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_an_archive_that_was_cut_is_found_by_reading_it(server: Scratch, tmp_path: Path, share: float) -> None:
    folder = Path(taken(server, tmp_path / "b"))
    plain = subprocess.run(["zstd", "-dqc", folder / mongodb.ARCHIVE], stdout=subprocess.PIPE, check=True).stdout
    cut = subprocess.run(["zstd", "-qc"], input=plain[: int(len(plain) * share)], stdout=subprocess.PIPE, check=True)
    (folder / mongodb.ARCHIVE).write_bytes(cut.stdout)
    with pytest.raises(OpsError, match=r"ends in the middle|is not whole"):
        mongodb.archived(str(folder / mongodb.ARCHIVE))


def test_something_else_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.zst"
    path.write_bytes(subprocess.run(["zstd", "-qc"], input=b"hello world", stdout=subprocess.PIPE, check=True).stdout)
    with pytest.raises(OpsError, match="is no archive of mongodump"):
        mongodb.archived(str(path))
    path.write_bytes(b"hello")
    with pytest.raises(OpsError, match=r"ends in the middle|cannot be decompressed"):
        mongodb.archived(str(path))


def test_the_digest_does_not_depend_on_the_order() -> None:
    one, other = mongodb_archive.Sum(), mongodb_archive.Sum()
    for document in (b"a", b"b", b"b"):
        one.add(document)
    for document in (b"b", b"a", b"b"):
        other.add(document)
    assert one.said("x") == other.said("x")
    other.add(b"a")
    assert one.said("x")["digest"] != other.said("x")["digest"]


def test_a_password_is_in_no_argument(server: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "login"
    file.write_text("mongodb://me:hunter%272@elsewhere:1/?authSource=admin\n")
    file.chmod(0o600)
    this = store(server, credentials_file=str(file))
    assert this.uri() == f"mongodb://me:hunter%272@127.0.0.1:{server.port}/?authSource=admin"
    assert this._config() == f"uri: '{this.uri()}'\n".encode()
