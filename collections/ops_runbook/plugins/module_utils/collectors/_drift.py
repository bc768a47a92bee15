# SPDX-License-Identifier: BSD-2-Clause
"""Where files differ from what was wished for, and from their baseline.

What the module file_ownership leaves alone (links, sockets, files with several names, other filesystems) is no
mismatch: nothing would cure it.
"""

from __future__ import annotations

from ..errors import BadInput, CannotLook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from ..host import FileStat, Host

KEYS = (
    "path",
    "owner",
    "group",
    "mode",
    "file_mode",
    "directory_mode",
    "mode_includes",
    "create",
    "recurse",
    "exclude",
)
MANIFEST = "/var/lib/ops-runbook/baseline/%s/manifest.json"


def verify(files: list[Any]) -> None:
    """Refuse wishes that cannot be compared.

    Raises:
        BadInput: Not a mapping, an unknown key, no absolute path, or a mode that YAML turned into a number.
    """
    for number, wish in enumerate(files):
        where = "files[%d]" % number
        if not isinstance(wish, dict):
            raise BadInput("is not a mapping", where, "Write {path: ..., owner: ..., group: ..., mode: ...}.")
        for key in wish:
            if key not in KEYS:
                raise BadInput("unknown key %r" % key, where, "Known are %s." % ", ".join(KEYS))
        if not str(wish.get("path") or "").startswith("/"):
            raise BadInput("has no absolute path", where, "Give path: /...")
        for key in ("mode", "file_mode", "directory_mode", "mode_includes"):
            mode = wish.get(key)
            if mode is not None and not (isinstance(mode, str) and mode and not set(mode) - set("01234567")):
                raise BadInput("%r is not a quoted octal mode" % (mode,), "%s.%s" % (where, key), "Write '0750'.")


def verify_service(service: str | None) -> None:
    """Refuse what is not the name of a service, which becomes part of a path.

    Raises:
        BadInput: It is not.
    """
    if service and ("/" in service or service[0] == "."):
        raise BadInput("%r is not the name of a service" % service, "baseline", "Write a name without slashes.")


class Drift:
    """mismatches ([{path, field, expected, actual}]), how many there are, and whether all could be looked at."""

    def __init__(self, host: Host, most: int) -> None:
        self._host, self._most = host, most
        self.mismatches: list[dict[str, Any]] = []
        self.count = 0
        self.complete = True

    def look(self, wish: dict[str, Any]) -> None:
        """Compare one wish with what is there."""
        path = wish["path"]
        try:
            stat = self._host.stat(path)
        except FileNotFoundError:
            self._note(path, "exists", True, False)
            return
        except PermissionError:
            self.complete = False
            return
        self._compare(path, stat, dict(wish, mode=wish.get("mode") or _included(wish, stat) or _mode(wish, stat)))
        if wish.get("recurse") and stat.kind == "directory":
            for inner, inner_stat in self._walk(path, stat.device, wish.get("exclude") or []):
                self._compare(inner, inner_stat, dict(wish, mode=_mode(wish, inner_stat)))

    def _compare(self, path: str, stat: FileStat, wish: dict[str, Any]) -> None:
        if stat.kind not in ("file", "directory") or (stat.kind == "file" and stat.links > 1):
            return
        for field, actual, number in (("owner", stat.owner, stat.uid), ("group", stat.group, stat.gid)):
            if wish.get(field) is not None and str(wish[field]) not in (actual, str(number)):
                self._note(path, field, wish[field], actual)
        if wish.get("mode") and int(wish["mode"], 8) != int(stat.mode, 8):
            self._note(path, "mode", wish["mode"], stat.mode)

    def _note(self, path: str, field: str, expected: Any, actual: Any) -> None:
        self.count += 1
        if self.count <= self._most:
            self.mismatches.append({"path": path, "field": field, "expected": expected, "actual": actual})

    def _walk(self, folder: str, device: int, exclude: list[str]) -> Iterator[tuple[str, FileStat]]:
        """Everything below folder on the same filesystem, without following links."""
        from fnmatch import fnmatchcase

        try:
            names = self._host.listdir(folder)
        except PermissionError:
            self.complete = False
            return
        except FileNotFoundError:
            return
        for name in names:
            path = folder.rstrip("/") + "/" + name
            if any(fnmatchcase(path, pattern) or fnmatchcase(name, pattern) for pattern in exclude):
                continue
            try:
                stat = self._host.stat(path, follow=False)
            except FileNotFoundError:
                continue
            if stat.device != device:
                continue
            yield path, stat
            if stat.kind == "directory":
                yield from self._walk(path, device, exclude)


def _included(wish: dict[str, Any], stat: FileStat) -> str | None:
    """The mode that the path has, with the bits that it must have."""
    return "%04o" % (int(stat.mode, 8) | int(wish["mode_includes"], 8)) if wish.get("mode_includes") else None


def _mode(wish: dict[str, Any], stat: FileStat) -> str | None:
    """The mode wished for whatever lies in a folder, by its kind."""
    return wish.get("directory_mode" if stat.kind == "directory" else "file_mode")


def manifest(host: Host, service: str) -> list[dict[str, Any]] | None:
    """The files of a service's baseline; None when none was taken.

    Raises:
        CannotLook: It is damaged.
        PermissionError: This user may not read it.
    """
    found = _read(host, service, lambda kept: _entries(kept["files"]))
    return None if found is None else list(found)


def definition(host: Host, service: str) -> dict[str, Any] | None:
    """The unit in a service's baseline: {name, files (as of manifest), links (path -> target)}; None without one.

    Raises:
        CannotLook: The baseline is damaged.
        PermissionError: This user may not read it.
    """
    found = _read(host, service, lambda kept: _unit(kept["unit"]) if kept.get("unit") else None)
    return None if found is None else dict(found)


def _read(host: Host, service: str, pick: Callable[[Any], Any]) -> Any:
    """What pick takes from a service's manifest; None when there is none."""
    import json

    path = MANIFEST % service
    try:
        return pick(json.loads(host.read(path, limit=16777216).decode("utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CannotLook("damaged: %s" % error, path, "Take the baseline again.") from error


def _entries(files: list[Any]) -> list[dict[str, Any]]:
    return [dict(one, path=str(one["path"]), sha256=one["sha256"]) for one in files]


def _unit(kept: dict[str, Any]) -> dict[str, Any]:
    return {"name": str(kept["name"]), "files": _entries(kept["files"]), "links": dict(kept["links"])}


def drifted(host: Host, files: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """Paths whose content, mode, owner or group is not the baseline's any more, and whether all could be read."""
    found, complete = [], True
    for one in files:
        try:
            if not _same(host, one):
                found.append(one["path"])
        except PermissionError:
            complete = False
    return found, complete


def _same(host: Host, one: dict[str, Any]) -> bool:
    try:
        stat = host.stat(one["path"])
    except FileNotFoundError:
        return not one.get("present", True)
    seen = {"mode": stat.mode, "owner": stat.owner, "group": stat.group}
    alike = stat.kind == "file" and all(one.get(field) == value for field, value in seen.items())
    return alike and _sha256(host, one["path"]) == one["sha256"]


def _sha256(host: Host, path: str, piece: int = 1048576) -> str:
    import hashlib

    digest, offset = hashlib.sha256(), 0
    while True:
        part = host.read(path, limit=piece, offset=offset)
        digest.update(part)
        offset += len(part)
        if len(part) < piece:
            return digest.hexdigest()
