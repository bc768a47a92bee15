# SPDX-License-Identifier: BSD-2-Clause
"""Who wins among the lines of limits.conf and limits.d, as pam_limits reads them.

It reads limits.conf, then limits.d/*.conf in the order of their names. Of the lines that concern a user, those of the
strongest kind count (his name or uid, then his groups, then `*`), and of these the last one; a soft limit is cut to
the hard one. What no line sets is inherited. Debian's differs twice: what is inherited is what PID 1 has, with the
soft number of files cut to 1024, and only lines that name root concern root. Source: limits.conf(5), pam_limits.c.
"""

from __future__ import annotations

import os

from .limits_kernel import INFINITY, ITEMS, LARGEST, limits_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

    from .limits_kernel import Limits

    Line = Tuple[str, str, str, str, str]  # domain, type, item, value, where (file:line); a type of - is both
    Files = Dict[str, List[Line]]
    Found = Tuple[Optional[int], str]  # what is in effect, and which line says so; None: that cannot be told

CONF = "/etc/security/limits.conf"
FOLDER = "/etc/security/limits.d"
DEBIAN = "/etc/debian_version"
SPECIAL = ("maxlogins", "maxsyslogins", "priority", "nonewprivs")  # items that are no limits of a process
BOUNDS = {"nice": (-20, 19), "priority": (-20, 19), "nonewprivs": (0, 1)}
UNLIMITED = ("unlimited", "infinity", "-1", "-")
INHERITED, OFF = "inherited", "off"
_FD_SETSIZE = 1024
_NOT_AT_ALL = 9


def permits(item: str, value: int) -> int:
    """What is larger permits more."""
    return -value if item in ("nice", "priority") else value


def parse(text: str, path: str) -> list[Line]:
    """The lines that pam_limits would heed; one that switches all limits off has no item."""
    found: list[Line] = []
    for number, line in enumerate(text.split("\n"), 1):
        parts = line.split("#", 1)[0].split()
        where = "%s:%d" % (path, number)
        if len(parts) >= 4:
            found.append((parts[0], parts[1].lower(), parts[2].lower(), parts[3].lower(), where))
        elif len(parts) == 2 and parts[1].startswith("-"):
            found.append((parts[0], "-", "", "", where))
    return found


def read_all() -> Files:
    """All files in the order in which pam_limits reads them: path -> lines."""
    try:
        names = sorted(name for name in os.listdir(FOLDER) if name.endswith(".conf") and name[0] != ".")
    except OSError:
        names = []
    found: Files = {}
    for path in [CONF, *(os.path.join(FOLDER, name) for name in names)]:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as stream:
                found[path] = parse(stream.read(), path)
        except OSError:  # pam_limits goes on without limits.conf, too
            continue
    return found


def with_file(files: Files, path: str, text: str) -> Files:
    """The files as they are once path has text; without path where text is empty."""
    others = {name: lines for name, lines in files.items() if name != path}
    if text:
        others[path] = parse(text, path)
    names = sorted(others, key=lambda name: (name != CONF, os.path.basename(name)))
    return {name: others[name] for name in names}


class Subject:
    """Whose sessions a domain is about: a user with his groups, else all that it covers and that no other line names.

    uid is None where there is no such user.
    """

    def __init__(self, domain: str) -> None:
        self.domain, self.debian = domain, os.path.exists(DEBIAN)
        self.uid: int | None = None
        self._gid = 0
        self._gids: list[int] | None = None
        self._limits: Limits | None = None
        if domain[0] not in "@%*" and ":" not in domain:
            import pwd

            try:
                account = pwd.getpwnam(domain)
                self.uid, self._gid = account.pw_uid, account.pw_gid
            except KeyError:  # it may be made later
                pass

    def strength(self, domain: str) -> int:
        """How strongly lines of domain concern it: 0 is the strongest, 9 not at all."""
        kind = domain[0]
        if domain == self.domain:
            return {"@": 1, "%": 3 if domain == "%" else 2}.get(kind, 4 if domain == "*" else 0)
        if self.uid == 0 and self.debian and (kind in "@%" or domain == "*"):
            return _NOT_AT_ALL
        if domain == "*":
            return 4
        if self.uid is None or kind == "%":
            return _NOT_AT_ALL
        if kind == "@":
            return 1 if self._in_group(domain[1:]) else _NOT_AT_ALL
        return 0 if ":" in domain and _within(domain, [self.uid]) else _NOT_AT_ALL

    def _in_group(self, name: str) -> bool:
        if self._gids is None:
            self._gids = os.getgrouplist(self.domain, self._gid)
        if ":" in name:  # one gid is looked for among all groups, a range only holds the first
            return _within(name, self._gids if name[0] == ":" else [self._gid])
        import grp

        try:
            return grp.getgrnam(name).gr_gid in self._gids
        except KeyError:
            return False

    def inherits(self, item: str, kind: str) -> int | None:
        """What its sessions have that no line concerns; None where that cannot be told."""
        if item not in ITEMS:
            return INFINITY if item in SPECIAL[:2] else 0
        if self._limits is None:
            try:
                self._limits = limits_of(1 if self.debian else _ancestor())
            except OSError:
                self._limits = {}
        if item not in self._limits:
            return None
        value = self._limits[item][0 if kind == "soft" else 1]
        if self.debian and (item, kind) == ("nofile", "soft"):
            value = min(value, _FD_SETSIZE)
        return 20 - value if item == "nice" else value if value == INFINITY else value // ITEMS[item][2]


def _within(text: str, ids: list[int]) -> bool:
    low, _colon, high = text.partition(":")
    try:
        first, last = int(low or high), int(high or LARGEST)
    except ValueError:
        return False
    return any(first <= each <= last for each in ids)


def in_effect(files: Files, subject: Subject, item: str, kind: str) -> Found:
    """What pam_limits would give subject: (value in units of limits.conf, where).

    where is file:line, `inherited` where no line says anything, or `off: file:line` where one switches limits off.
    """
    if item in SPECIAL:
        return _last(files, subject, item, "both")
    found = _last(files, subject, item, kind)
    if kind == "soft":
        hard = _last(files, subject, item, "hard")
        if None not in (found[0], hard[0]) and permits(item, found[0] or 0) > permits(item, hard[0] or 0):
            return hard
    return found


def _last(files: Files, subject: Subject, item: str, kind: str) -> Found:
    best = _NOT_AT_ALL
    found: Found | None = None
    for line in (line for lines in files.values() for line in lines if line[2] in (item, "")):
        strength = subject.strength(line[0])
        if not line[2] and strength < 2:
            return None, "%s: %s" % (OFF, line[4])
        value = _value(line) if line[2] and (kind in ("both", line[1]) or line[1] == "-") else None
        if strength < _NOT_AT_ALL and value is not None and (strength <= best or item in ("priority", "nonewprivs")):
            best, found = strength, (value, line[4])
    return found or (subject.inherits(item, kind), INHERITED)


def _value(line: Line) -> int | None:
    try:
        return INFINITY if line[3] in UNLIMITED and line[2] not in BOUNDS else int(line[3])
    except ValueError:
        return None


def _ancestor() -> int:
    """The process below PID 1 that this session comes from: over ssh, the server that starts all others."""
    here = os.getpid()
    while True:
        with open("/proc/%d/stat" % here) as stream:
            parent = int(stream.read().rpartition(")")[2].split()[1])
        if parent <= 1:
            return here
        here = parent
