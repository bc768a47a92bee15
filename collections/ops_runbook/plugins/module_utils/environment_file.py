# SPDX-License-Identifier: BSD-2-Clause
"""Files of environment variables as systemd reads them (EnvironmentFile= in systemd.exec(5)).

Ours have every value in double quotes, with a backslash before the four characters that systemd takes as special
there: all versions read that alike. A comment names the secrets, so that a later call masks them, too.
"""

from __future__ import annotations

from .errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterable, Set, Tuple

    Values = Dict[str, str]
    Ours = Tuple[Values, Set[str]]  # the variables, and the names of those that are secret

_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_LETTERS = _FIRST | frozenset("0123456789")
_SPECIAL = '"\\`$'
_BLANK, _NEWLINE = " \t\r\n", "\r\n"
_MARK = "# secret: "
_LONGEST = 131071  # bytes of NAME=value: MAX_ARG_STRLEN less its end; more, and the service cannot be started
# What systemd itself tells a service; with another value, it loses its notifications, its sockets or its watchdog.
_SYSTEMD = frozenset(
    [
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "MAINPID",
        "MANAGERPID",
        "NOTIFY_SOCKET",
        "SYSTEMD_EXEC_PID",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    ]
)


def demand_name(name: str, where: str) -> str:
    """A variable's name.

    Raises:
        BadInput: It is none, or systemd's own.
    """
    if not name or name[0] not in _FIRST or not _LETTERS.issuperset(name) or len(name) > 255:
        raise BadInput("%r is no name of a variable" % name, where, "Use letters, digits and _, no digit first.")
    if name in _SYSTEMD:
        raise BadInput("%s is set by systemd itself" % name, where, "Leave it out.")
    return name


def demand_value(name: str, value: str, where: str) -> str:
    """A value that systemd passes on unchanged; the message does not tell it, for it may be secret.

    Raises:
        BadInput: systemd would drop or refuse it.
    """
    problem = ""
    try:
        if len(("%s=%s" % (name, value)).encode("utf-8")) > _LONGEST:
            problem = "is longer than %d bytes" % _LONGEST
    except UnicodeEncodeError:
        problem = "is not valid Unicode"
    if any((letter < " " and letter not in "\t\n") or "\x7f" <= letter <= "\x9f" for letter in value):
        problem = "has control characters"
    if problem:
        raise BadInput("the value of %s %s" % (name, problem), where, "Tab and newline are possible, NUL is not.")
    return value


def render(values: Values, secrets: Iterable[str]) -> str:
    """The text of a file of ours; empty where there are no variables."""
    if not values:
        return ""
    marked = " ".join(sorted(set(secrets) & set(values)))
    head = "# Written by ops.runbook.service_environment; what is changed here is lost.\n"
    lines = ['%s="%s"\n' % (name, _escaped(values[name])) for name in sorted(values)]
    return head + (_MARK + marked + "\n" if marked else "") + "".join(lines)


def _escaped(value: str) -> str:
    return "".join("\\" + letter if letter in _SPECIAL else letter for letter in value)


def parse_ours(text: str) -> Ours:
    """The variables and the names of secrets in a file of ours."""
    marks = [line[len(_MARK) :].split() for line in text.split("\n")[:3] if line.startswith(_MARK)]
    return parse(text), {name for names in marks for name in names}


def parse(text: str) -> Values:
    """The variables in a file, as systemd reads it; what is no assignment is left out."""
    found: Values = {}
    place = 0
    while place < len(text):
        if text[place] in _BLANK:
            place += 1
        elif text[place] in "#;":
            place = _end_of_line(text, place)
        else:
            end = _end_of_line(text, place)
            sign = text.find("=", place, end)
            if sign < 0:
                place = end
            else:
                name = text[place:sign].rstrip(_BLANK)
                found[name], place = _value(text, sign + 1)
    return found


def _end_of_line(text: str, place: int) -> int:
    while place < len(text) and text[place] not in _NEWLINE:
        place += 1
    return place


def _value(text: str, place: int) -> tuple[str, int]:
    """(the value that begins at place, where it ends): quoted pieces, and at last an unquoted one."""
    done = ""
    while place < len(text) and text[place] not in _NEWLINE:
        letter = text[place]
        if letter in " \t":
            place += 1
        elif letter in "\"'":
            piece, place = _quoted(text, place + 1, letter)
            done += piece
        else:
            piece, place = _plain(text, place)
            return done + piece, place
    return done, place


def _quoted(text: str, place: int, quote: str) -> tuple[str, int]:
    done = ""
    while place < len(text) and text[place] != quote:
        if text[place] == "\\" and quote == '"':
            after = text[place + 1 : place + 2]
            done += after if after in _SPECIAL else "" if after == "\n" else "\\" + after
            place += 2
        else:
            done += text[place]
            place += 1
    return done, place + 1


def _plain(text: str, place: int) -> tuple[str, int]:
    """Unquoted text up to the end of the line; a backslash takes what follows as it is, a newline away."""
    done, kept = "", 0
    while place < len(text) and text[place] not in _NEWLINE:
        if text[place] == "\\":
            done += text[place + 1 : place + 2].replace("\n", "")
            place, kept = place + 2, len(done)
        else:
            done += text[place]
            place += 1
    return done[:kept] + done[kept:].rstrip(" \t"), place
