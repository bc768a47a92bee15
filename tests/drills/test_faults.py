# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of lab/faults: injected for real, seen red, cured or rightly refused, with no data lost."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.plugin_utils.outcome import EXIT_CODES
from tests.support import lab, table

FOLDER = lab.ROOT / "lab" / "faults"
FAULTS = sorted(FOLDER.glob("*/*.yml"))
HOST = "db1"
ACTS = ("remedied", "failed", "unverified")


def _id(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", FAULTS, ids=_id)
def test_fault(path: Path, hosts: Path) -> None:
    fault = yaml.safe_load(path.read_text())
    service = path.parent.name
    before = lab.data(HOST)
    try:
        summary = _drill(path, fault, hosts)
        _assert_data(before)
    except BaseException:
        lab.reset(HOST, hosts)  # a fault that was not cured must not spoil the next drill
        raise
    seconds = summary["seconds"]
    spent = [f"{seconds.get(phase, 0.0):.1f}" for phase in ("detect", "decide", "act", "verify")]
    table.ROWS.append(
        (
            f"{service}/{path.stem}",
            ",".join(summary["failing"]),
            summary["cause"],
            summary["remedy"],
            summary["outcome"],
            *spent,
            f"{sum(seconds.values()):.1f}",
            "intact",
        )
    )


def _drill(path: Path, fault: dict[str, t.Any], records: Path) -> dict[str, t.Any]:
    """Break, run, look at what had to stay, mend."""
    lab.on(HOST, "systemctl reset-failed mongod.service")  # the drills before this one used up starts
    lab.tasks(HOST, fault["inject"], f"inject {path.stem}")
    lab.tasks(HOST, fault["effect"], f"effect of {path.stem}")
    summary = [_run(path.parent.name, run, fault, records) for run in fault["runs"]][-1]
    lab.tasks(HOST, fault["untouched"], f"untouched after {path.stem}")
    lab.tasks(HOST, fault["mend"], f"mend {path.stem}")
    return summary


def _run(service: str, expected: dict[str, t.Any], fault: dict[str, t.Any], records: Path) -> dict[str, t.Any]:
    """Predict, then run; the prediction must be what the run did."""
    approve = [word for remedy in expected.get("approve", []) for word in ("--approve", remedy)]
    predicted = _summary(lab.runbook("run", f"recover_{service}", "--check", *approve, records=records))
    done, document = lab.runbook("run", f"recover_{service}", *approve, records=records)
    summary = _summary((done, document))
    assert (summary["outcome"], summary["cause"], summary["remedy"]) == (
        expected["outcome"],
        expected["cause"],
        expected["remedy"],
    ), done.text
    assert done.code == EXIT_CODES[expected["outcome"]], done.text
    assert set(fault["red"]) <= set(summary["failing"]), f"not red: {set(fault['red']) - set(summary['failing'])}"
    if expected["outcome"] in ACTS:
        assert predicted["outcome"] == "predicted"
        assert [change["object"] for change in predicted["changes"]] == [
            change["object"] for change in summary["changes"]
        ]
        assert summary["changes"], "a cure changes something"
        assert Path(summary["evidence"]).is_dir()
    else:
        assert predicted["outcome"] == expected["outcome"]
        assert summary["changes"] == []
        assert summary["next_step"]
    assert (predicted["cause"], predicted["remedy"]) == (summary["cause"], summary["remedy"])
    return summary


def _summary(ran: tuple[lab.Ran, dict[str, t.Any]]) -> dict[str, t.Any]:
    done, document = ran
    assert document.get("targets"), done.text
    return t.cast("dict[str, t.Any]", document["targets"][0]["summary"])


def _assert_data(before: dict[str, t.Any]) -> None:
    """Nothing that was there is gone; looked at by a second client."""
    after = lab.data(HOST)
    assert (after["count"], after["sha256"], after["missing"]) == (before["count"], before["sha256"], 0)
    ping = lab.on(HOST, "systemctl is-active mongod.service simplers-writer.service")
    assert ping.stdout.split() == ["active", "active"], ping.text
