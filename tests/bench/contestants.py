# SPDX-License-Identifier: GPL-3.0-or-later
"""Who takes part: command lines and environments, for the same hosts, key, host keys and Python on the targets."""

from __future__ import annotations

import json
import os
import shutil
import sys
import typing as t
from pathlib import Path

from tests.bench.fleet import PROFILE, ROOT, STATE, Host

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
BIN = Path(sys.executable).parent
BENCH = ROOT / ".venv-bench"
# paramiko knows no post-quantum exchange, so everybody uses this one, and two rows tell what OpenSSH's default costs.
SAME_EXCHANGE = "KexAlgorithms=curve25519-sha256"
# The peers lower what a machine has better already; so does ours here, so that all do the same work on every machine.
LOWERING = [*PROFILE["sysctl"], *sorted({limit["item"] for limit in PROFILE["limits"]["pam"]})]
Command = tuple[list[str], dict[str, str]]


class Field(t.NamedTuple):
    """Where one run takes place: its folder is new for each, so no shared connection of another run is there."""

    folder: Path
    hosts: list[Host]

    @property
    def sockets(self) -> Path:
        """The folder of the shared connections."""
        return self.folder / "cp"


class Contestant(t.NamedTuple):
    """key in files, title in tables; command gives argv and variables.

    kept: also run over the connections of the run before. slow: its first run, once, is enough in a large fleet.
    alone: goes to no host, and runs where others run on one.
    """

    key: str
    title: str
    command: t.Callable[[Field], Command]
    kept: bool = False
    slow: bool = False
    alone: bool = False


def ssh_options(same_exchange: bool) -> list[str]:
    """Options of every OpenSSH client here, whatever the user's own configuration says."""
    options = [f"UserKnownHostsFile={STATE / 'known_hosts'}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
    return ["-F", "none", *(f"-o{option}" for option in options + [SAME_EXCHANGE] * same_exchange)]


def inventory(field: Field, same_exchange: bool) -> str:
    """Write Ansible's inventory; returns its path."""
    shared = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(STATE / "id_ed25519"),
        "ansible_ssh_common_args": " ".join(ssh_options(same_exchange)),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    hosts = {host.name: {"ansible_host": host.address} for host in field.hosts}
    path = field.folder / "inventory.yml"
    path.write_text(json.dumps({"fleet": {"hosts": hosts, "vars": shared}}))
    return str(path)


def environment(field: Field, config: Path, **more: str) -> dict[str, str]:
    """Nothing of the caller's that steers Ansible or Python, and a place of its own for all that a run leaves."""
    steers = ("ANSIBLE_", "OPS_RUNBOOK_", "PYTHON")
    mine = {name: value for name, value in os.environ.items() if not name.startswith(steers)}
    places = {
        "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(field.sockets),
        "ANSIBLE_LOCAL_TEMP": str(field.folder / "local"),
        "XDG_STATE_HOME": str(field.folder / "state"),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    return {**mine, **places, **more}


def ours(
    batches: list[int | str] | None = None,
    same_exchange: bool = True,
    cli: bool = False,
    stopped: bool = False,
    **more: str,
) -> t.Callable[[Field], Command]:
    """tune_fleet.yml, in the batches that it has by default or in these; stopped by the kill switch before any host."""

    def command(field: Field) -> Command:
        extra: dict[str, t.Any] = {"tuning_profile": "bench", "tuning_profiles": {"bench": PROFILE}}
        extra["tuning_allow_lowering"] = LOWERING
        if stopped:
            extra["tuning_kill_switch"] = str(PEERS / "default.cfg")
        path = field.folder / "extra.json"
        path.write_text(json.dumps(extra | ({"tuning_batches": batches} if batches else {})))
        where = ["-i", inventory(field, same_exchange), "-e", f"@{path}"]
        argv = [str(BIN / "ansible-playbook"), "playbooks/tune_fleet.yml", *where]
        if cli:
            argv = [str(BIN / "runbook"), "run", "tune_fleet", *where]
        return argv, environment(field, ROOT / "ansible.cfg", **more)

    return command


def playbook(name: str, config: str) -> t.Callable[[Field], Command]:
    """A playbook of the peers under the same ansible-core, with a configuration of theirs or the built-in one."""

    def command(field: Field) -> Command:
        argv = [str(BIN / "ansible-playbook"), str(PEERS / name), "-i", inventory(field, True)]
        collections = str(BENCH / "collections")
        return argv, environment(field, PEERS / config, ANSIBLE_COLLECTIONS_PATH=collections)

    return command


def pyinfra(deploy: str, *arguments: str) -> t.Callable[[Field], Command]:
    """A deploy of pyinfra's."""

    def command(field: Field) -> Command:
        data = {
            "ssh_user": "root",
            "ssh_key": str(STATE / "id_ed25519"),
            "ssh_known_hosts_file": str(STATE / "known_hosts"),
            "ssh_strict_host_key_checking": "yes",
            "ssh_config_file": os.devnull,
            "ssh_look_for_keys": False,
            "ssh_allow_agent": False,
        }
        path = field.folder / "inventory.py"
        path.write_text(f"fleet = ({[host.address for host in field.hosts]!r}, {data!r})\n")
        argv = [str(BENCH / "bin" / "pyinfra"), "--yes", *arguments, str(path), str(PEERS / deploy)]
        return argv, environment(field, Path(os.devnull), OPENBLAS_NUM_THREADS="1")

    return command


def raw(same_exchange: bool = True) -> t.Callable[[Field], Command]:
    """One ssh per host and a shell script on its standard input."""

    def command(field: Field) -> Command:
        return by_ssh(field, PEERS / "raw.sh", same_exchange)

    return command


def by_ssh(field: Field, script: Path, same_exchange: bool = True) -> Command:
    """A shell script on every host, fifty at a time."""
    addresses = field.folder / "addresses"
    addresses.write_text("".join(f"{host.address}\n" for host in field.hosts))
    ssh = ["ssh", "-i", str(STATE / "id_ed25519"), *ssh_options(same_exchange)]
    one = f'exec {" ".join(ssh)} "root@$1" sh -s <{script}'
    argv = ["xargs", "-a", str(addresses), "-P", "50", "-n", "1", "sh", "-c", one, "raw"]
    return argv, environment(field, Path(os.devnull))


def everybody() -> list[Contestant]:
    """All of them; the first is the one that the others are compared with."""
    one_batch: list[int | str] = ["100%"]
    return [
        Contestant("ours", "tune_fleet, one batch", ours(one_batch), kept=True),
        Contestant("ours-cli", "tune_fleet, one batch, by `runbook`", ours(one_batch, cli=True)),
        Contestant("ours-canary", "tune_fleet, canary first (default)", ours()),
        Contestant(
            "ours-ordinary", "tune_fleet, one batch, no pipelining", ours(one_batch, ANSIBLE_PIPELINING="False")
        ),
        Contestant("ours-pq", "tune_fleet, one batch, post-quantum exchange", ours(one_batch, same_exchange=False)),
        Contestant("start", "tune_fleet, start-up alone", ours(one_batch, stopped=True), alone=True),
        Contestant("raw", "`xargs -P 50 ssh`, shell script", raw()),
        Contestant("raw-pq", "`xargs -P 50 ssh`, post-quantum exchange", raw(same_exchange=False)),
        Contestant(
            "pyinfra-best", "pyinfra, no wait, limits as a file", pyinfra("idiomatic.py", "--no-wait", "--parallel=100")
        ),
        Contestant(
            "pyinfra-files", "pyinfra, three files and a command", pyinfra("files.py", "--no-wait", "--parallel=100")
        ),
        Contestant("pyinfra", "pyinfra, default", pyinfra("idiomatic.py", "--data=limits=lines"), slow=True),
        Contestant(
            "playbook-files",
            "playbook, three files and a command, tuned",
            playbook("files.yml", "tuned.cfg"),
            slow=True,
        ),
        Contestant("playbook-tuned", "idiomatic playbook, tuned", playbook("idiomatic.yml", "tuned.cfg"), slow=True),
        Contestant("playbook", "idiomatic playbook, default", playbook("idiomatic.yml", "default.cfg"), slow=True),
    ]


def field(folder: Path, hosts: list[Host]) -> Field:
    """An empty folder for one run."""
    shutil.rmtree(folder, ignore_errors=True)
    made = Field(folder, hosts)
    made.sockets.mkdir(parents=True, mode=0o700)
    return made
