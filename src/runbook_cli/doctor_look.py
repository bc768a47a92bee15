# SPDX-License-Identifier: GPL-3.0-or-later
"""What `doctor` asks a host that it has logged in to, by a shell script that only reads, and what the answers mean.

No Python is needed there: whether there is one is part of the question.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, NamedTuple

OLDEST = (3, 8)
"""Python on a target (docs/design.md)."""
SKEW = 2.0
ROOM = {"/var/lib": (16 << 20, 128 << 20), "/run": (1 << 20, 8 << 20)}
"""Bytes that must be free, and below which it is said: what an act keeps for its undo, and leases."""
INODES = 200
_FALLBACK = ("python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python3.8")
_FOUND_BY_ITSELF = ("auto", "auto_silent", "auto_legacy", "auto_legacy_silent")
LOST = ("-m", "no answer from the script")


class Finding(NamedTuple):
    """One check of one host. status: ok, warning, failed, unknown. next_step: a literal command, or empty."""

    check: str
    status: str
    said: str
    next_step: str = ""


_AS_LOGIN = """
LC_ALL=C; export LC_ALL
say() { printf '%%s=%%s\\n' "$1" "$2"; }
say uid "$(id -u)"
say now "$(date +%%s.%%N)"
for python in %(pythons)s; do
  found=$(command -v "$python" 2>/dev/null) || continue
  version=$("$found" -I -S -B -c 'import sys; print("%%d.%%d.%%d" %% sys.version_info[:3])' 2>&1 | head -n 1)
  say python "$found $version"
done
"""
_AS_ROOT = """
LC_ALL=C; export LC_ALL
say() { printf '%s=%s\\n' "$1" "$2"; }
say root "$(id -u)"
for folder in /var/lib /run; do
  writable=no; [ -w "$folder" ] && writable=yes
  kilobytes=$(df -Pk "$folder" 2>/dev/null | awk 'END { print $(NF-2) }')
  inodes=$(df -Pi "$folder" 2>/dev/null | awk 'END { print $(NF-2) }')
  say room "$folder $writable ${kilobytes:--} ${inodes:--}"
done
for folder in /run/ops-runbook /var/lib/ops-runbook; do
  [ -e "$folder" ] && say state "$folder $(stat -c '%u %a %F' "$folder" 2>/dev/null)"
done
for lease in /run/ops-runbook/*.json; do
  [ -f "$lease" ] && say lease "$(tr -d '\\n' <"$lease")"
done
say boot "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) $(cut -d ' ' -f 1 /proc/uptime 2>/dev/null)"
hold=/var/lib/ops-runbook/hold
[ -e "$hold" ] && say hold "$(head -c 300 "$hold" 2>/dev/null | tr '\\n' ' ')"
journal=missing; [ -S /dev/log ] && journal=closed; [ -w /dev/log ] && journal=writable
say journal "$journal"
"""


def as_login(connection: dict[str, Any]) -> str:
    """The script for the login user: Python, the clock, and sudo without a password with what root sees."""
    script = _AS_LOGIN % {"pythons": " ".join(shlex.quote(name) for name in pythons(str(connection["python"])))}
    if not connection["become"]:
        return f"{script}\n{_AS_ROOT}"
    asked = shlex.join([*sudo(connection, "-n"), "/bin/sh", "-c", _AS_ROOT])
    otherwise = f'said=$({asked} 2>&1); say sudo_code "$?"; echo "$said"'
    return f'{script}\nif [ "$(id -u)" = 0 ]; then{_AS_ROOT}\nelse {otherwise}\nfi\n'


def as_root(connection: dict[str, Any]) -> str:
    """The command line for root's part, for a sudo that reads its password from stdin."""
    return shlex.join([*sudo(connection, "-S", "-k", "-p", ""), "/bin/sh", "-c", _AS_ROOT])


def sudo(connection: dict[str, Any], *flags: str) -> list[str]:
    """The sudo that Ansible would call, with these flags in place of those that ask."""
    given = [word for word in shlex.split(str(connection["become_flags"])) if word not in ("-n", "-S", "-k")]
    return [str(connection["become_exe"]), *given, *flags, "-u", str(connection["become_user"])]


def pythons(configured: str) -> list[str]:
    """The interpreters that Ansible would try."""
    return [*_FALLBACK, "/usr/bin/python3", "python3"] if configured in _FOUND_BY_ITSELF else [configured]


def parse(text: str) -> dict[str, list[str]]:
    """The script's `name=value` lines; lines of another form are kept under an empty name."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        key = name if equals and re.fullmatch(r"[a-z_]+", name) else ""
        found.setdefault(key, []).append(value if key else line)
    return found


def of_python(seen: dict[str, list[str]], configured: str, ssh: str) -> Finding:
    """Whether the interpreter that Ansible would use is there and new enough."""
    chosen = None
    for line in seen.get("python", []):
        path, _blank, version = line.partition(" ")
        numbers = tuple(int(part) for part in version.split(".")) if re.fullmatch(r"\d+\.\d+\.\d+", version) else None
        chosen = chosen or (path, version, numbers)
        if numbers and numbers >= OLDEST:
            return Finding("python", "ok", f"{path} is {version}")
    install = f"{ssh} 'apt-get install -y python3'  # or dnf, zypper, apk"
    if chosen is None and configured in _FOUND_BY_ITSELF:
        return Finding("python", "failed", "there is no Python", install)
    if chosen is None:
        said = f"ansible_python_interpreter is {configured}, and there is none"
        return Finding("python", "failed", said, f"{ssh} 'command -v python3 || apt-get install -y python3'")
    path, version, numbers = chosen
    if numbers is None:
        return Finding("python", "failed", f"{path} does not run: {version}", f"{ssh} {shlex.quote(path + ' -V')}")
    return Finding("python", "failed", f"{path} is {version}, and 3.8 is the oldest that serves", install)


def of_clock(seen: dict[str, list[str]], before: float, after: float, ssh: str) -> Finding:
    """How far the host's clock is from ours; what the way may have taken counts for it."""
    try:
        theirs = float((seen.get("now") or [""])[0].rstrip(".N%"))
    except ValueError:
        return Finding("clock", "unknown", "date does not tell seconds", f"{ssh} date")
    skew = min(0.0, theirs - before) + max(0.0, theirs - after)
    if abs(skew) <= SKEW:
        return Finding("clock", "ok", f"within {SKEW:g} s of ours")
    said = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours: times in its logs and in the record differ"
    return Finding("clock", "warning", said, f"{ssh} timedatectl")


def of_sudo(code: int, said: str, connection: dict[str, Any], user: str, ssh: str) -> Finding:
    """What a sudo that failed means."""
    again = "add -K, or keep ansible_become_password in a vault"
    if re.search(r"must have a tty|a terminal is required", said) and "password" not in said:
        step = f"visudo -f /etc/sudoers.d/ops-runbook  # as root, one line: Defaults:{user} !requiretty"
        return Finding("sudo", "warning", "sudo wants a terminal (requiretty): runs take the slower road", step)
    if re.search(r"not in the sudoers|may not run sudo|not allowed to (execute|run)", said):
        step = f"usermod -aG sudo {user}  # as root on the host; the group is wheel on Red Hat's systems"
        return Finding("sudo", "failed", f"{user} may not use sudo", step)
    if re.search(r"command not found|: not found|No such file", said) or code in (126, 127):
        return Finding(
            "sudo", "failed", f"there is no {connection['become_exe']}", "apt-get install sudo  # as root on the host"
        )
    if re.search(r"incorrect password|Sorry, try again|no password was provided", said):
        return Finding(
            "sudo", "failed", "the sudo password is wrong", "runbook doctor ... -K  # or mend ansible_become_password"
        )
    if "password is required" in said or "password" in said:
        return Finding(
            "sudo", "failed", "sudo wants a password, and none was given", f"runbook doctor ... -K  # {again}"
        )
    text = " ".join(said.split())[-200:] or f"exit code {code}"
    return Finding("sudo", "failed", f"sudo failed: {text}", f"{ssh} {shlex.quote('sudo -v')}")


def of_root(seen: dict[str, list[str]], root: bool, ssh: str) -> list[Finding]:
    """Room, state, hold, leases and the journal, as root sees them, or else as far as the login does."""
    return [*_room(seen, root, ssh), *_state(seen, ssh), *_holds(seen, root, ssh), _journal(seen, ssh)]


def _room(seen: dict[str, list[str]], root: bool, ssh: str) -> list[Finding]:
    bad, told = list[Finding](), list[str]()
    for line in seen.get("room", []):
        folder, writable, kilobytes, inodes = line.split()
        free = int(kilobytes) << 10 if kilobytes.isdigit() else None
        least, little = ROOM[folder]
        step = f"{ssh} {shlex.quote(f'df -h {folder}; df -i {folder}')}"
        if root and writable == "no":
            bad.append(Finding("room", "failed", f"{folder} cannot be written to", step))
        elif free is None:
            bad.append(Finding("room", "unknown", f"df does not tell the room below {folder}", step))
        elif free < least or (inodes.isdigit() and int(inodes) < INODES):
            bad.append(Finding("room", "failed", f"{folder} has {free >> 20} MiB and {inodes} inodes left", step))
        elif free < little:
            bad.append(Finding("room", "warning", f"{folder} has only {free >> 20} MiB left", step))
        told.append(f"{folder} has {(free or 0) >> 20} MiB")
    return bad or [Finding("room", "ok", ", ".join(told))]


def _state(seen: dict[str, list[str]], ssh: str) -> list[Finding]:
    for line in seen.get("state", []):
        folder, uid, mode, kind = [*line.split(maxsplit=3), "", "", ""][:4]
        if (uid, mode, kind) != ("0", "700", "directory"):
            step = f"{ssh} {shlex.quote(f'ls -ld {folder}')}"
            said = f"{folder} is a {kind} of uid {uid}, mode {mode}, and not a directory of root's with 0700"
            return [Finding("state", "warning", said, step)]
    told = [line.split()[0] for line in seen.get("state", [])]
    return [Finding("state", "ok", f"{' and '.join(told)} are there" if told else "no run has been here yet")]


def _holds(seen: dict[str, list[str]], root: bool, ssh: str) -> list[Finding]:
    if not root:
        return [Finding("hold", "unknown", "only root sees holds and leases")]
    found = []
    if hold := seen.get("hold"):
        said = f"a hold is in force: {hold[0].strip() or 'no reason given'}"
        found.append(Finding("hold", "failed", said, f"{ssh} 'rm /var/lib/ops-runbook/hold'  # when it is over"))
    boot, _blank, uptime = (seen.get("boot") or [""])[0].partition(" ")
    for text in seen.get("lease", []):
        found += _lease(text, boot, uptime, ssh)
    return found or [Finding("hold", "ok", "no hold and no lease")]


def _lease(text: str, boot: str, uptime: str, ssh: str) -> list[Finding]:
    try:
        lease = json.loads(text)
        left = float(lease["expires"]) - float(uptime)
        mine = str(lease["boot_id"]) == boot
        who = f"{lease['holder'] or 'another run'} (run {lease['run_id']})"
    except (ValueError, KeyError, TypeError):
        step = f"{ssh} {shlex.quote('head /run/ops-runbook/*.json')}"
        return [Finding("lease", "failed", "a lease file is damaged, so nobody can tell who holds it", step)]
    if not mine or left <= 0:
        return []
    said = f"{lease['name']} is held by {who} for another {left:.0f} s"
    return [Finding("lease", "warning", said, f"sleep {int(left) + 1}  # or let that run end")]


def _journal(seen: dict[str, list[str]], ssh: str) -> Finding:
    state = (seen.get("journal") or ["missing"])[0]
    if state == "writable":
        return Finding("journal", "ok", "/dev/log takes lines")
    said = "/dev/log is missing" if state == "missing" else "/dev/log takes no lines"
    step = f"{ssh} 'systemctl status systemd-journald.socket systemd-journald-dev-log.socket'"
    return Finding("journal", "warning", f"{said}: the heads of the record cannot be kept there", step)
