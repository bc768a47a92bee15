# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role did, seen by stat, systemctl and a forced run of logrotate itself."""

from __future__ import annotations

import typing as t


def test_the_folder_is_the_owners_alone(host: t.Any) -> None:
    assert host.file("/var/log/molecule").mode == 0o755


def test_the_timer_runs_and_comes_back_at_boot(host: t.Any) -> None:
    timer = host.service("logrotate.timer")
    assert timer.is_running
    assert timer.is_enabled


def test_what_is_not_the_policys_is_still_there(host: t.Any) -> None:
    file = host.file("/etc/logrotate.d/molecule")
    assert (file.mode, file.user) == (0o644, "root")
    assert file.content_string.startswith("# of the package\n")
    assert "dateyesterday" in file.content_string
    assert "weekly" not in file.content_string


def test_logrotate_takes_it_and_leaves_the_excluded_log_alone(host: t.Any) -> None:
    with host.sudo():
        run = host.run("logrotate -f -s /run/molecule-state /etc/logrotate.d/molecule")
    assert run.rc == 0, run.stderr
    names = set(host.file("/var/log/molecule").listdir())
    assert {"app.log", "app.log.1", "persistence-1.log"} <= names
    assert "persistence-1.log.1" not in names
    assert host.file("/var/log/molecule/app.log").mode == 0o640
