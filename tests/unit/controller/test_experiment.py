# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers before and after a change: what they say, and what is no number."""

from __future__ import annotations

import json
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import experiment
from ansible_collections.ops.runbook.plugins.plugin_utils.errors import BadInput, CannotLook
from hypothesis import given
from hypothesis import strategies as st

POSITIVE = st.floats(0.001, 1e9, allow_nan=False)


@pytest.mark.parametrize(
    ("before", "after", "better", "verdict", "change"),
    [
        ([40, 41, 42], [80, 82, 84], "higher", "better", 100.0),
        ([40, 41, 42], [80, 82, 84], "lower", "harmful", -100.0),
        ([100], [96], "higher", "neutral", -4.0),
        ([100], [95], "higher", "neutral", -5.0),
        ([100], [94.9], "higher", "harmful", -5.1),
        ([100], [105.1], "higher", "better", 5.1),
        ([100], [94.9], "lower", "better", 5.1),
        ([1, 100, 100], [100, 100, 1], "higher", "neutral", 0.0),  # the median, so that one outlier does not decide
        ([0], [5], "higher", "better", 100.0),
        ([0], [5], "lower", "harmful", -100.0),
        ([0], [0], "lower", "neutral", 0.0),
        ([-10], [-20], "higher", "harmful", -100.0),
    ],
)
def test_verdict(before: list[float], after: list[float], better: str, verdict: str, change: float) -> None:
    judged = experiment.judge(before, after, better, 5)
    assert (judged["verdict"], judged["change"]) == (verdict, change)
    assert judged["samples"] == {"before": before, "after": after}


@given(POSITIVE, POSITIVE, st.floats(0, 50))
def test_what_is_better_one_way_is_harmful_the_other(before: float, after: float, tolerance: float) -> None:
    other = {"better": "harmful", "harmful": "better", "neutral": "neutral"}
    higher = experiment.judge([before], [after], "higher", tolerance)["verdict"]
    assert experiment.judge([before], [after], "lower", tolerance)["verdict"] == other[higher]


@given(POSITIVE, st.sampled_from(["higher", "lower"]))
def test_no_change_is_never_harm(value: float, better: str) -> None:
    assert experiment.judge([value], [value], better, 0)["verdict"] == "neutral"


def test_sentence() -> None:
    judged = experiment.judge([41.2], [80.1], "higher", 5)
    assert experiment.sentence(judged) == "41.2 -> 80.1 (+94.4 %, better)"


@pytest.mark.parametrize("text", ["", "  ", "12 MB/s", "1 2", "nan", "inf", "-inf", "{}"])
def test_what_is_no_number_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(CannotLook, match="did not yield one number"):
        experiment.number(text, "measure")


def measured(**data: t.Any) -> dict[str, t.Any]:
    return {"unknown": None, "data": {"rc": 0, "timed_out": False, "stdout": "", "stderr": "", "took_ms": 3.0, **data}}


def test_number_of_a_command() -> None:
    assert experiment.of_check(measured(stdout=" 41.5\n"), "measure") == 41.5


@pytest.mark.parametrize(
    ("measurement", "said"),
    [
        ({"unknown": "iperf3 is not installed"}, "iperf3 is not installed"),
        (measured(rc=None, timed_out=True, took_ms=30000), "did not end within 30 s"),
        (measured(rc=2, stderr="no route\nto host", stdout="7"), "exited with 2: no route to host"),
        (measured(rc=2, stdout="half a number"), "exited with 2: half a number"),
    ],
)
def test_a_command_that_failed_yields_nothing(measurement: dict[str, t.Any], said: str) -> None:
    with pytest.raises(CannotLook, match=said):
        experiment.of_check(measurement, "measure")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("ok", "ok", ""),
        ("warning", "ok", ""),
        ("ok", "warning", "unit: is warning"),
        ("ok", "unknown", "unit: is unknown"),
        ("unknown", "critical", "unit: is critical"),
    ],
)
def test_checks_that_are_worse(before: str, after: str, said: str) -> None:
    def document(status: str) -> dict[str, t.Any]:
        return {"checks": {"unit": {"status": status, "summary": f"is {status}"}}}

    assert experiment.worse(document(before), document(after)) == said
    assert not experiment.worse(None, document(after))


class Prometheus(BaseHTTPRequestHandler):
    """Answers as Prometheus' HTTP API v1 does; the query names the answer."""

    ANSWERS: t.ClassVar = {
        "one": (200, {"resultType": "vector", "result": [{"metric": {}, "value": [1, "41.5"]}]}),
        "two": (200, {"resultType": "vector", "result": [{"value": [1, "1"]}, {"value": [1, "2"]}]}),
        "none": (200, {"resultType": "vector", "result": []}),
        "scalar": (200, {"resultType": "scalar", "result": [1, "7"]}),
        "nan": (200, {"resultType": "scalar", "result": [1, "NaN"]}),
    }

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query)["query"][0]
        code, data = self.ANSWERS.get(query, (400, None)) if asked.path == "/api/v1/query" else (404, None)
        body = json.dumps({"status": "success", "data": data} if data else {"error": "parse error"}).encode()
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: t.Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> t.Iterator[str]:
    listening = HTTPServer(("127.0.0.1", 0), Prometheus)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    thread.join()
    listening.server_close()


def test_prometheus_yields_one_number(server: str) -> None:
    assert experiment.prometheus(server, "one", 5) == 41.5
    assert experiment.prometheus(server + "/", "scalar", 5) == 7


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("two", "yields 2 series"),
        ("none", "yields 0 series"),
        ("nan", "one number"),
        ("sum(", "answered 400.*parse error"),
    ],
)
def test_prometheus_that_yields_no_number(server: str, query: str, said: str) -> None:
    with pytest.raises(CannotLook, match=said):
        experiment.prometheus(server, query, 5)


def test_prometheus_that_is_not_there() -> None:
    with pytest.raises(CannotLook, match="no answer of Prometheus"):
        experiment.prometheus("http://127.0.0.1:9", "one", 1)
    with pytest.raises(BadInput, match="no http or https URL"):
        experiment.prometheus("file:///etc/passwd", "one", 1)
