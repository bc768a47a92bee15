# SPDX-License-Identifier: BSD-2-Clause
"""A login to MongoDB by SCRAM-SHA-256 or SCRAM-SHA-1: the password is proven and never sent, and the server proves it.

Source: RFC 5802, RFC 7677, SASLprep (RFC 4013); the authentication specification of MongoDB's drivers.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os

from .errors import CannotLook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    Ask = Callable[[str, dict[str, Any]], dict[str, Any]]

MECHANISMS = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}  # the better one first
_NO_MECHANISM = (2, 334)  # BadValue of MongoDB 3.6, MechanismUnavailable
# RFC 7677 asks for 4096 at least, MongoDB takes 15000; a million costs a second of this host's processor
_FEWEST, _MOST = 4096, 1000000
_FORBIDDEN = ("a1", "c12", "c21_c22", "c3", "c4", "c5", "c6", "c7", "c8", "c9")  # tables of RFC 3454


def log_in(ask: Ask, login: dict[str, Any]) -> dict[str, Any]:
    """The reply with which the server let us in (ok 1; it knew the password, too), or did not (ok 0).

    Args:
        ask: Sends a command to a database of one connection and returns the reply.
        login: user, password, source (database of the user), mechanism (None: the best that the server has for it).

    Raises:
        CannotLook: There is no common mechanism, or the server's part of the conversation is wrong.
    """
    reply: dict[str, Any] = {}
    for mechanism in _mechanisms(ask, login):
        reply = _converse(ask, login, mechanism)
        if reply.get("code") not in _NO_MECHANISM:
            break
    return reply


def _mechanisms(ask: Ask, login: dict[str, Any]) -> list[str]:
    """Those to try; more than one only where the server does not say: it is older than 4.0, or has no such user."""
    if login["mechanism"]:
        return [login["mechanism"]]
    # not hello: servers of 4.0 know only this one, and every later server still does
    asked = {"isMaster": 1, "saslSupportedMechs": "%s.%s" % (login["source"], login["user"])}
    told = ask("admin", asked).get("saslSupportedMechs")
    if not isinstance(told, list):
        return list(MECHANISMS)
    common = [mechanism for mechanism in MECHANISMS if mechanism in told]
    if not common:
        offered = ", ".join(str(one)[:40] for one in told[:5]) or "nothing"
        raise CannotLook("the server offers this user no SCRAM but %s" % offered)
    return common[:1]


def _converse(ask: Ask, login: dict[str, Any], mechanism: str) -> dict[str, Any]:
    algorithm = MECHANISMS[mechanism]
    secret = _secret(login, algorithm)
    nonce = binascii.b2a_base64(os.urandom(24), newline=False).decode()
    bare = "n=%s,r=%s" % (login["user"].replace("=", "=3D").replace(",", "=2C"), nonce)
    start = {"saslStart": 1, "mechanism": mechanism, "options": {"skipEmptyExchange": True}}
    reply = ask(login["source"], dict(start, payload=("n,," + bare).encode()))
    if not reply.get("ok"):
        return reply
    first = _payload(reply)
    told = challenge(first, nonce)
    final = "c=biws,r=" + told["nonce"]
    proof, signature = prove(secret, told, ",".join((bare, first, final)).encode(), algorithm)
    go_on = {"saslContinue": 1, "conversationId": reply.get("conversationId")}
    reply = ask(login["source"], dict(go_on, payload=("%s,p=%s" % (final, proof)).encode()))
    if not reply.get("ok"):
        return reply
    if not hmac.compare_digest(_payload(reply).encode(), ("v=" + signature).encode()):
        raise CannotLook("the server does not know this user's password itself; it may be another server")
    if not reply.get("done"):  # servers before 4.4 do not know skipEmptyExchange
        reply = ask(login["source"], dict(go_on, payload=b""))
    return reply


def _secret(login: dict[str, Any], algorithm: str) -> bytes:
    """What is hashed: the password, or for SCRAM-SHA-1 the MD5 of user and password that MongoDB kept before it."""
    if algorithm == "sha256":
        return prepared(login["password"]).encode()
    text = "%s:mongo:%s" % (login["user"], login["password"])
    try:
        digest = hashlib.md5(text.encode())  # noqa: S324 - what this mechanism demands
    except ValueError:
        raise CannotLook("SCRAM-SHA-1 needs MD5, which this host forbids; give the user SCRAM-SHA-256") from None
    return digest.hexdigest().encode()


def _payload(reply: dict[str, Any]) -> str:
    payload = reply.get("payload")
    try:
        return payload.decode() if isinstance(payload, bytes) else ""
    except UnicodeDecodeError:
        return ""


def challenge(text: str, nonce: str) -> dict[str, Any]:
    """nonce, salt (bytes) and rounds of the server's first message."""
    parts = [part.partition("=") for part in text.split(",")]
    names, values = [part[0] for part in parts], [part[2] for part in parts]
    if names[:3] != ["r", "s", "i"] or not values[2].isdecimal() or len(values[2]) > 9:
        raise CannotLook("the server's answer to the login is not SCRAM's")
    if not values[0].startswith(nonce) or values[0] == nonce:
        raise CannotLook("the server's answer belongs to another login")
    rounds = int(values[2])
    if not _FEWEST <= rounds <= _MOST:
        raise CannotLook("the server asks for %d rounds of hashing, not %d to %d" % (rounds, _FEWEST, _MOST))
    try:
        salt = binascii.a2b_base64(values[1])
    except ValueError:
        salt = b""
    if not salt:
        raise CannotLook("the server's answer to the login has no salt")
    return {"nonce": values[0], "salt": salt, "rounds": rounds}


def prove(secret: bytes, told: dict[str, Any], text: bytes, algorithm: str) -> tuple[str, str]:
    """Our proof and the signature that the server owes, in base64; text is what both sides have said (AuthMessage)."""
    salted = hashlib.pbkdf2_hmac(algorithm, secret, told["salt"], told["rounds"])
    key = hmac.new(salted, b"Client Key", algorithm).digest()
    stored = hashlib.new(algorithm, key).digest()
    signed = hmac.new(stored, text, algorithm).digest()
    proof = bytes(one ^ other for one, other in zip(key, signed))  # noqa: B905 - as long
    signature = hmac.new(hmac.new(salted, b"Server Key", algorithm).digest(), text, algorithm).digest()
    return binascii.b2a_base64(proof, newline=False).decode(), binascii.b2a_base64(signature, newline=False).decode()


def prepared(text: str) -> str:
    """A password by SASLprep, so that however it was typed it gives the same bytes.

    Raises:
        CannotLook: It has characters that no password may have.
    """
    if text.isascii() and text.isprintable():
        return text
    import stringprep
    import unicodedata

    mapped = [" " if stringprep.in_table_c12(one) else one for one in text if not stringprep.in_table_b1(one)]
    normal = unicodedata.ucd_3_2_0.normalize("NFKC", "".join(mapped))
    forbidden = [getattr(stringprep, "in_table_" + name) for name in _FORBIDDEN]
    if not normal or any(test(one) for one in normal for test in forbidden) or not _one_way(normal, stringprep):
        raise CannotLook("the password has characters that SASLprep (RFC 4013) forbids")
    return normal


def _one_way(text: str, stringprep: Any) -> bool:
    """Whether text keeps the rule on writing directions (RFC 3454, section 6)."""
    if not any(stringprep.in_table_d1(one) for one in text):
        return True
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return bool(ends and not any(stringprep.in_table_d2(one) for one in text))
