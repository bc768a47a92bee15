# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command gives back, what it raises, and how both reach a person or a program."""
# ruff: noqa: T201 - the one place that prints
# ruff: noqa: PLC0415 - most calls need neither difflib, jmespath, shutil nor yaml

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

from runbook_cli.terminal import coloured, is_terminal, paint

USAGE = 2


class Answer(NamedTuple):
    """data is what `--format json`, `yaml` and `--query` see; text is what a person sees; code is the exit code."""

    data: Any
    text: str
    code: int = 0


class CliError(Exception):
    """What is wrong (one clause), where, what to do about it, and the exit code (2 usage, 7 refused, 1 a bug)."""

    def __init__(self, what: str, where: str = "", hint: str = "", code: int = USAGE) -> None:
        self.what, self.where, self.hint, self.code = what, where, hint, code
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text.rstrip('.')}. {self.hint}" if self.hint else text


@dataclass
class Output:
    """How to print; the options fill it, so that an error raised later still knows the format."""

    format: str = "table"
    query: str | None = None
    verbose: bool = False
    begun: bool = False
    """Whether a run has begun on hosts: then a signal is the run's to heed, and once it is over it is told whole."""

    @property
    def is_json(self) -> bool:
        """Whether a program listens: by the format, or by a query, which picks from the document."""
        return self.format != "table" or self.query is not None


def nearest(word: str, known: list[str]) -> str:
    """A hint that names what is nearest to word; empty where nothing is near."""
    import difflib

    near = difflib.get_close_matches(word, known, 1, 0.6)
    return f"Did you mean {near[0]}?" if near else ""


def did_you_mean(word: str, known: list[str]) -> str:
    """A hint that names what is nearest to word, else everything that is known."""
    return nearest(word, known) or (f"Known: {', '.join(known)}." if known else "")


def plain(text: str) -> str:
    """Text without control characters: what comes from hosts must not steer a person's terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


class _Stderr:
    """Lines on stderr, of which the last may be one that is still being rewritten."""

    unended = False

    def say(self, text: str) -> None:
        """One line; a terminal that is gone is no reason to stop."""
        with contextlib.suppress(OSError):
            print(("\n" if self.unended else "") + plain(text), file=sys.stderr, flush=True)
        self.unended = False

    def show(self, text: str, last: bool) -> None:
        """On a terminal, rewrite the line until the last one, which stays; elsewhere a line like any other."""
        if not is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
            self.say(text)
            return
        import shutil

        line = plain(text)[: shutil.get_terminal_size().columns - 1]
        with contextlib.suppress(OSError):
            print(f"\r\x1b[2K{line}", end="\n" if last else "", file=sys.stderr, flush=True)
        self.unended = not last


_STDERR = _Stderr()
say, show = _STDERR.say, _STDERR.show


def compile_query(expression: str) -> Any:
    """The compiled JMESPath expression; a malformed one is refused before anything runs."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.compile(expression)
    except JMESPathError as error:
        reason = " ".join(str(error).split())
        hint = "It is JMESPath over the JSON document: '[].name' for list, 'targets[].outcome' for run."
        raise CliError(f"the query does not compile: {reason}", "--query", hint) from None


def emit(answer: Answer, output: Output) -> int:
    """Print the answer on stdout and return the exit code."""
    code = answer.code
    if not output.is_json:
        text = plain(answer.text)
        return _write(paint(text) if coloured(sys.stdout) else text, code) if text else code
    data = answer.data
    if output.query is not None:
        from jmespath.exceptions import JMESPathError

        try:
            data = compile_query(output.query).search(data)
        except JMESPathError as error:  # after a run, its code and its document must not be lost
            say(f"--query: {' '.join(str(error).split())}. The whole document follows.")
            code = code or USAGE
    return _write(_rendered(data, output), code)


def emit_error(error: CliError, output: Output) -> int:
    """One line on stderr; a program that asked for JSON gets a document as well."""
    say(f"runbook: {error}")
    if output.is_json:
        told = {"what": error.what, "where": error.where, "hint": error.hint}
        return _write(_rendered({"error": told, "exit_code": error.code}, output), error.code)
    return error.code


def _rendered(data: Any, output: Output) -> str:
    """JSON or YAML, the keys in the documents' own order, which is the same at every call."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    if output.format != "yaml":
        return json.dumps(data, indent=2, ensure_ascii=not utf8)
    import yaml

    return yaml.dump(json.loads(json.dumps(data)), sort_keys=False, allow_unicode=utf8, width=1000).rstrip("\n")


def _write(text: str, code: int) -> int:
    """Print on stdout; what the answer's exit code is then.

    A reader that went away (`| head`, a closed terminal) has what it wanted; what could not be stored is a failure.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere
        if error.errno not in (errno.EPIPE, errno.EIO):
            say(f"runbook: the answer could not be written: {error.strerror}.")
            return code or 1
    return code
