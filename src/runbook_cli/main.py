# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands. Each returns an Answer; `run_cli` is the one place that prints, and `main` the one that exits."""
# ruff: noqa: PLC0415 - imported by the command that needs it: `runbook --help` and `runbook list` answer at once

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from runbook_cli import __version__
from runbook_cli.answer import Answer, CliError, Output, emit, emit_error, say
from runbook_cli.options import EXIT_CODES, common, example, running

FIRST_STEPS = example(
    "list",
    "show recover_mongodb",
    "diagnose recover_mongodb -i inventories/lab",
    "run recover_mongodb -i inventories/lab --limit db1",
    "undo last -i inventories/lab --check",
    "report last --output report.html",
)


@click.group(
    invoke_without_command=True,
    epilog=f"{FIRST_STEPS}\n\n{EXIT_CODES}",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="runbook", help="Show the version, for example runbook --version")
@click.pass_context
def cli(ctx: click.Context) -> Answer | None:
    """Bring broken systems back: look first, find the cause, do the least that cures it, prove that it is cured."""
    return Answer(None, ctx.get_help()) if ctx.invoked_subcommand is None else None


@cli.command("list", epilog=example("list", "list --query '[].name'"))
@common
def list_(project: str | None) -> Answer:
    """List the playbooks: what each is for, when to use it, what it may touch and how to undo it."""
    from runbook_cli.project import find_root, playbooks
    from runbook_cli.view import list_text

    found = [playbook.header() for playbook in playbooks(find_root(project))]
    return Answer(found, list_text(found))


@cli.command(
    epilog=example(
        "show recover_mongodb",
        "show recover_mongodb --query 'packs[].causes[].[cause, remedy, risk]'",
    )
)
@click.argument("name")
@common
def show(name: str, project: str | None) -> Answer:
    """Show a playbook: causes with remedies and risks, variables, and the ansible-playbook command it stands for."""
    from runbook_cli.pack import describe
    from runbook_cli.project import find_playbook, find_root
    from runbook_cli.view import show_text

    root = find_root(project)
    playbook = find_playbook(root, name)
    document = {**describe(root, playbook), "command": literal_command(root, playbook.path)}
    return Answer(document, show_text(document))


def literal_command(root: Path, playbook: Path) -> str:
    """What a person types without this CLI; it must start at the root, where ansible.cfg lies."""
    import shlex

    inventory = os.environ.get("RUNBOOK_INVENTORY") or "INVENTORY"
    line = shlex.join(["ansible-playbook", "-i", inventory, f"playbooks/{playbook.name}"])
    return line if Path.cwd() == root else f"cd {shlex.quote(str(root))} && {line}"


@cli.command(
    epilog=example(
        "diagnose recover_mongodb -i inventories/lab",
        "diagnose recover_mongodb -i db1, --format json",
    )
)
@click.argument("name")
@running
@click.pass_obj
def diagnose(output: Output, /, name: str, **options: Any) -> Answer:
    """Look only: probe, name the cause, and say what `run` would do.

    Nothing is written on a host, and no lease is taken. Exit code 3 when there is something to do.
    """
    return _go(output, name=name, act=False, check=False, approve=(), **options)


@cli.command(
    epilog=example(
        "run recover_mongodb -i inventories/lab --check",
        "run recover_mongodb -i inventories/lab --limit db1 --incident INC-2041",
    )
)
@click.argument("name")
@click.option(
    "--check",
    is_flag=True,
    help="Predict cause, remedy and every change, and change nothing; exit code 3 when there is something to do. "
    "For example runbook run recover_mongodb -i inventories/lab --check",
)
@click.option(
    "--approve",
    metavar="REMEDY",
    multiple=True,
    help="Allow a remedy that asks first or whose risk is above the automatic level; may be repeated. "
    "For example --approve unmask_and_start",
)
@running
@click.pass_obj
def run(output: Output, /, name: str, **options: Any) -> Answer:
    """Look, find the cause, apply the one remedy that it calls for, and verify. A healthy host is left alone."""
    return _go(output, name=name, act=True, **options)


@cli.command(
    epilog=example(
        "undo --list",
        "undo last -i inventories/lab --check",
        "undo 20260105T020007Z-3fa9c1 -i inventories/lab --limit fleet07",
    )
)
@click.argument("run", required=False)
@click.option(
    "--list",
    "listed",
    is_flag=True,
    help="Show the runs that can be undone, the latest first, and which were undone by which run; goes to no host. "
    "For example runbook undo --list",
)
@click.option(
    "--check",
    is_flag=True,
    help="Say what would be put back, and change nothing; exit code 3 when there is something. "
    "For example runbook undo last -i inventories/lab --check",
)
@click.option(
    "--approve",
    metavar="undo",
    multiple=True,
    type=click.Choice(["undo"]),
    help="Allow what is refused otherwise: to bring back a fault that the run had cured, or to put back what is known "
    "of a run that broke off. "
    "For example --approve undo",
)
@running
@click.pass_obj
def undo(output: Output, /, run: str | None, listed: bool, approve: tuple[str, ...], **options: Any) -> Answer:
    """Put back what a run changed, on the hosts that it changed, live and on disk.

    RUN is a run's id, or 'last': the latest run that is not undone yet. What somebody changed since is left alone, and
    said. An undo is itself a run: it is recorded, and can be undone.
    """
    from runbook_cli.history import find, history, list_text
    from runbook_cli.project import records_path

    records = records_path(options["records"])
    if listed:
        found = [one for one in reversed(history(records)) if one.targets]
        return Answer([one.document() for one in found], list_text(found))
    if run is None:
        raise CliError("no run is named", "runbook undo", "Give its id or 'last'. See 'runbook undo --list'.")
    from runbook_cli.request import Undo

    known = find(records, run)
    wanted = Undo(known.id, tuple(known.targets), bool(approve))
    return _go(output, name="undo", act=True, approve=(), undo=wanted, **options)


@cli.command(
    epilog=example(
        "report last",
        "report 20260105T020007Z-3fa9c1 --output report.html",
        "report --incident INC-2041 --as html --output /srv/reports/INC-2041",
    )
)
@click.argument("run", required=False)
@click.option(
    "--incident",
    metavar="ID",
    help="All runs that are tied to this ticket, in one report. For example runbook report --incident INC-2041",
)
@click.option("--host", metavar="HOST", help="Only this host. For example runbook report last --host db1")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["markdown", "html"]),
    help="The kind of text; else by the ending of --output (.md, .html), else markdown. For example --as html",
)
@click.option(
    "--output",
    metavar="FILE",
    help="Write it to a file that only you can read, instead of showing it. For example --output report.html",
)
@click.option(
    "--records",
    metavar="DIR",
    envvar="OPS_RUNBOOK_RECORDS",
    help="Where the record lies [OPS_RUNBOOK_RECORDS], else ~/.local/state/ops-runbook. "
    "For example --records /var/log/ops-runbook",
)
@common
def report(run: str | None, project: str | None, records: str | None, **options: Any) -> Answer:
    """Report on a run, or on all runs of an incident: when, why, what was changed, how it was proven and is undone.

    RUN is a run's id, or 'last'. From the record and the evidence alone; no host is visited.
    """
    from runbook_cli.project import find_root, records_path
    from runbook_cli.report_command import Wanted, report_on

    return report_on(find_root(project), records_path(records), Wanted(run=run, **options))


def _go(output: Output, **options: Any) -> Answer:
    from runbook_cli.request import Options, prepare

    request = prepare(Options(**options, verbose=output.verbose), meanwhile=_load)
    from runbook_cli.conduct import conduct

    return conduct(request, output)


def _load() -> None:
    """Import what a run needs."""
    import ansible_runner  # noqa: F401 - used by launch

    import runbook_cli.conduct  # noqa: F401 - used by _go


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
        say("runbook: interrupted.")
        return 130
    except Exception as error:
        return _bug(error, output)


def _bug(error: Exception, output: Output) -> int:
    hint = "--verbose shows where."
    if output.verbose:
        import traceback

        say(traceback.format_exc())
        hint = ""
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return emit_error(CliError(what, "this is a bug", hint, 1), output)


def main() -> NoReturn:
    """The entry point of `runbook` and `ops-runbook`."""
    code = run_cli()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)  # all is said and tidied: what was imported need not be taken down piece by piece
