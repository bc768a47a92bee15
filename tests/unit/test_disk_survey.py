# SPDX-License-Identifier: GPL-3.0-or-later
"""What may go is looked at on a real small filesystem, with real processes that have files open."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import (
    disk_growers,
    disk_open,
    disk_protected,
    disk_state,
    disk_survey,
    managed_file,
)
from ansible_collections.ops.runbook.plugins.module_utils.disk_policy import Policy
from ansible_collections.ops.runbook.plugins.module_utils.disk_room import Filesystem, after, percent, view
from ansible_collections.ops.runbook.plugins.module_utils.errors import CannotLook, OpsError, Refused
from test_files import root_only

pytestmark = root_only
KIB = 1024


class Small:
    """A small filesystem of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, name: str | bytes, kib: int = 4, days: float = 40.0) -> Path:
        """A file that was last written so long ago."""
        path = self.folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * kib * KIB)
        self.age(path, days)
        return path

    def age(self, path: Path, days: float) -> None:
        then = time.time() - days * 86400
        os.utime(path, (then, then))

    def pattern(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def logs(self, *names: str, older_than: str = "30d") -> dict[str, t.Any]:
        paths = [self.pattern(name) for name in names or ("*.log.*",)]
        return {"rotated_logs": [{"paths": paths, "older_than": older_than}]}

    def temporary(self, *names: str, recurse: bool = False, older_than: str = "1d") -> dict[str, t.Any]:
        entry = {"paths": [self.pattern(name) for name in names], "older_than": older_than, "recurse": recurse}
        return {"temporary": [entry]}

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))

    def fill(self, name: str = "filler") -> Path:
        """Use up every byte that is left."""
        path = self.folder / name
        with contextlib.suppress(OSError), path.open("wb", buffering=0) as stream:
            while True:
                stream.write(b"x" * 4096)
        return path

    def fill_inodes(self, name: str = "many") -> None:
        (self.folder / name).mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            for number in range(100000):
                (self.folder / name / str(number)).touch()


@contextlib.contextmanager
def mounted(options: str) -> t.Iterator[Small]:
    folder = Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("may not mount")
    try:
        folder.chmod(0o755)
        yield Small(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Small]:
    monkeypatch.setattr(managed_file, "STATE", str(tmp_path / "state"))
    with mounted("size=2m,nr_inodes=300") as made:
        yield made


def survey(small: Small, policy: dict[str, t.Any], now: float | None = None, **asked: t.Any) -> disk_survey.Survey:
    filesystem = Filesystem(str(small.folder))
    try:
        when = now or time.time()
        made = Policy({"free_percent": 20.0, "policy": policy, **asked}, when)
        return disk_survey.Survey(made, filesystem, disk_open.look(filesystem.device), when, 30)
    finally:
        filesystem.close()


def paths(found: disk_survey.Survey, small: Small) -> list[str]:
    return [os.path.relpath(one.path, small.folder) for one in found.candidates]


def reasons(found: disk_survey.Survey, small: Small) -> dict[str, str]:
    return {one["path"].removeprefix(f"{small.folder}/"): one["reason"] for one in found.omitted}


def test_kinds_in_their_order_and_the_oldest_first(small: Small) -> None:
    for name, days in (("core.2", 50), ("core.1", 60), ("core.3", 9)):
        small.file(name, days=days)
    small.file("tmp/batch_1", 12)
    small.file("app.log.2", 8, days=50)
    small.file("app.log.1", days=31)
    small.file("app.log.0", days=29)
    found = survey(
        small,
        {
            "dumps": [{"paths": [small.pattern("core.*")], "older_than": "7d"}],
            **small.temporary("tmp/batch_*"),
            **small.logs(),
        },
    )
    assert paths(found, small) == ["app.log.2", "app.log.1", "tmp/batch_1", "core.1", "core.2"]
    assert found.totals()["rotated_logs"] == {"count": 2, "bytes": 12 * KIB}
    assert found.totals()["temporary"] == {"count": 1, "bytes": 12 * KIB}
    assert found.totals()["journal"] == {"count": 0, "bytes": 0}
    assert reasons(found, small) == {"core.3": f"is the newest dump of {small.pattern('core.*')}"}
    told = found.candidates[0].view(time.time())
    assert told == {
        "path": small.pattern("app.log.2"),
        "bytes": 8 * KIB,
        "kind": "rotated_logs",
        "age_seconds": pytest.approx(50 * 86400, abs=60),
    }


def test_what_stays_and_why(small: Small) -> None:
    small.file("app.log.1")
    small.file("current.log")
    small.file("app.log.gz")
    small.file("persistence-1.log.1")
    small.file("uploads/app.log.1")
    small.file("linked.log.1")
    os.link(small.folder / "linked.log.1", small.folder / "second")
    (small.folder / "link.log.1").symlink_to("app.log.1")
    (small.folder / "folder.log.1").mkdir()
    os.mkfifo(small.folder / "pipe.log.1")
    small.file("kept.log.1")
    found = survey(small, small.logs("*.log*", "*/*.log*"), protect=["kept.*"])
    assert paths(found, small) == ["app.log.1"]
    assert reasons(found, small) == {
        "current.log": "is not a rotated log by its name",
        "app.log.gz": "is not a rotated log by its name",
        "persistence-1.log.1": "is protected data",
        "linked.log.1": "has 2 names, so that nothing would come free",
        "link.log.1": "is a symbolic link",
        "folder.log.1": "is a folder",
        "pipe.log.1": "is no ordinary file",
        "kept.log.1": "is protected data",
    }


def test_what_was_written_in_the_time_of_the_incident_is_evidence(small: Small) -> None:
    small.file("batch_1", days=0.5)
    small.file("batch_2", days=3)
    found = survey(small, small.temporary("batch_*", older_than="2h"))
    assert paths(found, small) == ["batch_2"]
    assert reasons(found, small) == {"batch_1": "was written within the time of the incident"}
    assert paths(survey(small, small.temporary("batch_*", older_than="2h"), evidence_since="5d"), small) == []
    assert len(survey(small, small.temporary("batch_*", older_than="2h"), evidence_since="1h").candidates) == 2


def test_names_that_are_no_text_or_break_a_line(small: Small) -> None:
    small.file(b"batch_\xff\xe9")
    small.file("batch_a\nb")
    found = survey(small, small.temporary("batch_*"))
    told = sorted(one.view(0)["path"].removeprefix(f"{small.folder}/") for one in found.candidates)
    assert told == ["batch_\\xff\\xe9", "batch_a\\nb"]


def test_a_file_of_two_patterns_is_one(small: Small) -> None:
    small.file("app.log.1")
    found = survey(small, {**small.logs("*.log.*", "app.log.*"), **small.temporary("app.log*")})
    assert paths(found, small) == ["app.log.1"]


def test_a_pattern_without_files_or_a_base_that_is_none(small: Small) -> None:
    small.file("plain")
    (small.folder / "elsewhere").symlink_to("/var/log")
    found = survey(small, small.temporary("gone/batch_*", "plain/batch_*", "elsewhere/batch_*", "*/batch_*"))
    assert paths(found, small) == []
    said = "is no folder, or is reached through a symbolic link, and links are not followed"
    assert reasons(found, small) == {"plain": said, "elsewhere": said}


def test_other_filesystems_are_told_and_left_alone(small: Small, tmp_path: Path) -> None:
    inner, bound = small.folder / "logs", small.folder / "bound"
    for folder in (inner, bound, small.folder / "data"):
        folder.mkdir()
    small.file("data/app.log.1")
    small.file("app.log.1")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", inner], check=True)
    subprocess.run(["mount", "--bind", small.folder / "data", bound], check=True)
    try:
        small.file("logs/app.log.1")
        policy = small.logs("*.log.*", "logs/*.log.*", "bound/*.log.*")
        policy["rotated_logs"][0]["paths"].append("/tmp/ops-runbook-nothing.log.*")
        found = survey(small, {**policy, **small.temporary("bou*", recurse=True)})
        assert paths(found, small) == ["app.log.1"]
        assert reasons(found, small) == dict.fromkeys(("logs", "bound", "/tmp"), "is another filesystem")
    finally:
        subprocess.run(["umount", inner, bound], check=True)


def test_folders_go_when_nothing_stays_in_them(small: Small) -> None:
    small.file("batch_1/a/b/one")
    small.file("batch_1/two", days=50)
    small.file("batch_2/old")
    small.file("batch_2/young", days=0.1)
    small.file("batch_3/deep/uploads/x")
    (small.folder / "batch_4").mkdir()
    (small.folder / "batch_5").mkdir()
    (small.folder / "batch_5" / "link").symlink_to("/etc")
    for path in small.folder.rglob("*"):
        if path.is_dir():
            small.age(path, 40)
    found = survey(small, small.temporary("batch_*", recurse=True))
    assert paths(found, small) == [
        "batch_1/two",
        "batch_1/a/b/one",
        "batch_2/old",
        *("batch_1/a/b", "batch_1/a", "batch_1", "batch_4"),
    ]
    assert reasons(found, small) == {
        "batch_3/deep/uploads": "is protected data",
        "batch_5/link": "is a symbolic link",
    }
    assert reasons(survey(small, small.temporary("batch_*")), small)["batch_4"] == "is a folder"


def test_very_deep_trees_are_not_followed(small: Small) -> None:
    path = small.folder / "batch_1"
    for _ in range(disk_survey._DEEPEST):
        path = path / "d"
    path.mkdir(parents=True)
    found = survey(small, small.temporary("batch_*", recurse=True))
    assert found.candidates == []
    assert "lies deeper than" in found.omitted[0]["reason"]


def test_what_cannot_be_looked_at_stays(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.file("batch_1")
    small.file("batch_2/x")
    small.file("batch_3")
    small.file("batch_4")
    real_stat, real_open = os.stat, os.open

    def no_stat(path: t.Any, **options: t.Any) -> os.stat_result:
        if path == "batch_1":
            raise PermissionError(13, "Permission denied")
        if path == "batch_3":
            raise FileNotFoundError
        return real_stat(path, **options)

    def no_open(path: t.Any, *args: t.Any, **options: t.Any) -> int:
        if path == "batch_2":
            raise PermissionError(13, "Permission denied")
        return real_open(path, *args, **options)

    monkeypatch.setattr(disk_survey.os, "stat", no_stat)
    monkeypatch.setattr(disk_survey.os, "open", no_open)
    found = survey(small, small.temporary("batch_*", recurse=True))
    assert paths(found, small) == ["batch_4"]
    assert reasons(found, small) == {
        "batch_1": "cannot be looked at: Permission denied",
        "batch_2": "cannot be looked into: Permission denied",
    }


def test_it_gives_up_in_time_and_takes_down_no_more_than_fits(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        small.file(f"batch_{number}")
    monkeypatch.setattr(disk_survey, "MOST", 3)
    found = survey(small, small.temporary("batch_*"))
    assert len(found.candidates) == 3
    assert "more than 3 files match" in found.omitted[0]["reason"]
    filesystem = Filesystem(str(small.folder))
    policy = Policy({"free_percent": 20.0, "policy": small.temporary("batch_*")}, time.time())
    with pytest.raises(CannotLook, match="took too long"):
        disk_survey.Survey(policy, filesystem, disk_open.Opened(), time.time(), -1)
    filesystem.close()


def test_many_omitted_ones_are_not_all_listed(small: Small) -> None:
    for number in range(250):
        (small.folder / f"batch_{number}").symlink_to("/")
    assert len(survey(small, small.temporary("batch_*")).omitted) == 200


def test_packages_count_from_when_they_were_fetched(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.file("archives/a_1.deb", days=400)  # the time of the server
    small.file("archives/lock")
    monkeypatch.setattr(disk_protected, "PACKAGE_CACHES", (small.pattern("archives/*.deb"),))
    monkeypatch.setattr(disk_protected, "PACKAGE_LOCKS", (small.pattern("no/lock"), small.pattern("archives/lock")))
    policy = {"package_caches": True}
    assert survey(small, policy).candidates == []
    later = time.time() + 90000
    found = survey(small, policy, now=later)
    assert paths(found, small) == ["archives/a_1.deb"]
    assert found.candidates[0].view(later)["age_seconds"] == pytest.approx(90000, abs=60)
    with (small.folder / "archives/lock").open():
        found = survey(small, policy, now=later)
    assert found.candidates == []
    assert "a package manager is at work" in found.omitted[0]["reason"]


MACHINE = "7de48a352c414bc6a52bc7cf35b3d9f0"
ARCHIVED = "system@13594fdb6d03447b93579f11ae0ab9e9-0000000000000%d-0006614b0ffea7e6.journal"


@pytest.fixture
def journal(small: Small, monkeypatch: pytest.MonkeyPatch) -> Small:
    """An active journal of 16 KiB and four archived files of 8 KiB; names as systemd 252 gives them."""
    monkeypatch.setattr(disk_protected, "JOURNALS", (small.pattern("journal"), small.pattern("none")))
    small.file(f"journal/{MACHINE}/system.journal", 16, days=0)
    for number, days in ((803, 40), (804, 30), (805, 20), (806, 2)):
        small.file(f"journal/{MACHINE}/{ARCHIVED % number}", 8, days)
    small.file("journal/remote/remote-a@1.journal", 8, days=90)
    return small


@pytest.mark.parametrize(
    ("keep", "older_than", "gone"),
    [
        ("32KiB", "7d", [803, 804]),
        ("0B", "7d", [803, 804, 805]),
        ("0B", "1h", [803, 804, 805, 806]),
        ("1MiB", "7d", []),
        ("48KiB", "7d", []),
        ("40KiB", "7d", [803]),
    ],
)
def test_the_journal_keeps_its_share_and_what_is_young(
    journal: Small, keep: str, older_than: str, gone: list[int]
) -> None:
    found = survey(journal, {"journal": {"keep": keep, "older_than": older_than}})
    assert paths(found, journal) == [f"journal/{MACHINE}/{ARCHIVED % number}" for number in gone]
    assert "system.journal" not in str(found.omitted)


def test_an_archived_file_with_entries_of_the_incident_stays(journal: Small) -> None:
    """journalctl --vacuum-time would take it: it goes by the file's first entry."""
    name = f"journal/{MACHINE}/{ARCHIVED % 802}"
    journal.file(name, 8, days=0.5)
    found = survey(journal, {"journal": {"keep": "0B", "older_than": "1h"}})
    assert name not in paths(found, journal)
    assert reasons(found, journal)[name] == "was written within the time of the incident"


def test_a_journal_elsewhere_is_not_looked_at(journal: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "journal" / MACHINE).mkdir(parents=True)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / MACHINE).symlink_to(journal.folder / "journal" / MACHINE)
    monkeypatch.setattr(disk_protected, "JOURNALS", (str(tmp_path / "journal"), str(tmp_path / "linked")))
    found = survey(journal, {"journal": {"keep": "0B", "older_than": "7d"}})
    assert found.candidates == []
    assert [one["reason"].split(",")[0] for one in found.omitted] == ["is another filesystem", "is no folder"]


HOLDER = """
import mmap, os, sys
opened, file = open(sys.argv[1]), os.open(sys.argv[2], os.O_RDWR)
mapped = mmap.mmap(file, 4096)
os.close(file)
print("ready", flush=True)
sys.stdin.read()
"""


def test_files_that_are_open_or_mapped_stay(small: Small) -> None:
    opened, mapped, both = (small.file(name) for name in ("batch_open", "batch_mapped", "batch_free"))
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, opened, mapped], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        found = survey(small, small.temporary("batch_*"))
        assert paths(found, small) == [both.name]
        assert reasons(found, small) == {"batch_open": "is in use", "batch_mapped": "is in use"}
    finally:
        child.communicate(b"")
    assert len(survey(small, small.temporary("batch_*")).candidates) == 3


def test_an_open_file_under_another_name_is_the_same_file(small: Small) -> None:
    path = small.file("batch_1")
    with path.open():
        path.rename(small.folder / "batch_2")
        assert survey(small, small.temporary("batch_*")).candidates == []


def test_files_that_the_kernel_holds(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("batch_loop", "batch_swap", "batch_free"):
        small.file(name)
    (tmp_path / "block/loop0/loop").mkdir(parents=True)
    (tmp_path / "block/sda").mkdir()
    (tmp_path / "block/loop0/loop/backing_file").write_text(small.pattern("batch_loop") + "\n")
    (tmp_path / "swaps").write_text(f"Filename\tType\n{small.pattern('batch_swap')} file 1 0 -2\n")
    monkeypatch.setattr(disk_open, "_LOOPS", str(tmp_path / "block"))
    monkeypatch.setattr(disk_open, "_SWAPS", str(tmp_path / "swaps"))
    assert paths(survey(small, small.temporary("batch_*")), small) == ["batch_free"]
    monkeypatch.setattr(disk_open, "_LOOPS", str(tmp_path / "none"))
    monkeypatch.setattr(disk_open, "_SWAPS", str(tmp_path / "none"))
    assert len(survey(small, small.temporary("batch_*")).candidates) == 3


def unreadable() -> list[int]:
    """Processes that even root may not look into, as there are some where a machine is itself a container."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            (path / "maps").read_bytes()
        except PermissionError:
            found.append(int(path.name))
        except OSError:
            continue
    return sorted(found)


def test_deleted_files_are_told_with_who_holds_them(small: Small) -> None:
    path = small.file("held.log", 64)
    filesystem = Filesystem(str(small.folder))
    with path.open() as one, path.open():
        path.unlink()
        with tempfile.TemporaryFile(dir="/var/tmp"):  # on another filesystem
            found = disk_open.look(filesystem.device)
    filesystem.close()
    seen = [held for held in found.deleted if held["pid"] == os.getpid()]
    assert [(held["path"], held["bytes"]) for held in seen] == [(str(path), 64 * KIB)]
    assert seen[0]["command"] == Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert found.blind == unreadable()
    assert one.closed


def test_processes_that_cannot_be_looked_into_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(_found: t.Any, _host: t.Any, pid: int, _device: int) -> None:
        if pid == 1:
            raise PermissionError
        raise ProcessLookupError

    monkeypatch.setattr(disk_open, "_descriptors", no)
    assert disk_open.look(1).blind == [1]


def test_a_descriptor_that_is_closed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    found = disk_open.Opened()
    monkeypatch.setattr(disk_open._proc, "descriptors", lambda _host, pid: {f"/proc/{pid}/fd/999": "/x (deleted)"})
    disk_open._descriptors(found, disk_open.LocalHost(), os.getpid(), 0)
    assert found.identities == set()


def test_the_room(small: Small) -> None:
    filesystem = Filesystem(str(small.folder / "."))
    assert filesystem.mount_point == str(small.folder)
    room = filesystem.room()
    assert (room["used"] + room["available"], room["inodes"], room["read_only"]) == (2 << 20, 300, 0)
    small.file("a", 1024)
    assert view(filesystem.room()) == {
        "size_bytes": 2 << 20,
        "available_bytes": 1 << 20,
        "free_percent": 50.0,
        "inodes_free": 298,
        "free_inodes_percent": 99.3,
    }
    assert after(filesystem.room(), 1 << 20, 1) == room
    subprocess.run(["mount", "-o", "remount,ro", small.folder], check=True)
    assert filesystem.room()["read_only"] == 1
    assert Filesystem(str(small.folder / "a")).device == filesystem.device
    filesystem.close()
    with pytest.raises(OpsError, match="no such file"):
        Filesystem(str(small.folder / "none"))
    assert (percent(1, 3), percent(0, 0)) == (33.3, None)
    assert view({**room, "inodes": 0})["inodes_free"] is None


def test_a_filesystem_without_an_id_is_known_by_its_number(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    filesystem = Filesystem(str(small.folder))
    real, device = os.fstatvfs(filesystem._folder), os.stat(small.folder).st_dev  # noqa: PTH116 - the number alone
    assert filesystem.identity == f"{real.f_fsid:x}"
    without = os.statvfs_result((*tuple(real)[:10], 0))
    monkeypatch.setattr(os, "fstatvfs", lambda _folder: without)
    assert Filesystem(str(small.folder)).identity == f"{os.major(device)}-{os.minor(device)}"


def grown(small: Small, before: dict[str, int] | None = None, hours: float = 0.0, now: float | None = None) -> t.Any:
    filesystem = Filesystem(str(small.folder))
    try:
        told = disk_growers.measure(filesystem, now or time.time(), 10)
        rows = disk_growers.views(told, before or {}, hours)
    finally:
        filesystem.close()
    for row in rows:
        row["directory"] = row["directory"].removeprefix(str(small.folder)) or "/"
    return rows


def test_growers_are_the_fullest_folders_and_what_grows_first(small: Small) -> None:
    small.file("data/a/one", 600, days=10)
    small.file("data/b/two", 200, days=0.5)
    small.file("data/c/three", 100, days=0)
    for number in range(30):
        small.file(f"many/{number}/x", 4, days=10)
    os.link(small.folder / "data/a/one", small.folder / "data/a/again")
    (small.folder / "data/b/link").symlink_to("/etc")
    rows = grown(small)
    assert rows == [
        {"directory": "/data/c", "bytes": 100 * KIB, "bytes_per_hour": 100 * KIB},
        {"directory": "/data/b", "bytes": 200 * KIB, "bytes_per_hour": 200 * KIB // 24},
        {"directory": "/data/a", "bytes": 600 * KIB, "bytes_per_hour": 0},
        {"directory": "/many", "bytes": 120 * KIB, "bytes_per_hour": 0},
    ]
    assert sum(row["bytes"] for row in rows) == 1020 * KIB


def test_growth_against_the_last_reclaim(small: Small) -> None:
    small.file("data/one", 600, days=0)
    before = {small.pattern("data"): 200 * KIB}
    assert grown(small, before, hours=2.0)[0]["bytes_per_hour"] == 200 * KIB
    assert grown(small, before, hours=0.01)[0]["bytes_per_hour"] == 600 * KIB  # too short a time to tell
    assert grown(small, {small.pattern("data"): 800 * KIB}, hours=2.0)[0]["bytes_per_hour"] == -100 * KIB


def test_growers_stay_on_the_filesystem_and_stop_in_time(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    (small.folder / "inner").mkdir()
    small.file("data/one", 100)
    small.file("data/sub/two", 100)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small.folder / "inner"], check=True)
    try:
        small.file("inner/big", 500)
        assert {row["directory"] for row in grown(small)} == {"/data", "/data/sub"}
        monkeypatch.setattr(disk_growers, "MOST", 0)
        assert grown(small) == []
    finally:
        subprocess.run(["umount", small.folder / "inner"], check=True)


def test_folders_that_cannot_be_read_are_passed_over(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.file("data/one", 100)
    real = os.scandir

    def no(path: t.Any) -> t.Any:
        if str(path).endswith("data"):
            raise PermissionError
        return real(path)

    monkeypatch.setattr(disk_growers.os, "scandir", no)
    assert grown(small) == []


def test_the_note_of_a_reclaim(small: Small) -> None:
    filesystem = Filesystem(str(small.folder))
    assert disk_state.read(filesystem) is None
    assert disk_state.recent(None) is False
    assert disk_state.write(filesystem, 3, 4096, {"/data": 5}) == ""
    path = Path(disk_state.path_of(filesystem))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    last = disk_state.read(filesystem)
    assert last is not None
    assert (last["deleted"], last["freed_bytes"], last["directories"]) == (3, 4096, {"/data": 5})
    assert last["hours"] == pytest.approx(0, abs=0.1)
    assert disk_state.recent(last) is True
    assert disk_state.recent({**last, "hours": 24.1}) is False
    assert disk_state.recent({**last, "deleted": 0}) is False
    filesystem.mount_point = "/elsewhere"  # the number was given to another filesystem
    assert disk_state.read(filesystem) is None
    filesystem.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"at": 1, "boot_id": "x", "uptime": 1, "mount_point": "/", "deleted": "3", "directories": {}}',
        '{"at": 1, "boot_id": 7, "uptime": 1, "mount_point": "/", "deleted": 3, "directories": {}}',
        '{"at": 1, "boot_id": "x", "uptime": 1, "mount_point": "/", "deleted": 3, "directories": []}',
    ],
)
def test_a_damaged_note_is_not_no_note(text: str) -> None:
    with pytest.raises(Refused, match="is damaged") as caught:
        disk_state.parse_state(text.encode(), "/x.json")
    assert "rm /x.json" in caught.value.hint


def test_a_note_that_cannot_be_read_or_written(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filesystem = Filesystem(str(small.folder))
    path = Path(disk_state.path_of(filesystem))
    path.mkdir(parents=True)
    with pytest.raises(OpsError, match="Is a directory"):
        disk_state.read(filesystem)
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").symlink_to("/tmp")
    assert "symbolic link" in disk_state.write(filesystem, 1, 1, {})

    def no(*_args: t.Any) -> t.Any:
        raise PermissionError

    monkeypatch.setattr("builtins.open", no)
    with pytest.raises(PermissionError):
        disk_state.read(filesystem)
    filesystem.close()
