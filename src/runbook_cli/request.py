# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was typed to a job that may run; what can be refused is refused here, before any host is touched."""

from __future__ import annotations

import getpass
import os
import re
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_cli.answer import CliError, did_you_mean
from runbook_cli.launch import Job
from runbook_cli.pack import approvable, has_lifecycle
from runbook_cli.project import Playbook, find_playbook, find_root, inventories, records_folder
from runbook_cli.targets import find_inventory, resolve

OURS = ("remediate_act", "remediate_approved")


@dataclass(frozen=True)
class Options:
    """The options of `run` and `diagnose` as they were typed."""

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


@dataclass(frozen=True)
class Request:
    """A job, and what is known about it before it runs."""

    job: Job
    playbook: Playbook
    hosts: list[str]
    lifecycle: bool
    mode: str


def prepare(options: Options) -> Request:
    """Validate everything.

    Raises:
        CliError: With the documented exit code; no host has been touched.
    """
    root = find_root(options.project)
    playbook = find_playbook(root, options.name)
    lifecycle = has_lifecycle(root, playbook)
    if not options.act and not lifecycle:
        raise CliError(
            f"{playbook.name} has no diagnosis: it is a job and would act",
            hint=f"See 'runbook show {playbook.name}', or predict with 'runbook run {playbook.name} --check'.",
        )
    extra = [parse_extra(text) for text in options.extra]
    settings = _settings(root, playbook, options)
    _check_incident(options.incident)
    sources = _sources(root, playbook, options.inventory)
    hosts = resolve(root, playbook.path, sources, options.limit, list(extra))
    job = Job(
        root=root,
        playbook=playbook.path,
        inventories=sources,
        limit=options.limit,
        extra=extra,
        settings=settings,
        check=options.check,
        timeout=options.timeout,
        run_id=new_run_id(),
        records=records_folder(options.records),
        incident=options.incident,
        become_password=_become_password() if options.ask_become_pass else None,
    )
    return Request(job, playbook, hosts, lifecycle, "check" if options.check else "run" if options.act else "diagnose")


def parse_extra(text: str) -> dict[str, str] | str:
    """NAME=VALUE as {name: value}, as Ansible takes it (the value is a text), or @FILE as an absolute path."""
    if text.startswith("@"):
        path = Path(text[1:]).expanduser()
        if not path.is_file():
            raise CliError("no such file", f"--extra {text}", "Give -e @FILE with the path of a YAML file.")
        return str(path.resolve())
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        shown = name if equals else "a value"  # what has no name may be a secret
        raise CliError(f"{shown!r} is not NAME=VALUE", "--extra", "Write -e NAME=VALUE or -e @FILE.")
    if name in OURS:
        raise CliError(
            f"{name} is what the command itself decides",
            "--extra",
            "Use 'diagnose' to look only, --approve to approve.",
        )
    return {name: value}


def _settings(root: Path, playbook: Playbook, options: Options) -> dict[str, Any]:
    settings: dict[str, Any] = {} if options.act else {"remediate_act": False}
    known = approvable(root, playbook) if options.approve else []
    for name in options.approve:
        if name not in known:
            raise CliError(
                f"{playbook.name} has no remedy or cause {name!r} that may be approved",
                "--approve",
                did_you_mean(name, known),
            )
    if options.approve:
        settings["remediate_approved"] = list(options.approve)
    return settings


def _check_incident(incident: str | None) -> None:
    if incident is not None and not re.fullmatch(r"[A-Za-z0-9][\w.:/#-]{0,63}", incident):
        raise CliError(
            "is not an incident's id", "--incident", "Use up to 64 letters, digits and . _ : / # -, such as INC-2041."
        )


def _sources(root: Path, playbook: Playbook, given: tuple[str, ...]) -> list[str]:
    named = list(given) or [name for name in [os.environ.get("RUNBOOK_INVENTORY", "")] if name]
    if not named:
        there = inventories(root)
        hint = f"This project has {', '.join(there)}." if there else "It is a file or folder of hosts."
        raise CliError(
            f"no inventory is given, so it is not clear which hosts {playbook.name} is meant for",
            hint=f"Add -i PATH or set RUNBOOK_INVENTORY. {hint}",
        )
    return [find_inventory(root, name) for name in named]


def _become_password() -> str:
    """Asked on the terminal, or the first line of stdin where that is not a terminal."""
    typed = getpass.getpass("sudo password: ") if sys.stdin.isatty() else sys.stdin.readline()
    password = typed.rstrip("\r\n")
    if not password:
        raise CliError(
            "the sudo password is empty", "-K", "Type it, or pipe it in; leave -K out where sudo asks for none."
        )
    return password


def new_run_id() -> str:
    """Such as 20260105T020007Z-3fa9c1: UTC, and six random hexadecimal digits."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + "-" + secrets.token_hex(3)
