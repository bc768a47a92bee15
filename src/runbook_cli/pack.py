# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook brings along: the roles that it uses, their causes with remedies, and their variables.

Everything is read from the files that Ansible itself reads (the playbook, a role's vars and meta/argument_specs.yml).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from runbook_cli.answer import CliError
from runbook_cli.project import Playbook, roles_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLLECTION = "ops.runbook."
LIFECYCLE = "remediate"


class _Loader(yaml.SafeLoader):
    """YAML as Ansible writes it: !vault and !unsafe are kept as text."""


_Loader.add_multi_constructor("!", lambda _loader, _tag, node: str(node.value))


def read_yaml(path: Path) -> Any:
    """The document in path; None for a file that does not exist."""
    try:
        with path.open(encoding="utf-8") as stream:
            return yaml.load(stream, _Loader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CliError(f"cannot be read: {' '.join(str(error).split())}", str(path), code=1) from None


def uses(root: Path, playbook: Playbook) -> dict[str, str]:
    """Roles of our collection that the playbook names, in order: {role: its entry point, 'main' unless tasks_from}."""
    known = {path.name for path in roles_folder(root).glob("*") if path.is_dir()}
    found: dict[str, str] = {}
    for role, entry in _mentions(read_yaml(playbook.path), "main"):
        if role in known:
            found.setdefault(role, entry)
    return found


def _mentions(node: Any, entry: str) -> Iterator[tuple[str, str]]:
    """Every text that may name a role (include_role, roles:, a variable of the play), with the tasks_from beside it."""
    if isinstance(node, dict):
        beside = str(node.get("tasks_from") or entry).removesuffix(".yml")
        for value in node.values():
            yield from _mentions(value, beside)
    elif isinstance(node, list):
        for value in node:
            yield from _mentions(value, entry)
    elif isinstance(node, str):
        yield node.removeprefix(COLLECTION), entry


def has_lifecycle(root: Path, playbook: Playbook) -> bool:
    """Whether the playbook goes through the remediate role, itself or by a pack: then each host ends in an outcome."""
    found = uses(root, playbook)
    if LIFECYCLE in found:
        return True
    tasks = [roles_folder(root) / role / "tasks" / f"{entry}.yml" for role, entry in found.items()]
    return any(LIFECYCLE in path.read_text(encoding="utf-8") for path in tasks if path.is_file())


def causes(root: Path, role: str) -> list[dict[str, Any]]:
    """The causes of a pack in their order of precedence; empty for a role that is not a pack."""
    folder = roles_folder(root) / role
    for path in sorted([*folder.glob("vars/**/*.yml"), *folder.glob("defaults/**/*.yml")]):
        listed = (read_yaml(path) or {}).get(f"{role}_causes")
        if listed:
            keys = ("cause", "why", "remedy", "risk", "ask", "next_step")
            return [{key: cause.get(key) for key in keys} for cause in listed]
    return []


def variables(root: Path, role: str, entry: str) -> list[dict[str, Any]]:
    """The role's documented variables: name, type, default, required, choices, description (one text)."""
    specs = read_yaml(roles_folder(root) / role / "meta" / "argument_specs.yml") or {}
    options = ((specs.get("argument_specs") or {}).get(entry) or {}).get("options") or {}
    return [
        {
            "role": role,
            "name": name,
            "type": spec.get("type", "str"),
            "default": spec.get("default"),
            "required": bool(spec.get("required")),
            "choices": spec.get("choices"),
            "description": _text(spec.get("description", "")),
        }
        for name, spec in options.items()
    ]


def _text(description: Any) -> str:
    return " ".join(str(part) for part in description) if isinstance(description, list) else str(description)


def remedies(root: Path, playbook: Playbook) -> list[str]:
    """Names that --approve may take: what the causes call for, and what lies in tasks/remedies/ of the roles."""
    roles = [*uses(root, playbook), LIFECYCLE]
    files = {path.stem for role in roles for path in (roles_folder(root) / role).glob("tasks/remedies/*.yml")}
    named = {str(cause["remedy"]) for role in roles for cause in causes(root, role) if cause["remedy"]}
    return sorted((files | named) - {"report_only"})


def describe(root: Path, playbook: Playbook) -> dict[str, Any]:
    """Everything that `show` shows, except the command."""
    found = uses(root, playbook)
    lifecycle = has_lifecycle(root, playbook)
    if lifecycle:
        found.setdefault(LIFECYCLE, "main")
    packs = [{"service": role, "causes": listed} for role in found if (listed := causes(root, role))]
    described = [variable for role, entry in found.items() for variable in variables(root, role, entry)]
    return {
        **playbook.header(),
        "path": str(playbook.path),
        "diagnosable": lifecycle,
        "packs": packs,
        "variables": described,
    }
