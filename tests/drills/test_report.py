# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook report` after a real fault: what it tells is what the run said, and what the host's own clock saw."""

from __future__ import annotations

import json
import typing as t
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support import lab

KILL = "date +%s.%N; systemctl kill --signal=KILL mongod; sleep 1; date +%s.%N"


def report(records: Path, *words: str) -> lab.Ran:
    """The command where neither ssh nor Ansible can be started: it visits no host."""
    nothing = records / "no-programs"
    nothing.mkdir(exist_ok=True)
    argv = [lab.command("runbook"), "report", *words, "--records", str(records)]
    done = lab.run(argv, env={"PATH": str(nothing)})
    assert done.code == 0, done.text
    return done


@pytest.fixture(scope="module")
def cured(hosts: Path) -> t.Iterator[tuple[Path, lab.Json, tuple[float, float]]]:
    """Records, the document of a run that cured a killed server, and between which moments it was killed."""
    lab.on("db1", "systemctl reset-failed mongod; systemctl start mongod")
    well, _document = lab.runbook("run", "recover_mongodb", records=hosts)  # what another drill did before is over
    assert well.code == 0, well.text
    begin, end = (float(word) for word in lab.on("db1", KILL).stdout.split())
    try:
        words = ("--incident", "INC-7", "-e", "remediate_severity=SEV2")
        done, document = lab.runbook("run", "recover_mongodb", *words, records=hosts)
        assert done.code == 0, done.text
        yield hosts, document, (begin, end)
    finally:
        lab.on("db1", "systemctl reset-failed mongod; systemctl start mongod")


def test_the_facts_are_those_of_the_run(cured: tuple[Path, lab.Json, tuple[float, float]]) -> None:
    records, document, killed = cured
    told = json.loads(report(records, document["run_id"], "--format", "json").stdout)
    summary, one = document["targets"][0]["summary"], told["sections"][0]
    assert (told["incident"], told["severity"], told["outcomes"]) == (None, "SEV2", {"remedied": 1})
    assert [cause["cause"] for cause in one["causes"]] == [summary["cause"]]
    assert one["causes"][0]["prevent"]
    assert {check["check"]: check["seen"] for check in one["impact"]["failing"]} == summary["failing"]
    changed = [change["object"] for act in one["acts"] for change in act["changes"]]
    assert changed == [change["object"] for change in summary["changes"]]
    assert one["seconds"] == summary["seconds"]
    assert one["evidence"]["directory"] == summary["evidence"]
    assert {file["state"] for file in one["evidence"]["files"]} == {"as_kept"}
    assert all(check["after"]["status"] in ("ok", "warning") for check in one["proof"]["checks"])
    assert told["record"]["whole"]
    occurred = datetime.fromisoformat(told["times"]["occurred"]["at"]).astimezone(UTC).timestamp()
    assert killed[0] - 0.001 <= occurred <= killed[1]
    assert "SIGKILL" in told["times"]["occurred"]["sign"]
    objective = told["objective"]
    assert (objective["seconds"], objective["from"], objective["took"]) == (60, "occurred", told["times"]["outage"])
    assert objective["met"] is (objective["took"] <= 60)


def test_both_kinds_of_text_tell_them(cured: tuple[Path, lab.Json, tuple[float, float]], tmp_path: Path) -> None:
    records, document, _killed = cured
    report(records, "--incident", "INC-7", "--output", str(tmp_path / "report.html"))
    for text in (
        (tmp_path / "report.html").read_text(),
        report(records, document["run_id"], "--as", "markdown").stdout,
    ):
        for word in (document["run_id"], "killed", "service mongod.service", "What to prevent", "SEV2"):
            assert word in text
        assert f"runbook undo {document['run_id']} -i inventories/lab" in text
        assert "--approve undo" in text
