# SPDX-License-Identifier: GPL-3.0-or-later
"""mongodb where the server demands a login: what is missing without one, and the client for what is not SCRAM."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost
from recorded_mongodb import DATA, DEEP


@pytest.fixture
def login(serve: Any, measure: Any) -> Any:
    """Measure a server that demands a login."""
    return lambda host, **args: measure(host, "mongodb", port=serve("unauthorized").port, **args)


def credentials(tmp_path: Path, mode: int = 0o600) -> str:
    path = tmp_path / "mongodb.uri"
    path.write_text("mongodb://probe:s3cret@127.0.0.1/admin\n")
    path.chmod(mode)
    return str(path)


class Shells(LocalHost):
    """A host with a shell that says what it is given, by program name; others are not installed."""

    def __init__(self, **said: Any) -> None:
        self.said, self.asked = said, []

    def run(self, argv: Any, timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        self.asked.append(argv)
        said = self.said.get(argv[2], Completed(127, "", f"env: '{argv[2]}': No such file or directory"))
        if isinstance(said, Exception):
            raise said
        return said


def replies(**more: Any) -> Completed:
    """What the script prints in mongosh 2.5.8."""
    batch = {"count": {"n": 7}, "read": {"cursor": {"firstBatch": [{"n": 7}]}}, **more}
    said = {name: {"reply": {"ok": 1, **reply}, "ms": 12} for name, reply in batch.items()}
    return Completed(0, f"Connecting...\nops-runbook-replies {json.dumps(said)}\n", "")


REFUSED = Completed(0, 'ops-runbook-replies {"code":18,"message":"Authentication failed.","connection":true}', "")
NOWHERE = Completed(0, 'ops-runbook-replies {"code":null,"message":"connect ECONNREFUSED","connection":true}', "")


def test_without_a_login_reading_is_missing_and_ping_still_measured(serve: Any, measure: Any) -> None:
    found = measure(LocalHost(), "mongodb", port=serve("unauthorized").port, **DEEP)
    assert found["data"]["authentication_required"] is True
    assert found["data"]["answered"] is True
    assert {"read_ok", "count", "validate_ok", "freshness_seconds"} <= set(found["missing"])
    assert found["data"]["read_ok"] is None
    assert found["data"]["login_ok"] is None


def test_with_a_login_the_client_is_asked_and_never_told_the_password(serve: Any, measure: Any, tmp_path: Path) -> None:
    server, host, path = serve("unauthorized"), Shells(mongo=replies()), credentials(tmp_path)
    found = measure(host, "mongodb", port=server.port, auth="client", credentials_file=path, **DATA)
    assert (found["data"]["count"], found["data"]["read_ok"], found["data"]["count_ms"]) == (7, True, 12)
    assert found["data"]["login_ok"] is True
    assert (found["data"]["errors"], found["missing"]) == ([], [])
    assert [argv[2] for argv in host.asked] == ["mongosh", "mongo"]
    assert "s3cret" not in str(host.asked)
    assert path in host.asked[-1][-1]
    assert not any("s3cret" in str(command) for command in server.asked)


@pytest.mark.parametrize(
    ("said", "mode", "words"),
    [
        ({}, 0o600, "neither mongosh nor mongo is installed"),
        ({}, 0o640, "others may read it (file 0640)"),
        ({"mongosh": NOWHERE}, 0o600, "connect ECONNREFUSED"),
        ({"mongosh": Completed(1, "", "Error: boom\n")}, 0o600, "the client gave no answer: Error: boom"),
    ],
)
def test_when_the_client_cannot_ask_it_is_missing_not_red(
    login: Any, tmp_path: Path, said: Any, mode: int, words: str
) -> None:
    args = {"auth": "client", "credentials_file": credentials(tmp_path, mode), **DATA}
    found = login(Shells(**said), **args)
    assert words in found["data"]["errors"][0]["message"]
    assert found["data"]["errors"][0]["operation"] == "login"
    assert set(found["missing"]) == {"count", "read_documents", "read_ok", "login_ok"}


def test_a_login_that_is_refused_is_a_measurement(login: Any, tmp_path: Path) -> None:
    found = login(Shells(mongosh=REFUSED), auth="client", credentials_file=credentials(tmp_path), **DATA)
    assert found["data"]["login_ok"] is False
    assert found["data"]["errors"] == [{"operation": "login", "code": 18, "message": "Authentication failed."}]
    assert set(found["missing"]) == {"count", "read_documents", "read_ok"}


def test_credentials_that_are_not_there(serve: Any, measure: Any) -> None:
    found = measure(
        Shells(), "mongodb", port=serve("unauthorized").port, auth="client", credentials_file="/no/such", **DATA
    )
    assert "/no/such: does not exist" in found["data"]["errors"][0]["message"]


def test_credentials_that_may_not_be_reached(serve: Any, measure: Any) -> None:
    class Denied(Shells):
        def stat(self, path: str, follow: bool = True) -> Any:
            raise PermissionError(13, "no", path)

    found = measure(Denied(), "mongodb", port=serve("unauthorized").port, auth="client", credentials_file="/x", **DATA)
    assert "may not be reached" in found["data"]["errors"][0]["message"]


def test_freshness_through_the_client(serve: Any, measure: Any, tmp_path: Path) -> None:
    more = {
        "listIndexes": {"cursor": {"firstBatch": [{"key": {"modi_dt": 1}, "name": "m"}]}},
        "newest": {"cursor": {"firstBatch": [{"modi_dt": {"$date": 1795190400000}}]}},
    }
    host, args = Shells(mongosh=replies(**more)), {"auth": "client", "credentials_file": credentials(tmp_path)}
    data = measure(host, "mongodb", port=serve("unauthorized").port, **args, **DEEP)["data"]
    assert data["freshness_seconds"] == pytest.approx(time.time() - 1795190400, abs=5)
