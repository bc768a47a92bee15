# SPDX-License-Identifier: GPL-3.0-or-later
"""Only what differs is mended, nothing outside the tree is ever touched, whatever its owner swaps in meanwhile."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.module_utils import ownership, ownership_folders
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused, answer
from ansible_collections.ops.runbook.plugins.module_utils.names import group_name, user_name
from ansible_collections.ops.runbook.plugins.module_utils.specs.file_ownership import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from test_files import NOBODY, in_child, root_only

KEYS = {"changed", "changes", "undo", "message", "mismatches", "omitted"}
NOTHING = {"kind": "none", "reason": "nothing was changed"}
ME = str(os.geteuid())


@pytest.fixture
def data() -> Iterator[Path]:
    """A small data directory that an ordinary user can reach."""
    top = Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    top.chmod(0o755)
    folder = top / "data"
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "sub/b", "sub/mongod.lock"):
        (folder / name).write_text(name)
        (folder / name).chmod(0o640)
    for each in (folder, folder / "sub"):
        each.chmod(0o750)
    yield folder
    shutil.rmtree(top)


def params(*paths: dict[str, Any], **others: Any) -> dict[str, Any]:
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate({"paths": list(paths), **others})
    assert not checked.error_messages
    return dict(checked.validated_parameters)


def run(*paths: dict[str, Any], check: bool = False, **others: Any) -> dict[str, Any]:
    return ownership.run(params(*paths, **others), check)


def state(folder: Path) -> dict[str, tuple[int, int, int, float]]:
    return {
        str(path): (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode), seen.st_ctime)
        for path in [folder, *sorted(folder.rglob("*"))]
        for seen in [path.lstat()]
    }


def failed(*paths: dict[str, Any], **others: Any) -> tuple[OpsError, dict[str, Any]]:
    with pytest.raises(OpsError) as caught:
        run(*paths, **others)
    assert set(caught.value.result) == KEYS
    assert caught.value.result["message"] == str(caught.value)
    return caught.value, caught.value.result


def test_as_wanted_is_left_alone(data: Path) -> None:
    before = state(data)
    result = run({"path": str(data), "owner": ME, "file_mode": "0640", "directory_mode": "0750", "recurse": True})
    assert result == {
        "changed": False,
        "changes": [],
        "undo": NOTHING,
        "mismatches": [],
        "omitted": [],
        "message": "owner and mode of 5 objects are as wanted",
    }
    assert state(data) == before


@root_only
def test_only_what_differs_is_mended_and_each_is_told(data: Path) -> None:
    os.chown(data / "sub" / "b", NOBODY, 12)
    (data / "a").chmod(0o666)
    before = state(data)
    wish = {"path": str(data), "owner": "root", "group": "root", "file_mode": "0640", "recurse": True}
    predicted = run(wish, check=True)
    assert state(data) == before
    result = run(wish)
    assert result == predicted
    a, b = str(data / "a"), str(data / "sub" / "b")
    group = subprocess.run(["getent", "group", "12"], capture_output=True, text=True, check=True).stdout.split(":")[0]
    assert result["mismatches"] == [
        {"path": a, "field": "mode", "before": "0666", "after": "0640"},
        {"path": b, "field": "owner", "before": "nobody", "after": "root"},
        {"path": b, "field": "group", "before": group, "after": "root"},
    ]
    assert result["changes"][1] == {"object": f"owner of {b}", "before": "nobody", "after": "root"}
    assert result["undo"]["entries"][1] == {
        "path": b,
        "uid": NOBODY,
        "gid": 12,
        "mode": "0640",
        "expect": {"uid": 0, "gid": 0, "mode": "0640"},
    }
    assert result["message"].startswith(f"mode of {a} 0666 -> 0640; owner of {b} nobody -> root")
    touched = {path for path, seen in state(data).items() if seen != before[path]}
    assert touched == {a, b}
    assert subprocess.run(["stat", "-c", "%u:%g:%a", b], capture_output=True, check=True).stdout == b"0:0:640\n"
    again = run(wish)
    assert (again["changed"], again["mismatches"]) == (False, [])


@root_only
def test_undo_entries_put_everything_back(data: Path) -> None:
    os.chown(data / "a", NOBODY, NOBODY)
    (data / "sub").chmod(0o700)
    before = {path: seen[:3] for path, seen in state(data).items()}
    result = run({"path": str(data), "owner": "0", "group": "0", "directory_mode": "0755", "recurse": True})
    for entry in result["undo"]["entries"]:
        os.chown(entry["path"], entry["uid"], entry["gid"])
        os.chmod(entry["path"], int(entry["mode"], 8))  # noqa: PTH101 - a path in a document
    assert {path: seen[:3] for path, seen in state(data).items()} == before


def test_mode_is_the_path_s_own_and_the_others_are_for_what_lies_below(data: Path) -> None:
    result = run({"path": str(data), "mode": "0700", "directory_mode": "0711", "file_mode": "0600", "recurse": True})
    assert result["changed"]
    assert {path[len(str(data)) :]: oct(seen[2]) for path, seen in state(data).items()} == {
        "": "0o700",
        "/a": "0o600",
        "/sub": "0o711",
        "/sub/b": "0o600",
        "/sub/mongod.lock": "0o600",
    }
    assert run({"path": str(data), "directory_mode": "0750"})["mismatches"][0]["after"] == "0750"


def test_without_recurse_only_the_path_itself(data: Path) -> None:
    (data / "a").chmod(0o600)
    assert run({"path": str(data) + "/", "file_mode": "0644", "directory_mode": "0750"})["changed"] is False
    assert run({"path": str(data / "a"), "file_mode": "0644"})["changed"] is True
    assert stat.S_IMODE((data / "a").stat().st_mode) == 0o644


def test_exclude_by_name_and_by_path_and_not_into_excluded_folders(data: Path) -> None:
    (data / "other").mkdir(mode=0o750)
    (data / "other" / "c").write_text("")
    wish = {"path": str(data), "file_mode": "0600", "recurse": True, "exclude": ["*.lock", str(data / "other")]}
    paths = [one["path"] for one in run(wish)["mismatches"]]
    assert paths == [str(data / "a"), str(data / "sub" / "b")]


def test_later_wishes_add_to_earlier_ones(data: Path) -> None:
    wishes = [{"path": str(data), "file_mode": "0600", "recurse": True}, {"path": str(data / "a"), "mode": "0640"}]
    assert [Path(one["path"]).name for one in run(*wishes)["mismatches"]] == ["b", "mongod.lock"]
    assert run(*wishes)["changed"] is False


def test_what_is_no_plain_file_or_folder_is_left_alone_with_its_reason(data: Path) -> None:
    outside = data.parent / "outside"
    outside.write_text("")
    outside.chmod(0o644)
    (data / "link").symlink_to(outside)
    (data / "loop").symlink_to(".")
    os.link(outside, data / "sub" / "hard")
    os.mkfifo(data / "pipe")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(data / "sock"))
    server.close()
    result = run({"path": str(data), "file_mode": "0600", "recurse": True})
    assert {one["path"][len(str(data)) + 1 :]: one["reason"] for one in result["omitted"]} == {
        "link": "is a symbolic link",
        "loop": "is a symbolic link",
        "pipe": "is a pipe",
        "sock": "is a socket",
        "sub/hard": "has 2 names, and the others may be anywhere",
    }
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert len(result["changes"]) == 3


@root_only
def test_links_keep_their_owner_and_so_do_what_they_point_to(data: Path) -> None:
    outside = data.parent / "outside"
    outside.write_text("")
    (data / "link").symlink_to(outside)
    result = run({"path": str(data), "owner": "nobody", "recurse": True})
    assert result["changed"]
    assert (outside.stat().st_uid, (data / "link").lstat().st_uid) == (0, 0)
    assert (data / "sub").stat().st_uid == NOBODY


def test_a_path_that_is_a_link_is_refused_with_what_it_points_to(data: Path) -> None:
    (data.parent / "link").symlink_to(data)
    error, _result = failed({"path": str(data.parent / "link"), "mode": "0700"})
    assert isinstance(error, Refused)
    assert error.hint == f"Name what it points to: {data}"
    assert stat.S_IMODE(data.stat().st_mode) == 0o750


def test_links_on_the_way_to_the_path_are_resolved(data: Path) -> None:
    (data.parent / "link").symlink_to(data)
    result = run({"path": str(data.parent / "link" / "a"), "mode": "0600"})
    assert result["mismatches"][0]["path"] == str(data / "a")


@root_only
@pytest.mark.parametrize("bind", [False, True], ids=["tmpfs", "bind mount of the same filesystem"])
def test_stays_on_its_own_filesystem(data: Path, bind: bool) -> None:
    inner, source = data / "in ner", data.parent / "source"
    inner.mkdir(mode=0o750)
    source.mkdir()
    argv = ["mount", "--bind", source, inner] if bind else ["mount", "-t", "tmpfs", "tmpfs", inner]
    if subprocess.run(argv, check=False, capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        (inner / "c").write_text("")
        (inner / "c").chmod(0o644)
        result = run({"path": str(data), "file_mode": "0600", "recurse": True})
        assert {"path": str(inner), "reason": "is another filesystem"} in result["omitted"]
        assert stat.S_IMODE((inner / "c").stat().st_mode) == 0o644
    finally:
        subprocess.run(["umount", inner], check=True)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/etc",
        "/etc/",
        "/usr",
        "/var",
        "/home",
        "/var/lib",
        "/usr/bin/env",
        "/etc/shadow",
        "/proc/1",
        "/root/x",
        "/proc/self/root/etc",
        "/var/run",
        "/lib/x",
        "/dev/shm",
        "/var/lib/ops-runbook/baseline",
        "/etc/sudoers.d/x",
    ],
)
def test_the_system_s_own_paths_are_refused(path: str) -> None:
    error, result = failed({"path": "/nonexistent", "mode": "0700"}, {"path": path, "mode": "0777", "recurse": True})
    assert isinstance(error, BadInput)
    assert "belongs to the system" in error.what
    assert result["changed"] is False


def test_protected_through_a_link(data: Path) -> None:
    (data / "link").symlink_to("/")
    error, _result = failed({"path": str(data / "link" / "etc"), "mode": "0777"})
    assert error.where == "/etc"


@pytest.mark.parametrize("path", ["data", "./x", "", "/srv/../etc", "/srv/x/.."])
def test_paths_are_written_in_full(path: str) -> None:
    error, _result = failed({"path": path, "mode": "0700"})
    assert isinstance(error, BadInput)
    assert "absolute path" in error.what


@pytest.mark.parametrize("mode", ["640", "488", "0988", "u=rw", "", "0", "007777"])
@pytest.mark.parametrize("field", ["mode", "file_mode", "directory_mode"])
def test_modes_are_quoted_octal(data: Path, field: str, mode: str) -> None:
    error, _result = failed({"path": str(data), field: mode})
    assert isinstance(error, BadInput)
    assert "'0750'" in error.hint


def test_a_missing_account_is_named_and_nothing_is_touched(data: Path) -> None:
    before = state(data)
    error, _result = failed({"path": str(data), "mode": "0700"}, {"path": str(data / "a"), "owner": "mongodb-nosuch"})
    assert isinstance(error, BadInput)
    assert str(error).startswith("mongodb-nosuch: there is no such user on this host")
    assert state(data) == before


def test_a_missing_path_is_named_and_nothing_is_touched(data: Path) -> None:
    before = state(data)
    error, _result = failed({"path": str(data), "mode": "0700"}, {"path": str(data / "gone"), "mode": "0700"})
    assert error.where == str(data / "gone")
    assert "no such file" in error.what
    assert state(data) == before


def test_more_than_the_limit_is_refused_and_nothing_is_touched(data: Path) -> None:
    before = state(data)
    wish = {"path": str(data), "file_mode": "0600", "recurse": True}
    error, result = failed(wish, limit=2)
    assert isinstance(error, Refused)
    assert "more than 2 mismatches" in str(error)
    assert [one["field"] for one in result["mismatches"]] == ["mode"] * 3
    assert state(data) == before
    assert len(run(wish, limit=3)["changes"]) == 3


@root_only
def test_the_limit_counts_fields_not_objects(data: Path) -> None:
    wish = {"path": str(data / "a"), "owner": "nobody", "group": "12", "mode": "0600"}
    assert isinstance(failed(wish, limit=2)[0], Refused)
    assert len(run(wish, limit=3)["changes"]) == 3


@root_only
def test_set_id_bits_never_go_along_to_a_new_owner(data: Path) -> None:
    tool = data / "tool"
    tool.write_text("")
    os.chown(tool, NOBODY, NOBODY)
    tool.chmod(0o6755)
    wish = {"path": str(tool), "owner": "root"}
    predicted = run(wish, check=True)
    result = run(wish)
    assert result == predicted
    assert [one["field"] for one in result["mismatches"]] == ["owner", "mode"]
    assert stat.S_IMODE(tool.stat().st_mode) == 0o755
    assert result["undo"]["entries"][0]["mode"] == "6755"
    assert run({"path": str(tool), "owner": "nobody", "mode": "04755"})["changed"]
    assert stat.S_IMODE(tool.stat().st_mode) == 0o4755  # asked for in so many words


@root_only
def test_an_unprivileged_run_mends_what_it_may_and_says_what_it_did(data: Path) -> None:
    for path in (data, data / "a", data / "sub"):
        os.chown(path, NOBODY, NOBODY)
    os.chown(data / "sub" / "b", 0, NOBODY)
    os.chown(data / "sub" / "mongod.lock", NOBODY, NOBODY)

    def work() -> None:
        error, result = failed({"path": str(data), "owner": "nobody", "file_mode": "0600", "recurse": True})
        assert error.where == str(data / "sub" / "b")
        assert "this user may not do that" in error.what
        assert result["changed"] is True
        assert result["changes"] == [{"object": f"mode of {data / 'a'}", "before": "0640", "after": "0600"}]
        assert [one["path"] for one in result["undo"]["entries"]] == [str(data / "a")]

    assert in_child(work, NOBODY) == 0
    assert stat.S_IMODE((data / "a").stat().st_mode) == 0o600


@root_only
def test_a_folder_that_cannot_be_read_is_an_error_not_as_wanted(data: Path) -> None:
    def work() -> None:
        error, _result = failed({"path": str(data), "owner": "root", "recurse": True})
        assert "this user may not do that" in error.what

    assert in_child(work, NOBODY) == 0


def swap_after_look(monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]) -> None:
    """Do what a hostile owner of the directory would do between the look and the act."""
    real = ownership._mend

    def mend(survey: ownership.Survey) -> list[ownership.Found]:
        swap()
        return real(survey)

    monkeypatch.setattr(ownership, "_mend", mend)


def test_a_link_swapped_in_for_a_file(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = data.parent / "outside"
    outside.write_text("")
    outside.chmod(0o644)

    def swap() -> None:
        (data / "a").unlink()
        (data / "a").symlink_to(outside)

    swap_after_look(monkeypatch, swap)
    result = run({"path": str(data / "a"), "mode": "0600"})
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert (result["changed"], result["changes"], result["undo"]) == (False, [], NOTHING)
    assert result["omitted"] == [{"path": str(data / "a"), "reason": "was replaced meanwhile"}]


def test_a_hard_link_swapped_in_for_a_file(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = data.parent / "outside"
    outside.write_text("")
    outside.chmod(0o644)

    def swap() -> None:
        (data / "a").unlink()
        os.link(outside, data / "a")

    swap_after_look(monkeypatch, swap)
    assert run({"path": str(data / "a"), "mode": "0600"})["changed"] is False
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


def test_another_file_put_in_its_place(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def swap() -> None:
        (data / "new").write_text("")
        (data / "new").chmod(0o4711)
        (data / "new").rename(data / "a")

    swap_after_look(monkeypatch, swap)
    result = run({"path": str(data / "a"), "mode": "0600"})
    assert result["omitted"] == [{"path": str(data / "a"), "reason": "was replaced meanwhile"}]
    assert stat.S_IMODE((data / "a").stat().st_mode) == 0o4711


def test_a_folder_swapped_for_a_link_while_it_is_looked_at(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = data.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("")
    real = os.stat

    def swapping(path: str, **options: Any) -> os.stat_result:
        seen = real(path, **options)
        if path == "sub" and not (data / "sub.old").exists():
            (data / "sub").rename(data / "sub.old")
            (data / "sub").symlink_to(outside)
        return seen

    monkeypatch.setattr(ownership.os, "stat", swapping)
    error, result = failed({"path": str(data), "file_mode": "0600", "recurse": True})
    assert error.where == str(data)
    assert "outside" not in json.dumps(result["mismatches"])


def test_a_second_name_given_to_a_file(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swap_after_look(monkeypatch, lambda: os.link(data / "a", data / "second"))
    assert run({"path": str(data / "a"), "mode": "0600"})["changed"] is False


def test_a_folder_on_the_way_swapped_for_a_link(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = data.parent / "outside"
    outside.mkdir()
    (outside / "b").write_text("")
    (outside / "b").chmod(0o644)

    def swap() -> None:
        (data / "sub").rename(data / "sub.old")
        (data / "sub").symlink_to(outside)

    swap_after_look(monkeypatch, swap)
    error, result = failed({"path": str(data / "sub"), "file_mode": "0600", "recurse": True})
    assert error.where == str(data / "sub" / "b")
    assert result["changed"] is False
    assert stat.S_IMODE((outside / "b").stat().st_mode) == 0o644


def test_a_file_that_is_gone_meanwhile_is_no_failure(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swap_after_look(monkeypatch, (data / "a").unlink)
    result = run({"path": str(data), "file_mode": "0600", "recurse": True})
    assert {"path": str(data / "a"), "reason": "is gone meanwhile"} in result["omitted"]
    assert len(result["changes"]) == 2


@root_only
def test_no_race_reaches_a_file_outside(data: Path) -> None:
    """The owner of the directory swaps a link in and out as fast as it can while the module runs."""
    outside = data.parent / "outside"
    outside.write_text("")
    outside.chmod(0o600)
    os.chown(data, NOBODY, NOBODY)
    racer = os.fork()
    if racer == 0:
        while True:
            for make in (
                lambda: (data / "x").symlink_to(outside),
                lambda: os.link(outside, data / "x"),
                lambda: (data / "x").write_text(""),
            ):
                try:
                    make()
                    (data / "x").unlink()
                except OSError:
                    continue
    try:
        for _ in range(300):
            try:
                run({"path": str(data), "owner": "nobody", "file_mode": "0666", "recurse": True})
            except OpsError:
                continue
    finally:
        os.kill(racer, 9)
        os.waitpid(racer, 0)
    assert (outside.stat().st_uid, stat.S_IMODE(outside.stat().st_mode)) == (0, 0o600)


def test_what_does_not_stay_is_an_error_with_what_was_done(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership.os, "chmod", lambda _path, _mode: None)
    error, result = failed({"path": str(data / "a"), "mode": "0600"})
    assert "did not stay" in error.what
    assert result["undo"]["entries"][0]["mode"] == "0640"


def test_a_file_with_another_device_number_is_still_looked_at(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is on an overlay whose layers lie on several filesystems; a folder with another one is a mount."""
    real = os.stat

    def elsewhere(path: str, **options: Any) -> os.stat_result:
        seen = list(real(path, **options))
        seen[2] += path in ("a", "sub")
        return os.stat_result(seen)

    monkeypatch.setattr(ownership.os, "stat", elsewhere)
    result = run({"path": str(data), "file_mode": "0600", "recurse": True}, check=True)
    assert [one["path"] for one in result["mismatches"]] == [str(data / "a")]
    assert result["omitted"] == [{"path": str(data / "sub"), "reason": "is another filesystem"}]


def test_vanishing_while_looked_at_and_very_deep_trees(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = data
    for _ in range(ownership._DEEPEST + 2):
        deep = deep / "d"
        deep.mkdir(mode=0o750)
    real = os.stat

    def vanishing(path: str, **options: Any) -> os.stat_result:
        if path == "b":
            raise FileNotFoundError
        return real(path, **options)

    monkeypatch.setattr(ownership.os, "stat", vanishing)
    result = run({"path": str(data), "file_mode": "0600", "recurse": True})
    assert [one["path"] for one in result["mismatches"]] == [str(data / "a"), str(data / "sub" / "mongod.lock")]
    assert "lies deeper than" in result["omitted"][0]["reason"]


def test_many_omitted_ones_are_not_all_listed(data: Path) -> None:
    for number in range(300):
        (data / f"link{number}").symlink_to("a")
    assert len(run({"path": str(data), "owner": ME, "recurse": True})["omitted"]) == 200


def test_names_that_are_no_text(data: Path) -> None:
    Path(os.fsdecode(os.fsencode(data) + b"/\xff\xe9")).write_text("")
    result = run({"path": str(data), "file_mode": "0600", "recurse": True})
    assert json.dumps(result).encode("utf-8")
    assert f"{data}/\\xff\\xe9" in [one["path"] for one in result["mismatches"]]


def test_numbers_without_a_name_are_shown_as_numbers(data: Path) -> None:
    wish = {"path": str(data), "owner": "64999", "group": "64998"}
    assert [one["after"] for one in run(wish, check=True)["mismatches"]] == ["64999", "64998"]


def test_without_mountinfo_the_device_number_still_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*args: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", no)
    assert ownership._mount_points() == frozenset()


def test_the_lease_is_held_before_the_first_write(data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ansible_collections.ops.runbook.plugins.module_utils import lease

    monkeypatch.setattr(lease, "DIRECTORY", str(tmp_path / "leases"))
    before = state(data)
    wish = {"path": str(data / "a"), "mode": "0600"}
    error, result = failed(wish, lease="db1/mongodb", run_id="run1")
    assert isinstance(error, Refused)
    assert result["changed"] is False
    assert state(data) == before
    assert run(wish, check=True, lease="db1/mongodb", run_id="run1")["changed"] is True  # check mode takes no lease
    lease.run({"name": "db1/mongodb", "state": "acquired", "ttl": 60, "run_id": "run1", "holder": "t"}, False)
    assert run(wish, lease="db1/mongodb", run_id="run1")["changed"] is True
    assert failed({"path": str(data / "a"), "mode": "0640"}, lease="db1/mongodb", run_id="run2")[1]["changed"] is False


def oldest() -> str:
    found = sorted(Path("~/.pyenv").expanduser().glob("versions/3.8.*/bin/python3.8"))
    return str(found[0]) if found else shutil.which("python3.8") or sys.executable


@pytest.mark.parametrize("python", [oldest(), sys.executable])
def test_the_light_program_answers_the_same(data: Path, python: str) -> None:
    given = params({"path": str(data), "file_mode": "0600", "recurse": True, "exclude": ["*.lock"]})
    text = packing.program(packing.Call("ownership", given, False, deadline=60), "--m--")
    done = subprocess.run([python, "-I", "-B", "-"], input=text, capture_output=True, timeout=60, check=True)
    result = json.loads(done.stdout.decode().split("--m--")[1])
    assert result["changed"] is True
    assert [one["path"] for one in result["mismatches"]] == [str(data / "a"), str(data / "sub" / "b")]
    assert answer(ownership.run, given, False)["changed"] is False


def test_bits_that_a_mode_must_have(data: Path) -> None:
    data.chmod(0o050)
    wish = {"path": str(data), "mode_includes": "0700", "recurse": True}
    assert run(wish, check=True)["changes"] == [{"object": f"mode of {data}", "before": "0050", "after": "0750"}]
    result = run(wish)
    assert result["mismatches"] == [{"path": str(data), "field": "mode", "before": "0050", "after": "0750"}]
    assert stat.S_IMODE(data.stat().st_mode) == 0o750
    assert run(wish)["changed"] is False


def test_an_exact_mode_goes_before_bits(data: Path) -> None:
    wish = {"path": str(data), "mode": "0550", "mode_includes": "0700"}
    assert run(wish)["changes"][0]["after"] == "0550"


class TestMissingFolder:
    def test_it_is_made_where_that_is_wanted(self, data: Path) -> None:
        missing = data / "log"
        wish = {"path": str(missing), "owner": ME, "directory_mode": "0710", "create": True}
        predicted = run(wish, check=True)
        assert not missing.exists()
        result = run(wish)
        assert {key: result[key] for key in ("changed", "changes", "undo")} == {
            "changed": True,
            "changes": [
                {
                    "object": f"folder {missing}",
                    "before": None,
                    "after": {"owner": user_name(os.geteuid()), "group": group_name(os.getegid()), "mode": "0710"},
                }
            ],
            "undo": {"kind": "none", "reason": "a folder that was missing stays: the service writes into it"},
        }
        assert {key: predicted[key] for key in ("changes", "undo")} == {key: result[key] for key in ("changes", "undo")}
        assert (missing.is_dir(), stat.S_IMODE(missing.stat().st_mode)) == (True, 0o710)
        assert run(wish)["changed"] is False

    def test_what_was_mended_beside_it_can_be_put_back(self, data: Path) -> None:
        result = run({"path": str(data), "mode": "0700"}, {"path": str(data / "log"), "owner": ME, "create": True})
        assert [one["object"] for one in result["changes"]] == [f"folder {data / 'log'}", f"mode of {data}"]
        assert [step["kind"] for step in result["undo"]["steps"]] == ["ownership", "none"]

    def test_unasked_it_is_an_error(self, data: Path) -> None:
        error, _result = failed({"path": str(data / "log"), "owner": ME})
        assert "no such file" in error.what

    def test_a_tree_that_is_gone_is_refused(self, data: Path) -> None:
        error, result = failed({"path": str(data / "no" / "log"), "owner": ME, "create": True})
        assert isinstance(error, Refused)
        assert "so is the folder that it lies in" in error.what
        assert result["changed"] is False
        assert not (data / "no").exists()

    def test_one_that_appears_meanwhile_is_left_alone(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make = ownership_folders.Folder.make

        def late(folder: ownership_folders.Folder) -> None:
            Path(folder.path).write_text("somebody else's")
            make(folder)

        monkeypatch.setattr(ownership_folders.Folder, "make", late)
        error, result = failed({"path": str(data / "log"), "owner": ME, "create": True})
        assert "File exists" in error.what
        assert result["changes"] == []
        assert (data / "log").read_text() == "somebody else's"
