# SPDX-License-Identifier: GPL-3.0-or-later
"""Real runs on localhost: what comes out, with which exit code, and what reaches the playbook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_project import OUTCOMES, Cli

ALL = ("-i", "inventories/all.yml")
CODES = dict(zip(OUTCOMES, (0, 0, 0, 3, 5, 6, 7, 8), strict=True)) | {"unreachable": 4, "crashed": 1}

LOST = "(?:Connection refused|Data could not be sent to remote host)"
"""Ansible says the one or the other: whether ssh has gone before or after it was written to."""


def test_every_outcome_of_one_run(cli: Cli) -> None:
    done = cli.run("run", "recover_thing", *ALL, "--format", "json")
    targets = {target["host"]: target for target in done.data["targets"]}
    assert list(targets) == [*OUTCOMES, "crash", "quiet", "dead"]
    for name in OUTCOMES:
        target = targets[name]
        assert (target["outcome"], target["exit_code"]) == (name, CODES[name])
        assert target["target"] == f"{name}/thing"
        assert target["lines"] == [f"{name}/thing {name.upper()}"]
        assert target["summary"]["cause"] == "port_taken"
    assert (targets["crash"]["outcome"], targets["crash"]["exit_code"]) == ("crashed", 1)
    assert targets["crash"]["message"] == "cannot go on with nothing"
    assert targets["crash"]["task"] == "Break outside the lifecycle"
    assert (targets["quiet"]["outcome"], targets["quiet"]["exit_code"]) == ("crashed", 1)
    assert targets["quiet"]["message"] == "the run ended without an outcome; the last task that failed said: rescued"
    assert (targets["dead"]["outcome"], targets["dead"]["exit_code"]) == ("unreachable", 4)
    assert re.search(LOST, targets["dead"]["message"])
    assert done.data["exit_code"] == done.code == 1
    assert done.err == ""


@pytest.mark.parametrize(
    ("limit", "code"),
    [("predicted,healthy", 3), ("escalated,refused,dead", 8), ("failed,unverified", 5)],
)
def test_the_gravest_wins(cli: Cli, limit: str, code: int) -> None:
    done = cli.run("run", "recover_thing", *ALL, "--limit", limit, "--query", "[exit_code, targets[].outcome]")
    assert done.code == code
    expected = [
        "unreachable" if name == "dead" else name for name in sorted(limit.split(","), key=[*OUTCOMES, "dead"].index)
    ]
    assert done.data == [code, expected]


def test_text_of_one_host_is_its_lines(cli: Cli) -> None:
    done = cli.run("run", "recover_thing", *ALL, "-l", "escalated")
    assert (done.code, done.out) == (8, "escalated/thing ESCALATED\n")
    progress = done.err.splitlines()
    assert re.fullmatch(r"Run \d{8}T\d{6}Z-[0-9a-f]{6} \(run\): recover_thing on escalated", progress[0])
    tasks = [re.fullmatch(r" +\d+\.\d s  escalated  (.+)", line)[1] for line in progress[1:]]
    assert tasks == [
        "remediate: Look at the target",
        "remediate: Fail",
        "remediate: Conclude",
    ]


def test_text_of_two_hosts_ends_in_a_table(cli: Cli) -> None:
    done = cli.run("run", "recover_thing", *ALL, "-l", "refused,dead")
    lines = done.out.splitlines()
    assert lines[0] == "refused/thing REFUSED"
    assert re.match(rf"dead: unreachable: .*{LOST}.* \(task 'Look at the target'\)\. Look at its address", lines[2])
    assert lines[-3].split() == ["TARGET", "OUTCOME", "EXIT", "CAUSE", "REMEDY", "SECONDS"]
    assert lines[-2].split() == ["refused/thing", "refused", "7", "port_taken", "free_it", "3.5"]
    assert lines[-1].split() == ["dead", "unreachable", "4", "-", "-", "-"]


def test_what_reaches_the_playbook(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "vars.yml").write_text("color: red\napi_token: from-the-file\n")
    done = cli.run(
        "run",
        "recover_thing",
        *ALL,
        "-l",
        "healthy",
        "--check",
        "--incident",
        "INC-2041",
        "--approve",
        "start_it",
        "--approve",
        "stopped",
        "-e",
        f"@{tmp_path / 'vars.yml'}",
        "-e",
        "color=dark blue",
        "--format",
        "json",
    )
    seen = done.data["targets"][0]["summary"]["seen"]
    assert seen == {
        "act": True,
        "approved": ["start_it", "stopped"],
        "check": True,
        "color": "dark blue",
        "token": "********",
        "run": done.data["run_id"],
        "records": str(cli.records),
        "incident": "INC-2041",
        "keys": True,
    }
    assert (done.data["mode"], done.data["incident"], done.data["limit"]) == ("check", "INC-2041", "healthy")
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", done.data["run_id"])
    assert cli.records.stat().st_mode & 0o777 == 0o700


def test_diagnose_only_looks(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "vars.yml").write_text("remediate_act: true\n")
    done = cli.run(
        "diagnose", "recover_thing", *ALL, "-l", "predicted", "-e", f"@{tmp_path / 'vars.yml'}", "--format", "json"
    )
    assert (done.code, done.data["mode"]) == (3, "diagnose")
    assert done.data["targets"][0]["summary"]["seen"]["act"] is False


def test_a_job_has_no_outcome(cli: Cli, tmp_path: Path) -> None:
    written = tmp_path / "written"
    job = ("run", "both", *ALL, "-l", "healthy", "-e", f"written={written}")
    predicted = cli.run(*job, "--check")
    assert (predicted.code, predicted.out) == (
        3,
        "healthy: predicted: ran to its end; 1 tasks would change something.\n",
    )
    assert not written.exists()
    assert cli.run(*job).code == 0
    assert written.exists()
    again = cli.run(*job, "--query", "targets[].[outcome, message]")
    assert (again.code, again.data) == (0, [["done", "ran to its end; 0 tasks changed something"]])


def test_a_playbook_that_does_not_load_is_our_bug(cli: Cli) -> None:
    done = cli.run("run", "lost", *ALL, "-l", "healthy")
    assert done.code == 1
    assert re.match(r"healthy: unfinished: .*ops\.runbook\.nowhere", done.out)
    assert len(done.out.splitlines()) == 1


def test_a_wrong_variable_is_named(cli: Cli) -> None:
    done = cli.run("run", "recover_thing", *ALL, "-l", "healthy", "-e", "thing_mode=odd")
    assert done.code == 2
    assert re.match(r"healthy: wrong_input: Validation of arguments failed: .*thing_mode.* Mend it: ", done.out)


def test_secrets_are_never_shown(cli: Cli) -> None:
    secret = "s3cr3t-value"
    for form in ("table", "json"):
        done = cli.run("run", "recover_thing", *ALL, "-l", "crash", "-e", f"api_token={secret}", "--format", form)
        assert done.code == 1
        assert "cannot go on with ********" in done.out
        assert secret not in done.out + done.err
    done = cli.run("run", "recover_thing", *ALL, "-l", "crash", "-e", f"api_token={secret}", "--verbose")
    assert "TASK [ops.runbook.remediate : Look at the target]" in done.err
    assert "cannot go on with ********" in done.err
    assert secret not in done.out + done.err


def test_a_listener_that_fails_is_a_bug_and_not_a_result(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from runbook_cli.outcome import Collector

    monkeypatch.setattr(Collector, "feed", lambda self, event: event["no such key"])
    done = cli.run("run", "recover_thing", *ALL, "-l", "healthy")
    assert (done.code, done.out) == (1, "")
    assert "this is a bug: KeyError: 'no such key'" in done.err


def test_a_failing_query_after_a_run_keeps_document_and_code(cli: Cli) -> None:
    done = cli.run("run", "recover_thing", *ALL, "-l", "refused", "--query", "length(exit_code)")
    assert done.code == 7
    assert done.data["targets"][0]["outcome"] == "refused"
    assert done.err.startswith("--query: ")


def test_a_host_without_python_counts_as_unreachable(cli: Cli, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.yml"
    bare = "{thing_mode: fast, ansible_connection: local, ansible_python_interpreter: /nope/python3}"
    hosts.write_text(f"things: {{hosts: {{bare: {bare}}}}}\n")
    done = cli.run("run", "recover_thing", "-i", str(hosts), "--format", "json")
    target = done.data["targets"][0]
    assert (done.code, target["outcome"]) == (4, "unreachable")
    assert target["message"].startswith("no usable Python on the host (")
    assert "ansible_python_interpreter" in target["hint"]


def test_the_sudo_password_comes_by_a_pipe_and_stays_hidden(cli: Cli, project: Path) -> None:
    secret = "correct-horse"
    done = cli.spawned(
        "run", "recover_thing", *ALL, "-l", "healthy", "-K", "--verbose", "-e", f"color={secret}", typed=secret + "\n"
    )
    assert (done.code, done.out) == (0, "healthy/thing HEALTHY\n")
    assert secret not in done.out + done.err
    assert cli.spawned("run", "recover_thing", *ALL, "-K", typed="\n").code == 2
    assert cli.left_over() == []
