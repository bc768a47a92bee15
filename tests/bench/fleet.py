# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the bench: a lab of their own, reset and looked at by a road that no contestant uses.

That road is nsenter into a host's namespaces, from outside: no ssh, no Python, no container runtime in between.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import typing as t
from pathlib import Path

from tests.support.lab import AS_ROOT

ROOT = Path(__file__).resolve().parents[2]
NAME, SUBNET = "ops-bench", "10.213.58"
STATE = Path.home() / ".cache" / "ops-runbook" / "lab"
PROFILE: dict[str, t.Any] = json.loads(Path(__file__).with_name("profile.json").read_text())

# What any contestant may touch is kept as it was when the host was new.
FOLDERS = "etc/sysctl.d etc/security etc/logrotate.d"
KEEP = f"""
mkdir -p /run/bench && cd / && tar -cf /run/bench/files.tar {FOLDERS} $(ls etc/sysctl.conf 2>/dev/null)
for key in $KEYS; do printf '%s\\t%s\\n' "$key" "$(cat "/proc/sys/$key")"; done >/run/bench/sysctl
"""
RESET = f"""
cd / && rm -rf {FOLDERS} etc/sysctl.conf && tar -xf /run/bench/files.tar
rm -rf var/lib/ops-runbook run/ops-runbook root/.ansible tmp/pyinfra* tmp/ansible*
while IFS="$(printf '\\t')" read -r key value; do echo "$value" >"/proc/sys/$key"; done </run/bench/sysctl
"""
LOOK = """
for key in $KEYS; do printf '%s\\t' "$key"; tr '\\t' ' ' <"/proc/sys/$key"; done
show() { for file; do [ ! -e "$file" ] || { cat "$file"; echo; }; done; }
echo ==sysctl; show /etc/sysctl.d/*.conf
echo ==limits; show /etc/security/limits.conf /etc/security/limits.d/*.conf
for path in $FILES; do echo "==file $path"; stat -c '%04a %U %G' "$path" && sha256sum <"$path"; done
true
"""


class Host(t.NamedTuple):
    """A lab host: its address, the process id of its init and the cgroup that accounts for all of it."""

    name: str
    address: str
    pid: int
    usage: Path


@contextlib.contextmanager
def running() -> t.Iterator[t.Callable[[int], list[Host]]]:
    """Gives a function that makes so many hosts run; in the end nothing of them is left. One bench at a time."""
    with _alone():
        yield _up


@contextlib.contextmanager
def database() -> t.Iterator[Host]:
    """A host with a database, as running."""
    with _alone():
        yield _booted(["db1"])[0]


@contextlib.contextmanager
def _alone() -> t.Iterator[None]:
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "bench.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            _lab("down")


def _lab(*arguments: str) -> None:
    """A command of lab/lab on the bench's own lab."""
    env = {**os.environ, "LAB_NAME": NAME, "LAB_SUBNET": SUBNET}
    subprocess.run([str(ROOT / "lab/lab"), *arguments], env=env, check=True, timeout=1200)


def _up(count: int) -> list[Host]:
    """The first hosts of the fleet, with a copy of what is put back before each run."""
    hosts = _booted([f"fleet{number:02d}" for number in range(1, count + 1)])
    on_all(hosts, "[ -e /run/bench/sysctl ] || {" + KEEP + "}")
    return hosts


def _booted(wanted: list[str]) -> list[Host]:
    _lab("up", *wanted)
    argv = [*AS_ROOT, "podman", "inspect", *(f"{NAME}-{name}" for name in wanted)]
    found = json.loads(subprocess.run(argv, capture_output=True, check=True, timeout=120).stdout)
    return [_host(name, entry) for name, entry in zip(wanted, found, strict=True)]


def _host(name: str, entry: dict[str, t.Any]) -> Host:
    address = next(iter(entry["NetworkSettings"]["Networks"].values()))["IPAddress"]
    pid = int(entry["State"]["Pid"])
    return Host(name, address, pid, _usage(pid, entry["Id"]))


def _usage(pid: int, container: str) -> Path:
    """The file with the CPU time of a whole container; cgroup v2 or v1."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        folder = path[: path.index(container) + len(container)] if container in path else ""
        folder += ".scope" if path.startswith(f"{folder}.scope") else ""
        for top, file in ((f"/sys/fs/cgroup/{controllers}", "cpuacct.usage"), ("/sys/fs/cgroup", "cpu.stat")):
            usage = Path(f"{top}{folder}/{file}")
            if folder and usage.is_file():
                return usage
    raise RuntimeError(f"no cgroup accounts for the CPU of container {container}")


def cpu(hosts: list[Host]) -> float:
    """CPU seconds that these hosts have used since they were started."""
    return sum(_seconds(host.usage.read_text()) for host in hosts)


def _seconds(text: str) -> float:
    if text.startswith("usage_usec"):
        return int(text.split()[1]) / 1e6
    return int(text) / 1e9


def on_all(hosts: list[Host], script: str) -> list[str]:
    """Run a shell script in the namespaces of each host; what each one says. A failing one is an error."""
    keys = " ".join(key.replace(".", "/") for key in PROFILE["sysctl"])
    files = " ".join(file["path"] for file in PROFILE["files"])
    text = f"set -eu\nKEYS='{keys}'\nFILES='{files}'\n{script}"

    def enter(host: Host) -> str:
        argv = [*AS_ROOT, "nsenter", f"--target={host.pid}", *("--mount", "--uts", "--ipc", "--net", "--pid"), "sh"]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"{host.name}: {done.stderr.strip()[-500:]}")
        return done.stdout

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(enter, hosts))


def reset(hosts: list[Host]) -> None:
    """Put the hosts back, and prove that none of the wanted values is there: else a run would have nothing to do."""
    on_all(hosts, RESET)
    expected = _expected()
    for host, seen in look(hosts).items():
        left = [name for name, value in expected.items() if seen.get(name) == value]
        if left:
            raise RuntimeError(f"{host} was not reset: {', '.join(left)}")


def verify(hosts: list[Host]) -> dict[str, list[str]]:
    """What differs from the profile, by host; hosts where nothing does are left away."""
    expected = _expected()
    wrong = {
        host: [f"{name}: {seen.get(name)}" for name, value in expected.items() if seen.get(name) != value]
        for host, seen in look(hosts).items()
    }
    return {host: lines for host, lines in wrong.items() if lines}


def look(hosts: list[Host]) -> dict[str, dict[str, str]]:
    """What is there now, by host; see parse."""
    return {host.name: parse(text) for host, text in zip(hosts, on_all(hosts, LOOK), strict=True)}


def _expected() -> dict[str, str]:
    expected: dict[str, str] = {}
    for key, value in PROFILE["sysctl"].items():
        expected |= {f"live {key}": value, f"kept {key}": value}
    for limit in PROFILE["limits"]["pam"]:
        expected["limit {domain} {type} {item}".format(**limit)] = limit["value"]
    for file in PROFILE["files"]:
        digest = hashlib.sha256(file["content"].encode()).hexdigest()
        expected[f"file {file['path']}"] = f"{file['mode']} root root {digest}"
    return expected


def parse(text: str) -> dict[str, str]:
    """What a host said, by name: `live KEY`, `kept KEY` (the last line that sets it), `limit ...`, `file PATH`."""
    parts = {"live": text.partition("==sysctl\n")[0]}
    for part in text.split("\n==")[1:]:
        title, _, body = part.partition("\n")
        parts[title] = body
    seen = {}
    for line in parts.pop("live").splitlines():
        key, _, value = line.partition("\t")
        seen[f"live {key.replace('/', '.')}"] = " ".join(value.split())
    for line in _lines(parts.pop("sysctl")):
        key, _, value = line.partition("=")
        seen[f"kept {key.strip().replace('/', '.')}"] = " ".join(value.split())
    for line in _lines(parts.pop("limits")):
        fields = line.split()
        seen[f"limit {' '.join(fields[:3])}"] = " ".join(fields[3:])
    return seen | {title: " ".join(body.split()[:4]) for title, body in parts.items()}


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line and line[0] not in "#;"]
