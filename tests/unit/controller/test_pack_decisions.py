# SPDX-License-Identifier: GPL-3.0-or-later
"""What the MongoDB pack decides on probe documents recorded from a real server in each fault of lab/faults."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import diagnosis
from tests.support import pack
from tests.support.lab import Json

FAULTS = pack.faults("mongodb")
WHOLE = ("healthy", "viewer")
STARTS = ("killed", "start_limit_hit")
"""Faults that a start cures, and that nobody is asked about."""


class Found(t.NamedTuple):
    """A recorded document, and what the pack makes of it."""

    document: Json
    diagnosis: Json


def found(name: str) -> Found:
    """With the fault's own variables."""
    document = pack.document(name)
    return Found(document, diagnosis.diagnose(document, pack.of_fault(name).causes))


def several(cause: str | list[str]) -> list[str]:
    """The causes that a fault may have, where it hangs on the moment which."""
    return cause if isinstance(cause, list) else [cause]


def foreseen(name: str) -> Json:
    """What the fault says that is acted on first."""
    run = FAULTS[name]["runs"][0]
    return {**run, **run.get("predicted", {})}


def test_every_fault_is_recorded() -> None:
    recorded = {path.name.removesuffix(pack.ENDING) for path in pack.RECORDED.glob(f"*{pack.ENDING}")}
    assert recorded == {*FAULTS, *WHOLE}


def test_every_cause_has_a_fault_or_says_why_not() -> None:
    """A cause that was never seen for real may be wrong about its signs."""
    unseen = {
        "out_of_memory": "a unit's MemoryMax= is not enforced in these containers; killed is alike but for the result",
        "data_directory_missing": "as filesystem_read_only, without anything to look at",
        "data_filesystem_full_again": "lab/faults/disk/full_again.yml is the same check",
        "data_filesystem_filling": "data_filesystem_full below 99 percent",
        "traced": "hung with another letter",
        "definition_broken": "drop_in_bad_setting without a baseline, see below",
        "mended_not_started": "tests/drills/test_killed.py leaves it behind",
        "unresponsive": "needs a device that does not answer",
    }
    causes = {cause["cause"] for cause in pack.rendered("mongodb").causes}
    named = [run["cause"] for fault in FAULTS.values() for run in fault["runs"]]
    named += [foreseen(name)["cause"] for name in FAULTS]
    assert causes - {cause for each in named for cause in several(each)} == set(unseen)


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_is_decided_where_nothing_is_wrong(name: str) -> None:
    assert found(name).diagnosis["chosen"] is None


@pytest.mark.parametrize("name", FAULTS)
def test_the_cause_that_is_acted_on(name: str) -> None:
    chosen, wanted = found(name).diagnosis["chosen"], foreseen(name)
    assert chosen["cause"] in several(wanted["cause"])
    assert chosen["remedy"] == wanted["remedy"]
    assert bool(chosen.get("ask")) == (len(FAULTS[name]["runs"]) > 1)


@pytest.mark.parametrize("name", FAULTS)
def test_every_red_check_is_explained_and_every_promised_one_is_red(name: str) -> None:
    document, diagnosed = found(name)
    assert diagnosed["unexplained"] == []
    red = {check for check, one in document["checks"].items() if one["status"] == "critical"}
    assert set(FAULTS[name]["red"]) <= red


@pytest.mark.parametrize("name", [*FAULTS, *WHOLE])
def test_an_automatic_start_is_decided_only_where_it_cures(name: str) -> None:
    chosen = found(name).diagnosis["chosen"]
    automatic = chosen is not None and not chosen.get("ask") and chosen["remedy"] == "start_service"
    assert automatic == (name in STARTS)


@pytest.mark.parametrize("name", FAULTS)
def test_what_could_not_be_looked_at_decides_nothing(name: str) -> None:
    """Each check in turn is unknown: the decision may fall away, and never to another remedy that acts on a guess."""
    document, diagnosed = found(name)
    for check in document["checks"]:
        blind = {**document["checks"], check: {**document["checks"][check], "status": "unknown", "data": {}}}
        chosen = diagnosis.diagnose({**document, "checks": blind}, pack.of_fault(name).causes)["chosen"]
        if chosen is not None:
            assert not any(reference.check == check for reference in diagnosis.references(chosen["when"])), (
                f"{chosen['cause']} rests on {check}, which is unknown"
            )
    assert diagnosed["chosen"]


def decided(name: str, **unit: t.Any) -> str | None:
    """The cause that is chosen where the unit looks otherwise."""
    document, _diagnosed = found(name)
    document["checks"]["unit"]["data"].update(unit)
    chosen = diagnosis.diagnose(document, pack.rendered("mongodb").causes)["chosen"]
    return chosen and chosen["cause"]


@pytest.mark.parametrize(("foreign", "changed"), [(None, None), ([], [])])
def test_a_definition_that_cannot_be_loaded_and_differs_from_nothing_is_no_drop_in_of_somebody(
    foreign: list[str] | None, changed: list[str] | None
) -> None:
    found_ = decided("drop_in_bad_setting", foreign_drop_ins=foreign, changed_drop_ins=changed)
    assert found_ == "definition_broken"


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        ({"result": "signal"}, "killed"),
        ({"result": "start-limit-hit"}, "drop_in_broken"),
        ({"result": "start-limit-hit", "exec_code": "killed"}, "start_limit_hit"),
        ({"foreign_drop_ins": [], "changed_drop_ins": ["/a"]}, "drop_in_broken"),
        ({"foreign_drop_ins": []}, None),
    ],
)
def test_a_drop_in_is_blamed_only_where_the_server_ended_by_itself(data: Json, cause: str | None) -> None:
    assert decided("drop_in_broken", **data) == cause


@pytest.mark.parametrize(("progress", "cause"), [(True, "saturated_reads"), (False, None)])
def test_reads_that_do_not_end_are_load_only_where_the_server_works(progress: bool, cause: str | None) -> None:
    document = pack.document("healthy")
    data = document["checks"]["data"]
    data["data"]["errors"] = [{"operation": "hello", "code": None, "message": "no answer within the limit"}]
    data.update(status="critical", missing=["count", "read_documents"])
    document["checks"]["process"]["data"]["progress"] = progress
    chosen = diagnosis.diagnose(document, pack.rendered("mongodb").causes)["chosen"]
    assert (chosen and chosen["cause"]) == cause
