# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was typed to a job that may run; what can be refused is refused here, before any host is touched."""

# ruff: noqa: PLC0415 - what is heavy is imported while another process reads the inventory

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_cli import local
from runbook_cli.answer import CliError, did_you_mean
from runbook_cli.apart import apart
from runbook_cli.progress import CROWD
from runbook_cli.project import Playbook, find_playbook, find_root, inventories, records_folder
from runbook_cli.targets import REFUSED, find_inventory, resolve
from runbook_cli.terminal import some

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook_cli.launch import Job

OURS = ("remediate_act", "remediate_approved")
OF_UNDO = ("undo_run", "undo_approved")


@dataclass(frozen=True)
class Options:
    """The options of a command that goes to hosts, as they were typed."""

    name: str
    project: str | None
    inventory: tuple[str, ...]
    limit: str | None
    extra: tuple[str, ...]
    timeout: float | None
    incident: str | None
    approve: tuple[str, ...]
    records: str | None
    ask_become_pass: bool
    act: bool
    check: bool
    verbose: bool = False
    undo: Undo | None = None
    said: Said | None = None
    local: bool = False


@dataclass(frozen=True)
class Said:
    """What a command has of its own: its words as they were typed, and the variables that they stand for."""

    words: tuple[str, ...]
    variables: dict[str, Any]
    verb: tuple[str, ...] = ()
    """Of a command that is no `run NAME`."""


@dataclass(frozen=True)
class Undo:
    """What `undo` adds: the run that is undone, the hosts that it changed, and whether a person approved."""

    run: str
    hosts: tuple[str, ...]
    approved: bool


@dataclass(frozen=True)
class Request:
    """A job, and what is known about it before it runs."""

    job: Job
    playbook: Playbook
    hosts: list[str]
    limit: str | None
    lifecycle: bool
    mode: str
    silent: dict[str, str]
    """Hosts to which no connection could be made, and why: the run leaves them out."""


def prepare(options: Options, meanwhile: Callable[[], None] = lambda: None) -> Request:
    """Validate everything; meanwhile is called while another process reads the inventory.

    Raises:
        CliError: With the documented exit code; no host has been touched.
    """
    root = find_root(options.project)
    playbook = find_playbook(root, options.name)
    extra = [parse_extra(text, (*OURS, *OF_UNDO) if options.undo else OURS) for text in options.extra]
    _check_incident(options.incident)
    folder = records_folder(local.records(options.records) if options.local else options.records)
    sources, here = _sources(root, playbook, options, folder)
    known: list[tuple[bool, dict[str, Any]]] = []

    def about() -> None:
        known.append(_about(root, playbook, options))
        meanwhile()

    found = apart(lambda: _resolved(root, playbook.path, sources, options.limit, list(extra)), meanwhile=about)
    hosts = found["hosts"]
    lifecycle, settings = known[0]
    if options.local:
        local.demand_here(hosts)
    if options.undo:
        hosts = _changed(options.undo, hosts, options.limit)
    silent = {host: why for host, why in found["silent"].items() if host in hosts}
    run_id = new_run_id()
    from runbook_cli.launch import Job

    job = Job(
        root=root,
        playbook=playbook.path,
        inventories=sources,
        limit=",".join(hosts) if options.undo else options.limit,
        extra=extra,
        settings={**settings, **here},
        check=options.check,
        timeout=options.timeout,
        run_id=run_id,
        records=folder,
        incident=options.incident,
        become_password=become_password() if options.ask_become_pass else None,
        verbose=options.verbose,
        commands=retype(options, run_id),
        only=[host for host in hosts if host not in silent] if silent else None,
    )
    mode = "check" if options.check else "run" if options.act else "diagnose"
    return Request(job, playbook, hosts, options.limit, lifecycle, mode, silent)


def _sources(root: Path, playbook: Playbook, options: Options, records: Path) -> tuple[list[str], dict[str, Any]]:
    """The inventories, and with --local beside an inventory of a person's own the variables that win over it."""
    if not options.local:
        return named_inventories(root, playbook.name, options.inventory), {}
    if options.inventory:
        return named_inventories(root, playbook.name, options.inventory), {"ansible_connection": "local"}
    return [local.inventory(playbook, records)], {}


def _resolved(
    root: Path, playbook: Path, inventories: list[str], limit: str | None, given: list[dict[str, Any] | str]
) -> dict[str, Any]:
    """The hosts that the playbook would touch, and of many those that no connection can be made to: host -> why.

    Ansible would wait for each of them in turn, and a play that goes host by host would end at the first.
    """
    hosts = resolve(root, playbook, inventories, limit, given)
    if len(hosts) < CROWD:
        return {"hosts": hosts, "silent": {}}
    from runbook_cli.reach import of_hosts, silent

    return {"hosts": hosts, "silent": silent(of_hosts(root, inventories, limit, given, hosts))}


def _about(root: Path, playbook: Playbook, options: Options) -> tuple[bool, dict[str, Any]]:
    """Whether the playbook has the lifecycle, and the command's own variables."""
    from runbook_cli.pack import has_lifecycle

    lifecycle = has_lifecycle(root, playbook)
    if not options.act and not lifecycle:
        raise CliError(
            f"{playbook.name} has no diagnosis: it is a job and would act",
            hint=f"See 'runbook show {playbook.name}', or predict with 'runbook run {playbook.name} --check'.",
        )
    return lifecycle, _settings(root, playbook, options)


def _changed(undo: Undo, hosts: list[str], limit: str | None) -> list[str]:
    """Those of hosts that the run changed; none may be lost without a word."""
    left = [host for host in hosts if host in undo.hosts]
    lost = [host for host in undo.hosts if host not in hosts]
    if not left:
        where = f"--limit {limit}" if limit is not None else "the inventory"
        what = f"run {undo.run} changed none of the hosts of {where}; it changed {some(undo.hosts)}"
        raise CliError(what, hint=f"Give the inventory or the limit that has them. {_renamed(lost)}", code=REFUSED)
    if lost and limit is None:
        what = f"run {undo.run} also changed {some(lost)}, and the inventory does not have them"
        hint = f"Give an inventory that has, or name by --limit the hosts that are meant. {_renamed(lost)}"
        raise CliError(what, hint=hint)
    return left


def _renamed(lost: list[str]) -> str:
    """What to do where a host has another name now: the record goes by the old one."""
    line = f"{lost[0]} ansible_host=ADDRESS"
    return f"One that was renamed since needs the name that the record has: an inventory file with the line '{line}'."


def retype(options: Options, run_id: str) -> dict[str, Any]:
    """What a person types for the same run again (`again`, words, and `limit`), and to undo it (`undo`, words)."""
    from runbook_cli.mask import masked_extra

    said = options.said or Said((), {})
    verb = ["undo", options.undo.run] if options.undo else ["run" if options.act else "diagnose", options.name]
    verb = list(said.verb) or verb
    by_environment = () if options.local else tuple(filter(None, [os.environ.get("RUNBOOK_INVENTORY")]))
    inventories = [word for name in options.inventory or by_environment for word in ("-i", name)]
    inventories += ["--local"] if options.local else []
    place = _typed("--project", options.project, "RUNBOOK_PROJECT")
    place += _typed("--records", options.records, "OPS_RUNBOOK_RECORDS")
    password = ["-K"] if options.ask_become_pass else []
    given = [*said.words, *(word for name in options.approve for word in ("--approve", name))]
    given += [word for text in options.extra for word in ("-e", masked_extra(text))]
    given += ["--approve", "undo"] if options.undo and options.undo.approved else []
    given += ["--check"] if options.check else []
    return {
        "again": ["runbook", *verb, *inventories, *given, *password, *place],
        "limit": options.limit,
        "undo": ["runbook", "undo", run_id, *inventories, *password, *place],
    }


def _typed(option: str, value: str | None, variable: str) -> list[str]:
    """The option as it was typed; not where the environment gave it."""
    return [option, value] if value and value != os.environ.get(variable) else []


def parse_extra(text: str, ours: tuple[str, ...] = OURS) -> dict[str, Any] | str:
    """What Ansible takes: NAME=VALUE as {name: text}, {JSON} as it is, or @FILE as an absolute path.

    ours are variables that the command itself sets.
    """
    if text.startswith("@"):
        path = Path(text[1:]).expanduser()
        if not path.is_file():
            raise CliError("no such file", f"--extra {text}", "Give -e @FILE with the path of a YAML file.")
        return str(path.resolve())
    if text.startswith("{"):
        return _mapping(text, ours)
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        shown = name if equals else "a value"  # what has no name may be a secret
        raise CliError(f"{shown!r} is not NAME=VALUE", "--extra", "Write -e NAME=VALUE or -e @FILE.")
    return _not_ours({name: value}, ours)


def _mapping(text: str, ours: tuple[str, ...]) -> dict[str, Any]:
    try:
        return _not_ours(dict(json.loads(text)), ours)
    except ValueError:  # the text may hold a secret
        raise CliError("what begins with { is not JSON", "--extra", "Write -e '{\"NAME\": VALUE}'.") from None


def _not_ours(given: dict[str, Any], ours: tuple[str, ...]) -> dict[str, Any]:
    for name in ours:
        if name in given:
            raise CliError(
                f"{name} is what the command itself decides",
                "--extra",
                "Use 'diagnose' to look only, --approve to approve.",
            )
    return given


def _settings(root: Path, playbook: Playbook, options: Options) -> dict[str, Any]:
    if options.undo:
        return {"undo_run": options.undo.run, "undo_approved": options.undo.approved}
    settings: dict[str, Any] = dict(options.said.variables) if options.said else {}
    settings |= {} if options.act else {"remediate_act": False}
    if not options.approve:
        return settings
    from runbook_cli.pack import approvable

    known = approvable(root, playbook)
    for name in options.approve:
        if name not in known:
            raise CliError(
                f"{playbook.name} has no remedy or cause {name!r} that may be approved",
                "--approve",
                did_you_mean(name, known),
            )
    return settings | {"remediate_approved": list(options.approve)}


def _check_incident(incident: str | None) -> None:
    if incident is not None and not re.fullmatch(r"[A-Za-z0-9][\w.:/#-]{0,63}", incident):
        raise CliError(
            "is not an incident's id", "--incident", "Use up to 64 letters, digits and . _ : / # -, such as INC-2041."
        )


def named_inventories(root: Path, what: str, given: tuple[str, ...]) -> list[str]:
    """The inventories that a person named, by -i or in the environment, for `what`; there is no default."""
    named = list(given) or [name for name in [os.environ.get("RUNBOOK_INVENTORY", "")] if name]
    if not named:
        there = inventories(root)
        hint = f"This project has {', '.join(there)}." if there else "It is a file or folder of hosts."
        raise CliError(
            f"no inventory is given, so it is not clear which hosts {what} is meant for",
            hint=f"Add -i PATH or set RUNBOOK_INVENTORY. {hint}",
        )
    return [find_inventory(root, name) for name in named]


def become_password() -> str:
    """Asked on the terminal, or the first line of stdin where that is not a terminal."""
    import getpass

    typed = getpass.getpass("sudo password: ") if sys.stdin.isatty() else sys.stdin.readline()
    password = typed.rstrip("\r\n")
    if not password:
        raise CliError(
            "the sudo password is empty", "-K", "Type it, or pipe it in; leave -K out where sudo asks for none."
        )
    return password


def new_run_id() -> str:
    """Such as 20260105T020007Z-3fa9c1: UTC, and six random hexadecimal digits."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + "-" + os.urandom(3).hex()
