# SPDX-License-Identifier: GPL-3.0-or-later
"""The login to MongoDB: the RFCs' own examples, connection strings, SASLprep beside pymongo's, and hostile servers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import mongoscram
from ansible_collections.ops.runbook.plugins.module_utils.collectors import _credentials
from ansible_collections.ops.runbook.plugins.module_utils.errors import CannotLook
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost
from hypothesis import given
from hypothesis import strategies as some
from pymongo.saslprep import saslprep
from recorded_mongodb import DATA
from scram_server import ScramServer

PASSWORD = "s3cret:/@%"
ESCAPED = "s3cret%3A%2F%40%25"
MD5 = b"cc7b0c1db88a8ed25bcd904b22f65bb5"  # of probe:mongo:PASSWORD


# ---- the proof


EXAMPLES = {
    "RFC 5802, section 5": (
        ("sha1", b"pencil"),
        "fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        ("v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ="),
    ),
    "RFC 7677, section 3": (
        ("sha256", b"pencil"),
        "rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        ("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
    ),
    "MongoDB's authentication specification, with the MD5 of user:mongo:pencil": (
        ("sha1", b"1c33006ec1ffd90f9cadcbcc0e118200"),
        "fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,s=rQ9ZY3MntBeuP3E1TDVC4w==,i=10000",
        ("MC2T8BvbmWRckDw8oWl5IVghwCY=", "UMWeI25JD1yNYZRMpZ4VHvhZ9e0="),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_that_are_published(name: str) -> None:
    (algorithm, secret), nonce, first, expected = EXAMPLES[name]
    told = mongoscram.challenge(first, nonce)
    text = f"n=user,r={nonce},{first},c=biws,r={told['nonce']}"
    assert mongoscram.prove(secret, told, text.encode(), algorithm) == expected


@given(some.text(min_size=1, max_size=12))
def test_a_password_is_prepared_as_pymongo_prepares_it(text: str) -> None:
    try:
        expected = saslprep(text)
    except ValueError:
        expected = None
    try:
        assert mongoscram.prepared(text) == expected
    except CannotLook:
        assert not expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("비밀번호", "비밀번호"),
    ],
)
def test_saslprep_as_rfc_4013_shows_it(text: str, expected: str) -> None:
    assert mongoscram.prepared(text) == expected


@pytest.mark.parametrize("text", ["s3cret\x07", "s3cret\nb", "\u0627s3cret1", "s3cret\ue000", "\u00ad"])
def test_what_no_password_may_have(text: str) -> None:
    with pytest.raises(CannotLook, match="SASLprep") as caught:
        mongoscram.prepared(text)
    assert "s3cret" not in str(caught.value)


# ---- the connection string


@pytest.mark.parametrize(
    ("text", "user", "password", "source", "mechanism"),
    [
        ("mongodb://u:p@h", "u", "p", "admin", None),
        ("mongodb://u:p@h/", "u", "p", "admin", None),
        ("mongodb://u:p@h/shop", "u", "p", "shop", None),
        ("mongodb://u:p@h:1,g:2/shop?replicaSet=rs0&authSource=users", "u", "p", "users", None),
        ("mongodb://u:p@h?AUTHSOURCE=users&authmechanism=scram-sha-1", "u", "p", "users", "SCRAM-SHA-1"),
        (f"mongodb://a%2Cb%3Dc:{ESCAPED}@%2Ftmp%2Fmongodb.sock/", "a,b=c", PASSWORD, "admin", None),
        (
            "mongodb://%ED%95%9C:%EA%B5%AD@h/?tls=false&authMechanism=SCRAM-SHA-256",
            "한",
            "국",
            "admin",
            "SCRAM-SHA-256",
        ),
        ("mongodb://한:국@h/", "한", "국", "admin", None),
    ],
)
def test_connection_strings(text: str, user: str, password: str, source: str, mechanism: str | None) -> None:
    found = _credentials.parse(text)
    assert found == {"user": user, "password": password, "source": source, "mechanism": mechanism}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not begin with mongodb://"),
        ("s3cret", "does not begin with mongodb://"),
        ("mongodb+srv://probe:s3cret@h/", "does not begin with mongodb://"),
        ("mongodb://h/", "names no user and password"),
        ("mongodb://s3cret@h/", "names no user and password"),
        ("mongodb://s3cret:@h/", "names no user and password"),
        ("mongodb://:s3cret@h/", "names no user and password"),
        ("mongodb://probe:s3cret/more@h/", "names no user and password"),
        ("mongodb://probe:s3cret?more@h/", "names no user and password"),
        ("mongodb://probe:s3cret@more@h/", "Write %40 for @"),
        ("mongodb://probe:s3cret:more@h/", "%3A for :"),
        ("mongodb://probe:s3cret%@h/", "Write %25 for %"),
        ("mongodb://probe:s3cret%4@h/", "Write %25 for %"),
        ("mongodb://probe:s3cret%zz@h/", "Write %25 for %"),
        ("mongodb://probe:s3cret%+1@h/", "Write %25 for %"),
        ("mongodb://probe:s3cret%  @h/", "Write %25 for %"),
        ("mongodb://probe:s3cret%FF@h/", "no UTF-8"),
        ("mongodb://probe:s3cret@h/?tls=true", "asks for TLS"),
        ("mongodb://probe:s3cret@h/?ssl=true", "asks for TLS"),
        ("mongodb://probe:s3cret@h/?authMechanism=PLAIN", "another login than SCRAM. Set auth: client"),
        ("mongodb://probe:s3cret@h/?authSource=$external", "another login than SCRAM. Set auth: client"),
    ],
)
def test_what_is_no_such_connection_string(text: str, words: str) -> None:
    with pytest.raises(CannotLook) as caught:
        _credentials.parse(text)
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.hint


# ---- a whole login


@pytest.fixture
def server() -> Iterator[Any]:
    made: list[ScramServer] = []

    def start(secret: bytes = PASSWORD.encode(), **said: Any) -> ScramServer:
        made.append(ScramServer(secret, **said))
        return made[-1]

    yield start
    for one in made:
        one.socket.close()


@pytest.fixture
def look(measure: Any, tmp_path: Path) -> Any:
    """Measure a server with credentials in a file."""

    def look(server: ScramServer, uri: str = f"mongodb://probe:{ESCAPED}@h/", **args: Any) -> Any:
        path = tmp_path / "mongodb.uri"
        path.write_text(uri + "\n")
        path.chmod(0o600)
        given_ = {"auth": "scram", "credentials_file": str(path), "port": server.port, **DATA, **args}
        found = measure(LocalHost(), "mongodb", **given_)
        assert "s3cret" not in str(found)
        assert "s3cret" not in str(server.asked)
        return found

    return look


def sasl(server: ScramServer) -> list[str]:
    """The mechanisms that were tried, in order."""
    return [command["mechanism"] for command in server.asked if "saslStart" in command]


@pytest.mark.parametrize(
    ("secret", "offered", "options", "tried"),
    [
        (PASSWORD.encode(), ["SCRAM-SHA-1", "SCRAM-SHA-256"], "", ["SCRAM-SHA-256"]),
        (MD5, ["SCRAM-SHA-1", "GSSAPI"], "", ["SCRAM-SHA-1"]),
        (MD5, ["SCRAM-SHA-1", "SCRAM-SHA-256"], "?authMechanism=SCRAM-SHA-1", ["SCRAM-SHA-1"]),
        (PASSWORD.encode(), None, "", ["SCRAM-SHA-256"]),
    ],
)
def test_the_best_mechanism_is_taken(
    server: Any, look: Any, secret: bytes, offered: Any, *, options: str, tried: list[str]
) -> None:
    here = server(secret)
    here.offered = offered
    found = look(here, f"mongodb://probe:{ESCAPED}@h/{options}")
    assert (found["data"]["login_ok"], found["data"]["read_ok"], found["data"]["count"]) == (True, True, 3000)
    assert (found["data"]["errors"], found["missing"], found["data"]["authentication_required"]) == ([], [], True)
    assert sasl(here) == tried


def test_a_server_that_knows_only_sha_1_and_does_not_say_so(server: Any, look: Any) -> None:
    """MongoDB 3.6; it does not know skipEmptyExchange either."""
    here = server(MD5, done=False)
    here.offered, here.has = None, ["SCRAM-SHA-1"]
    data = look(here)["data"]
    assert (data["login_ok"], data["read_ok"]) == (True, True)
    assert sasl(here) == ["SCRAM-SHA-256", "SCRAM-SHA-1"]


def test_the_user_is_looked_up_in_its_own_database(server: Any, look: Any) -> None:
    here = server(user="a=2Cb=3Dc")
    assert look(here, f"mongodb://a%2Cb%3Dc:{ESCAPED}@h/?authSource=users")["data"]["login_ok"] is True
    asked = next(command for command in here.asked if "saslSupportedMechs" in command)
    assert asked["saslSupportedMechs"] == "users.a,b=c"
    assert {command["$db"] for command in here.asked if {"saslStart", "saslContinue"} & set(command)} == {"users"}


def test_no_login_where_none_is_demanded(serve: Any, look: Any) -> None:
    here = serve()
    data = look(here)["data"]
    assert (data["login_ok"], data["read_ok"], data["authentication_required"]) == (None, True, False)
    assert not any("sasl" in str(command) for command in here.asked)


@pytest.mark.parametrize("uri", ["mongodb://probe:wrong@h/", f"mongodb://nobody:{ESCAPED}@h/"])
def test_wrong_credentials_are_a_measurement(server: Any, look: Any, uri: str) -> None:
    found = look(server(), uri)
    data = found["data"]
    assert (data["answered"], data["login_ok"], data["read_ok"], data["damaged"]) == (True, False, None, False)
    assert data["errors"] == [{"operation": "login", "code": 18, "message": "Authentication failed."}]
    assert set(found["missing"]) == {"count", "read_documents", "read_ok"}


def test_a_user_without_the_right_to_read(server: Any, look: Any) -> None:
    here = server()
    here.replies["count"] = {"ok": 0.0, "code": 13, "errmsg": "not authorized on recommendation"}
    found = look(here)
    assert (found["data"]["login_ok"], found["data"]["errors"][0]["operation"]) == (True, "count")
    assert set(found["missing"]) == {"count", "read_ok"}


HOSTILE = {
    "another password on the server's side": ({"signature": "AAAA"}, "does not know this user's password itself"),
    "no signature": ({"final": "x=1"}, "does not know this user's password itself"),
    "letters that are not ASCII": ({"final": "v=é"}, "does not know this user's password itself"),
    "few rounds": ({"rounds": 4095}, "asks for 4095 rounds of hashing, not 4096 to 1000000"),
    "very many rounds": ({"rounds": 1000001}, "asks for 1000001 rounds"),
    "rounds beyond all measure": ({"rounds": "9" * 5000}, "is not SCRAM's"),
    "no number of rounds": ({"rounds": "-5000"}, "is not SCRAM's"),
    "a digit that is none": ({"rounds": "4096²"}, "is not SCRAM's"),
    "our nonce only": ({"nonce": ""}, "belongs to another login"),
    "another's nonce": ({"start": "r=x,s=c2FsdA==,i=4096"}, "belongs to another login"),
    "no salt": ({"salt": ""}, "has no salt"),
    "salt that is no base64": ({"salt": "a"}, "has no salt"),
    "an extension that must be understood": ({"start": "m=x,r=x,s=c2FsdA==,i=4096"}, "is not SCRAM's"),
    "nothing": ({"start": ""}, "is not SCRAM's"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_server_that_breaks_the_rules_is_not_believed(server: Any, look: Any, what: str) -> None:
    """Whether the credentials are right is then not known, so nobody may say that they are wrong."""
    said, words = HOSTILE[what]
    here = server(**said)
    began = time.monotonic()
    found = look(here)
    assert time.monotonic() - began < 2
    assert {"login_ok", "count", "read_ok"} <= set(found["missing"])
    assert found["data"]["login_ok"] is None
    assert words in found["data"]["errors"][0]["message"]
    assert sum("count" in command for command in here.asked) == 1, "asked on after a login that failed"


@pytest.mark.parametrize("offered", [["PLAIN"], [], ["MONGODB-X509", "GSSAPI"]])
def test_the_password_goes_to_nobody_who_offers_something_weaker(server: Any, look: Any, offered: list[str]) -> None:
    here = server()
    here.offered = offered
    found = look(here)
    assert "offers this user no SCRAM" in found["data"]["errors"][0]["message"]
    assert (sasl(here), "login_ok" in found["missing"]) == ([], True)


def test_a_server_that_withdraws_the_better_mechanism_gets_no_other(server: Any, look: Any) -> None:
    here = server(MD5)
    here.has = ["SCRAM-SHA-1"]
    found = look(here)
    assert (sasl(here), found["data"]["login_ok"]) == (["SCRAM-SHA-256"], None)
    assert "login_ok" in found["missing"]


@pytest.mark.parametrize("step", ["isMaster", "saslStart", "saslContinue"])
def test_a_server_that_falls_silent_in_the_login_does_not_work(server: Any, look: Any, step: str) -> None:
    began = time.monotonic()
    found = look(server(falls_silent=step), timeout=0.4)
    assert time.monotonic() - began < 1.5
    data = found["data"]
    assert (data["answered"], data["read_ok"], data["login_ok"]) == (True, False, None)
    assert "login_ok" in found["missing"]
    assert {one["message"] for one in data["errors"]} == {"no answer within the limit"}


def test_without_md5_sha_1_is_refused_in_words(server: Any, look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any) -> Any:
        raise ValueError("[digital envelope routines] unsupported")

    here = server(MD5)
    here.offered = ["SCRAM-SHA-1"]
    monkeypatch.setattr(hashlib, "md5", forbidden)
    assert "needs MD5, which this host forbids" in look(here)["data"]["errors"][0]["message"]


# ---- the file


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (None, 0o600, "mongodb.uri: does not exist"),
        (b"mongodb://probe:s3cret@h/", 0o640, "others may read it (file 0640)"),
        (b"mongodb://probe:s3cret@h/", 0o604, "chmod 0600"),
        (b"mongodb://probe:s3cret\xff@h/", 0o600, "is not UTF-8"),
        (b"", 0o600, "does not begin with mongodb://"),
        (b"password=s3cret", 0o600, "does not begin with mongodb://"),
    ],
)
def test_a_file_that_cannot_be_used_leaves_the_login_unknown(
    server: Any, measure: Any, tmp_path: Path, *, content: bytes | None, mode: int, words: str
) -> None:
    here, path = server(), tmp_path / "mongodb.uri"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    args = {"auth": "scram", "credentials_file": str(path), "port": here.port, **DATA}
    found = measure(LocalHost(), "mongodb", **args)
    assert words in found["data"]["errors"][0]["message"]
    assert {"login_ok", "read_ok"} <= set(found["missing"])
    assert "s3cret" not in str(found)
    assert sasl(here) == []
