# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of lab/lab."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sys
import time
from typing import TYPE_CHECKING

from . import access, hosts, roster
from .machine import STATE, LabError, ask_for_sudo, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def main(argv: list[str]) -> int:
    """Run one command; a problem is one line on stderr and exit code 1."""
    arguments = parser().parse_args(argv)
    commands = {"up": up, "down": down, "reset": reset, "shell": shell, "status": status}
    try:
        ask_for_sudo()
        access.prepare_state()
        return commands[arguments.command](arguments)
    except LabError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="lab", description="Hosts one may break: systemd in containers, over ssh.")
    commands = top.add_subparsers(dest="command", required=True)
    command = commands.add_parser("up", help="start hosts (default: db1 db2 db3) and wait until they are ready")
    command.add_argument("hosts", nargs="*", metavar="HOST", help=roster.WORDS)
    command = commands.add_parser("down", help="remove hosts (default: all of them, and the lab's network)")
    command.add_argument("hosts", nargs="*", metavar="HOST", help=roster.WORDS)
    command = commands.add_parser("reset", help="replace hosts by new ones")
    command.add_argument("hosts", nargs="+", metavar="HOST", help=roster.WORDS)
    command = commands.add_parser("shell", help="log in to a host, as the inventory does, or run a command there")
    command.add_argument("--user", help="another user: root, ops, viewer")
    command.add_argument("hosts", choices=roster.HOSTS, metavar="HOST", help=roster.NAMES)
    command.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    commands.add_parser("status", help="what runs, and which units do not")
    return top


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One change of the lab at a time."""
    with (STATE / "lock").open("w") as lock:
        end = time.monotonic() + 1800
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise LabError(
                        "another lab command has not ended", str(STATE / "lock"), "end it and try again"
                    ) from None
                time.sleep(0.2)
        yield


def up(arguments: argparse.Namespace) -> int:
    """Start hosts."""
    wanted = roster.chosen(arguments.hosts or roster.DEFAULT)
    started = time.monotonic()
    with alone():
        took = hosts.up(wanted)
    say(f"lab: {listed(wanted)} ready in {time.monotonic() - started:.1f} s ({news(took)})")
    return 0


def listed(names: Sequence[str]) -> str:
    """Names for one line."""
    return ", ".join(names) if len(names) <= 6 else f"{len(names)} hosts, {names[0]} to {names[-1]},"


def news(took: dict[str, float]) -> str:
    """Which hosts were started, and how long they took."""
    new = {host: seconds for host, seconds in took.items() if seconds}
    if not new:
        return "they ran already"
    if len(new) <= 6:
        return ", ".join(f"{host} {seconds:.1f} s" for host, seconds in new.items())
    slowest = max(new, key=lambda host: new[host])
    return f"{len(new)} started, the last one {slowest}"


def down(arguments: argparse.Namespace) -> int:
    """Remove hosts, or everything."""
    wanted = roster.chosen(arguments.hosts)
    with alone():
        removed = hosts.down(wanted)
    say(f"lab: removed {listed(removed).rstrip(',') or 'nothing, there was nothing'}")
    return 0


def reset(arguments: argparse.Namespace) -> int:
    """Replace hosts by pristine ones."""
    wanted = roster.chosen(arguments.hosts)
    with alone():
        there = hosts.existing()
        hosts.remove([host for host in wanted if host in there])
    return up(arguments)


def shell(arguments: argparse.Namespace) -> int:
    """Become ssh."""
    spec = roster.HOSTS[arguments.hosts]
    argv = access.ssh_command(arguments.user or spec.user, spec.address)
    os.execvp(argv[0], [*argv, *arguments.argv])  # noqa: S606 - the arguments are a list


def status(_: argparse.Namespace) -> int:
    """Print a line per host; 0 when the three hosts of `lab up` run with all their units, else 1."""
    well = set()
    for name, host, state, inactive in hosts.status():
        sys.stdout.write(f"{name:7} {host.address:14} ssh as {host.user:7} {state:8} {inactive}".rstrip() + "\n")
        if state == "running" and not inactive:
            well.add(name)
    return 0 if well.issuperset(roster.DEFAULT) else 1
