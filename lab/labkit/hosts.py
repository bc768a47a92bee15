# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's hosts: which there are, starting and removing them. inventories/lab/hosts.yml has the same addresses."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from . import access, image, pythons
from .machine import (
    NAME,
    STATE,
    SUBNET,
    LabError,
    as_root,
    boot_options,
    podman,
    raise_inotify_limit,
    restore_inotify_limit,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS_TO_BOOT = 90
UNITS = ("ssh.service", "mongod.service", "simplers-writer.service")


class Host(NamedTuple):
    """A host: number is the last part of its address, user the one that the inventory logs in as.

    python is a version lent to it besides its own, or "none" for a host without Python.
    """

    number: int
    user: str
    python: str = ""

    @property
    def address(self) -> str:
        """The IPv4 address in the lab's network."""
        return f"{SUBNET}.{self.number}"

    @property
    def mac(self) -> str:
        """A hardware address that stays; else a new host at an old one's address is unreachable for half a minute."""
        return mac(self.number)


def mac(number: int) -> str:
    """A locally administered hardware address from the lab's subnet and a number in it."""
    return "02:" + ":".join(f"{int(part):02x}" for part in ("0", *SUBNET.split("."), str(number)))


HOSTS = {
    "db1": Host(11, "root"),
    "db2": Host(12, "ops"),
    "db3": Host(13, "viewer"),
    "old1": Host(21, "root", "3.8"),
    "new1": Host(22, "root", "3.13"),
    "nopy1": Host(31, "root", "none"),
}
DEFAULT = ("db1", "db2", "db3")


def container(host: str) -> str:
    """Name of a host's container."""
    return f"{NAME}-{host}"


def together(action: Callable[[str], Any], hosts: Sequence[str]) -> dict[str, Any]:
    """Do something for all hosts side by side; the first failure is raised when all are through."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = {host: pool.submit(action, host) for host in hosts}
    return {host: future.result() for host, future in waiting.items()}


def existing() -> dict[str, dict[str, str]]:
    """The lab's containers by host: state, and the image they came from."""
    listed = run(podman("ps", "--all", "--format=json", f"--filter=name=^{NAME}-")).stdout
    found = {entry["Names"][0]: entry for entry in json.loads(listed or "[]")}
    there = {host: found[container(host)] for host in HOSTS if container(host) in found}
    return {host: {"state": entry["State"], "image": entry["Image"]} for host, entry in there.items()}


def up(wanted: list[str]) -> dict[str, float]:
    """Make these hosts run and be ready; returns the seconds that each one took (0 for those that ran already)."""
    started = time.monotonic()
    images = {python: image.ensure(python) for python in {HOSTS[host].python != "none" for host in wanted}}
    tags = {host: images[HOSTS[host].python != "none"] for host in wanted}
    there, ready = existing(), access.known()
    right = {host for host in wanted if there.get(host) == {"state": "running", "image": tags[host]}}
    missing = [host for host in wanted if host not in right or HOSTS[host].address not in ready]
    if not missing:
        return dict.fromkeys(wanted, 0.0)
    (STATE / "server").write_text(image.server_kind())  # the inventory reads it
    raise_inotify_limit(len(set(there) | set(wanted)))
    remove([host for host in missing if host in there])
    ensure_network()
    key = access.public_key()
    took = together(lambda host: start(host, tags[host], key, started), missing)
    return {host: took.get(host, 0.0) for host in wanted}


def ensure_network() -> None:
    """A network of the lab's own, with fixed addresses."""
    if run(podman("network", "exists", NAME), check=False).returncode:
        run(podman("network", "create", "--disable-dns", f"--subnet={SUBNET}.0/24", NAME))


def pin_bridge() -> None:
    """Fix the bridge's hardware address: left alone it is one of the hosts', and changes when they come and go."""
    bridge = json.loads(run(podman("network", "inspect", NAME)).stdout)[0]["network_interface"]
    run(as_root("ip", "link", "set", "dev", bridge, "address", mac(1)))


def start(host: str, tag: str, public_key: str, since: float) -> float:
    """Boot one host and wait until it is ready; returns the seconds since `since`."""
    name, spec = container(host), HOSTS[host]
    names = [f"--add-host={other}:{entry.address}" for other, entry in HOSTS.items() if other != host]
    identity = [f"--name={name}", f"--hostname={host}", f"--network={NAME}", f"--ip={spec.address}"]
    identity += [f"--mac-address={spec.mac}", *names]
    key = f"--env=LAB_AUTHORIZED_KEY={public_key}"
    run(podman("run", "--detach", *identity, *boot_options(), key, *lent_python(spec.python), tag, "/sbin/init"))
    pin_bridge()
    access.remember({spec.address: wait_until_ready(host)})
    return time.monotonic() - since


def lent_python(version: str) -> list[str]:
    """The options that lend an interpreter to a host; at its own place, too, where a shared libpython is looked for."""
    if version in ("", "none"):
        return []
    prefix = pythons.prefix(version)
    return [f"--volume={prefix}:{place}:ro" for place in (f"/opt/python{version}", prefix)]


def units(host: str) -> tuple[str, ...]:
    """The units that must be active; the database's need Python."""
    return UNITS[:1] if HOSTS[host].python == "none" else UNITS


def wait_until_ready(host: str) -> str:
    """Wait until the host has booted and its units are active; returns its public host key."""
    spec = HOSTS[host]
    argv = podman("exec", container(host), "/usr/local/lib/lab/wait-up", str(SECONDS_TO_BOOT), *units(host))
    done = run(argv, timeout=SECONDS_TO_BOOT + 15, check=False)
    if done.returncode:
        hint = f"lab/lab reset {host}; if that does not help: podman exec {container(host)} journalctl"
        raise LabError(f"not ready within {SECONDS_TO_BOOT} s\n{done.stderr.strip()}\n", host, hint)
    if spec.python not in ("", "none"):
        interpreter = f"/opt/python{spec.python}/bin/python{spec.python}"
        run(podman("exec", container(host), interpreter, "-c", "import json, socket, ssl, subprocess"))
    return done.stdout.strip()


def remove(hosts: Sequence[str]) -> None:
    """Remove containers at once: nothing in them is meant to last."""
    access.remember({HOSTS[host].address: "" for host in hosts})
    together(remove_one, hosts)


def remove_one(host: str) -> None:
    """Remove one container.

    Its ssh sessions are ended first: a shared connection (ControlPersist) that is merely cut hangs, although a new host
    is at the same address.
    """
    with contextlib.suppress(LabError):  # it may not answer: that is what labs are for
        run(podman("exec", container(host), "systemctl", "kill", "ssh.service"), timeout=10, check=False)
    run(podman("rm", "--force", "--time=0", container(host)))


def down() -> list[str]:
    """Remove all hosts and the network and put the machine's limits back; returns the hosts that were there."""
    there = list(existing())
    remove(there)
    run(podman("network", "rm", "--force", NAME), check=False)
    restore_inotify_limit()
    return there


def status() -> list[tuple[str, Host, str, str]]:
    """One row per host: its name, the host, the state of its container, and the units that are not active."""
    there = existing()
    running = [host for host, entry in there.items() if entry["state"] == "running"]
    inactive = together(inactive_units, running)
    return [(host, HOSTS[host], entry["state"], inactive.get(host, "")) for host, entry in there.items()]


def inactive_units(host: str) -> str:
    """The units of a host that are not active, as text."""
    done = run(podman("exec", container(host), "systemctl", "is-active", *units(host)), check=False, timeout=20)
    states = dict(zip(units(host), done.stdout.split(), strict=False))
    return ", ".join(f"{unit} {state}" for unit, state in states.items() if state != "active")
