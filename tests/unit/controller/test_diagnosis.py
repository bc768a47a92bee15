# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes: what is refused when they are loaded, and when they hold."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import diagnosis
from ansible_collections.ops.runbook.plugins.plugin_utils.errors import BadInput
from hypothesis import given
from hypothesis import strategies as st

CHECKS = {"unit": {"type": "systemd_unit"}, "port": {"type": "tcp_port"}}
CAUSE = {
    "cause": "killed",
    "when": "checks.unit.data.result == 'signal'",
    "explains": ["unit"],
    "why": "It was killed.",
    "remedy": "start_service",
    "risk": "low",
}


def cause(**changes: object) -> dict:
    return {**CAUSE, **changes}


def document(**checks: dict) -> dict:
    """A probe document of these checks: status critical and all data known unless said otherwise."""
    blank = {"status": "critical", "summary": "", "missing": [], "data": {}}
    return {
        "target": "db1/x",
        "status": "critical",
        "checks": {name: {**blank, **check} for name, check in checks.items()},
    }


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("checks.unit.data.result ==", "does not compile"),
        ("checks.*.data.result == 'x'", "wildcard"),
        ("keys(checks)", "is not a part of a check"),
        ("checks | unit", "a pipe hides"),
        ("@.checks.unit.data.result", "@ hides"),
        ("!checks.unit.data.result", "Write !(checks.a.b)"),
        ("target == 'x'", "is not a part of a check"),
        ("checks.unit.data.result == checks.gone.data.x", "unknown check 'gone'"),
        ("checks.unit.data.resutl == 'signal'", "has no field 'resutl'"),
        ("checks.unit.verdict == 'signal'", "a check has data, status, summary"),
        ("[checks.unit.data.result]", "a list builds"),
        ("{a: checks.unit.data.result}", "a hash builds"),
        ("checks.unit.data == 'x'", "has no field None"),
        ("length(checks.unit.data.nope) > `1`", "has no field 'nope'"),
    ],
)
def test_a_bad_condition_is_refused_when_loaded(when: str, says: str) -> None:
    errors = diagnosis.validate([cause(when=when)], CHECKS)
    assert any(says in error for error in errors), errors
    assert all(error.startswith("cause killed: ") for error in errors)


@pytest.mark.parametrize(
    "when",
    [
        "checks.unit.data.result == 'signal' && !(checks.port.data.listening)",
        "length(checks.port.data.addresses) > `0`",
        "checks.port.data.addresses[0] == '127.0.0.1'",
        "checks.port.data.addresses[?@ == '127.0.0.1']",
        "checks.port.status == 'critical' || checks.unit.summary == 'x'",
        "contains(checks.port.data.addresses[], '::1')",
        "\"checks\".unit.data.result == 'signal'",
    ],
)
def test_a_good_condition_is_accepted(when: str) -> None:
    assert diagnosis.validate([cause(when=when)], CHECKS) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"risk": "tiny"}, "risk 'tiny' is none of"),
        ({"remedy": ""}, "remedy is missing"),
        ({"explains": ["nope"]}, "explains an unknown check 'nope'"),
        ({"remedies": ["x"]}, "remedies is not a key of a cause"),
        ({"prevent": ["x"]}, "prevent is not a text"),
        ({"ask": "sometimes"}, "ask 'sometimes' is none of"),
    ],
)
def test_a_malformed_cause_is_refused(changes: dict, says: str) -> None:
    errors = diagnosis.validate([cause(**changes)], CHECKS)
    assert any(says in error for error in errors), errors


def test_a_name_may_be_used_once() -> None:
    assert any("defined twice" in error for error in diagnosis.validate([cause(), cause()], CHECKS))


def test_jmespath_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "jmespath", None)
    with pytest.raises(BadInput, match="Install jmespath"):
        diagnosis.references("checks.unit.data.result")


def test_the_first_cause_that_holds_is_chosen_and_a_tried_remedy_is_not() -> None:
    second = cause(cause="other", remedy="restore_config")
    seen = document(unit={"data": {"result": "signal"}}, port={"data": {"listening": False}})
    found = diagnosis.diagnose(seen, [CAUSE, second])
    assert [c["cause"] for c in found["causes"]] == ["killed", "other"]
    assert found["chosen"]["cause"] == "killed"
    assert found["unexplained"] == ["port"]
    assert diagnosis.diagnose(seen, [CAUSE, second], ["start_service"])["chosen"]["cause"] == "other"
    assert diagnosis.diagnose(seen, [CAUSE, second], ["start_service", "restore_config"])["chosen"] is None


def test_a_cause_may_say_how_to_prevent_it() -> None:
    assert diagnosis.validate([cause(prevent="Find out who sends signals.")], CHECKS) == []


def test_what_each_condition_looked_at_is_kept_as_far_as_it_is_known() -> None:
    second = cause(cause="other", when="checks.port.status == 'ok' && checks.unit.data.result == 'x'")
    seen = document(unit={"data": {"result": "signal"}}, port={"status": "unknown"})
    assert diagnosis.diagnose(seen, [CAUSE, second])["facts"] == {
        "killed": {"unit.result": "signal"},
        "other": {"unit.result": "signal"},
    }
    known = document(unit={"data": {}}, port={"status": "ok"})
    assert diagnosis.diagnose(known, [CAUSE, second])["facts"] == {"killed": {}, "other": {"port status": "ok"}}


@pytest.mark.parametrize(
    ("unit", "reason"),
    [
        ({"data": {"result": "success"}}, "the condition is false"),
        (
            {"status": "unknown", "summary": "no permission", "data": {"result": "signal"}},
            "unit is unknown: no permission",
        ),
        ({"data": {}}, "unit.result could not be determined"),
        ({"data": {"result": "signal"}, "missing": ["result"]}, "unit.result could not be determined"),
    ],
)
def test_what_could_not_be_determined_does_not_hold(unit: dict, reason: str) -> None:
    found = diagnosis.diagnose(document(unit=unit), [CAUSE])
    assert found["chosen"] is None
    assert found["rejected"] == [{"cause": "killed", "reason": reason}]


def test_a_check_that_was_not_looked_at_does_not_hold() -> None:
    assert diagnosis.holds(cause(when="checks.port.data.listening != 'x'"), document(unit={})) == (
        False,
        "port was not looked at",
    )


@pytest.mark.parametrize(
    ("when", "data", "says"),
    [
        ("checks.unit.data.restarts", {"restarts": 3}, "gives the number 3"),
        ("length(checks.unit.data.result) > `1`", {"result": None}, "cannot be evaluated"),
        ("checks.unit.data.restarts > `2`", {"restarts": "5"}, ""),
    ],
)
def test_a_condition_that_cannot_be_evaluated_does_not_hold(when: str, data: dict, says: str) -> None:
    true, reason = diagnosis.holds(cause(when=when), document(unit={"data": data}))
    assert not true
    assert says in reason


@given(
    missing=st.lists(st.sampled_from(["result", "active_state"]), unique=True),
    status=st.sampled_from(["ok", "warning", "critical", "unknown"]),
    present=st.booleans(),
)
def test_no_remedy_ever_rests_on_what_is_unknown(missing: list[str], status: str, present: bool) -> None:
    seen = document(unit={"status": status, "missing": missing, "data": {"result": "signal", "active_state": "failed"}})
    if not present:
        del seen["checks"]["unit"]
    both = cause(when="checks.unit.data.result != 'success' && checks.unit.data.active_state == 'failed'")
    before = copy.deepcopy(seen)
    chosen = diagnosis.diagnose(seen, [both])["chosen"]
    assert seen == before, "diagnosis must not change the document"
    assert (chosen is not None) == (present and status != "unknown" and not missing)
