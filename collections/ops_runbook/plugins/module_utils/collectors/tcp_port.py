# SPDX-License-Identifier: BSD-2-Clause
"""A TCP port: who listens on it, and whether a connection gets through. Source: proc(5), /proc/net/tcp."""

from __future__ import annotations

import time

from ..errors import BadInput, CannotLook
from ..names import user_name
from . import _proc, _units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

SPEC = {
    "port": {"type": "int", "required": True, "doc": "The port's number."},
    "host": {"type": "str", "doc": "Address to connect to; without it the one that is listened on."},
    "unit": dict(_units.UNIT, doc="The unit that ought to own the port; names it may have here."),
}
FIELDS = {
    "port": "the port asked for",
    "listening": "whether a process listens on the port",
    "addresses": "addresses it listens on",
    "owner_pid": "process id of the listener; None when nobody listens",
    "owner_command": "its name as the kernel keeps it, at most 15 characters",
    "owner_user": "the user that opened the socket",
    "owner_unit": "the systemd unit the listener runs in; None when it is in none",
    "foreign": "whether a process outside the unit holds the port; None without a unit or when nobody listens",
    "waiting": "connections that were made and that the process has not taken yet; None when nobody listens",
    "accepts": "whether a connection was made",
    "connect_ms": "milliseconds until it was; None when it was not",
    "error": "why not: refused, timeout, or the system's words; None when it was",
}
_OWNER = ("owner_pid", "owner_command", "owner_unit", "foreign")


def verify(args: dict[str, Any]) -> None:
    """A port that exists."""
    _units.verify_names(args["unit"])
    if not 1 <= args["port"] <= 65535:
        raise BadInput("%d is not a port" % args["port"], "port", "Give a number from 1 to 65535.")


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Measure one port."""
    end = time.monotonic() + args["timeout"]
    sockets = _listeners(host, args["port"])
    addresses = sorted({one[0] for one in sockets})
    data: dict[str, Any] = {"port": args["port"], "listening": bool(sockets), "addresses": addresses}
    data.update(_connect(host, args["host"] or _reachable(addresses), args["port"], end - time.monotonic()))
    if not sockets:
        return {"data": data, "missing": []}
    data["waiting"] = max(one[3] for one in sockets)
    data["owner_user"] = user_name(sockets[0][1])
    pid, blind = _owner(host, {"socket:[%s]" % one[2] for one in sockets})
    if pid is None:
        unseen = [name for name in _OWNER if name != "foreign" or args["unit"]]
        return {"data": data, "missing": unseen if blind else []}
    try:
        data.update(owner_pid=pid, owner_command=_proc.command(host, pid), owner_unit=_proc.unit(host, pid))
    except _proc.GONE:
        return {"data": data, "missing": list(_OWNER)}
    if not args["unit"]:
        return {"data": data, "missing": []}
    try:
        own = _units.show(host, args["unit"], args["timeout"])["Id"]
    except CannotLook:
        return {"data": data, "missing": ["foreign"]}
    data["foreign"] = data["owner_unit"] not in (own, *map(_units.full_name, args["unit"]))
    return {"data": data, "missing": []}


def _listeners(host: Host, port: int) -> list[tuple[str, int, str, int]]:
    """(address, uid, inode, connections that wait) of each listening socket."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = host.read(table, limit=16777216).decode("ascii", "replace").splitlines()[1:]
        except FileNotFoundError:  # no IPv6 here
            continue
        for line in lines:
            fields = line.split()
            address, _colon, number = fields[1].partition(":")
            if fields[3] == "0A" and int(number, 16) == port:
                waiting = int(fields[4].partition(":")[2], 16)
                found.append((_address(address), int(fields[7]), fields[9], waiting))
    return found


def _address(hexadecimal: str) -> str:
    """An address of /proc/net/tcp: 32-bit words in the byte order of the machine, little-endian on all that we meet."""
    import socket

    words = [bytes.fromhex(hexadecimal[at : at + 8])[::-1] for at in range(0, len(hexadecimal), 8)]
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, b"".join(words))


def _reachable(addresses: list[str]) -> str:
    if not addresses or "0.0.0.0" in addresses or "127.0.0.1" in addresses:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return "::1" if addresses[0] == "::" else addresses[0]


def _connect(host: Host, address: str, port: int, limit: float) -> dict[str, Any]:
    began = time.monotonic()
    try:
        host.connect(address, port, max(0.05, limit)).close()
    except OSError as error:
        import socket

        if isinstance(error, (socket.timeout, TimeoutError)):
            return {"accepts": False, "error": "timeout"}
        refused = isinstance(error, ConnectionRefusedError)
        return {"accepts": False, "error": "refused" if refused else error.strerror or str(error)}
    return {"accepts": True, "connect_ms": round((time.monotonic() - began) * 1000, 1)}


def _owner(host: Host, names: set[str]) -> tuple[int | None, bool]:
    """The process that holds one of the sockets, and whether some processes could not be looked into."""
    blind = False
    for pid in _proc.pids(host):
        try:
            if names & set(_proc.descriptors(host, pid).values()):
                return pid, blind
        except _proc.GONE:
            continue
        except PermissionError:
            blind = True
    return None, blind
