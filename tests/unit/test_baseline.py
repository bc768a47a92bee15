# SPDX-License-Identifier: GPL-3.0-or-later
"""A baseline is whole or not there, drift is named, and what is put back is what was captured."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.module_utils import (
    baseline,
    baseline_store,
    files,
    lease,
    managed_file,
    restoring,
)
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.specs.service_baseline import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.module_utils.text_diff import text_diff
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from test_files import NOBODY, Killer, in_child, root_only
from test_ownership import oldest

KEYS = {"changed", "changes", "undo", "message", "diff", "files", "aside", "captured_at", "unit"}
NOTHING = {"kind": "none", "reason": "nothing was changed"}
STRAYING = """{"schema": "ops.runbook/baseline/1", "files": [{"path": "/x", "present": true, "sha256": "a",
    "mode": "0600", "owner": "root", "group": "root", "copy": "../../../etc/shadow"}]}"""
GOOD = "storage:\n  dbPath: /var/lib/mongodb\nsecurity:\n  password: hunter2\n"


@pytest.fixture
def etc(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration folder with two files, and a state folder of its own beside it."""
    top = Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    top.chmod(0o755)
    monkeypatch.setattr(managed_file, "STATE", str(top / "state"))
    folder = top / "etc"
    folder.mkdir()
    for name in ("mongod.conf", "extra.conf"):
        (folder / name).write_text(GOOD + f"# {name}\n")
        (folder / name).chmod(0o644)
    yield folder
    shutil.rmtree(top)


def params(state: str, **others: Any) -> dict[str, Any]:
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate({"service": "mongodb", "state": state, **others})
    assert not checked.error_messages
    return dict(checked.validated_parameters)


def run(state: str, check: bool = False, **others: Any) -> dict[str, Any]:
    result = baseline.run(params(state, **others), check)
    assert set(result) == KEYS
    return result


def failed(kind: type[OpsError], state: str, **others: Any) -> OpsError:
    with pytest.raises(OpsError) as caught:
        run(state, **others)
    assert type(caught.value) is kind, caught.value
    assert set(caught.value.result) == KEYS
    assert caught.value.result["message"] == str(caught.value)
    return caught.value


def capture(etc: Path, **others: Any) -> dict[str, Any]:
    return run("captured", files=[str(etc / "mongod.conf"), str(etc / "extra.conf")], **others)


def folder(etc: Path) -> Path:
    return etc.parent / "state" / "baseline" / "mongodb"


def tree(top: Path) -> dict[str, Any]:
    return {
        str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns, stat.S_IMODE(path.lstat().st_mode))
        for path in [top, *top.rglob("*")]
        if path.exists()
    }


# ---- capture


def test_capture_keeps_files_with_owner_mode_and_checksum(etc: Path) -> None:
    (etc / "extra.conf").chmod(0o640)
    result = capture(etc)
    manifest = json.loads((folder(etc) / "manifest.json").read_text())
    assert manifest["schema"] == "ops.runbook/baseline/1"
    assert manifest["service"] == "mongodb"
    assert manifest["captured_at"] == result["captured_at"]
    extra = (etc / "extra.conf").read_bytes()
    me = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert manifest["files"][1] == {
        "path": str(etc / "extra.conf"),
        "sha256": hashlib.sha256(extra).hexdigest(),
        "mode": "0640",
        "owner": me,
        "group": manifest["files"][1]["group"],
        "copy": hashlib.sha256(extra).hexdigest(),
        "present": True,
    }
    assert (folder(etc) / manifest["files"][1]["copy"]).read_bytes() == extra
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder(etc).iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder(etc), folder(etc).parent, etc.parent / "state")} == {
        0o700
    }
    assert result["changed"] is True
    assert [one["path"] for one in result["files"]] == [str(etc / "mongod.conf"), str(etc / "extra.conf")]
    assert result["files"][0]["drifted"] is False
    assert result["changes"][0]["object"] == f"baseline of mongodb: {etc / 'mongod.conf'}"
    assert result["changes"][0]["before"] is None
    assert result["undo"] == {
        "kind": "file",
        "path": str(folder(etc) / "manifest.json"),
        "aside": None,
        "uid": None,
        "gid": None,
        "mode": None,
        "folders": [],
        "sha256": files.sha256_of(str(folder(etc) / "manifest.json")),
    }


def test_capturing_the_same_again_changes_nothing(etc: Path) -> None:
    first = capture(etc)
    before = tree(etc.parent)
    result = capture(etc)
    assert (result["changed"], result["changes"], result["undo"]) == (False, [], NOTHING)
    assert result["captured_at"] == first["captured_at"]
    assert tree(etc.parent) == before


def test_capture_in_check_mode_says_the_same_and_writes_nothing(etc: Path) -> None:
    before = tree(etc.parent)
    predicted = capture(etc, check=True)
    assert tree(etc.parent) == before
    real = capture(etc)
    for key in KEYS - {"captured_at", "undo"}:
        assert predicted[key] == real[key]


def test_a_second_capture_can_be_undone(etc: Path) -> None:
    capture(etc)
    old = (folder(etc) / "manifest.json").read_bytes()
    (etc / "mongod.conf").write_text("worse")
    result = capture(etc, run_id="run7")
    assert [change["object"] for change in result["changes"]] == [f"baseline of mongodb: {etc / 'mongod.conf'}"]
    assert result["changes"][0]["before"]["sha256"] != result["changes"][0]["after"]["sha256"]
    undo = result["undo"]
    assert undo["aside"] == result["aside"]
    assert "/undo/run7/" in undo["aside"]
    assert files.sha256_of(undo["path"]) == undo["sha256"]
    assert Path(undo["aside"]).read_bytes() == old
    shutil.copy(undo["aside"], undo["path"])
    assert run("restored", path=str(etc / "mongod.conf"))["changed"] is True
    assert (etc / "mongod.conf").read_text() == GOOD + "# mongod.conf\n"


def test_copies_that_nobody_names_any_more_and_leftovers_go(etc: Path) -> None:
    for text in ("1", "2", "3"):
        (etc / "mongod.conf").write_text(text)
        capture(etc)
        (folder(etc) / "ops-runbook-0123.tmp~").write_text("of a run that was killed")
    capture(etc)
    (etc / "mongod.conf").write_text("4")
    capture(etc)
    expected = {hashlib.sha256(text.encode()).hexdigest() for text in ("3", "4", GOOD + "# extra.conf\n")}
    assert {path.name for path in folder(etc).iterdir()} == expected | {"manifest.json"}


def test_an_absent_file_is_part_of_the_state(etc: Path) -> None:
    path = str(etc / "override.conf")
    result = run("captured", files=[path])
    assert result["files"][0]["present"] is False
    assert run("verified")["files"][0]["drifted"] is False
    Path(path).write_text("bad")
    assert run("verified")["files"][0]["drift"] == [{"field": "present", "before": False, "after": True}]
    assert run("restored", path=path, check=True)["changes"][0]["after"] is None
    result = run("restored", path=path)
    assert not Path(path).exists()
    assert Path(result["aside"]).read_text() == "bad"
    assert result["undo"]["sha256"] is None
    assert run("restored", path=path)["changed"] is False


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b", "-x", "x" * 101, "a b"])
def test_service_and_run_names_cannot_leave_their_folder(etc: Path, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        baseline.run(dict(params("verified"), service=name), False)
    assert caught.value.where == "service"
    if name:
        assert failed(BadInput, "verified", run_id=name).where == "run_id"


@pytest.mark.parametrize("path", ["mongod.conf", "/etc/../etc/hosts", "/etc/", "/proc", "/dev/null"])
def test_only_ordinary_files_with_full_paths_are_captured(etc: Path, path: str) -> None:
    assert failed(BadInput, "captured", files=[path]).where == path
    assert not (etc.parent / "state").exists()


def test_no_files_and_files_that_are_too_large(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert failed(BadInput, "captured", files=[]).where == "files"
    monkeypatch.setattr(managed_file, "LIMIT", 10)
    assert "at most 10 bytes" in str(failed(BadInput, "captured", files=[str(etc / "mongod.conf")]))


def test_a_file_named_twice_is_kept_once(etc: Path) -> None:
    assert len(run("captured", files=[str(etc / "mongod.conf")] * 2)["files"]) == 1


@root_only
def test_a_link_of_the_service_s_own_account_is_not_followed(etc: Path) -> None:
    """Who may write in a folder could else have root read, or overwrite, any file."""
    (etc / "link.conf").symlink_to("mongod.conf")
    assert run("captured", files=[str(etc / "link.conf")])["changed"]
    os.lchown(etc / "link.conf", NOBODY, NOBODY)
    assert failed(Refused, "captured", files=[str(etc / "link.conf")]).where == str(etc / "link.conf")
    (etc / "link.conf").unlink()
    (etc / "link.conf").symlink_to("/etc/shadow")
    os.lchown(etc / "link.conf", NOBODY, NOBODY)
    shadow = os.stat("/etc/shadow")  # noqa: PTH116 - compared as a whole
    failed(Refused, "restored", path=str(etc / "link.conf"))
    assert os.stat("/etc/shadow") == shadow  # noqa: PTH116 - compared as a whole
    assert run("verified")["files"][0]["drift"][0]["field"] == "kind"


def test_a_link_of_root_is_followed_and_stays(etc: Path) -> None:
    (etc / "real").mkdir()
    (etc / "real" / "a.conf").write_text("good")
    (etc / "link.conf").symlink_to("real/a.conf")
    run("captured", files=[str(etc / "link.conf")])
    (etc / "real" / "a.conf").write_text("bad")
    assert run("restored", path=str(etc / "link.conf"))["changed"] is True
    assert (etc / "link.conf").is_symlink()
    assert (etc / "real" / "a.conf").read_text() == "good"


def killed_capture(when: int, after: bool, etc: Path) -> int:
    def work() -> None:
        files.os = baseline.os = baseline_store.os = managed_file.os = Killer(when, after)  # type: ignore[assignment]
        capture(etc)

    return in_child(work)


def test_sigkill_while_capturing_never_leaves_half_a_baseline(etc: Path) -> None:
    state = etc.parent / "state"
    (etc / "mongod.conf").write_text("old")
    capture(etc)
    shutil.copytree(state, etc.parent / "saved")
    (etc / "mongod.conf").write_text("new")
    (etc / "extra.conf").write_text("new too")
    seen = set()
    for when in range(1, 400, 3):
        shutil.rmtree(state)
        shutil.copytree(etc.parent / "saved", state)
        code = killed_capture(when, bool(when % 2), etc)
        manifest = baseline_store.load("mongodb")
        contents = [baseline_store.copy_of("mongodb", entry) for entry in manifest["files"]]
        assert contents in ([b"old", (GOOD + "# extra.conf\n").encode()], [b"new", b"new too"])
        seen.add((code, contents[0]))
        if code == 0:
            break
    assert seen == {(-9, b"old"), (-9, b"new"), (0, b"new")}
    assert when > 50


def test_two_captures_at_once_leave_one_whole_baseline(etc: Path) -> None:
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            own = etc / f"{number}.conf"
            for turn in range(10):
                own.write_text(f"{number}-{turn}")
                run("captured", files=[str(own)])
            os._exit(0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    manifest = baseline_store.load("mongodb")
    assert all(baseline_store.copy_of("mongodb", entry) for entry in manifest["files"])


# ---- verify


def test_without_a_baseline_the_hint_is_how_to_take_one(etc: Path) -> None:
    for state in ("verified", "restored"):
        error = failed(baseline_store.NoBaseline, state, path=str(etc / "mongod.conf"))
        assert error.hint == "ansible-playbook playbooks/baseline.yml"
        assert "no baseline of mongodb" in error.what
    assert not (etc.parent / "state").exists()


def test_verify_names_each_drift_and_changes_nothing(etc: Path) -> None:
    capture(etc)
    assert run("verified")["message"] == "2 file(s) are as in the baseline"
    (etc / "mongod.conf").write_text("bad")
    (etc / "extra.conf").chmod(0o600)
    before = tree(etc.parent)
    result = run("verified")
    assert tree(etc.parent) == before
    assert (result["changed"], result["undo"]) == (False, NOTHING)
    assert [one["drifted"] for one in result["files"]] == [True, True]
    assert result["files"][0]["drift"] == [
        {"field": "sha256", "before": result["files"][0]["sha256"], "after": hashlib.sha256(b"bad").hexdigest()}
    ]
    assert result["files"][1]["drift"] == [{"field": "mode", "before": "0644", "after": "0600"}]
    assert result["message"] == (
        f"differs from the baseline: {etc / 'mongod.conf'} (sha256); {etc / 'extra.conf'} (mode)"
    )
    (etc / "mongod.conf").unlink()
    assert run("verified")["files"][0]["drift"] == [{"field": "present", "before": True, "after": False}]


@root_only
def test_verify_sees_owner_and_group(etc: Path) -> None:
    capture(etc)
    os.chown(etc / "mongod.conf", NOBODY, 12)
    assert [one["field"] for one in run("verified")["files"][0]["drift"]] == ["owner", "group"]


def test_a_damaged_copy_is_seen_never_used_and_healed_by_the_next_capture(etc: Path) -> None:
    capture(etc)
    copy = folder(etc) / hashlib.sha256((GOOD + "# mongod.conf\n").encode()).hexdigest()
    copy.write_text("rotten")
    assert run("verified")["files"][0]["drift"][0]["field"] == "copy"
    (etc / "mongod.conf").write_text("bad")
    assert "missing or damaged" in str(failed(baseline_store.Damaged, "restored", path=str(etc / "mongod.conf")))
    assert (etc / "mongod.conf").read_text() == "bad"
    (etc / "mongod.conf").write_text(GOOD + "# mongod.conf\n")
    copy.unlink()
    assert capture(etc)["changed"] is True
    assert run("verified")["files"][0]["drifted"] is False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"schema": "ops.runbook/baseline/2", "files": []}',
        '{"schema": "ops.runbook/baseline/1"}',
        '{"schema": "ops.runbook/baseline/1", "files": [{"path": "/x"}]}',
        b"\xff",
        STRAYING,
    ],
)
def test_a_damaged_manifest_is_an_error_not_a_baseline(etc: Path, text: str | bytes) -> None:
    capture(etc)
    (folder(etc) / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    error = failed(baseline_store.Damaged, "verified")
    assert error.where == str(folder(etc) / "manifest.json")
    failed(baseline_store.Damaged, "restored", path=str(etc / "mongod.conf"))
    assert capture(etc)["changed"] is True
    assert run("verified")["files"][0]["drifted"] is False


@root_only
def test_an_unprivileged_user_cannot_tell_and_does_not_say_there_is_none(etc: Path) -> None:
    capture(etc)

    def work() -> None:
        error = failed(OpsError, "verified")
        assert "this user may not do that" in error.what
        assert "become" in error.hint
        failed(OpsError, "captured", files=[str(etc / "mongod.conf")])

    assert in_child(work, NOBODY) == 0


# ---- restore


def test_restore_puts_the_good_file_back_and_keeps_the_bad_one(etc: Path) -> None:
    capture(etc)
    path, bad = etc / "mongod.conf", GOOD.replace("/var/lib", "/var/lost") + "passwrd: hunter3\n"
    path.write_text(bad)
    path.chmod(0o600)
    predicted = run("restored", path=str(path), check=True, run_id="run1")
    assert path.read_text() == bad
    assert not (etc.parent / "state" / "undo").exists()
    result = run("restored", path=str(path), run_id="run1")
    assert result == predicted
    assert path.read_text() == GOOD + "# mongod.conf\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert Path(result["aside"]).read_text() == bad
    assert stat.S_IMODE(Path(result["aside"]).stat().st_mode) == 0o600
    assert Path(result["aside"]).parent == etc.parent / "state" / "undo" / "run1"
    assert result["changes"][0]["object"] == str(path)
    assert (result["changes"][0]["before"]["mode"], result["changes"][0]["after"]["mode"]) == ("0600", "0644")
    assert result["undo"] == {
        "kind": "file",
        "path": str(path),
        "aside": result["aside"],
        "mode": "0600",
        "uid": os.geteuid(),
        "gid": path.stat().st_gid,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "folders": [],
    }
    assert "-  dbPath: /var/lost/mongodb\n+  dbPath: /var/lib/mongodb\n" in result["diff"]["prepared"]
    assert "hunter" not in json.dumps(result)
    assert result["captured_at"] is not None
    again = run("restored", path=str(path))
    assert (again["changed"], again["aside"], again["diff"], again["undo"]) == (False, None, {}, NOTHING)


@root_only
def test_restore_gives_back_the_owner(etc: Path) -> None:
    os.chown(etc / "mongod.conf", NOBODY, 12)
    capture(etc)
    os.chown(etc / "mongod.conf", 0, 0)
    result = run("restored", path=str(etc / "mongod.conf"))
    seen = (etc / "mongod.conf").stat()
    assert (seen.st_uid, seen.st_gid, result["undo"]["uid"]) == (NOBODY, 12, 0)


def test_restore_of_a_deleted_file(etc: Path) -> None:
    capture(etc)
    (etc / "mongod.conf").unlink()
    result = run("restored", path=str(etc / "mongod.conf"))
    assert (etc / "mongod.conf").read_text() == GOOD + "# mongod.conf\n"
    assert (result["aside"], result["undo"]["aside"], result["changes"][0]["before"]) == (None, None, None)


def test_two_restores_of_one_run_keep_both_bad_files(etc: Path) -> None:
    capture(etc)
    kept = []
    for text in ("bad 1", "bad 2", "bad 1"):
        (etc / "mongod.conf").write_text(text)
        kept.append(run("restored", path=str(etc / "mongod.conf"), run_id="run1")["aside"])
    assert [Path(path).read_text() for path in kept] == ["bad 1", "bad 2", "bad 1"]
    assert kept[0] == kept[2] != kept[1]


def test_a_path_outside_the_baseline_is_refused_with_what_is_in_it(etc: Path) -> None:
    capture(etc)
    error = failed(BadInput, "restored", path=str(etc / "other.conf"))
    assert str(etc / "extra.conf") in error.hint


VALIDATOR = """\
import os, stat, sys
path = sys.argv[1]
assert os.path.basename(path) == "mongod.conf", path
assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
open(path + ".side", "w").close()
text = open(path).read()
if "bad" in text:
    sys.exit("line 3: unknown option passwrd: password=hunter2")
"""


def test_the_validator_sees_the_candidate_before_anything_is_touched(etc: Path) -> None:
    (etc / "mongod.conf").write_text("bad: baseline")
    capture(etc)
    (etc / "mongod.conf").write_text("other")
    argv = [sys.executable, "-c", VALIDATOR, "%s"]
    for check in (True, False):
        error = failed(Refused, "restored", path=str(etc / "mongod.conf"), validate=argv, check=check)
        assert "exit code 1" in error.what
        assert "line 3: unknown option" in error.what
        assert "hunter2" not in str(error)
        assert error.result["changed"] is False
    assert (etc / "mongod.conf").read_text() == "other"
    assert not (etc.parent / "state" / "undo").exists()
    content = "good: yes\n"
    assert run("restored", path=str(etc / "mongod.conf"), content=content, validate=argv)["changed"] is True
    assert not [path for top in ("/run", "/tmp") for path in Path(top).glob("ops-runbook-candidate-*")]


@root_only
def test_an_unprivileged_user_s_validator_runs_in_tmp(etc: Path) -> None:
    os.chown(etc, NOBODY, NOBODY)
    os.chown(etc.parent, NOBODY, NOBODY)
    for path in etc.iterdir():
        os.chown(path, NOBODY, NOBODY)

    def work() -> None:
        capture(etc)
        (etc / "mongod.conf").write_text("other")
        assert run("restored", path=str(etc / "mongod.conf"), validate=["grep", "-q", "dbPath", "%s"])["changed"]

    assert in_child(work, NOBODY) == 0


def test_validators_that_cannot_be_used(etc: Path) -> None:
    capture(etc)
    (etc / "mongod.conf").write_text("other")
    path = str(etc / "mongod.conf")
    assert failed(BadInput, "restored", path=path, validate=["true"]).where == "validate"
    with pytest.raises(OpsError, match="no-such-validator is not installed"):
        run("restored", path=path, validate=["no-such-validator", "%s"])
    assert "no message" in str(failed(Refused, "restored", path=path, validate=["false", "%s"]))
    assert (etc / "mongod.conf").read_text() == "other"
    assert run("restored", path=path, validate=[])["changed"] is True


def test_declared_content_goes_before_the_baseline_and_shows_nothing(etc: Path) -> None:
    capture(etc)
    path = str(etc / "mongod.conf")
    (etc / "mongod.conf").chmod(0o600)
    result = run("restored", path=path, content="declared: swordfish\n")
    assert (etc / "mongod.conf").read_text() == "declared: swordfish\n"
    assert stat.S_IMODE((etc / "mongod.conf").stat().st_mode) == 0o644  # as in the baseline
    assert (result["diff"], result["captured_at"]) == ({}, None)
    assert "in the inventory again" in result["message"]
    assert "swordfish" not in json.dumps(result)
    assert run("restored", path=path, content="declared: swordfish\n")["changed"] is False


def test_declared_content_without_a_baseline(etc: Path) -> None:
    path = etc / "mongod.conf"
    path.chmod(0o640)
    run("restored", path=str(path), content="x: 1\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640  # as it was
    run("restored", path=str(path), content="x: 1\n", mode="0600")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    error = failed(baseline_store.NoBaseline, "restored", path=str(path), content="x: 1\n")
    assert error.hint == "Set owner, group and mode."
    me = path.parent.owner()
    run("restored", path=str(path), content="x: 1\n", owner=me, group=path.parent.group(), mode="0644")
    assert path.read_text() == "x: 1\n"
    assert failed(BadInput, "restored", path=str(path), content=" \n").where == "content"
    assert failed(BadInput, "restored", path=str(path), content="x", mode="640").where == "mode"
    assert failed(BadInput, "restored", path=str(path), content="x", owner="nosuch").where == "nosuch"


def test_a_change_by_somebody_else_meanwhile_is_not_overwritten(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture(etc)
    (etc / "mongod.conf").write_text("bad")
    real = restoring.fence

    def fence(*args: Any) -> Any:
        (etc / "mongod.conf").write_text("mended by hand")
        return real(*args)

    monkeypatch.setattr(restoring, "fence", fence)
    error = failed(Refused, "restored", path=str(etc / "mongod.conf"))
    assert "somebody changed it" in error.what
    assert error.result["changed"] is False
    assert (etc / "mongod.conf").read_text() == "mended by hand"


def test_what_is_not_there_after_writing_is_an_error_with_what_was_done(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(etc)
    (etc / "mongod.conf").write_text("bad")
    monkeypatch.setattr(restoring, "replace_file", lambda *args: None)
    error = failed(OpsError, "restored", path=str(etc / "mongod.conf"))
    assert "is not what was written" in error.what
    assert error.result["changed"] is True
    assert Path(error.result["aside"]).read_text() == "bad"


def test_a_folder_where_nothing_can_be_removed_or_validated(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("captured", files=[str(etc / "override.conf")])
    (etc / "override.conf").write_text("bad")

    def no(*args: object, **options: object) -> None:
        raise PermissionError(13, "x")

    with monkeypatch.context() as patch:
        patch.setattr(restoring.os, "unlink", no)
        assert "may not" in str(failed(OpsError, "restored", path=str(etc / "override.conf")))
        patch.setattr(restoring.os, "mkdir", no)
        with pytest.raises(OpsError, match="may not"):
            restoring._validate(["true", "%s"], b"x", str(etc / "mongod.conf"))


def test_diffs_are_capped_and_for_text_only() -> None:
    assert text_diff([("/a", b"\xff\xfe", b"x")]) == {"prepared": "/a is not text\n"}
    many = b"".join(b"%d\n" % number for number in range(3000))
    assert text_diff([("/a", many, many)])["prepared"] == "/a: 3000 and 3000 lines are too many to compare here\n"
    long = b"".join(b"%d %s\n" % (number, b"x" * 100) for number in range(1000))
    text = text_diff([("/a", b"", long)])["prepared"]
    assert len(text) < 16500
    assert "characters more)" in text
    assert text_diff([("/a", None, b"new")])["prepared"] == "--- /a (before)\n+++ /a (after)\n@@ -0,0 +1 @@\n+new\n"


def test_the_lease_is_held_before_the_first_write(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "DIRECTORY", str(etc.parent / "leases"))
    failed(Refused, "captured", files=[str(etc / "mongod.conf")], lease="db1/mongodb", run_id="run1")
    assert not (etc.parent / "state").exists()
    lease.run({"name": "db1/mongodb", "state": "acquired", "ttl": 60, "run_id": "run1", "holder": "t"}, False)
    assert capture(etc, lease="db1/mongodb", run_id="run1")["changed"] is True
    (etc / "mongod.conf").write_text("bad")
    failed(Refused, "restored", path=str(etc / "mongod.conf"), lease="db1/mongodb", run_id="run2")
    assert (etc / "mongod.conf").read_text() == "bad"


@pytest.mark.parametrize("python", [oldest(), sys.executable])
def test_the_light_program_answers_the_same(etc: Path, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, source = etc / "mongod.conf", packing.SOURCES["managed_file"]
    moved = source.text.replace('STATE = "/var/lib/ops-runbook"', f'STATE = "{etc.parent / "state"}"')
    monkeypatch.setitem(packing.SOURCES, "managed_file", source._replace(text=moved))

    def call(state: str, *extra: str, **others: Any) -> dict[str, Any]:
        text = packing.program(packing.Call("baseline", params(state, **others), False, extra, deadline=60), "--m--")
        done = subprocess.run([python, "-I", "-B", "-"], input=text, capture_output=True, timeout=60, check=True)
        return dict(json.loads(done.stdout.decode().split("--m--")[1]))

    assert call("captured", files=[str(path)])["changed"] is True
    assert call("captured", files=[str(path)])["changed"] is False
    path.write_text("bad")
    assert call("verified")["files"][0]["drifted"] is True
    result = call("restored", "restoring", "redact", path=str(path), validate=["grep", "-q", "dbPath", "%s"])
    assert result["changed"] is True
    assert "***" in result["diff"]["prepared"]
    assert path.read_text().startswith(GOOD)
