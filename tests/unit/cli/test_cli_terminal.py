# SPDX-License-Identifier: GPL-3.0-or-later
"""Terminals, pipes and locales: colour only where it is wanted, narrow tables whole, and readers that go away."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import yaml
from cli_project import SOURCE, Cli

from runbook_cli.answer import Answer, CliError, Output, emit, emit_error
from runbook_cli.terminal import coloured, paint, table

ESCAPE = "\x1b["


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "on_terminal", "wanted"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"CLICOLOR_FORCE": "1", "TERM": "dumb"}, False, True),
        ({"CLICOLOR_FORCE": "0"}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_when_to_colour(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], on_terminal: bool, wanted: bool
) -> None:
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert coloured(Terminal() if on_terminal else io.StringIO()) is wanted


def test_only_outcomes_are_coloured_and_the_words_stay() -> None:
    text = "db1/mongodb REMEDIED in 9 s\nit is done and ok\ndone         58 hosts\ndb1  failed    5\nfailed\nX  ok"
    painted = paint(text)
    assert painted.splitlines() == [
        "db1/mongodb \x1b[32mREMEDIED\x1b[0m in 9 s",
        "it is done and ok",
        "\x1b[32mdone\x1b[0m         58 hosts",
        "db1  \x1b[31mfailed\x1b[0m    5",
        "failed",
        "X  \x1b[32mok\x1b[0m",
    ]


def test_a_narrow_table_is_folded_and_nothing_is_cut_off() -> None:
    rows = [["CAUSE", "WHY"], ["killed", "The server was ended by a signal and nothing stands in the way of a start."]]
    command = "ssh -o UserKnownHostsFile=/root/.cache/ops-runbook/lab/known_hosts"
    assert table(rows).count("\n") == 1
    for wide in (80, 40):
        told = table(rows, "  ", wide)
        assert max(map(len, told.splitlines())) <= wide
        assert " ".join(told.split()) == " ".join(" ".join(row) for row in rows)
    assert f"  {command.split()[2]}" in table([["a", command]], "", 30), "a word is never broken"


def test_a_table_without_room_goes_down_the_page() -> None:
    rows = [["TARGET", "OUTCOME", "REMEDY"], ["db1/mongodb-with-a-name", "remedied", "start_service"]]
    assert table(rows, "", 40).splitlines() == [
        "TARGET   db1/mongodb-with-a-name",
        "OUTCOME  remedied",
        "REMEDY   start_service",
    ]
    assert table([["a-long-first-cell-of-a-row", "second"], ["b", "c"]], " ", 30) == (
        " a-long-first-cell-of-a-row\n   second\n\n b\n   c"
    )


def in_terminal(cli: Cli, columns: int, *arguments: str, **environment: str) -> str:
    """What a command writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    usual = {name: value for name, value in os.environ.items() if "COLOR" not in name}
    told = {**usual, "PYTHONPATH": str(SOURCE), "TERM": "xterm", "COLUMNS": "", **environment}
    child = subprocess.Popen(
        [sys.executable, "-m", "runbook_cli", *arguments], env=told, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 65536):
            said += chunk
    except OSError:  # the last one at the other end is gone
        pass
    os.close(ours)
    child.wait(30)
    return said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_of_any_width(cli: Cli, columns: int) -> None:
    wide = cli.run("show", "recover_thing").out
    told = in_terminal(cli, columns, "show", "recover_thing")
    table_ = told[told.index("CAUSE") : told.index("Variables")]
    assert max(map(len, table_.splitlines())) <= columns
    assert sorted(told.split()) == sorted(wide.split()) or columns == 40
    for word in ("port_taken", "report_only", "stopped", "start_it"):
        assert word in told
    assert "playbooks/recover_thing.yml" in told.splitlines()[-1]


def test_colour_on_a_terminal_alone(cli: Cli) -> None:
    arguments = ("run", "recover_thing", "-i", "inventories/all.yml", "-l", "healthy")
    assert "healthy/thing \x1b[32mHEALTHY\x1b[0m" in in_terminal(cli, 80, *arguments)
    plain = in_terminal(cli, 80, *arguments, NO_COLOR="1")
    assert "healthy/thing HEALTHY" in plain
    assert f"{ESCAPE}3" not in plain
    assert ESCAPE not in cli.spawned(*arguments).out


def shell(cli: Cli, line: str, **environment: str) -> subprocess.CompletedProcess:
    told = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHON": sys.executable, **environment}
    return subprocess.run(["bash", "-c", line], env=told, capture_output=True, timeout=60, check=False)


def test_a_reader_that_goes_away_is_no_failure(cli: Cli) -> None:
    done = shell(cli, 'set -o pipefail; "$PYTHON" -m runbook_cli show recover_thing | head -n 1')
    assert (done.returncode, done.stdout, done.stderr) == (0, b"recover_thing: Recover the thing\n", b"")
    done = shell(cli, 'set -o pipefail; "$PYTHON" -m runbook_cli list --format json | true')
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_answer_that_cannot_be_stored_is_one(cli: Cli) -> None:
    done = shell(cli, '"$PYTHON" -m runbook_cli list >/dev/full')
    assert done.returncode == 1
    assert done.stderr == b"runbook: the answer could not be written: No space left on device.\n"
    closed = shell(cli, '"$PYTHON" -m runbook_cli list >&-')
    assert b"Traceback" not in closed.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
    ],
)
def test_any_locale(cli: Cli, project: Path, environment: dict[str, str]) -> None:
    book = project / "playbooks" / "korean.yml"
    book.write_text("---\n# Title: 복구 한다\n- hosts: all\n", encoding="utf-8")
    try:
        for form in ("table", "json", "yaml"):
            done = shell(cli, f'"$PYTHON" -m runbook_cli list --format {form}', **environment)
            assert (done.returncode, done.stderr) == (0, b"")
            assert b"recover_thing" in done.stdout
    finally:
        book.unlink()


def test_yaml_is_the_same_document_in_the_same_order(cli: Cli) -> None:
    for command in (("list",), ("show", "recover_thing"), ("undo", "--list")):
        data = cli.run(*command, "--format", "json")
        told = cli.run(*command, "--format", "yaml")
        assert yaml.safe_load(told.out) == data.data
        assert list(yaml.safe_load(told.out) or [])[:20] == list(data.data)[:20]
    picked = cli.run("list", "--format", "yaml", "--query", "[].name")
    assert picked.out.splitlines()[0] == "- both" or picked.out.splitlines()[0].startswith("- ")


def test_keys_keep_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"zebra": 1, "apple": {"y": "2026-01-05", "x": "no"}, "list": []}
    emit(Answer(document, ""), Output(format="yaml"))
    assert capsys.readouterr().out == "zebra: 1\napple:\n  y: '2026-01-05'\n  x: 'no'\nlist: []\n"
    emit(Answer(document, ""), Output(format="json"))
    assert list(json.loads(capsys.readouterr().out)) == ["zebra", "apple", "list"]
    assert emit_error(CliError("w", "h", "m", 7), Output(format="yaml")) == 7
    assert capsys.readouterr().out == "error:\n  what: w\n  where: h\n  hint: m\nexit_code: 7\n"
