# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's inventories and the lab itself agree."""

from __future__ import annotations

import importlib
import sys
import types
import typing as t
from pathlib import Path

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

ROOT = Path(__file__).resolve().parents[3]
SUBNET = "10.213.57"


@pytest.fixture
def roster(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[types.ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "lab"))
    monkeypatch.delenv("LAB_SUBNET", raising=False)
    yield importlib.import_module("labkit.roster")
    for name in [name for name in sys.modules if name.split(".")[0] == "labkit"]:
        del sys.modules[name]


def ways_in(*groups: str) -> dict[str, tuple[str, str]]:
    """Address and user of the hosts in groups, as Ansible reads them from both inventories."""
    loader = DataLoader()
    inventory = InventoryManager(loader, [str(ROOT / "inventories" / name) for name in ("lab", "lab_edges")])
    manager, found = VariableManager(loader, inventory), {}
    for host in inventory.get_hosts(":".join(groups)):
        told = {**manager.get_vars(host=host), "lab_subnet": SUBNET}  # its lookup needs Ansible's own start
        found[host.name] = (
            Templar(loader, variables=told).template(told["ansible_host"]),
            told["ansible_user"],
        )
    return found


def test_addresses_and_users_are_the_same(roster: types.ModuleType) -> None:
    known = ways_in("all")
    ghost = known.pop("ghost1")
    assert {name: (host.address, host.user) for name, host in roster.HOSTS.items()} == known
    assert ghost[0] not in {host.address for host in roster.HOSTS.values()}


def test_the_subnet_is_the_lab_s() -> None:
    told = (ROOT / "inventories" / "lab" / "group_vars" / "all" / "connection.yml").read_text()
    assert f"or '{SUBNET}'" in told


def test_the_fleet_has_a_group_of_its_own(roster: types.ModuleType) -> None:
    assert set(ways_in("fleet")) == set(roster.FLEET)
    assert set(ways_in("mongodb")).isdisjoint(roster.FLEET)


def test_no_two_hosts_share_an_address_or_a_hardware_address(roster: types.ModuleType) -> None:
    assert len({host.mac for host in roster.HOSTS.values()}) == len(roster.HOSTS)
    assert len({host.address for host in roster.HOSTS.values()}) == len(roster.HOSTS)


def test_words_mean_hosts(roster: types.ModuleType) -> None:
    assert len(roster.chosen(["fleet"])) == 60
    assert roster.chosen(["fleet:2", "db1", "fleet02", "fleet03"]) == ["fleet01", "fleet02", "db1", "fleet03"]


@pytest.mark.parametrize("word", ["fleet:0", "fleet:61", "fleet:", "fleet:x", "fleet61", "db:1", "", "fleet[01:10]"])
def test_other_words_are_refused(roster: types.ModuleType, word: str) -> None:
    error = sys.modules["labkit.machine"].LabError
    with pytest.raises(error, match="unknown host"):
        roster.chosen([word])
