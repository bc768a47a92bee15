# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's half of evidence_collect: what the target streams is written here, where nobody else can read it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import typing as t
from pathlib import Path

from ansible_collections.ops.runbook.plugins.module_utils.evidence import ALL_SECONDS, plan
from ansible_collections.ops.runbook.plugins.module_utils.files import ensure_directory, write_file
from ansible_collections.ops.runbook.plugins.plugin_utils import record
from ansible_collections.ops.runbook.plugins.plugin_utils.light import LightAction

SCHEMA = "ops.runbook/evidence/1"


class ActionModule(LightAction):
    """Makes the folder first: evidence that cannot be kept is not collected."""

    _supports_async = False  # the answer must come back here
    NAME = "evidence_collect"
    ENTRY = "evidence"

    def deadline(self, params: dict[str, t.Any]) -> int:
        """A little more than the slowest item."""
        return int(ALL_SECONDS) + 30

    def perform(self, params: dict[str, t.Any], task_vars: dict[str, t.Any], no_log: set[str]) -> dict[str, t.Any]:
        """Collect, then write each document and a manifest."""
        items, host = plan(params), str(task_vars["inventory_hostname"])
        folder = unused(wanted_folder(params["directory"], host))
        if self._task.check_mode:
            message = f"check mode collects nothing; otherwise {len(items)} items into {folder}"
            return {"changed": False, "directory": str(folder), "files": [], "omitted": [], "message": message}
        ensure_directory(str(folder))
        began = time.monotonic()
        try:
            answer = self.call(params, task_vars, no_log)
            if answer.get("failed"):
                return answer
            # a target that lies may name any file: only what was asked for is taken
            answer["documents"] = [one for one in answer["documents"] if one["name"] in items]
            kept = keep(folder, {"service": params["service"], "host": host, "run": record.run_id()}, answer)
            entry = {name: kept[name] for name in ("directory", "omitted")}
            entry["seconds"] = round(time.monotonic() - began, 3)
            record.append(record.folder(), record.run_id(), host, "evidence", entry)
            return kept
        finally:
            if not any(folder.iterdir()):
                folder.rmdir()


def wanted_folder(chosen: str | None, host: str) -> Path:
    """The folder asked for, else that of the run and host below $OPS_RUNBOOK_EVIDENCE or the state folder."""
    if chosen:
        return Path(chosen).expanduser().absolute()
    top = os.environ.get("OPS_RUNBOOK_EVIDENCE")
    evidence = Path(top).expanduser().absolute() if top else record.state_folder() / "evidence"
    return evidence / _plain(record.run_id()) / _plain(host)


def _plain(name: str) -> str:
    return re.sub(r"[^\w.@-]|^\.+", "_", name)


def unused(folder: Path) -> Path:
    """The folder, or where evidence lies in it already, the next free one beside it: nothing is ever overwritten."""
    number, free = 1, folder
    while (free / "manifest.json").exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def keep(folder: Path, about: dict[str, str], answer: dict[str, t.Any]) -> dict[str, t.Any]:
    """Write the documents of a target's answer and `manifest.json`; return what the module returns."""
    files = []
    for document in answer["documents"]:
        data = document["text"].encode("utf-8", "backslashreplace")
        write_file(str(folder / document["name"]), data)
        files.append(
            {
                "name": document["name"],
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "truncated": document["truncated"],
            }
        )
    kept = {"files": files, "omitted": answer["omitted"]}
    manifest = {"schema": SCHEMA, **about, "collected_at": answer["collected_at"], **kept}
    write_file(str(folder / "manifest.json"), json.dumps(manifest, indent=1).encode("ascii") + b"\n")
    size = sum(file["bytes"] for file in files)
    message = f"{len(files)} files, {size} bytes, in {folder}"
    if answer["omitted"]:
        message += "; omitted: " + ", ".join(item["name"] for item in answer["omitted"])
    facts = {key: answer[key] for key in ("ansible_facts",) if key in answer}
    return {"changed": False, "directory": str(folder), **kept, "message": message, **facts}
