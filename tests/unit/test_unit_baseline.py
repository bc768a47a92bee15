# SPDX-License-Identifier: GPL-3.0-or-later
"""A definition is kept while its service is well, compared with how it is, and put back; the foreign is kept aside."""

from __future__ import annotations

import json
import os
import shutil
import stat
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.module_utils import baseline, baseline_store, lease, undo, unit_baseline
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.specs.service_baseline import ARGUMENT_SPEC, RULES
from small_systemd import SmallSystemd, small_host
from test_files import root_only

pytestmark = root_only
KEYS = {"changed", "changes", "undo", "message", "diff", "files", "aside", "captured_at", "unit"}
NOTHING = {"kind": "none", "reason": "nothing was changed"}
UNIT = "[Service]\nExecStart=exec sleep 600\n"
GOOD = "[Service]\nEnvironment=MODE=good\n"
BAD = "[Service]\nExecStart=\nExecStart=exec /no/such/program\nEnvironment=DB_PASSWORD=hunter2\n"


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[SmallSystemd]:
    """A host with app.service running, which has a drop-in of an administrator."""
    with small_host(monkeypatch, UNIT, ["app.service"]) as small:
        small.drop_in("app.service", "good.conf", GOOD)
        small.reload()
        yield small


def run(systemd: SmallSystemd, state: str, check: bool = False, **others: t.Any) -> dict[str, t.Any]:
    given = {"service": "app", "state": state, **others}
    if state != "verified":
        given.setdefault("unit", "app")
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate(given)
    assert not checked.error_messages, checked.error_messages
    result = baseline.run_on(systemd, dict(checked.validated_parameters), check)  # type: ignore[arg-type]
    assert set(result) == KEYS
    return result


def failed(systemd: SmallSystemd, kind: type[OpsError], state: str, **others: t.Any) -> OpsError:
    with pytest.raises(OpsError) as caught:
        run(systemd, state, **others)
    assert type(caught.value) is kind, caught.value
    assert set(caught.value.result) == KEYS
    assert caught.value.result["changed"] is False
    return caught.value


def tree(systemd: SmallSystemd) -> dict[str, t.Any]:
    found = {path: path.lstat() for top in ("etc", "run", "lib", "state") for path in (systemd.top / top).rglob("*")}
    return {str(path): (seen.st_ino, seen.st_mtime_ns, seen.st_mode, seen.st_uid) for path, seen in found.items()}


def put_back(systemd: SmallSystemd, result: dict[str, t.Any], run_id: str = "back") -> dict[str, t.Any]:
    return undo.replay_on(systemd, [result["undo"]], run_id, False)  # type: ignore[arg-type]


# ---- capture


def test_capture_keeps_drop_ins_and_names_what_a_package_brought(systemd: SmallSystemd) -> None:
    (systemd.top / "lib" / "app.service.d").mkdir()
    (systemd.top / "lib" / "app.service.d" / "vendor.conf").write_text("[Service]\nNice=1\n")
    (systemd.top / "lib" / "app.service.d" / "off.conf").symlink_to("/dev/null")
    systemd.drop_in("app.service", "90-ops-runbook-web.conf", "[Service]\nLimitNOFILE=1000\n")
    systemd.drop_in("app.service", "late.conf", "[Service]\nNice=2\n", "run").chmod(0o600)
    systemd.reload()
    result = run(systemd, "captured")
    manifest = json.loads((systemd.top / "state/baseline/app/manifest.json").read_text())
    kept = manifest["unit"]
    assert (kept["name"], kept["links"]) == ("app.service", {})
    seen = {entry["path"]: entry["mode"] for entry in kept["files"]}
    assert seen == {
        f"{systemd.top}/etc/app.service.d/good.conf": "0644",
        f"{systemd.top}/run/app.service.d/late.conf": "0600",
    }
    assert [one["path"] for one in kept["packaged"]] == [
        f"{systemd.top}/lib/app.service",
        f"{systemd.top}/lib/app.service.d/vendor.conf",
    ]
    copies = {path.read_text() for path in (systemd.top / "state/baseline/app").iterdir()} - {json.dumps(manifest)}
    assert {GOOD, "[Service]\nNice=2\n"} <= copies
    assert UNIT not in copies
    assert result["message"] == "0 file(s) and the definition of app.service are the baseline of app now"
    assert run(systemd, "captured")["changed"] is False
    assert run(systemd, "captured")["message"] == "the baseline of app is up to date"


def test_a_capture_is_undone_to_the_baseline_before_it(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    systemd.drop_in("app.service", "good.conf", GOOD + "Nice=3\n")
    systemd.reload()
    second = run(systemd, "captured")
    assert [change["object"] for change in second["changes"]] == [
        f"baseline of app: {systemd.top}/etc/app.service.d/good.conf"
    ]
    put_back(systemd, second)
    assert run(systemd, "verified")["unit"]["changed"] == [f"{systemd.top}/etc/app.service.d/good.conf"]
    assert run(systemd, "restored")["changed"] is True
    assert (systemd.top / "etc/app.service.d/good.conf").read_text() == GOOD


def test_a_definition_that_is_not_in_force_is_no_baseline(systemd: SmallSystemd) -> None:
    systemd.drop_in("app.service", "new.conf", "[Service]\nNice=2\n")
    error = failed(systemd, Refused, "captured")
    assert "its definition on disk is not the one in force" in error.what
    assert not (systemd.top / "state").exists()
    systemd.drop_in("app.service", "new.conf", "[Service]\nExecStart=exec sleep 1\n")
    systemd.reload()
    assert "cannot be loaded" in failed(systemd, Refused, "captured").what
    assert "no such service" in failed(systemd, BadInput, "captured", unit="web").what


def test_a_capture_without_the_unit_forgets_it(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    run(systemd, "captured", unit=None, files=["/etc/hostname"])
    assert run(systemd, "verified")["unit"] is None
    error = failed(systemd, baseline_store.NoBaseline, "restored")
    assert "holds no definition of a unit" in error.what
    assert error.hint == "ansible-playbook playbooks/baseline.yml"


@pytest.mark.parametrize("unit", [{}, {"name": "x"}, {"name": "x", "files": [{}], "links": {}, "packaged": []}, 7])
def test_a_damaged_unit_in_the_manifest_is_damage(systemd: SmallSystemd, unit: t.Any) -> None:
    run(systemd, "captured")
    path = systemd.top / "state/baseline/app/manifest.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), unit=unit or {"files": []})))
    failed(systemd, baseline_store.Damaged, "verified")
    failed(systemd, baseline_store.Damaged, "restored")


# ---- verify


def test_verify_names_what_is_new_gone_and_changed_with_a_diff(systemd: SmallSystemd) -> None:
    systemd.drop_in("app.service", "old.conf", "[Service]\nNice=2\n")
    systemd.reload()
    run(systemd, "captured")
    assert run(systemd, "verified")["message"] == "0 file(s) and the unit are as in the baseline"
    folder = systemd.top / "etc/app.service.d"
    (folder / "old.conf").unlink()
    (folder / "good.conf").write_text(GOOD.replace("good", "bad"))
    (folder / "foreign.conf").write_text(BAD)
    before = tree(systemd)
    result = run(systemd, "verified")
    assert tree(systemd) == before
    assert (result["changed"], result["undo"], systemd.told) == (False, NOTHING, [])
    assert result["unit"] == {
        "name": "app.service",
        "new": [str(folder / "foreign.conf")],
        "gone": [str(folder / "old.conf")],
        "changed": [str(folder / "good.conf")],
        "packaged": [
            {
                "path": f"{systemd.top}/lib/app.service",
                "sha256": result["unit"]["packaged"][0]["sha256"],
                "upgraded": False,
            }
        ],
    }
    text = result["diff"]["prepared"]
    assert "-Environment=MODE=good\n+Environment=MODE=bad\n" in text
    assert "+ExecStart=exec /no/such/program\n+Environment=DB_PASSWORD=***\n" in text
    assert "-Nice=2\n" in text
    assert "hunter2" not in json.dumps(result)
    assert result["message"] == (
        f"differs from the baseline: app.service: new {folder}/foreign.conf; gone {folder}/old.conf; "
        f"changed {folder}/good.conf"
    )


def test_an_upgrade_and_what_this_library_writes_are_no_drift(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    systemd.drop_in("app.service", "90-ops-runbook-web.conf", "[Service]\nLimitNOFILE=1000\n")
    systemd.write("app.service", UNIT + "Nice=1\n")
    result = run(systemd, "verified")
    assert result["message"] == "0 file(s) and the unit are as in the baseline"
    assert (result["diff"], result["unit"]["packaged"][0]["upgraded"]) == ({}, True)
    assert run(systemd, "restored")["changed"] is False


def test_a_mode_counts_too_and_a_damaged_copy_is_said(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    path = systemd.top / "etc/app.service.d/good.conf"
    path.chmod(0o600)
    result = run(systemd, "verified")
    assert (result["unit"]["changed"], result["diff"]) == ([str(path)], {"prepared": ""})
    assert run(systemd, "restored")["changes"][0]["after"]["mode"] == "0644"
    path.write_text("bad")
    digest = json.loads((systemd.top / "state/baseline/app/manifest.json").read_text())["unit"]["files"][0]["copy"]
    (systemd.top / "state/baseline/app" / digest).write_text("rotten")
    for state in ("verified", "restored"):
        assert "missing or damaged" in failed(systemd, baseline_store.Damaged, state).what
    assert path.read_text() == "bad"


# ---- restore


def test_restore_moves_what_is_foreign_aside_and_undo_brings_it_back(systemd: SmallSystemd) -> None:
    systemd.drop_in("app.service", "old.conf", "[Service]\nNice=2\n")
    systemd.reload()
    run(systemd, "captured")
    folder = systemd.top / "etc/app.service.d"
    (folder / "old.conf").unlink()
    (folder / "good.conf").write_text(GOOD.replace("good", "bad"))
    (folder / "foreign.conf").write_text(BAD)
    (folder / "foreign.conf").chmod(0o600)
    os.chown(folder / "foreign.conf", 12, 12)
    systemd.reload()
    broken = {path.name: path.read_text() for path in folder.iterdir()}
    before = tree(systemd)
    predicted = run(systemd, "restored", check=True, run_id="run1")
    assert tree(systemd) == before
    assert systemd.told == []
    result = run(systemd, "restored", run_id="run1")
    assert result == predicted
    assert systemd.told == ["daemon-reload"]
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "good.conf": GOOD,
        "old.conf": "[Service]\nNice=2\n",
    }
    assert [change["object"] for change in result["changes"]] == [
        str(folder / name) for name in ("foreign.conf", "good.conf", "old.conf")
    ]
    assert result["changes"][0]["after"] is None
    assert result["changes"][2]["before"] is None
    assert [step["kind"] for step in result["undo"]["steps"]] == ["file", "file", "file", "definition"]
    kept = [Path(step["aside"]) for step in result["undo"]["steps"] if step.get("aside")]
    assert {path.read_text() for path in kept} == {BAD, broken["good.conf"]}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert (result["aside"], stat.S_IMODE(kept[0].parent.stat().st_mode)) == (str(kept[0].parent), 0o700)
    assert "-ExecStart=exec /no/such/program\n" in result["diff"]["prepared"]
    assert "hunter2" not in json.dumps(result)
    assert result["unit"]["new"] == [str(folder / "foreign.conf")]
    assert run(systemd, "restored")["message"] == "the definition of app.service is as in the baseline"
    put_back(systemd, result)
    assert {path.name: path.read_text() for path in folder.iterdir()} == broken
    seen = (folder / "foreign.conf").stat()
    assert (seen.st_uid, stat.S_IMODE(seen.st_mode)) == (12, 0o600)
    assert systemd.told == ["daemon-reload", "daemon-reload"]


def test_restore_of_one_that_cannot_be_loaded(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    systemd.drop_in("app.service", "second.conf", "[Service]\nExecStart=exec sleep 1\n", "run")
    systemd.reload()
    assert run(systemd, "restored")["changed"] is True
    assert not (systemd.top / "run/app.service.d/second.conf").exists()
    assert run(systemd, "verified")["message"] == "0 file(s) and the unit are as in the baseline"


def test_restore_of_a_unit_file_that_hides_the_package_s_one(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    (systemd.top / "etc/app.service").write_text(BAD)
    systemd.reload()
    result = run(systemd, "restored")
    assert [change["object"] for change in result["changes"]] == [f"{systemd.top}/etc/app.service"]
    assert not (systemd.top / "etc/app.service").exists()
    put_back(systemd, result)
    assert (systemd.top / "etc/app.service").read_text() == BAD


def test_restore_makes_a_folder_that_is_gone_and_undo_takes_it_away(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    shutil.rmtree(systemd.top / "etc/app.service.d")
    systemd.reload()
    result = run(systemd, "restored")
    assert (systemd.top / "etc/app.service.d/good.conf").read_text() == GOOD
    put_back(systemd, result)
    assert not (systemd.top / "etc/app.service.d").exists()


def test_a_file_that_systemd_has_not_heard_of_goes_as_well(systemd: SmallSystemd) -> None:
    """Else the daemon-reload that puts the definition back would put it in force."""
    run(systemd, "captured")
    systemd.drop_in("app.service", "one.conf", BAD)
    systemd.reload()
    systemd.drop_in("app.service", "not loaded.conf", BAD)
    assert [Path(change["object"]).name for change in run(systemd, "restored")["changes"]] == [
        "not loaded.conf",
        "one.conf",
    ]


def test_what_a_person_put_right_on_disk_is_put_in_force(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    path = systemd.drop_in("app.service", "one.conf", BAD)
    systemd.reload()
    path.unlink()
    result = run(systemd, "restored")
    assert [change["object"] for change in result["changes"]] == ["definition of app.service"]
    assert systemd.told == ["daemon-reload"]


# ---- refusals


def test_a_link_is_left_to_a_person(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    foreign = systemd.drop_in("app.service", "one.conf", BAD)
    link = systemd.top / "etc/app.service.d/good.conf"
    link.unlink()
    link.symlink_to("/dev/null")
    systemd.reload()
    error = failed(systemd, Refused, "restored")
    assert (error.what, error.where) == ("a symbolic link among the drop-ins is not as in the baseline", str(link))
    assert foreign.exists()
    assert run(systemd, "verified")["unit"]["changed"] == [str(link)]


def test_a_link_that_was_there_is_no_drift(systemd: SmallSystemd) -> None:
    link = systemd.top / "etc/app.service.d/off.conf"
    link.symlink_to("/dev/null")
    systemd.reload()
    assert f"baseline of app: {link}" in [change["object"] for change in run(systemd, "captured")["changes"]]
    assert run(systemd, "verified")["unit"]["changed"] == []
    systemd.drop_in("app.service", "one.conf", BAD)
    systemd.reload()
    assert run(systemd, "restored")["changed"] is True
    assert link.is_symlink()
    link.unlink()
    assert run(systemd, "verified")["unit"]["gone"] == [str(link)]
    failed(systemd, Refused, "restored")


@pytest.mark.parametrize(("mode", "owner", "says"), [(0o777, 0, "others may write"), (0o755, 12, "user id 12")])
def test_a_folder_that_is_not_root_s_alone_is_not_touched(
    systemd: SmallSystemd, mode: int, owner: int, says: str
) -> None:
    run(systemd, "captured")
    foreign = systemd.drop_in("app.service", "one.conf", BAD)
    systemd.reload()
    foreign.parent.chmod(mode)
    os.chown(foreign.parent, owner, 0)
    error = failed(systemd, Refused, "restored")
    assert says in error.what
    assert error.where == str(foreign.parent)
    assert foreign.exists()


def test_a_drop_in_of_all_services_is_seen_and_left(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    path = systemd.drop_in("service", "all.conf", BAD)
    systemd.reload()
    assert run(systemd, "verified")["unit"]["new"] == [str(path)]
    error = failed(systemd, Refused, "restored")
    assert (error.what, error.where) == ("it is no drop-in of app.service alone", str(path))
    assert path.exists()


def test_without_a_baseline_or_for_another_unit_it_is_refused(systemd: SmallSystemd) -> None:
    assert "there is no baseline of app" in failed(systemd, baseline_store.NoBaseline, "restored").what
    run(systemd, "captured")
    systemd.write("web.service", UNIT)
    error = failed(systemd, BadInput, "restored", unit="web")
    assert (error.where, error.hint) == ("web.service", "In it is that of app.service.")


def test_one_that_cannot_be_loaded_though_nothing_differs_is_not_called_well(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    systemd.drop_in("app.service", "90-ops-runbook-web.conf", "[Service]\nExecStart=exec sleep 1\n")
    systemd.reload()
    assert "nothing differs from the baseline" in failed(systemd, Refused, "restored").what


def test_what_cannot_be_loaded_afterwards_is_put_back(systemd: SmallSystemd) -> None:
    run(systemd, "captured")
    foreign = systemd.drop_in("app.service", "zz.conf", BAD)
    systemd.drop_in("app.service", "90-ops-runbook-web.conf", "[Service]\nExecStart=exec sleep 1\n")
    systemd.reload()
    error = failed(systemd, OpsError, "restored")
    assert "cannot be loaded as it was" in error.what
    assert error.hint.startswith("What was changed was put back.")
    assert foreign.read_text() == BAD
    assert systemd.told == ["daemon-reload", "daemon-reload"]


def test_one_who_writes_it_meanwhile_is_not_overwritten(systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    run(systemd, "captured")
    foreign = systemd.drop_in("app.service", "one.conf", BAD)
    systemd.reload()
    real = unit_baseline.Change.make

    def make(*args: t.Any) -> None:
        foreign.write_text("mended by hand")
        real(*args)

    monkeypatch.setattr(unit_baseline.Change, "make", make)
    assert "somebody changed it a moment ago" in failed(systemd, Refused, "restored").what
    assert foreign.read_text() == "mended by hand"


def test_the_lease_is_held_before_the_first_write(systemd: SmallSystemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "DIRECTORY", str(systemd.top / "leases"))
    run(systemd, "captured")
    foreign = systemd.drop_in("app.service", "one.conf", BAD)
    systemd.reload()
    failed(systemd, Refused, "restored", lease="db1/app", run_id="run1")
    assert foreign.exists()
    lease.run({"name": "db1/app", "state": "acquired", "ttl": 60, "run_id": "run1", "holder": "t"}, False)
    assert run(systemd, "restored", lease="db1/app", run_id="run1")["changed"] is True
