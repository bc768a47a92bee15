# SPDX-License-Identifier: GPL-3.0-or-later
"""A change as an experiment: numbers before and after, and whether they say keep or put back."""

from __future__ import annotations

import json
import math
import statistics
import typing as t
import urllib.error
import urllib.parse

from ansible.module_utils.urls import open_url

from .errors import BadInput, CannotLook

Json = dict[str, t.Any]
WELL = ("ok", "warning")


def number(text: str, where: str) -> float:
    """The one number that a measurement printed.

    Raises:
        CannotLook: It printed something else.
    """
    try:
        value = float(text.strip())
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        shown = " ".join(text.split())[:80] or "nothing"
        raise CannotLook(f"did not yield one number but {shown!r}", where, "Let it print a number and nothing else.")
    return value


def of_check(measurement: Json, where: str) -> float:
    """The number from a measurement of a `command` check, see module_utils/collectors/command.py.

    Raises:
        CannotLook: The command could not be run, failed, took too long, or printed no number.
    """
    if measurement["unknown"]:
        raise CannotLook(measurement["unknown"], where)
    data = measurement["data"]
    if data["timed_out"]:
        raise CannotLook(f"did not end within {data['took_ms'] / 1000:.0f} s", where, "Raise its timeout.")
    if data["rc"]:
        said = " ".join((data["stderr"] or data["stdout"]).split())[-200:]
        raise CannotLook(f"exited with {data['rc']}: {said}", where)
    return number(data["stdout"], where)


def prometheus(url: str, query: str, timeout: float) -> float:
    """The number that a Prometheus instant query yields now (HTTP API v1, /api/v1/query).

    Raises:
        BadInput: The URL is no http(s) URL.
        CannotLook: No answer, an error, or not exactly one series.
    """
    if not url.startswith(("http://", "https://")):
        raise BadInput("is no http or https URL", f"measurement.url {url}")
    full = f"{url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with open_url(full, timeout=timeout) as response:
            result = json.load(response)["data"]
    except urllib.error.HTTPError as error:
        said = " ".join(error.read(300).decode("utf-8", "replace").split())
        raise CannotLook(f"Prometheus answered {error.code}: {said}", url, "Try the query by hand.") from error
    except (OSError, ValueError, KeyError) as error:
        raise CannotLook(f"no answer of Prometheus: {error}", url, "Is it reachable from the controller?") from error
    series = [result["result"]] if result["resultType"] == "scalar" else [one["value"] for one in result["result"]]
    if len(series) != 1:
        raise CannotLook(f"yields {len(series)} series", query, "Aggregate it to one, such as by sum(...).")
    return number(str(series[0][1]), query)


def judge(before: list[float], after: list[float], better: str, tolerance: float) -> Json:
    """What the numbers say.

    Args:
        before: Samples taken before the change, at least one.
        after: Samples taken after it.
        better: `higher` or `lower`.
        tolerance: Percent of the median before that may be lost before it counts as harm.

    Returns:
        verdict (better|neutral|harmful), before, after (medians), change (percent of before, or of after where that
        was 0; positive is better), tolerance, samples ({before, after}).
    """
    first, last = statistics.median(before), statistics.median(after)
    gain = last - first if better == "higher" else first - last
    change = 100 * gain / (abs(first) or abs(last) or 1)
    verdict = "harmful" if change < -tolerance else "better" if change > tolerance else "neutral"
    return {
        "verdict": verdict,
        "before": first,
        "after": last,
        "change": round(change, 1),
        "tolerance": tolerance,
        "samples": {"before": before, "after": after},
    }


def worse(before: Json | None, after: Json | None) -> str:
    """Which checks are worse in the second of two probe documents; empty when none is."""
    if before is None or after is None:
        return ""
    gravity = ("ok", "warning", "unknown", "critical")
    told = [
        f"{name}: {check['summary']}"
        for name, check in after["checks"].items()
        if gravity.index(check["status"]) > gravity.index(before["checks"].get(name, check)["status"])
    ]
    return "; ".join(told)


def sentence(judged: Json) -> str:
    """A judgement for a person: `41.2 -> 80.1 (+94.4 %, better)`."""
    return f"{judged['before']:g} -> {judged['after']:g} ({judged['change']:+.1f} %, {judged['verdict']})"
