# SPDX-License-Identifier: BSD-2-Clause
"""The baseline of a service as it lies on the target, and files as they are compared with it and kept aside.

`baseline/<service>/manifest.json` (schema ops.runbook/baseline/1) names the files and their copies; a copy is called
after the SHA-256 of its content.
"""

from __future__ import annotations

import hashlib
import json
import os

from .errors import BadInput, OpsError
from .files import ensure_directory, read_file, resolved, write_file
from .host import file_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    Content = Optional[bytes]  # None: there is no such file

STATE = "/var/lib/ops-runbook"
SCHEMA = "ops.runbook/baseline/1"
SECONDS = 120
FIELDS = ("present", "sha256", "mode", "owner", "group")
_LIMIT = 8388608  # bytes of one file; what is larger is no configuration
_HINT = "ansible-playbook playbooks/baseline.yml"


class NoBaseline(OpsError):
    """No baseline of the service was ever taken on this target."""


class Damaged(OpsError):
    """The baseline is there but cannot be used."""


def snapshot(path: str) -> tuple[dict[str, Any], Content]:
    """What lies at path: {path, present, sha256, mode, owner, group}, the last four None when absent, and its content.

    Raises:
        BadInput: path is not absolute, or what lies there is no ordinary file.
        Refused: Somebody else's symbolic link is on the way.
    """
    if not path.startswith("/") or path.endswith("/") or ".." in path.split("/"):
        raise BadInput("is not the absolute path of a file", path, "Write it in full.")
    try:
        data, seen = read_file(resolved(path), _LIMIT)
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
    return None if data is None else hashlib.sha256(data).hexdigest()


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two snapshots tell of the same content, mode and owner."""
    return all(one[field] == other[field] for field in FIELDS)


def shown(entry: dict[str, Any] | None) -> dict[str, Any] | None:
    """A snapshot as before or after in a change; None where there is no file."""
    return {field: entry[field] for field in FIELDS[1:]} if entry and entry["present"] else None


def listed(entry: dict[str, Any], drift: list[dict[str, Any]]) -> dict[str, Any]:
    """An entry of a manifest as it is returned in files."""
    return dict({field: entry[field] for field in ("path", *FIELDS)}, drifted=bool(drift), drift=drift)


def load(service: str) -> dict[str, Any]:
    """The service's baseline: {schema, service, captured_at, files: [snapshot and copy]}.

    Raises:
        NoBaseline: There is none.
        Damaged: There is one, but not a readable one.
        OpsError: This user may not look.
    """
    path = os.path.join(folder_of(service), "manifest.json")
    try:
        return parse_manifest(read_file(path, _LIMIT)[0], path)
    except FileNotFoundError:
        raise NoBaseline("there is no baseline of %s on this target" % service, path, _HINT) from None


def earlier(service: str) -> dict[str, Any] | None:
    """The service's baseline; None where there is none that can be used."""
    try:
        return load(service)
    except (NoBaseline, Damaged):
        return None


def parse_manifest(data: bytes, path: str) -> dict[str, Any]:
    """The manifest in a file's content.

    Raises:
        Damaged: It is not one.
    """
    try:
        manifest = json.loads(data.decode("utf-8"))
        if manifest["schema"] != SCHEMA:
            raise ValueError
        for entry in manifest["files"]:
            if {*FIELDS, "path", "copy"} - set(entry) or entry["copy"] != entry["sha256"]:
                raise ValueError
    except (ValueError, KeyError, TypeError):
        raise Damaged("the baseline's manifest is damaged", path, "Take it again: " + _HINT) from None
    return dict(manifest)


def copy_of(service: str, entry: dict[str, Any]) -> Content:
    """The content of an entry's copy, proven to be what was captured; None where the file was absent.

    Raises:
        Damaged: It is missing or another content.
    """
    if not entry["present"]:
        return None
    path = os.path.join(folder_of(service), str(entry["copy"]))
    try:
        data = read_file(path, _LIMIT)[0]
    except FileNotFoundError:
        data = b""
    if sha256(data) != entry["sha256"]:
        what = "the baseline's copy of %s is missing or damaged" % entry["path"]
        raise Damaged(what, path, "Take it again: " + _HINT)
    return data


def folder_of(service: str) -> str:
    """Where the service's manifest and copies lie."""
    return os.path.join(STATE, "baseline", service)


def ensure_folder(*parts: str) -> str:
    """STATE and each folder below it, every one of them ours alone."""
    path = STATE
    ensure_directory(path)
    for part in parts:
        path = os.path.join(path, part)
        ensure_directory(path)
    return path


def aside_path(params: dict[str, Any], path: str, data: Content) -> str | None:
    """Where the present content of path goes: below the run, and never over another content."""
    if data is None:
        return None
    name = "%s.%s" % (path.strip("/").replace("/", "_")[-150:], str(sha256(data))[:16])
    return os.path.join(STATE, "undo", params["run_id"] or "standalone", name)


def put_aside(aside: str | None, data: Content) -> None:
    """Keep data at aside, where nobody but us can look; nothing to do for None."""
    if aside is not None and data is not None:
        ensure_folder("undo", os.path.basename(os.path.dirname(aside)))
        write_file(aside, data)


def undo(
    path: str, aside: str | None, after: Content, owner: tuple[int | None, int | None, str | None]
) -> dict[str, Any]:
    """Put aside back, or remove path where aside is None, while path's content still has sha256 (None: no file)."""
    uid, gid, mode = owner if aside else (None, None, None)
    return {"kind": "file", "path": path, "aside": aside, "sha256": sha256(after), "uid": uid, "gid": gid, "mode": mode}
