# SPDX-License-Identifier: BSD-2-Clause
"""A database behind MongoDB's protocol as a store: an archive of mongodump. Source: mongodump(1), mongorestore(1).

Counts and digests are those of the archive (mongodb_archive.py), so that a restore can be compared with it exactly,
whatever was written meanwhile. That nothing is missing in it is seen by the server's own counts before and after.
"""

from __future__ import annotations

import os
import time

from ..bson import Long, decode, inside
from ..errors import BadInput, OpsError
from ..mongowire import Connection, NoAnswer
from . import chain, mongodb_archive
from .files import compress, decompress, opened, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host
    from .shelf import Staging

    Json = dict[str, Any]

ARCHIVE = "database.archive.zst"
_BATCH = 1000
_SERVERS = {
    "mongod": "{exe} --dbpath {folder} --port {port} --bind_ip 127.0.0.1 --nounixsocket --quiet",
    "ferretdb": "{exe} --handler=sqlite --sqlite-url=file:{folder}/ --state-dir={folder} --listen-addr=127.0.0.1:{port}"
    " --debug-addr=- --telemetry=disable --log-level=error",
}
"""How a server of its own is started, by the name of its program."""


class MongoDB:
    """One database of a server.

    Options: `database`, `address`, `port`, `credentials_file` (with a connection string, as the probes have it; empty
    for no login), `level` (of zstd).
    """

    def __init__(self, host: Host, options: Json, patience: chain.Patience) -> None:
        if not options["database"]:
            raise BadInput("is empty", "database", "Name the database.")
        self._host, self._options, self._patience = host, options, patience
        self.database = str(options["database"])

    def look(self) -> Json:
        """See Store.look."""
        tools = {name: version(self._host, name) for name in ("mongodump", "zstd")}
        wire = self._connect()
        try:
            server = self._ask(wire, "admin", {"buildInfo": 1})["version"]
            names = [one["name"] for one in self._ask(wire, "admin", {"listDatabases": 1})["databases"]]
            if self.database not in names:
                raise BadInput(
                    "there is no database %r" % self.database, "database", "There are %s" % ", ".join(sorted(names))
                )
            size = self._ask(wire, self.database, {"dbStats": 1}).get("dataSize") or 0
        finally:
            wire.close()
        return {"server": {"version": str(server)}, "tools": tools, "bytes": int(size)}

    def dump(self, staging: Staging) -> Json:
        """See Store.dump."""
        before = self.counts()
        argv = [chain.find("mongodump"), "--config=" + chain.HIDDEN, "--db=" + self.database, "--archive"]
        dumping = chain.Stage(argv, name="mongodump", secret=self._config())
        staging.stream(ARCHIVE, [dumping, compress(self._options["level"])], self._patience)
        after = self.counts()
        objects, header = archived(os.path.join(staging.path, ARCHIVE))
        _demand_all(objects, before, after)
        changed = sorted(name for name in after if before.get(name) != after[name])
        notes = ["was written to while it was read: %s" % ", ".join(changed[:10])] if changed else []
        source = {"database": self.database, "tool": header.get("tool_version")}
        return {"objects": objects, "source": source, "notes": notes}

    def counts(self) -> dict[str, int]:
        """Documents by collection, as the server counts them."""
        wire = self._connect()
        try:
            return {
                "%s.%s" % (self.database, name): int(self._ask(wire, self.database, {"count": name, "query": {}})["n"])
                for name in self._collections(wire)
            }
        finally:
            wire.close()

    def objects(self) -> list[Json]:
        """The objects of the database as it is now, each document read."""
        wire, found = self._connect(), []
        try:
            names = self._collections(wire)
            for name in names:
                sums = mongodb_archive.Sum()
                for document in self._documents(wire, name):
                    sums.add(document)
                found.append(sums.said("%s.%s" % (self.database, name)))
            for name in names:
                reply = self._ask(wire, self.database, {"listIndexes": name, "cursor": {}})
                found.append(mongodb_archive.indexes("%s.%s" % (self.database, name), reply["cursor"]["firstBatch"]))
        finally:
            wire.close()
        return found

    def _documents(self, wire: Connection, name: str) -> Any:
        reply = wire.raw(self.database, {"find": name, "batchSize": _BATCH})
        while True:
            said = self._checked(reply)
            yield from inside(reply, "cursor", "firstBatch") or inside(reply, "cursor", "nextBatch")
            cursor = said["cursor"]["id"]
            if not cursor:
                return
            reply = wire.raw(self.database, {"getMore": Long(cursor), "collection": name, "batchSize": _BATCH})

    def _checked(self, reply: bytes) -> Json:
        said = decode(reply)
        if not said.get("ok"):
            raise OpsError("find failed: %s" % said.get("errmsg"), self.database)
        return said

    def _collections(self, wire: Connection) -> list[str]:
        reply = self._ask(wire, self.database, {"listCollections": 1, "nameOnly": True})
        found = [one["name"] for one in reply["cursor"]["firstBatch"] if one.get("type", "collection") == "collection"]
        return sorted(name for name in found if not name.startswith("system."))

    def _connect(self) -> Connection:
        """A connection that is logged in."""
        try:
            wire = Connection(self._host, self._options["address"], self._options["port"], self._patience.limit)
            if self._options["credentials_file"]:
                from .. import mongoscram
                from ..collectors import _credentials

                login = _credentials.read(self._host, self._options["credentials_file"])
                said = mongoscram.log_in(wire.command, login)
                if not said.get("ok"):
                    raise OpsError("refuses the login: %s" % said.get("errmsg"), self._where(), "Mend the credentials")
        except NoAnswer as error:
            raise OpsError("does not answer: %s" % error, self._where(), "Diagnose it first: recover_mongodb") from None
        return wire

    def _where(self) -> str:
        return "%s:%d" % (self._options["address"], self._options["port"])

    def _ask(self, wire: Connection, database: str, body: Json) -> Json:
        try:
            reply = wire.command(database, body)
        except NoAnswer as error:
            raise OpsError("does not answer: %s" % error, self._where()) from None
        if not reply.get("ok"):
            raise OpsError("%s failed: %s" % (next(iter(body)), reply.get("errmsg")), self._where())
        return reply

    def _config(self) -> bytes:
        """A configuration file of MongoDB's tools with the connection string, which may hold a password."""
        return b"uri: %s\n" % _quoted(self.uri()).encode()

    def uri(self) -> str:
        """The connection string with which the tools log in."""
        path = self._options["credentials_file"]
        if not path:
            return "mongodb://%s/" % self._where()
        from ..collectors import _credentials

        _credentials.refuse_open(self._host, path)
        text = self._host.read(path).decode().strip().split("\n")[0].strip()
        _credentials.parse(text)
        place, mark, query = text[len("mongodb://") :].partition("?")
        login = place.partition("/")[0].rpartition("@")[0]
        source = "" if "authsource=" in query.lower() else "%sauthSource=admin" % ("&" if query else "")
        return "mongodb://%s@%s/%s%s%s" % (login, self._where(), mark or "?", query, source)


def _quoted(text: str) -> str:
    return "'%s'" % text.replace("'", "''")


def archived(path: str) -> tuple[list[Json], Json]:
    """The objects and the header of a compressed archive, read to its end.

    Raises:
        OpsError: It cannot be decompressed, or is no whole archive.
    """
    with opened(path) as stream:
        return mongodb_archive.read(stream, path)


def _demand_all(objects: list[Json], before: dict[str, int], after: dict[str, int]) -> None:
    """See that the archive has what the server had.

    Raises:
        OpsError: A collection is missing, or has fewer documents than the server counted before and after.
    """
    found = {one["name"]: one["count"] for one in objects if one["kind"] == "collection"}
    for name, count in before.items():
        if name not in after:
            continue  # dropped meanwhile
        least = min(count, after[name])
        if found.get(name, -1) < least:
            have = "is not in the dump" if name not in found else "has %d documents in the dump" % found[name]
            raise OpsError("%s, and %d on the server" % (have, least), name, "Take the backup again")


class Scratch:
    """A server of its own for a moment, on a port of loopback; the kernel ends it when this program dies."""

    def __init__(self, host: Host, folder: str, program: str, account: str = "") -> None:
        self._host, self.folder, self._program, self._account = host, folder, program, account
        self.port = 0
        self._child: Any = None

    def __enter__(self) -> Scratch:
        import shutil
        import subprocess

        self._program = chain.find(self._program)
        kind = os.path.basename(self._program)
        if kind not in _SERVERS:
            raise OpsError(
                "is no server that can be started for a test", self._program, "Known: %s" % ", ".join(_SERVERS)
            )
        if self._account:
            shutil.chown(self.folder, self._account)
        self.port = _free_port()
        words = [word.format(exe=self._program, folder=self.folder, port=self.port) for word in _SERVERS[kind].split()]
        who = ["--reuid=" + self._account, "--regid=" + self._account, "--init-groups"] if self._account else []
        self._log = open(os.path.join(self.folder, "server.log"), "wb")
        self._child = subprocess.Popen(
            [chain.find("setpriv"), *who, "--pdeathsig=KILL", "--", *words],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            cwd="/",
        )
        self._wait()
        return self

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while True:
            if self._child.poll() is not None or time.monotonic() > until:
                with open(os.path.join(self.folder, "server.log"), "rb") as stream:
                    said = stream.read()[-chain.SAID :].decode("utf-8", "backslashreplace").strip().splitlines()
                self.__exit__()
                raise OpsError("the scratch server did not start: %s" % " / ".join(said[-2:]), self._program)
            if not _listens(self._child.pid, self.port):  # another's server may have taken the port
                time.sleep(0.05)
                continue
            try:
                wire = Connection(self._host, "127.0.0.1", self.port, 5)
                wire.command("admin", {"ping": 1})
                wire.close()
            except NoAnswer:
                time.sleep(0.05)
            else:
                return

    def options(self, options: Json) -> Json:
        """How a MongoDB store reaches the same database here."""
        return dict(options, address="127.0.0.1", port=self.port, credentials_file="")

    def __exit__(self, *_error: object) -> None:
        import signal

        if self._child and self._child.poll() is None:
            os.kill(self._child.pid, signal.SIGTERM)
            try:
                self._child.wait(10)
            except Exception:  # it does not matter how: its data are thrown away
                self._child.kill()
                self._child.wait()
        self._log.close()


def _listens(pid: int, port: int) -> bool:
    """Whether the socket that listens on a port of loopback is this process's own. Source: proc(5)."""
    wanted = "0100007F:%04X" % port
    try:
        with open("/proc/net/tcp") as stream:
            rows = [line.split() for line in stream]
        inodes = {"socket:[%s]" % row[9] for row in rows if row[1] == wanted and row[3] == "0A"}
        folder = "/proc/%d/fd" % pid
        return any(os.readlink(os.path.join(folder, name)) in inodes for name in os.listdir(folder))
    except OSError:
        return False


def _free_port() -> int:
    import socket

    with socket.socket() as any_one:
        any_one.bind(("127.0.0.1", 0))
        return int(any_one.getsockname()[1])


def restore(folder: str, store: MongoDB, patience: chain.Patience, only: list[str] | None = None) -> None:
    """Load a backup, or some collections of it, into a server that has nothing of these names; an error ends it."""
    argv = [chain.find("mongorestore"), "--config=" + chain.HIDDEN, "--archive", "--stopOnError"]
    argv += ["--nsInclude=%s.%s" % (store.database, name) for name in only or ["*"]]
    restoring = chain.Stage(argv, name="mongorestore", secret=store._config())
    chain.run([decompress(os.path.join(folder, ARCHIVE)), restoring], len, patience)
