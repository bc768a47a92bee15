# SPDX-License-Identifier: GPL-3.0-or-later
"""A report's document as Markdown or as one self-contained HTML file.

Everything that comes from hosts is untrusted text: jinja2 escapes it for HTML, and `markdown_text` for Markdown, where
every value goes through it that is not marked as ready.
"""

from __future__ import annotations

import re
from typing import Any

import jinja2

from runbook_cli import report_picture as picture
from runbook_cli import report_times as times
from runbook_cli import report_words as words

Json = dict[str, Any]
MANY = 6
"""More sections than these are told in a table; in full only those that ended badly."""
GOOD = ("healthy", "remedied", "recovered", "done")
_DIFF = {"+++": "place", "---": "place", "+": "added", "-": "removed", "@": "place"}
_SPECIAL = re.compile(r"([\\`*\[\]<>|~&#@$])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=:)(?=//)|(?<=www)(?=\.)")


class Ready(str):
    """Markdown that is not to be escaped."""

    __slots__ = ()


def markdown_text(value: Any) -> str:
    """Text that Markdown shows as it is: no emphasis, no HTML, no link, in one line."""
    if isinstance(value, Ready):
        return value
    return _SPECIAL.sub(lambda found: "\\" + found.group(), " ".join(str(value).split(" "))).replace("\n", " ")


def code(value: Any) -> Ready:
    """A code span, also in a cell of a table."""
    text = " ".join(str(value).split())
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return Ready(f"{ticks}{pad}{text}{pad}{ticks}".replace("|", "\\|"))


def fenced(text: str, language: str = "") -> Ready:
    """A block of code that its own text cannot end."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return Ready(f"{fence}{language}\n{text.rstrip()}\n{fence}")


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def diff_lines(text: str) -> list[tuple[str, str]]:
    """The lines of a unified diff with what each is: added, removed, place or same."""
    return [(_DIFF.get(line[:3]) or _DIFF.get(line[:1], "same"), line) for line in text.splitlines()]


def _environment(name: str) -> jinja2.Environment:
    is_html = name.endswith(".html.j2")
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("runbook_cli"),
        autoescape=is_html,  # noqa: S701 - Markdown is escaped by finalize
        finalize=None if is_html else markdown_text,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"clock": times.clock, "span": times.span, "code": code, "fenced": fenced, "diff": diff_lines}
    made.filters |= {"typed": words.command, "ended": words.ended, "notes": words.undo_notes, "told": words.of_section}
    return made


def _rendered(name: str, document: Json, **more: Any) -> str:
    sections = document["sections"]
    many = len(sections) > MANY
    context = {
        "many": many,
        "full": [one for one in sections if not many or one["outcome"] not in GOOD],
        "summary": words.summary(document),
        "main": words.main_section(sections),
        "kinds": words.KINDS,
        "good": GOOD,
        "advice": advice(sections),
        **more,
    }
    return _environment(name).get_template(name).render(document=document, **context)


def advice(sections: list[Json]) -> list[Json]:
    """What keeps it from coming back, each cause once."""
    found = {cause["cause"]: cause["prevent"] for one in sections for cause in one["causes"] if cause["prevent"]}
    return [{"cause": cause, "text": text} for cause, text in found.items()]


def markdown(document: Json) -> str:
    """The report as Markdown (GitHub's)."""
    text = _rendered("report.md.j2", document, picture=Ready(picture.plain(document)))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def html(document: Json) -> str:
    """The report as one HTML file that needs nothing else: no script, no link to elsewhere."""
    drawn = picture.geometry(document)
    text = _rendered("report.html.j2", document, picture=drawn, picture_words=picture.words(document))
    return re.sub(r"\n{2,}", "\n", text).lstrip()
