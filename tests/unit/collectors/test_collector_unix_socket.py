# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.collectors import unix_socket
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost


def measure(path: Path) -> dict[str, object]:
    answer = unix_socket.collect(LocalHost(), {"path": str(path), "timeout": 5})
    assert set(answer["data"]) <= set(unix_socket.FIELDS)
    assert answer["missing"] == []
    return dict(answer["data"])


def test_listened_on_then_left_over_then_gone(tmp_path: Path) -> None:
    path = tmp_path / "a b.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert measure(path)["listening"] is False
        server.listen()
        found = measure(path)
        assert (found["kind"], found["listening"], found["stale"]) == ("socket", True, False)
    found = measure(path)
    assert (found["exists"], found["listening"], found["stale"]) == (True, False, True)
    path.unlink()
    assert measure(path) == {"path": str(path), "exists": False, "listening": False, "stale": False}


def test_a_file_is_no_stale_socket(tmp_path: Path) -> None:
    (tmp_path / "it").write_text("")
    found = measure(tmp_path / "it")
    assert (found["kind"], found["stale"]) == ("file", False)


def test_a_folder_that_may_not_be_looked_into(tmp_path: Path) -> None:
    class Closed(LocalHost):
        def stat(self, path: str, follow: bool = True) -> None:  # type: ignore[override]
            raise PermissionError(13, path)

    answer = unix_socket.collect(Closed(), {"path": "/x", "timeout": 5})
    assert set(answer["missing"]) == {"exists", "kind", "owner", "listening", "stale"}


def test_a_part_of_a_path_is_refused() -> None:
    with pytest.raises(BadInput):
        unix_socket.verify({"path": "mongodb.sock"})
