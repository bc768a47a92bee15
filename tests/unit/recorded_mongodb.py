# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that gives replies recorded from FerretDB 1.24.2, or what a test puts in their place."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import bson
from bson import json_util

FIXTURES = Path(__file__).parents[1] / "fixtures" / "probe" / "mongodb"
DATA = {"database": "recommendation", "collection": "user_candidate"}
DEEP = {**DATA, "deep": True, "freshness_field": "modi_dt"}


class Recorded(threading.Thread):
    """Answers commands from `replies` by their name; a reply that is a function does as it likes with the socket."""

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
