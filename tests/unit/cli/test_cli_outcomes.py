# SPDX-License-Identifier: GPL-3.0-or-later
"""From events to outcomes, on what two releases of Ansible really said (recorded); the callback says the same."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import outcome as callback

from runbook_cli import outcome
from runbook_cli.options import EXIT_CODES
from runbook_cli.outcome import CODES, GRAVITY, Collector, gravest

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("no_access-*.json"))
RECORDED = [(path.stem, number) for path in FIXTURES for number in range(len(json.loads(path.read_text())))]
MEANINGS = {
    "sudo_password_missing": "sudo wants a password and none was given",
    "sudo_password_wrong": "the sudo password is wrong",
    "sudo_not_allowed": "this login may not use sudo",
    "python_missing": "no usable Python on the host",
    "host_key_unknown": "Host key verification failed",
}


def collected(*events: dict, stats: dict | None = None) -> Collector:
    collector = Collector()
    for event in events:
        collector.feed(event)
    if stats is not None:
        collector.feed({"event": "playbook_on_stats", "event_data": stats})
    return collector


def result(kind: str, host: str = "db1", task: str = "T", **res: object) -> dict:
    return {"event": kind, "event_data": {"host": host, "task": task, "res": res}}


@pytest.mark.parametrize(("name", "number"), RECORDED)
def test_hosts_that_cannot_be_used(name: str, number: int) -> None:
    recorded = json.loads((Path(__file__).parent / "fixtures" / f"{name}.json").read_text())[number]
    stats = {"processed": {"db1": 1}, ("dark" if "unreachable" in recorded["event"] else "failures"): {"db1": 1}}
    (target,) = collected(recorded, stats=stats).targets(["db1"], lifecycle=True, check=False)
    assert (target.outcome, target.code) == ("unreachable", 4)
    assert MEANINGS[recorded["case"]] in target.message
    assert "\n" not in target.message
    assert target.hint


def test_every_pair_of_codes_is_decided_by_the_documented_order() -> None:
    documented = [1, 2, 5, 6, 8, 7, 4, 3, 0]
    for one, other in itertools.product(documented, repeat=2):
        assert gravest([one, other]) == min(one, other, key=documented.index)
    assert gravest([]) == 0


def test_the_callback_says_the_same() -> None:
    assert callback.EXIT_CODES.items() <= CODES.items()
    assert callback.GRAVITY == GRAVITY
    assert set(CODES.values()) == set(GRAVITY)


def test_every_code_is_on_the_help_page() -> None:
    told = {int(line.split()[0]) for line in EXIT_CODES.splitlines() if line.startswith("  ")}
    assert told == {*CODES.values(), *outcome.STOPPED.values()}


def test_a_rescued_failure_does_not_count_and_a_later_one_does() -> None:
    report = {"outcome": "remedied", "target": "db1/mongodb", "lines": ["x"], "summary": {}}
    failed, ended = result("runner_on_failed", msg="first"), result("runner_on_ok", ops_runbook=report)
    stats = {"processed": {"db1": 1}}
    assert [t.outcome for t in collected(failed, ended, stats=stats).targets(["db1"], True, False)] == ["remedied"]
    stats["failures"] = {"db1": 1}
    later = collected(ended, result("runner_on_failed", msg="later"), stats=stats).targets(["db1"], True, False)
    assert [(t.outcome, t.target, t.message) for t in later] == [
        ("remedied", "db1/mongodb", None),
        ("crashed", "db1", "later"),
    ]


def test_two_targets_of_one_host_and_one_that_is_told_twice() -> None:
    first = result("runner_on_ok", ops_runbook={"outcome": "healthy", "target": "db1/a"})
    again = result("runner_on_failed", ops_runbook={"outcome": "failed", "target": "db1/a"})
    other = result("runner_on_ok", ops_runbook={"outcome": "healthy"})
    found = collected(first, again, other, stats={"processed": {"db1": 1}, "failures": {"db1": 1}}).targets(
        ["db1"], True, False
    )
    assert [(t.target, t.outcome) for t in found] == [("db1/a", "failed"), ("db1", "healthy")]


def test_an_outcome_that_is_not_known_is_a_bug() -> None:
    (target,) = collected(result("runner_on_ok", ops_runbook={"outcome": "splendid"})).targets(["db1"], True, False)
    assert target.code == 1


def test_results_that_are_no_reports() -> None:
    stats = {"processed": {"db1": 1}}
    noise = [result("runner_on_ok", ops_runbook=report) for report in ({"seconds": 1}, "text", None, [])]
    (target,) = collected(*noise, result("runner_on_ok"), {"event": "EOF"}, stats=stats).targets(["db1"], True, False)
    assert target.message == "the run ended without an outcome"


def test_ignored_failures_do_not_count() -> None:
    ignored = result("runner_on_failed", msg="never mind")
    ignored["event_data"]["ignore_errors"] = True
    (target,) = collected(ignored, stats={"processed": {"db1": 1}}).targets(["db1"], False, False)
    assert target.outcome == "done"


@pytest.mark.parametrize(
    ("res", "message"),
    [
        (
            {"results": [{"msg": "fine"}, {"failed": True, "msg": "second\nitem"}], "msg": "One or more items failed"},
            "second item",
        ),
        ({"censored": "the output has been hidden"}, "the output has been hidden"),
        ({}, "no message"),
        ({"msg": "x" * 900}, "x" * 500),
    ],
)
def test_the_message_is_one_line(res: dict, message: str) -> None:
    stats = {"processed": {"db1": 1}, "failures": {"db1": 1}}
    (target,) = collected(result("runner_on_failed", **res), stats=stats).targets(["db1"], True, False)
    assert (target.outcome, target.message) == ("crashed", message)


@pytest.mark.parametrize("res", [{"argument_errors": ["x"]}, {"error": {"kind": "BadInput", "what": "x"}}])
def test_input_that_a_role_or_a_module_refuses(res: dict) -> None:
    stats = {"processed": {"db1": 1}, "failures": {"db1": 1}}
    (target,) = collected(result("runner_on_failed", msg="x is wrong", **res), stats=stats).targets(
        ["db1"], True, False
    )
    assert (target.outcome, target.code, target.message) == ("wrong_input", 2, "x is wrong")


def test_a_condition_of_the_playbook_is_a_refusal() -> None:
    failed = result("runner_on_failed", msg="db1 is critical", assertion="x", evaluated_to=False)
    (target,) = collected(failed, stats={"processed": {"db1": 1}, "failures": {"db1": 1}}).targets(
        ["db1"], False, False
    )
    assert (target.outcome, target.code, target.message) == ("refused", 7, "db1 is critical")


def test_what_ansible_said_before_it_ended() -> None:
    said = {"event": "error", "event_data": {}, "stdout": "[ERROR]: the role 'x' was not found\nOrigin: y"}
    (target,) = collected(said).targets(["db1"], True, False)
    assert (target.outcome, target.code, target.message) == ("unfinished", 1, "the role 'x' was not found")
    (target,) = collected().targets(["db1"], True, False)
    assert target.message == "Ansible ended before it came to this host"


def test_a_refusal_of_the_callback() -> None:
    said = {"event": "verbose", "event_data": {}, "stdout": "REFUSED: no host of the inventory matches."}
    (target,) = collected(said).targets(["db1"], True, False)
    assert (target.outcome, target.code, target.message) == ("refused", 7, "no host of the inventory matches.")
