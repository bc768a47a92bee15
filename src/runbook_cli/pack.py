# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook brings along: the roles that it reaches, their causes with remedies, and their variables.

Everything is read from the files that Ansible reads: playbooks, tasks, vars, defaults and meta/argument_specs.yml.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from runbook_cli.answer import CliError
from runbook_cli.project import Playbook, roles_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLLECTION = "ops.runbook."
NO_ACT = {"report_only", "escalate"}
_INCLUDES = {f"{prefix}{verb}_role" for prefix in ("", "ansible.builtin.") for verb in ("include", "import")}


class Use(NamedTuple):
    """A role of our collection that is used, its entry point (tasks_from), and the variables that its caller sets."""

    role: str
    entry: str
    bound: frozenset[str]


LIFECYCLE = ("remediate", "main")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # C where PyYAML was built with it
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


def uses(root: Path, playbook: Playbook) -> list[Use]:
    """The roles that the playbook reaches, itself or through other roles, in order."""
    found: dict[tuple[str, str], Use] = {}
    waiting = list(_named(read_yaml(playbook.path)))
    while waiting:
        use = waiting.pop(0)
        if use[:2] not in found:
            found[use[:2]] = use
            waiting += _named(read_yaml(roles_folder(root) / use.role / "tasks" / f"{use.entry}.yml"))
    return list(found.values())


def _named(node: Any) -> Iterator[Use]:
    """Roles named by `roles:` of a play and by include_role and import_role of tasks, at any depth."""
    if isinstance(node, list):
        for item in node:
            yield from _named(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "roles":
                yield from (_use(role, {}) for role in value or [])
            elif key in _INCLUDES:
                yield _use(value, node.get("vars") or {})
            else:
                yield from _named(value)


def _use(role: Any, bound: dict[str, Any]) -> Use:
    spec = role if isinstance(role, dict) else {"name": role}
    name = str(spec.get("role") or spec.get("name")).removeprefix(COLLECTION)
    return Use(name, str(spec.get("tasks_from") or "main").removesuffix(".yml"), frozenset(bound))


def has_lifecycle(root: Path, playbook: Playbook) -> bool:
    """Whether the playbook goes through the remediate role: then it can only look, and each host ends in an outcome."""
    return LIFECYCLE in (use[:2] for use in uses(root, playbook))


def causes(root: Path, role: str) -> list[dict[str, Any]]:
    """The causes of a pack in their order of precedence; empty for a role that is not a pack."""
    folder = roles_folder(root) / role
    keys = ("cause", "why", "remedy", "risk", "ask", "next_step")
    for path in sorted([*folder.glob("vars/**/*.yml"), *folder.glob("defaults/**/*.yml")]):
        listed = (read_yaml(path) or {}).get(f"{role}_causes")
        if listed:
            return [{key: cause.get(key) for key in keys} for cause in listed]
    return []


def variables(root: Path, use: Use) -> list[dict[str, Any]]:
    """What a person may set: role, name, type, default, required, choices, description (one text)."""
    folder = roles_folder(root) / use.role
    specs = ((read_yaml(folder / "meta" / "argument_specs.yml") or {}).get("argument_specs") or {}).get(use.entry) or {}
    defaults = read_yaml(folder / "defaults" / "main.yml") or {}
    return [
        {
            "role": use.role,
            "name": name,
            "type": spec.get("type", "str"),
            "default": spec.get("default", defaults.get(name)),
            "required": bool(spec.get("required")),
            "choices": spec.get("choices"),
            "description": _text(spec.get("description", "")),
        }
        for name, spec in (specs.get("options") or {}).items()
        if name not in use.bound
    ]


def _text(description: Any) -> str:
    """One text without Ansible's markup, such as C(...)."""
    lines = description if isinstance(description, list) else [description]
    return re.sub(r"\b[A-Z]\(([^)]*)\)", r"\1", " ".join(str(line) for line in lines))


def approvable(root: Path, playbook: Playbook) -> list[str]:
    """What --approve may name: remedies that exist, and causes that call for one."""
    roles = {use.role for use in uses(root, playbook)}
    files = {path.stem for role in roles for path in (roles_folder(root) / role).glob("tasks/remedies/*.yml")}
    acting = [cause for role in roles for cause in causes(root, role) if cause["remedy"] not in NO_ACT]
    return sorted(files | {str(cause[key]) for cause in acting for key in ("cause", "remedy")})


def describe(root: Path, playbook: Playbook) -> dict[str, Any]:
    """Everything that `show` shows, except the command."""
    found = uses(root, playbook)
    roles = dict.fromkeys(use.role for use in found)
    return {
        **playbook.header(),
        "path": str(playbook.path),
        "diagnosable": has_lifecycle(root, playbook),
        "packs": [{"service": role, "causes": listed} for role in roles if (listed := causes(root, role))],
        "variables": [variable for use in found for variable in variables(root, use)],
    }
