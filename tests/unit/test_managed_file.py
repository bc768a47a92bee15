# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of ours is the old or the new one, what was there is kept aside, and the undo step says how to go back."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import files, managed_file
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.managed_file import FilePlan
from test_files import NOBODY, Killer, in_child, root_only


@pytest.fixture
def top(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Path]:
    """A folder that nobody else may write into, with the state in it."""
    folder = Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    folder.chmod(0o755)
    monkeypatch.setattr(managed_file, "STATE", str(folder / "state"))
    yield folder
    shutil.rmtree(folder)


def plan(path: Path, data: bytes | None, mode: str = "0644", run: str = "run1") -> FilePlan:
    account = {"owner": path.parent.owner(), "group": path.parent.group()} if path.parent.exists() else {}
    return FilePlan(str(path), data, mode, **(account or {"owner": "root", "group": "root"})).plan(run)


def test_a_new_file_and_the_folders_made_for_it(top: Path) -> None:
    path = top / "a" / "b" / "c.conf"
    made = FilePlan(str(path), b"x\n", "0640", top.owner(), top.group()).plan("run1")
    assert made.differs
    assert made.before is None
    assert not path.exists()
    made.put()
    assert path.read_bytes() == b"x\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (top / "a", top / "a" / "b")] == [0o755, 0o755]
    digest = hashlib.sha256(b"x\n").hexdigest()
    after = {"sha256": digest, "mode": "0640", "owner": top.owner(), "group": top.group()}
    assert made.changes == [{"object": str(path), "before": None, "after": after}]
    step = {"kind": "file", "path": str(path), "aside": None, "sha256": digest}
    step |= {"uid": None, "gid": None, "mode": None, "folders": [str(top / "a"), str(top / "a" / "b")]}
    assert made.steps == [step]
    assert not (top / "state").exists()  # there was nothing to keep


def test_what_was_there_is_kept_where_only_we_can_look(top: Path) -> None:
    path = top / "c.conf"
    path.write_bytes(b"old")
    path.chmod(0o600)
    made = plan(path, b"new", "0644")
    made.put()
    aside = Path(made.steps[0]["aside"])
    assert (path.read_bytes(), aside.read_bytes()) == (b"new", b"old")
    assert aside.parent == top / "state" / "undo" / "run1"
    assert [stat.S_IMODE(each.stat().st_mode) for each in (aside, aside.parent)] == [0o600, 0o700]
    assert (made.steps[0]["mode"], made.steps[0]["uid"]) == ("0600", os.geteuid())
    assert made.changes[0]["before"]["mode"] == "0600"


def test_nothing_to_do_touches_nothing(top: Path) -> None:
    path = top / "c.conf"
    path.write_bytes(b"same")
    path.chmod(0o644)
    before = path.stat()
    made = plan(path, b"same")
    made.put()
    assert (made.differs, made.changes, made.steps) == (False, [], [])
    assert path.stat().st_ino == before.st_ino
    assert not (top / "state").exists()


def test_a_mode_alone_is_a_difference(top: Path) -> None:
    path = top / "c.conf"
    path.write_bytes(b"same")
    path.chmod(0o666)
    made = plan(path, b"same")
    made.put()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert made.changes[0]["before"]["mode"] == "0666"


def test_a_file_that_is_to_go(top: Path) -> None:
    path = top / "c.conf"
    path.write_bytes(b"old")
    path.chmod(0o644)
    made = plan(path, None)
    made.put()
    assert not path.exists()
    assert made.steps[0]["sha256"] is None
    assert Path(made.steps[0]["aside"]).read_bytes() == b"old"
    assert plan(path, None).differs is False


def test_a_foreign_change_between_look_and_write_stops_it(top: Path) -> None:
    path = top / "c.conf"
    path.write_bytes(b"old")
    made = plan(path, b"new")
    path.write_bytes(b"theirs")
    with pytest.raises(Refused, match="somebody changed it a moment ago"):
        made.put()
    assert path.read_bytes() == b"theirs"


@pytest.mark.parametrize("target", ["real.conf", "nowhere"])
def test_a_symbolic_link_is_refused(top: Path, target: str) -> None:
    (top / "real.conf").write_bytes(b"old")
    (top / "c.conf").symlink_to(target)
    with pytest.raises(Refused, match="is a symbolic link"):
        plan(top / "c.conf", b"new")
    assert (top / "real.conf").read_bytes() == b"old"


@pytest.mark.parametrize("path", ["relative.conf", "/etc/", "/etc/../shadow"])
def test_a_path_that_is_none(path: str) -> None:
    with pytest.raises(BadInput, match="is not the absolute path of a file"):
        FilePlan(path, b"x")


def test_a_folder_in_the_place_of_the_file(top: Path) -> None:
    (top / "c.conf").mkdir()
    with pytest.raises(BadInput, match="no ordinary file"):
        plan(top / "c.conf", b"x")


def test_an_account_that_is_not_there(top: Path) -> None:
    with pytest.raises(BadInput, match="there is no such user"):
        FilePlan(str(top / "c.conf"), b"x", "0644", "nobody-here", "root")


@root_only
def test_a_link_of_somebody_else_on_the_way_is_not_followed(top: Path) -> None:
    (top / "real").mkdir()
    (top / "link").symlink_to("real")
    os.lchown(top / "link", NOBODY, NOBODY)
    with pytest.raises(Refused, match="is not followed"):
        FilePlan(str(top / "link" / "c.conf"), b"x")
    with pytest.raises(Refused, match="is not followed"):
        managed_file.remove_file(str(top / "link" / "c.conf"))


def test_removing_what_is_gone_says_so(top: Path) -> None:
    with pytest.raises(OpsError, match="no such file"):
        managed_file.remove_file(str(top / "c.conf"))


@pytest.mark.parametrize("data", [b"new", None])
def test_sigkill_leaves_the_old_or_the_new_file_and_a_rerun_completes(top: Path, data: bytes | None) -> None:
    path = top / "c.conf"
    seen = set()
    for when in range(1, 200):
        path.write_bytes(b"old")
        path.chmod(0o644)

        def work(now: int = when) -> None:
            made = plan(path, data)
            files.os = managed_file.os = Killer(now, bool(now % 2))  # type: ignore[assignment]
            made.put()

        code = in_child(work)
        found = path.read_bytes() if path.exists() else None
        assert found in (b"old", data)
        seen.add((code, found))
        again = plan(path, data)
        again.put()
        assert (path.read_bytes() if path.exists() else None) == data
        if code == 0:
            break
    assert seen == {(-9, b"old"), (-9, data), (0, data)}
