# SPDX-License-Identifier: GPL-3.0-or-later
"""Real interpreters of other versions, lent to lab hosts read-only."""

from __future__ import annotations

import os
from pathlib import Path

from .machine import CACHE, LAB, LabError, run, say

MANAGED = CACHE / "python"


def prefix(version: str) -> Path:
    """The installation folder of Python version ("3.8"): of pyenv, else one that uv fetches."""
    pyenv = [Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv"), Path.home() / ".pyenv"]
    places = [*(root / "versions" for root in pyenv), MANAGED]
    for place in places:
        for candidate in sorted(place.glob(f"*{version}.*"), reverse=True):
            if usable(candidate, version):
                return candidate.resolve()
    return fetched(version)


def usable(candidate: Path, version: str) -> bool:
    """Whether an installation is of this version and runs."""
    interpreter = candidate / "bin" / f"python{version}"
    argv = [str(interpreter), "-c", "import json, socket, subprocess"]
    return interpreter.exists() and run(argv, check=False).returncode == 0


def fetched(version: str) -> Path:
    """Let uv install this version into the cache."""
    say(f"No Python {version} of pyenv here: fetching one into {MANAGED}")
    uv = run([str(LAB / "bootstrap-uv.sh")], timeout=300).stdout.strip()
    done = run([uv, "python", "install", "--install-dir", str(MANAGED), version], timeout=600, check=False)
    found = [path for path in sorted(MANAGED.glob(f"*{version}.*"), reverse=True) if usable(path, version)]
    if done.returncode or not found:
        raise LabError(f"no Python {version}: {done.stderr.strip()[-300:]}", "pyenv, uv", f"pyenv install {version}")
    return found[0].resolve()
