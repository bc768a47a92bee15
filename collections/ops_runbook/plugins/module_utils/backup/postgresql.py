# SPDX-License-Identifier: BSD-2-Clause
"""A PostgreSQL database as a store: pg_dump's custom format of one snapshot. Source: pg_dump(1), PostgreSQL 11 to 17.

Counts and digests are those of the dump: a session exports its snapshot, pg_dump reads in it, and the same session
counts. A digest is the sum of the hashes of all rows as text, whatever their order.
"""

from __future__ import annotations

import os
import re
import time

from ..errors import BadInput, OpsError
from ..redact import redact
from . import chain
from .files import compress, decompress, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from ..host import Host
    from .shelf import Staging

    Json = dict[str, Any]

ARCHIVE = "database.dump.zst"
# Names are quoted by the server itself; what of a partitioned table lies in its parts is counted there.
_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1
"""
_SEQUENCES = "SELECT E'sequence\\t' || format('%I.%I', schemaname, sequencename) FROM pg_sequences ORDER BY 1"
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_QUIET = ("SET idle_in_transaction_session_timeout = 0", "SET statement_timeout = 0", "SET lock_timeout = '30s'")
_STABLE = (
    "SET extra_float_digits = 1",
    "SET datestyle = 'ISO'",
    "SET intervalstyle = 'postgres'",
    "SET timezone = 'UTC'",
)
"""Rows as text look the same on every server."""
_NO_DATABASE = re.compile(r'database "(.*)" does not exist')


class PostgreSQL:
    """One database of a server.

    Options: `database`, `address` (host name or the socket's folder; libpq's default where empty), `port`, `login` (the
    role), `account` (the system's account that runs the tools, for peer logins; this one where empty),
    `credentials_file` (libpq's password file, which only `account` can read), `level` (of zstd).
    """

    def __init__(self, host: Host, options: Json, patience: chain.Patience) -> None:
        if not options["database"]:
            raise BadInput("is empty", "database", "Name the database.")
        self._host, self._options, self._patience = host, options, patience

    def look(self) -> Json:
        """See Store.look."""
        tools = {name: version(self._host, name) for name in ("pg_dump", "zstd")}
        said = self.ask(
            "SHOW server_version_num", "SELECT pg_database_size(current_database())", "SELECT pg_is_in_recovery()"
        )
        number, size = int(said[0]), int(said[1])
        server = "%d.%d" % divmod(number, 10000)
        if int(tools["pg_dump"].split(".")[0]) < number // 10000:
            raise OpsError(
                "pg_dump is of version %s and cannot read a server of version %s" % (tools["pg_dump"], server),
                hint="Install package postgresql-client-%d on this host" % (number // 10000),
            )
        return {"server": {"version": server, "standby": said[2] == "t"}, "tools": tools, "bytes": size}

    def dump(self, staging: Staging) -> Json:
        """See Store.dump."""
        tables = self.ask(_TABLES)
        with _Session(self) as session:
            session.send(_BEGIN, *_QUIET, *_STABLE, "SELECT 'snapshot ' || pg_export_snapshot()")
            snapshot = session.wait("snapshot ")
            session.send(*_counting(tables))  # beside the dump
            argv = ["pg_dump", "--format=custom", "--compress=0", "--snapshot=" + snapshot, "--no-password"]
            rows = [self.stage(argv), compress(self._options["level"])]
            staging.stream(ARCHIVE, rows, self._patience)
            session.wait("counted", self._patience.limit)
            objects = _objects(session.lines())
        return {"objects": objects, "source": {"database": self._options["database"]}, "notes": []}

    def objects(self) -> list[Json]:
        """The objects of a database as it is now."""
        with _Session(self) as session:
            session.send(_BEGIN, *_QUIET, *_STABLE, *_counting(self.ask(_TABLES)))
            session.wait("counted", self._patience.limit)
            return _objects(session.lines())

    def ask(self, *statements: str) -> list[str]:
        """The lines that statements answer with.

        Raises:
            OpsError: Nobody answers, the login is refused, or there is no such database.
        """
        argv = [word for statement in statements for word in ("--command", statement)]
        stage = self.stage(["psql", *_PSQL, *argv])
        blocks: list[bytes] = []
        try:
            chain.run([stage], blocks.append, self._patience)
        except OpsError as error:
            raise self._told(error) from None
        return b"".join(blocks).decode("utf-8").splitlines()

    def _told(self, error: OpsError) -> OpsError:
        missing = _NO_DATABASE.search(error.what)
        if not missing:
            return error
        known = PostgreSQL(self._host, dict(self._options, database="postgres"), self._patience)
        names = known.ask("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1")
        return BadInput("there is no database %r" % missing.group(1), "database", "There are %s" % ", ".join(names))

    def stage(self, argv: list[str]) -> chain.Stage:
        """A tool of libpq as a stage: where to connect goes by its environment, never by its arguments."""
        chosen = {
            "PGHOST": self._options["address"],
            "PGPORT": self._options["port"],
            "PGUSER": self._options["login"],
            "PGDATABASE": self._options["database"],
            "PGPASSFILE": self._options["credentials_file"],
        }
        env = {name: str(value) for name, value in chosen.items() if value}
        env.update(PGCONNECT_TIMEOUT="10", PGAPPNAME="ops_runbook", PGCLIENTENCODING="UTF8")
        full, account = [chain.find(argv[0]), *argv[1:]], self._options["account"]
        become = [chain.find("runuser"), "-u", account, "--"] if account else []
        return chain.Stage([*become, *full], env, name=argv[0])


_PSQL = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password", "--set=ON_ERROR_STOP=1"]


_COUNTED = """
SELECT concat_ws(E'\\t', 'table', '%(text)s', count(*), pg_table_size('%(text)s'),
coalesce(sum(hashtextextended(t::text, 0)), 0)) FROM ONLY %(table)s t
"""


def _counting(tables: list[str]) -> list[str]:
    """Statements that answer `table NAME<tab>COUNT<tab>BYTES<tab>DIGEST` and `sequence NAME`, then `counted`.

    Names come from the server, quoted by its own format().
    """
    asked = [_COUNTED % {"text": table.replace("'", "''"), "table": table} for table in tables]
    return [*asked, _SEQUENCES, "SELECT 'counted'"]


def _objects(lines: list[str]) -> list[Json]:
    found: list[Json] = []
    for line in lines:
        kind, *words = line.split("\t")
        if kind == "table":
            name, count, size, digest = words
            found.append({"name": name, "kind": "table", "count": int(count), "bytes": int(size), "digest": digest})
        elif kind == "sequence":
            # its value is of no snapshot: it goes on while others write, and the dump has a later one
            found.append({"name": words[0], "kind": "sequence", "count": None, "bytes": 0, "digest": None})
    return found


class _Session:
    """A psql that stays, so that its transaction does; what it answers goes to a file that has no name."""

    def __init__(self, store: PostgreSQL) -> None:
        import subprocess
        import tempfile

        stage = store.stage(["psql", *_PSQL])
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._child = subprocess.Popen(
            stage.argv,
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=self._errors,
            env=dict(os.environ, LC_ALL="C.UTF-8", **stage.env),
            start_new_session=True,
        )

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_error: object) -> None:
        import signal

        if self._child.poll() is None:
            try:
                os.killpg(self._child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._child.wait()
        for stream in (self._child.stdin, self._said, self._errors):
            if stream:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass

    def send(self, *statements: str) -> None:
        """Ask; the answers come when they come."""
        text = "".join(statement.strip() + ";\n" for statement in statements).encode()
        try:
            if self._child.stdin:
                self._child.stdin.write(text)
                self._child.stdin.flush()
        except BrokenPipeError:
            pass  # wait() tells why it has gone

    def lines(self) -> list[str]:
        """All that it has answered."""
        return os.pread(self._said.fileno(), 1 << 30, 0).decode("utf-8").splitlines()

    def wait(self, word: str, limit: float = 60.0) -> str:
        """The rest of the line that begins with a word.

        Raises:
            OpsError: It ended, or that did not come in time.
        """
        until = time.monotonic() + limit
        while True:
            gone = self._child.poll() is not None
            for line in self.lines():
                if line.startswith(word):
                    return line[len(word) :]
            if gone:
                said = os.pread(self._errors.fileno(), chain.SAID, 0).decode("utf-8", "backslashreplace")
                raise OpsError("failed: " + redact(" / ".join(said.split("\n")).strip(" /")), "psql")
            if time.monotonic() > until:
                raise OpsError("did not answer within %g s" % limit, "psql")
            time.sleep(0.02)


class Scratch:
    """A server of its own for a moment: its folder, socket and port are nobody else's, and it ends with this program.

    The kernel ends it when this program dies, even by SIGKILL; what lies in the folder then is taken away by the next
    one (shelf.sweep of its root).
    """

    def __init__(self, host: Host, folder: str, account: str, major: int) -> None:
        self._host, self.folder, self._account = host, folder, account
        self._bin = binaries(major)
        self._child: Any = None

    def __enter__(self) -> Scratch:
        import shutil

        if self._account:
            shutil.chown(self.folder, self._account)
        data = os.path.join(self.folder, "data")
        made = self._host.run(
            [
                *self._become(),
                os.path.join(self._bin, "initdb"),
                "--no-sync",
                "--auth=trust",
                "--username=scratch",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--pgdata=" + data,
            ],
            timeout=120,
        )
        if made.rc:
            raise OpsError("failed: %s" % made.stderr.strip()[-400:], "initdb")
        self._start(data)
        return self

    def _start(self, data: str) -> None:
        import subprocess

        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.folder,
            "unix_socket_permissions": "0700",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_wal_size": "4GB",
            "autovacuum": "off",
            "logging_collector": "off",
            "shared_buffers": "64MB",
        }
        words = [word for name, value in settings.items() for word in ("-c", "%s=%s" % (name, value))]
        argv = [*self._become("--pdeathsig=QUIT"), os.path.join(self._bin, "postgres"), "-D", data, *words]
        self._log = open(os.path.join(self.folder, "server.log"), "wb")  # noqa: SIM115 - closed by __exit__
        self._child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True, cwd="/"
        )
        until = time.monotonic() + 60
        while True:
            if self._child.poll() is not None:
                with open(os.path.join(self.folder, "server.log"), "rb") as stream:
                    said = stream.read().decode("utf-8", "backslashreplace").strip().splitlines()
                raise OpsError("the scratch server did not start: %s" % " / ".join(said[-2:]), "postgres")
            if os.path.exists(os.path.join(self.folder, ".s.PGSQL.5432")):
                return
            if time.monotonic() > until:
                raise OpsError("the scratch server did not start within 60 s", "postgres")
            time.sleep(0.05)

    def _become(self, *more: str) -> list[str]:
        account = self._account
        who = ["--reuid=" + account, "--regid=" + account, "--init-groups"] if account else []
        return [chain.find("setpriv"), *who, *more, "--"] if who or more else []

    def options(self, database: str, options: Json) -> Json:
        """How a PostgreSQL store reaches a database here."""
        mine = {"database": database, "address": self.folder, "port": 5432, "login": "scratch", "credentials_file": ""}
        return dict(options, **mine)

    def __exit__(self, *_error: object) -> None:
        import signal

        if self._child and self._child.poll() is None:
            os.kill(self._child.pid, signal.SIGQUIT)
            self._child.wait()
        self._log.close()


def binaries(major: int) -> str:
    """The folder with initdb and postgres, of the oldest version that is not older than a server's.

    Raises:
        OpsError: There is none.
    """
    import glob

    found = {}
    for path in glob.glob("/usr/lib/postgresql/*/bin/initdb") + glob.glob("/usr/pgsql-*/bin/initdb"):
        number = re.search(r"(\d+)/bin/initdb$", path)
        if number and int(number.group(1)) >= major:
            found[int(number.group(1))] = os.path.dirname(path)
    if not found:
        raise OpsError(
            "there is no server of version %d or newer on this host" % major,
            "/usr/lib/postgresql",
            "Install package postgresql-%d, or verify on a host that has it" % major,
        )
    return found[min(found)]


def restore(folder: str, store: PostgreSQL, patience: chain.Patience, only: list[str] | None = None) -> None:
    """Load a backup, or some tables of it, into the empty database of a store; the first error ends it."""
    tables = ["--table=" + name for name in only or []]
    argv = ["pg_restore", "--exit-on-error", "--no-owner", "--no-privileges", "--no-password", *tables]
    argv.append("--dbname=")  # which one, the environment says: a name with an equals sign would be read as options
    chain.run([decompress(os.path.join(folder, ARCHIVE)), store.stage(argv)], len, patience)
