# SPDX-License-Identifier: GPL-3.0-or-later
"""The undo steps of a profile, taken by the library's own undo, and taken back again."""

from __future__ import annotations

from ansible_collections.ops.runbook.plugins.module_utils import undo
from test_files import root_only
from test_sysctl import FIN, PORTS, RMEM, SOMAXCONN, STARTS, Host, absent, contents, host, live, run

__all__ = ["host"]  # the fixture
FORWARD, REDIRECTS = "net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects"
EVERYBODY = "net.ipv4.ip_unprivileged_port_start"
NAMES = (*STARTS, FORWARD, REDIRECTS, EVERYBODY)
FIRST = {SOMAXCONN: 4096, FIN: 15, RMEM: "8192 131072 6291456", FORWARD: 1, REDIRECTS: 1}
LIMITED = {EVERYBODY: 35000, PORTS: "40000 60000"}
pytestmark = root_only


def now(host: Host) -> tuple[tuple[str, ...], dict[str, str]]:
    return live(*NAMES), contents(host)


def test_every_change_of_a_profile_is_undone_and_redone(host: Host) -> None:
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
