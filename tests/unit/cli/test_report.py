# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook report` on runs that were recorded on lab hosts: the facts, the record they rest on, and what is refused."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cli_project import Cli
from report_records import LINES, RECORDED, ROOT, of, report, run_of, write

from runbook_cli import report_times as times
from runbook_cli.answer import CliError
from runbook_cli.report_render import html, markdown
from runbook_cli.report_words import summary

RUNS = list(dict.fromkeys(line["run"] for line in LINES))
WHERE = ("--records", str(RECORDED), "--project", str(ROOT))


def entry(run: str, phase: str, host: str = "db1") -> dict:
    return next(line["entry"] for line in reversed(of(run)) if (line["phase"], line["host"]) == (phase, host))


def at(run: str, phase: str) -> str:
    return next(line["at"] for line in of(run) if line["phase"] == phase)


# What a report of a cure says


def test_a_cure_tells_when_it_began_was_seen_and_was_over() -> None:
    run = run_of("remedied")
    told = report(run, host="db1")
    moments, looked = told["times"], entry(run, "looked")["document"]
    assert moments["occurred"]["source"] == "unit-journal.txt"
    assert "SIGKILL" in moments["occurred"]["sign"]
    assert not moments["occurred"]["sign"].startswith("2026"), "the moment is told apart"
    failed = times.moment(looked["checks"]["unit"]["data"]["state_changed_at"])
    assert timedelta(0) <= times.moment(moments["occurred"]["at"]) - failed < timedelta(seconds=1)
    assert moments["detected"] == looked["taken_at"]
    assert moments["decided"] == at(run, "decided")
    assert moments["resolved"] == entry(run, "verified")["document"]["taken_at"]
    order = [moments["occurred"]["at"], *(moments[key] for key in ("detected", "decided", "acted", "well", "resolved"))]
    assert order == sorted(order)
    assert moments["to_detect"] == times.seconds(order[0], moments["detected"])
    assert moments["to_resolve"] == times.seconds(moments["detected"], moments["resolved"])


def test_a_cure_is_held_against_the_objective() -> None:
    for nth, met, word in ((0, False, "missed"), (1, True, "met")):
        told = report(run_of("remedied", nth=nth), host="db1")
        took = told["times"]["outage"]
        assert told["objective"] == {"seconds": 60.0, "from": "occurred", "took": took, "met": met}
        assert (took <= 60) is met
        assert any(f"the objective is 1 min: {word}" in sentence for sentence in summary(told))


def test_a_cure_tells_cause_evidence_change_proof_and_undo() -> None:
    run = run_of("remedied")
    one = report(run, host="db1")["sections"][0]
    assert [cause["cause"] for cause in one["causes"]] == ["killed"]
    assert one["causes"][0]["facts"] == {"unit.active_state": "failed", "unit.result": "signal"}
    assert one["causes"][0]["prevent"]
    assert [check["check"] for check in one["impact"]["failing"]] == list(entry(run, "outcome")["failing"])
    assert one["impact"]["failing"][0]["value"] == "active_state is failed"
    assert one["impact"]["failing"][0]["limit"] == "active_state is none of active, reloading, activating"
    assert "disk" in [check["check"] for check in one["impact"]["others"]]
    others = {other["cause"]: other for other in one["others"]}
    assert others["masked"]["facts"] == {"unit.load_state": "loaded"}
    assert "killed" not in others
    assert one["acts"][0]["changes"] == [
        {"object": "service mongod.service", "rows": [["active_state", "failed", "active"]]}
    ]
    proof = {check["check"]: check for check in one["proof"]["checks"]}
    assert (proof["ping"]["before"]["status"], proof["ping"]["after"]["status"]) == ("critical", "ok")
    assert one["proof"]["stable_seconds"] == entry(run, "verified")["attempt"]["stable_seconds"]
    assert one["undo"]["command"][:3] == ["runbook", "undo", run]
    assert one["undo"]["brings_back"]
    assert any("SIGKILL" in sign["text"] for sign in one["signs"])


def test_severity_incident_and_both_hosts() -> None:
    told = report(run_of("remedied"))
    assert (told["severity"], told["incident"]) == ("SEV2", None)
    assert told["outcomes"] == {"remedied": 1, "healthy": 1}
    assert [one["host"] for one in told["sections"]] == ["db1", "db2"]
    assert report(None, incident="INC-2041")["sections"] == told["sections"]


def test_a_file_that_was_put_back_is_shown_as_a_diff() -> None:
    acts = report(run_of("remedied", nth=1))["sections"][0]["acts"]
    assert "-MONGOD_OPTS=--no-such-option" in acts[0]["diff"].splitlines()
    assert acts[0]["changes"][0]["rows"][0][0] == "sha256"


def test_two_causes_one_after_the_other_are_both_told() -> None:
    told = report(run_of("remedied", nth=2))
    one = told["sections"][0]
    assert [cause["cause"] for cause in one["causes"]] == ["stopped", "config_broken"]
    assert [attempt["stable"] for attempt in one["attempts"]] == [False, True]
    assert told["title"] == "db1/mongodb: stopped, then config_broken, remedied"


def test_an_incident_of_several_runs_is_one_story() -> None:
    told = report(None, incident="INC-2042")
    assert [run["run"] for run in told["runs"]] == [
        run for run in RUNS if any(line["entry"].get("incident") == "INC-2042" for line in of(run))
    ]
    assert [one["kind"] for one in told["sections"]] == ["recovery", "undo", "recovery", "recovery"]
    assert [one["outcome"] for one in told["sections"]] == ["remedied", "done", "refused", "remedied"]
    assert [event["at"] for event in told["timeline"]] == sorted(event["at"] for event in told["timeline"])
    assert told["times"]["detected"] == told["sections"][0]["times"]["detected"]
    assert told["times"]["resolved"] == told["sections"][-1]["times"]["resolved"]
    assert told["times"]["unresolved"] is None


def test_of_an_incident_that_was_undone_the_first_resolution_does_not_count() -> None:
    told = report(run_of("refused", nth=0))
    assert told["times"]["resolved"] is None
    assert told["times"]["unresolved"] == "db1/mongodb is left to a person"
    assert told["objective"]["met"] is False


# What a report of the other runs says


def test_a_refusal_says_which_rule_and_what_next() -> None:
    told = report(None, incident="INC-2043")
    one = told["sections"][0]
    assert [refusal["rule"] for refusal in one["refusals"]] == ["report_only"]
    assert one["acts"] == []
    assert one["undo"]["command"] == []
    assert one["next_step"]
    assert any("Refused by rule 'report_only'" in sentence for sentence in summary(told))


def test_when_it_began_is_said_to_be_unknown_where_no_sign_tells() -> None:
    told = report(None, incident="INC-2043")
    assert told["times"]["occurred"]["at"] is None
    assert "neither" in told["times"]["occurred"]["why_unknown"]
    assert (told["times"]["to_detect"], told["times"]["outage"]) == (None, None)
    assert any("When it began is not known" in sentence for sentence in summary(told))


def test_a_diagnosis_and_a_prediction_are_told_as_such() -> None:
    looked, checked = (report(run_of("predicted", nth=n)) for n in (0, 1))
    assert (looked["sections"][0]["kind"], checked["sections"][0]["kind"]) == ("diagnosis", "check")
    assert looked["sections"][0]["causes"][0]["facts"]["unit.result"] == "signal"
    assert looked["sections"][0]["acts"] == []
    assert [act["predicted"] for act in checked["sections"][0]["acts"]] == [True]
    assert checked["sections"][0]["undo"]["command"] == []
    assert looked["objective"] is None
    assert "predicted, not done" in markdown(checked)


def test_an_undo_names_what_it_undid_and_that_it_is_undone() -> None:
    undone = run_of("remedied", nth=1)
    undo = report(run_of("done", "undo"))["sections"][0]
    assert undo["undoes"] == undone
    assert (undo["kind"], undo["impact"]["failing"]) == ("undo", [])
    assert report(undone)["sections"][0]["undo"]["undone_by"] == undo["run"]


def test_a_fleet_has_a_section_for_each_host_and_its_values() -> None:
    told = report(run_of("done", "tune_fleet"))
    assert sorted(one["host"] for one in told["sections"]) == ["fleet01", "fleet02", "fleet03"]
    assert told["sections"][0]["keys"]["net.core.somaxconn"]["status"] == "applied"
    undone = {one["host"]: one["undo"]["undone_by"] for one in told["sections"]}
    assert undone["fleet01"] and undone["fleet02"] and not undone["fleet03"]


@pytest.mark.parametrize("run", RUNS)
def test_every_recorded_run_has_a_report_of_each_kind(run: str) -> None:
    told = report(run)
    assert told["record"]["whole"]
    assert told["record"]["lines"] == len(of(run))
    assert json.loads(json.dumps(told)) == told
    for text in (markdown(told), html(told)):
        assert run in text
        assert "None" not in text.replace("NoneZ", "")


def test_a_host_that_got_well_by_itself(tmp_path: Path) -> None:
    lines = [
        line for line in of(run_of("remedied")) if line["host"] == "db1" and line["phase"] in ("looked", "outcome")
    ]
    lines[-1]["entry"] |= {"outcome": "recovered", "attempts": [], "changes": [], "remedy": None}
    told = report("last", write(tmp_path, lines))
    assert told["times"]["resolved"] == lines[-1]["entry"]["final"]["taken_at"]
    assert told["sections"][0]["proof"]["checks"][0]["after"]["status"] == "ok"
    assert "got well by itself" in " ".join(summary(told))


# The record


def test_a_run_that_broke_off_says_where(tmp_path: Path) -> None:
    lines = [line for line in of(run_of("remedied")) if line["host"] == "db1"]
    until = next(number for number, line in enumerate(lines) if line["phase"] == "intent")
    one = report("last", write(tmp_path, lines[: until + 1]))["sections"][0]
    assert (one["outcome"], one["exit_code"]) == ("unfinished", None)
    assert one["broke_off"] == "The record ends while service_restart was at work: what it changed is not known."
    earlier = report("last", write(tmp_path, lines[:2]))
    assert "after the phase 'leased'" in earlier["sections"][0]["broke_off"]
    assert "broke off" in " ".join(summary(earlier))


def test_an_edited_line_is_told_and_one_elsewhere_too(tmp_path: Path) -> None:
    folder = write(tmp_path, LINES, evidence=False)
    raw = (folder / "record.jsonl").read_text()
    run = run_of("remedied")
    (folder / "record.jsonl").write_text(raw.replace("nobody listens on port", "somebody listens on port", 1))
    edited = next(n for n, line in enumerate(raw.splitlines(), 1) if "nobody listens on port" in line)
    of_edited = LINES[edited - 1]["run"]
    told = report(of_edited, folder)
    assert not told["record"]["whole"]
    assert str(edited + 1) in told["record"]["problem"]
    assert "WARNING" in markdown(told) and "WARNING" in html(told)
    other = report(next(name for name in reversed(RUNS) if name != run), folder)["record"]
    assert other["whole"] and str(edited + 1) in other["elsewhere"]


def test_a_half_written_last_line_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path, LINES, evidence=False)
    with (folder / "record.jsonl").open("ab") as stream:
        stream.write(b'{"seq":99999,"previous":"')
    assert "not a whole line" in report(RUNS[0], folder)["record"]["elsewhere"]


def test_a_damaged_line_says_nothing_and_is_told(tmp_path: Path) -> None:
    run = run_of("remedied", nth=1)
    folder = write(tmp_path, of(run))
    raw = (folder / "record.jsonl").read_text()
    (folder / "record.jsonl").write_text(raw.replace('"phase":"outcome","entry":{', '"phase":"outcome","entry":{{'))
    told = report(run, folder)
    assert told["sections"][0]["outcome"] == "unfinished"
    assert "is damaged" in told["record"]["problem"]
    (folder / "record.jsonl").write_text(raw.replace('"entry":{', '"entry":{{'))
    with pytest.raises(CliError, match="none of its lines can be read"):
        report(run, folder)


def test_lines_of_a_newer_version_are_read_as_far_as_they_are_known(tmp_path: Path) -> None:
    lines = of(run_of("remedied"))
    newer = {**lines[0], "schema": 9, "phase": "thought", "entry": {"mood": "good"}}
    newer = {"schema": 9, **newer}
    folder = write(tmp_path, [newer, *({"schema": 9, **line} for line in lines)])
    told = report("last", folder, host="db1")
    assert told["record"]["whole"]
    assert told["sections"][0]["outcome"] == "remedied"


def test_a_clock_that_is_ahead_is_told_and_mended(tmp_path: Path) -> None:
    lines = [line for line in of(run_of("remedied")) if line["host"] == "db1"]
    for line in lines:
        line["at"] = times.shifted(line["at"], -3600)
    told = report("last", write(tmp_path, lines))
    one, same = told["sections"][0], report(run_of("remedied"), host="db1")
    assert one["clock_ahead"] == pytest.approx(-3600, abs=1)
    assert told["times"]["to_detect"] == pytest.approx(same["times"]["to_detect"], abs=0.01)
    assert "clock differs" in markdown(told)
    assert [event["at"] for event in told["timeline"]] == sorted(event["at"] for event in told["timeline"])


def test_evidence_that_was_touched_or_is_gone_is_told(tmp_path: Path) -> None:
    run = run_of("remedied")
    folder = write(tmp_path, LINES)
    journal = folder / "evidence" / run / "db1" / "unit-journal.txt"
    journal.write_text(journal.read_text().replace("SIGKILL", "nothing"))
    one = report(run, folder, host="db1")["sections"][0]
    states = {file["name"]: file["state"] for file in one["evidence"]["files"]}
    assert states["unit-journal.txt"] == "changed"
    assert states["kernel.txt"] == "gone"
    assert one["times"]["occurred"]["source"] == "check unit", "evidence that was changed proves nothing"
    (folder / "evidence" / run / "db1" / "manifest.json").write_text("{")
    told = report(run, folder, host="db1")
    assert told["sections"][0]["evidence"]["present"] is False
    assert "not there any more" in markdown(told)


def test_secrets_in_evidence_are_masked_again(tmp_path: Path) -> None:
    run = run_of("remedied")
    folder = write(tmp_path, LINES)
    place = folder / "evidence" / run / "db1"
    manifest = json.loads((place / "manifest.json").read_text())
    log = next(file for file in manifest["files"] if file["name"].startswith("log-"))
    looked = times.moment(entry(run, "looked")["document"]["taken_at"])
    stamp = times.text(looked - timedelta(seconds=8))
    text = f"time={stamp} level=ERROR msg=login password=hunter2hunter2\n"
    (place / log["name"]).write_text(text)
    import hashlib

    log["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (place / "manifest.json").write_text(json.dumps(manifest))
    told = report(run, folder, host="db1")
    assert any("level=ERROR" in sign["text"] for sign in told["sections"][0]["signs"])
    assert "hunter2" not in json.dumps(told) + markdown(told) + html(told)


# The command


def test_the_document_and_both_kinds_of_text(cli: Cli) -> None:
    run = run_of("remedied")
    done = cli.run("report", run, "--format", "json", *WHERE)
    assert (done.code, done.data["schema"]) == (0, "ops.runbook/report/1")
    assert done.data == report(run)
    assert cli.run("report", run, *WHERE).out.startswith("# db1/mongodb: killed, remedied\n")
    assert cli.run("report", run, "--as", "html", *WHERE).out.startswith("<!DOCTYPE html>")
    assert cli.run("report", "last", "--query", "runs[0].run", *WHERE).data == RUNS[-1]


def test_a_file_is_for_its_owner_alone_and_its_ending_says_what_it_is(cli: Cli, tmp_path: Path) -> None:
    for name, begins in (("r.md", "# INC-2041"), ("r.html", "<!DOCTYPE html>")):
        done = cli.run("report", "--incident", "INC-2041", "--output", str(tmp_path / name), *WHERE)
        assert (done.code, "INC-2041" in done.out) == (0, True)
        assert (tmp_path / name).read_text().startswith(begins)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "r.md"]
    done = cli.run("report", "last", "--as", "html", "--output", str(tmp_path / "plain"), *WHERE)
    assert (tmp_path / "plain").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "no run is named"),
        (("last", "--incident", "INC-2041"), "a run and an incident are named"),
        (("20990101T000000Z-000000",), f"The latest ones: {RUNS[-1]}"),
        (("--incident", "INC-204l"), "Did you mean INC-204"),
        (("last", "--host", "fleet1"), "Did you mean fleet"),
        (("last", "--output", "report.pdf"), "Use .md or .html"),
        (("last", "--output", "/nowhere/report.md"), "cannot be written"),
    ],
)
def test_what_is_refused(words: tuple[str, ...], says: str, cli: Cli) -> None:
    done = cli.run("report", *words, *WHERE)
    assert done.code == 2
    assert says in done.err


@pytest.mark.parametrize(("content", "says"), [(None, "there is no record"), ("", "is not in the record")])
def test_no_record_or_an_empty_one(content: str | None, says: str, cli: Cli, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "record.jsonl").write_text(content)
    done = cli.run("report", "last", "--records", str(tmp_path), "--project", str(ROOT))
    assert done.code == 2
    assert says in done.err
