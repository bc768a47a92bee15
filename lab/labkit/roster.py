# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts the lab has. inventories/lab and inventories/lab_edges have the same names, addresses and users."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .machine import SUBNET, LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

# The units that must be active, by kind of host.
UNITS = {
    "database": ("ssh.service", "mongod.service", "simplers-writer.service"),
    "no_python": ("ssh.service",),
    "fleet": ("ssh.service", "logcaster.service", "simplers-batch.service"),
}


class Host(NamedTuple):
    """A host: number is the last part of its address, user the one that the inventory logs in as.

    kind is a key of UNITS; python is a version lent to the host besides its own.
    """

    number: int
    user: str
    kind: str = "database"
    python: str = ""

    @property
    def address(self) -> str:
        """The IPv4 address in the lab's network."""
        return f"{SUBNET}.{self.number}"

    @property
    def mac(self) -> str:
        """A hardware address that stays; else a new host at an old one's address is unreachable for half a minute."""
        return mac(self.number)

    @property
    def units(self) -> tuple[str, ...]:
        """The units that must be active."""
        return UNITS[self.kind]


def mac(number: int) -> str:
    """A locally administered hardware address from the lab's subnet and a number in it."""
    return "02:" + ":".join(f"{int(part):02x}" for part in ("0", *SUBNET.split("."), str(number)))


FLEET = {f"fleet{number:02}": Host(100 + number, "root", "fleet") for number in range(1, 61)}
HOSTS = {
    "db1": Host(11, "root"),
    "db2": Host(12, "ops"),
    "db3": Host(13, "viewer"),
    "old1": Host(21, "root", python="3.8"),
    "new1": Host(22, "root", python="3.13"),
    "nopy1": Host(31, "root", "no_python"),
    **FLEET,
}
DEFAULT = ("db1", "db2", "db3")
NAMES = f"{', '.join(host for host in HOSTS if host not in FLEET)}, fleet01 to fleet{len(FLEET)}"
WORDS = f"{NAMES}, fleet (all of them) or fleet:N (the first N)"


def chosen(words: Sequence[str]) -> list[str]:
    """The hosts that words on the command line mean, each once: names, `fleet`, `fleet:N`."""
    return list(dict.fromkeys(host for word in words for host in meant(word)))


def meant(word: str) -> list[str]:
    """The hosts that one word means."""
    group, colon, count = word.partition(":")
    if word in HOSTS:
        return [word]
    if word == "fleet":
        return list(FLEET)
    if group == "fleet" and colon and count.isdecimal() and 0 < int(count) <= len(FLEET):
        return list(FLEET)[: int(count)]
    raise LabError(f"unknown host {word}", "the command line", f"one of {WORDS}")
