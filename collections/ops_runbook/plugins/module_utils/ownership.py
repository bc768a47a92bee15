# SPDX-License-Identifier: BSD-2-Clause
"""Owner, group and mode of a service's files: only what differs is mended, and each mismatch is told.

First everything is looked at, then what differs is mended through descriptors of the very objects that were looked at,
because whoever owns a directory may put a link to /etc/shadow in place of a file at any moment.
"""

from __future__ import annotations

import os
import stat

from .disk_room import mount_points
from .errors import BadInput, OpsError, Refused
from .files import account_ids, open_path, os_error
from .lease import fence
from .names import group_name, shown, user_name
from .ownership_folders import UNDO as FOLDER_UNDO
from .ownership_folders import Folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Not these themselves, but what lies below them.
PROTECTED = frozenset(
    (
        "/",
        "/etc",
        "/home",
        "/media",
        "/mnt",
        "/opt",
        "/run",
        "/srv",
        "/tmp",
        "/usr",
        "/usr/local",
        "/var",
        "/var/cache",
        "/var/lib",
        "/var/lock",
        "/var/log",
        "/var/mail",
        "/var/opt",
        "/var/run",
        "/var/spool",
        "/var/tmp",
    )
)
# Neither these nor anything below them: owned by the system, or by this library.
PROTECTED_TREES = (
    "/bin",
    "/boot",
    "/dev",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/root",
    "/sbin",
    "/sys",
    "/etc/cron.d",
    "/etc/group",
    "/etc/gshadow",
    "/etc/ld.so.preload",
    "/etc/pam.d",
    "/etc/passwd",
    "/etc/security",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/systemd",
    "/run/dbus",
    "/run/ops-runbook",
    "/run/systemd",
    "/run/user",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/sbin",
    "/usr/share",
    "/var/lib/apt",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/kubelet",
    "/var/lib/ops-runbook",
    "/var/lib/pam",
    "/var/lib/systemd",
    "/var/spool/cron",
)
SECONDS = 600
_DEEPEST, _MOST_OMITTED = 100, 200
_KINDS = (
    (stat.S_ISLNK, "is a symbolic link"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)
_NOTHING = {"kind": "none", "reason": "nothing was changed"}
_MODES = ("mode", "file_mode", "directory_mode", "mode_includes")


class Found:
    """An object that differs: path, its (device, inode), how it is and how it ought to be as (uid, gid, mode)."""

    def __init__(self, path: str, seen: os.stat_result, after: tuple[int, int, int]) -> None:
        self.path, self.identity, self.before, self.after = path, (seen.st_dev, seen.st_ino), _state(seen), after

    def mismatches(self) -> list[dict[str, str]]:
        """[{path, field, before, after}], for people."""
        return [
            {
                "path": shown(self.path),
                "field": field,
                "before": show(self.before[index]),
                "after": show(self.after[index]),
            }
            for index, (field, show) in enumerate((("owner", user_name), ("group", group_name), ("mode", _mode)))
            if self.before[index] != self.after[index]
        ]


class Survey:
    """What was looked at.

    Attributes:
        found: What differs, by path.
        folders: Missing ones that are to be made.
        made: Those of them that were made, or in check mode would be.
        omitted: [{path, reason}].
        looked: Count of objects.
    """

    def __init__(self, limit: int) -> None:
        self.found: dict[str, Found] = {}
        self.folders: list[Folder] = []
        self.made: list[Folder] = []
        self.omitted: list[dict[str, str]] = []
        self.looked, self._limit, self._mounts = 0, limit, _mount_points()

    def omit(self, path: str, reason: str) -> None:
        """Note an object that is left alone; only the first hundreds are worth reading."""
        if len(self.omitted) < _MOST_OMITTED:
            self.omitted.append({"path": shown(path), "reason": reason})

    def compare(self, path: str, seen: os.stat_result, wish: dict[str, Any], top: bool = False) -> None:
        """Note path when it differs from the wish or must be left alone; a later wish adds to an earlier one."""
        self.looked += 1
        reason = _unfit(seen)
        if reason:
            self.omit(path, reason)
            return
        earlier = self.found.pop(path, None)
        after = _wanted(seen, wish, top, earlier.after if earlier else _state(seen))
        if after != _state(seen):
            self.found[path] = Found(path, seen, after)
            if len(self.found) > self._limit:
                self.demand()

    def demand(self) -> None:
        """Raise Refused when more differs than may be mended."""
        mismatches = self.mismatches()
        if len(mismatches) > self._limit:
            raise Refused(
                "more than %d mismatches" % self._limit,
                mismatches[0]["path"],
                "See that the wish is right, then raise limit.",
                {"mismatches": mismatches[:20]},
            )

    def mismatches(self) -> list[dict[str, str]]:
        """Of all that was found: [{path, field, before, after}]."""
        return [mismatch for found in self.found.values() for mismatch in found.mismatches()]

    def walk(self, folder: int, path: str, wish: dict[str, Any], device: int) -> None:
        """Look at everything below an open directory, on its own filesystem, without following links."""
        for name in sorted(os.listdir(folder)):
            inner = path + "/" + name
            if _excluded(inner, name, wish["exclude"]):
                continue
            try:
                seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
                is_folder = stat.S_ISDIR(seen.st_mode)  # files of an overlay may have other device numbers
                if inner in self._mounts or (is_folder and seen.st_dev != device):
                    self.omit(inner, "is another filesystem")
                    continue
                self.compare(inner, seen, wish)
                if is_folder:
                    self._descend(folder, inner, wish, device)
            except FileNotFoundError:  # a running service removes files all the time
                continue

    def _descend(self, folder: int, path: str, wish: dict[str, Any], device: int) -> None:
        if path.count("/") > _DEEPEST:  # a descriptor is open for each folder on the way
            self.omit(path, "lies deeper than %d folders" % _DEEPEST)
            return
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        inner = os.open(os.path.basename(path), flags, dir_fd=folder)
        try:
            self.walk(inner, path, wish, device)
        finally:
            os.close(inner)


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Mend what differs.

    Returns:
        changed, changes, undo, message, mismatches ([{path, field, before, after}]), omitted ([{path, reason}]).
    """
    empty = {"changed": False, "changes": [], "undo": _NOTHING, "message": "", "mismatches": [], "omitted": []}
    try:
        survey = _look([_wish(entry) for entry in params["paths"]], params["limit"])
        done = list(survey.found.values())
        if check:
            survey.made = survey.folders
        elif done or survey.folders:
            with fence(params["lease"], params["run_id"], SECONDS):
                _make(survey)
                done = _mend(survey)
    except OpsError as error:
        known = {key: error.result.get(key, value) for key, value in empty.items()}
        error.result = dict(known, message=str(error))
        raise
    return dict(empty, **_report(survey, done))


def _wish(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of paths with the path resolved up to its last part, ids for names and numbers for modes."""
    path = entry["path"]
    if not path.startswith("/") or ".." in path.split("/"):
        raise BadInput("is not an absolute path without ..", path, "Write it in full.")
    folder, name = os.path.split(os.path.normpath("/" + path.lstrip("/")))
    real = os.path.join(os.path.realpath(folder), name)
    if real in PROTECTED or any(real == tree or real.startswith(tree + "/") for tree in PROTECTED_TREES):
        raise BadInput("belongs to the system, so it is not touched", real, "Name the service's own path.")
    uid, gid = account_ids(entry["owner"], entry["group"])
    modes = {key: _octal(entry.get(key)) for key in _MODES}
    return dict(entry, path=real, uid=uid, gid=gid, create=entry.get("create", False), **modes)


def _octal(text: str | None) -> int | None:
    if text is None:
        return None
    if not (4 <= len(text) <= 5 and text[0] == "0" and set(text) <= set("01234567")):
        raise BadInput("%r is not an octal mode in quotes" % text, "mode", "Write it with its leading zero: '0750'.")
    return int(text, 8)


def _look(wishes: list[dict[str, Any]], limit: int) -> Survey:
    survey = Survey(limit)
    for wish in wishes:
        path = wish["path"]
        try:
            item = open_path(path)
            try:
                _look_at(survey, item, wish)
            finally:
                os.close(item)
        except FileNotFoundError as error:
            if not wish["create"]:
                raise os_error(error, path) from None
            survey.folders.append(Folder(wish))
        except OSError as error:
            raise os_error(error, path) from None
    survey.demand()
    return survey


def _look_at(survey: Survey, item: int, wish: dict[str, Any]) -> None:
    seen, path = os.fstat(item), wish["path"]
    if stat.S_ISLNK(seen.st_mode):
        raise Refused(
            "is a symbolic link, and links are not followed",
            path,
            "Name what it points to: %s" % os.path.realpath(path),
        )
    survey.compare(path, seen, wish, top=True)
    if wish["recurse"] and stat.S_ISDIR(seen.st_mode):
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=item)
        try:
            survey.walk(folder, path, wish, seen.st_dev)
        finally:
            os.close(folder)


def _unfit(seen: os.stat_result) -> str:
    """Why an object is left alone; empty for directories and ordinary files."""
    for test, reason in _KINDS:
        if test(seen.st_mode):
            return reason
    if not stat.S_ISDIR(seen.st_mode) and seen.st_nlink > 1:
        return "has %d names, and the others may be anywhere" % seen.st_nlink
    return ""


def _state(seen: os.stat_result) -> tuple[int, int, int]:
    return seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)


def _wanted(seen: os.stat_result, wish: dict[str, Any], top: bool, base: tuple[int, int, int]) -> tuple[int, int, int]:
    """(uid, gid, mode) as it ought to be: what the wish says, else as in base."""
    uid = base[0] if wish["uid"] is None else wish["uid"]
    gid = base[1] if wish["gid"] is None else wish["gid"]
    mode = wish["mode"] if top else None
    if top and mode is None and wish["mode_includes"] is not None:
        mode = base[2] | wish["mode_includes"]
    if mode is None:
        mode = wish["directory_mode" if stat.S_ISDIR(seen.st_mode) else "file_mode"]
    if mode is None:
        mode = base[2]
        if (uid, gid) != (seen.st_uid, seen.st_gid) and stat.S_ISREG(seen.st_mode):
            mode &= ~_dropped(mode)
    return uid, gid, mode


def _dropped(mode: int) -> int:
    """The set-id bits that Linux takes from a file when its owner changes; nobody asked for them: they stay away."""
    return stat.S_ISUID | (stat.S_ISGID if mode & stat.S_IXGRP else 0)


def _excluded(path: str, name: str, patterns: list[str]) -> bool:
    if not patterns:
        return False
    from fnmatch import fnmatchcase

    return any(fnmatchcase(path, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def _mount_points() -> frozenset[str]:
    """Where something is mounted: a bind mount of the same filesystem has the same device number."""
    try:
        return mount_points()
    except OSError:
        return frozenset()


def _make(survey: Survey) -> None:
    for folder in survey.folders:
        try:
            folder.make()
        except OpsError as problem:
            problem.result = _report(survey, [])
            raise
        survey.made.append(folder)


def _mend(survey: Survey) -> list[Found]:
    done: list[Found] = []
    for found in survey.found.values():
        try:
            if _mend_one(survey, found):
                done.append(found)
        except FileNotFoundError:
            survey.omit(found.path, "is gone meanwhile")
        except OSError as error:
            problem = os_error(error, found.path)
            problem.result = _report(survey, done)
            raise problem from None
        except OpsError as problem:
            problem.result = _report(survey, [*done, found])
            raise
    return done


def _mend_one(survey: Survey, found: Found) -> bool:
    item = open_path(found.path)
    try:
        seen = os.fstat(item)
        if (seen.st_dev, seen.st_ino) != found.identity or _unfit(seen):
            survey.omit(found.path, "was replaced meanwhile")
            return False
        (uid, gid, mode), path = found.after, "/proc/self/fd/%d" % item  # what O_PATH points at, and nothing else
        if (uid, gid) != (seen.st_uid, seen.st_gid):
            os.chown(path, uid, gid)
        if mode != stat.S_IMODE(os.fstat(item).st_mode):
            os.chmod(path, mode)
        seen = os.fstat(item)
    finally:
        os.close(item)
    if _state(seen) != found.after:
        raise OpsError("owner or mode did not stay as set", found.path, "What else sets it? ls -ld %s" % found.path)
    return True


def _mode(mode: int) -> str:
    return "%04o" % mode


def _named(path: str) -> dict[str, str]:
    """A path for its undo: where it is not text, `raw` has its bytes in hexadecimal."""
    text = shown(path)
    return {"path": path} if text == path else {"path": text, "raw": os.fsencode(path).hex()}


def _report(survey: Survey, done: list[Found]) -> dict[str, Any]:
    """The answer, from what was found and what of it was (or would be) made and mended."""
    changes = [folder.change() for folder in survey.made] + [
        {"object": "%(field)s of %(path)s" % mismatch, "before": mismatch["before"], "after": mismatch["after"]}
        for one in done
        for mismatch in one.mismatches()
    ]
    entries = [dict(_named(one.path), expect=_ids(one.after), **_ids(one.before)) for one in done]
    first = "; ".join("%(object)s %(before)s -> %(after)s" % change for change in changes[:3])
    more = ", and %d more" % (len(changes) - 3) if len(changes) > 3 else ""
    return {
        "changed": bool(changes),
        "changes": changes,
        "mismatches": survey.mismatches(),
        "omitted": survey.omitted,
        "undo": _undo(entries, bool(survey.made)),
        "message": first + more if changes else "owner and mode of %d objects are as wanted" % survey.looked,
    }


def _undo(entries: list[dict[str, Any]], made: bool) -> dict[str, Any]:
    steps = ([{"kind": "ownership", "entries": entries}] if entries else []) + ([FOLDER_UNDO] if made else [])
    return {"kind": "steps", "steps": steps} if len(steps) > 1 else (steps or [_NOTHING])[0]


def _ids(state: tuple[int, int, int]) -> dict[str, Any]:
    return {"uid": state[0], "gid": state[1], "mode": _mode(state[2])}
