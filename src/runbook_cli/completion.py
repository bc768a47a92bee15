# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shell offers after TAB: playbooks, inventories, hosts, remedies, runs, faults.

It must be quick, so that nothing of Ansible is imported; what cannot be told without it (inventory scripts and plugins)
is not offered. It never fails: a person who types is not to be told of a damaged file by TAB.
"""
# ruff: noqa: PLC0415 - each TAB pays for what is imported

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.shell_completion import CompletionItem, get_completion_class

from runbook_cli.answer import CliError
from runbook_cli.project import find_root, inventories, playbooks, records_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import click

    Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_RUNBOOK_COMPLETE"
_OTHER_NAME = {
    "bash": "complete -o nosort -F _runbook_completion ops-runbook\n",
    "zsh": "compdef _runbook_completion ops-runbook\n",
    "fish": 'complete --no-files --command ops-runbook --arguments "(_runbook_completion)";\n',
}
_TAIL = 1 << 20
"""Bytes at the end of the record in which runs are looked for."""
_NO_INVENTORY = ("group_vars", "host_vars")
_NOT_READ = (".orig", ".retry", ".pyc", ".cfg", ".bak", "~", ".swp")


def script(command: click.Command, shell: str) -> str:
    """The lines that a shell reads at its start."""
    found = get_completion_class(shell)
    assert found is not None, shell  # noqa: S101 - the option allows no other
    complete = found(command, {}, "runbook", VARIABLE)
    return complete.source_template % complete.source_vars() + _OTHER_NAME[shell]


def offering(names: Callable[[click.Context, str], Iterator[tuple[str, str]] | list[tuple[str, str]]]) -> Completer:
    """A completer from a function that gives (word, help) pairs; what goes wrong in it offers nothing."""

    def complete(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        with contextlib.suppress(CliError, OSError, ValueError, AttributeError, TypeError):
            return [CompletionItem(word, help=told) for word, told in names(context, begun) if word.startswith(begun)]
        return []

    return complete


def _root(context: click.Context) -> Path:
    return find_root(context.params.get("project") or os.environ.get("RUNBOOK_PROJECT"))


@offering
def playbook_names(context: click.Context, _begun: str) -> list[tuple[str, str]]:
    """Playbooks, with their titles."""
    return [(playbook.name, playbook.title) for playbook in playbooks(_root(context))]


@offering
def remedies(context: click.Context, _begun: str) -> list[tuple[str, str]]:
    """What --approve may name, of the playbook that was typed."""
    from runbook_cli.pack import approvable
    from runbook_cli.project import find_playbook

    # An option that still lacks its value keeps click from binding the argument before it.
    named = context.params.get("name") or next(iter(context.args), "")
    root = _root(context)
    return [(name, "") for name in approvable(root, find_playbook(root, str(named)))]


@offering
def runs(context: click.Context, _begun: str) -> Iterator[tuple[str, str]]:
    """`last`, and the runs that acted, the latest first."""
    yield "last", "the latest run that is not undone"
    path = records_path(context.params.get("records") or os.environ.get("OPS_RUNBOOK_RECORDS")) / "record.jsonl"
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL))
        lines = [line for line in stream.read().splitlines() if b'"phase":"intent"' in line]
    found = [match[1].decode() for line in reversed(lines) if (match := re.search(rb'"run":"([\w-]+)"', line))]
    yield from ((run, "") for run in dict.fromkeys(found))


@offering
def faults(context: click.Context, _begun: str) -> list[tuple[str, str]]:
    """Faults of the lab."""
    folder = _root(context) / "lab" / "faults"
    return [(f"{path.parent.name}/{path.stem}", "") for path in sorted(folder.glob("*/*.yml"))]


def inventory_paths(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The project's inventories, and where none begins so, any file."""
    with contextlib.suppress(CliError, OSError):
        known = [name for name in inventories(_root(context)) if name.startswith(begun)]
        if known:
            return [CompletionItem(name) for name in known]
    return [CompletionItem(begun, type="file")]


def folders(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Any folder."""
    return [CompletionItem(begun, type="dir")]


@offering
def hosts(context: click.Context, begun: str) -> list[tuple[str, str]]:
    """Hosts and groups of the inventories that were typed; the last one of a list is completed."""
    from runbook_cli.targets import find_inventory

    before = begun[: len(begun) - len(re.split(r"[,:!&]", begun)[-1])]
    named = list(context.params.get("inventory") or ()) or [os.environ.get("RUNBOOK_INVENTORY", "")]
    found: dict[str, str] = {}
    for name in filter(None, named):
        found |= dict(inventory_names(find_inventory(_root(context), name)))
    return [(before + name, told) for name, told in found.items()]


def inventory_names(source: str) -> Iterator[tuple[str, str]]:
    """(name, `group` or nothing) of an inventory in YAML, JSON or INI, a folder of them, or names with commas."""
    if "," in source:
        yield from ((name.strip(), "") for name in source.split(",") if name.strip())
        return
    path = Path(source)
    if path.is_dir():
        for below in sorted(path.iterdir()):
            if (
                below.name not in _NO_INVENTORY
                and not below.name.startswith(".")
                and not below.name.endswith(_NOT_READ)
            ):
                yield from inventory_names(str(below))
    elif path.is_file() and not os.access(path, os.X_OK):
        is_yaml = path.suffix in (".yml", ".yaml", ".json")
        yield from _of_yaml(path) if is_yaml else _of_ini(path.read_text(encoding="utf-8"))


def _of_yaml(path: Path) -> Iterator[tuple[str, str]]:
    from runbook_cli.pack import read_yaml

    with contextlib.suppress(CliError):
        groups = read_yaml(path)
        yield from _of_groups(groups if isinstance(groups, dict) else {})


def _of_groups(groups: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, group in groups.items():
        yield str(name), "group"
        if isinstance(group, dict):
            for host in group.get("hosts") or {}:
                yield from ((one, "") for one in expand(str(host)))
            yield from _of_groups(group.get("children") or {})


def _of_ini(text: str) -> Iterator[tuple[str, str]]:
    holds = "hosts"
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if found := re.fullmatch(r"\[([^\]:]+)(?::(\w+))?\]", line.strip()):
            holds = found[2] or "hosts"
            yield found[1], "group"
        elif words and holds != "vars":
            yield from ((one, "group" if holds == "children" else "") for one in expand(words[0]))


def expand(pattern: str) -> list[str]:
    """The names of a range such as fleet[01:60] or db[a:c]; at most a thousand of each range."""
    found = re.search(r"\[(\w+):(\w+)(?::(\d+))?\]", pattern)
    if not found:
        return [pattern]
    first, last, step = found[1], found[2], int(found[3] or 1)
    if first.isdigit() and last.isdigit():
        within = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1, step or 1)]
    else:
        within = [chr(number) for number in range(ord(first[0]), ord(last[0]) + 1, step or 1)]
    return [
        one for middle in within[:1000] for one in expand(pattern[: found.start()] + middle + pattern[found.end() :])
    ]
