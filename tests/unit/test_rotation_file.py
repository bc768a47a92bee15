# SPDX-License-Identifier: GPL-3.0-or-later
"""logrotate's files are read as logrotate reads them, and what is not ours stays to the letter."""

from __future__ import annotations

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.rotation_file import (
    new_stanza,
    parse_document,
    render_document,
    set_directives,
    set_patterns,
)
from hypothesis import given
from hypothesis import strategies as st

RSYSLOG = """\
# of the package
compress
/var/log/syslog
/var/log/mail.log
"/var/log/with space.log"
{
	rotate 4
	weekly
	missingok   # no comment to logrotate, but part of the line

	postrotate
		# a comment
		if true; then
			/usr/lib/rsyslog/rsyslog-rotate
		fi
	endscript
}

/var/log/other.log { daily
  rotate=3
}
"""


def test_stanzas_patterns_directives_and_scripts() -> None:
    document = parse_document(RSYSLOG, "x")
    first, second = document.stanzas
    assert first.patterns == ["/var/log/syslog", "/var/log/mail.log", "/var/log/with space.log"]
    assert (first.line, second.line, second.patterns) == (3, 19, ["/var/log/other.log"])
    assert [each.name for each in first.body if each.name] == ["rotate", "weekly", "missingok", "postrotate"]
    assert first.value("postrotate") == "# a comment\nif true; then\n\t/usr/lib/rsyslog/rsyslog-rotate\nfi"
    assert (second.value("daily"), second.value("rotate"), second.value("weekly")) == ("", "3", None)
    assert [option.name for option in document.options] == ["compress"]


def test_what_is_read_is_written_back_to_the_letter() -> None:
    assert render_document(parse_document(RSYSLOG, "x")).replace("{\n daily", "{ daily") == RSYSLOG.replace(
        "{ daily", "{\n daily", 1
    ).replace("{\n daily", "{ daily")
    plain = RSYSLOG.replace("{ daily\n", "{\n")
    assert render_document(parse_document(plain, "x")) == plain
    assert render_document(parse_document("/a.log {\n}", "x")) == "/a.log {\n}\n"
    assert render_document(parse_document("/a.log {\n daily\n", "x")) == "/a.log {\n daily\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("/a.log\n", "not followed by {"),
        ("/a.log {\n postrotate\n  true\n}\n", "postrotate has no endscript"),
        ('"/a.log {\n daily\n}\n', "not followed by {"),
        ("\"/a'.log\" /b' {\n}\n", "not followed by {"),
    ],
)
def test_what_logrotate_would_refuse(text: str, what: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_document("\n" + text, "/etc/logrotate.d/app")
    assert what in caught.value.what
    assert caught.value.where == f"/etc/logrotate.d/app line {3 if 'postrotate' in text else 2}"


@pytest.mark.parametrize(
    ("head", "patterns"),
    [
        ("/a/b\\ c.log", ["/a/b c.log"]),
        ("'/a/b \"c.log'", ['/a/b "c.log']),
        ('"/a/\\"b.log" /c', ['/a/"b.log', "/c"]),
        ('"/a\\b"', ["/a\\b"]),
        ('/a"b c"d', ["/ab cd"]),
        ('"/a{1}.log"', ["/a{1}.log"]),
        ("~/logs/*.log", ["~/logs/*.log"]),
    ],
)
def test_quotes_and_backslashes(head: str, patterns: list[str]) -> None:
    assert parse_document(head + " {\n}\n", "x").stanzas[0].patterns == patterns


def test_managed_directives_are_set_and_all_else_stays() -> None:
    document = parse_document(RSYSLOG, "x")
    stanza = document.stanzas[0]
    set_directives(stanza, {"rotate": "9", "weekly": None, "daily": "", "missingok": "", "postrotate": "a\nb"})
    text = render_document(document)
    assert text.splitlines()[5:16] == [
        "{",
        "  rotate 9",
        "  missingok",
        "",
        "  postrotate",
        "    a",
        "    b",
        "  endscript",
        "  daily",
        "}",
        "",
    ]
    again = parse_document(text, "x")
    set_directives(
        again.stanzas[0], {"rotate": "9", "weekly": None, "daily": "", "missingok": "", "postrotate": "a\nb"}
    )
    assert render_document(again) == text


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("rotate 3", "rotate", "3"),
        ("rotate=3", "rotate", "3"),
        ("rotate = 3", "rotate", "3"),
        ("daily", "daily", ""),
        ("su\troot root", "su", "root root"),
        ("compressoptions --level=9 -T0", "compressoptions", "--level=9 -T0"),
    ],
)
def test_a_directive_and_its_arguments(line: str, name: str, value: str) -> None:
    (found,) = parse_document(f"/a.log {{\n  {line}\n}}\n", "x").stanzas[0].body
    assert (found.name, found.value) == (name, value)


def test_of_two_directives_the_later_one_holds_and_stays() -> None:
    stanza = parse_document("/a.log {\n rotate 1\n su root root\n rotate 2\n}\n", "x").stanzas[0]
    assert stanza.value("rotate") == "2"
    set_directives(stanza, {"rotate": "2"})
    assert [(each.name, each.text) for each in stanza.body] == [("su", " su root root\n"), ("rotate", " rotate 2\n")]


def test_patterns_are_written_only_where_they_differ() -> None:
    stanza = parse_document("  /a.log   /b.log{\n}\n", "x").stanzas[0]
    set_patterns(stanza, ["/a.log", "/b.log"])
    assert stanza.head == "  /a.log   /b.log{\n"
    set_patterns(stanza, ["/a.log", "/b c.log"])
    assert stanza.head == '/a.log\n"/b c.log" {\n'


NAMES = st.text("abz_.*-", min_size=1, max_size=8).map("/logs/{}".format)
VALUES = st.text("abc 123", max_size=8).map(lambda text: " ".join(text.split()))


@given(
    st.lists(NAMES, min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(["daily", "rotate", "maxage", "su", "postrotate"]), VALUES, max_size=5),
)
def test_what_was_set_is_read_back(patterns: list[str], managed: dict[str, str]) -> None:
    document = parse_document("# nobody's\n", "x")
    stanza = new_stanza(patterns)
    document.items.append(stanza)
    set_directives(stanza, dict(managed))
    again = parse_document(render_document(document), "x")
    assert again.stanzas[0].patterns == patterns
    assert {each.name: each.value for each in again.stanzas[0].body} == managed
