# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands. Each returns an Answer; `run_cli` is the one place that prints, and `main` the one that exits.

Imports are late where they cost: `runbook --help` and `runbook list` answer at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from runbook_cli import __version__
from runbook_cli.answer import Answer, CliError, Output, compile_query, emit, emit_error, say

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_CODES = """\b
Exit codes; of several hosts the gravest wins, in the order 1 5 6 8 7 4 3 0:
  0    healthy, nothing to do, or remedied
  1    a bug of this library
  2    wrong usage; nothing was done
  3    --check or diagnose found something to do
  4    unreachable: no connection, no login or no usable Python
  5    a remedy failed
  6    a remedy ran, and the symptom is not gone
  7    refused: the guard, or the cause itself, leaves the act to a person
  8    escalated: no safe act is known
  124  timed out
  130  interrupted"""


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def store(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if name == "query" and value is not None:
            compile_query(value)
        setattr(ctx.find_root().obj, name, value)

    return store


def common(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Options of every command."""
    for option in (
        click.option("--verbose", is_flag=True, expose_value=False, is_eager=True, callback=_set("verbose"),
                     help="Show all that Ansible says, and a traceback where the library itself fails."),
        click.option("--query", metavar="JMESPATH", expose_value=False, is_eager=True, callback=_set("query"),
                     help="Pick from the JSON document, for example --query 'targets[].outcome'."),
        click.option("--format", type=click.Choice(["table", "json"]), default="table", show_default=True,
                     expose_value=False, is_eager=True, callback=_set("format"),
                     help="table is for people, json for programs: --format json"),
        click.option("--project", metavar="DIR", envvar="RUNBOOK_PROJECT",
                     help="The checkout to work with [RUNBOOK_PROJECT]; else the one around the current folder, else what was "
                     "installed with runbook. For example --project ~/ops_runbook"),
    ):  # fmt: skip
        command = option(command)
    return command


def running(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Options of the commands that go to hosts."""
    for option in (
        click.option("--records", metavar="DIR", envvar="OPS_RUNBOOK_RECORDS",
                     help="Where the record is written [OPS_RUNBOOK_RECORDS; else ~/.local/state/ops-runbook]. A folder that cannot "
                     "be written is refused: no record, no act. For example --records /var/log/ops-runbook"),
        click.option("-K", "--ask-become-pass", is_flag=True,
                     help="Ask for the sudo password (or read it from a pipe); it is never an argument. For example -K"),
        click.option("--incident", metavar="ID", help="Tie the run to a ticket, for example --incident INC-2041"),
        click.option("--timeout", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True),
                     help="Stop the whole run after so long; exit code 124. For example --timeout 900"),
        click.option("-e", "--extra", metavar="NAME=VALUE|@FILE", multiple=True,
                     help="Set a variable, or read a YAML file of them; may be repeated, the last wins. Values of names such as "
                     "..._password or ..._token are never shown. For example -e remediate_stabilization_window=30"),
        click.option("-l", "--limit", metavar="HOSTS",
                     help="Only these hosts or groups, for example -l db1 or -l 'mongodb,!db3'. It must name at least one."),
        click.option("-i", "--inventory", metavar="PATH", multiple=True,
                     help="The hosts: a file, a folder, or names with a comma [RUNBOOK_INVENTORY]. There is no default, so that "
                     "nothing acts on hosts that nobody named. For example -i inventories/lab"),
    ):  # fmt: skip
        command = option(command)
    return common(command)


@click.group(invoke_without_command=True, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runbook", help="Show the version, for example runbook --version")
@click.pass_context
def cli(ctx: click.Context) -> Answer | None:
    r"""Bring broken systems back: look first, find the cause, do the least that cures it, prove that it is cured.

    \b
    Example:
      runbook list
      runbook show recover_mongodb
      runbook diagnose recover_mongodb -i inventories/lab
      runbook run recover_mongodb -i inventories/lab --limit db1
    """
    return Answer(None, ctx.get_help()) if ctx.invoked_subcommand is None else None


@cli.command("list")
@common
def list_(project: str | None) -> Answer:
    r"""List the playbooks: what each is for, when to use it, what it may touch and how to undo it.

    \b
    Example:
      runbook list
      runbook list --query '[].name'
    """
    from runbook_cli.project import find_root, playbooks
    from runbook_cli.view import list_text

    found = [playbook.header() for playbook in playbooks(find_root(project))]
    return Answer(found, list_text(found))


@cli.command()
@click.argument("name")
@common
def show(name: str, project: str | None) -> Answer:
    r"""Show a playbook: its causes with remedies and risks, its variables, and the ansible-playbook command that it stands for.

    \b
    Example:
      runbook show recover_mongodb
      runbook show recover_mongodb --query 'packs[].causes[].[cause, remedy, risk]'
    """
    from runbook_cli.pack import describe
    from runbook_cli.project import find_playbook, find_root
    from runbook_cli.view import show_text

    root = find_root(project)
    playbook = find_playbook(root, name)
    document = {**describe(root, playbook), "command": literal_command(root, playbook.path)}
    return Answer(document, show_text(document))


def literal_command(root: Path, playbook: Path) -> str:
    """What a person types without this CLI; it must start at the root, where ansible.cfg lies."""
    import os
    import shlex

    words = ["ansible-playbook", "-i", os.environ.get("RUNBOOK_INVENTORY") or "INVENTORY", f"playbooks/{playbook.name}"]
    return shlex.join(words) if Path.cwd() == root else f"cd {shlex.quote(str(root))} && {shlex.join(words)}"


@cli.command()
@click.argument("name")
@running
@click.pass_obj
def diagnose(output: Output, /, name: str, **options: Any) -> Answer:
    r"""Look only: probe, and name the cause and what `run` would do. Nothing is written on a host, and no lease is taken.

    \b
    Example:
      runbook diagnose recover_mongodb -i inventories/lab
      runbook diagnose recover_mongodb -i db1, --format json
    """
    return _go(output, name=name, act=False, check=False, approve=(), **options)


@cli.command()
@click.argument("name")
@click.option("--check", is_flag=True, help="Predict cause, remedy and every change, and change nothing; exit code 3 when there is "
              "something to do. For example runbook run recover_mongodb -i inventories/lab --check")  # fmt: skip
@click.option("--approve", metavar="REMEDY", multiple=True,
              help="Allow a remedy that asks first or whose risk is above the automatic level; may be repeated. For example "
              "--approve unmask_and_start")  # fmt: skip
@running
@click.pass_obj
def run(output: Output, /, name: str, **options: Any) -> Answer:
    r"""Look, find the cause, apply the one remedy that it calls for, and verify. A healthy host is left alone.

    \b
    Example:
      runbook run recover_mongodb -i inventories/lab --check
      runbook run recover_mongodb -i inventories/lab --limit db1 --incident INC-2041
    """
    return _go(output, name=name, act=True, **options)


def _go(output: Output, **options: Any) -> Answer:
    from runbook_cli.conduct import conduct
    from runbook_cli.request import Options, prepare

    return conduct(prepare(Options(**options)), output)


def run_cli(arguments: list[str] | None = None) -> int:
    """Run a command line (sys.argv where none is given), print its answer and return the exit code."""
    output = Output()
    try:
        answer = cli.main(arguments, prog_name="runbook", standalone_mode=False, obj=output)
        return emit(answer, output) if isinstance(answer, Answer) else int(answer or 0)
    except CliError as error:
        return emit_error(error, output)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "runbook"
        return emit_error(CliError(error.format_message(), path, f"See '{path} --help'."), output)
    except (KeyboardInterrupt, click.Abort):
        say("runbook: interrupted. Nothing is running any more.")
        return 130
    except Exception as error:
        return _bug(error, output)


def _bug(error: Exception, output: Output) -> int:
    if output.verbose:
        import traceback

        say(traceback.format_exc())
    told = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return emit_error(
        CliError(told, "this is a bug", "--verbose shows where." if not output.verbose else "", 1), output
    )


def main() -> NoReturn:
    """The entry point of `runbook` and `ops-runbook`."""
    sys.exit(run_cli())
