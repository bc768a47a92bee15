# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup from the module's arguments to the ledger, and its proof by a restore: on directories."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import backup_create, backup_verify
from ansible_collections.ops.runbook.plugins.module_utils.backup import ledger, stores
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners can be given by root alone")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "ROOT", str(tmp_path / "state"))


@pytest.fixture
def live(tmp_path: Path) -> Path:
    (tmp_path / "live").mkdir()
    (tmp_path / "live/app.conf").write_text("a = 1\n")
    return tmp_path / "live"


def params(tmp_path: Path, **more: t.Any) -> dict[str, t.Any]:
    return {
        "root": str(tmp_path / "backups"),
        "system": "simplers",
        "store": "config",
        "kind": "files",
        "paths": [str(tmp_path / "live")],
        "exclude": [],
        "level": 3,
        "timeout": 60,
        "idle": 20,
        "keep_free": 0,
        "lease": "",
        "run_id": "run-1",
        "backup": "latest",
        "scratch": str(tmp_path / "scratch"),
        "smoke": [],
        **more,
    }


def test_a_backup_is_taken_proven_and_known(live: Path, tmp_path: Path) -> None:
    predicted = backup_create.run(params(tmp_path), True)
    assert predicted["changed"]
    assert not (tmp_path / "backups").exists()
    taken = backup_create.run(params(tmp_path), False)
    backup = taken["backup"]
    assert Path(backup["path"]).is_dir()
    assert taken["message"].startswith("backup of simplers/config taken: 2 objects, ")
    known = ledger.read("simplers", "config")
    assert known[backup["name"]]["manifest"] == backup["manifest"]
    assert ledger.verified(known) == []
    proven = backup_verify.run(params(tmp_path), False)
    assert (proven["verified"], proven["why"], proven["changed"]) == (True, "", False)
    assert ledger.verified(ledger.read("simplers", "config")) == [backup["name"]]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_damaged_one_is_never_verified_and_the_ledger_says_why(live: Path, tmp_path: Path) -> None:
    backup = backup_create.run(params(tmp_path), False)["backup"]
    (Path(backup["path"]) / "files.tar.zst").write_bytes(b"x")
    with pytest.raises(
        OpsError, match=r"is damaged: .*had .* when the backup was taken.*Take a new backup now"
    ) as said:
        backup_verify.run(params(tmp_path), False)
    assert (said.value.result["verified"], said.value.result["damaged"]) == (False, True)
    checked = ledger.read("simplers", "config")[backup["name"]]["checked"]
    assert (checked["verified"], checked["damaged"]) == (False, True)


def test_a_manifest_that_was_forged_with_its_seal_is_found_by_the_ledger(live: Path, tmp_path: Path) -> None:
    from ansible_collections.ops.runbook.plugins.module_utils.backup import manifest

    backup = backup_create.run(params(tmp_path), False)["backup"]
    manifest.write(backup["path"], {**manifest.read(backup["path"]), "objects": []})
    with pytest.raises(OpsError, match="is not the one that was recorded"):
        backup_verify.run(params(tmp_path), False)


def test_what_could_not_be_tried_is_not_verified_and_not_damaged(
    live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup_create.run(params(tmp_path), False)

    def full(*_: object) -> None:
        raise OpsError("tar failed with exit code 2: No space left on device")

    monkeypatch.setattr("ansible_collections.ops.runbook.plugins.module_utils.backup.files.extract", full)
    with pytest.raises(OpsError, match=r"could not be verified: .*No space left.*Mend that, and verify again") as said:
        backup_verify.run(params(tmp_path), False)
    assert (said.value.result["verified"], said.value.result["damaged"]) == (False, False)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"kind": "redis"}, BadInput, "kind: 'redis' is no kind of store. Known are files, mongodb, postgresql"),
        ({"paths": []}, BadInput, "paths: names nothing"),
        ({"paths": ["etc"]}, BadInput, "is no full path"),
        ({"paths": ["/no/such/place"]}, OpsError, "/no/such/place"),
        ({"keep_free": 10**18}, Refused, "must stay free"),
        ({"system": "a/b"}, BadInput, "is no name"),
    ],
)
def test_bad_input_leaves_nothing(
    live: Path, tmp_path: Path, change: dict[str, t.Any], error: type[OpsError], words: str
) -> None:
    with pytest.raises(error, match=words):
        backup_create.run(params(tmp_path, **change), False)
    assert not [path for path in (tmp_path / "backups").rglob("*") if path.is_file()]
    assert ledger.read("simplers", "config") == {}


def test_a_scratch_folder_that_was_left_goes_and_one_in_use_stays(tmp_path: Path) -> None:
    root = tmp_path / "scratch"
    (root / "scratch-left").mkdir(parents=True)
    (root / "scratch-left/file").write_text("x")
    with stores.scratch_folder(str(root)) as one, stores.scratch_folder(str(root)) as other:
        assert sorted(str(path) for path in root.iterdir()) == sorted([one, other])
    assert list(root.iterdir()) == []


def test_a_damaged_ledger_is_told_and_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    path = Path(ledger.path_of("simplers", "config"))
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(OpsError, match=r"is damaged\. Move it away, and verify the backups again"):
        ledger.read("simplers", "config")
