# SPDX-License-Identifier: GPL-3.0-or-later
"""tcp_port: on real sockets; a unit's ownership on recorded processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.module_utils.collectors import tcp_port
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = (
    "   0: 0100007F:6989 00000000:0000 0A 00000000:00000000 00:00000000 00000000   104        0 4711 1 0 100 0 0 10 0\n"
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_a_real_listener(listener: socket.socket, measure: Any) -> None:
    port = listener.getsockname()[1]
    found = measure(LocalHost(), "tcp_port", port=port)
    data = found["data"]
    assert (data["listening"], data["addresses"], data["accepts"]) == (True, ["127.0.0.1"], True)
    assert data["connect_ms"] < 1000
    assert data["owner_pid"] == os.getpid()
    assert data["owner_command"] == Path("/proc/self/comm").read_text().strip()
    assert data["foreign"] is None
    assert data["waiting"] <= 1  # our own connection
    assert found["missing"] == []


def test_nobody_listens(listener: socket.socket, measure: Any) -> None:
    port = listener.getsockname()[1]
    listener.close()
    data = measure(LocalHost(), "tcp_port", port=port)["data"]
    assert (data["listening"], data["accepts"], data["error"], data["owner_pid"]) == (False, False, "refused", None)
    assert data["waiting"] is None


def test_a_full_backlog_is_no_connection(measure: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        held = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            held.append(one)
        data = measure(LocalHost(), "tcp_port", port=address[1], timeout=0.5)["data"]
        assert (data["listening"], data["accepts"], data["error"]) == (True, False, "timeout")
        assert data["connect_ms"] is None
        assert data["waiting"] == 1
        for one in held:
            one.close()


def test_ipv6_and_every_address(measure: Any) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as made:
        data = measure(LocalHost(), "tcp_port", port=made.getsockname()[1])["data"]
        assert (data["addresses"], data["accepts"]) == (["::"], True)


def scene(host: Any, group: str) -> None:
    host.unit("running", MainPID=45)
    host.file("/proc/net/tcp", HEADER + LINE)
    host.process(45, group=group, comm="mongod", fds=["/dev/null", "socket:[4711]"])


@pytest.mark.parametrize(
    ("group", "unit", "foreign"),
    [
        ("/system.slice/mongod.service", "mongod.service", False),
        ("/machine.slice/libpod-1.scope/system.slice/mongod.service", "mongod.service", False),
        ("/user.slice/user-0.slice/session-3.scope", "session-3.scope", True),
        ("/", None, True),
    ],
)
def test_whose_port_it_is(host: Any, measure: Any, group: str, unit: str | None, foreign: bool) -> None:
    scene(host, group)
    data = measure(host, "tcp_port", port=27017, unit=["mongodb", "mongod"], timeout=1)["data"]
    assert (data["owner_pid"], data["owner_unit"], data["foreign"]) == (45, unit, foreign)


def test_without_rights_the_owner_is_missing_and_the_rest_measured(host: Any, measure: Any) -> None:
    scene(host, "/system.slice/mongod.service")
    host.denied.add("/proc/45/fd")
    found = measure(host, "tcp_port", port=27017, unit="mongod", timeout=1)
    assert found["missing"] == ["owner_pid", "owner_command", "owner_unit", "foreign"]
    assert found["data"]["listening"] is True
    assert found["data"]["owner_user"] not in (None, "")
    assert "foreign" not in measure(host, "tcp_port", port=27017, timeout=1)["missing"]  # nobody asked for it


def test_without_systemd_only_foreign_is_missing(host: Any, measure: Any) -> None:
    scene(host, "/system.slice/mongod.service")
    del host.commands["systemctl"]
    assert measure(host, "tcp_port", port=27017, unit="mongod", timeout=1)["missing"] == ["foreign"]


def test_the_owner_ends_meanwhile(host: Any, measure: Any) -> None:
    scene(host, "/")
    (host.root / "proc/45/comm").unlink()
    assert measure(host, "tcp_port", port=27017, timeout=1)["missing"] == [
        "owner_pid",
        "owner_command",
        "owner_unit",
        "foreign",
    ]


def test_nobody_found_though_all_could_be_seen(host: Any, measure: Any) -> None:
    """A socket of the kernel itself, such as NFS's: no process holds it."""
    host.file("/proc/net/tcp", HEADER + LINE)
    host.process(45)
    found = measure(host, "tcp_port", port=27017, timeout=1)
    assert (found["missing"], found["data"]["owner_pid"]) == ([], None)


@pytest.mark.parametrize(
    ("addresses", "chosen"),
    [
        ([], "127.0.0.1"),
        (["0.0.0.0"], "127.0.0.1"),  # noqa: S104 - compared, not bound
        (["10.0.0.7"], "10.0.0.7"),
        (["::"], "::1"),
        (["10.0.0.7", "127.0.0.1"], "127.0.0.1"),
    ],
)
def test_where_it_connects_to(addresses: list[str], chosen: str) -> None:
    assert tcp_port._reachable(addresses) == chosen


def test_an_address_that_does_not_exist(measure: Any) -> None:
    data = measure(LocalHost(), "tcp_port", port=1, host="256.1.1.1")["data"]
    assert data["accepts"] is False
    assert data["error"] not in (None, "refused", "timeout")


def test_the_owner_of_another_process(measure: Any) -> None:
    code = "import socket as s; a = s.create_server(('127.0.0.1', 0)); print(a.getsockname()[1], flush=True); input()"
    argv = [sys.executable, "-c", code]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout
        assert measure(LocalHost(), "tcp_port", port=int(child.stdout.readline()))["data"]["owner_pid"] == child.pid
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("port", [0, 65536, "x", True])
def test_what_is_no_port_is_refused(port: Any) -> None:
    with pytest.raises(BadInput, match="check it, port"):
        probe.plan("it", {"type": "tcp_port", "port": port})
