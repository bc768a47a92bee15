# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine is, and how commands are run on it."""

from __future__ import annotations

import functools
import getpass
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    Done = subprocess.CompletedProcess[str]

NAME = os.environ.get("LAB_NAME", "ops-runbook")
SUBNET = os.environ.get("LAB_SUBNET", "10.213.57")
LAB = Path(__file__).resolve().parent.parent
CACHE = Path.home() / ".cache" / "ops-runbook"
STATE = CACHE / "lab"
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
CAP_SYS_RESOURCE = 24


class LabError(Exception):
    """What went wrong, where, and what a person can do about it."""

    def __init__(self, what: str, where: str, hint: str) -> None:
        super().__init__(f"error: {what}; where: {where}; what to do: {hint}")
        self.what = what


def say(text: str) -> None:
    """Progress, for people: on stderr, so that what a command answers can be piped."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def run(argv: Sequence[str], timeout: float = 60, stdin: str | None = None, check: bool = True) -> Done:
    """Run a command and take its output; LabError when it fails (unless check is false) or does not end in time."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, input=stdin, check=False)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed", "this machine", "make setup") from None
    except subprocess.TimeoutExpired:
        raise LabError(
            f"no end after {timeout:.0f} s", " ".join(argv)[:200], "try again when the machine is less busy"
        ) from None
    if check and done.returncode:
        reason = (done.stderr or done.stdout).strip()[-1500:]
        raise LabError(
            reason or "it failed without a word",
            f"{' '.join(argv)[:200]} (exit code {done.returncode})",
            "see what it says",
        )
    return done


def as_root(*argv: str) -> list[str]:
    """The same command as root: systemd in a container and loop devices need it, so rootless containers will not do."""
    if os.geteuid() == 0:
        return list(argv)
    if not shutil.which("sudo"):
        raise LabError("the lab needs root, and sudo is not installed", f"user {getpass.getuser()}", "run it as root")
    return ["sudo", *argv]


def ask_for_sudo() -> None:
    """Ask for the password once, before several threads would."""
    if os.geteuid() == 0 or run(as_root("--non-interactive", "true"), check=False).returncode == 0:
        return
    if subprocess.run(as_root("--validate"), check=False).returncode:
        raise LabError(
            "the lab needs root, and sudo refuses", f"user {getpass.getuser()}", "run it as root or as a user with sudo"
        )


def podman(*argv: str) -> list[str]:
    """A podman command with the options that this machine needs."""
    return as_root("podman", *(() if can_raise_limits() else ("--runtime", "runc")), *argv)


@functools.cache
def can_raise_limits() -> bool:
    """Whether root here has CAP_SYS_RESOURCE; without it only runc starts containers, and only with low limits."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return True


def boot_options() -> list[str]:
    """Options of `podman run` under which systemd boots and MemoryMax= of its units is enforced.

    With cgroup v1 and `--systemd=always` units could not be limited; with a private cgroup namespace instead, systemd
    mounts its own hierarchies on a tmpfs. The two together are never right: systemd would remount the machine's own
    cgroups read-only.
    """
    limits = ["--pids-limit=8192", *(() if can_raise_limits() else low_limits())]
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return ["--privileged", "--systemd=always", *limits]
    # S108: mount points inside the container, not temporary files of this program
    folders = ("/sys/fs/cgroup:rw,mode=755", "/run:rw,mode=755,exec", "/run/lock", "/tmp:rw,mode=1777,exec")  # noqa: S108
    isolation = ["--systemd=false", "--cgroupns=private", "--env=container=podman", "--stop-signal=SIGRTMIN+3"]
    return ["--privileged", *isolation, *(f"--tmpfs={folder}" for folder in folders), *limits]


def low_limits() -> list[str]:
    """Options that ask for no more open files and processes than this machine's own hard limits.

    podman first lowers its own limit of processes to kernel.pid_max.
    """
    files, processes = (resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
    processes = min(processes, int(Path("/proc/sys/kernel/pid_max").read_text()))
    return [f"--ulimit=nofile=1024:{files}", f"--ulimit=nproc=10000:{processes}"]


def raise_inotify_limit(hosts: int) -> None:
    """Each systemd takes up to ten inotify instances of root's; raise the machine's limit only when it would not do."""
    old = int(INOTIFY.read_text())
    wanted = 64 + 10 * hosts
    if old >= wanted:
        return
    say(f"Raising fs.inotify.max_user_instances from {old} to {wanted}; `lab down` puts it back")
    note = STATE / "inotify"
    if not note.exists():
        note.write_text(f"{old}\n")
    write_as_root(INOTIFY, str(wanted))


def restore_inotify_limit() -> None:
    """Put back what raise_inotify_limit found."""
    note = STATE / "inotify"
    if note.exists():
        write_as_root(INOTIFY, note.read_text().strip())
        note.unlink()


def write_as_root(path: Path, text: str) -> None:
    """Write a file below /proc/sys."""
    run(as_root("tee", str(path)), stdin=text)
