# SPDX-License-Identifier: GPL-3.0-or-later
"""The undo steps of a profile, taken by the library's own undo, and taken back again."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import undo
from ansible_collections.ops.runbook.plugins.module_utils.errors import OpsError
from test_files import root_only
from test_sysctl import (
    FIN,
    PORTS,
    RMEM,
    SOMAXCONN,
    STARTS,
    WRONG,
    Host,
    absent,
    contents,
    failed,
    host,
    live,
    run,
    tell,
)

__all__ = ["host"]  # the fixture
FORWARD, REDIRECTS = "net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects"
EVERYBODY = "net.ipv4.ip_unprivileged_port_start"
NAMES = (*STARTS, FORWARD, REDIRECTS, EVERYBODY)
FIRST = {SOMAXCONN: 4096, FIN: 15, RMEM: "8192 131072 6291456", FORWARD: 1, REDIRECTS: 1}
SETS_OTHERS = [
    (FORWARD, 4, "forwarding"),
    ("net.ipv4.conf.all.forwarding", 4, "forwarding"),
    ("net.ipv6.conf.all.forwarding", 6, "forwarding"),
    ("net.ipv6.conf.all.disable_ipv6", 6, "disable_ipv6"),
]
LIMITED = {EVERYBODY: 35000, PORTS: "40000 60000"}
pytestmark = root_only


def now(host: Host) -> tuple[tuple[str, ...], dict[str, str]]:
    return live(*NAMES), contents(host)


@pytest.fixture(params=["0", "1"])
def forwarding(host: Host, request: pytest.FixtureRequest) -> str:
    """A new namespace has what its machine has; both are tried."""
    tell(FORWARD, request.param)
    return str(request.param)


def conf(leaf: str, version: int = 4) -> dict[str, str]:
    """A parameter of every interface, of `all` and of `default`."""
    found = Path(f"/proc/sys/net/ipv{version}/conf").glob(f"*/{leaf}")
    return {path.parent.name: path.read_text().strip() for path in found}


@pytest.mark.parametrize(("name", "version", "leaf"), SETS_OTHERS)
def test_what_the_kernel_sets_along_comes_back_too(
    host: Host, forwarding: str, name: str, version: int, leaf: str
) -> None:
    """None of these is named by the profile; each has another value than the kernel sets."""
    wanted = "0" if live(name)[0] == "1" else "1"
    tell(f"net.ipv{version}.conf.lo.{leaf}", wanted)
    tell(REDIRECTS, "0" if wanted == "0" else "1")
    before = (conf(leaf, version), live(REDIRECTS), live(name))
    change = run({name: int(wanted)}, run_id="r1")
    after = (conf(leaf, version), live(REDIRECTS), live(name))
    assert set(after[0].values()) == {wanted}
    back = undo.replay(change["undo"]["steps"], "u1", False)
    assert (conf(leaf, version), live(REDIRECTS), live(name)) == before
    again = undo.replay(back["undo"]["steps"], "v1", False)
    assert (conf(leaf, version), live(REDIRECTS), live(name)) == after
    undo.replay(again["undo"]["steps"], "w1", False)
    failed(OpsError, {name: int(wanted), WRONG: 300})
    assert (conf(leaf, version), live(REDIRECTS), live(name)) == before


def test_what_somebody_set_since_on_an_interface_stays(host: Host) -> None:
    tell(FORWARD, "0")
    tell("net.ipv4.conf.lo.forwarding", "1")
    change = run({FORWARD: 1}, run_id="r1")
    tell("net.ipv4.conf.lo.forwarding", "0")
    undo.replay(change["undo"]["steps"], "u1", False)
    assert conf("forwarding") == dict.fromkeys(conf("forwarding"), "0")


def test_every_change_of_a_profile_is_undone_and_redone(host: Host, forwarding: str) -> None:
    """A first profile, with keys that reset or limit others; a revision that drops them; and its end."""
    for number, settings in enumerate(({**FIRST, **LIMITED}, {SOMAXCONN: 1024, FIN: 20}, None)):
        before = now(host)
        options = {"run_id": f"r{number}"}
        change = run(settings, allow_lowering=[PORTS], **options) if settings else absent(**options)
        after = now(host)
        assert after != before
        back = undo.replay(change["undo"]["steps"], f"u{number}", False)
        assert now(host) == before
        undo.replay(back["undo"]["steps"], f"v{number}", False)
        assert now(host) == after
    assert contents(host) == {}
