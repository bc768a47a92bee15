# SPDX-License-Identifier: BSD-2-Clause
"""What a host knows of its backups without opening one: `/var/lib/ops-runbook/backups/<system>/<store>.json`.

Here lies the SHA-256 of each manifest, away from the backup itself, and what came of restoring it:

    {"schema": "ops.runbook/backups/1", "backups": {"20270115T080000Z": {"manifest": SHA-256, "path": folder,
     "bytes": 1234, "seconds": 12.3, "taken_at": epoch, "run_id": "...",
     "checked": {"at": epoch, "run_id": "...", "seconds": 3.2, "verified": true, "why": ""} or null}}}
"""

from __future__ import annotations

import json
import os

from ..errors import OpsError
from ..files import ensure_directory, os_error, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

SCHEMA = "ops.runbook/backups/1"
ROOT = "/var/lib/ops-runbook/backups"


def path_of(system: str, store: str) -> str:
    """Where the ledger of a store lies."""
    return os.path.join(ROOT, system, store + ".json")


def read(system: str, store: str) -> dict[str, Json]:
    """The backups that are known, by name; none where nothing was taken yet.

    Raises:
        OpsError: The ledger cannot be read, or is damaged: then nobody knows what was verified.
    """
    path = path_of(system, store)
    try:
        with open(path, "rb") as stream:
            return parse(stream.read(), path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise os_error(error, path) from None


def parse(data: bytes, path: str) -> dict[str, Json]:
    """The backups of a ledger's text.

    Raises:
        OpsError: It is damaged, or of another schema.
    """
    try:
        said = json.loads(data)
        schema, backups = said["schema"], dict(said["backups"])
        for one in backups.values():
            float(one["taken_at"]), one["manifest"], one["checked"]
    except (ValueError, KeyError, TypeError):
        raise OpsError("is damaged", path, "Move it away, and verify the backups again") from None
    if schema != SCHEMA:
        raise OpsError("has schema %r; known is %s" % (schema, SCHEMA), path)
    return backups


def note(system: str, store: str, name: str, **said: Any) -> None:
    """Add to what is known of a backup; under the shelf's lock."""
    path = path_of(system, store)
    ensure_directory(os.path.dirname(path))
    known = read(system, store)
    known[name] = dict({"checked": None}, **dict(known.get(name, {}), **said))
    _write(path, known)


def forget(system: str, store: str, names: list[str]) -> None:
    """Take backups out that are there no more; under the shelf's lock."""
    known = read(system, store)
    _write(path_of(system, store), {name: one for name, one in known.items() if name not in names})


def _write(path: str, known: dict[str, Json]) -> None:
    write_file(path, json.dumps({"schema": SCHEMA, "backups": known}, indent=1, sort_keys=True).encode() + b"\n")


def verified(known: dict[str, Json]) -> list[str]:
    """Names of the backups that were restored and compared, oldest first."""
    return sorted(name for name, one in known.items() if (one.get("checked") or {}).get("verified") is True)
