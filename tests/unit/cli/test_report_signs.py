# SPDX-License-Identifier: GPL-3.0-or-later
"""The first bad sign: which line of a journal or log tells when it began, and which is of something else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runbook_cli import report_signs as signs
from runbook_cli import report_times as times
from runbook_cli.report_evidence import Said

LOOK = datetime(2026, 1, 5, 2, 0, 0, tzinfo=UTC)
FAILED = "systemd[1]: mongod.service: Failed with result 'signal'."
STARTED = "systemd[1]: Started mongod.service - MongoDB."
FULL = 'level=ERROR msg="database or disk is full (13)"'


def said(before: float, text: str, file: str = signs.JOURNAL, own: bool = True) -> Said:
    """A line from so many seconds before the first look."""
    return Said(file, LOOK - timedelta(seconds=before), own, text)


def unit(before: float | None, status: str = "critical") -> dict:
    at = times.text(LOOK - timedelta(seconds=before)) if before is not None else None
    return {"checks": {"unit": {"status": status, "summary": "mongod failed", "data": {"state_changed_at": at}}}}


def first(document: dict, lines: list[Said], since: float | None = None) -> dict:
    seen = LOOK - timedelta(seconds=since) if since is not None else None
    return signs.first(document, signs.of_incident(lines, LOOK, seen), seen)


def seconds(found: dict) -> float:
    return (LOOK - times.moment(found["at"])).total_seconds()


def test_a_line_of_the_same_second_says_more_than_the_units_state() -> None:
    found = first(unit(30), [said(29.5, FAILED)])
    assert (seconds(found), found["source"]) == (29.5, signs.JOURNAL)
    assert found["sign"] == FAILED


def test_without_lines_the_units_state_tells() -> None:
    found = first(unit(30), [])
    assert (seconds(found), found["source"], found["sign"]) == (30, "check unit", "mongod failed")


def test_a_log_may_have_told_before_the_unit_failed() -> None:
    assert seconds(first(unit(30), [said(90, FULL, "log-x.txt"), said(29.8, FAILED)])) == 90


def test_what_was_said_long_before_a_failure_is_no_part_of_it() -> None:
    assert seconds(first(unit(30), [said(7200, FULL, "log-x.txt"), said(29.8, FAILED)])) == 29.8


def test_a_crash_loop_began_with_its_first_crash() -> None:
    loop = [said(at, text) for at in (300, 200, 100, 30) for text in (FAILED, STARTED)]
    assert seconds(first(unit(29), loop)) == 300


def test_a_running_unit_that_logs_errors_began_with_the_first_of_them() -> None:
    assert seconds(first(unit(None, "ok"), [said(5000, FULL, "log-x.txt"), said(10, FULL, "log-x.txt")])) == 5000


def test_a_start_that_was_good_for_a_minute_ends_an_earlier_incident() -> None:
    lines = [said(5000, FAILED), said(4990, STARTED), said(10, FULL, "log-x.txt")]
    assert seconds(first(unit(None, "ok"), lines)) == 10
    soon = [said(5000, FAILED), said(50, STARTED), said(10, FULL, "log-x.txt")]
    assert seconds(first(unit(None, "ok"), soon)) == 5000


def test_nothing_before_it_was_last_seen_well_counts() -> None:
    assert (
        seconds(first(unit(None, "ok"), [said(500, FULL, "log-x.txt"), said(20, FULL, "log-x.txt")], since=100)) == 20
    )
    assert first(unit(500), [], since=100)["at"] is None


def test_what_a_log_says_after_the_look_began_may_be_its_echo() -> None:
    found = first(unit(None, "ok"), [said(-1, FULL, "log-x.txt")])
    assert found["at"] is None
    assert "neither" in found["why_unknown"]


def test_lines_without_a_time_of_their_own_say_that_it_is_not_known() -> None:
    found = first(unit(None, "ok"), [said(9, "error: unknown flag", "log-x.txt", own=False)])
    assert found["at"] is None
    assert "no time" in found["why_unknown"]


@pytest.mark.parametrize(
    "text",
    [
        "mongod.service: Main process exited, code=killed, status=9/KILL",
        "mongod.service: Main process exited, code=exited, status=1/FAILURE",
        "ferretdb: error: unknown flag --no-such-option",
        '{"t":{"$date":"2026-01-05T02:00:00Z"},"s":"F",  "c":"STORAGE"}',
        "listen tcp 127.0.0.1:27017: bind: address already in use",
    ],
)
def test_bad_lines(text: str) -> None:
    assert signs.is_bad(text)


@pytest.mark.parametrize(
    "text", ["Main process exited, code=exited, status=0/SUCCESS", 'level=INFO msg="Listening"', "errors=0", STARTED]
)
def test_lines_that_are_not_bad(text: str) -> None:
    assert not signs.is_bad(text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-01-05T02:00:00.123456+0000 db1 systemd[1]: x", "2026-01-05T02:00:00.123Z"),
        ("2026-01-05T04:00:00+02:00 x", "2026-01-05T02:00:00.000Z"),
        ("time=2026-01-05T02:00:00.5Z level=INFO", "2026-01-05T02:00:00.500Z"),
        ('{"t":{"$date":"2026-01-05T02:00:00.000+00:00"},"s":"E"}', "2026-01-05T02:00:00.000Z"),
        ("[2026-01-05 02:00:00,250Z] x", "2026-01-05T02:00:00.250Z"),
        ("2026-01-05 02:00:00 no zone: nobody knows when", None),
        ("2026-13-45T02:00:00Z x", None),
        ("0001-01-01T00:00:00+14:00 before all time", None),
        ("no time", None),
    ],
)
def test_the_moment_of_a_line(line: str, expected: str | None) -> None:
    assert times.text(times.stamp(line)) == expected


@pytest.mark.parametrize(
    ("spent", "told"),
    [
        (None, "not known"),
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (18720, "5 h 12 min"),
    ],
)
def test_spans(spent: float | None, told: str) -> None:
    assert times.span(spent) == told


def test_a_span_of_days() -> None:
    assert times.span(3 * 86400 + 4 * 3600 + 59) == "3 d 4 h"


def test_moments_the_wrong_way_round_have_no_span() -> None:
    assert times.seconds("2026-01-05T02:00:01.000Z", "2026-01-05T02:00:00.000Z") is None


def test_many_lines_are_shown_by_their_first_and_last() -> None:
    lines = [said(100 - n, f"error: {n}") for n in range(50)]
    assert [one.text for one in signs.shown(lines)] == [f"error: {n}" for n in (0, 1, 2, 3, 46, 47, 48, 49)]
    assert len(signs.shown([said(9, FAILED), said(8, FAILED)])) == 1
