# SPDX-License-Identifier: BSD-2-Clause
"""The file with a connection string that a probe logs in with. Nothing that is told of it shows what stands in it."""

from __future__ import annotations

from ..errors import CannotLook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

_LONGEST = 65536
_SCHEME = "mongodb://"
_FORM = "Write mongodb://USER:PASSWORD@HOST/?authSource=DATABASE into its first line, with %XX for special characters."
_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-1")
_FALSE = ("", "false")
_HEX = set("0123456789abcdefABCDEF")


def refuse_open(host: Host, path: str) -> None:
    """Only the file's owner may read it.

    Raises:
        CannotLook: It is not there, or others may read it.
    """
    try:
        stat = host.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise CannotLook("does not exist", path, "Write the connection string into it, mode 0600.") from None
    except PermissionError:
        raise CannotLook("may not be reached by this user", path) from None
    if stat.kind != "file" or int(stat.mode, 8) & 0o077:
        raise CannotLook("others may read it (%s %s)" % (stat.kind, stat.mode), path, "chmod 0600 %s" % path)


def read(host: Host, path: str) -> dict[str, Any]:
    """user, password, source and mechanism (or None) of the connection string in path; see mongoscram.log_in.

    Raises:
        CannotLook: There is no such file, others may read it, or it holds no connection string of that kind.
    """
    refuse_open(host, path)
    try:
        lines = host.read(path, _LONGEST).decode().strip().split("\n")
    except UnicodeDecodeError:
        raise CannotLook("is not UTF-8", path, _FORM) from None
    except PermissionError:
        raise CannotLook("may not be read by this user", path) from None
    try:
        return parse(lines[0].strip())
    except CannotLook as error:
        raise CannotLook(error.what, path, error.hint) from None


def parse(text: str) -> dict[str, Any]:
    """Of the connection string count the user, the password and how to log in; its hosts are the check's.

    Source: the connection string specification of MongoDB's drivers.
    """
    if not text.startswith(_SCHEME):
        raise CannotLook("does not begin with " + _SCHEME, hint=_FORM)
    place, _mark, query = text[len(_SCHEME) :].partition("?")
    authority, _slash, database = place.partition("/")
    login, at, _hosts = authority.rpartition("@")
    user, colon, password = login.partition(":")
    if not (at and colon and user and password):
        raise CannotLook("names no user and password", hint=_FORM)
    if "@" in login or ":" in password:
        raise CannotLook("has an @ or a : in the user or the password", hint="Write %40 for @ and %3A for :.")
    options = _options(query)
    return {
        "user": _plain(user),
        "password": _plain(password),
        "source": options.get("authsource") or _plain(database) or "admin",
        "mechanism": _mechanism(options),
    }


def _options(query: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return {name.lower(): _plain(value) for name, _equals, value in pairs}


def _mechanism(options: dict[str, str]) -> str | None:
    """The mechanism that is asked for by name; what SCRAM over plain TCP cannot do is left to the client."""
    client = "Set auth: client, which asks through mongosh."
    if any(options.get(name, "").lower() not in _FALSE for name in ("tls", "ssl")):
        raise CannotLook("asks for TLS, which this login does not speak", hint=client)
    named = options.get("authmechanism", "").upper()
    if named not in ("", "DEFAULT", *_SCRAM) or options.get("authsource") == "$external":
        raise CannotLook("asks for another login than SCRAM", hint=client)
    return named if named in _SCRAM else None


def _plain(text: str) -> str:
    """Text without percent escapes."""
    first, *others = text.split("%")
    escapes = "".join(part[:2].ljust(2) for part in others)
    try:
        if not set(escapes) <= _HEX:
            raise ValueError
        return (first.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in others)).decode()
    except ValueError:
        raise CannotLook("has a % that begins no escape, or one of no UTF-8", hint="Write %25 for %.") from None
