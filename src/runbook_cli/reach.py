# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ansible would reach each host: what the inventory, ansible.cfg and the environment say of login and sudo.

Read by the definitions of Ansible's own ssh and sudo plugins, so that names, aliases and precedence are theirs. Called
in a process of its own, because Ansible reads its configuration when it is imported.
"""
# ruff: noqa: PLC0415 - Ansible reads its configuration when it is imported, so the environment comes first

from __future__ import annotations

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from runbook_cli import targets
from runbook_cli.answer import CliError
from runbook_cli.ssh_settings import first, settings

Connection = dict[str, Any]
AT_ONCE = 400
"""Hosts at once; one that does not answer costs nothing but its limit."""
_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")
_ALSO = (
    "ansible_connection",
    "ansible_become",
    "ansible_become_method",
    "ansible_python_interpreter",
    "ansible_timeout",
)
_FOR_SSH = {
    "address": "host",
    "port": "port",
    "user": "remote_user",
    "password": "password",
    "key": "private_key_file",
    "key_text": "private_key",
    "passphrase": "private_key_passphrase",
    "checks_host_key": "host_key_checking",
    "executable": "ssh_executable",
    "pipelining": "pipelining",
}
_ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args")


def connections(
    root: Path, inventories: list[str], limit: str | None, given: list[dict[str, Any] | str]
) -> list[Connection]:
    """One document a host, in the inventory's order.

    {host, connection (ssh, local, or what it is), address, port, user, password, key (path), key_text, passphrase,
    arguments (text), checks_host_key, executable, pipelining, timeout (seconds), python, become, become_method,
    become_user, become_password, become_flags, become_exe, error (what could not be read, else None)}.

    Raises:
        CliError: 2 for an inventory that does not parse and for an unknown host, 7 for no host.
    """
    loader, manager, variables = targets.inventory(root, inventories, limit, given)
    with targets.quiet():
        hosts = manager.list_hosts("all")
    if not hosts:
        raise CliError("no host is left", ", ".join(inventories), "Give an inventory that has hosts.", targets.REFUSED)
    return _connections(loader, manager, hosts, variables)


def of_hosts(
    root: Path, inventories: list[str], limit: str | None, given: list[dict[str, Any] | str], hosts: list[str]
) -> list[Connection]:
    """The same for hosts that were resolved before."""
    loader, manager, variables = targets.inventory(root, inventories, limit, given)
    return _connections(loader, manager, [manager.get_host(name) for name in hosts], variables)


def _connections(loader: Any, manager: Any, hosts: list[Any], extra: dict[str, Any]) -> list[Connection]:
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import trust_as_template
    from ansible.vars.manager import VariableManager

    # What a person gives by -e may be a template, as it may for Ansible.
    extra = {name: trust_as_template(value) if isinstance(value, str) else value for name, value in extra.items()}
    with targets.quiet():
        init_plugin_loader([])  # without it a variable's lookups are not found
        everything, names = VariableManager(loader=loader, inventory=manager), _names()
        return [_connection(loader, str(host), everything.get_vars(host=host) | extra, names) for host in hosts]


def _connection(loader: Any, host: str, variables: dict[str, Any], names: set[str]) -> Connection:
    from ansible.errors import AnsibleError
    from ansible.template import Templar

    templar = Templar(loader=loader, variables=variables)
    try:
        values = {name: templar.template(variables[name]) for name in names if name in variables}
        return {"host": host, "error": None, **_read(host, values)}
    except AnsibleError as error:
        return {"host": host, "error": " ".join(str(error).split()), "connection": "unknown"}


def _names() -> set[str]:
    """Variables that Ansible's plugins read."""
    from ansible import constants
    from ansible.plugins.loader import become_loader, connection_loader

    connection_loader.get("ssh", class_only=True)  # its options are known once it is loaded
    become_loader.get("sudo", class_only=True)
    config = constants.config
    return {*config.get_plugin_vars("connection", "ssh"), *config.get_plugin_vars("become", "sudo"), *_ALSO}


def _read(host: str, values: dict[str, Any]) -> Connection:
    from ansible import constants
    from ansible.module_utils.parsing.convert_bool import boolean

    ssh = constants.config.get_plugin_options("connection", "ssh", variables=values)
    sudo = constants.config.get_plugin_options("become", "sudo", variables=values)
    kind = str(values.get("ansible_connection", constants.DEFAULT_TRANSPORT)).removeprefix("ansible.builtin.")
    found = {name: _plain(ssh.get(option)) for name, option in _FOR_SSH.items()}
    return {
        **found,
        "address": found["address"] or host,
        "connection": "ssh" if kind in _SSH else kind,
        "arguments": " ".join(filter(None, (str(ssh.get(name) or "") for name in _ARGUMENTS))),
        "timeout": float(
            values.get("ansible_ssh_timeout") or values.get("ansible_timeout") or ssh.get("timeout") or 10
        ),
        "python": str(
            values.get("ansible_python_interpreter") or constants.config.get_config_value("INTERPRETER_PYTHON")
        ),
        "become": boolean(values.get("ansible_become", True)),  # our playbooks ask for it, and a variable wins
        "become_method": str(values.get("ansible_become_method") or constants.DEFAULT_BECOME_METHOD),
        "become_user": str(sudo.get("become_user") or "root"),
        "become_password": _plain(sudo.get("become_pass")),
        "become_exe": str(sudo.get("become_exe") or "sudo"),
        "become_flags": str(sudo.get("become_flags") or ""),
    }


def _plain(value: Any) -> Any:
    """A plain value for JSON: Ansible's texts and secrets are of types of their own."""
    return value if value is None or isinstance(value, bool | int) else str(value)


def silent(connections: list[Connection], limit: float = 5.0) -> dict[str, str]:
    """Host -> why, for those that no ssh server greets us from within limit seconds; none behind a proxy is asked."""
    with ThreadPoolExecutor(min(AT_ONCE, len(connections))) as pool:
        said = list(pool.map(lambda one: _silent(one, limit), connections))
    return {one["host"]: why for one, why in zip(connections, said, strict=True) if why}


def _silent(connection: Connection, limit: float) -> str | None:
    if connection["connection"] != "ssh":
        return None
    with contextlib.suppress(CliError):  # ssh refuses its arguments: the run will say so
        chosen = settings(connection)
        if first(chosen, "proxycommand") or first(chosen, "proxyjump"):
            return None
        address, port = first(chosen, "hostname"), int(first(chosen, "port") or 22)
        try:
            with socket.create_connection((address, port), timeout=min(limit, connection["timeout"])) as sock:
                return None if sock.recv(1) else f"{address} port {port}: it hangs up at once"
        except OSError as error:
            return f"{address} port {port}: {error.strerror or 'no answer in time'}"
    return None
