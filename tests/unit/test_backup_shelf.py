# SPDX-License-Identifier: GPL-3.0-or-later
"""Where backups lie, what their manifest says, and that a bad one is always found: on directories, a simple store."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.backup import chain, files, manifest
from ansible_collections.ops.runbook.plugins.module_utils.backup.chain import Stage
from ansible_collections.ops.runbook.plugins.module_utils.backup.shelf import Shelf, named, taken_at
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost

OPTIONS = {"exclude": [], "level": 3}
PATIENCE = chain.Patience(60, 20)


def tree(top: Path) -> Path:
    """A small system's configuration: modes, links, a sparse file, attributes, names that are hard to write."""
    (top / "etc/app").mkdir(parents=True)
    (top / "etc/app/app.conf").write_text("port = 1\n" * 500)
    (top / "etc/app/secret.env").write_text("PASSWORD=hunter2\n")
    (top / "etc/app/secret.env").chmod(0o600)
    (top / "etc/app/current").symlink_to("app.conf")
    os.link(top / "etc/app/app.conf", top / "etc/app/same.conf")
    (top / "etc/app/다운로드 \n name").write_bytes(bytes(range(256)))
    (top / "etc/app/empty").mkdir(mode=0o2750)
    with (top / "etc/app/sparse").open("wb") as stream:
        stream.truncate(5_000_000)
    os.setxattr(top / "etc/app/app.conf", "user.origin", b"guide")
    return top / "etc"


def taken(shelf: Shelf, source: Path, began: float = 1_800_000_000, level: int = 3) -> str:
    """A backup of a tree; its folder."""
    store = files.Files(LocalHost(), {**OPTIONS, "paths": [str(source)], "level": level}, PATIENCE)
    look = store.look()
    with shelf.lock(), shelf.staging(began, "run-1") as staging:
        said = store.dump(staging)
        about = {"system": "simplers", "store": "config", "kind": "files", "host": "db1", "run_id": "run-1"}
        times = {"begun_at": "x", "ended_at": "y", "seconds": 1.0}
        staging.commit({**about, **times, "server": look["server"], "tools": look["tools"], **said})
    return shelf.folder("latest")


def verified(folder: str, scratch: Path) -> list[str]:
    """What a restore into scratch differs in; the seal and the files are checked before."""
    said = manifest.read(folder)
    manifest.check_files(folder, said)
    scratch.mkdir()
    files.extract(folder, str(scratch), PATIENCE)
    return manifest.compare(said["objects"], files.restored(str(scratch), said["source"]["paths"]))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(str(tmp_path / "backups"), "simplers", "config")


def test_a_backup_is_whole_private_and_restores_to_the_same(shelf: Shelf, tmp_path: Path) -> None:
    folder = Path(taken(shelf, tree(tmp_path / "live")))
    assert folder.name == named(1_800_000_000) == "20270115T080000Z"
    assert taken_at(folder.name) == 1_800_000_000
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, *list(folder.parents)[:2])} == {0o700}
    said = manifest.read(str(folder))
    assert said["bytes"] == (folder / "files.tar.zst").stat().st_size < 20_000
    kinds = sorted(each["kind"] for each in said["objects"])
    assert kinds == ["directory"] * 3 + ["file"] * 5 + ["link"]
    assert verified(str(folder), tmp_path / "scratch") == []
    assert said["tools"]["tar"].startswith("1.")


def test_only_one_run_writes_and_a_killed_one_leaves_nothing_that_looks_like_a_backup(
    shelf: Shelf, tmp_path: Path
) -> None:
    source = tree(tmp_path / "live")
    with shelf.lock(), pytest.raises(Refused, match="another run writes here"):
        taken(shelf, source)
    left = Path(shelf.path) / ".partial-20270101T000000Z-gone"
    left.mkdir()
    (left / "files.tar.zst").write_text("half")
    assert shelf.names() == []
    with shelf.lock():
        assert shelf.sweep() == [left.name]
    taken(shelf, source)
    assert [path.name for path in Path(shelf.path).iterdir()] == ["20270115T080000Z"]
    with pytest.raises(Refused, match="a backup of this second"):
        taken(shelf, source)


def test_a_failed_backup_leaves_nothing(shelf: Shelf) -> None:
    with shelf.lock(), pytest.raises(OpsError, match="exit code 5: gone"), shelf.staging(1.0, "r") as staging:
        staging.stream("data.zst", [Stage(["sh", "-c", "echo x; echo gone >&2; exit 5"])], PATIENCE)
    with shelf.lock(), pytest.raises(OpsError, match="wrote nothing"), shelf.staging(1.0, "r") as staging:
        staging.stream("data.zst", [Stage(["true"])], PATIENCE)
    assert list(Path(shelf.path).iterdir()) == []


def test_a_file_that_changes_while_it_is_read_fails_the_backup(shelf: Shelf, tmp_path: Path) -> None:
    source = tree(tmp_path / "live")
    with (source / "app/big").open("wb") as stream:
        stream.write(os.urandom(8_000_000))
    writer = subprocess.Popen(["sh", "-c", f"while :; do echo more >> '{source}/app/big'; done"])
    try:
        with pytest.raises(OpsError, match="changed as we read it"):
            taken(shelf, source, level=19)  # which takes seconds, and tar waits for it
    finally:
        writer.kill()
        writer.wait()
    assert shelf.names() == []


def test_room_is_asked_for_first(shelf: Shelf, tmp_path: Path) -> None:
    with shelf.lock():
        shelf.demand_room(1000, 1000)
        with pytest.raises(Refused, match=r"bytes free; the backup may need \d+, and 5 must stay free"):
            shelf.demand_room(10**18, 5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("/b", "../x", "s"), r"system: '\.\./x' is no name"),
        (("/b", "x", ""), "store: '' is no name"),
        (("b", "x", "s"), "root: 'b' is no full path"),
    ],
)
def test_names_that_are_none(arguments: tuple[str, str, str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Shelf(*arguments)


def test_a_backup_that_is_not_there_is_named_with_those_that_are(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is none yet: take one"):
        shelf.folder("latest")
    taken(shelf, tree(tmp_path / "live"))
    with pytest.raises(BadInput, match="There are 20270115T080000Z"):
        shelf.folder("20260101T000000Z")


def cut(folder: Path) -> None:
    data = (folder / "files.tar.zst").read_bytes()
    (folder / "files.tar.zst").write_bytes(data[: len(data) // 2])


def flip(folder: Path) -> None:
    data = bytearray((folder / "files.tar.zst").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "files.tar.zst").write_bytes(data)


def of_nothing(folder: Path) -> None:
    nothing = subprocess.run(["zstd", "-qc"], input=b"", stdout=subprocess.PIPE, check=True).stdout
    (folder / "files.tar.zst").write_bytes(nothing)


def edited(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"kind": "link"', '"kind": "file"'))


def of_partly(folder: Path) -> None:
    """An archive that lacks files, with a manifest and seal that know its new SHA-256."""
    short = folder.parent / "short"
    short.mkdir()
    files.extract(str(folder), str(short), PATIENCE)
    said = manifest.read(str(folder))
    (top,) = said["source"]["paths"]
    (short / top.lstrip("/") / "app/app.conf").unlink()
    _pack(folder, short, top)
    shutil.rmtree(short)


def other_owner(folder: Path) -> None:
    short = folder.parent / "short"
    short.mkdir()
    files.extract(str(folder), str(short), PATIENCE)
    (top,) = manifest.read(str(folder))["source"]["paths"]
    os.chown(short / top.lstrip("/") / "app/app.conf", 12345, 12345)
    _pack(folder, short, top)
    shutil.rmtree(short)


def untied(folder: Path) -> None:
    short = folder.parent / "short"
    short.mkdir()
    files.extract(str(folder), str(short), PATIENCE)
    (top,) = manifest.read(str(folder))["source"]["paths"]
    same = short / top.lstrip("/") / "app/same.conf"
    shutil.copy2(same, same.with_suffix(".new"))
    same.with_suffix(".new").replace(same)
    _pack(folder, short, top)
    shutil.rmtree(short)


def _pack(folder: Path, short: Path, top: str) -> None:
    made = folder / "files.tar.zst"
    made.unlink()
    kept = "--format=posix --sparse --xattrs --xattrs-include='*' --numeric-owner"
    argv = f"tar -cf - {kept} -C '{short}' '{top[1:]}' | zstd -qc"
    made.write_bytes(subprocess.run(["sh", "-c", argv], stdout=subprocess.PIPE, check=True).stdout)
    said = manifest.read(str(folder))
    said["files"][0] |= {"bytes": made.stat().st_size, "sha256": files.sha256_of(str(made))}
    manifest.write(str(folder), said)


BAD = {
    "cut": (cut, "bytes, and had"),
    "a bit flipped": (flip, "SHA-256"),
    "empty": (lambda folder: (folder / "files.tar.zst").write_bytes(b""), "has 0 bytes"),
    "compressed nothing": (of_nothing, "bytes, and had"),
    "file missing": (lambda folder: (folder / "files.tar.zst").unlink(), "is missing"),
    "manifest missing": (lambda folder: (folder / "manifest.json").unlink(), "is missing"),
    "seal missing": (lambda folder: (folder / "manifest.sha256").unlink(), "is missing"),
    "manifest edited": (edited, "was edited"),
    "a stranger": (lambda folder: (folder / "x").write_text("x"), "its manifest does not name it"),
    "restores partly": (of_partly, "app.conf is missing"),
    "another owner": (other_owner, "app.conf: digest is"),
    "a link that was a name of the same file": (untied, "same.conf: digest is"),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="owners can be given by root alone")
@pytest.mark.parametrize("name", BAD)
def test_every_bad_backup_is_found(shelf: Shelf, tmp_path: Path, name: str) -> None:
    folder = Path(taken(shelf, tree(tmp_path / "live")))
    spoil, words = BAD[name]
    spoil(folder)
    try:
        found = verified(str(folder), tmp_path / "scratch")
    except OpsError as error:
        found = [str(error)]
    assert any(words in line for line in found), found


def test_a_manifest_that_was_edited_with_its_seal_is_not_the_recorded_one(shelf: Shelf, tmp_path: Path) -> None:
    folder = taken(shelf, tree(tmp_path / "live"))
    digest = files.sha256_of(f"{folder}/manifest.json")
    said = manifest.read(folder, digest)
    manifest.write(folder, {**said, "host": "db2"})
    with pytest.raises(manifest.Damaged, match="not the one that was recorded"):
        manifest.read(folder, digest)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"schema": "ops.runbook/backup/2"}, "known is ops.runbook/backup/1"), ({"objects": None}, "lacks system, store")],
)
def test_a_manifest_of_another_time_is_refused(tmp_path: Path, change: dict, words: str) -> None:
    manifest.write(str(tmp_path), {"schema": manifest.SCHEMA, **change})
    with pytest.raises(manifest.Damaged, match=words):
        manifest.read(str(tmp_path))
    manifest.write(str(tmp_path), [])  # type: ignore[arg-type]
    with pytest.raises(manifest.Damaged, match="has schema None"):
        manifest.read(str(tmp_path))


def test_differences_are_told_one_by_one_and_not_by_the_hundred() -> None:
    was = [{"name": f"t{number}", "count": number, "digest": "x"} for number in range(30)]
    now = [{"name": f"t{number}", "count": number + (number == 3), "digest": "x"} for number in range(1, 30)]
    assert manifest.compare(was, [*now, {"name": "new"}]) == [
        "t0 is missing",
        "new was not in the backup",
        "t3: count is 4, and was 3",
    ]
    assert len(manifest.compare(was, [])) == 11
    assert manifest.compare([{"name": "a", "count": None}], [{"name": "a", "count": 5}]) == []


def test_fifty_good_ones_raise_no_alarm(shelf: Shelf, tmp_path: Path) -> None:
    source = tree(tmp_path / "live")
    for number in range(50):
        (source / "app/app.conf").write_text(f"port = {number}\n" * (number + 1))
        folder = taken(shelf, source, 1_800_000_000 + number)
        assert verified(folder, tmp_path / f"scratch{number}") == []
    assert len(shelf.names()) == 50


def test_a_database_full_of_files_is_read_in_a_moment(shelf: Shelf, tmp_path: Path) -> None:
    top = tmp_path / "many"
    for folder in range(20):
        (top / str(folder)).mkdir(parents=True)
        for number in range(100):
            (top / str(folder) / str(number)).write_text(json.dumps({"n": number}))
    began = time.monotonic()
    folder = taken(shelf, top)
    assert len(manifest.read(folder)["objects"]) == 2021
    assert time.monotonic() - began < 10
