# SPDX-License-Identifier: BSD-2-Clause
"""Take a backup: look, room, lock, dump into a staging folder, manifest, one rename, and a line in the ledger."""

from __future__ import annotations

import socket
import time

from .backup import ledger, stores
from .backup.chain import Patience
from .backup.shelf import Shelf
from .errors import OpsError
from .host import LocalHost, utc
from .lease import fence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

_NO_UNDO = {"kind": "none", "reason": "a backup takes nothing away; prune_backups removes old ones"}


def run(params: Json, check: bool) -> Json:
    """{changed, changes, undo, message, backup}, the same keys on every path."""
    empty: Json = {"changed": False, "changes": [], "undo": _NO_UNDO, "message": "", "backup": None}
    try:
        return dict(empty, **_run(params, check))
    except OpsError as error:
        error.result = dict(empty, message=str(error))
        raise


def _run(params: Json, check: bool) -> Json:
    shelf = Shelf(params["root"], params["system"], params["store"])
    patience = Patience(params["timeout"], params["idle"])
    host = LocalHost()
    this = stores.store(host, params["kind"], params, patience)
    look = this.look()
    what = "backup of %s/%s" % (params["system"], params["store"])
    if check:
        after = {"path": shelf.path, "bytes": "at most about %d" % look["bytes"]}
        message = "%s would be taken: about %d bytes before compression" % (what, look["bytes"])
        return {"changed": True, "changes": [_change(what, after)], "message": message}
    with fence(params["lease"], params["run_id"], params["timeout"] + 120), shelf.lock():
        shelf.sweep()
        shelf.demand_room(int(look["bytes"]), params["keep_free"])
        began = time.time()
        with shelf.staging(began, params["run_id"] or "") as staging:
            said = this.dump(staging)
            ended = time.time()
            about = {
                "system": params["system"],
                "store": params["store"],
                "kind": params["kind"],
                "host": socket.gethostname(),
                "run_id": params["run_id"] or "",
                "begun_at": utc(began),
                "ended_at": utc(ended),
                "seconds": round(ended - began, 3),
                "server": look["server"],
                "tools": look["tools"],
            }
            digest = staging.commit(dict(about, **said))
        size = sum(file["bytes"] for file in staging.files)
        told = {"manifest": digest, "path": staging.final, "bytes": size, "seconds": about["seconds"]}
        ledger.note(params["system"], params["store"], staging.name, taken_at=began, run_id=about["run_id"], **told)
    counted = len(said["objects"])
    message = "%s taken: %d objects, %d bytes, %.1f s, in %s" % (what, counted, size, about["seconds"], staging.final)
    backup = dict(told, name=staging.name, objects=counted, notes=said["notes"])
    return {"changed": True, "changes": [_change(what, {"path": staging.final})], "message": message, "backup": backup}


def _change(what: str, after: Json) -> Json:
    return {"object": what, "before": None, "after": after}
