# SPDX-License-Identifier: GPL-3.0-or-later
"""file: real files, really drifted, against a baseline of the documented shape."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.module_utils.collectors import _drift
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost, file_stat


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir(mode=0o750)
    for name in ("a", "sub/b", "sub/c.pid"):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o640)
    tmp_path.chmod(0o750)
    return tmp_path


def me() -> dict[str, str]:
    mine = file_stat(Path("/proc/self").stat())
    return {"owner": mine.owner, "group": mine.group}


def files(measure: Any, *wishes: dict[str, Any], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = measure(LocalHost(), "file", files=list(wishes), **more)
    return found


def test_one_path(tree: Path, measure: Any) -> None:
    os.utime(tree / "a", (1000, 1000))
    data = measure(LocalHost(), "file", path=str(tree / "a"))["data"]
    assert (data["exists"], data["kind"], data["mode"], data["size_bytes"]) == (True, "file", "0640", 1)
    assert data["age_seconds"] > 1_000_000
    assert data["mismatch_count"] is None
    assert measure(LocalHost(), "file", path=str(tree / "none"))["data"]["exists"] is False


def test_a_path_that_may_not_be_reached(host: Any, measure: Any) -> None:
    host.denied.add("/x")
    assert "exists" in measure(host, "file", path="/x")["missing"]


def test_owners_and_modes_as_wished(tree: Path, measure: Any) -> None:
    wish = {"path": str(tree), **me(), "mode": "0750", "file_mode": "640", "directory_mode": "0750", "recurse": True}
    found = files(measure, wish)
    assert (found["data"]["mismatches"], found["data"]["mismatch_count"], found["missing"]) == ([], 0, [])
    assert files(measure, {"path": str(tree), "owner": str(os.getuid())})["data"]["mismatch_count"] == 0


def test_only_what_differs_is_told(tree: Path, measure: Any) -> None:
    (tree / "sub/b").chmod(0o600)
    data = files(measure, {"path": str(tree), "mode": "0700", "file_mode": "0640", "recurse": True})["data"]
    assert data["mismatches"] == [
        {"path": str(tree), "field": "mode", "expected": "0700", "actual": "0750"},
        {"path": f"{tree}/sub/b", "field": "mode", "expected": "0640", "actual": "0600"},
    ]


def test_owner_and_group(tree: Path, measure: Any) -> None:
    data = files(
        measure, {"path": str(tree), "owner": "no-such-user", "group": "no-such-group", "recurse": True}, limit=3
    )["data"]
    assert (data["mismatch_count"], len(data["mismatches"])) == (10, 3)
    assert data["mismatches"][0]["field"] == "owner"


def test_exclusions_and_what_is_never_mended(tree: Path, measure: Any) -> None:
    (tree / "link").symlink_to("/nowhere")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tree / "socket"))
    wish = {"path": str(tree), "owner": "no-such-user", "recurse": True, "exclude": ["*.pid", f"{tree}/sub"]}
    assert {one["path"] for one in files(measure, wish)["data"]["mismatches"]} == {str(tree), f"{tree}/a"}


def test_a_file_with_several_names_is_never_mended(tree: Path, measure: Any) -> None:
    (tree / "sub/twin").hardlink_to(tree / "a")
    wish = {"owner": "no-such-user", "mode": "0600", "file_mode": "0600", "directory_mode": "0700"}
    found = files(measure, {"path": str(tree), "recurse": True, **wish}, {"path": f"{tree}/a", **wish})
    looked = {str(tree), f"{tree}/sub", f"{tree}/sub/b", f"{tree}/sub/c.pid"}  # folders have several names, too
    assert {one["path"] for one in found["data"]["mismatches"]} == looked
    (tree / "sub/twin").unlink()
    assert files(measure, {"path": f"{tree}/a", **wish})["data"]["mismatch_count"] == 2


def test_another_filesystem_is_left_alone(host: Any, measure: Any) -> None:
    for name in ("/data/a", "/data/mounted/b"):
        host.file(name, "x")
    plain = host.stat

    def stat(path: str, follow: bool = True) -> Any:
        found = plain(path, follow)
        found.device += "mounted" in path
        return found

    host.stat = stat
    found = measure(host, "file", files=[{"path": "/data", "owner": "no-such-user", "recurse": True}])
    assert {one["path"] for one in found["data"]["mismatches"]} == {"/data", "/data/a"}


def test_a_path_that_is_not_there_is_a_mismatch(measure: Any) -> None:
    data = files(measure, {"path": "/no/such/path", "owner": "root"})["data"]
    assert data["mismatches"] == [{"path": "/no/such/path", "field": "exists", "expected": True, "actual": False}]


def test_a_part_that_cannot_be_seen_proves_nothing(host: Any, measure: Any) -> None:
    host.file("/data/sub/a", "x")
    host.denied.add("/data/sub")
    found = measure(host, "file", files=[{"path": "/data", "recurse": True}])
    assert found["missing"] == []  # its name can be read, though nothing in it
    assert measure(host, "file", files=[{"path": "/data/sub"}])["missing"] == ["mismatches", "mismatch_count"]


def test_a_folder_that_cannot_be_listed(host: Any, measure: Any) -> None:
    host.file("/data/sub/a", "x")
    host.listdir = lambda path: (_ for _ in ()).throw(PermissionError(13, "no", path))
    found = measure(host, "file", files=[{"path": "/data", "owner": str(os.getuid()), "recurse": True}])
    assert found["missing"] == ["mismatches", "mismatch_count"]
    found = measure(host, "file", files=[{"path": "/data", "owner": "no-such-user", "recurse": True}])
    assert (found["missing"], found["data"]["mismatch_count"]) == ([], 1)  # what was seen differs


def test_what_goes_away_meanwhile(host: Any, measure: Any) -> None:
    host.file("/data/sub/a", "x")
    plain = host.listdir
    host.listdir = lambda path: [*plain(path), "gone"]
    assert measure(host, "file", files=[{"path": "/data", "recurse": True}])["data"]["mismatch_count"] == 0

    def listdir(path: str) -> list[str]:
        if path.endswith("sub"):
            raise FileNotFoundError(path)
        return list(plain(path))

    host.listdir = listdir
    assert measure(host, "file", files=[{"path": "/data", "recurse": True}])["data"]["mismatch_count"] == 0


# ---- baseline


def entry(path: Path, **other: Any) -> dict[str, Any]:
    stat = file_stat(path.stat())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "path": str(path),
        "present": True,
        "sha256": digest,
        "copy": digest,
        "mode": stat.mode,
        "owner": stat.owner,
        "group": stat.group,
        **other,
    }


@pytest.fixture
def baseline(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(_drift, "MANIFEST", f"{tree}/%s.json")

    def keep(*entries: dict[str, Any]) -> None:
        text = {"schema": "ops.runbook/baseline/1", "service": "mongodb", "captured_at": "x", "files": list(entries)}
        (tree / "mongodb.json").write_text(json.dumps(text))

    return keep


def drifted(measure: Any) -> Any:
    return measure(LocalHost(), "file", baseline="mongodb")["data"]["drifted"]


def test_no_baseline(baseline: Any, measure: Any) -> None:
    data = measure(LocalHost(), "file", baseline="mongodb")["data"]
    assert (data["baseline_exists"], data["drifted"]) == (False, None)


def test_drift_from_the_baseline(baseline: Any, tree: Path, measure: Any) -> None:
    absent = {
        "path": str(tree / "none"),
        "present": False,
        "sha256": None,
        "mode": None,
        "owner": None,
        "group": None,
        "copy": None,
    }
    baseline(entry(tree / "a"), entry(tree / "sub/b"), absent)
    assert drifted(measure) == []
    (tree / "a").write_text("other")
    assert drifted(measure) == [str(tree / "a")]
    (tree / "sub/b").chmod(0o600)
    (tree / "none").write_text("appeared")
    assert drifted(measure) == [str(tree / "a"), str(tree / "sub/b"), str(tree / "none")]
    (tree / "a").unlink()
    (tree / "sub/b").unlink()
    (tree / "sub/b").mkdir()
    assert drifted(measure) == [str(tree / "a"), str(tree / "sub/b"), str(tree / "none")]


def test_large_files_are_read_in_pieces(tree: Path) -> None:
    (tree / "a").write_bytes(b"x" * 25)
    assert _drift._sha256(LocalHost(), str(tree / "a"), piece=10) == hashlib.sha256(b"x" * 25).hexdigest()


def test_a_damaged_baseline_is_unknown(baseline: Any, tree: Path, measure: Any) -> None:
    for text in ("{", "{}", '{"files": [1]}', '{"files": [{"path": "/x"}]}'):
        (tree / "mongodb.json").write_text(text)
        assert "damaged" in measure(LocalHost(), "file", baseline="mongodb")["unknown"]


def test_without_rights_the_baseline_is_missing(host: Any, measure: Any) -> None:
    host.denied.add("/var/lib/ops-runbook/baseline/mongodb/manifest.json")
    assert measure(host, "file", baseline="mongodb")["missing"] == ["baseline_exists", "drifted"]
    host.denied.clear()
    host.denied.add("/etc/mongod.conf")
    one = {"path": "/etc/mongod.conf", "sha256": "0", "mode": "0644", "owner": "root", "group": "root"}
    host.file("/var/lib/ops-runbook/baseline/mongodb/manifest.json", json.dumps({"files": [one]}))
    assert measure(host, "file", baseline="mongodb")["missing"] == ["drifted"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "check it, path: names nothing to look at"),
        ({"baseline": "../x"}, "check it, baseline"),
        ({"baseline": ".."}, "check it, baseline"),
        ({"files": ["x"]}, r"check it, files\[0\]: is not a mapping"),
        ({"files": [{"path": "/a", "user": "x"}]}, r"check it, files\[0\]: unknown key 'user'"),
        ({"files": [{"path": "/a"}, {"path": "a"}]}, r"check it, files\[1\]: has no absolute path"),
        ({"files": [{"path": "/a", "mode": 488}]}, r"check it, files\[0\].mode: 488 is not a quoted octal mode"),
        ({"files": [{"path": "/a", "file_mode": "u=rw"}]}, r"files\[0\].file_mode: 'u=rw' is not a quoted octal mode"),
    ],
)
def test_bad_arguments(args: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        probe.plan("it", {"type": "file", **args})


def test_bits_that_the_mode_of_the_path_itself_must_have(tree: Path, measure: Any) -> None:
    wish = {"path": str(tree), "mode_includes": "0700", "recurse": True}
    assert files(measure, wish)["data"]["mismatches"] == []
    tree.chmod(0o050)
    try:
        found = files(measure, wish)["data"]["mismatches"]
    finally:
        tree.chmod(0o750)
    assert found == [{"path": str(tree), "field": "mode", "expected": "0750", "actual": "0050"}]


def test_a_folder_that_is_to_be_made_is_missed(tree: Path, measure: Any) -> None:
    found = files(measure, {"path": str(tree / "log"), "create": True})["data"]["mismatches"]
    assert found == [{"path": str(tree / "log"), "field": "exists", "expected": True, "actual": False}]
