# SPDX-License-Identifier: GPL-3.0-or-later
"""file_ownership, service_baseline and evidence_collect in real ansible-playbook runs, by both roads."""

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
import yaml
from test_files import NOBODY, root_only

ROOT = Path(__file__).resolve().parents[2]
STATE = Path("/var/lib/ops-runbook")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of a name that nothing else has; what a run keeps of it in /var/lib/ops-runbook goes with it."""
    top = Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    top.chmod(0o755)
    (top / "a.conf").write_text("dbPath: /var/lib/mongodb\npassword: hunter2\n")
    (top / "a.conf").chmod(0o640)
    yield top
    shutil.rmtree(top)
    for kind in ("baseline", "undo"):
        shutil.rmtree(STATE / kind / top.name, ignore_errors=True)
        if (STATE / kind).is_dir() and not any((STATE / kind).iterdir()):
            (STATE / kind).rmdir()
    if STATE.is_dir() and not any(STATE.iterdir()):
        STATE.rmdir()


def play(place: Path, module: str, options: dict[str, Any], *arguments: str, pipelining: bool = True) -> dict[str, Any]:
    """What a task with one of our modules returned, and what was printed as `said`."""
    options = {**options, "run_id": place.name} if module != "evidence_collect" else options
    body = {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            {f"ops.runbook.{module}": options, "register": "result", "ignore_errors": True},
            {
                "ansible.builtin.copy": {
                    "content": "{{ result | to_json }}",
                    "dest": f"{place}/result.json",
                    "mode": "0600",
                },
                "check_mode": False,
                "no_log": True,
            },
        ],
    }
    (place / "play.yml").write_text(yaml.safe_dump([body]))
    (place / "hosts").write_text(f"localhost ansible_connection=local ansible_python_interpreter={sys.executable}")
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_PIPELINING": str(pipelining),
        "OPS_RUNBOOK_RECORDS": str(place / "records"),
        "OPS_RUNBOOK_EVIDENCE": str(place / "evidence"),
        "OPS_RUNBOOK_RUN_ID": place.name,
        "ANSIBLE_NOCOLOR": "1",
    }
    argv = [Path(sys.executable).parent / "ansible-playbook", "-i", place / "hosts", place / "play.yml", *arguments]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Traceback" not in said
    assert "WARNING]: Value for result key" not in said
    assert "skipped=0" in said
    return {**json.loads((place / "result.json").read_text()), "said": said}


def compared(result: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from run to run."""
    differing = ("said", "ops_runbook", "captured_at", "ansible_facts")
    return {key: value for key, value in result.items() if key not in differing}


@root_only
def test_ownership_is_mended_the_same_on_both_roads(place: Path) -> None:
    results = []
    for pipelining in (True, False):
        (place / "a.conf").chmod(0o666)
        os.chown(place / "a.conf", NOBODY, NOBODY)
        wish = {"paths": [{"path": str(place / "a.conf"), "owner": "root", "group": "root", "mode": "0640"}]}
        predicted = play(place, "file_ownership", wish, "--check", pipelining=pipelining)
        assert (place / "a.conf").stat().st_uid == NOBODY
        result = play(place, "file_ownership", wish, pipelining=pipelining)
        assert compared(predicted) == compared(result)
        assert (place / "a.conf").stat().st_uid == 0
        assert stat.S_IMODE((place / "a.conf").stat().st_mode) == 0o640
        results.append(compared(result))
        assert play(place, "file_ownership", wish, pipelining=pipelining)["changed"] is False
    assert results[0] == results[1]
    assert [one["field"] for one in results[0]["mismatches"]] == ["owner", "group", "mode"]


@pytest.mark.parametrize("pipelining", [True, False])
def test_a_refusal_is_one_line_on_both_roads(place: Path, pipelining: bool) -> None:
    wish = {"paths": [{"path": "/etc", "owner": "root", "recurse": True}]}
    result = play(place, "file_ownership", wish, pipelining=pipelining)
    assert result["failed"] is True
    assert result["msg"] == "/etc: belongs to the system, so it is not touched. Name the service's own path."
    assert result["error"]["kind"] == "BadInput"
    assert (result["changed"], result["mismatches"], result["undo"]["kind"]) == (False, [], "none")


@root_only
@pytest.mark.parametrize("pipelining", [True, False])
def test_a_baseline_is_taken_and_put_back(place: Path, pipelining: bool) -> None:
    common, path = {"service": place.name}, str(place / "a.conf")
    missing = play(place, "service_baseline", common, pipelining=pipelining)
    assert missing["error"]["kind"] == "NoBaseline"
    assert missing["msg"].endswith("ansible-playbook playbooks/baseline.yml")
    captured = {**common, "state": "captured", "files": [path]}
    assert play(place, "service_baseline", captured, "--check", pipelining=pipelining)["changed"] is True
    assert not (STATE / "baseline" / place.name).exists()
    assert play(place, "service_baseline", captured, pipelining=pipelining)["changed"] is True
    assert play(place, "service_baseline", captured, pipelining=pipelining)["changed"] is False
    (place / "a.conf").write_text("dbPath: /nowhere\npassword: hunter3\n")
    assert play(place, "service_baseline", common, pipelining=pipelining)["files"][0]["drifted"] is True
    restored = {**common, "state": "restored", "path": path, "validate": ["grep", "-q", "dbPath", "%s"]}
    predicted = play(place, "service_baseline", restored, "--check", "--diff", pipelining=pipelining)
    result = play(place, "service_baseline", restored, "--diff", pipelining=pipelining)
    assert compared(predicted) == compared(result)
    assert "+dbPath: /var/lib/mongodb" in result["said"]
    assert "hunter" not in result["said"]
    assert (place / "a.conf").read_text() == "dbPath: /var/lib/mongodb\npassword: hunter2\n"
    assert Path(result["aside"]).read_text() == "dbPath: /nowhere\npassword: hunter3\n"


@root_only
@pytest.mark.parametrize("pipelining", [True, False])
def test_declared_content_is_written_and_shown_nowhere(place: Path, pipelining: bool) -> None:
    options = {"service": place.name, "state": "restored", "path": str(place / "a.conf"), "content": "key: swordfish\n"}
    result = play(place, "service_baseline", options, "--diff", "-vvv", pipelining=pipelining)
    assert (place / "a.conf").read_text() == "key: swordfish\n"
    assert result["changed"] is True
    assert "swordfish" not in json.dumps(compared(result))
    record = place / "records" / "record.jsonl"
    assert "a.conf" in record.read_text()
    assert "swordfish" not in record.read_text()


@pytest.mark.parametrize("pipelining", [True, False])
def test_evidence_is_kept_on_the_controller(place: Path, pipelining: bool) -> None:
    (place / "app.log").write_text("token=hunter2\n한국어\n")
    options = {"service": "app", "logs": [str(place / "app.log")], "commands": [["false"]], "limit": "1MB"}
    predicted = play(place, "evidence_collect", options, "--check", pipelining=pipelining)
    folder = place / "evidence" / place.name / "localhost"
    assert not folder.parent.exists()
    result = play(place, "evidence_collect", options, pipelining=pipelining)
    assert predicted["directory"] == result["directory"] == str(folder)
    assert set(predicted) - {"said"} == set(result) - {"said", "ansible_facts"}
    assert (result["changed"], [one["name"] for one in result["omitted"]][-1]) == (False, "command-false.txt")
    log = next(file["name"] for file in result["files"] if file["name"].startswith("log-"))
    assert (folder / log).read_text() == "token=***\n한국어\n"
    assert {path.name for path in folder.iterdir()} == {file["name"] for file in result["files"]} | {"manifest.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sum(file["bytes"] for file in result["files"]) <= 1048576
    assert play(place, "evidence_collect", options, pipelining=pipelining)["directory"] == f"{folder}-2"


def test_evidence_that_cannot_be_kept_is_not_collected(place: Path) -> None:
    options = {"service": "app", "directory": str(place / "a.conf" / "x"), "commands": [["touch", str(place / "ran")]]}
    result = play(place, "evidence_collect", options)
    assert result["failed"] is True
    assert str(place / "a.conf") in result["msg"]
    assert not (place / "ran").exists()
