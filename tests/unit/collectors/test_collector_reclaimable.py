# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy would give back, measured on a real small filesystem."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import disk_state, probe
from ansible_collections.ops.runbook.plugins.module_utils.collectors import reclaimable
from ansible_collections.ops.runbook.plugins.module_utils.disk_room import Filesystem
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost
from ansible_collections.ops.runbook.plugins.plugin_utils import rules, verdict
from test_disk_reclaim import full, service, sighted
from test_disk_survey import KIB, Small, small
from test_files import NOBODY, in_child, root_only

__all__ = ["service", "sighted", "small"]
pytestmark = root_only
OF_A_LOOK = {
    *("reclaimable_bytes", "reclaimable_inodes", "kinds", "deleted_open", "deleted_open_bytes", "releasable_bytes"),
    *("reachable", "reclaimed_recently", "growers"),
}
Measure = t.Callable[..., dict[str, t.Any]]


def look(measure: Measure, small: Small, **asked: t.Any) -> dict[str, t.Any]:
    given = {"path": str(small.folder), "free_percent": 50, "policy": small.logs(), "timeout": 20, **asked}
    return measure(LocalHost(), "reclaimable", **given)


def test_enough_room_is_not_looked_into(measure: Measure, small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reclaimable, "Look", None)
    found = look(measure, small)
    assert found["missing"] == []
    assert found["data"] == {
        **dict.fromkeys(OF_A_LOOK),
        "path": str(small.folder),
        "exists": True,
        "mount_point": str(small.folder),
        "available_bytes": 2 << 20,
        "free_percent": 100.0,
        "free_inodes_percent": 99.6,
        "short_bytes": 0,
        "short_inodes": 0,
    }


def test_what_may_go_from_a_full_filesystem(measure: Measure, small: Small) -> None:
    full(small)
    before = small.names()
    data = look(measure, small)["data"]
    assert (data["free_percent"], data["short_bytes"], data["short_inodes"]) == (0.0, 1 << 20, 0)
    assert (data["reclaimable_bytes"], data["reclaimable_inodes"]) == (6 * 256 * KIB, 6)
    assert data["kinds"]["rotated_logs"] == {"count": 6, "bytes": 6 * 256 * KIB}
    assert (data["reachable"], data["reclaimed_recently"]) == (True, False)
    assert (data["deleted_open"], data["deleted_open_bytes"], data["releasable_bytes"]) == ([], 0, 0)
    assert data["growers"] == [
        {"directory": str(small.folder), "bytes": 2 << 20, "bytes_per_hour": 512 * KIB},
    ]
    assert small.names() == before


def test_what_may_go_is_not_always_enough(measure: Measure, small: Small) -> None:
    full(small)
    assert look(measure, small, free_percent=90)["data"]["reachable"] is False
    assert look(measure, small, policy={})["data"]["reclaimable_inodes"] == 0
    assert look(measure, small, free_percent=None, free_bytes="1MiB")["data"]["reachable"] is True
    assert look(measure, small, free_percent=None, free_inodes_percent=99.9)["data"]["short_inodes"] == 8


def test_what_a_service_may_be_told_to_give_back(
    measure: Measure, small: Small, service: t.Callable[..., t.Any]
) -> None:
    held = service("handles")
    data = look(measure, small)["data"]
    assert (data["deleted_open_bytes"], data["releasable_bytes"], data["reachable"]) == (1 << 20, 0, False)
    assert data["deleted_open"][0]["pid"] == held.process.pid
    data = look(measure, small, reopen=[{"unit": "writer", "signal": "HUP"}])["data"]
    assert (data["deleted_open_bytes"], data["releasable_bytes"], data["reachable"]) == (1 << 20, 1 << 20, True)
    said = rules.summary("reclaimable", data)
    assert f"deleted but open: 1.0 MiB, first {held.path} in " in said
    assert f"(pid {held.process.pid})" in said


def test_a_reclaim_of_today_is_told(measure: Measure, small: Small) -> None:
    full(small)
    filesystem = Filesystem(str(small.folder))
    assert disk_state.write(filesystem, 3, 4096, {}) == ""
    data = look(measure, small)["data"]
    assert data["reclaimed_recently"] is True
    assert "it was reclaimed within a day" in rules.summary("reclaimable", data)
    assert look(measure, small, again=True)["data"]["reclaimed_recently"] is False
    Path(disk_state.path_of(filesystem)).write_text("{")
    filesystem.close()
    assert "is damaged" in look(measure, small)["unknown"]


def test_who_is_not_root_cannot_tell(measure: Measure, small: Small) -> None:
    full(small)

    def work() -> None:
        found = look(measure, small)
        assert set(found["missing"]) == OF_A_LOOK
        assert found["data"]["short_bytes"] == 1 << 20
        assert found["data"]["reachable"] is None

    assert in_child(work, NOBODY) == 0


def test_where_a_process_cannot_be_looked_into_nobody_can_tell(
    measure: Measure, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.ops.runbook.plugins.module_utils import disk_open

    def no(_found: t.Any, _host: t.Any, _pid: int, _device: int) -> None:
        raise PermissionError

    full(small)
    monkeypatch.setattr(disk_open, "_descriptors", no)
    assert set(look(measure, small)["missing"]) == OF_A_LOOK


def test_a_path_that_does_not_exist(measure: Measure, small: Small) -> None:
    data = look(measure, small, path=str(small.folder / "none"))["data"]
    assert data["exists"] is False
    assert rules.summary("reclaimable", data) == f"{small.folder}/none does not exist"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"path": "var/log"}, "not an absolute path"),
        ({"free_percent": None}, "no room is asked for"),
        ({"policy": {"temporary": [{"paths": ["/tmp/*"], "older_than": "7d"}]}}, "could match anything"),
        ({"evidence_since": "soon"}, "is no age"),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_travels(asked: dict[str, t.Any], says: str) -> None:
    given = {"type": "reclaimable", "path": "/", "free_percent": 20, "policy": {}, **asked}
    with pytest.raises(BadInput, match=says) as caught:
        probe.plan("room", given)
    assert caught.value.where.startswith("check room, ")


def test_a_time_of_an_incident_is_only_read_then() -> None:
    probe.plan(
        "room", {"type": "reclaimable", "path": "/", "free_percent": 20, "evidence_since": "2999-01-05T02:00:00Z"}
    )


def test_its_own_rules_and_its_line(measure: Measure, small: Small) -> None:
    full(small)
    check = {"type": "reclaimable"}
    measured = {"taken_at": "2026-01-05T02:00:07.000Z", "measurements": {"room": look(measure, small)}}
    judged = verdict.judge("fleet01/disk", {"room": check}, measured, {})["checks"]["room"]
    assert judged["status"] == "critical"
    assert judged["threshold"]["metric"] == "free_percent"
    assert judged["summary"] == (
        f"0 % of {small.folder} is free; by policy 6 files with 1.5 MiB may go; "
        f"fullest: {small.folder} 2.0 MiB (grows 512.0 KiB an hour)"
    )
    for number in (1, 2, 3, 4, 5, 6):
        (small.folder / f"app.log.{number}").unlink()
    measured["measurements"]["room"] = look(measure, small)
    judged = verdict.judge("fleet01/disk", {"room": check}, measured, {})["checks"]["room"]
    assert (judged["status"], judged["summary"]) == ("ok", f"75 % of {small.folder} is free")
    small.fill_inodes()
    measured["measurements"]["room"] = look(measure, small, free_inodes_percent=5)
    judged = verdict.judge("fleet01/disk", {"room": check}, measured, {})["checks"]["room"]
    assert judged["status"] == "critical"
    assert judged["summary"].startswith(f"75 % of {small.folder} is free, 0 % of its inodes; by policy 0 files")
    os.truncate(small.folder / "data", 0)
