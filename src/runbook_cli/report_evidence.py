# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence of a run and host: what is in it, whether it is as it was kept, and its lines with their moments."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runbook_cli import report_times as times
from runbook_cli.answer import CliError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANIFEST = "manifest.json"
LOGS = ("unit-journal.txt", "log-")
_SEEN = 4096
"""Characters of a line that are looked at: none that matters is longer."""


class Said(NamedTuple):
    """A line of a log: its file, the moment it carries (or that of the line before it), whether it is its own, text."""

    file: str
    at: datetime | None
    own: bool
    text: str


def redaction(root: Path) -> Callable[[str], str]:
    """The collection's masking of secrets, read from its file: the command line imports no part of the collection."""
    path = root / "collections" / "ansible_collections" / "ops" / "runbook" / "plugins" / "module_utils" / "redact.py"
    spec = importlib.util.spec_from_file_location("runbook_cli_redact", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise CliError("the project has no redaction of secrets", str(path), "Give --project the root of a checkout.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    masked: Callable[[str], str] = module.redact
    return masked


def kept(directory: str, records: Path) -> dict[str, Any]:
    """What is known of a folder of evidence.

    Returns:
        directory, present, files ([{name, bytes, sha256, truncated, state}], state as_kept | changed | gone), omitted.
    """
    folder = _found(Path(directory), records)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = [_file(folder, entry) for entry in manifest["files"]]
        omitted = [{key: str(entry[key]) for key in ("name", "reason")} for entry in manifest["omitted"]]
    except (OSError, ValueError, KeyError, TypeError):
        return {"directory": directory, "present": False, "files": [], "omitted": []}
    return {"directory": str(folder), "present": True, "files": files, "omitted": omitted}


def _found(directory: Path, records: Path) -> Path:
    """The folder where it was, else beside a record that was moved together with it."""
    moved = records / "evidence" / Path(*directory.parts[-2:])
    return moved if not directory.is_dir() and moved.is_dir() else directory


def _file(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    name = Path(str(entry["name"])).name  # a manifest that somebody touched leads nowhere else
    try:
        data = (folder / name).read_bytes()
        state = "as_kept" if hashlib.sha256(data).hexdigest() == entry["sha256"] else "changed"
    except OSError:
        state = "gone"
    about = {"bytes": int(entry["bytes"]), "sha256": str(entry["sha256"]), "truncated": bool(entry["truncated"])}
    return {"name": name, **about, "state": state}


def said(evidence: dict[str, Any]) -> list[Said]:
    """The lines of the kept journal and logs, each file's in its order."""
    found: list[Said] = []
    for file in evidence["files"]:
        if file["state"] == "as_kept" and file["name"].startswith(LOGS):
            found += _lines(Path(evidence["directory"]) / file["name"])
    return found


def _lines(path: Path) -> Iterator[Said]:
    last: datetime | None = None
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        here = times.stamp(text[:_SEEN])
        last = here or last
        if not text.startswith(("$ ", "==> ")):
            yield Said(path.name, last, here is not None, text[:_SEEN])
