# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of lab/faults: injected for real, seen red, cured or rightly refused, with no data lost.

A fault of a database is made on two hosts: what `--check` predicts on the one is what the run does on the other.
"""

from __future__ import annotations

import json
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.plugin_utils.outcome import EXIT_CODES
from tests.support import lab, table

FOLDER = lab.ROOT / "lab" / "faults"
FAULTS = sorted(FOLDER.glob("*/*.yml"))
HOST, TWIN = "db1", "db2"
ACTS = ("remedied", "done", "failed", "unverified")


def _id(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", FAULTS, ids=_id)
def test_fault(path: Path, request: pytest.FixtureRequest) -> None:
    fault = yaml.safe_load(path.read_text())
    host = fault.get("host", HOST)
    twin = TWIN if _has_data(host) else host
    records = request.getfixturevalue("hosts" if _has_data(host) else "records")
    before = _ready(host, twin)
    try:
        summary = _drill(path, fault, (host, twin), records)
        _assert_data(host, before)
    except BaseException:
        _reset({host, twin}, records)  # a fault that was not cured must not spoil the next drill
        raise
    if twin != host and any(expected["outcome"] in ACTS for expected in fault["runs"]):
        lab.pristine(twin, host)  # where the remedy was only predicted, the fault is still there
    table.ROWS.append(_row(path, fault, summary))


def _row(path: Path, fault: lab.Json, summary: lab.Json) -> tuple[str, ...]:
    """A line of the table; a job has neither phases nor a cause."""
    told = summary.get("seconds") or 0
    seconds = told if isinstance(told, dict) else {"act": float(told)}
    spent = [f"{seconds.get(phase, 0.0):.1f}" for phase in ("detect", "decide", "act", "verify")]
    red = ",".join(summary.get("failing", fault["red"]))
    names = [summary.get(key) or "-" for key in ("cause", "remedy", "outcome")]
    return (f"{path.parent.name}/{path.stem}", red, *names, *spent, f"{sum(seconds.values()):.1f}", "intact")


def _has_data(host: str) -> bool:
    """Hosts of the fleet run no database."""
    return host.startswith("db")


def _ready(host: str, twin: str) -> lab.Json:
    """See that the hosts run; what the database holds."""
    if _has_data(host):
        for each in (host, twin):
            lab.on(each, "systemctl reset-failed mongod.service")  # the drills before this one used up starts
        return lab.data(host)
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", host], timeout=600)
    assert up.code == 0, up.text
    return {}


def _reset(hosts: set[str], records: Path) -> None:
    if all(map(_has_data, hosts)):
        lab.reset(*hosts, records=records)
    else:
        lab.run([str(lab.ROOT / "lab" / "lab"), "reset", *hosts])


def _drill(path: Path, fault: lab.Json, hosts: tuple[str, str], records: Path) -> lab.Json:
    """Break, run, look at what had to stay, mend."""
    host, both = hosts[0], ":".join(dict.fromkeys(hosts))
    lab.tasks(both, [*fault["inject"], *fault["effect"]], f"inject {path.stem}")
    playbook = fault.get("playbook", f"recover_{path.parent.name}")
    runs = [_run(playbook, hosts, expected, fault, records) for expected in fault["runs"]]
    acted = any(expected["outcome"] in ACTS for expected in fault["runs"])
    lab.tasks(host if acted else both, [*fault["untouched"], *fault["mend"]], f"look and mend after {path.stem}")
    return runs[-1]


def _run(playbook: str, hosts: tuple[str, str], expected: lab.Json, fault: lab.Json, records: Path) -> lab.Json:
    """Predict on one host, run on the other; the prediction must be what the run did."""
    lab.tasks(":".join(dict.fromkeys(hosts)), expected.get("before", []), "before the next run")
    words = [word for remedy in expected.get("approve", []) for word in ("--approve", remedy)]
    if fault.get("variables"):
        words += ["-e", json.dumps(fault["variables"])]
    (ran, foretold), (done, document) = _both(playbook, hosts, words, records)
    predicted, summary = _summary((ran, foretold)), _summary((done, document))
    wanted = {key: expected.get(key) for key in ("outcome", "cause", "remedy")}
    assert _fits(summary, wanted), done.text
    assert done.code == EXIT_CODES[expected["outcome"]], done.text
    _assert_red(fault["red"], predicted, summary)
    foreseen = {**wanted, "outcome": "predicted" if wanted["outcome"] in ACTS else wanted["outcome"]}
    foreseen.update(expected.get("predicted", {}))
    assert _fits(predicted, foreseen), ran.text
    if foreseen["outcome"] == "predicted":
        told, made = (_plain(one["changes"])[: expected.get("foreseen")] for one in (predicted, summary))
        assert told == made
        assert summary["changes"], "a cure changes something"
        assert "evidence" not in summary or Path(summary["evidence"]).is_dir()
    else:
        assert summary["changes"] == []
        assert summary["next_step"]
    for told in (predicted, summary):
        _assert_shown(expected.get("shows", []), told)
    return summary


def _both(playbook: str, hosts: tuple[str, str], words: list[str], records: Path) -> list[tuple[lab.Ran, lab.Json]]:
    """What is predicted on the twin and what is done on the host; at the same time where they are two."""

    def run(host: str, *more: str) -> tuple[lab.Ran, lab.Json]:
        return lab.runbook("run", playbook, *more, *words, records=records, host=host)

    if hosts[0] == hosts[1]:
        return [run(hosts[1], "--check"), run(hosts[0])]
    with ThreadPoolExecutor(2) as pool:
        each = [pool.submit(run, hosts[1], "--check"), pool.submit(run, hosts[0])]
        return [one.result() for one in each]


def _plain(changes: list[lab.Json]) -> list[lab.Json]:
    """Changes without what differs between two hosts on which all is well: the number of a process."""

    def plain(state: t.Any) -> t.Any:
        return {**state, "pid": "its own"} if isinstance(state, dict) and isinstance(state.get("pid"), int) else state

    return [{**change, "before": plain(change["before"]), "after": plain(change["after"])} for change in changes]


def _assert_shown(shows: list[str], told: lab.Json) -> None:
    """Whoever is asked sees what a yes would change, in the same words whether it is a prediction or a run."""
    text = json.dumps(told.get("would_change"))
    assert all(json.dumps(part)[1:-1] in text for part in shows), f"not shown: {shows} in {text}"
    if shows:
        assert told["would_change"][-1]["object"].startswith("service "), text


def _fits(summary: lab.Json, wanted: lab.Json) -> bool:
    """Whether each is as wanted; a list leaves it to the moment which of them it is."""
    return all(
        summary.get(key) in value if isinstance(value, list) else summary.get(key) == value
        for key, value in wanted.items()
    )


def _assert_red(red: list[str], predicted: lab.Json, summary: lab.Json) -> None:
    """A probe has failing checks; a job has none, and says in its prediction what is wrong."""
    if "failing" in summary:
        assert set(red) <= set(summary["failing"]), f"not red: {set(red) - set(summary['failing'])}"
    else:
        text = json.dumps(predicted)
        assert all(word in text for word in red), f"not told: {red}"


def _summary(ran: tuple[lab.Ran, lab.Json]) -> lab.Json:
    done, document = ran
    assert document.get("targets"), done.text
    target = document["targets"][0]
    return {"outcome": target["outcome"], **t.cast("lab.Json", target["summary"])}


def _assert_data(host: str, before: lab.Json) -> None:
    """Nothing that was there is gone; looked at by a second client."""
    if not before:
        return
    after = lab.data(host)
    assert (after["count"], after["sha256"], after["missing"]) == (before["count"], before["sha256"], 0)
    ping = lab.on(host, "systemctl is-active mongod.service simplers-writer.service")
    assert ping.stdout.split() == ["active", "active"], ping.text
