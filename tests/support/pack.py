# SPDX-License-Identifier: GPL-3.0-or-later
"""A runbook pack as Ansible reads it for a lab host: its checks and causes with all variables filled in."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from .lab import ROOT, Json

ROLES = ROOT / "collections" / "ops_runbook" / "roles"
GROUP = ROOT / "inventories" / "lab" / "group_vars" / "all"


class Pack(t.NamedTuple):
    """What the lifecycle gets from a pack."""

    checks: Json
    causes: list[Json]
    thresholds: Json


def rendered(service: str, variables: Json | None = None) -> Pack:
    """The pack of a service; variables are those that a playbook is given with -e."""
    loader = DataLoader()
    role = ROLES / service
    files = [role / "defaults/main.yml", GROUP / f"{service}.yml", GROUP / "thresholds.yml", role / "vars/main.yml"]
    found: Json = {}
    for file in files:
        found.update(_variables(loader, file))
    found.update(variables or {})
    templar = Templar(loader, variables=found)
    checks, causes = (templar.template(found[f"{service}_{name}"]) for name in ("checks", "causes"))
    thresholds = templar.template(found["thresholds"]).get(service, {})
    return Pack(*json.loads(json.dumps([checks, causes, thresholds])))  # plain, without the tags of Ansible


def _variables(loader: DataLoader, file: Path) -> Json:
    if not file.exists():
        return {}
    return dict(loader.load_from_file(str(file), cache="none", trusted_as_template=True) or {})
