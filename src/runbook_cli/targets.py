# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a run would touch, decided before it touches any, by Ansible's own inventory code.

Ansible takes *every* host for `--limit ""`, `","` and `":"`, and all others for `"!db1"`; here those are refused.
"""
# ruff: noqa: PLC0415 - Ansible reads its configuration when it is imported, so the environment comes first

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_cli.answer import USAGE, CliError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REFUSED = 7
_LOCAL = {"localhost", "127.0.0.1", "::1"}


def find_inventory(root: Path, name: str) -> str:
    """An inventory as an absolute path (from the current folder, else from the project), or a host list as it is."""
    if "," in name:
        return name
    for base in (Path.cwd(), root):
        path = base / Path(name).expanduser()
        if name and path.exists():
            return str(path.resolve())
    raise CliError(
        "no such inventory", name or "''", "Give the path of a file or folder, or host names with a comma: -i db1,"
    )


def resolve(
    root: Path, playbook: Path, inventories: list[str], limit: str | None, given: list[dict[str, Any] | str]
) -> list[str]:
    """The hosts that playbook would touch, in the inventory's order.

    given is what -e holds, in order: {name: value}, or the path of a file.

    Raises:
        CliError: 2 for an inventory or variables file that does not parse and for an unknown host, 7 for no host.
    """
    loader, manager, variables = inventory(root, inventories, limit, given)
    patterns = _patterns(loader, playbook, variables)
    with quiet():
        hosts = _hosts(manager, patterns)
    if not hosts:
        meant = f"--limit {limit}" if limit is not None else "the inventory"
        what = (
            f"no host is left: {meant} has none of 'hosts: {', '.join(one for hosts_ in patterns for one in hosts_)}'"
        )
        raise CliError(what, f"{playbook.stem} with {', '.join(inventories)}", _hint(manager, ""), REFUSED)
    return hosts


def inventory(
    root: Path, inventories: list[str], limit: str | None, given: list[dict[str, Any] | str]
) -> tuple[Any, Any, dict[str, Any]]:
    """Ansible's loader, its inventory with the limit set, and the variables of -e."""
    # What Ansible reads when it is imported must be the project's, and half an inventory is none.
    os.environ["ANSIBLE_CONFIG"] = str(root / "ansible.cfg")
    os.environ["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] = "true"
    from ansible.parsing.dataloader import DataLoader

    loader = DataLoader()
    variables = _variables(loader, given)
    manager = _load(loader, inventories)
    if limit is not None:
        _check_limit(manager, limit)
        manager.subset(limit)
    return loader, manager, variables


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Ansible says on stderr what we say in one line of our own."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        yield said


def _load(loader: Any, inventories: list[str]) -> Any:
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager

    with quiet() as said:
        try:
            return InventoryManager(loader=loader, sources=inventories)
        except AnsibleError as error:
            reason, where = _parse_reason(said.getvalue()) or (str(error), "")
    raise CliError(
        f"the inventory does not parse: {reason}",
        where or ", ".join(inventories),
        "See 'ansible-inventory -i PATH --graph'.",
    )


def _parse_reason(said: str) -> tuple[str, str] | None:
    """(reason, where) from the first warning of a plugin that tried; later ones tried another format."""
    first = re.search(r"Failed to parse inventory with '?[\w.]+'? plugin: (.+)", said)
    where = re.search(r"^Origin: (\S+:\d+:\d+)", said, re.MULTILINE)
    return (first[1].strip(), where[1] if where else "") if first else None


def _variables(loader: Any, given: Iterable[dict[str, Any] | str]) -> dict[str, Any]:
    """All variables of -e, for patterns that use them; a file that needs a vault password is left to the run."""
    from ansible.errors import AnsibleError, AnsibleParserError

    found: dict[str, Any] = {}
    for item in given:
        content: Any = item
        if isinstance(item, str):
            try:
                content = loader.load_from_file(item, cache="none") or {}
            except AnsibleParserError as error:
                raise CliError(f"does not parse: {' '.join(str(error).split())}", item, "Write it as YAML.") from None
            except AnsibleError as error:
                _needs_vault(item, error)
                content = {}
        if not isinstance(content, dict):
            raise CliError("is not a mapping of variables", str(item), "Write NAME: VALUE lines.")
        found.update(content)
    return found


def _needs_vault(path: str, error: Exception) -> None:
    """An encrypted file is left to the run, which has the vault's password; refused where it would have none."""
    from ansible import constants

    if not constants.DEFAULT_VAULT_PASSWORD_FILE and not constants.DEFAULT_VAULT_IDENTITY_LIST:
        raise CliError(f"cannot be read: {error}", path, "Set ANSIBLE_VAULT_PASSWORD_FILE.")


def _patterns(loader: Any, playbook: Path, variables: dict[str, Any]) -> list[list[str]]:
    """The `hosts` of every play, with templates filled in; groups that a play before it makes are not there yet."""
    from ansible.errors import AnsibleError
    from ansible.template import Templar

    templar = Templar(loader=loader, variables=variables)
    try:
        found = [templar.template(hosts) for hosts in _raw_patterns(loader, playbook)]
    except AnsibleError as error:
        reason = " ".join(str(error).split())
        raise CliError(f"its hosts cannot be determined: {reason}", playbook.name, "Give the variable by -e.") from None
    return [[str(one) for one in hosts] if isinstance(hosts, list) else [str(hosts)] for hosts in found]


def _raw_patterns(loader: Any, playbook: Path) -> Iterator[Any]:
    for play in loader.load_from_file(str(playbook), cache="none", trusted_as_template=True) or []:
        for key in ("import_playbook", "ansible.builtin.import_playbook"):
            if key in play:
                yield from _raw_patterns(loader, playbook.parent / str(play[key]))
        if "hosts" in play:
            yield play["hosts"]


def _hosts(manager: Any, patterns: list[list[str]]) -> list[str]:
    """Hosts of all plays; a play on the controller counts only when there is no other."""
    remote = [pattern for pattern in patterns if not _LOCAL.issuperset(pattern)] or patterns
    return list(dict.fromkeys(str(host) for pattern in remote if pattern for host in manager.list_hosts(pattern)))


def _check_limit(manager: Any, limit: str) -> None:
    """Refuse a limit that names no host, or one that does not exist.

    A misspelt exclusion counts as well, because it would let its host in.
    """
    tokens = _tokens(limit)
    if not any(token[0] not in "!&" for token in tokens):
        what = f"--limit {limit!r} names no host, and Ansible would take every other one for it"
        raise CliError(what, hint="Name the hosts or groups that are meant; 'all' if it is all of them.", code=REFUSED)
    unknown = [token.lstrip("!&") for token in tokens if not _known(manager, token.lstrip("!&"))]
    if unknown:
        code = REFUSED if len(unknown) == len(tokens) else USAGE
        raise CliError(f"unknown host {unknown[0]!r}", "--limit", _hint(manager, unknown[0]), code)


def _tokens(limit: str) -> list[str]:
    """The limit's patterns as Ansible splits it, which drops what it cannot read: "~[" becomes "~", every host."""
    from ansible.inventory.manager import split_host_pattern

    split = split_host_pattern(limit)
    if re.sub(r"[\s,:]", "", "".join(split)) != re.sub(r"[\s,:]", "", limit):
        raise CliError(f"--limit {limit!r} cannot be read as hosts", hint="See the brackets.", code=REFUSED)
    tokens: list[str] = []
    for token in split:
        tokens += _from_file(token[1:]) if token.startswith("@") else [token]
    return tokens


def _from_file(name: str) -> list[str]:
    try:
        lines = Path(name).expanduser().read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CliError(f"cannot be read: {error.strerror}", f"--limit @{name}", "Write one host a line.") from None
    return [line.strip() for line in lines if line.strip()]


def _known(manager: Any, name: str) -> bool:
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import split_host_pattern

    # "a:b" beside a comma is one name for Ansible; "~" is an empty pattern, which matches every host
    if split_host_pattern(name) != [name] or name == "~":
        return False
    try:
        with quiet():
            return bool(manager.get_hosts(name, ignore_limits=True))
    except (AnsibleError, re.error):
        return False


def _hint(manager: Any, wrong: str) -> str:
    known = sorted({*manager.hosts, *(name for name in manager.groups if name != "ungrouped")})
    return did_you_mean(wrong, known) if len(known) <= 30 else "See 'ansible-inventory -i PATH --graph'."
