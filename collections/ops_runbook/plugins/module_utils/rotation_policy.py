# SPDX-License-Identifier: BSD-2-Clause
"""A rotation policy in logrotate's words, and what in it cannot be right whatever the host is like.

Two rules keep lines from being lost. What a writer that reopens still writes into the rotated file is there because
that is compressed one rotation later (`delaycompress`); only a copy (`copytruncate`) may be compressed at once. And
nothing is removed but rotated logs, by count and age.
"""

from __future__ import annotations

import os

from . import amounts
from .errors import BadInput
from .files import account_ids
from .rotation_file import set_directives, set_patterns
from .rotation_globs import overlap, takes_rotated, without

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .rotation_file import Managed, Stanza

INTERVALS = ("hourly", "daily", "weekly", "monthly", "yearly")
DAY = 86400
_GZIP = {"compresscmd": "/bin/gzip", "compressext": ".gz"}  # logrotate's own default: no directive needs to say it
_PROGRAMS = {
    "xz": {"compresscmd": "/usr/bin/xz", "uncompresscmd": "/usr/bin/unxz", "compressext": ".xz"},
    "zstd": {"compresscmd": "/usr/bin/zstd", "uncompresscmd": "/usr/bin/unzstd", "compressext": ".zst"},
}
# What says whether the old name stays with a copy: one of them in a file would undo what the policy wants.
_OTHER_WAYS = ("copy", "nocopy", "nocopytruncate", "renamecopy", "norenamecopy", "nocreate", "createolddir")
_FORBIDDEN = frozenset("\"'\\{}\n\r\t#")
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
# What logrotate leaves unread in a folder of drop-ins (its defaults of tabooext).
TABOO = (
    ",v",
    ".bak",
    ".cfsaved",
    ".disabled",
    ".dpkg-bak",
    ".dpkg-del",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-tmp",
    ".new",
    ".old",
    ".rhn-cfg-tmp-",
    ".rpmnew",
    ".rpmorig",
    ".rpmsave",
    ".swp",
    ".ucf-dist",
    ".ucf-new",
    ".ucf-old",
    "~",
)


def demand_name(name: str) -> None:
    """The name of a drop-in must be one that logrotate reads.

    Raises:
        BadInput: It is not.
    """
    if not name or len(name) > 100 or name[0] == "." or not _NAME.issuperset(name) or name.endswith(TABOO):
        raise BadInput("%r is no name of a drop-in" % name, "name", "Use letters, digits, - and _ such as batch-logs.")


def patterns_of(params: dict[str, Any]) -> list[str]:
    """The globs of the policy, what is excluded taken out.

    Raises:
        BadInput: A path is not absolute, lies outside of the allowed roots or below a wildcard, has a letter that
            logrotate's configuration cannot hold, or two of them may match the same log.
    """
    if not params["paths"]:
        raise BadInput(
            "it names no log, or no policy of that name is known",
            "policy %s" % params["name"],
            "Give paths. Policies are in roles/log_rotation/vars/main.yml, or in log_rotation_policies.",
        )
    roots = [_plain(root, "roots") for root in params["roots"]]
    for name in params["exclude"]:
        if not name or "/" in name or not _FORBIDDEN.isdisjoint(name):
            raise BadInput("%r is no name" % name, "exclude", "Give names without their folder, such as debug-*.log.")
    for path in params["paths"]:
        _demand_path(_plain(path, "paths"), roots)
    _demand_apart(params["paths"])
    found = [each for path in params["paths"] for each in without(path, params["exclude"])]
    if not found:
        raise BadInput("it covers no log: all that paths match is excluded", "exclude")
    return found


def demand_archive(folder: str, patterns: list[str]) -> None:
    """Where logs go before they are removed: a folder that is there, so that an unmounted one is not filled instead.

    Raises:
        BadInput: It is none, or the policy would rotate what lies in it.
    """
    _plain(folder, "archive")
    if not os.path.isdir(folder):
        raise BadInput("there is no such folder", folder, "Make it, or mount what it ought to be.")
    inside = [each for each in patterns if (folder + "/").startswith(os.path.dirname(each) + "/")]
    if inside:
        raise BadInput("lies in the folder of the logs", folder, "Take one on another filesystem, if there is one.")


def _plain(path: str, option: str) -> str:
    if not path.startswith("/") or path.endswith("/") or any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise BadInput("%r is not an absolute path" % path, option, "Write it in full, without . and .. in it.")
    if not _FORBIDDEN.isdisjoint(path):
        raise BadInput("%r has a letter that logrotate would misread" % path, option, "Cover it by a glob: ? for it.")
    return path


def _demand_path(path: str, roots: list[str]) -> None:
    if not any(path.startswith(root + "/") for root in roots):
        raise BadInput("lies outside of %s" % ", ".join(roots), path, "Add its folder to roots if that is meant.")
    if not part_literal(path.rpartition("/")[2]):
        raise BadInput("matches every name there is", path, "Say what the logs end with: /folder/*.log")


def part_literal(part: str) -> str:
    """The letters of a name that are no wildcards."""
    return "".join(letter for letter in part if letter not in "*?[].")


def _demand_apart(paths: list[str]) -> None:
    for number, path in enumerate(paths):
        for other in paths[:number]:
            if overlap(path, other):
                raise BadInput("it and %s match the same logs" % other, path, "Leave one of them out.")


def demand_not_rotated(patterns: list[str], extension: str) -> None:
    """What was rotated must not be taken for a log again, or it is rotated and compressed over and over.

    Raises:
        BadInput: A pattern would match it.
    """
    for pattern in patterns:
        name = takes_rotated(pattern, extension)
        if name:
            hint = "Let it end as the logs do, such as *.log%s" % (
                ", or take the directive extension out of the file." if extension else "."
            )
            raise BadInput("would match rotated logs, too: %s" % name.rpartition("/")[2], pattern, hint)


def apply_policy(stanza: Stanza, params: dict[str, Any], patterns: list[str], su: str | None) -> None:
    """Let a stanza say what the policy says; directives that the policy does not know stay.

    Args:
        stanza: Is changed.
        params: The module's options.
        patterns: From patterns_of.
        su: Whom logrotate should be while it works in the logs' folder, such as `batch batch`; None: as it is.

    Raises:
        BadInput: A size, an age, a mode or an account is none, or two options contradict each other.
    """
    set_patterns(stanza, patterns)
    managed = directives_of(params)
    if su and stanza.value("su") is None:
        managed["su"] = su
    set_directives(stanza, managed)


def directives_of(params: dict[str, Any]) -> Managed:
    """The directives that the policy manages, in the order of a file written anew; None: must not be there."""
    copies = params["reopen"]["method"] == "copytruncate"
    if not (params["every"] or params["size"]):
        raise BadInput("it says not when to rotate", "every", "Give every: daily, or a size.")
    if not 1 <= params["keep"] <= 3650:
        raise BadInput("%d is not from 1 to 3650" % params["keep"], "keep", "With 0 logrotate would remove the log.")
    managed: Managed = dict.fromkeys((*_OTHER_WAYS, *INTERVALS))
    if params["every"]:
        managed[params["every"]] = ""
    for option, directive in (("size", "size"), ("max_size", "maxsize"), ("min_size", "minsize")):
        managed[directive] = _size(params[option], option)
    managed.update(rotate=str(params["keep"]), maxage=_days(params["max_age"]))
    managed.update(_compression(params["compression"], copies))
    managed.update(missingok="", nomissingok=None)
    managed.update(
        {"ifempty": "", "notifempty": None} if params["rotate_empty"] else {"notifempty": "", "ifempty": None}
    )
    managed.update(
        {"copytruncate": "", "create": None} if copies else {"copytruncate": None, "create": _create(params)}
    )
    managed.update(_script(params["reopen"]))
    if params["archive"]:
        managed.update(_archive(params["archive"], params["compression"]))
    return managed


def _size(text: str | None, option: str) -> str | None:
    if text is None:
        return None
    size = amounts.size(text, option)
    if size < 1:
        raise BadInput("%r is no size that a log could have" % text, option, "Give such as 100MiB.")
    for letter, power in (("G", 30), ("M", 20), ("k", 10)):
        if size % (1 << power) == 0:
            return "%d%s" % (size >> power, letter)
    return str(size)


def _days(text: str | None) -> str | None:
    if text is None:
        return None
    age = amounts.age(text, "max_age")
    if age < DAY or age % DAY:
        raise BadInput("%r is not a number of days" % text, "max_age", "logrotate counts whole days: 30d.")
    return str(age // DAY)


def _compression(wanted: str, copies: bool) -> Managed:
    names = (
        "compress",
        "nocompress",
        "delaycompress",
        "nodelaycompress",
        "compresscmd",
        "uncompresscmd",
        "compressext",
    )
    found: Managed = dict.fromkeys(names)
    if wanted == "none":
        return dict(found, nocompress="")
    found.update({"compress": "", "nodelaycompress" if copies else "delaycompress": ""})
    return dict(found, **_PROGRAMS.get(wanted, {}))


def program_of(compression: str) -> str | None:
    """The program that compresses; None for none."""
    return None if compression == "none" else _PROGRAMS.get(compression, _GZIP)["compresscmd"]


def _create(params: dict[str, Any]) -> str:
    owner, group, mode = params["owner"], params["group"], params["mode"]
    if not (mode.startswith("0") and 3 <= len(mode) <= 4 and mode.isdigit()) or set(mode) & set("89"):
        raise BadInput("%r is no mode" % mode, "mode", 'Give an octal one in quotes, such as "0640".')
    if int(mode, 8) & 0o113:
        raise BadInput("with mode %s others may write, or anybody run, the log" % mode, "mode", 'Give such as "0640".')
    if (owner is None) != (group is None):
        raise BadInput("one of them alone says nothing to logrotate", "owner, group", "Give both, or neither.")
    account_ids(owner, group)
    return " ".join(filter(None, (mode, owner, group)))


def _script(reopen: dict[str, Any]) -> Managed:
    unit, method = reopen["unit"] or "", reopen["method"]
    if method in ("copytruncate", "none"):
        return {"postrotate": None, "sharedscripts": None, "nosharedscripts": None}
    if method == "command":
        script = _shell_words(reopen["command"])
    elif method == "reload":
        script = (
            'case "$(systemctl show --property=SubState --value %s)" in dead|failed|auto-restart*) exit 0 ;; esac\n'
            "systemctl reload %s" % (unit, unit)
        )
    else:
        script = (
            '[ "$(systemctl show --property=MainPID --value %s)" != 0 ] || exit 0\n'
            "systemctl kill --kill-who=main --signal=%s %s" % (unit, signal_name(reopen["signal"]), unit)
        )
    return {"sharedscripts": "", "nosharedscripts": None, "postrotate": script}


def _archive(folder: str, compression: str) -> Managed:
    """A rotated log is copied before it is removed; where that fails logrotate keeps it, and says so.

    Names have a date, because by number the kept one would be overwritten by the next. logrotate calls the script also
    for the uncompressed file that it has just compressed (seen with 3.21): that one has a twin.
    """
    twin = ""
    if compression != "none":
        twin = '[ ! -e "$1%s" ] || exit 0\n' % _PROGRAMS.get(compression, _GZIP)["compressext"]
    target = _shell_words([folder])
    copy = 'cp -p --parents -- "$1" %s && sync -- %s"$1"' % (target, target)
    return {"dateext": "", "nodateext": None, "dateformat": "-%Y%m%d-%s", "preremove": twin + copy}


def signal_name(text: str) -> str:
    """A signal's name with SIG, of those that a program may take as "open your logs again".

    Raises:
        BadInput: It is another one.
    """
    name = text.upper()[3:] if text.upper().startswith("SIG") else text.upper()
    if name not in ("HUP", "USR1", "USR2"):
        raise BadInput("%r is no signal for reopening logs" % text, "reopen.signal", "Give HUP, USR1 or USR2.")
    return "SIG" + name


def _shell_words(argv: list[str]) -> str:
    if not argv or not argv[0].startswith("/") or any("\n" in word or "\0" in word for word in argv):
        raise BadInput("is no command", "reopen.command", "Give the program with its full path, and its arguments.")
    return " ".join("'%s'" % word.replace("'", "'\\''") for word in argv)
