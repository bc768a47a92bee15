# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel says about its parameters, and what the files say that it is told at boot.

systemd-sysctl reads the files of FOLDERS by name, a name once: the first folder that has it hides the others. Whoever
sets a key last wins. procps' `sysctl --system` reads LAST after them (systemd's sysctl.d(5), procps' sysctl(8)).
"""

from __future__ import annotations

import errno
import os
import stat

from .errors import Refused
from .files import os_error
from .sysctl_keys import HIDDEN, MODULES
from .sysctl_plan import key_of, path_of, same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional, Tuple

    from .sysctl_plan import Key

    Assignment = Tuple[int, str, Optional[str]]  # line, key, value; None takes the key out
    Said = Dict[str, Tuple[str, Optional[str]]]  # key -> (file:line, value)

PROC = "/proc/sys"
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
LAST = "/etc/sysctl.conf"
CONTAINER = ("/run/systemd/container", "/run/.containerenv", "/.dockerenv")
_LIMIT = 1048576  # bytes of one file
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


# ---- the kernel


def read_live(key: str) -> str:
    """What the kernel shows, one blank between components; OSError where it shows nothing."""
    with open(os.path.join(PROC, path_of(key)), "rb") as stream:
        return " ".join(stream.read(65536).decode("utf-8", "backslashreplace").split())


def now(name: str) -> str | None:
    """What the kernel shows; None where the key went away with its interface or module."""
    try:
        return read_live(name)
    except OSError:
        return None


def write_live(key: str, value: str) -> None:
    """Tell the kernel, in one write; OSError where it says no. What it made of it shows read_live alone."""
    file = os.open(os.path.join(PROC, path_of(key)), os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(file, (value + "\n").encode("utf-8"))
    finally:
        os.close(file)


def expanded(pattern: str) -> list[str]:
    """The keys of a pattern with one * for an interface, or `default`; `all` is the one that sets them."""
    folder, star, rest = path_of(pattern).partition("*")
    found = sorted(set(_listed(os.path.join(PROC, folder))) - {"all"}) if star else [""]
    return [key_of(folder + one + rest) for one in found]


def look(key: Key) -> None:
    """Fill the key's live value, or tell why there is none."""
    try:
        key.live = read_live(key.name)
    except (FileNotFoundError, NotADirectoryError):
        key.leave(*_missing(key.name))
    except IsADirectoryError:
        key.leave("unknown_key", "is a group of parameters, not one")
    except OSError as error:
        key.leave(
            "refused_by_kernel", "cannot be read (%s), so nothing could be proven" % os.strerror(error.errno or 0)
        )


def demand_writable(key: Key) -> None:
    """Tell where the kernel would not let it be changed."""
    path = os.path.join(PROC, path_of(key.name))
    if os.access(path, os.W_OK):
        return
    if os.geteuid() != 0:
        raise Refused("only root may change kernel parameters", path, "Run with become: true.")
    read_only(key)


def read_only(key: Key) -> None:
    """It is there, and cannot be written: whose is it?"""
    if in_container():
        key.leave("not_namespaced", "is read-only in this container: it belongs to the machine")
    else:
        key.leave("refused_by_kernel", "is read-only here")


def refused(key: Key, error: OSError) -> None:
    """The kernel said no to a write."""
    if error.errno in _READ_ONLY:
        return read_only(key)
    key.leave("refused_by_kernel", "the kernel does not take %s (%s)" % (key.target, os.strerror(error.errno or 0)))
    return None


def in_container() -> bool:
    """Whether one of the marks of systemd, podman and docker is there."""
    return any(os.path.exists(mark) for mark in CONTAINER)


def _missing(name: str) -> tuple[str, str]:
    """(status, note) of a key that is not there."""
    folder, _dot, last = name.rpartition(".")
    if last in HIDDEN.get(folder, ()) and in_container():
        return "not_namespaced", "is not seen in this container: it belongs to the machine"
    likely = _resembling(name)
    note = "there is no such key" + (", did you mean %s?" % likely if likely else "")
    for beginning, module in MODULES.items():
        if name.startswith(beginning) and not likely:
            note = "is not there: is the module loaded? modprobe %s" % module
    return "unknown_key", note


def _resembling(name: str) -> str:
    """The key that was meant: eth0.100 whose dot was taken for a separator, or a name like the first one missing."""
    from difflib import get_close_matches

    parts = path_of(name).split("/")
    guesses = [[*parts[:at], ".".join(parts[at : at + 2]), *parts[at + 2 :]] for at in range(len(parts) - 1)]
    at = 0
    while at < len(parts) - 1 and os.path.lexists(os.path.join(PROC, *parts[: at + 1])):
        at += 1
    near = get_close_matches(parts[at], _listed(os.path.join(PROC, *parts[:at])), 1, 0.75)
    guesses += [[*parts[:at], one, *parts[at + 1 :]] for one in near]
    found = [guess for guess in guesses if os.path.isfile(os.path.join(PROC, *guess))]
    return key_of("/".join(found[0])) if found else ""


# ---- the files


def parse_conf(text: str) -> list[Assignment]:
    """The assignments of a file of sysctl.d: [(line, key, value)]; value None takes the key out.

    A pattern stands here under its own name: it never sets a key that a file names, wherever that is (sysctl.d(5)).
    """
    found: list[Assignment] = []
    for at, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        name, assigned, value = line.partition("=")
        taken_out = not assigned
        if taken_out and line[0] != "-":
            continue
        name = key_of(name[1:] if line[0] == "-" else name)
        found.append((at, name, None if taken_out else " ".join(value.split())))
    return found


def agrees(written: str | None, target: str) -> bool:
    """Whether a line of a file gives the kernel the target; it stops reading numbers at a comment."""
    return written is not None and (same(target, written) or same(target, written.partition(" #")[0]))


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # most hosts lack most of the folders
        return []


def said_after(name: str, without: str = "") -> tuple[Said, Said]:
    """What the files of sysctl.d read after `name` set, and what LAST sets: key -> (file:line, value)."""
    seen: dict[str, str] = {}
    for folder in FOLDERS:
        for file in _listed(folder):
            if file > name and file != without and file.endswith(".conf"):
                seen.setdefault(file, os.path.join(folder, file))
    return _said([seen[file] for file in sorted(seen)]), _said([LAST])


def _said(paths: list[str]) -> Said:
    found: Said = {}
    for path in paths:
        for line, key, value in parse_conf(_text(path)):
            found[key] = ("%s:%d" % (path, line), value)
    return found


def _text(path: str) -> str:
    """A file's text; empty where it is a link to /dev/null or to nowhere.

    Raises:
        OpsError: It cannot be read, so nobody knows whether it overrides a key.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return ""
        with open(path, "rb") as stream:
            return stream.read(_LIMIT).decode("utf-8", "backslashreplace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise os_error(error, path) from None


def overrider(name: str, value: str, later: tuple[Said, Said]) -> str:
    """What a file makes of a key, in words; nothing where none names it, or all give the kernel the same value."""
    for said in later:
        where, other = said.get(name, ("", value))
        if where and not agrees(other, value):
            return "%s %s" % (where, "takes it out" if other is None else "sets it to %s" % (other or "nothing"))
    return ""
