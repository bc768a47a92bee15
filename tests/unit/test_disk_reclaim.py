# SPDX-License-Identifier: GPL-3.0-or-later
"""Room comes back on a real full filesystem: no more than needed, nothing that is data, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.module_utils import (
    disk_growers,
    disk_open,
    disk_reclaim,
    disk_release,
    disk_state,
    holds,
    lease,
    locks,
)
from ansible_collections.ops.runbook.plugins.module_utils.disk_room import Filesystem
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, CannotLook, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost
from ansible_collections.ops.runbook.plugins.module_utils.specs.disk_reclaim import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from test_disk_survey import KIB, Small, mounted, small, unreadable
from test_files import NOBODY, Killer, in_child, root_only
from test_ownership import oldest

__all__ = ["small"]
pytestmark = root_only
KEYS = {
    *("changed", "changes", "undo", "message", "reached", "filesystem", "freed_bytes", "freed_inodes", "candidates"),
    *("kinds", "deleted_open", "growers", "omitted"),
}
NOTHING = {"kind": "none", "reason": "nothing was changed"}


@pytest.fixture(autouse=True)
def sighted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine is itself a container, a process outside may be one that even root cannot look into."""
    blind, real = unreadable(), disk_open._proc.pids
    monkeypatch.setattr(disk_open._proc, "pids", lambda host: [pid for pid in real(host) if pid not in blind])


def params(small: Small, policy: dict[str, t.Any], **asked: t.Any) -> dict[str, t.Any]:
    given = {"path": str(small.folder), "policy": policy, "free_percent": 50, **asked}
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate(given)
    assert checked.error_messages == []
    return dict(checked.validated_parameters)


def run(small: Small, policy: dict[str, t.Any], check: bool = False, **asked: t.Any) -> dict[str, t.Any]:
    result = disk_reclaim.run(params(small, policy, **asked), check)
    assert set(result) == KEYS
    assert json.dumps(result)
    return result


def failed(
    small: Small, policy: dict[str, t.Any], check: bool = False, **asked: t.Any
) -> tuple[OpsError, dict[str, t.Any]]:
    with pytest.raises(OpsError) as caught:
        run(small, policy, check, **asked)
    assert set(caught.value.result) == KEYS
    assert caught.value.result["message"] == str(caught.value)
    return caught.value, caught.value.result


def deleted(result: dict[str, t.Any], small: Small) -> list[str]:
    return [change["object"].removeprefix(f"{small.folder}/") for change in result["changes"]]


def full(small: Small, count: int = 6) -> None:
    """Rotated logs of 256 KiB, the highest number the oldest, and data; no byte is left of the 2 MiB."""
    for number in range(1, count + 1):
        small.file(f"app.log.{number}", 256, days=30 + number)
    small.fill("data")


def forget(small: Small) -> None:
    filesystem = Filesystem(str(small.folder))
    Path(disk_state.path_of(filesystem)).unlink(missing_ok=True)
    filesystem.close()


def test_no_more_than_needed_and_the_oldest_first(small: Small) -> None:
    full(small)
    predicted = run(small, small.logs(), check=True)
    assert "app.log.6" in small.names()
    result = run(small, small.logs())
    assert deleted(result, small) == ["app.log.6", "app.log.5", "app.log.4", "app.log.3"]
    assert small.names() == ["app.log.1", "app.log.2", "data"]
    assert (result["changed"], result["reached"]) == (True, True)
    assert (result["freed_bytes"], result["freed_inodes"]) == (1 << 20, 4)
    assert result["filesystem"]["before"]["available_bytes"] == 0
    assert result["filesystem"]["after"]["free_percent"] == 50.0
    assert result["kinds"]["rotated_logs"] == {"count": 6, "bytes": 6 * 256 * KIB}
    assert [one["path"] for one in result["candidates"]] == [small.pattern(f"app.log.{n}") for n in (6, 5, 4, 3, 2, 1)]
    assert result["changes"][0] == {
        "object": small.pattern("app.log.6"),
        "before": "262.1 kB, 36 d old",
        "after": "deleted",
    }
    assert result["undo"] == {"kind": "none", "reason": "what was deleted had expired, and is gone"}
    assert result["message"] == f"freed 1.0 MB (4 files deleted): 50 % of {small.folder} is free (1.0 MB)"
    assert {key: value for key, value in predicted.items() if key != "growers"} == {
        key: value for key, value in result.items() if key != "growers"
    }
    df = subprocess.run(["df", "--output=avail", small.folder], capture_output=True, text=True, check=True).stdout
    assert int(df.split()[-1]) == 1024


def test_enough_room_is_left_alone(small: Small) -> None:
    small.file("app.log.1")
    result = run(small, small.logs())
    assert (result["changed"], result["reached"], result["undo"]) == (False, True, NOTHING)
    assert result["message"].endswith("is free (2.1 MB): nothing to do")
    assert small.names() == ["app.log.1"]


def test_a_filesystem_without_a_byte_or_an_inode(small: Small) -> None:
    for number in range(40):
        small.file(f"tmp/batch_{number:02}", 1, days=3)
    small.fill()
    small.fill_inodes()
    with pytest.raises(OSError, match="No space left"):
        (small.folder / "one").write_text("")
    result = run(small, small.temporary("tmp/batch_*"), free_percent=None, free_inodes_percent=10)
    assert result["reached"]
    assert (result["freed_inodes"], result["filesystem"]["after"]["free_inodes_percent"]) == (30, 10.0)
    assert result["message"].endswith(f"% of {small.folder} is free ({30 * 4.096:.1f} kB), 10 % of its inodes")
    assert len(list((small.folder / "tmp").iterdir())) == 10


def test_what_may_go_goes_though_it_is_not_enough_and_the_growers_are_named(small: Small) -> None:
    full(small, count=2)
    before = small.names()
    predicted_error, predicted = failed(small, small.logs(), check=True)
    assert small.names() == before
    error, result = failed(small, small.logs())
    assert type(error) is type(predicted_error) is OpsError
    assert error.what == predicted_error.what
    assert small.names() == ["data"]
    assert (result["changed"], result["reached"], result["freed_bytes"]) == (True, False, 512 * KIB)
    assert result["changes"] == predicted["changes"]
    assert error.what == f"25 % of {small.folder} is free (524.3 kB), 1.0 MB is wanted, and nothing more may go"
    assert error.hint == f"Look at what fills it: {small.folder} 1.6 MB (+1.6 MB an hour)"
    assert result["growers"] == [
        {"directory": str(small.folder), "bytes": 1536 * KIB, "bytes_per_hour": 1536 * KIB},
    ]


def test_nothing_may_go_and_nothing_is_touched(small: Small) -> None:
    small.file("app.log.1", days=3)
    small.file("uploads/app.log.2")
    (small.folder / "db").mkdir()
    small.fill("db/data.db")
    before = small.names()
    for check in (True, False):
        error, result = failed(small, small.logs("*.log.*", "*/*.log.*"), check=check)
        assert isinstance(error, Refused)
        assert "nothing may go by the policy" in error.what
        assert f"{small.folder}/db" in error.hint
        assert (result["changed"], result["changes"], result["undo"]) == (False, [], NOTHING)
        assert result["growers"][0]["directory"] == f"{small.folder}/db"
        assert small.names() == before
    forget(small)


def test_a_second_time_within_a_day_is_for_a_person(small: Small) -> None:
    full(small)
    run(small, small.logs())
    small.fill("more")
    before = small.names()
    for check in (True, False):
        error, result = failed(small, small.logs(), check=check)
        assert isinstance(error, Refused)
        assert "although 1.0 MB were reclaimed 0 s ago" in error.what
        assert small.names() == before
        assert result["kinds"]["rotated_logs"]["count"] == 2
    assert run(small, small.logs(), free_percent=20, again=True)["reached"]


def test_a_day_later_it_is_done_again(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    full(small)
    run(small, small.logs())
    small.fill("more")
    real = locks.age
    monkeypatch.setattr(disk_state, "age", lambda note: real(note) + 90000)
    result = run(small, small.logs(), free_percent=20)
    assert result["reached"]
    assert result["growers"][0]["bytes_per_hour"] == pytest.approx(2 * 256 * KIB / 25, rel=0.3)


def test_growth_is_measured_against_the_last_reclaim(small: Small) -> None:
    full(small)
    run(small, small.logs())
    filesystem = Filesystem(str(small.folder))
    path = Path(disk_state.path_of(filesystem))
    note = json.loads(path.read_text())
    assert note["directories"] == {str(small.folder): 1 << 20}
    assert (note["deleted"], note["freed_bytes"]) == (4, 1 << 20)
    note["uptime"] -= 3600 * 2
    path.write_text(json.dumps(note))
    small.fill("more")
    _error, result = failed(small, small.logs())
    assert result["growers"][0]["bytes_per_hour"] == pytest.approx(512 * KIB, rel=0.01)


def test_a_note_that_cannot_be_written_is_told(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    full(small)
    monkeypatch.setattr(disk_state, "write", lambda *_args: "the filesystem is read-only")
    assert "could not be noted, so that a second one" in run(small, small.logs())["message"]


def test_a_damaged_note_stops_it(small: Small) -> None:
    full(small)
    filesystem = Filesystem(str(small.folder))
    path = Path(disk_state.path_of(filesystem))
    filesystem.close()
    path.parent.mkdir(parents=True)
    path.write_text("{")
    error, _result = failed(small, small.logs())
    assert "note of the last reclaim is damaged" in error.what
    assert "app.log.6" in small.names()


def test_a_read_only_filesystem(small: Small) -> None:
    full(small)
    subprocess.run(["mount", "-o", "remount,ro", small.folder], check=True)
    error, _result = failed(small, small.logs())
    assert isinstance(error, Refused)
    assert "mounted read-only" in error.what


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"path": "var/log"}, "not an absolute path"),
        ({"path": "/nonexistent/x"}, "no such file or directory"),
        ({"report": 0}, "is no number of rows"),
        ({"evidence_since": "soon"}, "is no age"),
    ],
)
def test_wrong_input(small: Small, asked: dict[str, t.Any], says: str) -> None:
    error, result = failed(small, small.logs(), **asked)
    assert says in str(error)
    assert result["filesystem"] == {"before": None, "after": None}
    assert isinstance(error, BadInput) or "path" in asked


def test_who_is_not_root_is_refused(small: Small) -> None:
    def work() -> None:
        for check in (True, False):
            error, _result = failed(small, small.logs(), check=check)
            assert isinstance(error, Refused)
            assert "become" in error.hint

    assert in_child(work, NOBODY) == 0


def test_where_a_process_cannot_be_looked_into_nothing_goes(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    full(small)
    real = disk_open._descriptors

    def no(found: t.Any, host: t.Any, pid: int, device: int) -> None:
        if pid == os.getpid():
            raise PermissionError
        real(found, host, pid, device)

    monkeypatch.setattr(disk_open, "_descriptors", no)
    error, result = failed(small, small.logs())
    assert isinstance(error, Refused)
    assert f"what process {os.getpid()} has open cannot be seen" in error.what
    assert result["changed"] is False
    assert "app.log.6" in small.names()


def test_the_lease_is_held_before_the_first_deletion(
    small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lease, "DIRECTORY", str(tmp_path / "leases"))
    full(small)
    held = {"lease": "fleet01/disk", "run_id": "run1"}
    assert run(small, small.logs(), check=True, **held)["changed"]
    error, _result = failed(small, small.logs(), **held)
    assert isinstance(error, Refused)
    assert "app.log.6" in small.names()
    lease.run({"name": "fleet01/disk", "state": "acquired", "ttl": 60, "run_id": "run1", "holder": "t"}, False)
    assert run(small, small.logs(), **held)["changed"]


def test_a_person_s_hold_goes_first(small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full(small)
    (tmp_path / "hold").write_text("moving it to a larger disk")
    monkeypatch.setattr(holds, "PATH", str(tmp_path / "hold"))
    for check in (True, False):
        error, _result = failed(small, small.logs(), check=check)
        assert isinstance(error, Refused)
        assert "moving it to a larger disk" in error.what
    assert "app.log.6" in small.names()


def test_names_that_are_no_text_are_deleted_and_told(small: Small) -> None:
    small.file(b"batch_\xff\n", 1024)
    small.fill()
    result = run(small, small.temporary("batch_*"), free_percent=20)
    assert deleted(result, small) == ["batch_\\xff\\n"]
    assert small.names() == ["filler"]


def test_emptied_folders_go_along(small: Small) -> None:
    small.file("batch_1/a/one", 512)
    small.file("batch_1/two", 512)
    for name in ("batch_1/a", "batch_1"):
        small.age(small.folder / name, 40)
    small.fill()
    asked = {"free_percent": 50, "free_inodes_percent": 99.3}
    predicted = run(small, small.temporary("batch_*", recurse=True), check=True, **asked)
    result = run(small, small.temporary("batch_*", recurse=True), **asked)
    assert deleted(result, small) == ["batch_1/a/one", "batch_1/two", "batch_1/a", "batch_1"]
    assert result["changes"] == predicted["changes"]
    assert small.names() == ["filler"]


def test_thousands_of_files_are_told_by_kind(small: Small) -> None:
    for number in range(150):
        small.file(f"batch_{number}", 4)
    small.fill()
    result = run(small, small.temporary("batch_*"), free_inodes_percent=99.3, free_percent=20)
    assert len(result["changes"]) == 101
    assert result["changes"][-1] == {
        "object": "more files of kind temporary",
        "before": "50 files, 204.8 kB",
        "after": "deleted",
    }
    assert len(result["candidates"]) == 20


def swap(monkeypatch: pytest.MonkeyPatch, work: t.Callable[[], object]) -> None:
    """Do what an owner of the folder may do between the look and the act."""
    real = disk_reclaim._act

    def act(host: t.Any, job: t.Any) -> None:
        work()
        real(host, job)

    monkeypatch.setattr(disk_reclaim, "_act", act)


@pytest.mark.parametrize("how", ["link", "hard link", "new file", "written", "folder", "gone"])
def test_what_was_swapped_in_meanwhile_stays(
    small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    full(small, count=1)
    path, outside = small.folder / "app.log.1", tmp_path / "outside"
    outside.write_text("precious")

    def work() -> None:
        if how == "written":
            with path.open("r+") as stream:
                stream.write("y")
            return
        path.rename(small.folder / "old")
        if how == "link":
            path.symlink_to(outside)
        elif how == "hard link":
            os.link(small.folder / "old", path)
        elif how == "new file":
            path.touch()
        elif how == "folder":
            path.mkdir()

    swap(monkeypatch, work)
    error, result = failed(small, small.logs(), free_percent=5)
    assert isinstance(error, Refused)
    said = "is gone meanwhile" if how == "gone" else "was replaced or written meanwhile"
    assert result["omitted"] == [{"path": str(path), "reason": said}]
    assert result["changed"] is False
    assert path.exists() or how == "gone"
    assert outside.read_text() == "precious"


def test_a_folder_on_the_way_swapped_for_a_link(small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small.file("logs/app.log.1", 1024)
    small.fill()
    (tmp_path / "app.log.1").write_text("precious")

    def work() -> None:
        (small.folder / "logs").rename(small.folder / "kept")
        (small.folder / "logs").symlink_to(tmp_path)

    swap(monkeypatch, work)
    _error, result = failed(small, small.logs("logs/*.log.*"))
    assert result["omitted"][0]["reason"] == "cannot be deleted: Not a directory"
    assert (tmp_path / "app.log.1").read_text() == "precious"
    assert (small.folder / "kept/app.log.1").exists()


def test_a_file_put_into_a_folder_that_was_to_go(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.file("batch_1/one", 512)
    small.age(small.folder / "batch_1", 40)
    small.fill()
    swap(monkeypatch, lambda: (small.folder / "batch_1/new").symlink_to("x"))
    _error, result = failed(small, small.temporary("batch_*", recurse=True))
    assert deleted(result, small) == ["batch_1/one"]
    assert result["omitted"] == [{"path": small.pattern("batch_1"), "reason": "cannot be deleted: Directory not empty"}]


def test_a_disk_that_fails_ends_it_with_what_was_done(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    full(small)
    real, calls = os.unlink, []

    def unlink(name: str, **options: t.Any) -> None:
        calls.append(name)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        real(name, **options)

    monkeypatch.setattr(disk_reclaim.os, "unlink", unlink)
    error, result = failed(small, small.logs())
    assert "disk does not answer" in error.what
    assert deleted(result, small) == ["app.log.6"]
    assert (result["changed"], result["freed_bytes"]) == (True, 256 * KIB)


def test_room_that_comes_late_is_waited_for(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on XFS and btrfs: the file is gone, and statvfs learns of it a moment later."""
    full(small)
    real, until = disk_reclaim.Job.enough, time.monotonic() + 0.7

    def late(job: disk_reclaim.Job) -> bool:
        return real(job) and time.monotonic() > until

    monkeypatch.setattr(disk_reclaim.Job, "enough", late)
    assert len(run(small, small.logs())["changes"]) == 4


def test_who_writes_on_is_not_waited_for_for_ever(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    full(small)
    monkeypatch.setattr(disk_reclaim, "_SETTLE", 0.2)
    real, written = disk_reclaim._remove, []

    def refill(job: t.Any, one: t.Any) -> bool:
        gone = real(job, one)
        written.append(small.file(f"data_{len(written)}", 256))
        return gone

    monkeypatch.setattr(disk_reclaim, "_remove", refill)
    error, result = failed(small, small.logs(), free_percent=10)
    assert len(result["changes"]) == 6
    assert "nothing more may go" in error.what


class DeletionKiller(Killer):
    """Kills before or after the nth call that changes something."""

    def __getattr__(self, name: str) -> object:
        changes = ("unlink", "rmdir", "mkdir", "rename", "write", "fsync", "fchmod")
        return super().__getattr__(name) if name in changes else getattr(os, name)


def test_killed_at_any_point_a_rerun_finishes_and_data_stays(small: Small) -> None:
    from ansible_collections.ops.runbook.plugins.module_utils import files

    def work(when: int, after: bool) -> None:
        killer = DeletionKiller(when, after)
        disk_reclaim.os = files.os = killer  # type: ignore[assignment]
        run(small, small.logs())

    codes = set()
    for when in range(1, 40):
        for after in (False, True):
            for path in small.folder.iterdir():
                path.unlink()
            forget(small)
            full(small)
            data = (small.folder / "data").read_bytes()
            code = in_child(lambda when=when, after=after: work(when, after))  # type: ignore[misc]
            assert not [name for name in small.names() if "ops-runbook" in name]
            assert run(small, small.logs())["reached"]
            assert small.names() == ["app.log.1", "app.log.2", "data"]
            assert (small.folder / "data").read_bytes() == data
            codes.add(code)
        if code == 0:
            break
    assert codes == {-9, 0}
    assert when > 8  # each deletion, and each step of the note


@root_only
def test_no_race_reaches_a_file_outside(small: Small, tmp_path: Path) -> None:
    """The owner of the folder swaps links and other files in as fast as it can while the module runs."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    full(small, count=1)
    path = small.folder / "app.log.1"
    racer = os.fork()
    if racer == 0:
        while True:
            for make in (lambda: path.symlink_to(outside), lambda: small.file("app.log.1", 4)):
                try:
                    path.unlink(missing_ok=True)
                    make()
                except OSError:
                    continue
    try:
        for _ in range(60):
            try:
                run(small, small.logs(), free_percent=90, again=True)
            except OpsError:
                continue
    finally:
        os.kill(racer, 9)
        os.waitpid(racer, 0)
    assert outside.read_text() == "precious"


WRITER = """
import os, signal, sys
path, how = sys.argv[1:]
file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def reopen(*_):
    global file
    os.close(file)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
if how == "handles":
    signal.signal(signal.SIGHUP, reopen)
if how == "ignores":
    signal.signal(signal.SIGHUP, lambda *_: None)
if how == "waits":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
print("ready", flush=True)
while how == "waits":
    signal.sigwait({signal.SIGHUP})
    reopen()
sys.stdin.read()
"""


class Service:
    """A real process that writes a log, in a unit by name only, and the systemctl that reaches it."""

    def __init__(self, small: Small, how: str, name: str = "held.log") -> None:
        self.path = small.file(name, 1024, days=0)
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(self.path), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        self.path.unlink()
        small.fill()
        self.asked: list[list[str]] = []

    def run(self, argv: t.Sequence[str], timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        self.asked.append(list(argv))
        if "show" in argv:
            return Completed(0, f"{self.process.pid}\n", "")
        if "kill" in argv:
            assert list(argv) == [
                *("systemctl", "--no-ask-password", "kill", "-s", "HUP", "--kill-who=main", "--", "writer.service")
            ]
        elif list(argv) != ["systemctl", "--no-ask-password", "reload", "--", "writer.service"]:
            raise AssertionError(argv)
        self.process.send_signal(signal.SIGHUP)
        return Completed(0, "", "")

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def service(small: Small, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[t.Callable[..., Service]]:
    started: list[Service] = []
    real = LocalHost.run

    def start(how: str, name: str = "held.log") -> Service:
        made = Service(small, how, name)
        started.append(made)
        unit, here = disk_open._proc.unit, made.process.pid
        monkeypatch.setattr(
            disk_open._proc, "unit", lambda host, pid: "writer.service" if pid == here else unit(host, pid)
        )
        monkeypatch.setattr(
            LocalHost,
            "run",
            lambda _host, argv, *a, **o: made.run(argv) if argv[0] == "systemctl" else real(_host, argv),
        )
        return made

    yield start
    for one in started:
        one.end()


REOPEN = [{"unit": "writer.service", "signal": "HUP"}]


@pytest.mark.parametrize(
    ("how", "reopen"),
    [
        ("handles", REOPEN),
        ("handles", [{"unit": "writer", "reload": True}]),
        ("waits", [{"unit": "writer", "reload": True}]),
    ],
    ids=["signal", "reload", "reload of one that waits"],
)
def test_a_service_is_told_to_let_go_before_anything_is_deleted(
    small: Small, service: t.Callable[..., Service], how: str, reopen: t.Any
) -> None:
    small.file("app.log.1")
    held = service(how)
    predicted = run(small, small.logs(), check=True, reopen=reopen)
    result = run(small, small.logs(), reopen=reopen)
    assert result["reached"]
    assert result["changes"] == predicted["changes"]
    told = "reload" if "reload" in reopen[0] else "SIGHUP"
    assert result["changes"] == [
        {
            "object": "writer.service",
            "before": f"holds {held.path} deleted (1.0 MB)",
            "after": f"logs opened anew ({told})",
        }
    ]
    assert (result["freed_bytes"], result["freed_inodes"]) == (1 << 20, 1)
    assert result["message"].startswith("freed 1.0 MB (writer.service opened its logs anew): ")
    assert "the policy allows it" in result["deleted_open"][0]["released_by"]
    assert "app.log.1" in small.names()
    filesystem = Filesystem(str(small.folder))
    assert disk_open.look(filesystem.device).deleted == []
    last = disk_state.read(filesystem)
    assert last is not None
    assert disk_state.recent(last) is False  # nothing was deleted, so that deleting is still allowed
    filesystem.close()


def test_no_more_services_are_told_than_needed(
    small: Small, service: t.Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = service("handles")
    real = disk_release.plan
    monkeypatch.setattr(
        disk_release, "plan", lambda *given: [*real(*given), disk_release.Release("other.service", None, [])]
    )
    for check in (True, False):
        assert deleted(run(small, small.logs(), check=check, reopen=REOPEN), small) == ["writer.service"]
    assert "other.service" not in str(held.asked)


def test_who_is_not_on_the_list_is_only_named(small: Small, service: t.Callable[..., Service]) -> None:
    held = service("handles")
    error, result = failed(small, small.logs(), reopen=[{"unit": "other.service", "signal": "HUP"}])
    assert isinstance(error, Refused)
    assert "deleted files that are still open hold 1.0 MB" in error.hint
    assert result["deleted_open"] == [
        {
            "path": str(held.path),
            "bytes": 1 << 20,
            "pid": held.process.pid,
            "unit": "writer.service",
            "command": Path(f"/proc/{held.process.pid}/comm").read_text().strip(),
            "released_by": "systemctl reload writer.service, or else systemctl restart writer.service",
        }
    ]
    assert held.asked == []


@pytest.mark.parametrize("name", ["recommendation.db", "uploads/one", "persistence-1.log"])
def test_a_deleted_file_of_protected_data_is_never_let_go(
    small: Small, service: t.Callable[..., Service], name: str
) -> None:
    held = service("handles", name)
    _error, result = failed(small, small.logs(), reopen=REOPEN)
    assert held.asked == []
    assert result["deleted_open"][0]["released_by"].startswith("nothing yet: it is protected data, copy it from /proc/")
    assert len(disk_open.look(small.folder.stat().st_dev).deleted) == 1


def test_a_file_that_somebody_else_holds_too_is_not_let_go(small: Small, service: t.Callable[..., Service]) -> None:
    held = service("handles")
    file = os.open(f"/proc/{held.process.pid}/fd/3", os.O_RDONLY)
    try:
        _error, result = failed(small, small.logs(), reopen=REOPEN)
    finally:
        os.close(file)
    assert held.asked == []
    assert len(result["deleted_open"]) == 2
    assert {one["path"] for one in result["deleted_open"]} == {str(held.path)}
    mine = next(one for one in result["deleted_open"] if one["pid"] == os.getpid())
    assert mine["unit"] is None or mine["unit"] != "writer.service"


def test_a_process_without_a_unit(small: Small, service: t.Callable[..., Service], monkeypatch: t.Any) -> None:
    held = service("handles")
    monkeypatch.setattr(disk_open._proc, "unit", lambda _host, _pid: None)
    _error, result = failed(small, small.logs(), reopen=REOPEN)
    assert result["deleted_open"][0]["released_by"] == f"the end of process {held.process.pid}, when it may end"


@pytest.mark.parametrize("how", ["dies", "waits"])
def test_a_signal_that_may_end_the_process_is_not_sent(
    small: Small, service: t.Callable[..., Service], how: str
) -> None:
    held = service(how)
    _error, result = failed(small, small.logs(), reopen=REOPEN)
    assert result["omitted"] == [{"path": "writer.service", "reason": "its main process has no handler for SIGHUP"}]
    assert held.process.poll() is None


def test_what_does_not_let_go_is_told_and_expired_files_go(
    small: Small, service: t.Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_release, "WAIT", 0.5)
    service("ignores")
    (small.folder / "filler").unlink()
    small.file("app.log.1", 512)
    small.fill()
    result = run(small, small.logs(), reopen=REOPEN, free_percent=20)
    assert deleted(result, small) == ["app.log.1"]
    assert result["omitted"] == [{"path": "writer.service", "reason": "still holds it 0.5 s after SIGHUP"}]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Completed(1, "", "Failed to kill unit writer.service: no main process\n"), "no main process"),
        (Completed(5, "", ""), "exit code 5"),
        (CannotLook("systemctl did not end within 30 s"), "did not end within 30 s"),
    ],
)
def test_a_systemctl_that_fails_is_told(
    small: Small, service: t.Callable[..., Service], monkeypatch: pytest.MonkeyPatch, said: t.Any, reason: str
) -> None:
    held = service("handles")

    def fails(argv: t.Sequence[str]) -> Completed:
        if "show" in argv:
            return Completed(0, f"{held.process.pid}\n", "")
        if isinstance(said, Exception):
            raise said
        return t.cast("Completed", said)

    monkeypatch.setattr(held, "run", fails)
    _error, result = failed(small, small.logs(), reopen=REOPEN)
    assert reason in result["omitted"][0]["reason"]
    assert result["changed"] is False


def test_a_main_process_that_is_gone_is_sent_nothing() -> None:
    class Gone:
        said = "0\n"

        def run(self, argv: t.Sequence[str], timeout: float = 10.0, stdin: bytes = b"") -> Completed:
            return Completed(0, self.said, "")

        def read(self, path: str, limit: int = 0, offset: int = 0) -> bytes:
            raise FileNotFoundError

    one = disk_release.Release("a.service", "HUP", [])
    for said in ("0\n", "\n"):
        Gone.said = said
        assert disk_release.able(Gone(), [one])[0] == []  # type: ignore[arg-type]


def test_a_second_time_within_a_day_a_service_may_still_be_told(
    small: Small, service: t.Callable[..., Service]
) -> None:
    small.file("app.log.1")
    service("handles")
    filesystem = Filesystem(str(small.folder))
    assert disk_state.write(filesystem, 3, 4096, {}) == ""
    filesystem.close()
    result = run(small, small.logs(), reopen=REOPEN)
    assert (result["reached"], deleted(result, small)) == (True, ["writer.service"])


def test_a_second_time_within_a_day_when_that_is_not_enough(small: Small, service: t.Callable[..., Service]) -> None:
    service("handles")
    filesystem = Filesystem(str(small.folder))
    assert disk_state.write(filesystem, 3, 4096, {}) == ""
    filesystem.close()
    (small.folder / "filler").rename(small.folder / "data")
    error, result = failed(small, small.temporary("fill*"), reopen=REOPEN, free_percent=90)
    assert type(error) is OpsError
    assert result["changed"]
    assert "although 4.1 kB were reclaimed" in error.what
    assert "hold" not in error.hint


@pytest.mark.parametrize("python", [oldest(), sys.executable])
def test_the_light_program_answers_the_same(small: Small, python: str) -> None:
    """In a process of its own, from the source that travels; in check mode, because the state is the machine's."""
    if unreadable():
        pytest.skip("a process here cannot be looked into, even by root")
    full(small)
    given = params(small, small.logs())
    text = packing.program(packing.Call("disk_reclaim", given, True, deadline=60), "--m--")
    done = subprocess.run([python, "-I", "-S", "-B", "-"], input=text, capture_output=True, timeout=60, check=True)
    result = json.loads(done.stdout.decode().split("--m--")[1])
    assert result["changes"] == run(small, small.logs(), check=True)["changes"]


@pytest.mark.parametrize("python", [oldest(), sys.executable])
def test_the_light_program_carries_all_that_it_imports(small: Small, python: str) -> None:
    given = params(small, {**small.logs(), "package_caches": True, "journal": {"keep": "0B", "older_than": "1h"}})
    full(small)
    text = packing.program(packing.Call("disk_reclaim", given, False, deadline=60), "--m--")
    done = subprocess.run([python, "-I", "-S", "-B", "-"], input=text, capture_output=True, timeout=60, check=True)
    result = json.loads(done.stdout.decode().split("--m--")[1])
    assert "exception" not in result
    assert set(result) - {"failed", "msg", "error"} == KEYS
    assert result["reached"] or "cannot be seen" in result["msg"]
    if result["changed"]:
        forget_on_the_machine(small)


def forget_on_the_machine(small: Small) -> None:
    filesystem = Filesystem(str(small.folder))
    Path(f"/var/lib/ops-runbook/reclaim/{filesystem.identity}.json").unlink(missing_ok=True)
    filesystem.close()


def test_percent_of_inodes_is_said_where_only_they_are_short(small: Small) -> None:
    small.fill_inodes()
    error, _result = failed(small, small.logs(), free_inodes_percent=10, free_percent=5)
    assert error.what.startswith(f"100 % of {small.folder} is free (2.1 MB), 0 % of its inodes, 10 % is wanted, and")


def test_growers_are_measured_once_more_after_the_act(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    full(small)
    looked: list[int] = []
    real = disk_growers.measure

    def measure(*args: t.Any) -> t.Any:
        told = real(*args)
        looked.append(sum(one.bytes for one in told))
        return told

    monkeypatch.setattr(disk_growers, "measure", measure)
    run(small, small.logs())
    assert looked == [2 << 20, 1 << 20]


def test_other_filesystems_have_notes_of_their_own(small: Small) -> None:
    full(small)
    run(small, small.logs())
    with mounted("size=2m,nr_inodes=300") as other:
        full(other)
        assert run(other, other.logs())["reached"]
    assert shutil.disk_usage(small.folder).free == 1 << 20
