# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of Debian packages, unpacked into the cache and not installed: no service of theirs comes to life here."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from . import lab

FOLDER = Path.home() / ".cache" / "ops-runbook" / "debian"
PROGRAMS = {
    "jq": ("usr/bin/jq", "jq", "libjq1", "libonig5"),
    "logrotate": ("usr/sbin/logrotate", "logrotate", "libpopt0"),
    "mawk": ("usr/bin/mawk", "mawk"),
    "time": ("usr/bin/time", "time"),
    "zstd": ("usr/bin/zstd", "zstd"),
}
"""Where a program lies in its package, the package, and libraries of it that not every machine has."""
WRAPPER = """#!/bin/sh
LD_LIBRARY_PATH={libraries} exec {program} "$@"
"""


def program(name: str) -> str:
    """The path of a program: this machine's own, else a script that runs the one of Debian's package."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found:
        return found
    inside, *packages = PROGRAMS[name]
    folder = unpacked(*packages)
    script = folder / "wrapped" / name
    libraries = ":".join(sorted({str(path.parent) for path in folder.rglob("*.so.*")}))
    text = WRAPPER.format(libraries=libraries, program=folder / inside)
    if not script.exists() or script.read_text() != text:
        script.parent.mkdir(exist_ok=True)
        fresh = script.with_name(f"{name}.{os.getpid()}")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(script)
    return str(script)


def unpacked(*packages: str) -> Path:
    """A folder with the files of these packages, the newest version that apt knows."""
    found = FOLDER / packages[0]
    if not shutil.which("apt-get"):
        pytest.skip(f"no apt-get here to fetch Debian's {packages[0]} with")
    found.mkdir(parents=True, exist_ok=True)
    with (found / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        for package in packages:
            if not (found / f".{package}").exists():
                _unpack(package, found)
                (found / f".{package}").touch()
    return found


def _unpack(package: str, folder: Path) -> None:
    fetch = ["apt-get", "download", "-q", package]
    if lab.run(fetch, cwd=folder).code:  # no package lists yet, or old ones
        lab.run([*lab.AS_ROOT, "apt-get", "update", "-q"])
        done = lab.run(fetch, cwd=folder)
        assert done.code == 0, done.text
    archive = max(folder.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
    done = lab.run(["dpkg-deb", "--extract", str(archive), str(folder)])
    assert done.code == 0, done.text
    archive.unlink()
