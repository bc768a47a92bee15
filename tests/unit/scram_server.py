# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that demands a login and speaks SCRAM as RFC 5802 tells the server's half, with replies of FerretDB else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
from typing import Any

from recorded_mongodb import Recorded, message, recorded

FAILED = {"ok": 0.0, "code": 18, "errmsg": "Authentication failed."}


class ScramServer(Recorded):
    """Takes `secret` (the password, for SCRAM-SHA-1 MongoDB's MD5 of it) from `user`.

    `offered` are the mechanisms that isMaster tells (None: it tells none), `has` those that it really has. `said` may
    replace parts of what it says: salt, rounds, nonce (added to the client's), signature, done, start and final (a
    whole payload), and `falls_silent` after the command of that name.
    """

    def __init__(self, secret: bytes, user: str = "probe", **said: Any) -> None:
        self.secret, self.user, self.said = secret, user, said
        self.offered: list[str] | None = ["SCRAM-SHA-1", "SCRAM-SHA-256"]
        self.has = ["SCRAM-SHA-1", "SCRAM-SHA-256"]
        self.spoken: list[str] = []
        self.let_in: set[socket.socket] = set()
        self.algorithm = ""
        super().__init__({})
        open_ = recorded("healthy")
        closed = recorded("unauthorized")
        names = [*open_, "saslStart", "saslContinue", "isMaster"]
        self.replies.update({name: self._answer(name, open_, closed) for name in names})

    def _answer(self, name: str, open_: dict[str, Any], closed: dict[str, Any]) -> Any:
        def answer(made: socket.socket, serial: int) -> None:
            if name == self.said.get("falls_silent"):
                return
            does = {"isMaster": self._is_master, "saslStart": self._start, "saslContinue": self._continue}.get(name)
            reply = does(self.asked[-1]) if does else (open_ if made in self.let_in else closed)[name]
            if name == "saslContinue" and reply.get("done"):
                self.let_in.add(made)
            made.sendall(message(reply, serial))

        return answer

    def _is_master(self, command: dict[str, Any]) -> dict[str, Any]:
        told = {} if self.offered is None else {"saslSupportedMechs": self.offered}
        return {"ok": 1.0, "ismaster": True, **told}

    def _start(self, command: dict[str, Any]) -> dict[str, Any]:
        if command["mechanism"] not in self.has:
            return {"ok": 0.0, "code": 2, "errmsg": "Received authentication for mechanism that is not known"}
        self.algorithm = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}[command["mechanism"]]
        header, name, nonce = command["payload"].decode().replace(",,", ",", 1).split(",")
        assert header == "n", "no channel is bound"
        if name != f"n={self.user}":
            return FAILED
        first = "{}{},s={},i={}".format(
            nonce,
            self.said.get("nonce", "server"),
            self.said.get("salt", base64.b64encode(b"salt and pepper").decode()),
            self.said.get("rounds", 4096),
        )
        self.spoken = [f"{name},{nonce}", self.said.get("start", first)]
        return {"ok": 1.0, "conversationId": 7, "done": False, "payload": self.spoken[1].encode()}

    def _continue(self, command: dict[str, Any]) -> dict[str, Any]:
        text = command["payload"].decode()
        if not text:
            return {"ok": 1.0, "conversationId": 7, "done": True, "payload": b""}
        final, _, proof = text.rpartition(",p=")
        spoken = ",".join([*self.spoken, final]).encode()
        salted = hashlib.pbkdf2_hmac(self.algorithm, self.secret, b"salt and pepper", self.said.get("rounds", 4096))
        key = hmac.new(salted, b"Client Key", self.algorithm).digest()
        owed = hmac.new(hashlib.new(self.algorithm, key).digest(), spoken, self.algorithm).digest()
        if bytes(a ^ b for a, b in zip(key, owed, strict=True)) != base64.b64decode(proof):
            return FAILED
        server = hmac.new(salted, b"Server Key", self.algorithm).digest()
        signature = base64.b64encode(hmac.new(server, spoken, self.algorithm).digest()).decode()
        payload = self.said.get("final", f"v={self.said.get('signature', signature)}")
        return {"ok": 1.0, "conversationId": 7, "done": self.said.get("done", True), "payload": payload.encode()}
