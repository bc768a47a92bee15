# SPDX-License-Identifier: BSD-2-Clause
"""Which lines of a block of bytes a text or a regular expression is in, without looking at each line. Pure.

A block is bytes of whole lines, each ended by a newline. Most lines of a log match nothing: so texts that a line must
hold to match are searched in the whole block, and the expression is only tried on the lines that hold one.
"""

from __future__ import annotations

import re

from .errors import BadInput

try:  # the parser of expressions got another name in Python 3.11
    from re import _parser as sre_parse  # type: ignore[attr-defined]
except ImportError:  # pragma: no cover
    import sre_parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

_META = frozenset("\\^$.[]{}()*+?|")
_DENSE = 12  # one line in so many is a good part of them
_MOST = 16  # texts of one expression that are searched; with more, each line is tried
# re.IGNORECASE takes these for the same as a letter beyond ASCII (dotless i, Kelvin sign, long s)
_ODD = frozenset("iksIKS")


class Block:
    """Bytes of whole lines, and what several jobs want to know of them, found once.

    `lower` has ASCII letters in lower case; `count` is the number of lines.
    """

    __slots__ = ("_count", "_found", "_lower", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._lower: bytes | None = None
        self._count: int | None = None
        self._found: dict[tuple[bytes, bool], list[int]] = {}

    @property
    def lower(self) -> bytes:
        """The same with ASCII letters in lower case."""
        if self._lower is None:
            self._lower = self.data.lower()
        return self._lower

    @property
    def count(self) -> int:
        """How many lines it has."""
        if self._count is None:
            self._count = self.data.count(b"\n")
        return self._count

    def line(self, position: int) -> bytes:
        """The line that has a byte at position, without its newline."""
        return self.data[self.data.rfind(b"\n", 0, position) + 1 : self.data.find(b"\n", position)]

    def having(self, text: bytes, folded: bool) -> list[int]:
        """A position in each line that has a text; one that holds another is searched only where that one is."""
        found = self._found.get((text, folded))
        if found is None:
            data, parent = self.lower if folded else self.data, self._parent(text, folded)
            found = positions(data, text) if parent is None else _among(data, text, parent)
            self._found[text, folded] = found
        return found

    def _parent(self, text: bytes, folded: bool) -> list[int] | None:
        for (other, other_folded), found in self._found.items():
            if other_folded >= folded and other in (text.lower() if other_folded else text):
                return found
        return None

    def having_any(self, texts: list[bytes], folded: bool) -> list[int]:
        """A position in each line that has one of the texts, in order."""
        if len(texts) == 1:
            return self.having(texts[0], folded)
        find, found, end = self.data.find, [], -1
        for at in sorted(at for text in texts for at in self.having(text, folded)):
            if at > end:
                found.append(at)
                end = find(b"\n", at)
        return found


class Matcher:
    """Finds lines.

    Args:
        texts: A matching line has one of these; None means that each line is tried.
        folded: Whether that is without regard to the case of ASCII letters; texts are then in lower case.
        regex: What must also be found in the line; None where having a text is all.
        at_once: An expression on bytes that is found once in each matching line of a block: faster where many match.
    """

    def __init__(self, texts: list[bytes] | None, folded: bool, regex: Any = None, at_once: Any = None) -> None:
        self.texts, self.folded, self.regex, self._at_once = texts, folded, regex, at_once
        self._many = False  # whether a good part of the last block's lines had a text
        # Those that others may hold come first, so that the others are searched only where they are.
        self.order = (not folded, min(map(len, texts)) if texts else 0)

    def count(self, block: Block, most: int) -> tuple[int, list[bytes]]:
        """How many lines match, and the last ones of them."""
        if self._at_once and self._many:
            found = self._at_once.findall(block.data)
            self._many = len(found) * _DENSE > block.count
            return len(found), _lines_of(block.data, found[-most:])
        places = self.found(block)
        return len(places), [block.line(at) for at in places[-most:]]

    def found(self, block: Block) -> list[int]:
        """A position in each line that matches, in order."""
        if self.texts is None:
            return [start for start, line in _each(block) if self.regex.search(_text(line))]
        found = block.having_any(self.texts, self.folded)
        self._many = len(found) * _DENSE > block.count
        if self.regex is None:
            return found
        search = self.regex.search
        return [at for at in found if search(_text(block.line(at)))]

    def groups(self, block: Block) -> list[str]:
        """What the expression's group holds in each line that matches; lines where it took no part are left out."""
        if self.texts is None:
            candidates = block.data.split(b"\n")[:-1]
        else:
            candidates = [block.line(at) for at in block.having_any(self.texts, self.folded)]
        found = (self.regex.search(_text(line)) for line in candidates)
        return [one.group(1) for one in found if one and one.group(1) is not None]


def positions(data: bytes, text: bytes) -> list[int]:
    """Where a text first is, in each line that has it."""
    find, found = data.find, []
    at = find(text)
    while at >= 0:
        found.append(at)
        at = find(text, find(b"\n", at))
    return found


def _among(data: bytes, text: bytes, places: list[int]) -> list[int]:
    """The same, where only the lines at some places can have it."""
    found = (data.find(text, data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)) for at in places)
    return [at for at in found if at >= 0]


def containing(text: str, ignore_case: bool, where: str) -> Matcher:
    """Lines that hold a text; ignore_case is about ASCII letters.

    Raises:
        BadInput: It is empty, has a line break, or cannot be written in UTF-8.
    """
    data = _encoded(text, where)
    if not data or b"\n" in data:
        raise BadInput("is empty or has a line break", where, "Give a text that a line can hold.")
    return Matcher(
        [data.lower() if ignore_case else data], ignore_case, None, None if ignore_case else _at_once([data])
    )


def matching(pattern: str, ignore_case: bool, where: str, group: bool = False) -> Matcher:
    """Lines in which a regular expression is found; group: it must have one group.

    Raises:
        BadInput: It does not compile, or has another number of groups.
    """
    try:
        regex = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadInput("%r is not a regular expression: %s" % (pattern, error), where, "Correct it.") from None
    if group:
        if regex.groups != 1:
            raise BadInput("%r has %d groups" % (pattern, regex.groups), where, "Put what is wanted into the only ( ).")
        return Matcher(*_required(pattern, regex), regex)
    if not ignore_case:
        alternatives, pieces = pattern.split("|"), pattern.split(".*")
        if all(_plain(one) for one in alternatives) and len(alternatives) <= _MOST:
            encoded = [_encoded(one, where) for one in alternatives]
            return Matcher(encoded, False, None, _at_once(encoded) if len(encoded) == 1 else None)
        if all(_plain(one) for one in pieces):
            encoded = [_encoded(one, where) for one in pieces]
            return Matcher([max(encoded, key=len)], False, regex, _at_once(encoded))
    return Matcher(*_required(pattern, regex), regex)


def _at_once(pieces: list[bytes]) -> Any:
    """Finds the pieces in this order, once in each line that has them: it goes on to the line's end."""
    return re.compile(b".*".join(map(re.escape, pieces)) + b".*")


def _plain(text: str) -> bool:
    return bool(text) and "\n" not in text and not _META.intersection(text)


def _encoded(text: str, where: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadInput("%r is no text" % text, where, "Write it in UTF-8.") from None


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _lines_of(data: bytes, parts: list[bytes]) -> list[bytes]:
    """The lines that the last parts of a block stand in, searched backwards: a line that holds such a part matches."""
    lines, end = [], len(data)
    for part in reversed(parts):
        at = data.rfind(part, 0, end)
        end = data.rfind(b"\n", 0, at) + 1
        lines.append(data[end : data.find(b"\n", at)])
    return lines[::-1]


def _each(block: Block) -> Iterator[tuple[int, bytes]]:
    start = 0
    for line in block.data.split(b"\n")[:-1]:
        yield start, line
        start += len(line) + 1


def _required(pattern: str, regex: Any) -> tuple[list[bytes] | None, bool]:
    """Texts of which each matching line has one, and whether they are folded; (None, False) where none is known."""
    folded = bool(regex.flags & re.IGNORECASE)
    texts = _needed(sre_parse.parse(pattern, regex.flags), folded)
    if texts is None:
        return None, False
    try:
        encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
    except UnicodeEncodeError:
        return None, False
    return [text.lower() if folded else text for text in encoded], folded


def _needed(tree: Any, folded: bool) -> list[str] | None:
    """The best of what a parsed expression needs: the longest, where alternatives count as their shortest."""
    candidates: list[list[str]] = []
    run = ""
    for op, value in tree:
        char = chr(value) if str(op) == "LITERAL" else ""
        if char and char != "\n" and not (folded and (char in _ODD or ord(char) > 127)):
            run += char
            continue
        candidates.append([run])
        run = ""
        inner = _within(str(op), value, folded)
        if inner:
            candidates.append(inner)
    candidates.append([run])
    usable = [one for one in candidates if all(one) and len(one) <= _MOST]
    return max(usable, key=lambda one: (min(len(text) for text in one), -len(one)), default=None)


def _within(op: str, value: Any, folded: bool) -> list[str] | None:
    if op == "SUBPATTERN":
        _group, added, removed, inner = value
        return None if added or removed else _needed(inner, folded)
    if op in ("MAX_REPEAT", "MIN_REPEAT") and value[0] >= 1:
        return _needed(value[2], folded)
    if op == "BRANCH":
        found: list[str] = []
        for branch in value[1]:
            texts = _needed(branch, folded)
            if texts is None:
                return None
            found += texts
        return found
    return None
