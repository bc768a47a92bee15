# SPDX-License-Identifier: BSD-2-Clause
"""logrotate as it is set up on this host: its main file, what that includes, and who covers which logs."""

from __future__ import annotations

import os

from .errors import BadInput, CannotLook, Refused
from .files import os_error
from .rotation_file import parse_document
from .rotation_globs import is_glob, overlap
from .rotation_policy import TABOO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from .host import Host
    from .rotation_file import Document, Stanza

CONFIG = "/etc/logrotate.conf"
FOLDER = "/etc/logrotate.d"
SECONDS = 60.0
_LIMIT = 1048576  # bytes of one file of configuration


class Setup:
    """How logrotate is set up.

    Attributes:
        state: The file in which it notes when it rotated what.
        main: The main file.
        parts: What the main file includes, in order: (path of the include directive, [paths of files]).
        documents: Of all these files by path; of one that cannot be read the BadInput.
    """

    def __init__(self, state: str) -> None:
        self.state = state
        self.parts: list[tuple[str, list[str]]] = []
        self.documents: dict[str, Document | BadInput] = {}

    @property
    def main(self) -> Document:
        """The main file's document."""
        found = self.documents[CONFIG]
        if isinstance(found, BadInput):
            raise found
        return found

    def stanzas(self, path: str) -> list[Stanza]:
        """The stanzas of one file; [] where there is none, or it cannot be read."""
        found = self.documents.get(path)
        return [] if found is None or isinstance(found, BadInput) else found.stanzas

    def option(self, stanza: Stanza, name: str) -> str | None:
        """A directive's value in force for a stanza: its own, else that of the main file."""
        own = stanza.value(name)
        if own is not None:
            return own
        found = [each.value for each in self.main.options if each.name == name]
        return found[-1] if found else None


def look(host: Host) -> Setup:
    """Read all of it.

    Raises:
        Refused: logrotate is not installed, or its main file does not include the folder of drop-ins.
        BadInput: The main file cannot be understood.
        CannotLook: logrotate does not answer.
    """
    try:
        done = host.run(["logrotate", "--version"], SECONDS)
    except CannotLook as error:
        raise Refused("logrotate cannot be run: %s" % error.what, hint="Install the package logrotate.") from None
    setup = Setup(_state_path(done.stdout + done.stderr))
    setup.documents[CONFIG] = _document(CONFIG)
    for option in setup.main.options:
        if option.name == "include":
            paths = _included(option.value)
            setup.parts.append((option.value, paths))
            setup.documents.update((path, _document(path)) for path in paths)
    if FOLDER not in [where.rstrip("/") for where, _paths in setup.parts]:
        raise Refused("it does not include %s" % FOLDER, CONFIG, "Add the line: include %s" % FOLDER)
    return setup


def _state_path(said: str) -> str:
    for line in said.splitlines():
        key, _colon, value = line.partition(":")
        if key.strip() == "Default state file path":
            return value.strip()
    return "/var/lib/logrotate/status"


def _included(where: str) -> list[str]:
    """The files that an include directive reads, in logrotate's order."""
    if not os.path.isdir(where):
        return [where] if os.path.exists(where) else []
    # logrotate reads hidden files, even those whose names end so (github.com/logrotate/logrotate/issues/434).
    names = [name for name in sorted(os.listdir(where)) if name.startswith(".") or not name.endswith(TABOO)]
    return [path for path in (os.path.join(where, name) for name in names) if os.path.isfile(path)]


def _document(path: str) -> Document | BadInput:
    try:
        return parse_document(content(path).decode("utf-8", "surrogateescape"), path)
    except BadInput as error:
        return error


def content(path: str) -> bytes:
    """What a file of configuration has.

    Raises:
        OpsError: It cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return stream.read(_LIMIT)
    except OSError as error:
        raise os_error(error, path) from None


def covered_twice(setup: Setup, own: Stanza | None, patterns: list[str]) -> list[dict[str, Any]]:
    """Stanzas of others that cover logs of the policy, too: to logrotate an error, after which it rotates neither.

    Args:
        setup: From look.
        own: The stanza that is the policy's.
        patterns: The policy's.

    Returns:
        Findings.
    """
    found = []
    for path in setup.documents:
        for stanza in setup.stanzas(path):
            shared = [pair for pair in pairs(patterns, stanza.patterns) if stanza is not own and overlap(*pair)]
            if shared:
                what = "%s there and %s here cover the same logs" % (shared[0][1], shared[0][0])
                hint = "Give this policy that file's name, or take the logs out there: %s" % owner_hint(path)
                found.append(finding("covered_twice", "%s line %d" % (path, stanza.line), what, hint, True))
    return found


def pairs(ours: list[str], theirs: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of patterns that may have logs in common, because their folders are the same or not known."""
    for one in ours:
        for other in theirs:
            folders = (os.path.dirname(one), os.path.dirname(other))
            if folders[0] == folders[1] or is_glob(folders[0]) or is_glob(folders[1]):
                yield one, other


def owner_hint(path: str) -> str:
    """How a person finds the package that a file is from."""
    return "dpkg -S %s || rpm -qf %s" % (path, path)


def finding(kind: str, where: str, what: str, hint: str, blocks: bool) -> dict[str, Any]:
    """What stands in the way: kind, where, what, hint, and whether the policy cannot have its effect because of it."""
    return {"kind": kind, "where": where, "what": what, "hint": hint, "blocks": blocks}
