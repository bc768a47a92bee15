# SPDX-License-Identifier: GPL-3.0-or-later
"""The question on a terminal: what is shown, what counts as yes, and that nobody else is asked."""

from __future__ import annotations

import io
import typing as t

import pytest
from cli_project import Cli

from runbook_cli import ask
from runbook_cli.answer import Answer, Output
from runbook_cli.request import Options, Said, retype

CHANGE = {
    "object": "service mongod.service",
    "before": {"active_state": "inactive"},
    "after": {"active_state": "active"},
}
CODES = {"refused": 7, "remedied": 0, "predicted": 3, "recovered": 0, "failed": 5}


def target(host: str, outcome: str, *rules: str, cause: str = "stopped", **more: t.Any) -> dict[str, t.Any]:
    refusals = [{"rule": rule, "reason": f"{rule} says no", "next_step": ""} for rule in rules]
    summary = {"cause": cause, "remedy": "start_service", "risk": "low", "why": "It was stopped."}
    summary |= {"changes": [], "would_change": [CHANGE], "would_fail": ""}
    return {
        "host": host,
        "target": f"{host}/mongodb",
        "outcome": outcome,
        "exit_code": CODES[outcome],
        "summary": {**summary, "refusals": refusals, **more},
    }


def answer(*targets: dict[str, t.Any], stopped: str | None = None, text: str = "told") -> Answer:
    return Answer({"targets": list(targets), "stopped": stopped}, text, max(one["exit_code"] for one in targets))


class Runs:
    """Runs again, as the command would, and keeps how it was asked to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def __call__(self, limit: str, approve: str) -> Answer:
        self.calls.append((limit, approve))
        return answer(*(target(host, "remedied") for host in limit.split(",")), text=f"ran {limit}")


def follow(first: Answer, typed: str, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Answer:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return ask.follow_up(first, Output(), runs)


def test_yes_runs_it_on_those_hosts_with_that_cause_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs()
    first = answer(target("db1", "refused", "ask"), target("db2", "remedied"), target("db3", "refused", "ask", "risk"))
    last = follow(first, "y\n", runs, monkeypatch)
    assert runs.calls == [("db1,db3", "stopped")]
    assert (last.code, last.text) == (0, "ran db1,db3")
    assert {one["host"]: one["outcome"] for one in last.data["targets"]} == dict.fromkeys(
        ("db1", "db2", "db3"), "remedied"
    )
    out, err = capsys.readouterr()
    assert out == "told\n"
    assert "target   db1/mongodb, db3/mongodb" in err
    assert "cause    stopped: It was stopped." in err
    assert "remedy   start_service" in err
    assert "risk     low" in err
    assert "asked    ask says no" in err
    assert "changes  db3: service mongod.service active_state: inactive -> active" in err
    assert err.endswith("Run start_service on db1, db3? [y/N] ")


@pytest.mark.parametrize("typed", ["", "\n", "n\n", "no\n", "yes please\n", "Y E S\n", "j\n"])
def test_everything_else_is_no(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs()
    last = follow(answer(target("db1", "refused", "risk")), typed, runs, monkeypatch)
    assert runs.calls == []
    assert last.code == 7


@pytest.mark.parametrize("typed", ["y\n", "Y\n", "yes\n", " YES \n"])
def test_yes_is_yes(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert follow(answer(target("db1", "refused", "ask")), typed, Runs(), monkeypatch).code == 0


@pytest.mark.parametrize(
    "first",
    [
        target("db1", "refused", "hold"),
        target("db1", "refused", "ask", "freeze"),
        target("db1", "refused", "cooldown"),
        target("db1", "refused", "flapping"),
        target("db1", "refused", "lease"),
        target("db1", "refused", "report_only"),
        target("db1", "refused"),
        target("db1", "failed", "ask"),
        target("db1", "remedied"),
    ],
)
def test_only_a_missing_word_is_asked_for(first: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch) -> None:
    runs, told = Runs(), answer(first)
    assert follow(told, "y\n", runs, monkeypatch) is told
    assert runs.calls == []


def test_a_stopped_run_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, told = Runs(), answer(target("db1", "refused", "ask"), stopped="interrupted")
    assert follow(told, "y\n", runs, monkeypatch) is told


def test_what_would_fail_is_not_asked_about(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs()
    last = follow(answer(target("db1", "refused", "ask", would_fail="no room")), "y\n", runs, monkeypatch)
    assert runs.calls == []
    assert last.code == 7
    assert "db1/mongodb: a yes would fail: no room" in capsys.readouterr().err


def test_two_causes_are_two_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs()
    first = answer(target("db1", "refused", "ask"), target("db2", "refused", "ask", cause="masked"))
    last = follow(first, "n\ny\n", runs, monkeypatch)
    assert runs.calls == [("db2", "masked")]
    assert last.code == 7  # db1 still waits


@pytest.mark.parametrize(
    ("stdin", "stderr", "output", "asks"),
    [
        (True, True, Output(), True),
        (False, True, Output(), False),
        (True, False, Output(), False),
        (True, True, Output(format="json"), False),
        (True, True, Output(query="targets"), False),
    ],
)
def test_nobody_is_asked_through_a_pipe(
    stdin: bool, stderr: bool, output: Output, asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: stdin, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: stderr, raising=False)
    assert ask.may_ask(output) is asks


@pytest.mark.parametrize("reason", ["", "  "])
def test_an_empty_reason_breaks_no_glass(reason: str, cli: Cli) -> None:
    done = cli.run("run", "recover_thing", "-i", "inventories/all.yml", "--limit", "healthy", "--break-glass", reason)
    assert done.code == 2
    assert "breaking the glass takes a reason" in done.err
    assert not cli.records.exists()


def test_what_was_typed_is_typed_again() -> None:
    blank: dict[str, t.Any] = dict.fromkeys(("project", "limit", "timeout", "incident", "records"))
    said = Said(("--break-glass", "INC-7"), {"remediate_break_glass": "INC-7"})
    options = Options(
        "n", inventory=("inv",), extra=(), approve=(), ask_become_pass=False, act=True, check=False, **blank
    )
    words = retype(Options(**{**options.__dict__, "said": said}), "R")["again"]
    assert words == ["runbook", "run", "n", "-i", "inv", "--break-glass", "INC-7"]
    held = Said(("--reason", "restore under way"), {}, ("hold", "set"))
    words = retype(Options(**{**options.__dict__, "said": held}), "R")["again"]
    assert words == ["runbook", "hold", "set", "-i", "inv", "--reason", "restore under way"]
