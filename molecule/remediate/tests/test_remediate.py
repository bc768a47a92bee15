# SPDX-License-Identifier: GPL-3.0-or-later
"""The service runs again, by systemctl and ss."""

from __future__ import annotations

import typing as t


def test_the_service_runs_and_listens(host: t.Any) -> None:
    assert host.service("lifecycle").is_running
    assert host.socket("tcp://127.0.0.1:18080").is_listening


def test_the_unit_file_is_as_it_was(host: t.Any) -> None:
    assert "http.server" in host.file("/etc/systemd/system/lifecycle.service").content_string
