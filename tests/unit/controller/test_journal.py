# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of the record in the target's journal."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import journal


def test_a_line_reaches_the_journals_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "log"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(5)
        params = {"entry": {"message": "run R decided head abc"}}
        assert journal.run(params, False) == {"changed": False, "journal": None}
        assert server.recv(1000) == b"<85>ops-runbook: run R decided head abc"
        assert journal.run(params, True)["journal"] is None
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(1000)


def test_a_host_without_a_journal_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "absent"))
    said = journal.run({"entry": {"message": "x"}}, False)
    assert str(tmp_path / "absent") in said["journal"]
