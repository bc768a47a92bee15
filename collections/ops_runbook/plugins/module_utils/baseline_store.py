# SPDX-License-Identifier: BSD-2-Clause
"""The baseline of a service as it lies on the target.

`baseline/<service>/manifest.json` (schema ops.runbook/baseline/1) names the files and their copies; a copy is called
after the SHA-256 of its content.
"""

from __future__ import annotations

import json
import os

from . import managed_file
from .errors import OpsError
from .files import read_file
from .managed_file import FIELDS, sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .managed_file import Content

SCHEMA = "ops.runbook/baseline/1"
SECONDS = 120
HINT = "ansible-playbook playbooks/baseline.yml"


class NoBaseline(OpsError):
    """No baseline of the service was ever taken on this target."""


class Damaged(OpsError):
    """The baseline is there but cannot be used."""


def listed(entry: dict[str, Any], drift: list[dict[str, Any]]) -> dict[str, Any]:
    """An entry of a manifest as it is returned in files."""
    return dict({field: entry[field] for field in ("path", *FIELDS)}, drifted=bool(drift), drift=drift)


def load(service: str) -> dict[str, Any]:
    """The service's baseline: {schema, service, captured_at, files: [snapshot and copy]}.

    Where the definition of a unit was taken with it, also `unit`: {name, files (likewise), links (path -> target),
    packaged: [{path, sha256}]}; see unit_baseline.py.

    Raises:
        NoBaseline: There is none.
        Damaged: There is one, but not a readable one.
        OpsError: This user may not look.
    """
    path = os.path.join(folder_of(service), "manifest.json")
    try:
        return parse_manifest(read_file(path, managed_file.LIMIT)[0], path)
    except FileNotFoundError:
        raise NoBaseline("there is no baseline of %s on this target" % service, path, HINT) from None


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
        if manifest.get("unit"):
            dict(manifest["unit"]["links"], name=manifest["unit"]["name"], packaged=manifest["unit"]["packaged"])
        for entry in entries(manifest):
            if {*FIELDS, "path", "copy"} - set(entry) or entry["copy"] != entry["sha256"]:
                raise ValueError
    except (ValueError, KeyError, TypeError):
        raise Damaged("the baseline's manifest is damaged", path, "Take it again: " + HINT) from None
    return dict(manifest)


def entries(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """All of a manifest that has a copy."""
    return [*manifest["files"], *(manifest.get("unit") or {"files": []})["files"]]


def copy_of(service: str, entry: dict[str, Any]) -> Content:
    """The content of an entry's copy, proven to be what was captured; None where the file was absent.

    Raises:
        Damaged: It is missing or another content.
    """
    if not entry["present"]:
        return None
    path = os.path.join(folder_of(service), str(entry["copy"]))
    try:
        data = read_file(path, managed_file.LIMIT)[0]
    except FileNotFoundError:
        data = b""
    if sha256(data) != entry["sha256"]:
        what = "the baseline's copy of %s is missing or damaged" % entry["path"]
        raise Damaged(what, path, "Take it again: " + HINT)
    return data


def folder_of(service: str) -> str:
    """Where the service's manifest and copies lie."""
    return os.path.join(managed_file.STATE, "baseline", service)
