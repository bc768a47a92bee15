# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role did, seen by sysctl, stat and /proc."""

from __future__ import annotations

import typing as t


def test_kernel_parameters_are_live_and_in_the_file(host: t.Any) -> None:
    assert host.sysctl("net.ipv4.tcp_fin_timeout") == 15
    assert host.sysctl("net.core.somaxconn") == 8192
    kept = host.sysctl("net.ipv4.tcp_rmem")
    assert str(kept).split()[-1] != "4096"
    lines = host.file("/etc/sysctl.d/90-ops-runbook-molecule.conf").content_string.splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "net.ipv4.tcp_fin_timeout = 15",
        "net.core.somaxconn = 8192",
    ]


def test_limits_and_environment_reach_the_running_service(host: t.Any) -> None:
    pid = host.check_output("systemctl show -p MainPID --value mongod")
    with host.sudo():
        limits = host.check_output(f"cat /proc/{pid}/limits")
        variables = host.check_output(f"tr '\\0' '\\n' < /proc/{pid}/environ").splitlines()
    line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    assert line.split()[3] == "8192"
    assert "MOLECULE=yes" in variables
    assert host.file("/etc/security/limits.d/90-ops-runbook-molecule.conf").contains("^simplers soft nofile 4096$")


def test_the_file_has_its_mode(host: t.Any) -> None:
    file = host.file("/etc/logrotate.d/molecule")
    assert (file.mode, file.user, file.size) == (0o640, "root", 46)
