# SPDX-License-Identifier: BSD-2-Clause
"""A file of logrotate's configuration: read into stanzas and written back, with every line that is not ours as it was.

Source: logrotate.conf(5), and how logrotate 3.21 reads (config.c): a directive ends with its line, patterns may span
lines and be quoted, a script goes on until `endscript`.
"""

from __future__ import annotations

from .errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Optional

    Managed = dict[str, Optional[str]]  # directive -> its arguments; None: it must not be there

SCRIPTS = ("prerotate", "postrotate", "preremove", "firstaction", "lastaction")
_QUOTES = ('"', "'")
_INDENT = "  "


class Directive:
    """A directive within a stanza, or a comment or an empty line (name is then empty).

    Attributes:
        name: Such as `rotate`.
        value: Its arguments; of a script all of its lines up to `endscript`, without indentation.
        text: The lines as they stand in the file.
    """

    def __init__(self, name: str, value: str, text: str) -> None:
        self.name, self.value, self.text = name, value, text


class Stanza:
    """What is said of some logs.

    Attributes:
        patterns: The globs that it covers.
        head: The lines from the first pattern to the opening brace.
        body: Its directives, in order.
        tail: The line with the closing brace.
        line: Number of its first line.
    """

    def __init__(self, patterns: list[str], head: str, line: int) -> None:
        self.patterns, self.head, self.line = patterns, head, line
        self.body: list[Directive] = []
        self.tail = "}\n"

    def value(self, name: str) -> str | None:
        """The arguments of the last directive of that name; None where there is none."""
        found = [each.value for each in self.body if each.name == name]
        return found[-1] if found else None


class Document:
    """A whole file: text (before any stanza, between them and at the end) and stanzas in order.

    Attributes:
        items: Directives outside of stanzas (and comments), and stanzas, as they follow one another.
    """

    def __init__(self) -> None:
        self.items: list[Directive | Stanza] = []

    @property
    def stanzas(self) -> list[Stanza]:
        """The stanzas alone."""
        return [item for item in self.items if isinstance(item, Stanza)]

    @property
    def options(self) -> list[Directive]:
        """The directives outside of stanzas, which hold for all that follows them."""
        return [item for item in self.items if isinstance(item, Directive) and item.name]


def parse_document(text: str, where: str) -> Document:
    """The document that a file's text says.

    Args:
        text: What the file has.
        where: Its path, for messages.

    Raises:
        BadInput: A script has no end, or a quote or a list of patterns; logrotate would refuse it, too.
    """
    return _Reader(text, where).document()


def render_document(document: Document) -> str:
    """The text of a document: parsed and rendered without a change it is what it was."""
    return "".join(item.text if isinstance(item, Directive) else _stanza_text(item) for item in document.items)


def render_patterns(patterns: list[str]) -> str:
    """Patterns as the head of a stanza, one a line."""
    return "\n".join('"%s"' % each if " " in each else each for each in patterns)


def new_stanza(patterns: list[str]) -> Stanza:
    """A stanza without directives."""
    return Stanza(list(patterns), render_patterns(patterns) + " {\n", 0)


def set_patterns(stanza: Stanza, patterns: list[str]) -> None:
    """Let a stanza cover these and no others; its head stays as it was where it covers them already."""
    if stanza.patterns != patterns:
        stanza.patterns, stanza.head = list(patterns), render_patterns(patterns) + " {\n"


def set_directives(stanza: Stanza, managed: Managed) -> None:
    """Let the managed directives be as wanted, each once; lines of all others stay as they are.

    A directive whose last one says what is wanted keeps its line, another is written anew in its place, and what was
    not there comes at the end.
    """
    done: set[str] = set()
    body: list[Directive] = []
    for each in reversed(stanza.body):  # of two the later one holds in logrotate
        if each.name not in managed:
            body.insert(0, each)
            continue
        wanted = managed[each.name]
        if wanted is None or each.name in done:
            continue
        done.add(each.name)
        body.insert(0, each if each.value == wanted else _directive(each.name, wanted))
    body += [_directive(name, value) for name, value in managed.items() if value is not None and name not in done]
    stanza.body = body


def _directive(name: str, value: str) -> Directive:
    if name in SCRIPTS:
        lines = [_INDENT + name, *(_INDENT * 2 + line for line in value.split("\n")), _INDENT + "endscript"]
        return Directive(name, value, "\n".join(lines) + "\n")
    return Directive(name, value, (_INDENT + name + " " + value).rstrip() + "\n")


def _stanza_text(stanza: Stanza) -> str:
    return stanza.head + "".join(each.text for each in stanza.body) + stanza.tail


class _Reader:
    def __init__(self, text: str, where: str) -> None:
        self._lines = text.splitlines(True)
        if self._lines and not self._lines[-1].endswith("\n"):
            self._lines[-1] += "\n"
        self._where, self._next = where, 0

    def document(self) -> Document:
        found = Document()
        while self._next < len(self._lines):
            line = self._lines[self._next]
            if _starts_patterns(line):
                found.items.append(self._stanza())
            else:
                found.items.append(self._read_directive())
        return found

    def _stanza(self) -> Stanza:
        begin, patterns = self._next, ""
        while True:
            line = self._take("a pattern is not followed by {", begin)
            if line.lstrip().startswith("#"):
                continue
            before, brace, after = _split_brace(line)
            patterns += before + " "
            if brace:
                break
        head = "".join(self._lines[begin : self._next])
        stanza = Stanza(list(self._words(patterns, begin)), head, begin + 1)
        if after.strip() and not after.lstrip().startswith("#"):
            # logrotate reads directives behind the brace; on a line of their own they can be told apart
            stanza.head = head[: -len(after)] + "\n"
            self._next -= 1
            self._lines[self._next] = after
        while self._next < len(self._lines) and not self._lines[self._next].lstrip().startswith("}"):
            stanza.body.append(self._read_directive())
        # logrotate takes the end of the file for a closing brace
        stanza.tail = self._take("", begin) if self._next < len(self._lines) else ""
        return stanza

    def _read_directive(self) -> Directive:
        begin = self._next
        text = self._take("", begin)
        plain = text.strip()
        if not plain or plain.startswith("#"):
            return Directive("", "", text)
        name, value = _parted(plain)
        if name not in SCRIPTS:
            return Directive(name, value, text)
        script: list[str] = []
        while True:
            line = self._take("%s has no endscript" % name, begin)
            text += line
            if line.strip() == "endscript":
                return Directive(name, _unindented(script), text)
            script.append(line.rstrip("\n"))

    def _take(self, problem: str, begin: int) -> str:
        if self._next >= len(self._lines):
            raise self._broken(problem, begin)
        self._next += 1
        return self._lines[self._next - 1]

    def _words(self, text: str, begin: int) -> Iterator[str]:
        """Words with quotes and backslashes taken away, as popt does it for logrotate."""
        word, quote, escaped, inside = "", "", False, False
        for letter in text:
            if escaped:
                word, escaped = word + ("" if not quote or letter == quote else "\\") + letter, False
            elif letter == "\\":
                escaped = inside = True
            elif quote:
                quote, word = ("", word) if letter == quote else (quote, word + letter)
            elif letter in _QUOTES:
                quote, inside = letter, True
            elif letter.isspace():
                if inside:
                    yield word
                word, inside = "", False
            else:
                word, inside = word + letter, True
        if quote:
            raise self._broken("a quote is not closed", begin)

    def _broken(self, what: str, begin: int) -> BadInput:
        where = "%s line %d" % (self._where, begin + 1)
        return BadInput(what, where, "Look at it: logrotate -d %s" % self._where)


def _starts_patterns(line: str) -> bool:
    """Whether a line outside of stanzas begins one: a path or a quoted one."""
    return line.lstrip()[:1] in ("/", "~", *_QUOTES)


def _split_brace(line: str) -> tuple[str, str, str]:
    """What stands before the opening brace, the brace (empty where there is none) and what stands behind it."""
    quote, escaped = "", False
    for place, letter in enumerate(line):
        if escaped or letter == "\\":
            escaped = not escaped
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        elif letter == "{":
            return line[:place], "{", line[place + 1 :]
    return line, "", ""


def _parted(plain: str) -> tuple[str, str]:
    """A directive's name and its arguments; between them may stand a blank, an equals sign or both."""
    name = plain.split(None, 1)[0].partition("=")[0]
    value = plain[len(name) :].lstrip()
    return name, value[1:].lstrip() if value.startswith("=") else value


def _unindented(lines: list[str]) -> str:
    full = [line for line in lines if line.strip()]
    least = min((len(line) - len(line.lstrip()) for line in full), default=0)
    return "\n".join(line[least:].rstrip() for line in lines)
