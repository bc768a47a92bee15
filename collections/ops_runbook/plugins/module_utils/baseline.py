# SPDX-License-Identifier: BSD-2-Clause
"""What a service's configuration was while it was well: kept on the target, and compared with it.

Copies are written first and the manifest last, in one step, so there is never half a baseline. The copies of the
manifest before stay, so that capturing can be undone.
"""

from __future__ import annotations

import json
import os
import time

from .baseline_store import SCHEMA, SECONDS, Damaged, copy_of, earlier, entries, folder_of, listed, load
from .errors import BadInput, OpsError, Refused
from .files import write_file
from .host import LocalHost, utc
from .lease import fence
from .locks import mutex
from .managed_file import FIELDS, aside_path, ensure_folder, file_step, put_aside, shown, snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@._-")
_NOTHING = {"kind": "none", "reason": "nothing was changed"}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Capture, verify or restore.

    Returns:
        changed, changes, undo, message, diff ({} or {prepared: unified diff}), files ([{path, present, sha256, mode,
        owner, group, drifted, drift}]), aside (where the replaced file lies, or None), captured_at (RFC 3339, or None),
        unit ({name, new, gone, changed, packaged} as in unit_baseline.told, or None).
    """
    return run_on(LocalHost(), params, check)


def run_on(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """As run, where systemctl is run on any host."""
    empty = {
        "changed": False,
        "changes": [],
        "undo": _NOTHING,
        "message": "",
        "diff": {},
        "files": [],
        "aside": None,
        "captured_at": None,
        "unit": None,
    }
    try:
        _demand_name(params["service"], "service")
        _demand_name(params["run_id"] or "standalone", "run_id")
        return dict(empty, **_STATES[params["state"]](host, params, check))
    except OpsError as error:
        error.result = dict({key: error.result.get(key, value) for key, value in empty.items()}, message=str(error))
        raise


def _demand_name(text: str, option: str) -> None:
    """What becomes part of a path must be harmless there."""
    if not 1 <= len(text) <= 100 or text[0] in ".-" or not _LETTERS.issuperset(text):
        raise BadInput("%r cannot be the name of a folder" % text, option, "Use letters, digits and @ . _ - only.")


def late(params: dict[str, Any]) -> list[str]:
    """The module_utils that a call imports late."""
    file = ["restoring"] if params["state"] == "restored" and params["path"] else []
    unit = ["unit_baseline", "platforms.systemd"] if params["unit"] or params["state"] == "verified" else []
    fence = ["service"] if params["unit"] and params["lease"] and params["state"] == "restored" else []
    return [*file, *unit, *fence, *(["redact"] if params["state"] != "captured" else [])]


def _restored(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    if params["unit"]:
        from . import unit_baseline

        return unit_baseline.restored(host, params, check)
    from .restoring import restored

    return restored(params, check)


def _captured(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    service, paths = params["service"], list(dict.fromkeys(params["files"] or []))
    if not paths and not params["unit"]:
        raise BadInput("names no file", "files", "Name the service's configuration files.")
    seen = [snapshot(path) for path in paths]
    contents = {str(entry["sha256"]): data for entry, data in seen if data is not None}
    found: dict[str, Any] = {"files": [dict(entry, copy=entry["sha256"]) for entry, _data in seen]}
    if params["unit"]:
        from . import unit_baseline

        found["unit"], more = unit_baseline.captured(host, params["unit"])
        contents.update(more)
    old = earlier(service)
    if old and _same(old, found) and not any(_damage(service, entry) for entry in entries(found)):
        return {
            "files": [listed(entry, []) for entry in found["files"]],
            "captured_at": old["captured_at"],
            "message": "the baseline of %s is up to date" % service,
        }
    manifest = dict(found, schema=SCHEMA, service=service, captured_at=utc(time.time()))
    plan = _plan(params, old, manifest)
    if not check:
        with fence(params["lease"], params["run_id"], SECONDS):
            _store(service, plan, contents)
    return dict(plan["result"])


def _same(old: dict[str, Any], found: dict[str, Any]) -> bool:
    return old["files"] == found["files"] and old.get("unit") == found.get("unit")


def _plan(params: dict[str, Any], old: dict[str, Any] | None, manifest: dict[str, Any]) -> dict[str, Any]:
    """{data: the manifest to write, before: the one that it replaces, keep: names of copies, result: the answer}."""
    service, path = params["service"], os.path.join(folder_of(params["service"]), "manifest.json")
    was, now = _shown(old or {"files": []}), _shown(manifest)
    changes = [
        {"object": "baseline of %s: %s" % (service, one), "before": was.get(one), "after": now.get(one)}
        for one in {**was, **now}
        if was.get(one) != now.get(one)
    ]
    before, data = _text(old) if old else None, _text(manifest)
    aside = aside_path(params["run_id"], path, before)
    owner = (os.geteuid(), os.getegid(), "0600")
    result = {
        "changed": True,
        "changes": changes,
        "files": [listed(entry, []) for entry in manifest["files"]],
        "aside": aside,
        "captured_at": manifest["captured_at"],
        "undo": file_step(path, aside, data, owner),
        "message": _kept(manifest),
    }
    return {
        "data": data,
        "before": before,
        "result": result,
        "keep": {str(entry["copy"]) for each in filter(None, [old, manifest]) for entry in entries(each)},
    }


def _shown(manifest: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
    """What a manifest says of each path; None of a file that is not there."""
    unit = manifest.get("unit") or {"links": {}, "packaged": []}
    found = {entry["path"]: shown(entry) for entry in entries(manifest)}
    found.update({path: {"link": target} for path, target in unit["links"].items()})
    found.update({one["path"]: {"sha256": one["sha256"]} for one in unit["packaged"]})
    return found


def _kept(manifest: dict[str, Any]) -> str:
    unit = manifest.get("unit")
    definition = " and the definition of %s" % unit["name"] if unit else ""
    return "%d file(s)%s are the baseline of %s now" % (len(manifest["files"]), definition, manifest["service"])


def _text(manifest: dict[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode("ascii")


def _store(service: str, plan: dict[str, Any], contents: dict[str, bytes]) -> None:
    folder = ensure_folder("baseline", service)
    with mutex(folder):
        for name, data in contents.items():
            write_file(os.path.join(folder, name), data)
        put_aside(plan["result"]["aside"], plan["before"])
        write_file(os.path.join(folder, "manifest.json"), plan["data"])
        for name in set(os.listdir(folder)) - plan["keep"] - {"manifest.json"}:
            os.unlink(os.path.join(folder, name))


def _verified(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    manifest = load(params["service"])
    unit: dict[str, Any] | None = None
    diff: dict[str, str] = {}
    files = [listed(entry, _drift(params["service"], entry)) for entry in manifest["files"]]
    said = [
        "%s (%s)" % (one["path"], ", ".join(drift["field"] for drift in one["drift"])) for one in files if one["drift"]
    ]
    good = "%d file(s)%s are as in the baseline" % (len(files), " and the unit" if manifest.get("unit") else "")
    if manifest.get("unit"):
        from . import unit_baseline

        unit, diff = unit_baseline.verified(host, params["service"], manifest["unit"])
        said += filter(None, [unit_baseline.sentence(unit)])
    return {
        "files": files,
        "unit": unit,
        "diff": diff,
        "captured_at": manifest["captured_at"],
        "message": "differs from the baseline: " + "; ".join(said) if said else good,
    }


def _drift(service: str, entry: dict[str, Any]) -> list[dict[str, Any]]:
    """[{field, before, after}]; kind: no ordinary file is there any more; copy: the baseline's copy is of no use."""
    try:
        now = snapshot(entry["path"])[0]
    except (BadInput, Refused) as error:
        found = [{"field": "kind", "before": "file", "after": error.what}]
    else:
        fields = FIELDS if now["present"] == entry["present"] else FIELDS[:1]
        found = [
            {"field": field, "before": entry[field], "after": now[field]}
            for field in fields
            if entry[field] != now[field]
        ]
    damage = _damage(service, entry)
    return [*found, {"field": "copy", "before": entry["copy"], "after": damage}] if damage else found


def _damage(service: str, entry: dict[str, Any]) -> str:
    try:
        copy_of(service, entry)
    except Damaged as error:
        return error.what
    return ""


_STATES = {"captured": _captured, "verified": _verified, "restored": _restored}
