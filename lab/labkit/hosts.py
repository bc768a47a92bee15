# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting and removing the lab's hosts."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from .roster import HOSTS, Host, mac

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS_TO_BOOT = 90
SIDE_BY_SIDE = 8
LABEL = "ops-runbook=lab"


def container(host: str) -> str:
    """Name of a host's container."""
    return f"{NAME}-{host}"


def together(action: Callable[[str], Any], hosts: Sequence[str]) -> dict[str, Any]:
    """Do something for all hosts side by side; the first failure is raised when all are through."""
    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
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
    images = {kind: image.ensure(kind) for kind in sorted({HOSTS[host].kind for host in wanted})}
    tags = {host: images[HOSTS[host].kind] for host in wanted}
    there, ready = existing(), access.known()
    right = {host for host in wanted if there.get(host) == {"state": "running", "image": tags[host]}}
    missing = [host for host in wanted if host not in right or HOSTS[host].address not in ready]
    if not missing:
        return dict.fromkeys(wanted, 0.0)
    (STATE / "server").write_text(image.server_kind())  # the inventory reads it
    raise_inotify_limit(len(missing) + running())
    remove([host for host in missing if host in there])
    bridge, key = ensure_network(), access.public_key()

    def boot(host: str) -> float:
        start(host, tags[host], key, bridge)
        return time.monotonic() - started

    took = together(boot, missing)
    return {host: took.get(host, 0.0) for host in wanted}


def running() -> int:
    """How many hosts run here, those of other labs too: they share the machine's limits."""
    return len(run(podman("ps", "--quiet", f"--filter=label={LABEL}")).stdout.split())


def ensure_network() -> str:
    """A network of the lab's own, with fixed addresses; returns the name of its bridge."""
    if run(podman("network", "exists", NAME), check=False).returncode:
        run(podman("network", "create", "--disable-dns", f"--subnet={SUBNET}.0/24", NAME))
    return str(json.loads(run(podman("network", "inspect", NAME)).stdout)[0]["network_interface"])


def pin(bridge: str) -> None:
    """Fix the bridge's hardware address: left alone it is one of the hosts', and changes when they come and go."""
    if Path(f"/sys/class/net/{bridge}/address").read_text().strip() != mac(1):
        run(as_root("ip", "link", "set", "dev", bridge, "address", mac(1)))


def start(host: str, tag: str, public_key: str, bridge: str) -> None:
    """Boot one host and wait until it is ready."""
    name, spec = container(host), HOSTS[host]
    names = [f"--add-host={other}:{entry.address}" for other, entry in HOSTS.items() if other != host]
    identity = [f"--name={name}", f"--label={LABEL}", f"--hostname={host}", f"--network={NAME}", f"--ip={spec.address}"]
    identity += [f"--mac-address={spec.mac}", *names]
    key = f"--env=LAB_AUTHORIZED_KEY={public_key}"
    run(podman("run", "--detach", *identity, *boot_options(), key, *lent_python(spec.python), tag))
    pin(bridge)
    access.remember({spec.address: wait_until_ready(host)})


def lent_python(version: str) -> list[str]:
    """The options that lend an interpreter to a host; at its own place, too, where a shared libpython is looked for."""
    if not version:
        return []
    prefix = pythons.prefix(version)
    return [f"--volume={prefix}:{place}:ro" for place in (f"/opt/python{version}", prefix)]


def wait_until_ready(host: str) -> str:
    """Wait until the host has booted and its units are active; returns its public host key."""
    spec = HOSTS[host]
    argv = podman("exec", container(host), "/usr/local/lib/lab/wait-up", str(SECONDS_TO_BOOT), *HOSTS[host].units)
    done = run(argv, timeout=SECONDS_TO_BOOT + 15, check=False)
    if done.returncode:
        hint = f"lab/lab reset {host}; if that does not help: podman exec {container(host)} journalctl"
        raise LabError(f"not ready within {SECONDS_TO_BOOT} s\n{done.stderr.strip()}\n", host, hint)
    if spec.python:
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


def down(wanted: Sequence[str] = ()) -> list[str]:
    """Remove these hosts, or all; with the last one goes the network, and the machine's limits come back.

    Returns the hosts that were there.
    """
    there = list(existing())
    gone = [host for host in there if host in wanted or not wanted]
    remove(gone)
    if gone != there:
        return gone
    run(podman("network", "rm", "--force", NAME), check=False)
    if not running():
        restore_inotify_limit()
    return gone


def status() -> list[tuple[str, Host, str, str]]:
    """One row per host: its name, the host, the state of its container, and the units that are not active."""
    there = existing()
    running = [host for host, entry in there.items() if entry["state"] == "running"]
    inactive = together(inactive_units, running)
    return [(host, HOSTS[host], entry["state"], inactive.get(host, "")) for host, entry in there.items()]


def inactive_units(host: str) -> str:
    """The units of a host that are not active, as text."""
    done = run(podman("exec", container(host), "systemctl", "is-active", *HOSTS[host].units), check=False, timeout=20)
    states = dict(zip(HOSTS[host].units, done.stdout.split(), strict=False))
    return ", ".join(f"{unit} {state}" for unit, state in states.items() if state != "active")
