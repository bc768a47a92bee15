# SPDX-License-Identifier: BSD-2-Clause
"""What may go from a filesystem by a policy: looked at by descriptors, without following a link, staying on it."""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager

from . import disk_protected as data
from .disk_policy import KINDS, Rule, is_rotated
from .errors import CannotLook
from .files import open_directory
from .names import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from .disk_open import Opened
    from .disk_policy import Policy
    from .disk_room import Filesystem

MOST = 200000  # files that one survey takes down, some 60 MB of memory; a later run finds the others
_MOST_OMITTED, _DEEPEST = 200, 100
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HEX = frozenset("0123456789abcdef")
_ELSEWHERE = "is another filesystem"


class Candidate:
    """A file, or a folder that will be empty, that may go.

    path, kind, bytes (on the disk), mtime (epoch seconds), is_folder, used (when it was last written; of a file that
    was fetched, when it came here) and identity (what must still be true of it).
    """

    __slots__ = ("bytes", "identity", "is_folder", "kind", "mtime", "path", "used")

    def __init__(self, path: str, kind: str, seen: os.stat_result) -> None:
        self.path, self.kind, self.bytes, self.mtime = path, kind, seen.st_blocks * 512, seen.st_mtime
        # A package has the time of its server; when it came here is when its inode was made.
        self.used = max(seen.st_mtime, seen.st_ctime) if kind == "package_caches" else seen.st_mtime
        self.is_folder = stat.S_ISDIR(seen.st_mode)
        self.identity = identity_of(seen)

    def view(self, now: float) -> dict[str, Any]:
        """{path, bytes, kind, age_seconds} for the answer."""
        return {"path": shown(self.path), "bytes": self.bytes, "kind": self.kind, "age_seconds": int(now - self.used)}


def identity_of(seen: os.stat_result) -> tuple[int, ...]:
    """What tells that a file is the one that was looked at. Of a folder only which one it is: it gets emptied."""
    if stat.S_ISDIR(seen.st_mode):
        return seen.st_dev, seen.st_ino
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


class Survey:
    """What a policy gives back on a filesystem at `now` (epoch seconds).

    Attributes:
        candidates: In the order in which they go: by kind, the oldest first, folders after what lies in them.
        omitted: [{path, reason}] of what matched and stays; at most 200.

    Raises:
        CannotLook: It took longer than `seconds`.
    """

    def __init__(self, policy: Policy, filesystem: Filesystem, opened: Opened, now: float, seconds: float) -> None:
        self.candidates: list[Candidate] = []
        self.omitted: list[dict[str, str]] = []
        self._policy, self._filesystem, self._opened, self._now = policy, filesystem, opened, now
        self._until = time.monotonic() + seconds
        self._counts: dict[str, int] = {}  # folder -> names in it
        self._seen: set[tuple[int, int]] = set()
        found: dict[str, list[Candidate]] = {kind: [] for kind in KINDS}
        for rule in policy.rules:
            if rule.kind != "package_caches" or not self._package_manager_works(rule):
                found[rule.kind] += self._matches(rule)
        found["journal"] = self._journals()
        for kind in KINDS:
            self.candidates += sorted(found[kind], key=_order)

    def omit(self, path: str, reason: str) -> None:
        """Note what matches and stays; only the first hundreds are worth reading."""
        one = {"path": shown(path), "reason": reason}
        if len(self.omitted) < _MOST_OMITTED and one not in self.omitted:
            self.omitted.append(one)

    def totals(self) -> dict[str, dict[str, int]]:
        """{kind: {count, bytes}} of all candidates."""
        sums = {kind: {"count": 0, "bytes": 0} for kind in KINDS}
        for one in self.candidates:
            sums[one.kind]["count"] += 1
            sums[one.kind]["bytes"] += one.bytes
        return sums

    def _package_manager_works(self, rule: Rule) -> bool:
        """One that is at work needs what it fetched; it has its lock open all the time."""
        for lock in data.PACKAGE_LOCKS:
            try:
                seen = os.stat(lock)
            except FileNotFoundError:
                continue
            if self._opened.has(lock, (seen.st_dev, seen.st_ino)):
                self.omit(rule.pattern, "a package manager is at work: %s is open" % lock)
                return True
        return False

    def _matches(self, rule: Rule) -> list[Candidate]:
        found = []
        for one in self._below(rule, rule.base, rule.parts):
            found.append(one)
            if len(self._seen) >= MOST:
                self.omit(rule.pattern, "more than %d files match; run again for the others" % MOST)
                break
        if rule.kind == "dumps" and found:  # it tells of the last crash
            newest = max(found, key=lambda one: one.mtime)
            found.remove(newest)
            self.omit(newest.path, "is the newest dump of %s" % rule.pattern)
        return self._emptied([one for one in found if self._expired(rule, one)])

    def _below(self, rule: Rule, path: str, parts: list[str], folder: int | None = None) -> Iterator[Candidate]:
        """What matches parts in the folder at path; folder is one that is open, in which it lies."""
        with self._opened_folder(path, folder) as inner:
            if inner is None or (len(parts) == 1 and not self._is_on_it(inner, path)):
                return
            for name, seen in self._entries(inner, path, parts[0]):
                inside = path.rstrip("/") + "/" + name
                if len(parts) == 1:
                    yield from self._entry(rule, inner, inside, seen)
                elif stat.S_ISDIR(seen.st_mode) and not self._policy.protected(inside):
                    yield from self._below(rule, inside, parts[1:], inner)

    @contextmanager
    def _opened_folder(self, path: str, folder: int | None) -> Iterator[int | None]:
        """A descriptor of the folder, or None where there is none that may be looked into."""
        inner = None
        try:
            if path.count("/") > _DEEPEST:  # a descriptor is open for each folder on the way
                self.omit(path, "lies deeper than %d folders" % _DEEPEST)
            else:
                inner = open_directory(path) if folder is None else os.open(_name(path), _FOLDER, dir_fd=folder)
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            self.omit(path, "is no folder, or is reached through a symbolic link, and links are not followed")
        except OSError as error:
            self.omit(path, "cannot be looked into: %s" % os.strerror(error.errno or 0))
        try:
            yield inner
        finally:
            if inner is not None:
                os.close(inner)

    def _is_on_it(self, folder: int, path: str) -> bool:
        if self._filesystem.holds(folder, path):
            return True
        self.omit(path, _ELSEWHERE)
        return False

    def _entries(self, folder: int, path: str, pattern: str) -> Iterator[tuple[str, os.stat_result]]:
        """(name, stat of the name itself) of what matches in an open folder."""
        from fnmatch import fnmatchcase

        self._counts[path] = 0
        with os.scandir(folder) as entries:
            for entry in entries:
                self._counts[path] += 1
                if time.monotonic() > self._until:
                    raise CannotLook("looking for what may go took too long", shown(path), "Make the policy narrower.")
                if fnmatchcase(entry.name, pattern):
                    try:
                        yield entry.name, os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
                    except FileNotFoundError:  # services remove files all the time
                        continue
                    except OSError as error:  # such as another user's FUSE mount
                        self.omit(path + "/" + entry.name, "cannot be looked at: %s" % os.strerror(error.errno or 0))

    def _entry(self, rule: Rule, folder: int, path: str, seen: os.stat_result) -> Iterator[Candidate]:
        """The candidate that a name is, if it may go; with recurse, what lies in a folder, and then that itself."""
        is_folder = rule.recurse and stat.S_ISDIR(seen.st_mode)
        reason = self._unfit(rule, path, seen, is_folder)
        if reason:
            self.omit(path, reason)
            return
        if is_folder:
            yield from self._below(rule, path, ["*"], folder)
        identity = (seen.st_dev, seen.st_ino)
        if identity not in self._seen:  # two patterns may match one file
            self._seen.add(identity)
            yield Candidate(path, rule.kind, seen)

    def _unfit(self, rule: Rule, path: str, seen: os.stat_result, is_folder: bool) -> str:
        """Why something stays, whatever its age; empty when nothing speaks for it."""
        if stat.S_ISLNK(seen.st_mode):
            return "is a symbolic link"
        if not is_folder and not stat.S_ISREG(seen.st_mode):
            return "is a folder" if stat.S_ISDIR(seen.st_mode) else "is no ordinary file"
        if not is_folder and seen.st_nlink > 1:
            return "has %d names, so that nothing would come free" % seen.st_nlink
        if path in self._filesystem.mounts:
            return _ELSEWHERE
        if self._policy.protected(path):
            return "is protected data"
        if rule.kind == "rotated_logs" and not is_rotated(_name(path)):
            return "is not a rotated log by its name"
        if self._opened.has(path, (seen.st_dev, seen.st_ino)):
            return "is in use"
        return ""

    def _expired(self, rule: Rule, one: Candidate) -> bool:
        if self._now - one.used < rule.age:
            return False
        if one.used >= self._policy.cutoff:
            self.omit(one.path, "was written within the time of the incident")
            return False
        return True

    def _emptied(self, expired: list[Candidate]) -> list[Candidate]:
        """Without the folders in which something stays."""
        going: dict[str, int] = {}
        kept = []
        for one in sorted(expired, key=_order):
            if one.is_folder and going.get(one.path, 0) != self._counts.get(one.path):
                continue
            kept.append(one)
            folder = os.path.dirname(one.path)
            going[folder] = going.get(folder, 0) + 1
        return kept

    def _journals(self) -> list[Candidate]:
        """Archived files of the journal, the oldest first, as long as `keep` bytes stay in their folder.

        journalctl --vacuum-time goes by a file's first entry, so that entries of a minute ago go along with it; here
        the last write counts. It only unlinks archived files, too, and asks no journald.
        """
        found: list[Candidate] = []
        if self._policy.journal is not None:
            keep, seconds = self._policy.journal
            for base in data.JOURNALS:
                for name in _names(base):
                    if len(name) >= 32 and _HEX.issuperset(name[:32]):  # the machine's id, perhaps with a namespace
                        found += self._archived(Rule("journal", "%s/%s/*.journal*" % (base, name), seconds), keep)
        return found

    def _archived(self, rule: Rule, keep: int) -> list[Candidate]:
        with self._opened_folder(rule.base, None) as folder:
            if folder is None or not self._is_on_it(folder, rule.base):
                return []
            files = list(self._entries(folder, rule.base, rule.parts[0]))
            archived = [
                one
                for name, seen in files
                if "@" in name
                for one in self._entry(rule, folder, rule.base + "/" + name, seen)
            ]
        rest, found = sum(seen.st_blocks * 512 for _name, seen in files), []
        for one in sorted(archived, key=_order):
            if rest - one.bytes >= keep and self._expired(rule, one):
                found.append(one)
                rest -= one.bytes
        return found


def _name(path: str) -> str:
    return os.path.basename(path)


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:  # no such journal here
        return []


def _order(one: Candidate) -> Any:
    """The oldest first; folders at the end, the deepest first."""
    return (1, -one.path.count("/"), one.path) if one.is_folder else (0, one.mtime, one.path)
