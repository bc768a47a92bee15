# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was typed after `runbook doctor` to its answer."""
# ruff: noqa: PLC0415 - what is heavy is imported while another process reads the inventory

from __future__ import annotations

from runbook_cli import local as this_host
from runbook_cli.answer import Answer, Output
from runbook_cli.apart import apart
from runbook_cli.project import find_root
from runbook_cli.reach import connections
from runbook_cli.request import become_password, named_inventories, parse_extra


def examine(  # noqa: PLR0913 - the options, as they were typed
    output: Output,
    *,
    project: str | None,
    inventory: tuple[str, ...],
    local: bool,
    limit: str | None,
    extra: tuple[str, ...],
    ask_become_pass: bool,
    timeout: float | None,
) -> Answer:
    """Validate, read the inventory in another process, and look at the hosts.

    Raises:
        CliError: 2 or 7, before any host is reached.
    """
    root = find_root(project)
    given = [parse_extra(text, ()) for text in extra]
    if local:
        given.append(this_host.variables())
    named = [f"{this_host.host()},"] if local and not inventory else named_inventories(root, "doctor", inventory)
    password = become_password() if ask_become_pass else None
    found = apart(lambda: connections(root, named, limit, list(given)), meanwhile=_load)
    if local:
        this_host.demand_here([one["host"] for one in found])
    if password is not None:  # as for a run, what is typed now wins
        found = [{**one, "become_password": password} for one in found]
    from runbook_cli.doctor import doctor

    return doctor(found, timeout, output)


def _load() -> None:
    import runbook_cli.doctor
    import runbook_cli.ssh_login  # noqa: F401 - used by doctor
