# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a database host: what remedies must leave as it is, as one JSON document.

python3 - OURS

Data by inode and hash; files of others by hash, but for those that OURS (an expression) matches; processes of others
that belong to a unit, ssh sessions apart; the server's main process, and the deleted data files that it has open.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

DATA = Path("/var/lib/mongo")
OTHERS = ("/etc", "/root", "/home", "/opt", "/usr/local")
PASSING = (None, "mongod.service", "ssh.service", "load.service")
"""Units whose processes come and go."""


def sha256(path: Path) -> str:
    """Of the content, or why it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return str(error.errno)


def files(top: Path) -> Iterator[Path]:
    """Everything below top that is no folder."""
    for path in top.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield path


def unit(process: Path) -> str | None:
    """The unit that a process belongs to."""
    found = re.search(r"/([^/\n]+\.(?:service|scope))", (process / "cgroup").read_text())
    return found[1] if found else None


def processes() -> dict[str, list[t.Any]]:
    """Name, start and unit by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            mine = unit(folder)
            if mine not in PASSING:
                start = (folder / "stat").read_text().rpartition(")")[2].split()[19]
                found[folder.name] = [(folder / "comm").read_text().strip(), start, mine]
    return found


def main() -> None:
    """Look and tell."""
    ours = re.compile(sys.argv[1])
    argv = ["systemctl", "show", "mongod.service", "--property=MainPID", "--value"]
    server = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    opened = [str(path.readlink()) for path in Path(f"/proc/{server}/fd").glob("*") if path.is_symlink()]
    kept = [path for path in files(DATA) if not path.name.endswith(("-wal", "-shm", "-journal"))]
    others = [path for top in OTHERS for path in files(Path(top)) if not ours.search(str(path))]
    told = {
        "data": {str(path): [path.lstat().st_ino, sha256(path)] for path in kept},
        "others": {str(path): sha256(path) for path in others},
        "processes": processes(),
        "server": server,
        "held": sorted(path for path in opened if path.startswith(f"{DATA}/") and path.endswith(" (deleted)")),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
