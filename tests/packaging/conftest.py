# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheel and the Galaxy artifact, built from what git knows and installed where nothing of the checkout is near."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from tests.support import lab


class Place(t.NamedTuple):
    """An environment of its own, and an empty folder from which its commands run."""

    bin: Path
    folder: Path

    def run(self, name: str, *arguments: str, cwd: Path | None = None, timeout: float = 180) -> lab.Ran:
        """One of its commands; of the caller's environment only what a login has."""
        kept = ("LANG", "LAB_NAME", "LAB_SUBNET")
        environment = {key: os.environ[key] for key in kept if key in os.environ}
        environment |= {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.folder)}
        done = subprocess.run(
            [str(self.bin / name), *arguments],
            cwd=cwd or self.folder,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
        return lab.Ran(done.returncode, done.stdout, done.stderr)


def uv(*arguments: str | Path) -> None:
    """The project's own uv; it fails loudly."""
    found = subprocess.run([lab.ROOT / "lab" / "bootstrap-uv.sh"], capture_output=True, text=True, check=True)
    done = subprocess.run([found.stdout.strip(), *arguments], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that git knows, links included: what a person who clones has."""
    copy = tmp_path_factory.mktemp("tree")
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=lab.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        if (lab.ROOT / name).exists() or (lab.ROOT / name).is_symlink():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(lab.ROOT / name, copy / name, follow_symlinks=False)
    return copy


@pytest.fixture(scope="session")
def installed(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The wheel with its dependencies as locked, in an empty environment."""
    folder = tmp_path_factory.mktemp("installed")
    constraints = ["--build-constraints", tree / "requirements" / "build.txt"]
    uv("build", "--wheel", "--quiet", *constraints, "--out-dir", folder / "dist", tree)
    uv("venv", "--quiet", "--python", Path(sys.executable).resolve(), folder / "venv")
    (wheel,) = (folder / "dist").glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    uv("pip", "install", "--quiet", "--python", python, "--constraints", tree / "requirements" / "dev.txt", wheel)
    (folder / "home").mkdir()
    return Place(folder / "venv" / "bin", folder / "home")


@pytest.fixture(scope="session")
def artifact(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be uploaded to Galaxy."""
    folder = tmp_path_factory.mktemp("artifact")
    argv = [lab.command("ansible-galaxy"), "collection", "build", tree / "collections/ops_runbook"]
    subprocess.run([*argv, "--output-path", folder], check=True, capture_output=True, timeout=120)
    (found,) = folder.glob("ops-runbook-*.tar.gz")
    return found


@pytest.fixture(scope="session")
def host() -> t.Iterator[str]:
    """A lab host whose database is well; its address is in the inventory of `hosts_file`."""
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", "db1"], timeout=600)
    assert up.code == 0, up.text
    lab.on("db1", "systemctl reset-failed mongod; systemctl start mongod")
    yield "db1"
    lab.on("db1", "systemctl unmask mongod; systemctl reset-failed mongod; systemctl start mongod")


@pytest.fixture
def hosts_file(host: str, tmp_path: Path) -> Path:
    """An inventory of somebody's own, which leans on nothing in the checkout; no run before it is remembered."""
    forget(host)
    state = Path.home() / ".cache" / "ops-runbook" / "lab"
    known = f"-o UserKnownHostsFile={state}/known_hosts -o IdentitiesOnly=yes"
    variables = {
        "ansible_host": f"{lab.SUBNET}.11",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": f"{state}/id_ed25519",
        "ansible_ssh_common_args": f"-F none {known}",
        "mongodb_config_path": "/etc/default/mongod",
        "mongodb_data_path": "/var/lib/mongo",
        "mongodb_process_name": (state / "server").read_text().strip() if (state / "server").exists() else "ferretdb",
        "remediate_stabilization_window": 1,
    }
    path = tmp_path / "hosts.yml"
    path.write_text(json.dumps({"mongodb": {"hosts": {host: variables}}}))
    return path


def forget(host: str) -> None:
    """As if five minutes had gone by: the lab's inventory takes the cooldown away, one of somebody's own does not."""
    lab.on(host, "rm -rf /var/lib/ops-runbook/remedies /var/lib/ops-runbook/budget")
