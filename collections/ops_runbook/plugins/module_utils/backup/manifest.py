# SPDX-License-Identifier: BSD-2-Clause
"""What a backup says of itself: `manifest.json` beside its data, and `manifest.sha256`, which tells an edited one.

    {"schema": "ops.runbook/backup/1", "system": "simplers", "store": "mongodb", "kind": "mongodb", "host": "db1",
     "run_id": "...", "begun_at": RFC 3339, "ended_at": RFC 3339, "seconds": 12.3, "server": {"version": "7.0.42"},
     "tools": {"mongodump": "100.9.5"}, "source": {what was backed up}, "bytes": of all files, "notes": [text],
     "objects": [{"name": "simplers.user_candidate", "count": 10000, "bytes": 1234567, "digest": "..."}],
     "files": [{"name": "data.zst", "bytes": 123456, "sha256": "..."}]}

`objects` is what a restore is compared with.
"""

from __future__ import annotations

import json
import os

from ..digest import sha256
from ..errors import OpsError
from ..files import os_error, sha256_of, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Manifest = dict[str, Any]

SCHEMA = "ops.runbook/backup/1"
NAME, SEAL = "manifest.json", "manifest.sha256"
MOST = 64 * 1048576
"""Bytes of a manifest that are read."""
_FIELDS = {
    "system": str,
    "store": str,
    "kind": str,
    "host": str,
    "run_id": str,
    "begun_at": str,
    "ended_at": str,
    "seconds": (int, float),
    "server": dict,
    "tools": dict,
    "source": dict,
    "objects": list,
    "files": list,
}


class Damaged(OpsError):
    """A backup is not what its manifest says, or has no manifest that could be trusted."""


def write(folder: str, manifest: Manifest) -> str:
    """Write it and its seal into a folder; returns its SHA-256, which the run's record keeps, too."""
    data = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    digest = str(sha256(data).hexdigest())
    write_file(os.path.join(folder, NAME), data)
    write_file(os.path.join(folder, SEAL), ("%s  %s\n" % (digest, NAME)).encode("ascii"))
    return digest


def read(folder: str, expected: str | None = None) -> Manifest:
    """The manifest of a backup, once its seal holds.

    Args:
        folder: The backup.
        expected: The SHA-256 that was recorded when it was taken, where that is known.

    Raises:
        Damaged: It is missing, edited, of another schema, or lacks a field.
    """
    path = os.path.join(folder, NAME)
    try:
        with open(path, "rb") as stream:
            data = stream.read(MOST + 1)
        with open(os.path.join(folder, SEAL), "rb") as stream:
            seal = stream.read(256).split()
    except FileNotFoundError as error:
        raise Damaged("is missing", str(error.filename), "It is no backup that counts. Take a new one.") from None
    except OSError as error:
        raise os_error(error, path) from None
    digest = str(sha256(data).hexdigest())
    if seal[:1] != [digest.encode("ascii")]:
        raise Damaged("was edited: its SHA-256 is not that of %s" % SEAL, path, "Take a new backup.")
    if expected and digest != expected:
        raise Damaged("is not the one that was recorded when the backup was taken", path, "Take a new backup.")
    return _parsed(data, path)


def _parsed(data: bytes, path: str) -> Manifest:
    try:
        manifest = json.loads(data)
    except ValueError:
        raise Damaged("is no JSON", path) from None
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise Damaged("has schema %r; known is %s" % (schema, SCHEMA), path, "Use the version that took the backup.")
    wrong = [name for name, kind in _FIELDS.items() if not isinstance(manifest.get(name), kind)]  # type: ignore[arg-type]
    if wrong:
        raise Damaged("lacks %s" % ", ".join(wrong), path)
    return dict(manifest)


def check_files(folder: str, manifest: Manifest) -> None:
    """Compare every file with what the manifest says of it.

    Raises:
        Damaged: One is missing, has another size, or other content; or one lies there that nobody named.
    """
    named = {file["name"]: file for file in manifest["files"]}
    for name, file in named.items():
        path = os.path.join(folder, name)
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            raise Damaged("is missing", path) from None
        if size != file["bytes"]:
            raise Damaged("has %d bytes, and had %d when the backup was taken" % (size, file["bytes"]), path)
        if sha256_of(path) != file["sha256"]:
            raise Damaged("is not what was written when the backup was taken (SHA-256)", path)
    strange = sorted(set(os.listdir(folder)) - set(named) - {NAME, SEAL})
    if strange:
        raise Damaged("lies in the backup, and its manifest does not name it", os.path.join(folder, strange[0]))


def compare(expected: list[dict[str, Any]], found: list[dict[str, Any]], limit: int = 10) -> list[str]:
    """How the objects of a restore differ from those of a manifest, one line each; empty when they do not.

    A count or digest that the manifest does not have (a store that cannot tell it at one moment) is not compared.
    """
    was, now = {one["name"]: one for one in expected}, {one["name"]: one for one in found}
    lines = ["%s is missing" % name for name in was if name not in now]
    lines += ["%s was not in the backup" % name for name in now if name not in was]
    for name, one in was.items():
        for field in ("count", "digest"):
            before, after = one.get(field), now.get(name, {}).get(field)
            if name in now and before is not None and before != after:
                lines.append("%s: %s is %s, and was %s" % (name, field, after, before))
    return lines if len(lines) <= limit else [*lines[:limit], "and %d more" % (len(lines) - limit)]
