# SPDX-License-Identifier: GPL-3.0-or-later
"""The options, each with an example, and the page of exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from runbook_cli.answer import Answer, compile_query

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Answer]

EXIT_CODES = """\b
Exit codes; of several hosts the gravest wins, in the order 1 2 5 6 8 7 4 3 0:
  0    healthy, nothing to do, done, or remedied
  1    a bug of this library
  2    wrong usage; nothing was done
  3    --check or diagnose found something to do
  4    unreachable: no connection, no login or no usable Python
  5    a remedy failed
  6    a remedy ran, and the symptom is not gone; or a change did harm, and was put back
  7    refused: the guard, or the cause itself, leaves the act to a person; or the run ended before it came to a host
  8    escalated: no safe act is known
  124  timed out
  129  the terminal was closed
  130  interrupted
  143  terminated"""


def example(*lines: str) -> str:
    """Command lines for the end of a command's help; the first line keeps click from joining them."""
    return "\n".join(["\b", "Example:", *(f"  runbook {line}" for line in lines)])


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Keep the value where an error that is raised later finds it."""

    def store(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if name == "query" and value is not None:
            compile_query(value)
        setattr(ctx.find_root().obj, name, value)

    return store


def offers(name: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """A completer of completion.py, which is imported at the first TAB only."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
        from runbook_cli import completion  # noqa: PLC0415 - only the shell asks for it

        found: list[Any] = getattr(completion, name)(context, parameter, begun)
        return found

    return complete


COMMON = (
    click.option(
        "--format",
        type=click.Choice(["table", "json", "yaml"]),
        default="table",
        show_default=True,
        expose_value=False,
        is_eager=True,
        callback=_set("format"),
        help="table is for people, json and yaml for programs: --format json",
    ),
    click.option(
        "--query",
        metavar="JMESPATH",
        expose_value=False,
        is_eager=True,
        callback=_set("query"),
        help="Pick from the document, for example --query 'targets[].outcome'.",
    ),
    click.option(
        "--verbose",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set("verbose"),
        help="Show all that Ansible says, and a traceback where the library fails. For example runbook list --verbose",
    ),
    click.option(
        "--project",
        metavar="DIR",
        shell_complete=offers("folders"),
        envvar="RUNBOOK_PROJECT",
        help="The checkout to work with [RUNBOOK_PROJECT]; else the one around the current folder, else what was "
        "installed with runbook. For example --project ~/ops_runbook",
    ),
)

INVENTORY = (
    click.option(
        "-i",
        "--inventory",
        metavar="PATH",
        multiple=True,
        shell_complete=offers("inventory_paths"),
        help="The hosts: a file, a folder, or names with a comma [RUNBOOK_INVENTORY]. There is no default: nothing "
        "acts on hosts that nobody named. For example -i inventories/lab",
    ),
    click.option(
        "--local",
        is_flag=True,
        help="Work on this very host, as root or with sudo, when the network or the controller is gone; its record is "
        "in /var/lib/ops-runbook/local. For example runbook run recover_mongodb --local",
    ),
    click.option(
        "-l",
        "--limit",
        metavar="HOSTS",
        shell_complete=offers("hosts"),
        help="Only these hosts or groups; at least one must be named. For example -l db1 or -l 'mongodb,!db3'",
    ),
    click.option(
        "-e",
        "--extra",
        metavar="NAME=VALUE|{JSON}|@FILE",
        multiple=True,
        help="Set a variable, by JSON several ones, or read a YAML file; may be repeated, and the last wins. Values "
        "whose names say password, secret, token and the like are never shown. "
        "For example -e remediate_stabilization_window=30",
    ),
    click.option(
        "-K",
        "--ask-become-pass",
        is_flag=True,
        help="Ask for the sudo password, or read it from a pipe. For example runbook run NAME -K",
    ),
)

RUNNING = (
    click.option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(min=0, min_open=True),
        help="Stop the whole run after so long, with exit code 124. For example --timeout 900",
    ),
    click.option(
        "--incident",
        metavar="ID",
        help="Tie the run to a ticket; of history: only the runs of this one. For example --incident INC-2041",
    ),
    click.option(
        "--records",
        metavar="DIR",
        shell_complete=offers("folders"),
        envvar="OPS_RUNBOOK_RECORDS",
        help="Where the record is written [OPS_RUNBOOK_RECORDS], else ~/.local/state/ops-runbook. No record, no act. "
        "For example --records /var/log/ops-runbook",
    ),
)


def common(command: Command) -> Command:
    """Options of every command."""
    for option in reversed(COMMON):
        command = option(command)
    return command


def inventory(command: Command) -> Command:
    """Options that say which hosts, and how they are reached."""
    for option in reversed(INVENTORY):
        command = option(command)
    return command


def running(command: Command) -> Command:
    """Options of the commands that run a playbook."""
    command = common(command)
    for option in reversed(RUNNING):
        command = option(command)
    return inventory(command)
