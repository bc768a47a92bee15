# SPDX-License-Identifier: BSD-2-Clause
"""A MongoDB server, asked over the wire without a driver, and logged in to where it demands that.

Ping is not health: a server answers ping while its disk is full, its pages are damaged and its files are deleted. So
documents are read (`aggregate` with `$group` touches them, where a plain count may come from metadata), and a deep
check validates. Nothing here takes an exclusive lock or scans without a limit on documents and time. Codes 59, 115 and
238 say "not supported here" and are no error of health. Source: MongoDB database commands; FerretDB 1.24.2 as seen.
"""

from __future__ import annotations

import time

from ..errors import BadInput, CannotLook
from ..mongowire import Connection, NoAnswer
from . import _mongoreplies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ..host import Host

SPEC = {
    "host": {"type": "str", "default": "127.0.0.1", "doc": "Address of the server as seen from the target."},
    "port": {"type": "int", "default": 27017, "doc": "Its port."},
    "database": {"type": "str", "doc": "Database to read from."},
    "collection": {"type": "str", "doc": "Collection to count and read; without it there is only hello and ping."},
    "read_limit": {"type": "int", "default": 20000, "doc": "Read at most this many documents."},
    "auth": {
        "type": "str",
        "default": "none",
        "choices": ["none", "scram", "client"],
        "doc": "Where the server demands a login: scram logs in over the wire; client asks through mongosh or mongo, "
        "for logins that are not SCRAM.",
    },
    "credentials_file": {
        "type": "str",
        "doc": "File on the target that only its owner may read; its first line is a "
        "connection string with user and password.",
    },
    "deep": {"type": "bool", "default": False, "doc": "Also list, measure and validate the collection."},
    "freshness_field": {"type": "str", "doc": "With deep: a field of dates whose newest value is read by its index."},
    "write_check": {
        "type": "bool",
        "default": False,
        "doc": "Write one fixed document into a database of its own; the check needs writes: true.",
    },
}
FIELDS = {
    "answered": "whether the server answered a ping",
    "error": "why it did not: connection refused, no answer within the limit, ...; None when it did",
    "ping_ms": "milliseconds of the ping",
    "version": "version the server reports",
    "writable": "whether it takes writes: the primary of its set, or standalone",
    "secondary": "whether it is a secondary",
    "set_name": "name of its replica set; None when it is standalone",
    "primary": "address of the set's primary as the server sees it; None without a set",
    "authentication_required": "whether it refused a command because nobody was logged in",
    "login_ok": "whether it took the credentials; None when it demanded no login, or auth is none",
    "count": "documents in the collection; None when none was asked about",
    "count_ms": "milliseconds of the count",
    "read_documents": "documents that were read, at most read_limit",
    "read_ms": "milliseconds of that read",
    "read_ok": "whether count and read succeeded; None when no collection was asked about",
    "damaged": "whether an error says that stored data is damaged",
    "errors": "[{operation, code, message}] of what failed",
    "unsupported": "operations that this server does not have",
    "collections": "deep: count of collections in the database",
    "indexes": "deep: names of the collection's indexes",
    "data_bytes": "deep: size of the documents in bytes",
    "storage_bytes": "deep: bytes on disk",
    "freshness_seconds": "deep: age of the newest freshness_field in seconds; None when there are no documents",
    "validate_ok": "deep: whether validate found the collection sound",
    "write_ok": "whether the fixed document could be written; None when that was not asked for",
    "write_ms": "milliseconds of that write",
}
PROBE = "ops_runbook_probe"


def verify(args: dict[str, Any]) -> None:
    """Arguments that belong together."""
    if args["collection"] and not args["database"]:
        raise BadInput("is missing", "database", "Name the database of collection %s." % args["collection"])
    if args["deep"] and not args["collection"]:
        raise BadInput("is missing", "collection", "A deep check needs database and collection.")
    if args["freshness_field"] and not args["deep"]:
        raise BadInput("needs deep: true", "freshness_field", "Set deep: true and cost: deep.")
    if args["auth"] != "none" and not str(args["credentials_file"] or "").startswith("/"):
        raise BadInput("needs credentials_file", "auth", "Give the path of a root-only file on the target.")


def writes(args: dict[str, Any]) -> bool:
    """Whether a check with these arguments writes."""
    return bool(args["write_check"])


def later(args: dict[str, Any]) -> list[str]:
    """What a check with these arguments imports when the server demands a login."""
    return {"scram": ["mongoscram", "collectors._credentials"], "client": ["collectors._mongoshell"]}.get(
        args.get("auth", "none"), []
    )


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Measure one server."""
    ask = _Asker(host, args)
    replies = ask.first()
    if "lost" in replies["ping"]:
        error = replies["ping"]["message"]
        return {"data": {"answered": False, "error": error, "errors": [], "unsupported": []}, "missing": []}
    writable = _mongoreplies.writable(replies["hello"])
    steps = list(_steps(args, writable))
    replies.update(ask.more(steps))
    index = _mongoreplies.index_of(replies.get("listIndexes"), args["freshness_field"])
    if index:
        replies.update(ask.more([_newest(args, index)]))
    return _mongoreplies.read(replies, args, host.now(), ask.required)


class _Asker:
    """Puts steps to the server, and logs in at the first "Unauthorized" where credentials are given.

    A step is (name, database, command); a reply is {reply, ms}, {code, message, ms} or {lost, message}. The reply to
    the login has the name "login"; what a failed login kept from being asked is {lost: login}.
    """

    def __init__(self, host: Host, args: dict[str, Any]) -> None:
        self._host, self._args = host, args
        self._wire: Connection | None = None
        self._lost: dict[str, Any] | None = None
        self._end = time.monotonic() + args["timeout"]
        self.required = False

    def first(self) -> dict[str, Any]:
        """hello, ping and buildInfo, which need no login."""
        try:
            self._wire = Connection(self._host, self._args["host"], self._args["port"], self._args["timeout"])
        except NoAnswer as error:
            self._lost = {"lost": error.kind, "message": str(error)}
        replies = {name: self._one("admin", {name: 1}) for name in ("ping", "hello", "buildInfo")}
        if replies["hello"].get("code") in _mongoreplies.UNSUPPORTED:  # before 4.4.2 and 5.0
            replies["hello"] = self._one("admin", {"isMaster": 1})
        return replies

    def more(self, steps: list[Any]) -> dict[str, Any]:
        """Replies to steps, by name, and that of a login where it took one."""
        replies = self._all(steps)
        denied = [step for step in steps if replies[step[0]].get("code") == _mongoreplies.UNAUTHORIZED]
        if not denied:
            return replies
        if self._args["auth"] == "client":
            from . import _mongoshell

            left = self._end - time.monotonic()
            replies.update(_mongoshell.ask(self._host, self._args["credentials_file"], denied, left))
        elif self._args["auth"] == "scram" and not self.required:
            replies["login"] = self._log_in()
            again = self._all(denied) if "reply" in replies["login"] or self._lost else {}
            replies.update({name: again.get(name, {"lost": "login"}) for name, _database, _command in denied})
        self.required = True
        return replies

    def _log_in(self) -> dict[str, Any]:
        from .. import mongoscram
        from . import _credentials

        try:
            login = _credentials.read(self._host, self._args["credentials_file"])
            return self._timed(lambda wire: mongoscram.log_in(wire.command, login))
        except CannotLook as error:
            return {"lost": "login", "message": str(error)}

    def _all(self, steps: list[Any]) -> dict[str, Any]:
        return {name: self._one(database, command) for name, database, command in steps}

    def _one(self, database: str, command: dict[str, Any]) -> dict[str, Any]:
        return self._timed(lambda wire: wire.command(database, command))

    def _timed(self, ask: Callable[[Connection], dict[str, Any]]) -> dict[str, Any]:
        if self._lost or self._wire is None:
            return dict(self._lost or {})
        began = time.monotonic()
        try:
            reply = ask(self._wire)
        except NoAnswer as error:
            self._wire.close()
            self._lost = {"lost": error.kind, "message": str(error)}
            return dict(self._lost)
        took = round((time.monotonic() - began) * 1000, 1)
        if reply.get("ok"):
            return {"reply": reply, "ms": took}
        return {"code": reply.get("code"), "message": str(reply.get("errmsg", "no reason given")), "ms": took}


def _steps(args: dict[str, Any], writable: bool) -> Any:
    """What to ask after the greeting, in order; every read has a time limit at the server."""
    database, collection = args["database"], args["collection"]
    limit = {"maxTimeMS": max(1, int(args["timeout"] * 900))}
    if collection:
        yield "count", database, dict({"count": collection, "query": {}}, **limit)
        pipeline = [{"$limit": args["read_limit"]}, {"$group": {"_id": None, "n": {"$sum": 1}}}]
        yield "read", database, dict({"aggregate": collection, "pipeline": pipeline, "cursor": {}}, **limit)
    if args["deep"]:
        yield "listCollections", database, {"listCollections": 1, "nameOnly": True}
        yield "listIndexes", database, {"listIndexes": collection}
        yield "collStats", database, {"collStats": collection}
        # without `background` validate locks the collection against everyone
        yield "validate", database, dict({"validate": collection, "background": True}, **limit)
    if args["write_check"] and writable:
        change = {"q": {"_id": "ops-runbook-probe"}, "u": {"$currentDate": {"at": True}}, "upsert": True}
        yield "write", PROBE, {"update": PROBE, "updates": [change]}


def _newest(args: dict[str, Any], index: str) -> Any:
    field = args["freshness_field"]
    return (
        "newest",
        args["database"],
        {
            "find": args["collection"],
            "sort": {field: -1},
            "limit": 1,
            "hint": index,
            "projection": {field: 1},
            "maxTimeMS": max(1, int(args["timeout"] * 900)),
        },
    )
