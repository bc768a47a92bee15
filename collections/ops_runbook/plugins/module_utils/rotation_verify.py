# SPDX-License-Identifier: BSD-2-Clause
"""What logrotate itself says of a configuration, before it is put in place.

The whole configuration is copied below /run with the candidate in it, and `logrotate -d`, which changes nothing, reads
that: so duplicates are found between all files, and the file in force is never one that logrotate refuses.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager

from .errors import Refused
from .files import ensure_directory, os_error
from .rotation_globs import matches
from .rotation_look import CONFIG, SECONDS, content, finding, owner_hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

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
    with scratch() as top:
        main, originals = _copy(top, setup, path, data)
        done = host.run(["logrotate", "-d", "-s", setup.state, main], SECONDS)
    lines = [line for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    errors = [_real(line[len(_ERROR) :], main, originals) for line in lines if line.startswith(_ERROR)]
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


@contextmanager
def scratch() -> Iterator[str]:
    """A new folder below /run in which logrotate finds a configuration; removed in the end.

    Raises:
        OpsError: It cannot be made or filled.
    """
    top = "%s/rotation-%d" % (SCRATCH, os.getpid())
    ensure_directory(SCRATCH)
    _sweep()
    try:
        os.mkdir(top, 0o700)
        yield top
    except OSError as error:
        raise os_error(error, top) from None
    finally:
        _remove(top)


def _sweep() -> None:
    """Folders that a killed run left."""
    for name in os.listdir(SCRATCH):
        pid = name[len("rotation-") :] if name.startswith("rotation-") else ""
        if pid.isdigit() and not os.path.exists("/proc/" + pid):
            _remove(os.path.join(SCRATCH, name))


def write_excerpt(top: str, setup: Setup, path: str) -> str:
    """The options of the main file, and of all that it includes one drop-in only: to rotate its logs and no others.

    Returns:
        The path of the main file.
    """
    options = [item.text for item in setup.main.options if item.name != "include"]  # they hold for what follows them
    return _write_main(top, "".join(options) + "include %s\n" % path)


def _copy(top: str, setup: Setup, path: str, data: bytes | None) -> tuple[str, dict[str, str]]:
    """The whole configuration, with data in place of what lies at path (None: nothing), each file with mode and owner.

    Returns:
        The path of the main file, and by name the paths of the files in its folders.
    """
    text, originals = content(CONFIG).decode("utf-8", "surrogateescape"), {}
    for number, (where, paths) in enumerate(setup.parts):
        folder, single = "%s/%d" % (top, number), not os.path.isdir(where)
        os.mkdir(folder, 0o700)
        own = {path} if where.rstrip("/") == os.path.dirname(path) else set()
        for each in sorted(own.union(paths)):
            name = os.path.basename(each)
            originals[name] = each
            if each != path:
                _write(os.path.join(folder, name), content(each), os.stat(each))
            elif data is not None:
                _write(os.path.join(folder, name), data, None)
        text = _redirected(text, where, os.path.join(folder, os.path.basename(where)) if single else folder)
    return _write_main(top, text), originals


def _real(error: str, main: str, originals: dict[str, str]) -> str:
    """An error of logrotate with the real paths in it: it names what a folder has without that folder."""
    ignored = "Ignoring " if error.startswith("Ignoring ") else ""
    name = error[len(ignored) :].partition(" ")[0].partition(":")[0]
    original = originals.get(os.path.basename(name))
    if original:
        error = ignored + original + error[len(ignored) + len(name) :]
    return error.replace(main, CONFIG)


def _remove(folder: str) -> None:
    for where, _folders, names in os.walk(folder, topdown=False):
        for name in names:
            os.unlink(os.path.join(where, name))
        os.rmdir(where)


def _write_main(top: str, text: str) -> str:
    main = top + "/logrotate.conf"
    _write(main, text.encode("utf-8", "surrogateescape"), None)
    return main


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
