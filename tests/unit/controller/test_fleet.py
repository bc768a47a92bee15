# SPDX-License-Identifier: GPL-3.0-or-later
"""A run over many hosts: each host counted once, about ten lines, and nothing that a person needs left out."""

from __future__ import annotations

import json
import re
import time
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import fleet, fleet_wording, outcome
from hypothesis import given
from hypothesis import strategies as st

COMMANDS = {"again": ["runbook", "run", "tune_fleet", "-i", "lab"], "limit": None, "undo": ["runbook", "undo", "R"]}
FILE = {"kind": "file", "path": "/etc/sysctl.d/x.conf", "aside": None}
CHANGE = {"object": "sysctl vm.swappiness", "before": "60", "after": "10"}


def value(after: str, status: str = "applied", before: str = "60") -> dict:
    return {"before": before, "wanted": "10", "after": after, "status": status, "note": ""}


def host(name: str, outcome_: str = "done", **facts: t.Any) -> dict:
    """A summary, as conclude_job makes it."""
    base = {
        "target": name,
        "outcome": outcome_,
        "message": "2 values",
        "changes": [CHANGE] if outcome_ in ("done", "untouched", "predicted") else [],
        "undo": [FILE] if outcome_ == "done" else [],
        "next_step": "",
        "keys": {"vm.swappiness": value("10"), "net.ipv4.tcp_rmem": value("4096 87380\t16777216", "already")},
        "seconds": {"act": 1.0},
        "measured": None,
    }
    return outcome.conclude_job("R", {**base, **facts})["summary"]


def summed(hosts: dict[str, dict], interrupted: bool = False, **commands: t.Any) -> tuple[dict[str, str], dict]:
    """(line by its label, document)."""
    said = fleet.summarise(fleet.Run("tune_fleet", "R", 4.21, interrupted, {**COMMANDS, **commands}), hosts)
    json.dumps(said)
    return {line[:11].strip() or line[12:]: line[12:] for line in said["lines"]}, said["document"]


def many(count: int, outcome_: str = "done", first: int = 0, **facts: t.Any) -> dict[str, dict]:
    return {f"h{n:04}": host(f"h{n:04}", outcome_, **facts) for n in range(first, first + count)}


def test_a_run_that_went_well() -> None:
    lines, document = summed(many(60))
    assert lines["tune_fleet"] == "60 hosts in 4.2 s, 60 changes on 60 hosts, exit code 0"
    assert lines["done"] == "60 hosts: h0000, h0001, h0002, h0003, h0004 and 55 more"
    assert lines["values"] == "2 keys: 1 applied, 1 already"
    assert lines["undo"] == "runbook undo R"
    assert lines["next step"] == "none"
    assert "differs" not in lines
    assert document["outcomes"] == {"done": [f"h{n:04}" for n in range(60)]}
    assert (document["left"], document["exit_code"], document["seconds"]) == ([], 0, 4.21)


def test_few_names_are_written_out_and_many_are_not() -> None:
    assert fleet_wording.names([f"h{n}" for n in range(8)]) == "h0, h1, h2, h3, h4, h5, h6, h7"
    assert fleet_wording.names([f"h{n}" for n in range(45)]) == "h0, h1, h2, h3, h4 and 40 more"


def test_the_same_refusal_of_twelve_hosts_is_one_line() -> None:
    refused = {
        f"r{n:02}": host(f"r{n:02}", "refused", message=f"r{n:02}: kernel.x is not writable here") for n in range(12)
    }
    lines, document = summed({**many(3), **refused})
    assert lines["refused"] == "12 hosts: r00, r01, r02, r03, r04 and 7 more; kernel.x is not writable here"
    (reason,) = document["reasons"]
    assert (reason["varies"], len(reason["hosts"])) == (False, 12)


def test_reasons_that_differ_only_in_numbers_are_one_and_others_are_not() -> None:
    hosts = {f"h{n}": host(f"h{n}", "failed", message=f"took {n} s") for n in range(5)}
    hosts["odd"] = host("odd", "failed", message="no room on /etc of odd")
    lines, document = summed(hosts)
    assert lines["failed"] == "6 hosts: h0, h1, h2, h3, h4, odd"
    assert lines["h0, h1, h2, h3, h4: such as took 0 s"]
    assert lines["odd: no room on /etc of odd"]
    assert [len(reason["hosts"]) for reason in document["reasons"]] == [5, 1]


def test_a_reason_does_not_repeat_the_next_step() -> None:
    lines, _document = summed({"a": host("a", "refused", message="it is held. Look at it.", next_step="Look at it.")})
    assert lines["refused"] == "1 host: a; it is held"
    assert lines["next step"] == "Look at it. ; runbook run tune_fleet -i lab"
    lines, _document = summed({"a": host("a", "refused", message="ask", next_step="ask")})
    assert lines["refused"] == "1 host: a; ask"


def test_many_reasons_do_not_become_many_lines() -> None:
    words = ("alpha", "beta", "gamma", "delta", "epsilon")
    lines, _document = summed({word: host(word, "failed", message=f"broke in {word * 2}") for word in words})
    assert "and 2 more reasons" in lines
    assert len(lines) <= 12


def test_a_long_reason_is_cut_in_the_line_and_whole_in_the_document() -> None:
    lines, document = summed({"a": host("a", "failed", message="x" * 900)})
    assert len(lines["failed"]) < 300
    assert document["reasons"][0]["reason"] == "x" * 900


def test_unreachable_hosts_are_named_with_why_and_a_rerun_takes_only_them() -> None:
    gone = outcome.of_problem("f33", {"unreachable": True, "msg": "ssh: connect to host 10.0.0.33: timed out"})
    lines, document = summed({**many(59), "f33": gone})
    assert lines["unreachable"] == "1 host: f33; ssh: connect to host 10.0.0.33: timed out"
    assert lines["next step"] == "runbook run tune_fleet -i lab --limit f33"
    assert document["exit_code"] == 4


def test_a_rerun_of_many_is_the_same_command_with_its_own_limit() -> None:
    hosts = many(20, "untouched")
    assert summed(hosts, limit="web:&eu")[0]["next step"] == "runbook run tune_fleet -i lab --limit 'web:&eu'"
    assert summed(hosts)[0]["next step"] == "runbook run tune_fleet -i lab"


def test_what_went_well_may_advise() -> None:
    restart = "it takes a restart to reach web.service: run again with -e tuning_restart=true"
    assert summed({**many(3), **many(3, first=3, next_step=restart)})[0]["next step"] == restart
    assert summed({**many(3, "refused"), **many(3, first=3, next_step=restart)})[0]["next step"] != restart


def test_what_has_to_be_mended_comes_before_the_rerun() -> None:
    hosts = {**many(5, "untouched"), "bad": host("bad", "reverted", message="measured 10 before, 30 after")}
    lines, document = summed(hosts)
    again = "runbook run tune_fleet -i lab"
    assert lines["next step"] == f"change the profile before another run: it did harm ; {again}"
    assert lines["untouched"].endswith("; the run ended before it came to them")
    assert document["exit_code"] == 6
    hosts["bad"]["next_step"] = "look at it"
    assert summed(hosts)[0]["next step"] == f"look at it ; {again}"


def test_a_prediction_is_run_without_check() -> None:
    words = [*COMMANDS["again"], "--check"]
    lines, document = summed(many(3, "predicted"), again=words)
    assert lines["next step"] == "runbook run tune_fleet -i lab"
    assert lines["values"] == "2 keys would be: 1 applied, 1 already"
    assert lines["undo"] == "nothing to undo"
    assert (document["changes"], document["exit_code"]) == (0, 3)
    assert summed({**many(2), "x": host("x", "failed")}, again=words)[0]["next step"].endswith("--check --limit x")


def test_without_commands_no_command_is_named() -> None:
    assert summed({"a": host("a", "failed")}, again=[])[0]["next step"] == "see why"


def test_statuses_are_counted_and_what_is_odd_is_named() -> None:
    keys = {f"k{n}": value("1") for n in range(9)} | {f"a{n}": value("1", "already") for n in range(2)}
    keys["net.ipv4.tcp_rmem"] = value("9", "better_kept")
    lines, _document = summed(many(4, keys=keys))
    assert lines["values"] == "12 keys: 9 applied, 2 already, 1 better_kept (net.ipv4.tcp_rmem)"


def test_a_rerun_over_tuned_and_new_hosts_is_one_group() -> None:
    old = {"a": value("1", "already"), "b": value("2", "already")}
    new = {"a": value("1"), "b": value("2")}
    lines, document = summed({**many(4, "healthy", keys=old), **many(2, first=10, keys=new)})
    assert lines["values"] == "2 keys: 2 already on 4 and applied on 2"
    assert document["differing"] == [], "the values are the same"


def test_hosts_that_differ_are_named_with_both_values() -> None:
    odd = {"vm.swappiness": value("60", "better_kept"), "net.ipv4.tcp_rmem": value("4096 87380 16777216", "already")}
    lines, document = summed({**many(9), "x1": host("x1", keys=odd), "x2": host("x2", keys=odd)})
    assert lines["differs"] == "x1, x2: vm.swappiness 60 (better_kept), elsewhere 10"
    assert document["differing"] == [
        {"hosts": ["x1", "x2"], "values": {"vm.swappiness": {"here": "60 (better_kept)", "elsewhere": "10"}}}
    ]


def test_a_host_without_a_key_differs_and_much_is_cut() -> None:
    hosts = many(9, keys={key: value("1") for key in "abcd"})
    hosts["bare"] = host("bare", keys={"a": value("1")})
    hosts |= {f"odd{n}": host(f"odd{n}", keys={**hosts["h0000"]["keys"], "a": value(f"{n + 5}")}) for n in range(3)}
    text = summed(hosts)[0]["differs"]
    assert "bare: b not there, elsewhere 1; c not there, elsewhere 1; and 1 more key" in text
    assert text.endswith("and 2 more hosts")


def test_values_that_are_each_host_s_own_are_no_difference() -> None:
    hosts = {f"h{n}": host(f"h{n}", keys={"buffer": value(str(n))}) for n in range(7)}
    lines, document = summed(hosts)
    assert lines["differs"] == "buffer has 7 different values"
    assert (document["differing"], document["varying"]) == ([], {"buffer": 7})


def test_values_of_hosts_that_were_put_back_do_not_count() -> None:
    bad = host("bad", "reverted", keys={"vm.swappiness": value("10")})
    lines, document = summed({**many(2, keys={"vm.swappiness": value("10")}), "bad": bad})
    assert document["values"] == {"vm.swappiness": {"applied": 2}}
    assert "differs" not in lines


def test_the_slowest_three() -> None:
    hosts = {f"h{n}": host(f"h{n}", seconds=float(n)) for n in range(5)}
    assert summed(hosts)[0]["slowest"] == "h4 4.0 s, h3 3.0 s, h2 2.0 s"
    assert "slowest" not in summed({"a": host("a", seconds=None)})[0]


def test_the_measurement_of_all() -> None:
    judged = {"verdict": "better", "before": 10.0, "after": 8.0, "change": 20.0}
    worse = {**judged, "verdict": "harmful", "after": 40.0}
    lines, _document = summed({**many(4, measured=judged), "x": host("x", "reverted", measured=worse)})
    assert lines["measured"] == "10 before, 8 after (median of 5): 4 better, 1 harmful"


def test_what_cannot_be_undone_is_said() -> None:
    none = {"kind": "none", "reason": "the process that was replaced is gone"}
    some = {**many(3), "x": host("x", undo=[{"kind": "steps", "steps": [FILE, none]}])}
    assert summed(some)[0]["undo"] == "runbook undo R  # not undone: the process that was replaced is gone (x)"
    lines, document = summed({"x": host("x", undo=[none])})
    assert lines["undo"] == "none (the process that was replaced is gone (x))"
    assert document["undo"]["command"] is None


def test_an_interrupted_run_says_so() -> None:
    hosts = {**many(2), "x": outcome.UNFINISHED, "y": outcome.UNTOUCHED}
    lines, document = summed(hosts, interrupted=True)
    assert lines["tune_fleet"] == "INTERRUPTED: 4 hosts in 4.2 s, 2 changes on 2 hosts"
    assert (document["interrupted"], document["left"]) == (True, ["x", "y"])
    assert lines["unfinished"].startswith("1 host: x; it was at work")


def test_summaries_of_the_lifecycle_are_understood() -> None:
    refused = {"outcome": "refused", "exit_code": 7, "why": "w", "error": None, "changes": [], "undo": []}
    refused |= {"refusals": [{"rule": "hold", "reason": "held", "next_step": ""}], "next_step": "rm it"}
    lines, _document = summed({"a": refused, "b": {**refused, "refusals": []}})
    assert lines["refused"] == "2 hosts: a, b"
    assert {"a: held", "b: w"} <= set(lines)


def test_a_thousand_hosts_are_about_ten_lines_in_no_time() -> None:
    keys = {f"net.key{n}": value(str(n)) for n in range(16)}
    hosts = many(1000, keys=keys)
    hosts |= {
        f"gone{n}": outcome.of_problem(f"gone{n}", {"unreachable": True, "msg": f"no route {n}"}) for n in range(40)
    }
    hosts |= many(30, "refused", first=5000, message="net.key3 is not writable here")
    hosts |= many(3, first=7000, keys={**keys, "net.key5": value("7")})
    hosts |= many(200, "untouched", first=8000)
    began = time.process_time()
    said = fleet.summarise(fleet.Run("tune_fleet", "R", 60.0, False, COMMANDS), hosts)
    assert time.process_time() - began < 0.3
    assert 8 <= len(said["lines"]) <= 12
    assert max(map(len, said["lines"])) < 400
    assert sum(map(len, said["document"]["outcomes"].values())) == 1273


PROBLEMS = [
    {"unreachable": True, "msg": "no route"},
    {"msg": "unknown type", "error": {"kind": "BadInput"}},
    {"msg": "KeyError"},
    {"msg": "Assertion failed", "assertion": "x"},
]
SAID = st.one_of(
    st.sampled_from(sorted(outcome.EXIT_CODES)).map(lambda name: ("outcome", name)),
    st.sampled_from(range(len(PROBLEMS))).map(lambda number: ("problem", number)),
    st.just(("unfinished", 0)),
)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9.-]{0,6}", fullmatch=True), SAID, max_size=40), st.booleans())
def test_every_host_is_counted_exactly_once(said: dict[str, tuple[str, t.Any]], interrupted: bool) -> None:
    hosts = {}
    for name, (kind, what) in said.items():
        if kind == "outcome":
            hosts[name] = host(name, what, message=f"{name}: {what}")
        else:
            hosts[name] = outcome.of_problem(name, PROBLEMS[what]) if kind == "problem" else outcome.UNFINISHED
    said_ = fleet.summarise(fleet.Run("tune_fleet", "R", 4.21, interrupted, COMMANDS), hosts)
    document = said_["document"]
    counted = [name for names in document["outcomes"].values() for name in names]
    assert sorted(counted) == sorted(hosts)
    found = [re.match(rf"({'|'.join(document['outcomes'])}) +(\d+) hosts?: ", line) for line in said_["lines"]]
    numbers = [int(one[2]) for one in found if one]
    assert sum(numbers) == len(hosts) == document["hosts"]
    explained = [name for reason in document["reasons"] for name in reason["hosts"]]
    assert len(set(explained)) == len(explained)
    assert document["exit_code"] == outcome.gravest(one.get("exit_code", one.get("code")) for one in hosts.values())


def test_the_table_of_values() -> None:
    hosts = {
        "a": host("a"),
        "long-name": host("long-name", "reverted"),
        "b": host("b", keys={"vm.swappiness": value("60", "better_kept")}),
        "gone": outcome.of_problem("gone", {"unreachable": True}),
    }
    assert fleet_wording.values_table(hosts) == [
        "HOST       vm.swappiness     net.ipv4.tcp_rmem",
        "a          10                4096 87380 16777216",
        "long-name  60                60",
        "b          60 (better_kept)  -",
        "gone       -                 -",
    ]
    assert fleet_wording.values_table({"gone": hosts["gone"]}) == []


@pytest.mark.parametrize(("after", "told"), [(None, "none"), ("a\t b\n", "a b"), (5, "5")])
def test_how_a_value_is_shown(after: t.Any, told: str) -> None:
    assert fleet_wording.shown({"after": after, "status": "already"}) == told
