# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback in real runs over a few hosts of this machine: a fleet's summary, its file, its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.plugin_utils import retyped

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ("a1", "a2", "a3", "a4")
FILE = {"kind": "file", "path": "/etc/x", "aside": None}


def conclude(outcome: str, **facts: t.Any) -> dict:
    base = {"target": "{{ inventory_hostname }}", "outcome": outcome, "message": "said", "next_step": ""}
    return {"name": "Conclude", "ops.runbook.run_record": {"phase": "job", "facts": {**base, **facts}}}


def fleet(*tasks: dict, hosts: str = "all", **play: t.Any) -> dict:
    variables = {"ops_runbook_name": "tune_made_up", "ops_runbook_fleet": True, **play.pop("vars", {})}
    return {"name": "P", "hosts": hosts, "gather_facts": False, "vars": variables, "tasks": list(tasks), **play}


LOOK = fleet(conclude("untouched"))


@dataclass
class Done:
    code: int
    text: str
    lines: dict[str, str]
    """The summary's lines by their label."""
    document: dict[str, t.Any]


class Playbook:
    """A playbook and an inventory of local hosts; a1 and the others differ only by name."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "summary.json"

    def start(self, plays: list[dict], *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        (self.folder / "tune.yml").write_text(yaml.safe_dump(plays))
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        gone = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
        hosts = {**dict.fromkeys(HOSTS), "gone": gone}
        groups = {"all": {"hosts": hosts, "vars": local, "children": {"few": {"hosts": dict.fromkeys(HOSTS)}}}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(groups))
        environment = {
            **os.environ,
            "OPS_RUNBOOK_RECORDS": str(self.folder / "records"),
            "OPS_RUNBOOK_SUMMARY": str(self.file),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            **env,
        }
        environment.pop("OPS_RUNBOOK_RUN_ID", None)
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.folder / "hosts.yml")]
        with (self.folder / "said").open("w") as said:  # no pipe: what a task left behind would keep it open
            return subprocess.Popen(
                [*command, str(self.folder / "tune.yml"), *arguments],
                cwd=ROOT,
                env=environment,
                stdout=said,
                stderr=said,
            )

    def end(self, child: subprocess.Popen[bytes]) -> Done:
        child.wait(60)
        text = (self.folder / "said").read_text()
        block = text[text.find("\ntune_made_up ") + 1 :].splitlines()
        rows = [re.match(r"(next step|internal error|\S+)? +(.*)", line) for line in block]
        lines = {row[1]: row[2] for row in rows if row}
        document = json.loads(self.file.read_text()) if self.file.exists() else {}
        return Done(child.returncode, text, lines, document)

    def run(self, *plays: dict, arguments: t.Sequence[str] = (), **env: str) -> Done:
        return self.end(self.start(list(plays), *arguments, **env))


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    return Playbook(tmp_path)


def test_a_fleet_is_summed_up_and_the_later_outcome_wins(playbook: Playbook) -> None:
    keys = {"vm.swappiness": {"before": "60", "wanted": "10", "after": "10", "status": "applied", "note": ""}}
    done = playbook.run(
        LOOK, fleet(conclude("done", keys=keys, seconds={"act": 1.5}), hosts="few"), arguments=["--limit", "few"]
    )
    assert done.code == 0, done.text
    assert done.lines["tune_made_up"].startswith("4 hosts in ")
    assert done.lines["done"] == "4 hosts: a1, a2, a3, a4"
    assert done.lines["values"] == "1 key: 1 applied"
    assert done.lines["next step"] == "none"
    assert "untouched" not in done.lines
    assert "a1         DONE" not in done.text, "no block a host"
    document = done.document
    assert (document["schema"], document["name"], document["exit_code"]) == (
        "ops.runbook/summary/1",
        "tune_made_up",
        0,
    )
    assert document["run"] in done.text
    assert document["outcomes"]["a1"]["summary"]["keys"] == keys
    assert document["fleet"]["document"]["outcomes"] == {"done": list(HOSTS)}
    assert document["fleet"]["lines"][0] in done.text
    assert playbook.file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in playbook.folder.iterdir() if "summary" in path.name] == ["summary.json"]


def test_an_unreachable_host_and_a_refusal_and_how_to_go_on(playbook: Playbook) -> None:
    refuse = conclude("{{ 'refused' if inventory_hostname == 'a2' else 'done' }}", next_step="ask")
    reach = {"name": "Reach it", "ansible.builtin.raw": "true"}
    done = playbook.run(LOOK, fleet(reach, refuse), arguments=["-e", "api_token=hunter2", "--limit=all"])
    assert done.code == 7, done.text
    assert done.lines["done"] == "3 hosts: a1, a3, a4"
    assert done.lines["refused"] == "1 host: a2; said"
    assert done.lines["unreachable"].startswith("1 host: gone; ")
    assert done.lines["next step"].startswith("ask ; ansible-playbook -i ")
    assert done.lines["next step"].endswith("tune.yml -e 'api_token=***' --limit a2,gone")
    assert done.document["fleet"]["document"]["exit_code"] == 7


def test_a_stopped_run_leaves_the_rest_untouched(playbook: Playbook) -> None:
    fail = conclude("{{ 'failed' if inventory_hostname == 'a1' else 'done' }}")
    plays = [LOOK, fleet(fail, hosts="few", serial=[1, "100%"], max_fail_percentage=0)]
    done = playbook.run(*plays, arguments=["--limit", "few"])
    assert done.code == 5, done.text
    assert done.lines["untouched"].startswith("3 hosts: a2, a3, a4")
    assert done.lines["failed"] == "1 host: a1; said"


def test_hosts_that_the_run_never_came_to_are_counted(playbook: Playbook) -> None:
    fail = {"name": "Fail", "ansible.builtin.fail": {"msg": "KeyError"}}
    done = playbook.run(fleet(fail, hosts="few", serial=1))
    assert done.code == 1, done.text
    assert done.lines["untouched"].startswith("3 hosts: a2, a3, a4; ")
    assert done.lines["internal error"] == "1 host: a1; KeyError"


def test_a_rescued_failure_does_not_count_and_a_later_one_does(playbook: Playbook) -> None:
    fail = {"name": "Fail", "ansible.builtin.fail": {"msg": "boom"}}
    rescued = {"block": [fail], "rescue": [conclude("done")]}
    late = {**fail, "when": "inventory_hostname == 'a3'"}
    done = playbook.run(fleet(rescued, late, hosts="few"))
    assert done.code == 1, done.text
    assert done.lines["done"] == "3 hosts: a1, a2, a4"
    assert done.lines["internal error"] == "1 host: a3; boom"


def test_a_failure_after_an_outcome_is_told_without_a_fleet_too(playbook: Playbook) -> None:
    fail = {"name": "Fail", "ansible.builtin.fail": {"msg": "boom"}}
    plain = fleet(conclude("done"), fail, hosts="a1", vars={"ops_runbook_fleet": False})
    done = playbook.run(plain)
    assert done.code == 1, done.text
    assert "a1         DONE" in done.text
    assert "a1         INTERNAL ERROR\nwhy        boom\n" in done.text
    assert done.document["fleet"] is None


def test_few_hosts_are_no_fleet_where_the_play_says_from_how_many_on_they_are(playbook: Playbook) -> None:
    few = playbook.run(fleet(conclude("done"), hosts="few", vars={"ops_runbook_fleet": 5}))
    assert "a1         DONE" in few.text
    assert (few.code, few.document["fleet"]) == (0, None)
    many = playbook.run(fleet(conclude("done"), hosts="few", vars={"ops_runbook_fleet": 4}))
    assert many.lines["done"] == "4 hosts: a1, a2, a3, a4"
    fail = {"name": "Fail", "ansible.builtin.fail": {"msg": "boom"}, "when": "inventory_hostname == 'a1'"}
    batches = fleet(fail, conclude("done"), hosts="few", vars={"ops_runbook_fleet": 5}, serial=1, max_fail_percentage=0)
    stopped = playbook.run(batches)
    assert stopped.lines["untouched"].startswith("3 hosts: a2, a3, a4"), "what was not reached is told of a fleet only"


def test_a_job_of_several_calls_is_concluded_from_their_answers(playbook: Playbook) -> None:
    facts = {"target": "{{ inventory_hostname }}", "nothing": "none named", "results": "{{ said }}"}
    end = {"name": "Conclude", "ops.runbook.run_record": {"phase": "job", "facts": facts}}
    results = [{"changed": False, "message": "as wanted", "findings": []}]
    done = playbook.run(fleet(end, hosts="few", vars={"said": results}))
    assert (done.code, done.lines["healthy"]) == (0, "4 hosts: a1, a2, a3, a4")
    done = playbook.run(fleet(end, hosts="few", vars={"said": []}))
    assert (done.code, done.lines["refused"]) == (7, "4 hosts: a1, a2, a3, a4; none named")


@pytest.mark.parametrize("by", ["variable of the play", "-e"])
def test_the_table_of_values_on_request(by: str, playbook: Playbook) -> None:
    keys = {"vm.swappiness": {"before": "60", "wanted": "10", "after": "10", "status": "applied", "note": ""}}
    extra = {"vars": {"ops_runbook_values": True}} if by != "-e" else {}
    arguments = ["-e", "ops_runbook_values=true"] if by == "-e" else []
    done = playbook.run(fleet(conclude("done", keys=keys), hosts="few", **extra), arguments=arguments)
    assert "\n\nHOST  vm.swappiness\na1    10\na2    10\n" in done.text
    assert "HOST" not in playbook.run(fleet(conclude("done", keys=keys), hosts="few")).text


def test_a_play_without_hosts_is_no_refusal_unless_there_are_none_at_all(playbook: Playbook) -> None:
    empty = "{{ groups['nobody'] | default([]) }}"
    done = playbook.run(fleet(conclude("healthy"), hosts="few"), fleet(conclude("done"), hosts=empty))
    assert done.code == 0, done.text
    assert done.lines["healthy"] == "4 hosts: a1, a2, a3, a4"
    done = playbook.run(fleet(conclude("done"), hosts=empty), fleet(conclude("healthy"), hosts="few"))
    assert (done.code, done.lines["healthy"]) == (0, "4 hosts: a1, a2, a3, a4"), done.text
    nobody = playbook.run(fleet(conclude("done"), hosts=empty))
    assert (nobody.code, "REFUSED: no host of the inventory matches" in nobody.text) == (7, True), nobody.text


def test_an_interrupted_run_is_summed_up(playbook: Playbook) -> None:
    wait = {"name": "Wait", "ansible.builtin.raw": f"touch {playbook.folder}/at_work; sleep 20"}
    child = playbook.start([LOOK, fleet(wait, conclude("done"), hosts="few", serial=1)], "--limit", "few")
    while not (playbook.folder / "at_work").exists() and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    done = playbook.end(child)
    assert done.code == 99, done.text
    assert done.lines["tune_made_up"].startswith("INTERRUPTED: 4 hosts in ")
    assert done.lines["unfinished"].startswith("1 host: a1; ")
    assert done.lines["untouched"].startswith("3 hosts: a2, a3, a4; ")
    assert done.document["fleet"]["document"]["interrupted"] is True


def test_a_summary_that_cannot_be_written_does_not_spoil_the_run(playbook: Playbook) -> None:
    done = playbook.run(fleet(conclude("done"), hosts="a1"), OPS_RUNBOOK_SUMMARY=str(playbook.folder / "no" / "x"))
    assert done.code == 0
    assert "the summary cannot be written to" in done.text
    assert done.lines["done"] == "1 host: a1"


def test_a_file_that_somebody_put_there_is_replaced_and_not_followed(playbook: Playbook) -> None:
    (playbook.folder / "theirs").write_text("kept")
    playbook.file.symlink_to(playbook.folder / "theirs")
    done = playbook.run(fleet(conclude("done"), hosts="a1"))
    assert done.document["exit_code"] == 0
    assert not playbook.file.is_symlink()
    assert (playbook.folder / "theirs").read_text() == "kept"


@pytest.mark.parametrize(
    ("words", "limit", "again", "undo"),
    [
        ("-i lab p/tune.yml", None, "-i lab p/tune.yml", "-i lab p/undo.yml"),
        ("p/tune.yml -l db1 -K", "db1", "p/tune.yml -K", "p/undo.yml"),
        ("p/tune.yml --limit=a,b -ia -i b", "a,b", "p/tune.yml -ia -i b", "-i a -i b p/undo.yml"),
        ("-lx p/tune.yml --limit y", "y", "p/tune.yml", "p/undo.yml"),
        (
            "--inventory=x p/tune.yml -e db_password=pw1",
            None,
            "--inventory=x p/tune.yml -e db_password=***",
            "-i x p/undo.yml",
        ),
        ("p/tune.yml --limit", "", "p/tune.yml", "p/undo.yml"),
    ],
)
def test_how_a_plain_run_is_typed_again(words: str, limit: str | None, again: str, undo: str) -> None:
    said = retyped.commands(["/usr/bin/ansible-playbook", *words.split()], "p/tune.yml", "R")
    assert said == {
        "again": ["ansible-playbook", *again.split()],
        "limit": limit,
        "undo": ["ansible-playbook", *undo.split(), "-e", "undo_run=R"],
    }
