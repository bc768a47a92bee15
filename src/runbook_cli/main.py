# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands. Each returns an Answer; `run_cli` is the one place that prints, and `main` the one that exits."""
# ruff: noqa: PLC0415 - imported by the command that needs it: `runbook --help` and `runbook list` answer at once

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from runbook_cli import __version__
from runbook_cli.answer import Answer, CliError, Output, emit, emit_error, say
from runbook_cli.options import EXIT_CODES, common, example, inventory, offers, running

CHECK_HOLD = click.option(
    "--check",
    is_flag=True,
    help="Say what would change, and change nothing; exit code 3 when something would. "
    "For example runbook hold lift -i inventories/lab --check",
)
FIRST_STEPS = example(
    "list",
    "show recover_mongodb",
    "diagnose recover_mongodb -i inventories/lab",
    "run recover_mongodb -i inventories/lab --limit db1",
    "undo last -i inventories/lab --check",
    "report last --output report.html",
    "history",
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
@click.argument("name", shell_complete=offers("playbook_names"))
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
@click.argument("name", shell_complete=offers("playbook_names"))
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
@click.argument("name", shell_complete=offers("playbook_names"))
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
    shell_complete=offers("remedies"),
    help="Allow a remedy that asks first or whose risk is above the automatic level; may be repeated. "
    "For example --approve unmask_and_start",
)
@click.option(
    "--break-glass",
    metavar="REASON",
    help="Act although a freeze window is in force; the reason is recorded. For example --break-glass INC-2041",
)
@click.option(
    "--alert-at",
    metavar="TIME",
    help="When the alert began that this run answers, RFC 3339: a healthy target then says which run cured it since. "
    "For example --alert-at 2026-01-05T02:00:00Z",
)
@running
@click.pass_obj
def run(output: Output, /, name: str, break_glass: str | None, alert_at: str | None, **options: Any) -> Answer:
    """Look, find the cause, apply the one remedy that it calls for, and verify. A healthy host is left alone.

    What is refused only because a person has to be asked is asked on a terminal, for each remedy, with what it would
    change; the answer is no unless it is yes.
    """
    from runbook_cli.ask import follow_up, may_ask
    from runbook_cli.request import Said

    given = {"--break-glass": break_glass, "--alert-at": alert_at}
    if break_glass is not None and not break_glass.strip():
        raise CliError("breaking the glass takes a reason", "--break-glass", "Say why: --break-glass INC-2041.")
    words = tuple(word for option, value in given.items() if value is not None for word in (option, value))
    named = {"remediate_break_glass": break_glass, "remediate_alert_at": alert_at}
    said = Said(words, {name: value for name, value in named.items() if value is not None})

    def again(limit: str, approve: str) -> Answer:
        changed = {**options, "limit": limit, "approve": (*options["approve"], approve)}
        return _go(output, name=name, act=True, said=said, **changed)

    answer = _go(output, name=name, act=True, said=said, **options)
    return follow_up(answer, output, again) if not options["check"] and may_ask(output) else answer


@cli.group(
    epilog=example(
        "hold set -i inventories/lab --limit db1 --reason 'restore under way' --for 2h",
        "hold show -i inventories/lab",
        "hold lift -i inventories/lab --limit db1",
    )
)
def hold() -> None:
    """Keep all remedies away from hosts for a while, see what holds, or lift it."""


@hold.command("set", epilog=example("hold set -i inventories/lab --limit db1 --reason 'restore under way' --for 2h"))
@click.option(
    "--reason",
    metavar="TEXT",
    required=True,
    help="Why nothing may be done there; whoever is refused reads it. For example --reason 'restore under way'",
)
@click.option(
    "--for",
    "lasts",
    metavar="TIME",
    help="End by itself after so long (s, min, h, d, w); else it holds until it is lifted. For example --for 2h",
)
@CHECK_HOLD
@running
@click.pass_obj
def hold_set(output: Output, /, reason: str, lasts: str | None, **options: Any) -> Answer:
    """Set a hold on hosts: no remedy runs there, whichever controller it comes from."""
    words = ("--reason", reason, *(("--for", lasts) if lasts is not None else ()))
    variables = {"hold_reason": reason} | ({"hold_lasts": lasts} if lasts is not None else {})
    return _hold(output, "set", {"hold_state": "present", **variables}, words, **options)


@hold.command("lift", epilog=example("hold lift -i inventories/lab --limit db1"))
@CHECK_HOLD
@running
@click.pass_obj
def hold_lift(output: Output, /, **options: Any) -> Answer:
    """Lift the hold of hosts, whoever has set it; says whose it was. `runbook undo` sets it again."""
    return _hold(output, "lift", {"hold_state": "absent"}, (), **options)


@hold.command("show", epilog=example("hold show -i inventories/lab"))
@running
@click.pass_obj
def hold_show(output: Output, /, **options: Any) -> Answer:
    """Show the holds that are in force: why, whose, since and until when."""
    return _hold(output, "show", {"hold_state": "read"}, (), check=False, **options)


def _hold(output: Output, verb: str, variables: dict[str, Any], words: tuple[str, ...], **options: Any) -> Answer:
    from runbook_cli.request import Said

    said = Said(words, variables, ("hold", verb))
    return _go(output, name="hold", act=True, approve=(), said=said, **options)


@cli.command(
    epilog=example(
        "undo --list",
        "undo last -i inventories/lab --check",
        "undo 20260105T020007Z-3fa9c1 -i inventories/lab --limit fleet07",
    )
)
@click.argument("run", required=False, shell_complete=offers("runs"))
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
    from runbook_cli import local
    from runbook_cli.history import find, history, list_text
    from runbook_cli.project import records_path

    records = records_path(local.records(options["records"]) if options["local"] else options["records"])
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
        "doctor -i inventories/lab",
        "doctor -i inventories/lab --limit db1 --format json",
        "doctor -i inventories/lab --query 'hosts[?status!=`ok`].host'",
    )
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Limit of each step on a host, else ansible_timeout, and at most 10. For example --timeout 3",
)
@inventory
@common
@click.pass_obj
def doctor(output: Output, /, **options: Any) -> Answer:
    """See whether runs get through to each host, many at once, and say the next step where one does not.

    Looked at: address, host key, login, Python, sudo, clock, room, this library's state, holds and leases, journal.
    Nothing is written on a host. Exit code 4 when a run would not get through to a host, 7 when it would be refused.
    """
    from runbook_cli.doctor_command import examine

    return examine(output, **options)


@cli.command(
    epilog=example(
        "drill --list",
        "drill mongodb/killed -i inventories/lab --limit db1",
        "drill mongodb/killed -i inventories/lab --limit db1 --confirm db1",
    )
)
@click.argument("fault", required=False, shell_complete=offers("faults"))
@click.option(
    "--list", "listed", is_flag=True, help="Show the faults and how they end. For example runbook drill --list"
)
@click.option(
    "--confirm",
    metavar="HOST",
    help="The exact name of the host to break; asked for on a terminal. For example --confirm db1",
)
@running
@click.pass_obj
def drill(output: Output, /, fault: str | None, listed: bool, confirm: str | None, **options: Any) -> Answer:
    """Break a host of the lab on purpose, see the playbook cure it or rightly refuse, and mend it. For training.

    Refuses every host that this machine's lab did not boot. Exit code 0 when it ended as the fault's file says, else 6.
    """
    from runbook_cli import drill as drills
    from runbook_cli.request import Options

    if listed:
        return drills.listed(options["project"])
    if fault is None:
        raise CliError("no fault is named", "runbook drill", "See 'runbook drill --list'.")
    wanted = Options(name="", act=True, check=False, approve=(), verbose=output.verbose, **options)
    return drills.drill(fault, confirm, wanted, output)


@cli.command(
    epilog=example(
        "completion bash >>~/.bashrc", "completion zsh >>~/.zshrc", "completion fish >>~/.config/fish/config.fish"
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
def completion(shell: str, **_project: str | None) -> Answer:
    """Print what makes a shell complete playbooks, inventories, hosts, remedies and runs after TAB."""
    from runbook_cli.completion import script

    lines = script(cli, shell)
    return Answer({"shell": shell, "script": lines}, lines)


@cli.command(
    "history",
    epilog=example(
        "history --last 5",
        "history --host db1 --since 7d",
        "history 20260105T020007Z-3fa9c1",
        "history --verify -i inventories/lab",
    ),
)
@click.argument("run", required=False, shell_complete=offers("runs"))
@click.option(
    "--last",
    metavar="N",
    type=click.IntRange(min=1),
    help="Only the latest so many runs; 20 where it is not given. For example runbook history --last 5",
)
@click.option("--host", help="Only runs that were on this host. For example runbook history --host db1")
@click.option(
    "--since",
    metavar="WHEN",
    help="Only runs that began then or later: RFC 3339, or how long ago. For example runbook history --since 7d",
)
@click.option(
    "--verify",
    "verified",
    is_flag=True,
    help="Say whether the record is as it was written; with -i, also by the journals of the hosts. Exit code 8 when it "
    "is not. For example runbook history --verify -i inventories/lab",
)
@running
@click.pass_obj
def history_(output: Output, /, run: str | None, verified: bool, **options: Any) -> Answer:
    """The runs in the record, newest first; one run as it went; or whether the record is whole.

    RUN is a run's id, or 'last'. With --incident only the runs of that ticket. Nothing is written, and no host is gone
    to but by --verify with -i.
    """
    from runbook_cli.project import find_root, records_path

    records = records_path(options["records"])
    chosen = {name: options.pop(name) for name in ("last", "host", "since")}
    if verified:
        if run or any(chosen.values()):
            raise CliError("verifies all of the record", "--verify", "Leave RUN, --last, --host and --since out.")
        from runbook_cli.verify import joined, verify

        alone = verify(find_root(options["project"]), records)
        if not options["inventory"]:
            return alone
        return joined(alone, _go(output, name="verify_record", act=True, check=False, approve=(), **options))
    if options["inventory"] or options["limit"]:
        raise CliError("go to hosts, and a list does not", "-i and -l", "Add --verify, or choose with --host HOST.")
    from runbook_cli.story import listed, one

    return one(records, run) if run else listed(records, incident=options["incident"], **chosen)


@cli.command(
    epilog=example(
        "report last",
        "report 20260105T020007Z-3fa9c1 --output report.html",
        "report --incident INC-2041 --as html --output /srv/reports/INC-2041",
    )
)
@click.argument("run", required=False, shell_complete=offers("runs"))
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
    from runbook_cli.stop import raising

    output = Output()
    with raising(lambda: output.begun):
        return _told(arguments, output)


def _told(arguments: list[str] | None, output: Output) -> int:
    from runbook_cli.stop import Interrupted

    try:
        answer = cli.main(arguments, prog_name="runbook", standalone_mode=False, obj=output)
        return emit(answer, output) if isinstance(answer, Answer) else int(answer or 0)
    except CliError as error:
        return emit_error(error, output)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "runbook"
        return emit_error(CliError(error.format_message(), path, f"See '{path} --help'."), output)
    except (KeyboardInterrupt, Interrupted, click.Abort) as error:
        return _interrupted(getattr(error, "reason", "interrupted"), output)
    except Exception as error:
        return _bug(error, output)


def _interrupted(reason: str, output: Output) -> int:
    from runbook_cli.outcome import STOPPED

    what = CliError(reason.replace("_", " "), "", "Nothing had begun on any host.", STOPPED[reason])
    return emit_error(what, output)


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
    nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - stands in for what was closed, to the end
    sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # no locale keeps an answer back
    from runbook_cli.stop import deafen

    deafen()
    code = run_cli()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)  # all is said and tidied: what was imported need not be taken down piece by piece
