# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured where: versions of all contestants and what the machine is."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.contestants import BENCH


def gather(peers: bool = True) -> dict[str, str]:
    """Name -> value, in the order in which they are told; the peers of `.venv-bench` only where they take part."""
    return {
        "Date": time.strftime("%Y-%m-%d", time.gmtime()),
        "Machine": f"{os.cpu_count()} cores ({_cpu_model()}), {_memory()} GiB; the hosts run on it, too",
        "System": f"{_os_release()}, Linux {platform.release()}, {_first_line('podman', '--version')}",
        "Controller": f"Python {platform.python_version()}, ansible-core {_version(sys.executable, 'ansible-core')}, "
        f"{_first_line('ssh', '-V').split(',')[0]}",
        **({"Peers": _peers()} if peers else {}),
    }


def _peers() -> str:
    packages = [f"{name} {_version(str(BENCH / 'bin/python'), name)}" for name in ("pyinfra", "paramiko")]
    return ", ".join([*packages, *(f"{name} {_collection(name)}" for name in ("ansible.posix", "community.general"))])


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _os_release() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return next((line.split("=", 1)[1].strip('"') for line in lines if line.startswith("PRETTY_NAME=")), "Linux")


def _first_line(*argv: str) -> str:
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=True)
    return done.stdout.splitlines()[0]


def _version(python: str, package: str) -> str:
    return _first_line(python, "-c", f"import importlib.metadata as m; print(m.version({package!r}))")


def _collection(name: str) -> str:
    manifest = BENCH / "collections/ansible_collections" / name.replace(".", "/") / "MANIFEST.json"
    return str(json.loads(manifest.read_text())["collection_info"]["version"])
