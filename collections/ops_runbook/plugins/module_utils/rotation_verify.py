# SPDX-License-Identifier: BSD-2-Clause
"""What logrotate itself says of a configuration, before it is put in place.

The whole configuration is copied below /run with the candidate in it, and `logrotate -d`, which changes nothing, reads
that: so duplicates are found between all files, and the file in force is never one that logrotate refuses.
"""

from __future__ import annotations

import os
import stat

from .errors import Refused
from .files import ensure_directory, os_error
from .rotation_globs import matches
from .rotation_look import CONFIG, SECONDS, content, finding, owner_hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host
    from .rotation_look import Setup

SCRATCH = "/run/ops-runbook"
_ERROR = "error: "
_INSECURE = "because parent directory has insecure permissions"


def verify(host: Host, setup: Setup, path: str, data: bytes | None, patterns: list[str]) -> list[dict[str, Any]]:
    """What logrotate finds wrong with the configuration, with data in place of what lies at path (None: nothing).

    Returns:
        Findings: `refused` where it concerns path or a log of these patterns, else `broken_drop_in`.
    """
    copy = Whole(setup, path, data)
    with copy as main:
        done = host.run(["logrotate", "-d", "-s", setup.state, main], SECONDS)
    lines = [line for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    errors = [copy.real(line[len(_ERROR) :]) for line in lines if line.startswith(_ERROR)]
    found = [_parsed(error, setup, path, patterns) for error in errors]
    if done.rc and not found:
        said = lines[-1] if lines else "no reason given"
        found = [finding("broken_drop_in", CONFIG, "logrotate fails: %s" % said, "logrotate -d %s" % CONFIG, False)]
    return [each for each in found if each]


def _parsed(text: str, setup: Setup, path: str, patterns: list[str]) -> dict[str, Any]:
    """An error of logrotate as a finding; {} for one that only follows from another."""
    if text.startswith("found error in "):
        return {}
    words = text.replace('"', " ").split()
    paths = [word.rstrip(",:") for word in words if word.startswith("/")]
    place = paths[0].partition(":") if paths else (CONFIG, "", "")
    named = [each.partition(":")[0] for each in paths]
    ours = path in named or any(matches(pattern, each) for pattern in patterns for each in named)
    line = place[2].partition(":")[0]
    where = "%s line %s" % (place[0], line) if line.isdigit() else place[0]
    what = text.split(paths[0] + " ", 1)[-1] if paths and text.startswith(paths[0]) else text
    if _INSECURE in text:
        return finding("unsafe_directory", os.path.dirname(place[0]), "logrotate refuses to work in it", "", ours)
    if ours:
        return finding("refused", where, what, "logrotate -d %s" % CONFIG, True)
    known = place[0] in setup.documents
    hint = "Its owner has to mend it: %s" % owner_hint(place[0]) if known else "logrotate -d %s" % CONFIG
    return finding("broken_drop_in", where, what, hint, False)


class Scratch:
    """A folder below /run in which logrotate finds its configuration; removed in the end.

    Attributes:
        top: The folder.
        main: The main file in it.
    """

    def __init__(self) -> None:
        self.top = "%s/rotation-%d" % (SCRATCH, os.getpid())
        self.main = self.top + "/logrotate.conf"

    def __enter__(self) -> str:
        """The path of the main file."""
        ensure_directory(SCRATCH)
        self._sweep()
        try:
            os.mkdir(self.top, 0o700)
            self.fill()
        except OSError as error:
            _remove(self.top)
            raise os_error(error, self.top) from None
        return self.main

    def __exit__(self, *_error: object) -> None:
        _remove(self.top)

    def fill(self) -> None:
        """Write what logrotate reads."""
        raise NotImplementedError

    def _sweep(self) -> None:
        """Folders that a killed run left."""
        for name in os.listdir(SCRATCH):
            pid = name[len("rotation-") :] if name.startswith("rotation-") else ""
            if pid.isdigit() and not os.path.exists("/proc/" + pid):
                _remove(os.path.join(SCRATCH, name))


class Whole(Scratch):
    """The whole configuration with data in place of what lies at path (None: nothing)."""

    def __init__(self, setup: Setup, path: str, data: bytes | None) -> None:
        super().__init__()
        self._setup, self._path, self._data = setup, path, data
        self._originals: dict[str, str] = {}  # by name: logrotate names what a folder has without that folder

    def real(self, error: str) -> str:
        """An error of logrotate, without its `error: `, with the real paths in it."""
        ignored = "Ignoring " if error.startswith("Ignoring ") else ""
        name = error[len(ignored) :].partition(" ")[0].partition(":")[0]
        original = self._originals.get(os.path.basename(name))
        if original:
            error = ignored + original + error[len(ignored) + len(name) :]
        return error.replace(self.main, CONFIG)

    def fill(self) -> None:
        """Copy all files, each with its mode and owner."""
        text = content(CONFIG).decode("utf-8", "surrogateescape")
        for number, (where, paths) in enumerate(self._setup.parts):
            folder = "%s/%d" % (self.top, number)
            os.mkdir(folder, 0o700)
            single = not os.path.isdir(where)
            own = {self._path} if where.rstrip("/") == os.path.dirname(self._path) else set()
            for path in sorted(own.union(paths)):
                self._originals[os.path.basename(path)] = path
                self._put(os.path.join(folder, os.path.basename(path)), path)
            text = _redirected(text, where, os.path.join(folder, os.path.basename(where)) if single else folder)
        _write(self.main, text.encode("utf-8", "surrogateescape"), None)

    def _put(self, target: str, path: str) -> None:
        if path != self._path:
            _write(target, content(path), os.stat(path))
        elif self._data is not None:
            _write(target, self._data, None)


class Excerpt(Scratch):
    """The options of the main file, and of all that it includes one drop-in only: to rotate its logs and no others."""

    def __init__(self, setup: Setup, path: str) -> None:
        super().__init__()
        self._setup, self._path = setup, path

    def fill(self) -> None:
        """Write the main file; options hold for what follows them."""
        lines = ["include %s\n" % self._path]
        for item in reversed(self._setup.main.options):
            if item.name != "include":
                lines.insert(0, item.text)
        _write(self.main, "".join(lines).encode("utf-8", "surrogateescape"), None)


def _remove(folder: str) -> None:
    for where, _folders, names in os.walk(folder, topdown=False):
        for name in names:
            os.unlink(os.path.join(where, name))
        os.rmdir(where)


def _write(path: str, data: bytes, like: os.stat_result | None) -> None:
    """A copy with the mode and owner of the original, because logrotate minds them."""
    with open(path, "xb") as stream:
        stream.write(data)
        os.fchmod(stream.fileno(), stat.S_IMODE(like.st_mode) if like else 0o644)
        if like:
            os.fchown(stream.fileno(), like.st_uid, like.st_gid)


def _redirected(text: str, where: str, copy: str) -> str:
    lines = text.splitlines(True)
    for number, line in enumerate(lines):
        if line.split() == ["include", where]:
            lines[number] = "include %s\n" % copy
    return "".join(lines)


def demand_verified(findings: list[dict[str, Any]]) -> None:
    """Raise what stands in the way of the policy.

    Raises:
        Refused: With all findings in its result.
    """
    blocking = [each for each in findings if each["blocks"]]
    if blocking:
        more = " (and %d more)" % (len(blocking) - 1) if len(blocking) > 1 else ""
        first = blocking[0]
        raise Refused(first["what"] + more, first["where"], first["hint"], {"findings": findings})
