# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as HTML and Markdown, read by parsers: whole, self-contained, readable, and deaf to what hosts may say."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from report_records import LINES, every, of, report, run_of, texts, write

from runbook_cli import report_picture as picture
from runbook_cli.report_render import code, fenced, html, markdown, markdown_text
from runbook_cli.report_text import clean, line

VOID = {"meta", "path", "circle", "rect"}
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "div", "figure", "figcaption"),
    *("h1", "h2", "h3", "p", "ul", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "pre", "code"),
    *("span", "strong", "small", "time", "details", "summary", "svg", "desc", "path", "circle", "rect", "text"),
}
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "' onload='alert(1)\" onclick=\"x",
    "</code></pre></td></table></section></svg><h1>owned</h1>",
    "</title></style><script>x</script>",
    "{{ 7 * 7 }}{% raw %}",
    "`` ` ``` code\n```\n# a heading\n",
    "a | b | c \\| d",
    "[x](javascript:alert(1)) ![y](http://evil.example/z.png)",
    "](javascript:alert(1)",
    "<http://evil.example/> and http://evil.example/ and www.evil.example",
    "*bold* _it_ ~~gone~~ **more** &lt;b&gt;",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b31m bell\x07 \x08\x08back",
    "left \u202etfel\u202c \u2066isolated\u2069 \u200bzero\ufeff",
    "line\r\nbreak\u2028more\u0000nul",
    "x" * 1_000_000,
    "\ud800 lone",
]


class Page(HTMLParser):
    """Every element with its attributes, texts by element, and whether tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == [], "not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _value in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self, *tags: str) -> str:
        return "\n".join(text for tag, text in self.texts if tag in tags)


CURED = report(run_of("remedied", nth=1))


def test_every_part_is_there() -> None:
    page = Page(html(CURED))
    headings = [text.strip() for text in page.said("h2", "h3").splitlines() if text.strip()]
    for wanted in ("Runs", "Impact", "Cause", "What was changed", "How it was verified", "How to undo it", "Evidence"):
        assert wanted in headings
        assert re.search(rf"^##+ {wanted}$", markdown(CURED), re.M)
    assert headings[-1] == "What to prevent"
    assert {"Occurred", "Detected", "Decided", "Well again", "Resolved"} <= set(page.said("th").splitlines())
    assert page.said("h1").strip() == CURED["title"]


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    text = html(report(None, incident="INC-2042"))
    page = Page(text)
    assert {tag for tag, _attributes in page.elements} <= TAGS
    for _tag, attributes in page.elements:
        assert not {
            name for name in attributes if name.startswith("on") or name in ("href", "src", "xlink:href", "style")
        }
    assert "default-src 'none'" in str(page.of("meta"))
    assert not re.search(r"url\(|@import|https?://", text)


def test_the_page_is_accessible() -> None:
    page = Page(html(report(None, incident="INC-2042")))
    assert page.of("html")[0]["lang"] == "en"
    ids = [attributes["id"] for _tag, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _tag, attributes in page.elements:
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(ids)
    assert all("aria-labelledby" in one or "aria-label" in one for one in page.of("section"))
    drawn = page.of("svg")[0]
    assert drawn["role"] == "img"
    assert page.said("desc").count(";") >= 4, "the picture is told in words, too"
    assert all(one.get("scope") in ("row", "col") for one in page.of("th"))
    assert sum(tag == "h1" for tag, _attributes in page.elements) == 1


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_light_dark_and_print_are_readable() -> None:
    schemes = re.findall(r":root \{([^}]*)\}", html(CURED))
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", scheme))
        for ground in ("paper", "block"):
            for ink in ("ink", "soft", "good", "bad", "note", "look"):
                assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground, scheme)


def test_the_picture_tells_apart_without_colour() -> None:
    points = picture.geometry(CURED)["points"]
    assert [point["y"] for point in points] == sorted({point["y"] for point in points})
    assert {"bad", "look", "decide", "act", "good"} == {point["kind"] for point in points}
    marks = re.findall(r'<(path|circle|rect) class="mark (\w+)"', html(CURED))
    assert len({(shape, kind) for shape, kind in marks}) == 5
    assert len(picture.plain(CURED).splitlines()) >= len(points)


def test_a_longer_wait_is_a_longer_line() -> None:
    def gap(seconds: int) -> float:
        at = [f"2026-01-0{1 + s // 86400}T{s // 3600 % 24:02d}:{s // 60 % 60:02d}:00.000Z" for s in (0, seconds)]
        events = [{"at": one, "host": "h", "run": "r", "kind": "look", "what": "x", "detail": ""} for one in at]
        points = picture.geometry({"timeline": events, "sections": []})["points"]
        return points[1]["y"] - points[0]["y"]

    assert gap(0) < gap(60) < gap(3600) < gap(2 * 86400) < 120


def test_a_fleet_is_summed_up() -> None:
    told = report(run_of("done", "tune_fleet"))
    many = [
        {**one, "host": f"h{n}", "target": f"h{n}", "outcome": "done"}
        for n in range(60)
        for one in told["sections"][:1]
    ]
    bad = {**many[0], "host": "sick", "target": "sick", "outcome": "failed", "error": "it broke"}
    events = [{**event, "host": one["host"]} for one in many for event in told["timeline"][:2]]
    document = {**told, "sections": [*many, bad], "timeline": events, "outcomes": {"done": 60, "failed": 1}}
    page = Page(html(document))
    assert len(picture.steps(document)) <= picture.MOST
    assert len([one for one in page.of("details") if one.get("class") == "host"]) == 60
    text = markdown(document)
    assert "## sick: failed" in text and "## h7: done" not in text and "| h7 |" in text


# What hosts may say


def _hostile(tmp_path: Path, payload: str) -> dict:
    """The report on a record in which every text of a cure that a host can choose says payload."""
    lines = [item for item in of(run_of("remedied", nth=1)) if item["host"] == "db1"]
    keep = (
        "status",
        "at",
        "taken_at",
        "outcome",
        "phase",
        "module",
        "kind",
        "started_at",
        "directory",
        "state_changed_at",
    )

    def poisoned(node: object) -> object:
        if isinstance(node, dict):
            return {key: value if key in keep else poisoned(value) for key, value in node.items()}
        if isinstance(node, list):
            return [poisoned(value) for value in node]
        return f"{node} {payload}" if isinstance(node, str) else node

    for item in lines:
        item["entry"] = poisoned(item["entry"])
        if item["phase"] == "outcome":
            item["entry"]["incident"] = payload[:60]
            item["entry"]["severity"] = payload
            item["entry"]["refusals"] = [{"rule": payload, "reason": payload, "next_step": payload}]
            item["entry"]["findings"] = [{"where": payload, "what": payload, "hint": payload}]
            item["entry"]["keys"] = {payload: {"before": payload, "wanted": 1, "after": None, "status": payload}}
        if item["phase"] == "decided":
            item["entry"]["diagnosis"]["facts"] = {"config_broken": {payload: payload}}
    return report("last", write(tmp_path, lines, evidence=False))


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_html_shows_hostile_text_and_does_nothing_else(payload: str, tmp_path: Path) -> None:
    text = html(_hostile(tmp_path, payload))
    page = Page(text)
    assert {tag for tag, _attributes in page.elements} <= TAGS
    for _tag, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on") or name in ("href", "src", "style")}
    assert len(page.of("style")) == len(page.of("svg")) == 1
    assert sum(tag == "h1" for tag, _attributes in page.elements) == 1
    assert len(text) < 600_000
    _assert_harmless(text)
    text.encode()


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_markdown_shows_hostile_text_and_does_nothing_else(payload: str, tmp_path: Path) -> None:
    text = markdown(_hostile(tmp_path, payload))
    plain = markdown(_hostile(tmp_path / "plain", "harmless"))
    tokens, expected = (_tokens(one) for one in (text, plain))
    assert not {"html_block", "html_inline", "link_open", "image", "em_open", "strong_open", "s_open"} & {
        token.type for token in tokens
    }
    structure = ("heading_open", "table_open", "tr_open", "td_open", "th_open", "fence")
    assert [t.type for t in tokens if t.type in structure] == [t.type for t in expected if t.type in structure]
    assert len(text) < 300_000
    _assert_harmless(text)
    text.encode()


def _tokens(text: str) -> list:
    found = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        found += [token, *(token.children or [])]
    return found


def _assert_harmless(text: str) -> None:
    steering = {letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}
    assert steering == set()


def test_hostile_text_is_still_shown(tmp_path: Path) -> None:
    told = _hostile(tmp_path, "<script>alert(1)</script>")
    assert "<script>alert(1)</script>" in Page(html(told)).said("td")
    assert "\\u202e" in html(_hostile(tmp_path, "\u202e"))


def test_the_document_itself_is_clean(tmp_path: Path) -> None:
    told = _hostile(tmp_path, "\x1b[31mred \u202e " + "y" * 100_000)
    for text in every(told):
        _assert_harmless(text)
        assert len(text) < 20_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b net.core.x", "a_b net.core.x"),
        ("_a_", "\\_a\\_"),
        ("http://x", "http:\\//x"),
        ("www.x", "www\\.x"),
        ("a|b", "a\\|b"),
    ],
)
def test_plain_names_stay_readable_in_markdown(text: str, shown: str) -> None:
    assert markdown_text(text) == shown


def test_code_and_fences_hold_backticks() -> None:
    assert code("a `b` | c") == "`` a `b` \\| c ``".replace("`` a", "``a").replace("c ``", "c``")
    assert code("`b`") == "`` `b` ``"
    assert fenced("a\n````\nb").startswith("`````\n")


def test_texts_are_cut_and_cleaned() -> None:
    assert clean("a\x1b[1;31mb\x1b[0m\x00c\u202e") == "ab\\u0000c\\u202e"
    assert clean("x" * 700).endswith("(and 100 characters more)")
    assert line({"a": [1, True, None], "b": {}}) == "a: 1, yes, none, b: nothing"


def test_no_recorded_text_is_lost_to_escaping() -> None:
    page = Page(html(CURED))
    said = " ".join(" ".join(text for _tag, text in page.texts).split())
    for check in CURED["sections"][0]["impact"]["failing"]:
        assert check["seen"] in said
    assert len(LINES) > 40
    assert texts(["a", {"b": "c"}], str.upper) == ["A", {"b": "C"}]
