# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook history`: runs newest first, one run in words, and whether the record is whole; on records as written."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import record, record_chain
from cli_project import Cli
from tests.support import tampering

from runbook_cli import verify
from runbook_cli.answer import Answer

ROOT = str(Path(__file__).resolve().parents[3])
FILE = {"kind": "file", "path": "/etc/x", "aside": None}


def act(cli: Cli, run: str, *hosts: str, outcome: str | None = "done", of: str | None = None, **more: object) -> None:
    """What a changing run writes; outcome None: it broke off after its act."""
    module, check = "change_undo" if of else "sysctl_profile", bool(more.get("check"))
    arguments = {"run": of} if of else {"name": "x", "lease": "", "run_id": run}
    for host in hosts:
        record.append(cli.records, run, host, "intent", {"module": module, "arguments": arguments, "check": check})
        change = {"object": "net.x", "before": "1", "after": "2"}
        said = {"changed": True, "changes": [change], "undo": FILE, "message": "net.x was set", "check": check}
        record.append(cli.records, run, host, "acted", {"module": module, **said})
        if outcome:
            told = {"outcome": outcome, "message": "all set", "check": check, "next_step": "", "incident": None}
            record.append(cli.records, run, host, "job", told)


def incident(cli: Cli, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run of the lifecycle writes."""
    monkeypatch.setenv("OPS_RUNBOOK_INCIDENT", "INC-7")
    checks = {"unit": {"status": "critical", "summary": "x failed"}, "disk": {"status": "ok", "summary": "room"}}
    chosen = {"cause": "killed", "why": "It was killed.", "remedy": "start_it"}
    for phase, entry in (
        ("looked", {"document": {"status": "critical", "checks": checks}, "seconds": 0.5}),
        ("leased", {"journal": True}),
        ("evidence", {"directory": "/state/evidence/R/db1", "omitted": []}),
        ("decided", {"diagnosis": {"chosen": chosen}, "allowed": True, "refusals": []}),
        ("verified", {"attempt": {"remedy": "start_it", "stable": True, "stable_seconds": 3.1, "failed": ""}}),
        ("outcome", {"outcome": "remedied", "cause": "killed", "check": False, "next_step": "none"}),
    ):
        record.append(cli.records, run, "db1", phase, entry)
    monkeypatch.delenv("OPS_RUNBOOK_INCIDENT")


def ids(cli: Cli, *arguments: str) -> list[str]:
    done = cli.run("history", *arguments, "--query", "[].run")
    assert done.code == 0, done.err
    return done.data


def test_the_list_is_newest_first_and_says_what_a_run_came_to(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    act(cli, "R1", "f1", "f2")
    incident(cli, "R2", monkeypatch)
    act(cli, "R3", "f1", outcome=None)
    act(cli, "R4", "f1", check=True, outcome="predicted")
    act(cli, "R5", "f1", "f2", of="R1")
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in cli.run("history").out.splitlines()]
    assert rows[0] == ["RUN", "WHEN (UTC)", "WHAT", "HOSTS", "OUTCOME", "CHANGED", "INCIDENT", "UNDONE BY"]
    assert [[row[0], *row[3:]] for row in rows[1:]] == [
        ["R5", "f1, f2", "2 done", "yes", "-", "-"],
        ["R4", "f1", "predicted", "no", "-", "-"],
        ["R3", "f1", "no end", "yes", "-", "-"],
        ["R2", "db1", "remedied", "no", "INC-7", "-"],
        ["R1", "f1, f2", "2 done", "yes", "-", "R5"],
    ]
    assert rows[1][2].endswith(" of R1")
    assert rows[2][2].endswith(" (check)")
    document = cli.run("history", "--format", "json").data[-1]
    assert (document["outcomes"], document["changed"], document["undone_by"]) == (
        {"f1": "done", "f2": "done"},
        ["f1", "f2"],
        {"R5": 2},
    )
    assert document["by"].count("@") == 1


def test_the_list_can_be_narrowed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(23):
        act(cli, f"R{number}", "f1" if number % 2 else "f2")
    incident(cli, "I1", monkeypatch)
    assert len(ids(cli)) == 20
    assert "and 4 more: --last 24" in cli.run("history").out
    assert ids(cli, "--last", "2") == ["I1", "R22"]
    assert ids(cli, "--last", "99", "--host", "f2") == [f"R{number}" for number in range(22, -1, -2)]
    assert ids(cli, "--incident", "INC-7") == ["I1"]
    assert len(ids(cli, "--since", "1h", "--last", "99")) == 24
    assert ids(cli, "--since", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))) == []
    assert "No such run" in cli.run("history", "--host", "nowhere").out


def test_the_order_is_that_of_the_lines_whatever_the_clock_says(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    for run, at in (("R1", now), ("R2", now - 86400), ("R3", now - 3600)):
        with monkeypatch.context() as clock:
            clock.setattr(record.time, "time", lambda at=at: at)
            act(cli, run, "f1")
    assert ids(cli) == ["R3", "R2", "R1"]


def test_one_run_in_words(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    act(cli, "R1", "f1")
    incident(cli, "R2", monkeypatch)
    lines = cli.run("history", "last").out.splitlines()
    about = dict(line.split(maxsplit=1) for line in lines[: lines.index("")] if not line.startswith("undone"))
    assert about["run"].startswith("R2, ")
    assert (about["outcome"], about["incident"], about["changed"]) == ("remedied", "INC-7", "no")
    told = [line.split(maxsplit=2)[1:] for line in lines[lines.index("") + 1 :]]
    assert [line[0] for line in told] == ["db1"] * 6
    assert [line[1].split(maxsplit=1) for line in told] == [
        ["looked", "critical: unit: x failed"],
        ["leased", "the lease is held; from here on nobody else acts"],
        ["evidence", "kept in /state/evidence/R/db1"],
        ["decided", "killed: It was killed. Remedy start_it: allowed"],
        ["verified", "start_it: stable for 3.1 s"],
        ["outcome", "REMEDIED; killed; next step: none"],
    ]
    text = cli.run("history", "R1").out
    assert "intent  sysctl_profile name=x" in text
    assert "acted   sysctl_profile: changed; net.x was set; net.x: 1 -> 2" in text
    assert "job     DONE; all set" in text
    document = cli.run("history", "R1", "--format", "json").data
    assert [line["phase"] for line in document["lines"]] == ["intent", "acted", "job"]


def test_a_run_that_is_not_there(cli: Cli) -> None:
    done = cli.run("history", "R9")
    assert done.code == 2
    assert "There are no runs in it" in done.err
    act(cli, "20260105T020007Z-3fa9c1", "f1")
    act(cli, "20260105T030007Z-ffffff", "f1")
    done = cli.run("history", "20260105T020007Z-3fa9c2")
    assert (done.code, done.out) == (2, "")
    assert "Did you mean 20260105T020007Z-3fa9c1? The last ones are 20260105T030007Z-ffffff, 2026" in done.err


def test_a_record_of_a_newer_version_is_said_to_be_one(cli: Cli) -> None:
    act(cli, "R1", "f1")
    file = cli.records / record.NAME
    file.write_bytes(file.read_bytes().replace(b'"version":1', b'"version":9'))
    for arguments in (("history",), ("history", "R1"), ("undo", "--list")):
        done = cli.run(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "the record is of a newer version (9, this one knows 1). Use that version" in done.err


def test_lines_that_are_not_whole_do_not_keep_it_from_telling_the_others(cli: Cli) -> None:
    act(cli, "R1", "f1")
    with (cli.records / record.NAME).open("ab") as stream:
        stream.write(b'null\n{"run":7}\n\xff\xfe\n{"seq":4,"prev')
    assert ids(cli) == ["R1"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--since", "yesterday"), "'yesterday' is no time. Write a date or time such as 2026-01-05"),
        (("--last", "0"), "0 is not in the range"),
        (("-i", "inventories/few.yml"), "Add --verify, or choose with --host HOST"),
        (("--verify", "R1"), "Leave RUN, --last, --host and --since out"),
        (("--verify", "--last", "3"), "Leave RUN, --last, --host and --since out"),
    ],
)
def test_what_is_refused(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    done = cli.run("history", *arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


# ---- whether it is whole


def test_a_whole_record_verifies(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.run("history", "--verify", "--project", ROOT).code == 0
    assert "record_chain.py: is missing. Give --project" in cli.run("history", "--verify").err
    act(cli, "R1", "f1")
    incident(cli, "R2", monkeypatch)
    before = {path.name: path.read_bytes() for path in cli.records.iterdir()}
    done = cli.run("history", "--verify", "--project", ROOT)
    assert done.code == 0
    assert "9 lines whole, each follows the one before it" in done.out
    assert "not compared with the journals of db1" in done.out
    assert {path.name: path.read_bytes() for path in cli.records.iterdir()} == before


def test_a_damaged_one_says_where_and_what_to_do(cli: Cli) -> None:
    act(cli, "R1", "f1", "f2")
    lines = tampering.read(cli.records)
    tampering.write(cli.records, [lines[0].replace(b"sysctl", b"syscti"), *lines[1:]])
    done = cli.run("history", "--verify", "--project", ROOT)
    assert done.code == 8
    assert "is NOT WHOLE: line 2 does not follow line 1: one of the two was edited (run R1, f1)." in done.out
    assert "mv record.jsonl record.jsonl.damaged; mv record.head record.head.damaged" in done.out
    document = cli.run("history", "--verify", "--project", ROOT, "--format", "json")
    assert (document.code, document.data["problem"]["line"], document.data["lines"]) == (8, 2, 1)
    tampering.write(cli.records, lines[:-1])
    assert "its end was cut: line 6 is gone" in cli.run("history", "--verify", "--project", ROOT).out


def test_what_hosts_say_is_joined_to_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    incident(cli, "R2", monkeypatch)
    alone = verify.verify(Path(ROOT), cli.records)
    target = {"host": "db1", "outcome": "escalated"}
    run = Answer({"targets": [target], "stopped": None}, "db1 ESCALATED", 8)
    found = verify.joined(alone, run)
    assert (found.code, found.data["hosts"], found.data["not_compared"]) == (8, [target], [])
    assert found.text.endswith("\n\ndb1 ESCALATED")
    other = verify.joined(alone, Answer({"targets": [{**target, "host": "db2"}], "stopped": None}, "", 0))
    assert (other.code, other.data["not_compared"]) == (0, ["db1"])
    stopped = verify.joined(alone, Answer({"targets": [], "stopped": "timed_out"}, "", 124))
    assert stopped.code == 124


def test_the_chains_code_stands_alone() -> None:
    """The command line loads that one file by its path: it may import nothing but the standard library."""
    text = Path(record_chain.__file__).read_text()
    assert "from ." not in text
    assert "ansible" not in text.replace("ansible_collections", "")
    assert json.dumps(sorted(verify._chain(Path(ROOT)).Chain._fields)) == json.dumps(["links", "notes", "problem"])
