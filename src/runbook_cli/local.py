# SPDX-License-Identifier: GPL-3.0-or-later
"""`--local`: work on the broken host itself, when the network or the controller is gone.

The inventory has this host alone, by its own name, in the groups that the playbook names, with a local connection.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

from runbook_cli.answer import CliError
from runbook_cli.pack import read_yaml
from runbook_cli.project import Playbook

RECORDS = Path("/var/lib/ops-runbook/local")
"""Where root's record lies on the host itself; another user's is in the home folder, as on a controller."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_EVERYONE = {"all", "*", "localhost", "ungrouped"}


def host() -> str:
    """This host's own name, as an inventory would have it.

    Raises:
        CliError: It has none that an inventory could hold.
    """
    name = socket.gethostname().partition(".")[0]
    if not _NAME.fullmatch(name) or name == "localhost":
        raise CliError(f"{name!r} is no name for a record", "the host's own name", "hostnamectl set-hostname NAME")
    return name


def records(chosen: str | None) -> str | None:
    """Where the record lies: what was chosen, else for root the host's own state folder (made here, 0700)."""
    if chosen or os.geteuid():
        return chosen
    RECORDS.parent.mkdir(mode=0o700, exist_ok=True)
    return str(RECORDS)


def variables() -> dict[str, Any]:
    """How Ansible works on this host: with our own Python, which is known to run, and without sudo for root."""
    found: dict[str, Any] = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    return found | ({"ansible_become": False} if os.geteuid() == 0 else {})


def inventory(playbook: Playbook, folder: Path) -> str:
    """Write the inventory for a playbook beside the record, and return its path."""
    name, path = host(), folder / f"inventory-{playbook.name}.json"
    children = {group: {"hosts": {name: None}} for group in groups(playbook)}
    told = {"all": {"hosts": {name: variables()}, "children": children}}
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(told, indent=2), encoding="utf-8")
    new.replace(path)
    return str(path)


def groups(playbook: Playbook) -> list[str]:
    """The groups that the playbook's plays name; of a template those that it falls back on."""
    found: dict[str, None] = {}
    for play in read_yaml(playbook.path) or []:
        hosts = play.get("hosts", "") if isinstance(play, dict) else ""
        for pattern in hosts if isinstance(hosts, list) else [hosts]:
            text = str(pattern)
            words = re.findall(r"default\(\s*'([^']+)'", text) if "{{" in text else re.split(r"[,:]", text)
            for word in words:
                if _NAME.fullmatch(word.strip()) and word.strip() not in _EVERYONE:
                    found[word.strip()] = None
    return list(found)


def demand_here(hosts: list[str]) -> None:
    """With an inventory of a person's own, the one host that is meant must be this one.

    Raises:
        CliError: 7, because another host's name on this one's changes would be a lie.
    """
    names = {socket.gethostname(), socket.gethostname().partition(".")[0]}
    if len(hosts) != 1 or hosts[0] not in names:
        meant = ", ".join(hosts[:5]) + (" and more" if len(hosts) > 5 else "")
        raise CliError(f"this host is {host()}, and {meant} is meant", "--local", f"Add --limit {host()}.", 7)
