# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a real run against the journal of a real host: also a chain that was computed anew shows."""

from __future__ import annotations

import random
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import record, record_chain
from tests.support import lab, tampering

HOST = "db1"
Found = tuple[lab.Ran, lab.Json]
HEADS = 4
"""Of two runs that cure: decided, outcome."""


def verify(records: Path) -> Found:
    """`runbook history --verify -i inventories/lab --limit db1`."""
    return lab.runbook("history", "--verify", records=records, host=HOST)


def kill_and_cure(records: Path) -> None:
    """A run that leaves heads in the host's journal."""
    lab.on(HOST, "systemctl kill --signal=KILL mongod; sleep 1")
    patient = ("-e", "remediate_timeout=60", "-e", "mongodb_timeout=20")
    done, document = lab.runbook("run", "recover_mongodb", "--incident", "INC-7", *patient, records=records)
    assert done.code == 0, done.text
    assert document["targets"][0]["outcome"] == "remedied"


@pytest.fixture(scope="module")
def recorded(hosts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of its own with two incidents on one host."""
    records = tmp_path_factory.mktemp("recorded")
    for _ in range(2):
        kill_and_cure(records)
    return records


def test_the_runs_and_what_they_did_can_be_read(recorded: Path) -> None:
    done = lab.run([lab.command("runbook"), "history", "--records", str(recorded)])
    assert done.code == 0, done.text
    assert "recover_mongodb" in done.stdout
    assert done.stdout.count("remedied") == 2
    one = lab.run([lab.command("runbook"), "history", "last", "--records", str(recorded)])
    told = [line.split()[2] for line in one.stdout.partition("\n\n")[2].splitlines()]
    assert told == ["looked", "leased", "evidence", "decided", "intent", "acted", "verified", "outcome"]
    assert "incident   INC-7" in one.stdout


def test_an_untouched_record_agrees_with_the_journal(recorded: Path) -> None:
    before = (recorded / record.NAME).read_bytes()
    done, document = verify(recorded)
    assert done.code == 0, done.text
    summary = document["hosts"][0]["summary"]
    assert (summary["matched"], summary["untold"], summary["problems"]) == (HEADS, 0, [])
    assert document["lines"] == 16
    assert (recorded / record.NAME).read_bytes() == before, "who verifies the record writes nothing into it"


@pytest.mark.parametrize(
    "tamper", [tampering.rewritten, tampering.run_dropped, tampering.cut], ids=lambda one: one.__name__
)
def test_what_was_computed_anew_shows(tamper: tampering.Tamper, recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded, tmp_path / "r")
    luck = random.Random(3)  # noqa: S311 - the same damage in every run
    tampering.write(tmp_path / "r", tamper(tampering.read(recorded), luck), with_end=True)
    alone = lab.run([lab.command("runbook"), "history", "--verify", "--records", str(tmp_path / "r")])
    assert alone.code == 0, "the chain alone has no fault"
    done, document = verify(tmp_path / "r")
    assert done.code == 8, done.text
    target = document["hosts"][0]
    assert target["outcome"] == "escalated"
    assert "the record is not the one that was written" in target["summary"]["message"]
    assert "journalctl -t ops-runbook" in target["summary"]["next_step"]


def test_heads_that_anybody_can_write_are_not_believed(recorded: Path) -> None:
    """journald knows who sent a line: an ordinary user cannot raise an alarm."""
    forged = f"run R1 leased head {'f' * 64} record {identity(recorded)}"
    lab.on(HOST, f"runuser -u mongodb -- logger -t ops-runbook '{forged}'")
    done, document = verify(recorded)
    assert done.code == 0, document
    lab.on(HOST, f"logger -t ops-runbook '{forged}'")
    done, document = verify(recorded)
    assert done.code == 8, document
    assert "run R1, phase leased" in document["hosts"][0]["summary"]["message"]


def identity(records: Path) -> str:
    """What the record is called in a journal."""
    return record_chain.look(records).identity


def test_a_journal_that_was_rotated_away_is_no_alarm(recorded: Path, tell: t.Callable[[str], None]) -> None:
    lab.on(HOST, "sleep 1; journalctl --rotate --vacuum-time=1s; sleep 1; logger -t later something")
    done, document = verify(recorded)
    assert done.code == 0, done.text
    summary = document["hosts"][0]["summary"]
    assert (summary["matched"], summary["untold"]) == (0, HEADS)
    assert f"{HEADS} cannot be told: the journal does not have them any more" in summary["message"]
    tell(f"{summary['message']}")


def test_a_full_disk_stops_the_run_before_it_acts(hosts: Path, tmp_path: Path) -> None:
    """Room for the first look, not for the intent: nothing is started, and no half line is left."""
    records = tmp_path / "full"
    records.mkdir()
    mounted = lab.run([*lab.AS_ROOT, "mount", "-t", "tmpfs", "-o", "size=12k,mode=0777", "tmpfs", str(records)])
    assert mounted.code == 0, mounted.text
    lab.on(HOST, "systemctl kill --signal=KILL mongod; sleep 1")
    try:
        done = lab.run(
            [lab.command("ansible-playbook"), "-i", lab.INVENTORY, "playbooks/recover_mongodb.yml", "--limit", HOST],
            env={"OPS_RUNBOOK_RECORDS": str(records), "XDG_STATE_HOME": str(tmp_path)},
        )
        assert "the record cannot be written: No space left on device" in done.text
        assert done.code in (2, 5), done.text
        assert lab.on(HOST, "systemctl is-active mongod").stdout.strip() == "failed"
        assert record.verify(records)[1] is None
    finally:
        lab.run([*lab.AS_ROOT, "umount", str(records)])
        lab.on(HOST, "rm -f /run/ops-runbook/mongodb.json; systemctl reset-failed mongod; systemctl start mongod")
