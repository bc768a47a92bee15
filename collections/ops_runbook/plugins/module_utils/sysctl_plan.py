# SPDX-License-Identifier: BSD-2-Clause
"""What a profile of kernel parameters asks for, and what becomes of each key; pure, nothing here looks or writes.

A key has one spelling here: dots between its parts, a slash for a dot within a part, as in sysctl.d(5).
"""

from __future__ import annotations

from .errors import BadInput
from .sysctl_keys import ALIASES, EXCLUSIVE, LATER, RESETTING, UNLIMITED_BY_ZERO, WAYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable

    Entry = Dict[str, str]

PROBLEMS = ("refused_by_kernel", "unknown_key", "not_namespaced", "overridden")
_SWAP = str.maketrans("./", "/.")
_GLOB = frozenset("*?[]")
_NO_KEY = frozenset("=\\\"'{} ")
_DIGITS = {8: frozenset("01234567"), 10: frozenset("0123456789"), 16: frozenset("0123456789abcdefABCDEF")}


class Key:
    """One key on its way.

    Attributes:
        name: Its one spelling.
        asked: The value asked for; None where the profile does not name the key any more, and it goes back.
        optional: A problem with it is told, and fails nothing.
        live: The kernel's value before the call; None where it cannot be read.
        entry: What earlier calls kept about it: {before, set[, start]}, or None.
        original: What it was before this library set it.
        start: What undo puts back: live, unless an interrupted call had already set it.
        target: What is to be live.
        kept: Whether it belongs into the drop-in.
        follows: It falls to 0 because its partner is set (EXCLUSIVE): nothing writes it, but it has to come back.
        status, note: See the documentation of sysctl_profile.
    """

    __slots__ = (
        "asked",
        "entry",
        "follows",
        "kept",
        "live",
        "name",
        "note",
        "optional",
        "original",
        "start",
        "status",
        "target",
    )

    def __init__(self, name: str, asked: str | None, optional: bool) -> None:
        self.name, self.asked, self.optional = name, asked, optional
        self.entry: Entry | None = None
        self.live: str | None = None
        self.original: str | None = None
        self.start: str | None = None
        self.target: str | None = None
        self.kept, self.follows, self.status, self.note = False, False, "left", ""

    @property
    def ours(self) -> bool:
        """Whether an earlier call set the live value; `start` was ours when a call was interrupted."""
        known = (self.entry["set"], self.entry.get("start")) if self.entry else ()
        return self.live is not None and any(value is not None and same(self.live, value) for value in known)

    @property
    def differs(self) -> bool:
        """Whether the kernel's value is to be changed."""
        return self.live is not None and self.target is not None and not same(self.live, self.target)

    def leave(self, status: str, note: str) -> None:
        """It stays as it is, and does not get into the drop-in."""
        self.status, self.note, self.target, self.kept = status, note, self.live, False


# ---- names and values


def key_of(text: str) -> str:
    """The one spelling of a key; the first separator decides which is which, as in sysctl.d(5)."""
    text = text.strip()
    dot, slash = text.find("."), text.find("/")
    return text.translate(_SWAP) if slash >= 0 and (slash < dot or dot < 0) else text


def path_of(key: str) -> str:
    """The path below /proc/sys of a key in its one spelling."""
    return key.translate(_SWAP)


def is_glob(text: str) -> bool:
    """Whether it may stand for many keys."""
    return not _GLOB.isdisjoint(text)


def parse_key(text: str) -> str:
    """A key of the caller's in its one spelling.

    Raises:
        BadInput: It would leave /proc/sys, names many keys, or cannot be written into a file of sysctl.d.
    """
    key = key_of(text)
    if is_glob(key):
        raise BadInput("is a pattern, and a profile names each key", text, "Write the keys out.")
    odd = not key.isprintable() or not _NO_KEY.isdisjoint(key) or key[:1] in ("#", ";", "-")
    if odd or not all(part.strip(".") for part in path_of(key).split("/")):
        raise BadInput("%r cannot be the name of a kernel parameter" % text, "", "Write it as sysctl -a does.")
    return key


def parse_value(key: str, value: Any) -> str:
    """A value as text, one blank between its components.

    Raises:
        BadInput: It is no number, text or list of these, or says nothing.
    """
    if isinstance(value, (list, tuple)) and value:
        return " ".join(parse_value(key, part) for part in value)
    if isinstance(value, bool):
        raise BadInput("is %s, a boolean, where a number or a text is needed" % value, key, "Write 1 or 0.")
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        found = type(value).__name__
        raise BadInput("is of type %s, where a number or a text is needed" % found, key, "Write it in quotes.")
    text = value.strip().replace("\t", " ")
    if not text or not text.isprintable():
        raise BadInput("has no value that fits into one line", key, "Write it as sysctl -a does.")
    return " ".join(text.split())


def parse_settings(settings: dict[str, Any], optional: Iterable[str]) -> list[Key]:
    """The keys of a profile, in the order in which they are written.

    Raises:
        BadInput: A key or value makes no sense, or two of them contradict each other.
    """
    patterns = [key_of(one) for one in optional]
    found: dict[str, Key] = {}
    for given, value in settings.items():
        text = str(given).strip()
        name = parse_key(text[1:] if text[:1] == "-" else text)
        key = Key(name, parse_value(name, value), text[:1] == "-" or matches(name, patterns))
        other = found.setdefault(name, key)
        if not same(str(other.asked), str(key.asked)):
            raise BadInput(
                "is given twice, as %s and as %s" % (other.asked, key.asked), name, "The profile contradicts itself."
            )
        other.optional = other.optional or key.optional
    _demand_consistent(found)
    return sorted(found.values(), key=lambda key: rank(key.name))


def _demand_consistent(found: dict[str, Key]) -> None:
    for pairs, agree, why in ((ALIASES, True, "are one value"), (EXCLUSIVE, False, "set each other to 0")):
        for one, other in pairs:
            if one not in found or other not in found:
                continue
            values = str(found[one].asked), str(found[other].asked)
            if not (same(*values) if agree else "0" in values):
                what = "%s and %s %s, so they cannot be %s and %s" % (one, other, why, *values)
                raise BadInput(what, "", "Keep one of them: the profile contradicts itself.")


def rank(name: str) -> int:
    """Keys that change others come first, or they would undo what was set just before; what others limit comes last."""
    if ".all." in name or ".default." in name:
        return 0 if name in RESETTING else 1
    return 0 if name in RESETTING else 3 if name in LATER else 2


def matches(name: str, patterns: list[str]) -> bool:
    """Whether a key is named by one of the globs."""
    if not patterns:
        return False
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for pattern in patterns)


def number(text: str) -> int | None:
    """A component as the kernel reads it: decimal, 0x hexadecimal or 0 octal; None where it is no number."""
    digits = text[1:] if text[:1] == "-" else text
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[:1] == "0" and len(digits) > 1 else 10
    digits = digits[2:] if base == 16 else digits
    if not digits or not _DIGITS[base].issuperset(digits):
        return None
    return int(digits, base) * (-1 if text[0] == "-" else 1)


def same(live: str, wanted: str) -> bool:
    """Whether the kernel shows what was written: `0x10` is shown as 16, a mask such as 00ff is no number."""
    if live == wanted:
        return True
    shown, parts = live.split(), wanted.split()
    return len(shown) == len(parts) and all(
        one == other or (_plain(one) and number(one) == number(other))
        for one, other in zip(shown, parts)  # noqa: B905 - as in _as_shown
    )


# ---- which value wins


def ways_of(name: str) -> tuple[tuple[str, ...], str]:
    """Which way each component is better, and the page that says so; ((), "") for a key that nothing is known of."""
    parts = name.split(".")
    for page, known in WAYS.items():
        if name in known:
            return known[name], page
        for pattern, ways in known.items():
            if "*" in pattern:
                wanted = pattern.split(".")
                if len(wanted) == len(parts) and all(map(_fits, wanted, parts)):
                    return ways, page
    return (), ""


def _fits(pattern: str, part: str) -> bool:
    return pattern in ("*", part)


def decide(key: Key, lowering: bool) -> None:
    """Fill target, kept, status and note of a key whose live value and original are known.

    What this library set earlier is no floor: then the original is. A component that is better there stays.

    Raises:
        BadInput: The value has another shape than the kernel's.
    """
    asked, floor = _as_shown(str(key.asked), str(key.live)), str(key.original)
    key.target, key.kept = asked, True
    ways, page = ways_of(key.name)
    if ways and len(floor.split()) == len(ways):
        merged = _merged(key.name, asked, floor, ways)
        if not lowering and not same(merged, asked):
            key.kept, key.target = not same(merged, floor), merged
            key.note = "%s: better than asked, see %s; allow_lowering takes what is asked" % (
                _better(asked, merged),
                page,
            )
    key.status = "applied" if key.differs else "already"
    if not key.kept:
        key.status = "better_kept"


def followers(keys: list[Key]) -> list[tuple[Key, Key]]:
    """The partners of keys that are not named themselves: [(partner, the key that is set)]."""
    named, found = {key.name: key for key in keys}, []
    for pair in EXCLUSIVE:
        for name, other in (pair, pair[::-1]):
            if other in named and name not in named:
                key = Key(name, "0", True)
                key.follows = True
                found.append((key, named[other]))
    return found


def follow(key: Key, leader: Key) -> bool:
    """Fill a partner whose live value and original are known; whether it is worth remembering."""
    falls = leader.differs and leader.target != "0" and key.live != "0"
    key.target, key.kept = ("0" if falls else key.live), True
    key.status, key.note = ("applied" if falls else "already"), "%s and this one set each other to 0" % leader.name
    return falls or key.entry is not None


def _as_shown(asked: str, live: str) -> str:
    """What the kernel will show for asked: 16 for 0x10, where it shows a number now."""
    words, shown = asked.split(), live.split()
    if len(words) != len(shown):
        return asked
    pairs = zip(words, shown)  # noqa: B905 - zip has no strict in Python 3.8, and the lengths are equal
    return " ".join(str(number(word)) if number(word) is not None and _plain(one) else word for word, one in pairs)


def _plain(text: str) -> bool:
    return text == str(number(text))


def _merged(name: str, asked: str, floor: str, ways: tuple[str, ...]) -> str:
    wanted, present = asked.split(), floor.split()
    if len(wanted) != len(ways) or any(number(one) is None for one in wanted):
        hint = "Here it is %s." % floor
        raise BadInput("%r is not %d whole number(s)" % (asked, len(ways)), name, hint)
    unlimited = name in UNLIMITED_BY_ZERO
    triples = zip(wanted, present, ways)  # noqa: B905 - as in _as_shown
    return " ".join(_best(one, other, way, unlimited) for one, other, way in triples)


def _best(wanted: str, present: str, way: str, unlimited: bool) -> str:
    one, other = (float("inf") if unlimited and number(text) == 0 else number(text) for text in (wanted, present))
    if one is None or other is None or way == "choice":
        return wanted
    return present if (other > one if way == "higher" else other < one) else wanted


def _better(asked: str, merged: str) -> str:
    """The components that stay although others were asked for."""
    pairs = zip(asked.split(), merged.split())  # noqa: B905 - as in _as_shown
    return ", ".join("%s is kept (asked: %s)" % (stays, wanted) for wanted, stays in pairs if stays != wanted)


def render(profile: str, state: str, keys: list[Key]) -> bytes | None:
    """The drop-in; None where the profile has nothing to say at boot."""
    lines = [
        "%s%s = %s" % ("-" if key.optional else "", key.name, key.target)
        for key in keys
        if key.kept and not key.follows
    ]
    head = "# Kernel parameters of the profile %s. ops.runbook.sysctl_profile writes this file: a change of it is lost."
    tail = "# What was there before: %s" % state
    return "\n".join([head % profile, tail, *lines, ""]).encode("utf-8") if lines else None
