# SPDX-License-Identifier: BSD-2-Clause
"""Files that this library owns or puts back: compared, replaced in one step, and what was there before kept aside.

What is needed to undo lies root-only below `/var/lib/ops-runbook/undo/<run>/`; the undo step names it with its hash.
"""

from __future__ import annotations

import os

from . import digest
from .errors import BadInput, OpsError, Refused
from .files import account_ids, ensure_directory, open_path, os_error, read_file, replace_file, resolved, write_file
from .host import file_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    Content = Optional[bytes]  # None: there is no such file

STATE = "/var/lib/ops-runbook"
FIELDS = ("present", "sha256", "mode", "owner", "group")
LIMIT = 8388608  # bytes of one file; what is larger is no configuration


def demand_root() -> None:
    """Who is not root could neither write nor look.

    Raises:
        Refused: This process is not root's.
    """
    if os.geteuid() != 0:
        raise Refused("only root may do that", "user id %d" % os.geteuid(), "Run with become: true.")


def snapshot(path: str) -> tuple[dict[str, Any], Content]:
    """What lies at path: {path, present, sha256, mode, owner, group}, the last four None when absent, and its content.

    Raises:
        BadInput: path is not absolute, or what lies there is no ordinary file.
        Refused: Somebody else's symbolic link is on the way.
    """
    if not path.startswith("/") or path.endswith("/") or ".." in path.split("/"):
        raise BadInput("is not the absolute path of a file", path, "Write it in full.")
    try:
        data, seen = read_file(resolved(path), LIMIT)
    except FileNotFoundError:
        return {"path": path, "present": False, "sha256": None, "mode": None, "owner": None, "group": None}, None
    found = file_stat(seen)
    return {
        "path": path,
        "present": True,
        "sha256": sha256(data),
        "mode": found.mode,
        "owner": found.owner,
        "group": found.group,
    }, data


def sha256(data: Content) -> str | None:
    """SHA-256 in hexadecimal; None for no file."""
    return None if data is None else str(digest.sha256(data).hexdigest())


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two snapshots tell of the same content, mode and owner."""
    return all(one[field] == other[field] for field in FIELDS)


def shown(entry: dict[str, Any] | None) -> dict[str, Any] | None:
    """A snapshot as before or after in a change; None where there is no file."""
    return {field: entry[field] for field in FIELDS[1:]} if entry and entry["present"] else None


def ensure_folder(*parts: str) -> str:
    """STATE and each folder below it, every one of them ours alone."""
    path = STATE
    ensure_directory(path)
    for part in parts:
        path = os.path.join(path, part)
        ensure_directory(path)
    return path


def aside_path(run_id: str | None, path: str, data: Content) -> str | None:
    """Where the present content of path goes: below the run, and never over another content."""
    if data is None:
        return None
    name = "%s.%s" % (path.strip("/").replace("/", "_")[-150:], str(sha256(data))[:16])
    return os.path.join(STATE, "undo", run_id or "standalone", name)


def put_aside(aside: str | None, data: Content) -> None:
    """Keep data at aside, where nobody but us can look; nothing to do for None."""
    if aside is not None and data is not None:
        ensure_folder("undo", os.path.basename(os.path.dirname(aside)))
        write_file(aside, data)


def file_step(
    path: str, aside: str | None, after: Content, owner: tuple[int | None, int | None, str | None]
) -> dict[str, Any]:
    """The undo step of a file: put aside back, or remove path where aside is None, while its content is still after.

    `{kind: file, path, aside, sha256 (of after; None: no file), uid, gid, mode, folders (made for it, outermost
    first: removed with it when they are empty)}`.
    """
    uid, gid, mode = owner if aside else (None, None, None)
    return {
        "kind": "file",
        "path": path,
        "aside": aside,
        "sha256": sha256(after),
        "uid": uid,
        "gid": gid,
        "mode": mode,
        "folders": [],
    }


class FilePlan:
    """A file as it is and as it ought to be.

    Attributes:
        path: Its absolute path.
        differs: Whether anything is to be done.
        changes: [] or [{object, before, after}] with sha256, mode, owner and group; never the content.
        steps: [] or [the undo step], see file_step.
        before: The present content; None where there is no file.
        data: The content that it ought to have; None for no file.
    """

    def __init__(self, path: str, data: Content, mode: str = "0644", owner: str = "root", group: str = "root") -> None:
        if os.path.islink(path):
            raise Refused(
                "is a symbolic link, and this file is ours to write", path, "See who made it: ls -l %s" % path
            )
        self.path, self.data, self._mode = path, data, mode
        self._now, self.before = snapshot(path)
        self._ids = account_ids(owner, group)
        wanted = {"present": data is not None, "sha256": sha256(data), "mode": mode, "owner": owner, "group": group}
        self._wanted = dict(wanted if data is not None else dict.fromkeys(FIELDS), path=path)
        self._wanted["present"] = data is not None
        self.differs = not same(self._now, self._wanted)
        self.changes: list[dict[str, Any]] = []
        self.steps: list[dict[str, Any]] = []

    def plan(self, run_id: str | None) -> FilePlan:
        """Fill changes and steps; run_id says where the present content would be kept."""
        if self.differs:
            now, aside = self._now, aside_path(run_id, self.path, self.before)
            owner = (*account_ids(now["owner"], now["group"]), now["mode"])
            self.changes = [{"object": self.path, "before": shown(now), "after": shown(self._wanted)}]
            step = file_step(self.path, aside, self.data, owner)
            self.steps = [
                dict(step, folders=missing_folders(os.path.dirname(self.path)) if self.data is not None else [])
            ]
        return self

    def put(self) -> None:
        """Make it so, and read it back; what was there is aside first.

        Raises:
            Refused: Somebody changed it since it was looked at.
            OpsError: The operating system said no; the file is as it was.
        """
        if not self.differs:
            return
        if not same(snapshot(self.path)[0], self._now):
            raise Refused("somebody changed it a moment ago", self.path, "See who, then run again.")
        put_aside(self.steps[0]["aside"], self.before)
        if self.data is None:
            remove_file(self.path)
        else:
            for folder in self.steps[0]["folders"]:
                ensure_directory(folder, 0o755)
            replace_file(resolved(self.path), self.data, int(self._mode, 8), *self._ids)
        if not same(snapshot(self.path)[0], self._wanted):
            raise OpsError("is not what was written", self.path, "See what else writes it.")


def missing_folders(folder: str) -> list[str]:
    """The folders that have to be made, outermost first."""
    found: list[str] = []
    while not os.path.lexists(folder):
        found.insert(0, folder)
        folder = os.path.dirname(folder)
    return found


def remove_folders(folders: list[str]) -> None:
    """Remove folders that were made for a file, given outermost first, as far as they are empty."""
    for folder in reversed(folders):
        try:
            os.rmdir(folder)
        except OSError:  # somebody put something there, or it is gone
            return


def remove_file(path: str) -> None:
    """Unlink the file that an absolute path names, whose folder is reached through no link but root's and ours.

    Raises:
        OpsError: The operating system said no.
    """
    real = resolved(path)
    try:
        folder = open_path(os.path.dirname(real))
        try:
            os.unlink(os.path.basename(real), dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise os_error(error, real) from None
