# SPDX-License-Identifier: BSD-2-Clause
"""Globs as logrotate expands them (glob(3)): which names they match, and how they say "all but".

logrotate knows no exclusion, and to older versions two entries for one log are an error. So `*.log` without
`tmp_*.log` becomes the globs that match every other name: `[!t]*.log`, `t[!m]*.log`, ... and the names `t.log`,
`tm.log`, ... themselves.
"""

from __future__ import annotations

import fnmatch

from .errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import FrozenSet, Iterable, Iterator, Optional, Tuple

    Token = Optional[Tuple[FrozenSet[str], bool]]

_WILD = frozenset("*?[")
# What becomes of a name when it is rotated, by number or by date, and compressed afterwards.
_ENDINGS = (
    ".1",
    ".1.gz",
    ".2.xz",
    ".2.bz2",
    ".2.zst",
    "-20260101",
    "-20260101.gz",
    "-20260101.zst",
    "-20260101-1767225600.gz",
)


def is_glob(text: str) -> bool:
    """Whether it has a wildcard."""
    return not _WILD.isdisjoint(text)


def matches(pattern: str, path: str) -> bool:
    """Whether glob(3) would find path by pattern: part by part, and a leading dot only where it is said."""
    parts, names = pattern.split("/"), path.split("/")
    return len(parts) == len(names) and all(map(part_matches, parts, names))


def part_matches(pattern: str, name: str) -> bool:
    """The same for one part of a path."""
    hidden = name.startswith(".") and not pattern.startswith(".")
    return not hidden and fnmatch.fnmatchcase(name, pattern)


def overlap(one: str, other: str) -> bool:
    """Whether there is a path that both patterns match."""
    parts, others = one.split("/"), other.split("/")
    return len(parts) == len(others) and all(map(part_overlaps, parts, others))


def part_overlaps(one: str, other: str) -> bool:
    """The same for one part of each."""
    if (one[:1] == ".") != (other[:1] == ".") and (one[:1] in _WILD or other[:1] in _WILD):
        return False  # a leading dot is matched by itself only
    return _meet(_tokens(one), _tokens(other), {})


def _tokens(part: str) -> list[Token]:
    """A part as stars (None) and sets of letters, (letters, whether it is all but these)."""
    found: list[Token] = []
    while part:
        letter, part = part[0], part[1:]
        if letter == "*":
            found.append(None)
        elif letter == "?":
            found.append((frozenset(), True))
        elif letter == "[" and part and "]" in part[2 if part[0] in "!^" else 1 :]:
            negated = part[0] in "!^"
            end = part.index("]", 2 if negated else 1)
            found.append((_class(part[1:end] if negated else part[:end]), negated))
            part = part[end + 1 :]
        else:
            found.append((frozenset(letter), False))
    return found


def _class(text: str) -> frozenset[str]:
    letters: set[str] = set()
    while text:
        if len(text) > 2 and text[1] == "-":
            letters.update(map(chr, range(ord(text[0]), ord(text[2]) + 1)))
            text = text[3:]
        else:
            letters.add(text[0])
            text = text[1:]
    return frozenset(letters)


def _meet(one: list[Token], other: list[Token], known: dict[tuple[int, int], bool]) -> bool:
    """Whether there is a name that both lists of tokens match; known is by how many are left of each."""
    key = (len(one), len(other))
    if key not in known:
        known[key] = False  # while it is looked at
        known[key] = _meet_here(one, other, known)
    return known[key]


def _meet_here(one: list[Token], other: list[Token], known: dict[tuple[int, int], bool]) -> bool:
    if not one and not other:
        return True
    if one and one[0] is None:
        return _meet(one[1:], other, known) or bool(other and _meet(one, other[1:], known))
    if other and other[0] is None:
        return _meet(one, other[1:], known) or bool(one and _meet(one[1:], other, known))
    return bool(one and other and _share(one[0], other[0]) and _meet(one[1:], other[1:], known))


def _share(one: Token, other: Token) -> bool:
    """Whether two sets of letters have one in common."""
    (letters, negated), (others, all_but) = one or (frozenset(), True), other or (frozenset(), True)
    if negated and all_but:
        return True
    if negated or all_but:
        return bool(others - letters if negated else letters - others)
    return bool(letters & others)


def takes_rotated(pattern: str, extension: str) -> str | None:
    """What a rotated log is called that the pattern matches again; None where there is none.

    Args:
        pattern: A glob of logs.
        extension: The value of the directive `extension` or `addextension` in force, which rotated names end with;
            empty where there is none.
    """
    stem = pattern[: -len(extension)] if extension and pattern.endswith(extension) else pattern
    rotated = [stem + ending + extension for ending in _ENDINGS]
    return next((name for name in rotated if overlap(pattern, name)), None)


def without(pattern: str, excluded: Iterable[str]) -> list[str]:
    """Globs that match what pattern matches, but no name that one of excluded matches.

    Args:
        pattern: A path whose last part is `*` and an ending, such as /var/log/batch/*.log; or one without wildcards.
        excluded: Names such as `disk_usage_*.log` (a beginning, `*` and the same ending), or whole names. Those that
            the pattern does not match anyway are of no concern.

    Raises:
        BadInput: It cannot be said so.
    """
    folder, _slash, last = pattern.rpartition("/")
    asked = list(excluded)
    if not is_glob(last):
        return [] if any(part_matches(each, last) for each in asked) else [pattern]
    concerned = [each for each in asked if part_overlaps(last, each)]
    if not concerned:
        return [pattern]
    ending = last[1:]
    if last[:1] != "*" or is_glob(ending):
        raise BadInput(
            "nothing can be excluded from such a pattern", pattern, "Write /folder/*.log, or name the logs one by one."
        )
    begins, whole = _split(concerned, ending, pattern)
    return ["%s/%s" % (folder, name) for name in _others("", begins, whole, ending)]


def _split(excluded: list[str], ending: str, pattern: str) -> tuple[set[str], set[str]]:
    """What excluded names begin with, and those that are whole names, both without the ending."""
    begins, whole = set(), set()
    for each in excluded:
        stem = each[: len(each) - len(ending)] if each.endswith(ending) else ""
        if stem.endswith("*") and len(stem) > 1 and not is_glob(stem[:-1]):
            begins.add(stem[:-1])
        elif stem and not is_glob(stem):
            whole.add(stem)
        else:
            raise BadInput(
                "cannot be excluded from %s" % pattern, each, "Write a beginning, * and the ending: debug-*%s" % ending
            )
    return begins, whole


def _others(begin: str, begins: set[str], whole: set[str], ending: str) -> Iterator[str]:
    """Globs of all names that begin so and are not excluded."""
    if any(begin.startswith(each) for each in begins):
        return
    longer = sorted({each[len(begin)] for each in begins | whole if each.startswith(begin) and each != begin})
    if not longer and begin not in whole:
        yield "%s*%s" % (begin, ending)
        return
    if begin and begin not in whole:
        yield begin + ending
    yield "%s%s*%s" % (begin, _none_of(longer), ending) if longer else "%s?*%s" % (begin, ending)
    for letter in longer:
        yield from _others(begin + letter, begins, whole, ending)


def _none_of(letters: list[str]) -> str:
    """A class of all but these; `]` stands first in it and `-` last, or they would mean something else."""
    plain = "".join(letter for letter in letters if letter not in "]-")
    return "[!%s%s%s]" % ("]" if "]" in letters else "", plain, "-" if "-" in letters else "")
