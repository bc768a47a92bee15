# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile is applied whole or not at all, and says of every single value what became of it."""

from __future__ import annotations

import os
import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.module_utils import holds, lease, managed_file, tuning
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.specs.tuning_profile import ARGUMENT_SPEC, RULES

KEYS = {"changed", "changes", "undo", "message", "parts", "keys", "verdict"}
NOTHING = {"kind": "none", "reason": "nothing was changed"}


@pytest.fixture
def top(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Path]:
    """A folder for the profile's files, with state, leases and a hold of its own."""
    folder = Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    folder.chmod(0o755)
    monkeypatch.setattr(managed_file, "STATE", str(folder / "state"))
    monkeypatch.setattr(lease, "DIRECTORY", str(folder / "leases"))
    monkeypatch.setattr(holds, "PATH", str(folder / "hold"))
    yield folder
    shutil.rmtree(folder)


def params(**given: t.Any) -> dict[str, t.Any]:
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate({"profile": "edge", "run_id": "run1", **given})
    assert not checked.error_messages
    return dict(checked.validated_parameters)


def file(path: Path, content: str = "x\n", **more: str) -> dict[str, str]:
    return {
        "path": str(path),
        "content": content,
        "owner": str(path.parent.owner()),
        "group": path.parent.group(),
        **more,
    }


def run(check: bool = False, **given: t.Any) -> dict[str, t.Any]:
    answer = tuning.run(params(**given), check)
    assert set(answer) == KEYS
    return answer


def failed(kind: type[OpsError], **given: t.Any) -> OpsError:
    with pytest.raises(OpsError) as caught:
        run(**given)
    assert type(caught.value) is kind, caught.value
    assert set(caught.value.result) >= KEYS
    return caught.value


def test_files_are_predicted_put_and_then_already_there(top: Path) -> None:
    wanted = [file(top / "a.conf", "a\n"), file(top / "b.conf", "b\n", mode="0600")]
    predicted = run(check=True, files=wanted)
    assert predicted["verdict"] == "predicted"
    assert not (top / "a.conf").exists()
    assert not (top / "state").exists()
    done = run(files=wanted)
    assert {**done, "verdict": "predicted"} == predicted
    assert (top / "a.conf").read_text() + (top / "b.conf").read_text() == "a\nb\n"
    assert [step["path"] for step in done["undo"]["steps"]] == [str(top / "b.conf"), str(top / "a.conf")]
    assert {key["status"] for key in done["keys"].values()} == {"applied"}
    again = run(files=wanted)
    assert (again["verdict"], again["changed"], again["undo"]) == ("already", False, NOTHING)
    assert {key["status"] for key in again["keys"].values()} == {"already"}


def test_the_answer_counts_values_by_status(top: Path) -> None:
    run(files=[file(top / "a.conf")])
    assert run(files=[file(top / "a.conf"), file(top / "b.conf")])["message"] == "2 values: 1 already, 1 applied"


def test_a_refusal_of_a_later_part_is_heard_before_anything_is_written(top: Path) -> None:
    (top / "link.conf").symlink_to("a.conf")
    failed(Refused, files=[file(top / "a.conf"), file(top / "link.conf")])
    beer = {"domain": "x", "type": "both", "item": "beer", "value": "1"}
    failed(BadInput, files=[file(top / "a.conf")], limits={"pam": [beer]})
    assert not (top / "a.conf").exists()
    assert not (top / "state").exists()


def test_a_part_that_fails_on_the_way_takes_the_parts_before_it_back(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "a.conf").write_text("old\n")
    (top / "a.conf").chmod(0o640)
    real = managed_file.FilePlan.put

    def put(plan: managed_file.FilePlan) -> None:
        if plan.path.endswith("b.conf"):  # as if the disk had become full a moment ago
            raise OpsError("no space or no inodes are left", plan.path, "Free some.")
        real(plan)

    monkeypatch.setattr(managed_file.FilePlan, "put", put)
    error = failed(OpsError, files=[file(top / "a.conf"), file(top / "b.conf")])
    assert "Everything that this call had changed was put back." in str(error)
    assert (top / "a.conf").read_text() == "old\n"
    assert (top / "a.conf").stat().st_mode & 0o7777 == 0o640
    assert not (top / "b.conf").exists()
    assert error.result["undo"] == NOTHING


def test_what_cannot_be_put_back_stays_told(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = managed_file.FilePlan.put

    def put(plan: managed_file.FilePlan) -> None:
        if plan.path.endswith("b.conf"):
            (top / "a.conf").write_text("somebody else's\n")  # between the two writes
            raise OpsError("no space or no inodes are left", plan.path, "Free some.")
        real(plan)

    monkeypatch.setattr(managed_file.FilePlan, "put", put)
    error = failed(OpsError, files=[file(top / "a.conf"), file(top / "b.conf")])
    assert "could not be put back" in str(error)
    assert "runbook undo run1" in str(error)
    assert error.result["changed"] is True
    assert [step["path"] for step in error.result["undo"]["steps"]] == [str(top / "a.conf")]
    assert (top / "a.conf").read_text() == "somebody else's\n"


def test_a_hold_goes_before_any_profile(top: Path) -> None:
    (top / "hold").write_text("migration till noon\n")
    error = failed(Refused, files=[file(top / "a.conf")])
    assert "migration till noon" in str(error)
    assert f"rm {top / 'hold'}" in str(error)
    assert not (top / "a.conf").exists()


def test_a_lease_that_is_not_held_refuses(top: Path) -> None:
    failed(Refused, files=[file(top / "a.conf")], lease="db1")
    assert not (top / "a.conf").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"environment": {"x.service": "A=1"}}, "is not a mapping of variables"),
        ({"sysctl": {"net.core.somaxconn": True}}, "net.core.somaxconn"),
    ],
)
def test_a_malformed_profile(top: Path, given: dict[str, t.Any], said: str) -> None:
    assert said in str(failed(BadInput, files=[file(top / "a.conf")], **given))
    assert not (top / "a.conf").exists()


def test_a_file_given_twice_contradicts_itself(top: Path) -> None:
    assert "is given twice" in str(failed(BadInput, files=[file(top / "a.conf", "1"), file(top / "a.conf", "2")]))


def test_two_profiles_at_once_take_turns(top: Path) -> None:
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            for turn in range(5):
                run(files=[file(top / "a.conf", f"{number}-{turn}\n"), file(top / "b.conf", f"{number}-{turn}\n")])
            os._exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert (top / "a.conf").read_text() == (top / "b.conf").read_text()
    assert codes == [0, 0, 0, 0]
