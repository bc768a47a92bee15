# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's inventories and the lab itself agree."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def lab_hosts(monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.syspath_prepend(str(ROOT / "lab"))
    from labkit import hosts

    yield hosts.HOSTS
    for name in [name for name in sys.modules if name.split(".")[0] == "labkit"]:
        del sys.modules[name]


def inventory(name: str) -> dict:
    return yaml.safe_load((ROOT / "inventories" / name / "hosts.yml").read_text())["all"]["children"]["mongodb"][
        "hosts"
    ]


def test_addresses_and_users_are_the_same(lab_hosts: dict) -> None:
    known = {**inventory("lab"), **inventory("lab_edges")}
    ghost = known.pop("ghost1")
    assert {name: (host.address, host.user) for name, host in lab_hosts.items()} == {
        name: (entry["ansible_host"], entry["ansible_user"]) for name, entry in known.items()
    }
    assert ghost["ansible_host"] not in {host.address for host in lab_hosts.values()}


def test_no_two_hosts_share_a_hardware_address(lab_hosts: dict) -> None:
    assert len({host.mac for host in lab_hosts.values()}) == len(lab_hosts)
