# SPDX-License-Identifier: GPL-3.0-or-later
"""The time line as a picture: its steps from top to bottom, and the time between them; for SVG and text. Pure."""

from __future__ import annotations

import itertools
import math
from typing import Any

from runbook_cli import report_times as times

Json = dict[str, Any]
MOST = 20
"""Steps in one picture; a fleet is summed up."""
MARKS = {"bad": "x", "look": "o", "decide": "?", "act": ">", "good": "*"}
TOP, STEP, WIDTH, AXIS = 22.0, 46.0, 360.0, 84.0
_LABEL, _DETAIL = 32, 44
"""Characters that fit beside the axis."""


def steps(document: Json) -> list[Json]:
    """The steps of the picture: {at, kind, what, detail, gap}, gap in seconds since the step before."""
    events = document["timeline"]
    sick = [event for event in events if event["host"] in _sick(document)] or events
    found = sick if len(sick) <= MOST else _summed(sick)
    hosts = {event["host"] for event in found if event["host"]}
    named = [{**event, "what": _named(event, hosts)} for event in found]
    gaps = [None, *(times.seconds(a["at"], b["at"]) for a, b in itertools.pairwise(named))]
    return [{**event, "gap": gap} for event, gap in zip(named, gaps, strict=True)]


def _sick(document: Json) -> set[str]:
    return {one["host"] for one in document["sections"] if one["times"]["detected"]}


def _named(event: Json, hosts: set[str]) -> str:
    return f"{event['host']}: {event['what']}" if len(hosts) > 1 and event["host"] else str(event["what"])


def _summed(events: list[Json]) -> list[Json]:
    """Many events by what they are: the first of each kind, and the last where there are several."""
    groups: dict[str, list[Json]] = {}
    for event in events:
        groups.setdefault(event["what"], []).append(event)
    found = []
    for what, those in groups.items():
        first, last, count = those[0], those[-1], len({one["host"] for one in those})
        lead = {"host": "", "detail": f"on {count} hosts" if count > 1 else those[0]["host"]}
        found.append({**first, **lead, "what": what if len(those) == 1 else f"{what}, first"})
        if len(those) > 1:
            found.append({**last, **lead, "what": f"{what}, last"})
    return sorted(found, key=lambda event: str(event["at"]))[:MOST]


def geometry(document: Json) -> Json:
    """What the SVG draws: {width, height, axis, points: [{x, y, kind, at, what, detail, gap, from, way}]}.

    A longer wait is a longer line, by its logarithm: a night and a second both stay to be seen.
    """
    points: list[Json] = []
    y = TOP
    for step in steps(document):
        above = points[-1]["y"] if points else None
        if above is not None:
            y = above + STEP + min(64.0, 16.0 * math.log10(1.0 + (step["gap"] or 0.0)))
        points.append(
            {
                **step,
                "y": round(y, 1),
                "from": above,
                "way": _way(points[-1]["kind"] if points else "", step["kind"]),
                "clock": str(step["at"])[11:19],
                "what": _cut(step["what"], _LABEL),
                "detail": _cut(step["detail"] or "", _DETAIL),
                "gap": times.span(step["gap"]) if step["gap"] and step["gap"] >= 0.05 else "",
            }
        )
    return {"width": WIDTH, "height": round(y + 34.0, 1), "axis": AXIS, "points": points}


def _way(before: str, kind: str) -> str:
    """How the line to a step is drawn: nobody knew yet, it went well, or people and programs were at work."""
    if before == "bad" and kind == "look":
        return "unseen"
    return "well" if kind == "good" and before in ("act", "good") else "work"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."


def words(document: Json) -> str:
    """What the picture shows, for those who do not see it."""
    told = [f"{times.clock(step['at'])[11:]} {step['what']}" for step in steps(document)]
    return "; ".join(told)


def plain(document: Json) -> str:
    """The picture in plain text, for Markdown and terminals."""
    lines = []
    for step in steps(document):
        if step["gap"] and step["gap"] >= 0.05:
            lines.append(f"{'':12}  |  {times.span(step['gap'])}")
        detail = f"  ({_cut(' '.join(str(step['detail']).split()), 90)})" if step["detail"] else ""
        lines.append(f"{times.clock(step['at'])[11:23]}  {MARKS[step['kind']]}  {step['what']}{detail}")
    return "\n".join(lines)
