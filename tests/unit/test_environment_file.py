# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of variables are read back as they were written, by us, by a shell and (in the drills) by systemd."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import environment_file
from ansible_collections.ops.runbook.plugins.module_utils.environment_file import parse, parse_ours, render
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.from_regex(r"\A[A-Z_][A-Z0-9_]{0,8}\Z")
LETTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")) | st.sampled_from("\t\n\"'\\`$#;= ")
VALUES = st.text(LETTERS, max_size=30)


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.sets(NAMES, max_size=3))
def test_what_is_written_is_read(values: dict[str, str], secrets: set[str]) -> None:
    text = render(values, secrets)
    assert parse(text) == values
    assert parse_ours(text) == (values, secrets & set(values))


@given(VALUES.filter(lambda value: "\0" not in value))
def test_a_shell_reads_the_same(value: str) -> None:
    """Its double quotes know the four characters too; it is not the code under test."""
    for name, given_value in (("X_1", value),):
        environment_file.demand_value(name, given_value, "x")
    text = render({"X_1": value}, ())
    argv = ["sh", "-c", '. /dev/stdin; printf "%s|" "$X_1"']
    done = subprocess.run(argv, input=text.encode(), capture_output=True, check=True)
    assert done.stdout.decode() == f"{value}|"


def test_the_file_of_nothing_is_none() -> None:
    assert render({}, ["A"]) == ""
    assert parse_ours("") == ({}, set())


# What systemd 252 makes of such a file, seen in the environment of a process that it had started.
RECORDED = r"""
# c
V1="a \"b\" \\ \$HOME \`x\` ' end
second	line # no comment"
V2=plain $HOME "q"  
V3='single \ $x "'
; another
  V4  =  spaced \
on
V5="a"'b'c "d"
V6=back\slash\\ \
V7="keep \n this"
no assignment
V8=
V9=ends with\ 
"""  # noqa: W291 - blanks at the ends of lines are the point


def test_files_of_others_are_read_as_systemd_does() -> None:
    assert parse(RECORDED) == {
        "V1": 'a "b" \\ $HOME `x` \' end\nsecond\tline # no comment',
        "V2": 'plain $HOME "q"',
        "V3": 'single \\ $x "',
        "V4": "spaced on",
        "V5": 'abc "d"',
        "V6": 'backslash\\ V7="keep \\n this"'.replace("\\n", "n"),
        "V8": "",
        "V9": "ends with ",
    }


@pytest.mark.parametrize("text", ["A", "A=", '"', 'A="', "A='", "A=\\", 'A="\\', "=x", "A=1\r\nB=2", "#\\\nA=1"])
def test_odd_ends_do_not_break_it(text: str) -> None:
    assert isinstance(parse(text), dict)


def test_lines_may_end_as_on_windows() -> None:
    assert parse("A=1\r\nB='2'\r\n") == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    "name",
    ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n", "A\0", "x" * 256, "INVOCATION_ID", "NOTIFY_SOCKET", "LISTEN_FDS"],
)
def test_names_that_no_variable_may_have(name: str) -> None:
    with pytest.raises(BadInput):
        environment_file.demand_name(name, "variables")


@pytest.mark.parametrize("value", ["a\0b", "\x1b[0m", "\r", "\x7f", "\x85", "x" * 131070, "\ud800"])
def test_values_that_systemd_would_drop(value: str) -> None:
    with pytest.raises(BadInput) as caught:
        environment_file.demand_value("A", value, "variables.A")
    assert value not in str(caught.value)


@pytest.mark.parametrize("value", ["", "x" * 131069, "tab\tand\nnewline", "é 한글 🙂"])
def test_values_that_it_passes_on(value: str) -> None:
    assert environment_file.demand_value("A", value, "x") == value


def test_the_longest_value_can_be_given_to_a_process(tmp_path: Path) -> None:
    value = "x" * 131069
    environ: t.Any = {"A": value}
    assert len(subprocess.run(["/usr/bin/env"], env=environ, capture_output=True, check=True).stdout) == 131072
    with pytest.raises(OSError, match="Argument list too long"):
        subprocess.run(["/usr/bin/env"], env={"A": value + "x"}, capture_output=True, check=True)
