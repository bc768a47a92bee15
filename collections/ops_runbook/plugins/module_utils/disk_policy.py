# SPDX-License-Identifier: BSD-2-Clause
"""What may go from a full filesystem, in which order, and how much room is wanted. Pure; refuses what could mean more.

Guides S1 114, 304-305, S2 334-336, S3 193, S4 552, S5 526-527 delete by find(1) whatever matches a name. Here a pattern
is absolute, lies below an allowed root, names part of a file's name, and has an age.
"""

from __future__ import annotations

from . import disk_protected as data
from .amounts import age, size
from .collectors._when import epoch
from .errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

KINDS = ("package_caches", "rotated_logs", "journal", "temporary", "dumps")
"""In the order in which they go: from what is fetched again to what tells of a crash."""
SIGNALS = ("HUP", "USR1", "USR2")
YOUNGEST = 3600  # seconds; what is younger may still be in the making
_WILD = frozenset("*?[")
_LITERAL = 3  # letters or digits that the last part of a pattern says in so many words
_KEYS = {
    "rotated_logs": ("paths", "older_than"),
    "temporary": ("paths", "older_than", "recurse"),
    "dumps": ("paths", "older_than"),
    "journal": ("keep", "older_than"),
}


class Rule:
    """Files that may go: below base (a literal folder) by parts (patterns of one name each), from age (seconds) on.

    recurse looks into folders that match, too. pattern is the text, for people.
    """

    __slots__ = ("age", "base", "kind", "parts", "pattern", "recurse")

    def __init__(self, kind: str, pattern: str, seconds: int, recurse: bool = False) -> None:
        parts = pattern.strip("/").split("/")
        literal = next((at for at, part in enumerate(parts[:-1]) if _WILD & set(part)), len(parts) - 1)
        self.kind, self.pattern, self.age, self.recurse = kind, pattern, seconds, recurse
        self.base, self.parts = "/" + "/".join(parts[:literal]), parts[literal:]


class Wanted:
    """How much has to be free: percent and bytes of the room, percent of the inodes; None where it is not asked."""

    __slots__ = ("inodes_percent", "percent", "size")

    def __init__(self, percent: float | None, size: int | None, inodes_percent: float | None) -> None:
        self.percent, self.size, self.inodes_percent = percent, size, inodes_percent

    def missing(self, room: dict[str, int]) -> tuple[int, int]:
        """(bytes, inodes) that are missing in a room of disk_room; 0 where there is enough or no such thing."""
        whole = room["used"] + room["available"]
        wanted = max(_share(whole, self.percent), self.size or 0)
        inodes = _share(room["inodes"], self.inodes_percent)
        return max(0, wanted - room["available"]), max(0, inodes - room["inodes_free"])


class Policy:
    """A policy that was understood, as of `now` (epoch seconds).

    Attributes:
        rules: Rule by rule in the order of KINDS, without the journal.
        journal: (bytes to keep, seconds), or None.
        wanted: How much has to be free.
        cutoff: Epoch seconds; what was written later is evidence.
        protected: Whether a path is protected data.
        reopen: Unit -> signal, or None for a reload.
        roots: Where patterns may lie.

    Raises:
        BadInput: It does not make sense, or could mean more than it says.
    """

    def __init__(self, asked: dict[str, Any], now: float) -> None:
        self.roots = data.ROOTS + tuple(_root(text) for text in asked.get("roots") or [])
        self.protected = _matcher([entry for entry, _why in data.PROTECTED] + _protect(asked.get("protect") or []))
        self.wanted = _wanted(asked)
        self.cutoff = _cutoff(asked.get("evidence_since") or "24h", now)
        self.reopen = dict(_reopen(entry) for entry in asked.get("reopen") or [])
        given = asked.get("policy") or {}
        _known(given, KINDS, "policy")
        self.rules = [rule for kind in KINDS for rule in self._rules(kind, given.get(kind))]
        self.journal = _journal(given.get("journal"))

    def allowed(self, path: str) -> bool:
        """Whether path lies below one of the roots."""
        return any(path.startswith(root + "/") for root in self.roots)

    def _rules(self, kind: str, given: Any) -> list[Rule]:
        if not given or kind == "journal":
            return []
        if kind == "package_caches":
            if given is not True:
                raise BadInput("%r is neither true nor false" % (given,), "policy.package_caches", "Write true.")
            return [Rule(kind, pattern, YOUNGEST) for pattern in data.PACKAGE_CACHES]
        if not isinstance(given, list):
            raise BadInput("is no list", "policy.%s" % kind, "Write a list of {paths: [...], older_than: 30d}.")
        return [rule for at, entry in enumerate(given) for rule in self._entry(kind, entry, at)]

    def _entry(self, kind: str, entry: Any, at: int) -> list[Rule]:
        where = "policy.%s[%d]" % (kind, at)
        _known(entry, _KEYS[kind], where)
        seconds = _expiry(entry.get("older_than"), where + ".older_than")
        paths = entry.get("paths")
        if not isinstance(paths, list) or not paths:
            raise BadInput("names no path", where + ".paths", "Write a list of patterns.")
        recurse = entry.get("recurse") or False
        if not isinstance(recurse, bool):
            raise BadInput("%r is neither true nor false" % (recurse,), where + ".recurse", "Write true or false.")
        return [Rule(kind, self._pattern(text, where + ".paths"), seconds, recurse) for text in paths]

    def _pattern(self, text: Any, where: str) -> str:
        _absolute(text, where)
        parts = text.strip("/").split("/")
        said = _literal(parts[-1])
        if "**" in text or len(said) < _LITERAL:
            hint = "Name part of the file's name, such as /tmp/batch_* (at least %d letters or digits)." % _LITERAL
            raise BadInput("%r could match anything" % text, where, hint)
        base = Rule("", text, 0).base
        if not self.allowed(base + "/x"):
            hint = "Begin it with one of %s, or add to roots." % ", ".join(self.roots)
            raise BadInput("%r is not below an allowed root" % text, where, hint)
        if self.protected(base) or self.protected(text):
            raise BadInput("%r is protected data" % text, where, "Leave it out: it is never deleted.")
        return "/" + "/".join(parts)


def is_rotated(name: str) -> bool:
    """Whether a file is a rotated one by its name: app.log.3, app.log-20260105, app.log.2026-01-05, each with .gz.

    Source: logrotate(8), dateext and compressext. A log that is still written to has no such name.
    """
    for ending in data.COMPRESSED:
        if name.endswith(ending):
            name = name[: -len(ending)]
            break
    stem, _dash, second = name.rpartition("-")
    if len(second) == 10 and second.isdigit() and stem[-9:-8] == "-":  # log_rotation's own: date and second
        name = stem
    stem, _dot, last = name.rpartition(".")
    if stem and last.isdigit() and len(last) <= 4:
        return True
    return any(len(name) > length and name[-length - 1] in "-." and _is_date(name[-length:]) for length in (8, 10))


def _is_date(text: str) -> bool:
    """YYYYMMDD, YYYYMMDDHH or YYYY-MM-DD."""
    digits = text.replace("-", "") if len(text) == 10 and text[4] == text[7] == "-" else text
    if not digits.isdigit() or len(digits) not in (8, 10):
        return False
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    return 1990 <= year < 2100 and 1 <= month <= 12 and 1 <= day <= 31


def _known(given: Any, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(given, dict):
        raise BadInput("is no mapping", where, "It has %s." % ", ".join(keys))
    for key, value in given.items():
        if key not in keys and value is not None:
            raise BadInput("unknown key %r" % (key,), where, "It has %s." % ", ".join(keys))


def _absolute(text: Any, where: str) -> None:
    if not isinstance(text, str) or not text.startswith("/") or text.endswith("/"):
        raise BadInput("%r is not the absolute path of a file" % (text,), where, "Write it in full.")
    if {"", ".", ".."} & set(text[1:].split("/")):
        raise BadInput("%r has empty parts, . or .." % text, where, "Write it in full.")


def _literal(part: str) -> str:
    """The letters and digits of a pattern that stand for themselves."""
    while "[" in part and "]" in part[part.index("[") :]:
        start = part.index("[")
        part = part[:start] + part[part.index("]", start) + 1 :]
    return "".join(one for one in part if one.isalnum())


def _root(text: Any) -> str:
    _absolute(text, "roots")
    if _WILD & set(text) or any(text == one or text.startswith(one + "/") for one in data.NO_ROOTS):
        raise BadInput("%r is the system's" % text, "roots", "Name a folder of your application's own.")
    if text.count("/") < 2 or text in ("/var/lib", "/var/cache", "/var/spool"):
        raise BadInput("%r holds data of many" % text, "roots", "Name the folder below it.")
    return str(text)


def _protect(globs: list[Any]) -> list[str]:
    for text in globs:
        if not isinstance(text, str) or not text.strip("*/"):
            raise BadInput("%r is no pattern" % (text,), "protect", "Write such as /srv/app/keep or *.keep.")
    return [text.rstrip("/") if text[0] in "/*" else "*/" + text for text in globs]


def _matcher(globs: list[str]) -> Callable[[str], bool]:
    """Whether a path is one of globs or lies below it. Whatever the case: an Uploads folder is one of uploads."""
    import re
    from fnmatch import translate

    match = re.compile("|".join(translate(one) + "|" + translate(one + "/*") for one in globs), re.IGNORECASE).match
    return lambda path: match(path) is not None


def _wanted(asked: dict[str, Any]) -> Wanted:
    percents = [_percent(asked.get(key), key) for key in ("free_percent", "free_inodes_percent")]
    given = asked.get("free_bytes")
    wanted = Wanted(percents[0], None if given in (None, "") else size(given, "free_bytes"), percents[1])
    if not (wanted.percent or wanted.size or wanted.inodes_percent):
        raise BadInput("no room is asked for", "free_percent", "Give free_percent, free_bytes or free_inodes_percent.")
    return wanted


def _percent(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 100:
        raise BadInput("%r percent cannot be kept free" % (value,), where, "Give a number from 0 to below 100.")
    return float(value)


def _share(whole: int, percent: float | None) -> int:
    return int(-(-whole * (percent or 0) // 100))


def _expiry(raw: Any, where: str) -> int:
    seconds = age("" if raw is None else raw, where)
    if seconds < YOUNGEST:
        raise BadInput("%s is too young to go" % raw, where, "Give at least 1h.")
    return seconds


def _cutoff(raw: Any, now: float) -> float:
    """Epoch seconds from an age, or from a time in UTC such as 2026-01-05T02:00:00Z."""
    text = str(raw)
    if len(text) < 20 or text[4] != "-" or text[-1] != "Z":
        return now - age(raw, "evidence_since")
    try:
        year, month, day = (int(part) for part in text[:10].split("-"))
        hour, minute, second = text[11:-1].split(":")
        when = epoch((year, month, day), (int(hour), int(minute), float(second)))
    except ValueError:
        raise BadInput("%r is no time" % text, "evidence_since", "Write 24h, or 2026-01-05T02:00:00Z.") from None
    if when > now:
        raise BadInput("%s is still to come" % text, "evidence_since", "Give the beginning of the incident.")
    return when


def _journal(given: Any) -> tuple[int, int] | None:
    if not given:
        return None
    _known(given, _KEYS["journal"], "policy.journal")
    keep = given.get("keep")
    seconds = _expiry(given.get("older_than"), "policy.journal.older_than")
    return size("" if keep is None else keep, "policy.journal.keep"), seconds


def _reopen(entry: Any) -> tuple[str, str | None]:
    _known(entry, ("unit", "signal", "reload"), "reopen")
    unit, signal, reload = entry.get("unit"), entry.get("signal"), entry.get("reload") or False
    if not isinstance(unit, str) or not unit or unit[0] == "-" or set(unit) & set("*?[]/ \n"):
        raise BadInput("%r is not the name of a unit" % (unit,), "reopen", "Write a name such as nginx.service.")
    if bool(signal) == bool(reload):
        raise BadInput("%s has both signal and reload, or neither" % unit, "reopen", "Give one of them.")
    if signal:
        signal = str(signal).upper().replace("SIG", "", 1)
        if signal not in SIGNALS:
            raise BadInput("%s makes nothing reopen its log" % signal, "reopen", "Give %s." % ", ".join(SIGNALS))
    return unit if "." in unit else unit + ".service", signal or None
