# SPDX-License-Identifier: BSD-2-Clause
"""Counts, rates, sums and percentiles of logs, in a window of time or since a cursor, in one pass and bounded memory.

A missing log is not a quiet one: what concerns it is None, and named in `missing`. So is what rests on lines whose
time cannot be told, where a window asks for it.
"""

from __future__ import annotations

import time

from .errors import BadInput, CannotLook, OpsError
from .host import utc
from .log_stats_cursor import cursor_of
from .log_stats_files import expand, open_log
from .log_stats_jobs import Count, Job, parse_jobs, parse_ratios
from .log_stats_scan import Scan, Span
from .log_stats_sketch import percent
from .log_stats_time import parse_moment
from .names import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

_PLACE: dict[str, Any] = {"inode": (int, type(None)), "offset": int, "mark": int}
_CURSOR: dict[str, Any] = dict(_PLACE, written=(int, float), at=(int, float), before=(dict, type(None)))


def run(params: Json, check: bool) -> Json:
    """Look at the logs.

    Returns:
        changed (false), message, complete, logs, lines, bytes, window ({since, until, covered_seconds}), counts,
        values, groups, ratios, cursors, missing: the same keys on every path.
    """
    try:
        return _run(params, time.time())
    except OpsError as error:
        error.result = dict(_answer([], 0.0), message=str(error))
        raise


def _run(params: Json, now: float) -> Json:
    ends = time.monotonic() + params["timeout"]
    jobs, ratios, span = parse_jobs(params), parse_ratios(params), _span(params, now)
    named = expand(_paths(params["paths"]), params["rotated"])
    cursors = _cursors(params["cursors"])
    scans: list[Scan] = []
    for path in dict.fromkeys(path for paths in named.values() for path in paths):
        concerned = [job for job in jobs if job.path is None or path in named[job.path]]
        scan = Scan(shown(path), span, concerned, params, ends)
        _look(scan, path, params["rotated"], None if cursors is None else cursors.get(shown(path)))
        scans.append(scan)
    _demand_sight(scans)
    return _told(scans, jobs, ratios, now)


def _paths(paths: list[str]) -> list[str]:
    if not paths:
        raise BadInput("is empty", "paths", "Name at least one log.")
    for path in paths:
        if not path.startswith("/") or "\0" in path:
            raise BadInput("is not an absolute path", shown(path.replace("\0", "\\0")), "Write it in full.")
    return paths


def _span(params: Json, now: float) -> Span:
    since, until = (parse_moment(params[key], now, key) if params[key] else None for key in ("since", "until"))
    if since is not None and since >= (now if until is None else until):
        raise BadInput("is not before %s" % ("now" if until is None else "until"), "since", "Give an earlier time.")
    if not 0 < params["timeout"] < 86400:
        raise BadInput("%g s is no limit" % params["timeout"], "timeout", "Give the seconds that it may take.")
    return Span(since, until, now)


def _cursors(given: Json | None) -> Json | None:
    for path, cursor in (given or {}).items():
        if not _fits(cursor, _CURSOR) or not (cursor["before"] is None or _fits(cursor["before"], _PLACE)):
            raise BadInput("is no cursor", "cursors.%s" % path, "Give the `cursors` of an earlier answer.")
    return given


def _fits(given: Any, kinds: Json) -> bool:
    return (
        isinstance(given, dict)
        and set(given) == set(kinds)
        and all(isinstance(given[key], kind) for key, kind in kinds.items())
        and given["offset"] >= 0
    )


def _look(scan: Scan, path: str, rotated: bool, cursor: Json | None) -> None:
    try:
        log = open_log(path, rotated)
    except OpsError as error:
        scan.fail(error.what)
        return
    try:
        scan.cursor = cursor_of(log, scan.span.now)
        scan.errors = {shown(place): why for place, why in log.errors.items()}
        if log.live is None:
            scan.fail(log.errors.get(path, ""))
        else:
            scan.read(log, cursor)
    finally:
        log.close()


def _demand_sight(scans: list[Scan]) -> None:
    """Raise CannotLook when no log could be looked at; that some are missing is an answer."""
    if any(scan.exists for scan in scans):
        return
    for scan in scans:
        if scan.error:
            raise CannotLook(scan.error, scan.path, "See its mode and owner, or become root.")


def _told(scans: list[Scan], jobs: list[Job], ratios: dict[str, tuple[str, str]], now: float) -> Json:
    answer = _answer(scans, now)
    for job in jobs:
        kind, name = job.name.split(".", 1)
        answer[kind][name] = job.told()
        if job.unknown:
            answer["missing"].append(job.name)
    for name, (part, whole) in ratios.items():
        answer["ratios"][name] = percent(answer["counts"][part]["count"], answer["counts"][whole]["count"])
        if answer["counts"][part]["count"] is None or answer["counts"][whole]["count"] is None:
            answer["missing"].append("ratios.%s" % name)
    answer["message"] = _message(answer, jobs)
    return answer


def _answer(scans: list[Scan], now: float) -> Json:
    covered = [scan.covered for scan in scans if scan.covered is not None]
    span = scans[0].span if scans else Span(None, None, now)
    return {
        "changed": False,
        "message": "",
        "complete": bool(scans) and all(scan.complete for scan in scans),
        "logs": [scan.told() for scan in scans],
        "lines": sum(scan.lines for scan in scans),
        "bytes": sum(file["bytes_read"] for scan in scans for file in scan.files),
        "window": {
            "since": None if span.since is None else utc(span.since),
            "until": None if span.until is None else utc(span.until),
            "covered_seconds": min(covered, default=None),
        },
        "counts": {},
        "values": {},
        "groups": {},
        "ratios": {},
        "cursors": {scan.path: scan.cursor for scan in scans if scan.cursor},
        "missing": [],
    }


def _message(answer: Json, jobs: list[Job]) -> str:
    said = ["%d lines" % answer["lines"]]
    said += ["%s %d" % (job.name[7:], job.count) for job in jobs if isinstance(job, Count) and not job.unknown]
    said += ["%s %.3g %%" % (name, value) for name, value in answer["ratios"].items() if value is not None]
    said += ["%s is not known: %s" % (job.name, job.unknown) for job in jobs if job.unknown]
    for log in answer["logs"]:
        if log["note"] and log["exists"]:
            said.append("%s: %s" % (log["path"], log["note"]))
    return "; ".join(said)
