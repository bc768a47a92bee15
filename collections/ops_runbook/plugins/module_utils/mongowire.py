# SPDX-License-Identifier: BSD-2-Clause
"""MongoDB commands over a socket: OP_MSG without a driver, without authentication, one command at a time.

Source: the MongoDB wire protocol, OP_MSG (opcode 2013), understood by MongoDB 3.6 and newer and by FerretDB.
"""

from __future__ import annotations

import struct
import time

from .bson import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from .host import Host

_OP_MSG = 2013
_LARGEST = 48 * 1024 * 1024  # maxMessageSizeBytes of every server


class NoAnswer(Exception):
    """The server gave no usable answer; `kind` is refused | timeout | closed | unreachable | protocol."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        super().__init__(text)


class Connection:
    """One connection whose whole life may not last longer than its limit in seconds."""

    def __init__(self, host: Host, address: str, port: int, limit: float) -> None:
        self._end = time.monotonic() + limit
        self._serial = 0
        try:
            self._socket: socket.socket = host.connect(address, port, limit)
        except OSError as error:
            raise _no_answer(error) from error

    def left(self) -> float:
        """Seconds of the limit that are left, at least a millisecond: a socket takes 0 for "do not wait"."""
        return max(0.001, self._end - time.monotonic())

    def command(self, database: str, body: dict[str, Any]) -> dict[str, Any]:
        """The reply to one command; a reply with ok 0 is a reply.

        Raises:
            NoAnswer: No connection, no reply in time, or one that is not MongoDB's.
        """
        try:
            return decode(self.raw(database, body))
        except ValueError as error:
            raise NoAnswer("protocol", "the answer is not MongoDB's: %s" % error) from error

    def raw(self, database: str, body: dict[str, Any]) -> bytes:
        """As command, but the reply as the BSON that it came as."""
        self._serial += 1
        payload = struct.pack("<IB", 0, 0) + encode(dict(body, **{"$db": database}))
        header = struct.pack("<iiii", len(payload) + 16, self._serial, 0, _OP_MSG)
        try:
            self._socket.settimeout(self.left())
            self._socket.sendall(header + payload)
            return self._reply()
        except OSError as error:
            raise _no_answer(error) from error
        except (ValueError, struct.error) as error:
            raise NoAnswer("protocol", "the answer is not MongoDB's: %s" % error) from error

    def _reply(self) -> bytes:
        size, _serial, answers, opcode = struct.unpack("<iiii", self._exactly(16))
        if opcode != _OP_MSG or answers != self._serial or not 26 <= size <= _LARGEST:
            raise ValueError("opcode %d, %d bytes" % (opcode, size))
        payload = self._exactly(size - 16)
        flags, kind = struct.unpack_from("<IB", payload)
        if kind:
            raise ValueError("section of kind %d" % kind)
        return payload[5:-4] if flags & 1 else payload[5:]  # bit 0: a checksum follows; TCP has its own

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            self._socket.settimeout(self.left())
            part = self._socket.recv(min(size, 65536))
            if not part:
                raise NoAnswer("closed", "the server closed the connection")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


def _no_answer(error: OSError) -> NoAnswer:
    import socket

    if isinstance(error, (socket.timeout, TimeoutError)):
        return NoAnswer("timeout", "no answer within the limit")
    if isinstance(error, ConnectionRefusedError):
        return NoAnswer("refused", "connection refused")
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return NoAnswer("closed", "the server closed the connection")
    return NoAnswer("unreachable", error.strerror or str(error))
