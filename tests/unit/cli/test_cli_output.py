# SPDX-License-Identifier: GPL-3.0-or-later
"""Help pages, what is printed and how, secrets in texts, progress."""

from __future__ import annotations

import io
import json
import queue
import sys
import threading
import tomllib
from pathlib import Path

import click
import pytest
from cli_project import Cli

from runbook_cli import __version__
from runbook_cli.answer import Answer, CliError, Output, did_you_mean, emit, plain, say
from runbook_cli.main import cli as group
from runbook_cli.mask import Mask, file_variables
from runbook_cli.progress import consume, echo, progress

COMMANDS = {name: group.get_command(click.Context(group), name) for name in group.list_commands(click.Context(group))}


def test_the_commands() -> None:
    assert set(COMMANDS) == {
        "list",
        "show",
        "diagnose",
        "run",
        "undo",
        "doctor",
        "drill",
        "completion",
        "hold",
        "history",
        "report",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches(name: str, cli: Cli) -> None:
    command = COMMANDS[name]
    done = cli.run(name, "--help")
    assert done.code == 0
    assert command.help and command.help.strip().endswith(".")
    assert f"  runbook {name} " in done.out or f"  runbook {name}\n" in done.out, "an example of its own"
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.opts[-1] in option.help or option.opts[0] in option.help, (
                f"no example in the help of {option.opts}"
            )
            assert option.opts[-1] in done.out


def test_help_of_the_whole(cli: Cli) -> None:
    bare, asked = cli.run(), cli.run("--help")
    assert bare.code == asked.code == 0
    assert bare.out.strip() == asked.out.strip()
    assert "\n    runbook run recover_mongodb -i inventories/lab --limit db1\n" in asked.out
    assert "\n    124  timed out\n" in asked.out


def test_version(cli: Cli) -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert cli.run("--version").out == f"runbook, version {__version__}\n"


def test_hosts_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert plain(
        "a\x1b]0;evil\x07\x9b b\tc\r\n한글"
    ) == "a\N{REPLACEMENT CHARACTER}]0;evil" + "\N{REPLACEMENT CHARACTER}" * 2 + " b\tc" + (
        "\N{REPLACEMENT CHARACTER}\n한글"
    )
    assert emit(Answer(None, "a\x1b[2J"), Output()) == 0
    say("b\x1b[2J")
    assert "\x1b" not in "".join(capsys.readouterr())


def test_a_terminal_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    say("nobody hears this")


@pytest.mark.parametrize(("encoding", "ascii_only"), [("utf-8", False), ("ascii", True), ("iso8859-1", True)])
def test_json_is_valid_in_any_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str, ascii_only: bool) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    emit(Answer({"name": "복구"}, "x", 3), Output(format="json"))
    assert json.loads(raw.getvalue().decode(encoding)) == {"name": "복구"}
    assert raw.getvalue().isascii() is ascii_only


def test_a_query_asks_for_json() -> None:
    assert Output(query="a").is_json
    assert not Output().is_json


def test_hints() -> None:
    assert did_you_mean("helthy", ["healthy", "failed"]) == "Did you mean healthy?"
    assert did_you_mean("zzz", ["a", "b"]) == "Known: a, b."
    assert did_you_mean("zzz", []) == ""
    assert str(CliError("is odd.", "x", "Mend it.")) == "x: is odd. Mend it."
    assert str(CliError("is odd")) == "is odd"


def test_masking() -> None:
    given = [
        {"db_password": "hunter22", "user": "admin", "port": "abc"},
        {"nested": {"token": {"value": "deep-secret"}, "list": [{"api-key": "key-4711"}]}},
        {"uri": "mongodb://probe:pa55word@db1:27017/x"},
        None,
        {"pass_short": "abc", "secret_longer": "hunter22-and-more"},
        {"credentials_file": "/etc/probe.uri", "token_file": "not-a-path", "secret": {"key_path": "/hidden"}},
    ]
    mask = Mask(given, "sudo-pw")
    text = "hunter22 admin deep-secret key-4711 pa55word sudo-pw abc hunter22-and-more"
    assert mask.text(text) == "******** admin ******** ******** ******** ******** abc ********"
    assert mask.text("chmod 0600 /etc/probe.uri not-a-path /hidden") == "chmod 0600 /etc/probe.uri ******** ********"
    assert mask.tree({"a": ["hunter22", 1, None], "b": {"c": "x sudo-pw"}}) == {
        "a": ["********", 1, None],
        "b": {"c": "x ********"},
    }


def test_variables_of_a_file(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text("token: !unsafe abcd\n")
    bad.write_text("a: [\n")
    assert file_variables(str(good)) == {"token": "abcd"}
    assert file_variables(str(bad)) is None
    assert file_variables(str(tmp_path / "none.yml")) is None


def started(
    host: str, task: str, action: str = "ops.runbook.health_probe", role: str | None = "ops.runbook.remediate"
) -> dict:
    return {"event": "runner_on_start", "event_data": {"host": host, "task": task, "task_action": action, "role": role}}


def ended(kind: str, host: str) -> dict:
    return {"event": kind, "event_data": {"host": host}}


def test_progress_tells_what_really_starts() -> None:
    said: list[str] = []
    feed = progress(said.append)
    feed(started("a", "Skipped"))
    feed(ended("runner_on_skipped", "a"))
    feed(started("a", "Note", "ansible.builtin.set_fact"))
    feed(ended("runner_on_ok", "a"))
    assert said == []
    feed(started("a", "Quick"))
    feed(started("b", "Long", role=None))
    feed(ended("runner_on_failed", "a"))
    assert [line.strip()[4:] for line in said] == ["s  a  remediate: Quick"]
    feed({})
    feed({})
    feed(ended("runner_on_ok", "b"))
    assert [line.strip()[4:] for line in said] == ["s  a  remediate: Quick", "s  b  Long"]


def test_echo_repeats_ansible() -> None:
    said: list[str] = []
    for event in ({"stdout": "\r\nTASK [x] ***\r\nok\r\n"}, {"stdout": ""}, {}):
        echo(said.append)(event)
    assert said == ["TASK [x] ***\nok"]


def test_consume_tells_of_silence_and_ends() -> None:
    events: queue.SimpleQueue = queue.SimpleQueue()
    heard: list[dict] = []
    thread = threading.Thread(target=consume, args=(events, [heard.append]))
    thread.start()
    events.put({"event": "a"})
    thread.join(0.5)
    events.put(None)
    thread.join(5)
    assert heard[0] == {"event": "a"}
    assert {} in heard
    assert not thread.is_alive()
