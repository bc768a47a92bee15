# SPDX-License-Identifier: GPL-3.0-or-later
"""The key that logs in to lab hosts, and the file of known host keys."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from .machine import STATE, run

if TYPE_CHECKING:
    from pathlib import Path

KEY = STATE / "id_ed25519"
KNOWN_HOSTS = STATE / "known_hosts"
_writing = threading.Lock()


def prepare_state() -> None:
    """The lab's own folder, readable by its user only."""
    STATE.mkdir(parents=True, exist_ok=True)
    STATE.chmod(0o700)


def public_key() -> str:
    """The lab's public key; made when there is none."""
    if not KEY.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ops-runbook-lab", "-f", str(KEY)])
    return KEY.with_suffix(".pub").read_text().strip()


def known() -> dict[str, str]:
    """The noted host keys by address; a host is noted when it is ready."""
    return dict(line.split(" ", 1) for line in KNOWN_HOSTS.read_text().splitlines()) if KNOWN_HOSTS.exists() else {}


def remember(host_keys: dict[str, str]) -> None:
    """Note the host key of each address; an empty key forgets the address. The container tells it, not the network."""
    with _writing:
        wanted = known() | {address: " ".join(key.split()[:2]) for address, key in host_keys.items()}
        replace(KNOWN_HOSTS, "".join(f"{address} {key}\n" for address, key in sorted(wanted.items()) if key))


def replace(path: Path, text: str) -> None:
    """Replace a file whole, mode 0600."""
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def ssh_command(user: str, address: str) -> list[str]:
    """The command that logs in to a lab host as the inventory does it."""
    options = (
        f"UserKnownHostsFile={KNOWN_HOSTS}",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "ConnectTimeout=5",
    )
    return ["ssh", "-i", str(KEY), *(f"-o{option}" for option in options), f"{user}@{address}"]
