# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of lab/faults: injected for real, seen red, cured or rightly refused, with no data lost."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.plugin_utils.outcome import EXIT_CODES
from tests.support import lab, table

FOLDER = lab.ROOT / "lab" / "faults"
FAULTS = sorted(FOLDER.glob("*/*.yml"))
HOST = "db1"
ACTS = ("remedied", "done", "failed", "unverified")


def _id(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", FAULTS, ids=_id)
def test_fault(path: Path, request: pytest.FixtureRequest) -> None:
    fault = yaml.safe_load(path.read_text())
    host = fault.get("host", HOST)
    records = request.getfixturevalue("hosts" if _has_data(host) else "records")
    before = _ready(host)
    try:
        summary = _drill(path, fault, host, records)
        _assert_data(host, before)
    except BaseException:
        _reset(host, records)  # a fault that was not cured must not spoil the next drill
        raise
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


def _ready(host: str) -> lab.Json:
    """See that the host runs; what its database holds."""
    if _has_data(host):
        lab.on(host, "systemctl reset-failed mongod.service")  # the drills before this one used up starts
        return lab.data(host)
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", host], timeout=600)
    assert up.code == 0, up.text
    return {}


def _reset(host: str, records: Path) -> None:
    if _has_data(host):
        lab.reset(host, records)
    else:
        lab.run([str(lab.ROOT / "lab" / "lab"), "reset", host])


def _drill(path: Path, fault: lab.Json, host: str, records: Path) -> lab.Json:
    """Break, run, look at what had to stay, mend."""
    lab.tasks(host, fault["inject"], f"inject {path.stem}")
    lab.tasks(host, fault["effect"], f"effect of {path.stem}")
    playbook = fault.get("playbook", f"recover_{path.parent.name}")
    runs = [_run(playbook, host, expected, fault, records) for expected in fault["runs"]]
    lab.tasks(host, fault["untouched"], f"untouched after {path.stem}")
    lab.tasks(host, fault["mend"], f"mend {path.stem}")
    return runs[-1]


def _run(playbook: str, host: str, expected: lab.Json, fault: lab.Json, records: Path) -> lab.Json:
    """Predict, then run; the prediction must be what the run did."""
    lab.tasks(host, expected.get("before", []), "before the next run")
    words = [word for remedy in expected.get("approve", []) for word in ("--approve", remedy)]
    if fault.get("variables"):
        words += ["-e", json.dumps(fault["variables"])]
    predicted = _summary(lab.runbook("run", playbook, "--check", *words, records=records, host=host))
    done, document = lab.runbook("run", playbook, *words, records=records, host=host)
    summary = _summary((done, document))
    wanted = {key: expected.get(key) for key in ("outcome", "cause", "remedy")}
    assert {key: summary.get(key) for key in wanted} == wanted, done.text
    assert done.code == EXIT_CODES[expected["outcome"]], done.text
    _assert_red(fault["red"], predicted, summary)
    foreseen = {**wanted, "outcome": "predicted" if wanted["outcome"] in ACTS else wanted["outcome"]}
    foreseen.update(expected.get("predicted", {}))
    assert {key: predicted.get(key) for key in wanted} == foreseen
    if foreseen["outcome"] == "predicted":
        assert [change["object"] for change in predicted["changes"]] == [
            change["object"] for change in summary["changes"]
        ]
        assert summary["changes"], "a cure changes something"
        assert "evidence" not in summary or Path(summary["evidence"]).is_dir()
    else:
        assert summary["changes"] == []
        assert summary["next_step"]
    for told in (predicted, summary):
        _assert_shown(expected.get("shows", []), told)
    return summary


def _assert_shown(shows: list[str], told: lab.Json) -> None:
    """Whoever is asked sees what a yes would change, in the same words whether it is a prediction or a run."""
    text = json.dumps(told.get("would_change"))
    assert all(json.dumps(part)[1:-1] in text for part in shows), f"not shown: {shows} in {text}"
    if shows:
        assert told["would_change"][-1]["object"].startswith("service "), text


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
