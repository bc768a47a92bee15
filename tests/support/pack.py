# SPDX-License-Identifier: GPL-3.0-or-later
"""A runbook pack as Ansible reads it for a lab host, and what a real server looked like in each of its faults."""

from __future__ import annotations

import functools
import json
import typing as t
from pathlib import Path

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.ops.runbook.plugins.plugin_utils import checks, verdict

from .lab import ROOT, Json

ROLES = ROOT / "collections" / "ops_runbook" / "roles"
GROUP = ROOT / "inventories" / "lab" / "group_vars" / "all"
RECORDED = ROOT / "tests" / "fixtures" / "probe"
ENDING = "-ferretdb-1.24.2.json"


class Pack(t.NamedTuple):
    """What the lifecycle gets from a pack."""

    checks: Json
    causes: list[Json]
    thresholds: Json


def rendered(service: str, variables: Json | None = None) -> Pack:
    """The pack of a service; variables are those that a playbook is given with -e."""
    templar = _templar(service, variables or {})
    known = templar.available_variables
    checks, causes = (templar.template(known[f"{service}_{name}"]) for name in ("checks", "causes"))
    thresholds = templar.template(known["thresholds"]).get(service, {})
    return Pack(*_plain([checks, causes, thresholds]))


def lifecycle(service: str, variables: Json | None = None) -> Json:
    """What a pack gives to the role remediate."""
    loader = DataLoader()
    task = loader.load_from_file(str(ROLES / service / "tasks/main.yml"), cache="none", trusted_as_template=True)[0]
    given = {"role_path": str(ROLES / service), **(variables or {})}
    return dict(_plain(_templar(service, given).template(task["vars"])))


def _plain(value: t.Any) -> t.Any:
    """Without the tags of Ansible."""
    return json.loads(json.dumps(value))


def _templar(service: str, variables: Json) -> t.Any:
    loader = DataLoader()
    role = ROLES / service
    files = [role / "defaults/main.yml", GROUP / f"{service}.yml", GROUP / "thresholds.yml", role / "vars/main.yml"]
    found: Json = {}
    for file in files:
        found.update(_variables(loader, file))
    found.update(variables)
    return Templar(loader, variables=found)


def _variables(loader: DataLoader, file: Path) -> Json:
    if not file.exists():
        return {}
    return dict(loader.load_from_file(str(file), cache="none", trusted_as_template=True) or {})


@functools.cache
def faults(service: str) -> dict[str, Json]:
    """What lab/faults holds for a service, by name."""
    folder = ROOT / "lab" / "faults" / service
    return {path.stem: dict(yaml.safe_load(path.read_text())) for path in sorted(folder.glob("*.yml"))}


def of_fault(name: str) -> Pack:
    """The MongoDB pack with the variables of a fault."""
    return rendered("mongodb", faults("mongodb").get(name, {}).get("variables"))


def document(name: str) -> Json:
    """The recorded probe document of a fault of MongoDB, judged as the lifecycle judges it."""
    mine = of_fault(name)
    answer = json.loads((RECORDED / f"{name}{ENDING}").read_text())["answer"]
    return dict(verdict.judge("db1/mongodb", checks.select(mine.checks, True, False), answer, mine.thresholds))
