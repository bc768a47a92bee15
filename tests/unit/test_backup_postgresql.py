# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL as a store, on a real server of the test's own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.backup import manifest, postgresql
from ansible_collections.ops.runbook.plugins.module_utils.backup.chain import Patience
from ansible_collections.ops.runbook.plugins.module_utils.backup.postgresql import PostgreSQL, Scratch
from ansible_collections.ops.runbook.plugins.module_utils.backup.shelf import Shelf
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost

ACCOUNT = "postgres"
OPTIONS = {"account": ACCOUNT, "level": 3}
PATIENCE = Patience(120, 60)
ODD = "3gpp_analysis_prod"
SCHEMA = """
CREATE TABLE summary (id bigserial PRIMARY KEY, name text NOT NULL, at timestamptz DEFAULT now(), score float8);
INSERT INTO summary (name, score) SELECT 'row ' || n, n / 3.0 FROM generate_series(1, 5000) n;
CREATE SCHEMA "Odd Name"; CREATE TABLE "Odd Name"."it's a ""t"" x" (a int, b bytea);
INSERT INTO "Odd Name"."it's a ""t"" x" VALUES (1, '\\xdeadbeef'), (NULL, NULL);
CREATE TABLE parted (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
INSERT INTO parted SELECT n, 'x' FROM generate_series(0, 99) n;
CREATE TABLE nothing (a int);
"""


def here() -> bool:
    try:
        postgresql.binaries(11)
        pwd.getpwnam(ACCOUNT)
    except (OpsError, KeyError):
        return False
    return os.geteuid() == 0


pytestmark = pytest.mark.skipif(not here(), reason="wants root and package postgresql; drills do it on a lab host")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Scratch]:
    """A server with the schema in a database whose name needs quotes."""
    folder = reachable(tmp_path_factory.mktemp("server"))
    with Scratch(LocalHost(), str(folder), ACCOUNT, 11) as running:
        admin = store(running, "postgres")
        admin.ask(f'CREATE DATABASE "{ODD}"')
        store(running, ODD).ask(*filter(str.strip, SCHEMA.split(";\n")))
        yield running


def reachable(folder: Path) -> Path:
    """pytest's folders are root's alone, whatever the number of its workers."""
    for each in (folder, *folder.parents):
        if each == Path(tempfile.gettempdir()):
            break
        each.chmod(0o711)
    return folder


def store(server: Scratch, database: str) -> PostgreSQL:
    return PostgreSQL(LocalHost(), server.options(database, OPTIONS), PATIENCE)


def taken(server: Scratch, shelf: Shelf, began: float = 1.0) -> str:
    with shelf.lock(), shelf.staging(began, "r") as staging:
        said = store(server, ODD).dump(staging)
        about = {"system": "threegpp", "store": ODD, "kind": "postgresql", "host": "db1", "run_id": "r"}
        times = {"begun_at": "x", "ended_at": "y", "seconds": 1.0, "server": {}, "tools": {}}
        staging.commit({**about, **times, **said})
    return shelf.folder("latest")


def test_it_says_what_it_would_back_up(server: Scratch) -> None:
    look = store(server, ODD).look()
    assert int(look["server"]["version"].split(".")[0]) >= 11
    assert look["server"]["standby"] is False
    assert look["bytes"] > 5_000_000
    assert set(look["tools"]) == {"pg_dump", "zstd"}


def test_a_database_that_is_not_there_is_named_with_those_that_are(server: Scratch) -> None:
    with pytest.raises(BadInput, match=f"there is no database 'gone'. There are {ODD}, postgres"):
        store(server, "gone").look()


def test_nobody_answers(tmp_path: Path) -> None:
    options = {**OPTIONS, "database": "x", "address": str(tmp_path), "port": 1, "login": "", "credentials_file": ""}
    with pytest.raises(OpsError, match=r"psql failed with exit code 2: .*Is the server running"):
        PostgreSQL(LocalHost(), options, PATIENCE).look()


def test_what_is_restored_is_what_was_there_while_others_write(server: Scratch, tmp_path: Path) -> None:
    """Counts and digests are those of the dump's own snapshot, though rows come while it is taken."""
    shelf = Shelf(str(tmp_path / "b"), "threegpp", ODD)
    insert = "INSERT INTO summary (name) VALUES ('new')"
    insert = f'while :; do psql -X -q -h {server.folder} -U scratch -d {ODD} -c "{insert}"; done'
    writer = subprocess.Popen(["sh", "-c", insert], start_new_session=True)
    try:
        until = time.monotonic() + 30
        while int(store(server, ODD).ask("SELECT count(*) FROM summary")[0]) == 5000 and time.monotonic() < until:
            time.sleep(0.05)
        folder = taken(server, shelf)
    finally:
        os.killpg(writer.pid, signal.SIGKILL)
        writer.wait()
    said = manifest.read(folder)
    counts = {one["name"]: one["count"] for one in said["objects"]}
    assert counts["public.summary"] > 5000
    assert {name: counts[name] for name in counts if name != "public.summary"} == {
        '"Odd Name"."it\'s a ""t"" x"': 2,
        "public.nothing": 0,
        "public.parted_1": 100,
        "public.summary_id_seq": None,
    }
    manifest.check_files(folder, said)
    scratch = reachable(tmp_path / "scratch") if (tmp_path / "scratch").mkdir() is None else tmp_path
    with Scratch(LocalHost(), str(scratch), ACCOUNT, 11) as other:
        store(other, "postgres").ask('CREATE DATABASE "it"')
        target = store(other, "it")
        postgresql.restore(folder, target, PATIENCE)
        assert manifest.compare(said["objects"], target.objects()) == []
        target.ask("UPDATE summary SET score = 7 WHERE id = 4000", "DELETE FROM parted_1 WHERE k = 3")
        assert [line.split(" is ")[0] for line in manifest.compare(said["objects"], target.objects())] == [
            "public.parted_1: count",
            "public.parted_1: digest",
            "public.summary: digest",
        ]


def test_a_damaged_dump_ends_the_restore(server: Scratch, tmp_path: Path) -> None:
    folder = Path(taken(server, Shelf(str(tmp_path / "b"), "threegpp", ODD)))
    data = (folder / postgresql.ARCHIVE).read_bytes()
    (folder / postgresql.ARCHIVE).write_bytes(data[: len(data) * 2 // 3])
    store(server, "postgres").ask('CREATE DATABASE "half"')
    with pytest.raises(OpsError, match=r"zstd failed with exit code 1.*pg_restore failed"):
        postgresql.restore(str(folder), store(server, "half"), PATIENCE)


def test_a_scratch_server_ends_with_the_program_that_began_it(tmp_path: Path) -> None:
    folder = reachable(tmp_path)
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from ansible_collections.ops.runbook.plugins.module_utils.backup.postgresql import Scratch\n"
        "from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost\n"
        f"with Scratch(LocalHost(), {str(folder)!r}, 'postgres', 11) as s:\n"
        "    print(s._child.pid, flush=True); time.sleep(60)\n"
    )
    root = str(Path(__file__).parents[2] / "collections")
    child = subprocess.Popen([sys.executable, "-c", program, root], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    pid = int(child.stdout.readline())
    child.kill()
    child.wait()
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}/status").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]:
        assert time.monotonic() < until, "it still runs"
        time.sleep(0.05)
    shutil.rmtree(folder / "data")
