# SPDX-License-Identifier: BSD-2-Clause
"""What a service's configuration was while it was well: kept on the target, compared with it, put back from it.

`baseline/<service>/manifest.json` (schema ops.runbook/baseline/1) names the files and their copies; a copy is called
after the SHA-256 of its content. Copies are written first and the manifest last, in one step, so there is never half a
baseline. The copies of the manifest before stay, so that capturing can be undone.
"""

from __future__ import annotations

import hashlib
import json
import os
import time

from .errors import BadInput, OpsError, Refused
from .files import ensure_directory, read_file, resolved, write_file
from .host import file_stat, utc
from .lease import fence
from .locks import mutex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    Content = Optional[bytes]  # None: there is no such file

STATE = "/var/lib/ops-runbook"
SCHEMA = "ops.runbook/baseline/1"
SECONDS = 120
_LIMIT = 8388608  # bytes of one file; what is larger is no configuration
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@._-")
_FIELDS = ("present", "sha256", "mode", "owner", "group")
_HINT = "ansible-playbook playbooks/baseline.yml"
_NOTHING = {"kind": "none", "reason": "nothing was changed"}


class NoBaseline(OpsError):
    """No baseline of the service was ever taken on this target."""


class Damaged(OpsError):
    """The baseline is there but cannot be used."""


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Capture, verify or restore.

    Returns:
        changed, changes, undo, message, diff ({} or {prepared: unified diff}), files ([{path, present, sha256, mode,
        owner, group, drifted, drift}]), aside (where the replaced file lies, or None), captured_at (RFC 3339, or None).
    """
    empty = {
        "changed": False,
        "changes": [],
        "undo": _NOTHING,
        "message": "",
        "diff": {},
        "files": [],
        "aside": None,
        "captured_at": None,
    }
    try:
        _demand_name(params["service"], "service")
        _demand_name(params["run_id"] or "standalone", "run_id")
        return dict(empty, **_STATES[params["state"]](params, check))
    except OpsError as error:
        error.result = dict({key: error.result.get(key, value) for key, value in empty.items()}, message=str(error))
        raise


def _demand_name(text: str, option: str) -> None:
    """What becomes part of a path must be harmless there."""
    if not 1 <= len(text) <= 100 or text[0] in ".-" or not _LETTERS.issuperset(text):
        raise BadInput("%r cannot be the name of a folder" % text, option, "Use letters, digits and @ . _ - only.")


def _restored(params: dict[str, Any], check: bool) -> dict[str, Any]:
    from .restoring import restored

    return restored(params, check)


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
    return all(one[field] == other[field] for field in _FIELDS)


def shown(entry: dict[str, Any] | None) -> dict[str, Any] | None:
    """A snapshot as before or after in a change; None where there is no file."""
    return {field: entry[field] for field in _FIELDS[1:]} if entry and entry["present"] else None


def listed(entry: dict[str, Any], drift: list[dict[str, Any]]) -> dict[str, Any]:
    """An entry of a manifest as it is returned in files."""
    return dict({field: entry[field] for field in ("path", *_FIELDS)}, drifted=bool(drift), drift=drift)


def load(service: str) -> dict[str, Any]:
    """The service's baseline: {schema, service, captured_at, files: [snapshot and copy]}.

    Raises:
        NoBaseline: There is none.
        Damaged: There is one, but not a readable one.
        OpsError: This user may not look.
    """
    path = os.path.join(_folder(service), "manifest.json")
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
            if {*_FIELDS, "path", "copy"} - set(entry) or entry["copy"] != entry["sha256"]:
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
    path = os.path.join(_folder(service), str(entry["copy"]))
    try:
        data = read_file(path, _LIMIT)[0]
    except FileNotFoundError:
        data = b""
    if sha256(data) != entry["sha256"]:
        what = "the baseline's copy of %s is missing or damaged" % entry["path"]
        raise Damaged(what, path, "Take it again: " + _HINT)
    return data


def _folder(service: str) -> str:
    return os.path.join(STATE, "baseline", service)


def _captured(params: dict[str, Any], check: bool) -> dict[str, Any]:
    service, paths = params["service"], list(dict.fromkeys(params["files"]))
    if not paths:
        raise BadInput("names no file", "files", "Name the service's configuration files.")
    seen = [snapshot(path) for path in paths]
    entries = [dict(entry, copy=entry["sha256"]) for entry, _data in seen]
    old = earlier(service)
    if old and old["files"] == entries and not any(_damage(service, entry) for entry in entries):
        return {
            "files": [listed(entry, []) for entry in entries],
            "captured_at": old["captured_at"],
            "message": "the baseline of %s is up to date" % service,
        }
    manifest = {"schema": SCHEMA, "service": service, "captured_at": utc(time.time()), "files": entries}
    plan = _plan(params, old, manifest)
    if not check:
        with fence(params["lease"], params["run_id"], SECONDS):
            _store(service, plan, {str(entry["sha256"]): data for entry, data in seen if data is not None})
    return dict(plan["result"])


def _plan(params: dict[str, Any], old: dict[str, Any] | None, manifest: dict[str, Any]) -> dict[str, Any]:
    """{data: the manifest to write, before: the one that it replaces, keep: names of copies, result: the answer}."""
    service, path = params["service"], os.path.join(_folder(params["service"]), "manifest.json")
    was = {entry["path"]: entry for entry in old["files"]} if old else {}
    now = {entry["path"]: entry for entry in manifest["files"]}
    changes = [
        {"object": "baseline of %s: %s" % (service, one), "before": shown(was.get(one)), "after": shown(now.get(one))}
        for one in {**was, **now}
        if was.get(one) != now.get(one)
    ]
    before, data = _text(old) if old else None, _text(manifest)
    aside = aside_path(params, path, before)
    owner = (os.geteuid(), os.getegid(), "0600")
    result = {
        "changed": True,
        "changes": changes,
        "files": [listed(entry, []) for entry in manifest["files"]],
        "aside": aside,
        "captured_at": manifest["captured_at"],
        "undo": undo(path, aside, data, owner),
        "message": "%d file(s) are the baseline of %s now" % (len(now), service),
    }
    return {
        "data": data,
        "before": before,
        "result": result,
        "keep": {str(entry["copy"]) for entry in [*was.values(), *now.values()]},
    }


def _text(manifest: dict[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode("ascii")


def _store(service: str, plan: dict[str, Any], contents: dict[str, bytes]) -> None:
    folder = _ensure("baseline", service)
    with mutex(folder):
        for name, data in contents.items():
            write_file(os.path.join(folder, name), data)
        put_aside(plan["result"]["aside"], plan["before"])
        write_file(os.path.join(folder, "manifest.json"), plan["data"])
        for name in set(os.listdir(folder)) - plan["keep"] - {"manifest.json"}:
            os.unlink(os.path.join(folder, name))


def _ensure(*parts: str) -> str:
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
        _ensure("undo", os.path.basename(os.path.dirname(aside)))
        write_file(aside, data)


def undo(
    path: str, aside: str | None, after: Content, owner: tuple[int | None, int | None, str | None]
) -> dict[str, Any]:
    """Put aside back, or remove path where aside is None, while path's content still has sha256 (None: no file)."""
    uid, gid, mode = owner if aside else (None, None, None)
    return {"kind": "file", "path": path, "aside": aside, "sha256": sha256(after), "uid": uid, "gid": gid, "mode": mode}


def _verified(params: dict[str, Any], check: bool) -> dict[str, Any]:
    manifest = load(params["service"])
    files = [listed(entry, _drift(params["service"], entry)) for entry in manifest["files"]]
    said = [
        "%s (%s)" % (one["path"], ", ".join(drift["field"] for drift in one["drift"])) for one in files if one["drift"]
    ]
    good = "%d file(s) are as in the baseline" % len(files)
    return {
        "files": files,
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
        fields = _FIELDS if now["present"] == entry["present"] else _FIELDS[:1]
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
