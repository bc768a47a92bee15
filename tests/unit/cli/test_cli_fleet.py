# SPDX-License-Identifier: GPL-3.0-or-later
"""A run over many hosts: what it shows on the way and at the end, and what a person types next."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest
from cli_project import Cli
from test_cli_stop import soon

from runbook_cli import answer
from runbook_cli.answer import CliError
from runbook_cli.apart import apart
from runbook_cli.mask import masked_extra
from runbook_cli.outcome import Collector
from runbook_cli.progress import CROWD, Crowd
from runbook_cli.request import Options, Undo, retype
from runbook_cli.view import run_text

FEW = ("run", "fleet", "-i", "inventories/few.yml")
CALLBACK = '''\
import json, os
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """As ops.runbook.summary leaves it; that one is tested with the collection."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "ops.runbook.summary"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats):
        say = os.environ["SAY"]
        fleet = {"lines": ["fleet       7 hosts", "token       " + say], "document": {"hosts": 7, "said": say}}
        text = json.dumps({"schema": "x", "fleet": fleet})
        with open(os.environ["OPS_RUNBOOK_SUMMARY"], "w") as stream:
            stream.write(text if say != "torn" else text[:20])
'''


@pytest.fixture
def summary(cli: Cli, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project that has a callback which leaves a summary."""
    root = tmp_path / "with_callback"
    shutil.copytree(project, root)
    folder = root / "collections/ansible_collections/ops/runbook/plugins/callback"
    folder.mkdir()
    (folder / "summary.py").write_text(CALLBACK)
    (root / "ansible.cfg").write_text(
        (root / "ansible.cfg").read_text().replace("[conn", "callbacks_enabled = ops.runbook.summary\n[conn")
    )
    monkeypatch.chdir(root)
    return root


def test_the_lines_and_the_document_of_the_callback_are_shown(
    cli: Cli, summary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAY", "tell s3cr3t-value")
    done = cli.run(*FEW, "-e", "api_token=s3cr3t-value")
    assert (done.code, done.out) == (7, "fleet       7 hosts\ntoken       tell ********\n")
    done = cli.run(*FEW, "-e", "api_token=s3cr3t-value", "--format", "json")
    assert done.data["fleet"] == {"hosts": 7, "said": "tell ********"}
    assert [(target["host"], target["outcome"]) for target in done.data["targets"]] == [
        (f"f{n}", "refused" if n == 3 else "done") for n in range(7)
    ]
    assert "s3cr3t" not in done.out


def test_a_summary_that_is_not_whole_is_none(cli: Cli, summary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAY", "torn")
    done = cli.run(*FEW)
    assert (done.code, done.out.splitlines()[0]) == (7, "f0 DONE")


def test_a_run_that_ansible_broke_off_is_a_bug_and_says_why(cli: Cli) -> None:
    done = cli.run("run", "breaks", "-i", "inventories/few.yml", "--limit", "f0,f1", "--format", "json")
    assert (done.code, [target["outcome"] for target in done.data["targets"]]) == (1, ["unfinished", "unfinished"])
    assert "nobody_said" in done.data["targets"][0]["message"]
    text = run_text({**done.data, "fleet": {"interrupted": True}}, ["one", "two"])
    assert text == f"one\ntwo\n\nAnsible broke off: {done.data['targets'][0]['message']}"
    assert run_text({**done.data, "fleet": {"interrupted": False}}, ["one"]) == "one"


def test_without_a_summary_the_events_tell(cli: Cli) -> None:
    done = cli.run(*FEW, "--format", "json")
    assert (done.code, done.data["fleet"]) == (7, None)
    assert [target["outcome"] for target in done.data["targets"]].count("done") == 6


def test_a_fleet_that_is_interrupted_is_told_by_outcome(cli: Cli, project: Path, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(
        (project / "inventories/few.yml").read_text().replace("f6: }", ", ".join(f"f{n}: " for n in range(6, 20)) + "}")
    )
    child = cli.spawn("run", "fleet", "-i", str(hosts), "-e", "wait=300")
    assert soon(lambda: any("sleep 300" in line for line in cli.processes())), "the first batch must be at work"
    child.send_signal(signal.SIGINT)
    out, _err = child.communicate(timeout=30)
    assert child.returncode == 130
    rows = {row.split()[0]: row.split()[1:] for row in out.splitlines() if row}
    assert rows["OUTCOME"] == ["TARGETS", "WHICH"]
    assert rows["unfinished"] == ["1", "f0"]
    assert rows["untouched"][:3] == ["19", "f1,", "f2,"]
    assert "was stopped after" in out


def test_verbose_shows_what_ansible_says_and_nothing_is_left_patched(cli: Cli) -> None:
    import pexpect

    spawn = pexpect.spawn
    done = cli.run(*FEW, "--limit", "f0", "--verbose")
    assert "TASK [Apply]" in done.err
    assert "ok: [f0]" in done.err
    assert pexpect.spawn is spawn


def test_plays_without_hosts_and_lists_of_hosts(cli: Cli) -> None:
    done = cli.run(*FEW, "-e", "nobody=true", "--limit", "f1", "--format", "json")
    assert (done.code, done.data["hosts"]) == (7, ["f1"])
    assert done.data["targets"][0]["outcome"] == "untouched"


def test_variables_as_json(cli: Cli) -> None:
    given = '{"batches": [1, "10%"], "api_token": "s3cr3t-value"}'
    done = cli.run(*FEW, "--limit", "f0", "-e", given, "--format", "json")
    seen = done.data["targets"][0]["summary"]["seen"]
    assert seen["batches"] == [1, "10%"]
    assert seen["token"] == "********"


def test_what_a_person_types_next_reaches_the_run(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    done = cli.run(*FEW, "--limit", "f0", "-e", "db_password=abc", "-e", "a=b c", "--format", "json")
    said = json.loads(done.data["targets"][0]["summary"]["seen"]["commands"])
    assert shlex.join(said["again"]) == "runbook run fleet -i inventories/few.yml -e 'db_password=********' -e 'a=b c'"
    assert said["limit"] == "f0"
    assert said["undo"] == ["runbook", "undo", done.data["run_id"], "-i", "inventories/few.yml"]


def options(**changed: object) -> Options:
    base = {"name": "n", "project": None, "inventory": (), "limit": None, "extra": (), "timeout": None}
    base |= {"incident": None, "approve": (), "records": None, "ask_become_pass": False, "act": True, "check": False}
    return Options(**{**base, **changed})


def test_how_a_run_is_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_INVENTORY", "lab")
    monkeypatch.setenv("RUNBOOK_PROJECT", "/p")
    monkeypatch.delenv("OPS_RUNBOOK_RECORDS", raising=False)

    def typed(word: str, **changed: object) -> str:
        return shlex.join(retype(options(**changed), "R")[word])

    assert typed("again") == "runbook run n -i lab"
    assert typed("again", act=False, project="/p", records="/r") == "runbook diagnose n -i lab --records /r"
    assert typed("again", check=True, approve=("x",)) == "runbook run n -i lab --approve x --check"
    assert typed("undo", inventory=("a", "b"), ask_become_pass=True, project="/q") == (
        "runbook undo R -i a -i b -K --project /q"
    )
    undo = Undo("OLD", ("f1",), True)
    assert typed("again", undo=undo) == "runbook undo OLD -i lab --approve undo"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a=b", "a=b"),
        ("token=abc", "token=********"),
        ("uri=mongodb://u:pa55@h/x", "uri=mongodb://u:********@h/x"),
        ("credentials_file=/etc/probe.uri", "credentials_file=/etc/probe.uri"),
        ("credentials_file=pa55word", "credentials_file=********"),
        ("@file.yml", "@file.yml"),
        ('{"a": {"api_key": "k4711"}}', '{"a": {"api_key": "********"}}'),
    ],
)
def test_secrets_of_what_is_typed_again(given: str, shown: str) -> None:
    assert masked_extra(given) == shown


def event(kind: str, host: str = "", report: dict | None = None, task: str = "T", **data: object) -> dict:
    res = {"ops_runbook": report} if report else {}
    return {"event": kind, "event_data": {"host": host, "task": task, "task_action": "x.y.tuning", "res": res, **data}}


def test_progress_of_a_crowd() -> None:
    said: list[tuple[str, bool]] = []
    feed = Crowd(lambda text, last: said.append((text.strip()[7:], last)), 60, 0.0)
    feed({})
    feed(event("playbook_on_play_start", play="Look"))
    for host in ("a", "b"):
        feed(event("runner_on_start", host))
        feed(event("runner_on_ok", host))
    assert said[-1] == ("Look: 2 of 60 hosts  (T)", False)
    feed(event("playbook_on_play_start", play="Tune"))
    assert ("Look: 2 of 60 hosts", True) in said
    feed(event("runner_on_start", "a"))
    feed(event("runner_on_ok", "a", {"outcome": "done"}))
    feed(event("playbook_on_play_start", play="Tune"))
    feed(event("runner_on_ok", "b"))
    assert said[-1] == ("Tune: 1 of 60 hosts  (T)", False), "a new batch goes on counting, and b told no outcome yet"
    feed(event("runner_on_failed", "b"))
    assert said[-1] == ("Tune: 2 of 60 hosts, 1 not well  (T)", False)
    feed(event("runner_on_ok", "b", {"outcome": "done"}))
    assert said[-1] == ("Tune: 2 of 60 hosts  (T)", False), "it was rescued"
    feed(event("runner_on_failed", "c", {"outcome": "refused"}))
    feed(event("runner_on_failed", "d", ignore_errors=True))
    feed(event("runner_on_unreachable", "e"))
    feed(event("playbook_on_stats"))
    assert said[-1] == ("Tune: 4 of 60 hosts, 2 not well", True)
    count = len(said)
    feed({})
    assert len(said) == count


def test_a_crowd_does_not_talk_too_often() -> None:
    said: list[str] = []
    feed = Crowd(lambda text, _last: said.append(text), 1000, 60.0)
    feed(event("playbook_on_play_start", play="Tune"))
    for number in range(1000):
        feed(event("runner_on_start", f"h{number}"))
        feed(event("runner_on_ok", f"h{number}", {"outcome": "done"}))
    assert len(said) <= 1
    feed(event("playbook_on_stats"))
    assert said[-1].endswith("Tune: 1000 of 1000 hosts")


def test_many_hosts_get_few_lines(cli: Cli) -> None:
    done = cli.run(*FEW)
    lines = done.err.splitlines()
    assert CROWD <= 7
    assert lines[0].endswith("fleet on f0, f1, f2, f3, 3 more")
    assert all(
        re.fullmatch(r" +\d+\.\d s  (Look|Tune): \d of 7 hosts(, 1 not well)?(  \(.+\))?", line) for line in lines[1:]
    )
    assert lines[-1].endswith("Tune: 7 of 7 hosts, 1 not well")
    assert len(lines) <= float(lines[-1].split()[0]) + 5, "about one a second"


def test_a_line_of_a_terminal_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((10, 24)))
    answer.show("one \x1b[2Jand far too long", False)
    answer.show("two", False)
    answer.say("Stopping")
    answer.show("three", True)
    answer.say("end")
    assert terminal.getvalue() == (
        "\r\x1b[2Kone \N{REPLACEMENT CHARACTER}[2Ja\r\x1b[2Ktwo\nStopping\n\r\x1b[2Kthree\nend\n"
    )


def test_work_in_a_process_of_its_own() -> None:
    here: list[int] = []
    there, given = apart(lambda: [os.getpid(), [1, "a"]], meanwhile=lambda: here.append(os.getpid()))
    assert (given, here) == ([1, "a"], [os.getpid()])
    assert there != os.getpid()


def test_what_goes_wrong_there_is_told_here() -> None:
    def refuse() -> None:
        raise CliError("it is odd", "here", "Mend it.", 7)

    def nothing() -> None:
        pass

    with pytest.raises(CliError, match=r"here: it is odd\. Mend it\.") as caught:
        apart(refuse, nothing)
    assert caught.value.code == 7
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        apart(lambda: 1 / 0, nothing)
    with pytest.raises(RuntimeError, match="ended without an answer"):
        apart(lambda: os._exit(1), nothing)
    with pytest.raises(CliError, match="it is odd"):
        apart(lambda: 1 / 0, refuse)


def test_what_is_said_later_of_a_host_takes_the_place_of_what_was_seen() -> None:
    def told(*events: dict, stats: dict | None = None, stopped: str | None = None) -> list[tuple[str, str]]:
        collector = Collector()
        for one in events:
            collector.feed(one)
        if stats is not None:
            collector.feed({"event": "playbook_on_stats", "event_data": stats})
        return [(found.host, found.outcome) for found in collector.targets(["a", "b"], False, False, stopped)]

    seen = [event("runner_on_ok", host, {"outcome": "untouched", "target": host}) for host in "ab"]
    done = event("runner_on_ok", "a", {"outcome": "done", "target": "a"})
    gone = event("runner_on_unreachable", "b")
    stats = {"processed": {"a": 1, "b": 1}, "dark": {"b": 1}}
    assert told(*seen, done, gone, stats=stats) == [("a", "done"), ("b", "unreachable")]
    begun = event("runner_on_start", "b")
    assert told(*seen, done, begun, stopped="interrupted") == [("a", "done"), ("b", "unfinished")]
    assert told(*seen, begun, event("runner_on_skipped", "b"), stopped="interrupted") == [
        ("a", "untouched"),
        ("b", "untouched"),
    ]
    assert told(done, stats={"processed": {"a": 1}}) == [("a", "done"), ("b", "untouched")]
