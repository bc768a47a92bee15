# SPDX-License-Identifier: GPL-3.0-or-later
"""An undo checks everything first, puts back what is as the change left it, can be undone, survives being killed."""

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
from ansible_collections.ops.runbook.plugins.module_utils import baseline, files, lease, managed_file, ownership, undo
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.managed_file import FilePlan
from ansible_collections.ops.runbook.plugins.module_utils.undo_steps import file as file_kind
from ansible_collections.ops.runbook.plugins.module_utils.undo_steps import kinds
from ansible_collections.ops.runbook.plugins.module_utils.undo_steps import ownership as ownership_kind
from ansible_collections.ops.runbook.plugins.module_utils.undo_steps import sysctl as sysctl_kind
from ansible_collections.ops.runbook.plugins.plugin_utils import packing, undo_plan
from test_files import NOBODY, Killer, in_child, root_only
from test_ownership import oldest
from test_service_roads import ordinary_road, returned

KEYS = {"changed", "changes", "undo", "message", "steps"}
NOTHING = {"kind": "none", "reason": "nothing was changed"}
Json = dict[str, Any]


@pytest.fixture
def top(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a state folder of its own; /etc and /proc/sys are played by `etc` and `sys`."""
    folder = Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    folder.chmod(0o755)
    for name in ("etc", "sys"):
        (folder / name).mkdir()
    monkeypatch.setattr(managed_file, "STATE", str(folder / "state"))
    monkeypatch.setattr(sysctl_kind, "PROC", str(folder / "sys"))
    yield folder
    shutil.rmtree(folder)


def replay(steps: list[Json], run_id: str = "undo1", check: bool = False) -> Json:
    result = undo.replay(steps, run_id, check)
    assert set(result) == KEYS
    return result


def refused(steps: list[Json], kind: type[OpsError] = Refused, check: bool = False) -> OpsError:
    """A replay that is not begun; in check mode neither."""
    with pytest.raises(OpsError) as caught:
        undo.run({"steps": steps, "run_id": "undo1"}, check)
    assert type(caught.value) is kind, caught.value
    assert set(caught.value.result) == KEYS
    assert caught.value.result["changed"] is False
    assert caught.value.result["undo"] == NOTHING
    assert caught.value.result["message"] == str(caught.value)
    return caught.value


def write(path: Path, text: str | None, run_id: str = "run1", mode: str = "0644") -> list[Json]:
    """Change a file as modules do; the undo steps."""
    me = (path.parent.owner(), path.parent.group()) if path.parent.exists() else ("root", "root")
    plan = FilePlan(str(path), text.encode() if text is not None else None, mode, *me).plan(run_id)
    plan.put()
    return plan.steps


def tree(folder: Path) -> dict[str, Any]:
    """What lies in a folder: kind and mode, owner, content."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_uid,
            path.lstat().st_gid,
            path.read_bytes() if path.is_file() else None,
        )
        for path in [folder, *sorted(folder.rglob("*"))]
    }


# ---- files


def test_a_changed_file_comes_back_and_the_undo_can_be_undone(top: Path) -> None:
    path = top / "etc" / "a.conf"
    path.write_text("old")
    path.chmod(0o640)
    before = tree(top / "etc")
    steps = write(path, "new")
    after = tree(top / "etc")
    predicted = replay(steps, check=True)
    assert tree(top / "etc") == after
    assert not (top / "state" / "undo" / "undo1").exists()
    result = replay(steps)
    assert result == predicted
    assert tree(top / "etc") == before
    assert result["message"] == f"put back: {path}"
    assert result["steps"] == [{"kind": "file", "object": str(path), "done": True}]
    change = result["changes"][0]
    assert (change["object"], change["before"]["mode"], change["after"]["mode"]) == (str(path), "0644", "0640")
    aside = Path(result["undo"]["steps"][0]["aside"])
    assert (aside.parent, aside.read_text()) == (top / "state" / "undo" / "undo1", "new")
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    redone = replay(result["undo"]["steps"], "undo2")
    assert tree(top / "etc") == after
    assert replay(redone["undo"]["steps"], "undo3")["changed"] is True
    assert tree(top / "etc") == before


def test_a_new_file_goes_with_the_folders_made_for_it(top: Path) -> None:
    path = top / "etc" / "x.service.d" / "deep" / "a.conf"
    before = tree(top / "etc")
    steps = write(path, "new")
    after = tree(top / "etc")
    result = replay(steps)
    assert tree(top / "etc") == before
    assert result["changes"][0]["after"] is None
    redone = replay(result["undo"]["steps"], "undo2")
    assert tree(top / "etc") == after
    assert redone["undo"]["steps"][0]["folders"] == [str(path.parent.parent), str(path.parent)]
    (path.parent.parent / "other").write_text("somebody's")
    replay(steps, "undo3")
    assert {one.name for one in (top / "etc").rglob("*")} == {"x.service.d", "other"}


def test_a_removed_file_comes_back_with_its_mode(top: Path) -> None:
    path = top / "etc" / "a.conf"
    path.write_text("old")
    path.chmod(0o604)
    before = tree(top / "etc")
    steps = write(path, None)
    assert not path.exists()
    result = replay(steps)
    assert tree(top / "etc") == before
    assert result["changes"][0]["before"] is None
    assert result["undo"]["steps"][0]["aside"] is None


def test_two_changes_of_a_file_are_taken_back_one_after_the_other(top: Path) -> None:
    path = top / "etc" / "a.conf"
    steps = write(path, "one")
    steps = write(path, "two", mode="0600") + steps
    two = tree(top / "etc")
    result = replay([{"kind": "steps", "steps": steps}])
    assert not path.exists()
    assert [one["done"] for one in result["steps"]] == [True, True]
    assert replay(steps, check=True)["message"] == f"already as it was: {path}"
    replay(result["undo"]["steps"], "undo2")
    assert tree(top / "etc") == two


def test_what_somebody_changed_since_is_named_and_nothing_is_touched(top: Path) -> None:
    one, other = top / "etc" / "a.conf", top / "etc" / "b.conf"
    steps = write(one, "new") + write(other, "new")
    other.write_text("mine")
    before = tree(top)
    for check in (True, False):
        error = refused(steps, check=check)
        assert error.where == str(other)
        assert "it is now content 2d9eaa32" in error.what or "it is now content" in error.what
        assert f"diff /dev/null {other}" in error.hint
    assert tree(top) == before
    other.unlink()
    one.unlink()
    one.write_text("gone and other")
    assert "should be content" in refused(steps).what
    one.write_text("x")
    other.write_text("y")
    assert "so it is with 1 more" in refused(steps).what
    assert {path.read_text() for path in (one, other)} == {"x", "y"}


def test_a_change_between_two_of_ours_stops_the_undo(top: Path) -> None:
    path = top / "etc" / "a.conf"
    first = write(path, "one")
    path.write_text("somebody's")
    steps = write(path, "two") + first
    error = refused(steps)
    assert error.where == str(path)
    assert path.read_text() == "two"


def test_what_was_kept_aside_must_be_whole(top: Path) -> None:
    path = top / "etc" / "a.conf"
    path.write_text("old")
    steps = write(path, "new")
    aside = Path(steps[0]["aside"])
    aside.write_text("rotten")
    assert refused(steps).where == str(aside)
    assert "damaged" in str(refused(steps))
    aside.unlink()
    assert "is missing" in str(refused(steps))
    assert path.read_text() == "new"


def test_a_change_while_the_undo_is_at_work_is_not_overwritten(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = top / "etc" / "a.conf", top / "etc" / "b.conf"
    steps = write(one, "new") + write(other, "new")
    real = file_kind.put_aside

    def meanwhile(*args: Any) -> None:
        other.write_text("mended by hand")
        real(*args)

    monkeypatch.setattr(file_kind, "put_aside", meanwhile)
    with pytest.raises(Refused, match="a moment ago") as caught:
        undo.run({"steps": steps, "run_id": "undo1"}, False)
    assert other.read_text() == "mended by hand"
    assert not one.exists()
    result = caught.value.result
    assert [step["done"] for step in result["steps"]] == [True, False]
    assert [change["object"] for change in result["changes"]] == [str(one)]
    monkeypatch.setattr(file_kind, "put_aside", real)
    assert replay(result["undo"]["steps"], "undo2")["changed"] is True
    assert one.read_text() == "new"


def test_a_write_that_does_not_stay_is_an_error_with_what_was_done(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = top / "etc" / "a.conf", top / "etc" / "b.conf"
    one.write_text("old")
    other.write_text("old")
    steps = write(one, "new") + write(other, "new")
    real = file_kind.replace_file
    monkeypatch.setattr(
        file_kind,
        "replace_file",
        lambda real_path, data, *args: real(real_path, b"else" if real_path == str(other) else data, *args),
    )
    with pytest.raises(OpsError, match="is not what was put back") as caught:
        undo.run({"steps": steps, "run_id": "undo1"}, False)
    result = caught.value.result
    assert [change["object"] for change in result["changes"]] == [str(one), str(other)]
    monkeypatch.setattr(file_kind, "replace_file", real)
    replay(result["undo"]["steps"], "undo2")
    assert (one.read_text(), other.read_text()) == ("new", "new")


def test_a_file_that_cannot_be_written_is_told_with_what_was_done(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = top / "etc" / "a.conf", top / "etc" / "b.conf"
    steps = write(one, "new") + write(other, "new")

    def no(path: str) -> None:
        raise OpsError("the filesystem is read-only", path)

    real = file_kind.remove_file
    monkeypatch.setattr(file_kind, "remove_file", lambda path: no(path) if path == str(other) else real(path))
    with pytest.raises(OpsError, match="read-only") as caught:
        undo.run({"steps": steps, "run_id": "undo1"}, False)
    assert [step["done"] for step in caught.value.result["steps"]] == [True, False]
    real_look, looks = file_kind.look, []

    def look(*args: Any) -> Any:
        looks.append(args)
        return no("x") if len(looks) > 3 else real_look(*args)  # planned both, then before the write; then no more

    write(one, "new")
    monkeypatch.setattr(file_kind, "look", look)
    monkeypatch.setattr(file_kind, "remove_file", no)
    with pytest.raises(OpsError, match="read-only") as caught:
        undo.run({"steps": steps, "run_id": "undo1"}, False)
    assert [step["done"] for step in caught.value.result["steps"]] == [True, False]  # nobody can tell


# ---- owners and modes


def own(path: Path, **wish: Any) -> list[Json]:
    """What file_ownership does; the undo as steps."""
    none = dict.fromkeys(("owner", "group", "mode", "file_mode", "directory_mode"))
    entry = {**none, "path": str(path), "recurse": True, "exclude": [], **wish}
    result = ownership.run({"paths": [entry], "limit": 100, "lease": "", "run_id": "run1"}, False)
    return [result["undo"]]


@root_only
def test_owners_and_modes_come_back_with_set_id_bits_and_odd_names(top: Path) -> None:
    odd = top / "etc" / os.fsdecode(b"caf\xe9")
    odd.write_text("x")
    (top / "etc" / "tool").write_text("x")
    (top / "etc" / "tool").chmod(0o4750)
    before = tree(top / "etc")
    steps = own(top / "etc", owner="nobody", group="nogroup", file_mode="0600")
    after = tree(top / "etc")
    assert before != after
    steps = json.loads(json.dumps(steps))
    predicted = replay(steps, check=True)
    assert tree(top / "etc") == after
    result = replay(steps)
    assert result == predicted
    assert tree(top / "etc") == before
    assert len(result["undo"]["steps"]) == 1
    assert {"object": f"mode of {top}/etc/tool", "before": "0600", "after": "4750"} in result["changes"]
    replay(json.loads(json.dumps(result["undo"]["steps"])), "undo2")
    assert tree(top / "etc") == after


@root_only
def test_an_object_that_is_gone_or_another_one(top: Path) -> None:
    for name in ("a", "b", "c"):
        (top / "etc" / name).write_text("x")
    steps = own(top / "etc", group="nogroup")
    (top / "etc" / "a").unlink()
    result = replay(steps)
    assert f"gone: {top}/etc/a" in result["message"]
    assert (top / "etc" / "b").stat().st_gid == 0
    steps = own(top / "etc", group="nogroup")
    (top / "etc" / "b").unlink()
    (top / "etc" / "b").symlink_to("/etc/shadow")
    error = refused(steps)
    assert "it is now something else" in error.what
    assert error.hint.startswith("Look at it: ls -ld ")
    (top / "etc" / "b").unlink()
    (top / "etc" / "c").chmod(0o600)
    assert "should be root:nogroup 0644" in refused(steps).what
    (top / "etc" / "d").hardlink_to(top / "etc" / "c")
    assert "something else" in refused(steps).what


@root_only
def test_an_owner_that_changes_while_the_undo_is_at_work(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = top / "etc" / "a"
    path.write_text("x")
    steps = own(path, group="nogroup")
    real = os.chmod

    class Os:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        @staticmethod
        def chmod(where: str, _mode: int) -> None:
            real(where, 0o600)

    monkeypatch.setattr(ownership_kind, "os", Os())
    with pytest.raises(OpsError, match="did not stay") as caught:
        undo.replay(steps, "undo1", False)
    assert caught.value.result["changed"] is True
    monkeypatch.setattr(ownership_kind, "os", os)
    path.chmod(0o644)
    steps = own(path, group="nogroup")
    looks: list[Any] = []
    look = ownership_kind.look

    def meanwhile(*args: Any) -> Any:
        seen = look(*args)
        if not looks:
            real(path, 0o640)
        looks.append(seen)
        return seen

    monkeypatch.setattr(ownership_kind, "look", meanwhile)
    with pytest.raises(Refused, match="a moment ago"):
        undo.replay(steps, "undo1", False)
    assert path.group() == "nogroup"


def test_a_file_that_goes_while_the_undo_is_at_work(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that stops a service: what the service removes at its end is gone, and no failure."""
    kept, goes = top / "data" / "a", top / "data" / "b"
    kept.parent.mkdir(mode=0o755)
    for path in (kept, goes):
        path.write_text("x")
        path.chmod(0o600)
    steps = own(top / "data", file_mode="0644", recurse=True)
    take = ownership_kind.take

    def take_along(host: Any, step: Json, before: Json, run_id: str) -> None:
        goes.unlink(missing_ok=True)
        take(host, step, before, run_id)

    monkeypatch.setattr(ownership_kind, "take", take_along)
    result = replay(steps)
    assert {step["object"]: step["done"] for step in result["steps"]} == {str(kept): True, str(goes): False}
    assert [change["object"] for change in result["changes"]] == [f"mode of {kept}"]
    assert f"gone: {goes}" in result["message"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@root_only
def test_content_and_owner_of_one_file_are_held_against_each_other(top: Path) -> None:
    path = top / "etc" / "a.conf"
    path.write_text("old")
    before = tree(top / "etc")
    steps = write(path, "new", mode="0600")
    steps = own(path, owner="nobody", group="nogroup", file_mode="0640") + steps
    after = tree(top / "etc")
    result = replay(steps)
    assert tree(top / "etc") == before
    again = replay(result["undo"]["steps"], "undo2")
    assert tree(top / "etc") == after
    path.write_text("somebody's")
    assert "content" in refused(steps).what
    path.write_text("new")
    assert replay(again["undo"]["steps"], "undo3")["changed"] is True
    path.write_text("somebody's, with the old owner and mode")
    assert refused(steps).where == str(path)


@root_only
def test_an_unprivileged_user_cannot_put_back(top: Path) -> None:
    path = top / "etc" / "a.conf"
    path.write_text("x")
    steps = own(path, group="nogroup")

    def work() -> None:
        with pytest.raises(OpsError, match="may not") as caught:
            undo.replay(steps, "undo1", False)
        assert "become" in caught.value.hint
        assert caught.value.result["changed"] is False

    assert in_child(work, NOBODY) == 0


@root_only
def test_accounts_without_a_name_are_told_by_number(top: Path) -> None:
    path = top / "etc" / "a"
    path.write_text("x")
    os.chown(path, 54321, 54322)
    steps = own(path, owner="root", group="root")
    changes = replay(steps)["changes"]
    assert [change["after"] for change in changes] == ["54321", "54322"]


# ---- kernel parameters


def kernel(top: Path, **values: str) -> None:
    for key, value in values.items():
        path = top / "sys" / key.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")


def values(**pairs: tuple[str, str]) -> list[Json]:
    step = {key.replace("__", "."): {"before": before, "after": after} for key, (before, after) in pairs.items()}
    return [{"kind": "sysctl", "values": step}]


def test_kernel_parameters_come_back_whatever_their_blanks(top: Path) -> None:
    kernel(top, net__core__somaxconn="8192", net__ipv4__tcp_rmem="4096\t131072\t16777216")
    steps = values(
        net__core__somaxconn=("4096", "8192"), net__ipv4__tcp_rmem=("4096 131072 6291456", "4096 131072 16777216")
    )
    predicted = replay(steps, check=True)
    assert (top / "sys/net/core/somaxconn").read_text() == "8192\n"
    result = replay(steps)
    assert result == predicted
    assert (top / "sys/net/core/somaxconn").read_text() == "4096\n"
    assert (top / "sys/net/ipv4/tcp_rmem").read_text() == "4096 131072 6291456\n"
    assert result["changes"][0] == {"object": "sysctl net.core.somaxconn", "before": "8192", "after": "4096"}
    assert len(result["undo"]["steps"]) == 1
    replay(result["undo"]["steps"])
    assert (top / "sys/net/core/somaxconn").read_text() == "8192\n"


def test_keys_with_dots_in_a_part_and_keys_that_are_gone(top: Path) -> None:
    (top / "sys/net/ipv4/conf/eth0.100").mkdir(parents=True)
    (top / "sys/net/ipv4/conf/eth0.100/rp_filter").write_text("2\n")
    steps = [
        {"kind": "sysctl", "values": {"net.ipv4.conf.eth0/100.rp_filter": {"before": "1", "after": "2"}}},
        *values(net__gone=("1", "2")),
    ]
    result = replay(steps)
    assert (top / "sys/net/ipv4/conf/eth0.100/rp_filter").read_text() == "1\n"
    assert "gone: sysctl net.gone" in result["message"]


def test_a_parameter_that_somebody_set_since(top: Path) -> None:
    kernel(top, net__a="3", net__b="8")
    error = refused(values(net__b=("4", "8"), net__a=("1", "2")))
    assert error.where == "sysctl net.a"
    assert "it is now 3, and should be 2" in error.what
    assert "sysctl net.a; grep" in error.hint
    assert (top / "sys/net/b").read_text() == "8\n"


def test_what_resets_others_is_written_first_and_the_zero_of_a_pair_last(top: Path) -> None:
    steps = values(
        vm__dirty_bytes=("0", "9"), net__x=("1", "2"), net__ipv4__ip_forward=("0", "1"), vm__ratio=("5", "0")
    )
    order = [sysctl_kind.thing(step) for step in sysctl_kind.split(steps[0])]
    assert order == ["sysctl net.ipv4.ip_forward", "sysctl net.x", "sysctl vm.ratio", "sysctl vm.dirty_bytes"]


def test_two_changes_of_a_parameter_stay_two_steps(top: Path) -> None:
    kernel(top, net__a="3")
    steps = [*values(net__a=("2", "3")), *values(net__a=("1", "2"))]
    result = replay(steps)
    assert (top / "sys/net/a").read_text() == "1\n"
    assert len(result["undo"]["steps"]) == 2
    replay(result["undo"]["steps"])
    assert (top / "sys/net/a").read_text() == "3\n"


def test_a_value_that_came_with_another_is_not_written(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(top, vm__bytes="9", vm__ratio="0")
    real = sysctl_kind.look

    def look(host: Any, step: Json) -> Any:
        if (top / "sys/vm/ratio").read_text() == "5\n":  # the kernel sets the other of a pair to 0
            (top / "sys/vm/bytes").write_text("0\n")
            (top / "sys/vm/bytes").chmod(0o400)
        return real(host, step)

    monkeypatch.setattr(sysctl_kind, "look", look)
    assert replay(values(vm__bytes=("0", "9"), vm__ratio=("5", "0")))["changed"] is True
    assert (top / "sys/vm/bytes").read_text() == "0\n"


def test_a_kernel_that_does_not_take_a_value_back(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(top, net__a="2", net__b="2")
    real = sysctl_kind.look
    monkeypatch.setattr(
        sysctl_kind, "look", lambda host, step: {"value": "2"} if "net.b" in step["values"] else real(host, step)
    )
    with pytest.raises(OpsError, match="did not take 1 back") as caught:
        undo.run({"steps": values(net__a=("1", "2"), net__b=("1", "2")), "run_id": "undo1"}, False)
    assert [change["object"] for change in caught.value.result["changes"]] == ["sysctl net.a"]
    (top / "sys/net/c").mkdir()
    monkeypatch.undo()
    monkeypatch.setattr(sysctl_kind, "PROC", str(top / "sys"))
    with pytest.raises(OpsError, match=r"net\.c"):
        undo.replay(values(net__c=("1", "2")), "undo1", False)


def test_a_real_parameter_of_a_namespace_of_its_own() -> None:
    """The kernel itself, where this machine lets a process have a network namespace."""
    inside = ["unshare", "--net", sys.executable, "-I", "-B", "-"]
    if subprocess.run([*inside[:2], "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces here")
    step = {"kind": "sysctl", "values": {"net.core.somaxconn": {"before": "4096", "after": "777"}}}
    text = packing.program(packing.Call("undo", {"steps": [step]}, False, ("undo_steps.sysctl",)), "--m--").decode()
    setup = "open('/proc/sys/net/core/somaxconn', 'w').write('777')\n"
    done = subprocess.run(inside, input=setup + text, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout.split("--m--")[1])["changed"] is True, done.stderr


# ---- the whole


def test_changes_that_cannot_be_put_back_are_told(top: Path) -> None:
    path = top / "etc" / "a.conf"
    none = {"kind": "none", "reason": "the process that was replaced is gone", "object": "service x.service"}
    result = replay([none, *write(path, "new"), {"kind": "none", "reason": "why not"}])
    assert not path.exists()
    assert result["message"].endswith("left: service x.service (the process that was replaced is gone), (why not)")
    assert [step["done"] for step in result["steps"]] == [True, False, False]
    alone = replay([none])
    assert (alone["changed"], alone["undo"]) == (False, NOTHING)
    assert replay([])["message"] == "nothing to put back"


def test_a_long_list_is_cut_short_for_people(top: Path) -> None:
    steps = [step for number in range(9) for step in write(top / "etc" / str(number), "x")]
    assert replay(steps)["message"].endswith(" and 3 more")


@pytest.mark.parametrize(
    "steps",
    [[{"kind": "shell"}], [{}], ["x"], [{"kind": "file", "path": "/x"}], [{"kind": "steps", "steps": [{"kind": "x"}]}]],
)
def test_what_is_no_step(top: Path, steps: list[Any]) -> None:
    assert refused(steps, BadInput).where == "steps"


@pytest.mark.parametrize("run_id", ["../x", ".x", "a/b", "x" * 101, "-x", "a b"])
def test_a_run_id_cannot_leave_its_folder(top: Path, run_id: str) -> None:
    with pytest.raises(BadInput):
        undo.run({"steps": write(top / "etc" / "a", "x"), "run_id": run_id}, False)
    assert (top / "etc" / "a").exists()


def test_the_leases_of_the_undone_run_are_taken_and_given_back(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "DIRECTORY", str(top / "leases"))
    options = {"name": "mongodb", "ttl": 60, "run_id": "other", "holder": "a colleague"}
    lease.run({**options, "state": "acquired"}, False)
    steps = write(top / "etc" / "a", "x")
    params = {"steps": steps, "leases": ["mongodb", "tuning"], "lease": "", "run_id": "undo1"}
    for check in (True, False):
        with pytest.raises(Refused, match="a colleague"):
            undo.run(params, check)
    lease.run({**options, "state": "released"}, False)
    assert undo.run(params, True)["changed"] is True
    assert list((top / "leases").glob("*.json")) == []
    seen: list[bool] = []
    real = file_kind.take

    def take(*args: Any) -> None:
        seen.append(lease.run({**options, "state": "read"}, False)["lease"]["held"])
        real(*args)

    monkeypatch.setattr(file_kind, "take", take)
    assert undo.run(params, False)["changed"] is True
    assert seen == [True]
    assert list((top / "leases").glob("*.json")) == []
    own_lease = {"steps": write(top / "etc" / "a", "x"), "lease": "mongodb", "leases": ["mongodb"], "run_id": "undo1"}
    with pytest.raises(Refused, match="does not hold the lease"):
        undo.run(own_lease, False)


def test_how_long_it_may_take_depends_on_what_waits() -> None:
    assert undo.longest([{"kind": "file"}]) == 60
    assert undo.longest([{"kind": "steps", "steps": [{"kind": "definition"}, {"kind": "timer"}]}]) == 1510


def kinds_of(steps: list[Json]) -> list[str]:
    return [step["kind"][0] + str(step.get("name", "")) + "!" * bool(step.get("restarted")) for step in steps]


def steps_of(text: str) -> list[Json]:
    """`f dx! s`: a file, the definition of x with a restart, a service's state."""
    long = {"f": "file", "d": "definition", "s": "service_state"}
    return [{"kind": long[word[0]], "name": word[1:].strip("!"), "restarted": "!" in word} for word in text.split()]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("f dx f dx", "f f dx"),
        ("f dx! f dx!", "f f dx!"),
        ("f dx! f dx", "f dx! f dx"),  # the restart between them had the files as they were then
        ("f dx f dy", "f dx f dy"),
        ("f dx! s f dx!", "f dx! s f dx!"),
        ("f dx! f dx f dx!", "f dx! f dx f dx!"),
    ],
)
def test_a_definition_is_put_in_force_once_where_that_is_the_same(given: str, expected: str) -> None:
    assert kinds_of(kinds.settled(steps_of(given))) == expected.split()


@pytest.mark.parametrize(
    ("taken", "back"),
    [
        ("f dx", "f dx"),
        ("f1 dx f2 dy", "f2 dy f1 dx"),
        ("f1 f2 dx dy", "f2 f1 dy dx"),
        ("f dx s", "s f dx"),
        ("s f dx", "f dx s"),
        ("f1 dx! f2 dx", "f2 dx f1 dx!"),
    ],
)
def test_steps_back_come_in_the_other_order_but_definitions_after_their_files(taken: str, back: str) -> None:
    assert kinds_of(kinds.turned(steps_of(taken))) == back.split()


def test_a_capture_of_a_baseline_is_undone_for_good(top: Path) -> None:
    """The manifest before is in force again, with the copies it names."""
    path = top / "etc" / "a.conf"
    options = {"service": "x", "files": [str(path)], "state": "captured", "unit": None, "lease": "", "run_id": "run1"}
    undos = []
    for text in ("one", "two"):
        path.write_text(text)
        undos.insert(0, baseline.run(options, False)["undo"])
    replay(undos[:1])
    verified = baseline.run({**options, "state": "verified"}, False)
    assert verified["files"][0]["sha256"] == managed_file.sha256(b"one")
    assert [drift["field"] for drift in verified["files"][0]["drift"]] == ["sha256"]
    replay(undos[1:], "undo2")
    with pytest.raises(OpsError, match="no baseline"):
        baseline.run({**options, "state": "verified"}, False)


def some_of_all(top: Path) -> list[Json]:
    """A run that changed two files, made one with folders, removed one, and changed owners and kernel parameters."""
    names = ("a.conf", "b.conf", "gone.conf")
    for name in names:
        (top / "etc" / name).write_text("old " + name)
    kernel(top, net__a="1", net__b="1")
    before = tree(top / "etc"), tree(top / "sys")
    steps: list[Json] = []
    for name, text in (("a.conf", "new"), ("gone.conf", None), ("x.d/y.d/b.conf", "made"), ("a.conf", "newer")):
        steps = write(top / "etc" / name, text) + steps
    steps = own(top / "etc" / "b.conf", file_mode="0600") + steps
    kernel(top, net__a="2", net__b="2")
    steps = values(net__a=("1", "2"), net__b=("1", "2")) + steps
    assert before != (tree(top / "etc"), tree(top / "sys"))
    return steps


def killed_replay(when: int, after: bool, steps: list[Json]) -> int:
    def work() -> None:
        killer = Killer(when, after)
        for module in (files, managed_file, file_kind, ownership_kind):
            module.os = killer  # type: ignore[attr-defined]
        undo.replay(steps, "undo1", False)

    return in_child(work)


def test_sigkill_at_any_call_leaves_each_object_old_or_new_and_a_rerun_completes(top: Path) -> None:
    """Every eleventh call into the operating system is hit, in turn before and after it."""
    reference = Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    try:
        steps = some_of_all(top)
        new = {**tree(top / "etc"), **tree(top / "sys")}
        shutil.copytree(top, reference / "saved", symlinks=True)
        replay(steps, "undo0")
        old = {**tree(top / "etc"), **tree(top / "sys")}
        codes = set()
        for when in range(1, 4000, 11):
            _restore(top, reference / "saved")
            code = killed_replay(when, bool(when % 2), steps)
            codes.add(code)
            for name, found in {**tree(top / "etc"), **tree(top / "sys")}.items():
                left = name.endswith(".tmp~") or found[3] in (None, b"new")  # new: between the first and the last
                assert left or found in (old.get(name), new.get(name)), name
            result = replay(steps, "undo2")
            settled = {**tree(top / "etc"), **tree(top / "sys")}
            assert {name: seen for name, seen in settled.items() if not name.endswith(".tmp~")} == old
            assert result["message"]
            if code == 0:
                break
        assert codes == {-9, 0}
        assert when > 300
    finally:
        shutil.rmtree(reference)


def _restore(top: Path, saved: Path) -> None:
    for name in ("etc", "sys", "state"):
        shutil.rmtree(top / name)
        shutil.copytree(saved / name, top / name)
        shutil.copystat(saved / name, top / name)


def test_both_roads_agree_and_keep_the_promise_of_the_documentation(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = write(top / "etc" / "a.conf", "new") + values(net__a=("1", "2"))
    kernel(top, net__a="2")
    expected = replay(steps, "undo1", check=True)
    answer = ordinary_road("change_undo", {"steps": steps, "run_id": "undo1"}, capsys)
    assert {key: answer[key] for key in KEYS} == expected
    assert KEYS - {"changed"} == returned("change_undo")
    error = ordinary_road("change_undo", {"steps": [{"kind": "x"}], "run_id": "undo1"}, capsys)
    assert error["error"]["kind"] == "BadInput"
    assert set(error) > KEYS


@pytest.mark.parametrize("python", [oldest(), sys.executable])
def test_the_light_program_answers_the_same(top: Path, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = write(top / "etc" / "x.d" / "a.conf", "new")
    steps = own(top / "etc", directory_mode="0711") + steps
    predicted = replay(steps, check=True)
    source = packing.SOURCES["managed_file"]
    moved = source.text.replace('STATE = "/var/lib/ops-runbook"', f'STATE = "{top / "state"}"')
    monkeypatch.setitem(packing.SOURCES, "managed_file", source._replace(text=moved))
    extra = tuple(undo_plan.modules(steps, False))
    call = packing.Call("undo", {"steps": steps, "run_id": "undo1"}, False, extra, deadline=60)
    done = subprocess.run(
        [python, "-I", "-B", "-"], input=packing.program(call, "--m--"), capture_output=True, timeout=60, check=True
    )
    assert json.loads(done.stdout.decode().split("--m--")[1]) == predicted
