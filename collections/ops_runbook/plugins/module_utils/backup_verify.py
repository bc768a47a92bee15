# SPDX-License-Identifier: BSD-2-Clause
"""Prove a backup by restoring it: seal, files, restore into a scratch place, comparison, smoke queries.

Only what went through all of it is verified. What could not be tried (no room, no server on this host) is neither
verified nor damaged, and fails just the same.
"""

from __future__ import annotations

import os
import time

from .backup import ledger, manifest, stores
from .backup.chain import Patience
from .backup.shelf import Shelf
from .errors import OpsError
from .host import LocalHost
from .lease import fence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]


def run(params: Json, check: bool) -> Json:
    """{changed: False, verified, damaged, why, backup, seconds, message}, the same keys on every path."""
    shelf = Shelf(params["root"], params["system"], params["store"])
    folder = shelf.folder(params["backup"])
    name = os.path.basename(folder)
    empty: Json = {"changed": False, "verified": False, "damaged": False, "why": "", "backup": name, "seconds": 0.0}
    if check:
        return dict(empty, message="%s would be restored into %s and compared" % (folder, params["scratch"]))
    known = ledger.read(params["system"], params["store"]).get(name, {})
    began = time.monotonic()
    with fence(params["lease"], params["run_id"], params["timeout"] + 120):
        damaged, why = _proven(folder, known.get("manifest"), params)
        seconds = round(time.monotonic() - began, 3)
        verdict = {"verified": not why, "damaged": damaged, "why": why, "seconds": seconds}
        with shelf.lock():
            ledger.note(
                params["system"],
                params["store"],
                name,
                checked=dict(verdict, at=time.time(), run_id=params["run_id"] or ""),
            )
    if why:
        what = "is damaged: %s" % why if damaged else "could not be verified: %s" % why
        raise OpsError(what, folder, _advice(damaged), dict(empty, message="%s %s" % (folder, what), **verdict))
    message = "%s is verified: restored and compared in %.1f s" % (folder, seconds)
    return dict(empty, message=message, **verdict)


def _advice(damaged: bool) -> str:
    return "Take a new backup now, and keep this one for its cause" if damaged else "Mend that, and verify again"


def _proven(folder: str, digest: str | None, params: Json) -> tuple[bool, str]:
    """(whether it is damaged, what is wrong); nothing wrong means verified."""
    try:
        said = manifest.read(folder, digest)
        manifest.check_files(folder, said)
    except manifest.Damaged as error:
        return True, str(error)
    host, patience = LocalHost(), Patience(params["timeout"], params["idle"])
    try:
        with stores.restored(host, folder, said, params, patience) as found:
            differences = manifest.compare(said["objects"], found.objects)
            wrong = differences or _smoke(found, params["smoke"])
    except OpsError as error:
        return False, str(error)
    return bool(wrong), "; ".join(wrong)


def _smoke(found: stores.Restored, queries: list[Json]) -> list[str]:
    """What the inventory's own queries say that they should not."""
    wrong = []
    for one in queries:
        said = found.store.ask(one["query"]) if found.store else []
        if said[:1] != [str(one["expect"])]:
            wrong.append("%s gave %s, and %s was expected" % (one["query"], said[:1] or "nothing", one["expect"]))
    return wrong
