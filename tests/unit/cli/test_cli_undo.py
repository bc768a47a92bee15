# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook undo`: which runs can be undone, where, and what is refused; on records as the collection writes them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import record
from cli_project import Cli

from runbook_cli.history import find, history

FEW = ("-i", "inventories/few.yml")
FILE = {"kind": "file", "path": "/etc/x", "aside": None}
GONE = {"kind": "none", "reason": "the process that was replaced is gone"}


class Records:
    """Writes what LightAction writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def act(
        self,
        run: str,
        *hosts: str,
        module: str = "sysctl_profile",
        undo: dict | None = FILE,
        of: str | None = None,
        check: bool = False,
        failed: bool = False,
    ) -> None:
        arguments = {"run": of, "run_id": run} if of else {"name": "x", "run_id": run}
        for host in hosts:
            record.append(self.folder, run, host, "intent", {"module": module, "arguments": arguments, "check": check})
            said = {"changed": bool(undo), "changes": [], "undo": undo or {"kind": "none", "reason": "nothing"}}
            said |= {"failed": True, "msg": "x"} if failed else {"message": "m"}
            record.append(self.folder, run, host, "acted", {"module": module, "check": check, **said})

    def undo(self, run: str, of: str, *hosts: str, **how: object) -> None:
        self.act(run, *hosts, module="change_undo", of=of, **how)


@pytest.fixture
def records(cli: Cli) -> Records:
    return Records(cli.records)


def seen(cli: Cli, *arguments: str) -> tuple[int, dict[str, dict]]:
    """(exit code, what each host's play saw)."""
    done = cli.run("undo", *arguments, *FEW, "--format", "json")
    return done.code, {target["host"]: target["summary"]["seen"] for target in done.data["targets"]}


def test_only_the_hosts_that_the_run_changed_are_gone_to(cli: Cli, records: Records) -> None:
    records.act("R1", "f1", "f2")
    records.act("R1", "f3", check=True)
    records.act("R1", "f4", undo=None)
    records.act("R2", "f5")
    code, hosts = seen(cli, "R1")
    assert (code, list(hosts)) == (0, ["f1", "f2"])
    assert hosts["f1"] == {"run": "R1", "approved": False, "check": False}
    code, hosts = seen(cli, "R1", "--limit", "f2,f3", "--check", "--approve", "undo")
    assert list(hosts) == ["f2"]
    assert hosts["f2"] == {"run": "R1", "approved": True, "check": True}


def test_the_result_is_shown_like_that_of_any_run(cli: Cli, records: Records) -> None:
    records.act("R1", "f1", "f2")
    done = cli.run("undo", "R1", *FEW, "--incident", "INC-1")
    assert (done.code, done.out.splitlines()[:3]) == (0, ["f1 DONE", "", "f2 DONE"])
    assert "(run): undo on f1, f2" in done.err
    done = cli.run("undo", "R1", *FEW, "-e", "wanted=refused", "--query", "[playbook, limit, hosts, exit_code]")
    assert (done.code, done.data) == (7, ["undo", None, ["f1", "f2"], 7])


def test_last_is_the_latest_that_is_not_undone_and_no_undo(cli: Cli, records: Records) -> None:
    records.act("R1", "f1")
    records.act("R2", "f2", "f3")
    records.act("R3", "f2", undo=GONE)
    records.act("R4", "f2", check=True)
    assert seen(cli, "last")[1]["f2"]["run"] == "R2"
    records.undo("R5", "R2", "f2", "f3")
    assert seen(cli, "last")[1]["f1"]["run"] == "R1"
    records.undo("R6", "R1", "f1")
    done = cli.run("undo", "last", *FEW)
    assert (done.code, done.out) == (2, "")
    assert "there is no run that could be undone. See 'runbook undo --list'." in done.err


def test_an_undo_that_was_undone_counts_no_more(records: Records) -> None:
    records.act("R1", "f1", "f2")
    records.undo("R2", "R1", "f1", "f2")
    records.undo("R3", "R2", "f2")
    runs = {run.id: run for run in history(records.folder)}
    assert runs["R1"].undone == {"f1": "R2"}
    assert runs["R2"].undone == {"f2": "R3"}
    assert (runs["R3"].undoes, find(records.folder, "last").id) == ("R2", "R1")
    records.undo("R4", "R3", "f2")
    assert history(records.folder)[0].undone == {"f1": "R2", "f2": "R2"}


def test_an_undo_that_failed_or_was_a_prediction_counts_not(records: Records) -> None:
    records.act("R1", "f1", "f2")
    records.undo("R2", "R1", "f1", failed=True)
    records.undo("R3", "R1", "f2", check=True)
    assert history(records.folder)[0].undone == {}


def test_where_a_run_broke_off_is_gone_to_as_well(cli: Cli, records: Records) -> None:
    records.act("R1", "f1")
    records.act("R1", "f2")
    for host, phase, said in (
        ("f2", "intent", {"module": "resource_limits", "arguments": {}, "check": False}),
        ("f3", "intent", {"module": "resource_limits", "arguments": {}, "check": False}),
        ("f3", "acted", {"module": "resource_limits", "check": False, "unreachable": True, "msg": "lost"}),
        ("f7", "acted", {"module": "resource_limits", "check": False, "unreachable": True, "reached": False}),
        ("f4", "intent", {"module": "resource_limits", "arguments": {}, "check": False}),
        ("f4", "intent", {"module": "sysctl_profile", "arguments": {}, "check": False}),
        ("f4", "acted", {"module": "sysctl_profile", "check": False, "changed": False, "changes": []}),
        ("f5", "intent", {"module": "resource_limits", "arguments": {}, "check": True}),
        (
            "f6",
            "acted",
            {"module": "resource_limits", "check": False, "failed": True, "msg": "The target did not answer (1)"},
        ),
        ("f0", "acted", {"module": "resource_limits", "check": False, "failed": True, "msg": "x: is odd"}),
    ):
        record.append(records.folder, "R1", host, phase, said)
    (run,) = history(records.folder)
    assert (run.hosts, sorted(run.unknown)) == (["f1", "f2"], ["f2", "f3", "f4", "f6"])
    assert list(seen(cli, "last")[1]) == ["f1", "f2", "f3", "f4", "f6"]
    assert "f1, f2; not known: " in cli.run("undo", "--list").out


def test_the_list(cli: Cli, records: Records) -> None:
    records.act("R1", "f1", "f2", "f3", "f4", "f5", "f6")
    records.act("R1", "f1", module="resource_limits", undo={"kind": "steps", "steps": [FILE, GONE]})
    records.act("R2", "f1", undo=GONE)
    records.undo("R3", "R1", "f1", "f2")
    done = cli.run("undo", "--list")
    assert done.code == 0
    rows = [line.split("  ") for line in done.out.splitlines()]
    cells = [[cell.strip() for cell in row if cell] for row in rows]
    assert cells[0] == ["RUN", "WHEN (UTC)", "WHAT", "HOSTS", "UNDONE BY"]
    assert [cells[1][0], *cells[1][2:]] == ["R3", "undo of R1", "f1, f2", "-"]
    assert [cells[2][0], *cells[2][2:]] == [
        "R1",
        "sysctl_profile, resource_limits",
        "f1, f2, f3, f4, f5 and 1 more",
        "R3 (2 of 6 hosts)",
    ]
    assert len(cells) == 3
    assert cells[1][1].startswith("20")
    listed = cli.run("undo", "--list", "--format", "json").data
    assert [run["run"] for run in listed] == ["R3", "R1"]
    assert listed[1]["undone_by"] == {"R3": 2}
    assert listed[1]["not_undone"] == [{"reason": GONE["reason"], "hosts": ["f1"]}]
    assert cli.run("undo", "--list", "--query", "[?undoes=='R1'].run").data == ["R3"]


def test_the_list_of_no_record(cli: Cli) -> None:
    done = cli.run("undo", "--list")
    assert (done.code, done.out) == (0, "No run in the record can be undone.\n")
    assert not cli.records.exists(), "only looked"


def test_an_unknown_run_is_refused_with_the_last_five(cli: Cli, records: Records) -> None:
    for number in range(7):
        records.act(f"R{number}", "f1", "f2")
    done = cli.run("undo", "R99", *FEW)
    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    assert lines[0] == (
        f"runbook: {records.folder}/record.jsonl: run 'R99' is not in the record. The last ones that can be undone:"
    )
    assert [line.split()[0] for line in lines[1:]] == ["R6", "R5", "R4", "R3", "R2"]
    assert lines[1].endswith("  sysctl_profile  f1, f2")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("undo",), 2, "runbook undo: no run is named. Give its id or 'last'. See 'runbook undo --list'."),
        (("undo", "R1"), 2, "no inventory is given"),
        (("undo", "R0", *FEW), 2, "No run in it can be undone."),
        (("undo", "R1", *FEW, "--approve", "all"), 2, "'all' is not 'undo'"),
        (("undo", "R1", *FEW, "--limit", "f5"), 7, "run R1 changed none of the hosts of --limit f5; it changed f1, f9"),
        (("undo", "R1", *FEW), 2, "run R1 also changed f9, and the inventory does not have them. Give an inventory"),
        (("undo", "R1", *FEW, "--limit", ","), 7, "names no host"),
        (("undo", "R1", *FEW, "-e", "undo_run=R2"), 2, "undo_run is what the command itself decides"),
        (
            ("undo", "STUCK", *FEW),
            7,
            "nothing of run STUCK can be put back: the process that was replaced is gone (f1)",
        ),
    ],
)
def test_what_is_refused(cli: Cli, records: Records, arguments: tuple[str, ...], code: int, told: str) -> None:
    if "R0" not in arguments:
        records.act("R1", "f1", "f9")
        records.act("STUCK", "f1", undo=GONE)
    done = cli.run(*arguments)
    assert (done.code, done.out) == (code, "")
    assert told in done.err


@pytest.mark.parametrize("limit", [(), ("--limit", "f5")])
def test_a_host_that_was_renamed_needs_its_old_name(
    cli: Cli, records: Records, tmp_path: Path, limit: tuple[str, ...]
) -> None:
    records.act("R1", "f1", "f9")
    told = "One that was renamed since needs the name that the record has: an inventory file with the line 'f"
    assert told in cli.run("undo", "R1", *FEW, *limit).err
    (tmp_path / "old.ini").write_text("f9 ansible_connection=local ansible_python_interpreter=/usr/bin/python3\n")
    done = cli.run("undo", "R1", *FEW, "-i", str(tmp_path / "old.ini"), "--format", "json")
    assert (done.code, sorted(target["host"] for target in done.data["targets"])) == (0, ["f1", "f9"])


def test_an_id_that_was_mistyped(cli: Cli, records: Records) -> None:
    records.act("20260105T020007Z-3fa9c1", "f1")
    done = cli.run("undo", "20260105T020007Z-3fa9cl", *FEW)
    assert done.code == 2
    assert "is not in the record. Did you mean 20260105T020007Z-3fa9c1? The last ones" in done.err


def test_a_host_that_is_gone_is_left_out_by_the_limit(cli: Cli, records: Records) -> None:
    records.act("R1", "f1", "f9")
    assert list(seen(cli, "R1", "--limit", "few")[1]) == ["f1"]


def test_a_line_that_is_not_whole_is_passed_over(records: Records) -> None:
    records.act("R1", "f1")
    with (records.folder / "record.jsonl").open("a") as stream:
        stream.write('{"seq": 9, "phase":"acted", torn')
    assert [run.id for run in history(records.folder)] == ["R1"]


def test_a_record_that_is_a_folder(cli: Cli) -> None:
    (cli.records / "record.jsonl").mkdir(parents=True)
    done = cli.run("undo", "--list")
    assert (done.code, "the record cannot be read (Is a directory)" in done.err) == (2, True)


def test_a_long_record_is_read_fast(tmp_path: Path) -> None:
    Records(tmp_path).act("R1", "f1")
    lines = (tmp_path / "record.jsonl").read_text().splitlines()
    acted = json.loads(lines[1])
    acted["entry"]["undo"] = {"kind": "steps", "steps": [FILE] * 40}
    other = json.dumps({**acted, "phase": "looked", "entry": {"text": "x" * 2000}}, separators=(",", ":"))
    with (tmp_path / "record.jsonl").open("w") as stream:
        for run in range(40):
            for host in range(60):
                one = {**acted, "run": f"R{run}", "host": f"h{host}"}
                stream.write(f"{other}\n{other}\n{json.dumps(one, separators=(',', ':'))}\n")
    began = time.process_time()
    runs = history(tmp_path)
    assert time.process_time() - began < 1
    assert (len(runs), len(runs[7].hosts)) == (40, 60)
