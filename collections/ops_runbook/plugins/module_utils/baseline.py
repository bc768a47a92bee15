# SPDX-License-Identifier: BSD-2-Clause
"""What a service's configuration was while it was well: kept on the target, compared with it, put back from it.

`baseline/<service>/manifest.json` (schema ops.runbook/baseline/1) names the files and their copies; a copy is called after
the SHA-256 of its content. Copies are written first and the manifest last, in one step, so there is never half a
baseline. The copies of the manifest before stay, so that capturing can be undone.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time

from .errors import BadInput, OpsError, Refused
from .files import account_ids, ensure_directory, os_error, read_file, replace_file, resolved, write_file
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
_DIFF_LINES, _DIFF_BYTES = 4000, 16384
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@._-")
_FIELDS = ("present", "sha256", "mode", "owner", "group")
_HINT = "ansible-playbook playbooks/baseline.yml"
_NOTHING = {"kind": "none", "reason": "nothing was changed"}


class NoBaseline(OpsError):
    """No baseline of the service was ever taken on this target."""


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Capture, verify or restore.

    Returns:
        changed, changes, undo, message, diff ({} or {prepared: unified diff}), files ([{path, present, sha256, mode, owner,
        group, drifted, drift}]), aside (path of the replaced file's copy, or None), captured_at (RFC 3339, or None).
    """
    empty = {"changed": False, "changes": [], "undo": _NOTHING, "message": "", "diff": {}, "files": [], "aside": None,
             "captured_at": None}
    try:
        _name(params["service"], "service")
        _name(params["run_id"] or "x", "run_id")
        states = {"captured": _captured, "verified": _verified, "restored": _restored}
        return dict(empty, **states[params["state"]](params, check))
    except OpsError as error:
        error.result = dict({key: error.result.get(key, value) for key, value in empty.items()}, message=str(error))
        raise


def _name(text: str, option: str) -> None:
    """Names that become part of a path are harmless ones."""
    if not 1 <= len(text) <= 100 or text[0] in ".-" or not _LETTERS.issuperset(text):
        raise BadInput("%r cannot be the name of a folder" % text, option, "Use letters, digits and @ . _ - only.")


def _folder(service: str) -> str:
    return os.path.join(STATE, "baseline", service)


def _ensure(*parts: str) -> str:
    """STATE and each folder below it, every one of them ours."""
    path = STATE
    ensure_directory(path)
    for part in parts:
        path = os.path.join(path, part)
        ensure_directory(path)
    return path


# ---- looking

def _snapshot(path: str) -> tuple[dict[str, Any], Content]:
    """What path is now: {path, present, sha256, mode, owner, group}, the last four None when absent, and its content."""
    real = _real(path)
    try:
        data, seen = read_file(real, _LIMIT)
    except FileNotFoundError:
        return {"path": path, "present": False, "sha256": None, "mode": None, "owner": None, "group": None}, None
    found = file_stat(seen)
    return {"path": path, "present": True, "sha256": _sha256(data), "mode": found.mode, "owner": found.owner,
            "group": found.group}, data


def _real(path: str) -> str:
    if not path.startswith("/") or ".." in path.split("/") or path.endswith("/"):
        raise BadInput("is not the absolute path of a file", path, "Write it in full.")
    return resolved(path)


def _sha256(data: Content) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[field] == other[field] for field in _FIELDS)


def _shown(entry: dict[str, Any] | None) -> dict[str, Any] | None:
    """An entry as before or after in a change; None where there is no file."""
    return {field: entry[field] for field in _FIELDS[1:]} if entry and entry["present"] else None


def _manifest(service: str) -> dict[str, Any]:
    """The service's baseline.

    Raises:
        NoBaseline: There is none.
        OpsError: It cannot be read or is damaged.
    """
    path = os.path.join(_folder(service), "manifest.json")
    try:
        return parse_manifest(read_file(path, _LIMIT)[0], path)
    except FileNotFoundError:
        raise NoBaseline("there is no baseline of %s on this target" % service, path, _HINT) from None


def parse_manifest(data: bytes, path: str) -> dict[str, Any]:
    """The manifest in a file's content: {schema, service, captured_at, files: [{path, ..., copy}]}.

    Raises:
        OpsError: It is not one.
    """
    try:
        manifest = json.loads(data.decode("utf-8"))
        if manifest["schema"] != SCHEMA:
            raise ValueError
        for entry in manifest["files"]:
            if {*_FIELDS, "path", "copy"} - set(entry) or entry["copy"] != entry["sha256"]:
                raise ValueError
    except (ValueError, KeyError, TypeError):
        raise OpsError("the baseline's manifest is damaged", path, "Take it again: " + _HINT) from None
    return dict(manifest)


def _copy(service: str, entry: dict[str, Any]) -> Content:
    """A copy's content, proven to be what was captured.

    Raises:
        Refused: It is missing or damaged.
    """
    if not entry["present"]:
        return None
    path = os.path.join(_folder(service), str(entry["copy"]))
    try:
        data = read_file(path, _LIMIT)[0]
    except FileNotFoundError:
        data = b""
    if _sha256(data) != entry["sha256"]:
        raise Refused("the baseline's copy of %s is missing or damaged" % entry["path"], path, "Take it again: " + _HINT)
    return data


# ---- capture

def _captured(params: dict[str, Any], check: bool) -> dict[str, Any]:
    service, paths = params["service"], list(dict.fromkeys(params["files"]))
    if not paths:
        raise BadInput("names no file", "files", "Name the service's configuration files.")
    seen = [_snapshot(path) for path in paths]
    entries = [dict(entry, copy=entry["sha256"]) for entry, _data in seen]
    old = _earlier(service)
    if old and old["files"] == entries and _intact(service, entries):
        return {"files": _files(entries), "captured_at": old["captured_at"], "message": "the baseline is as captured"}
    manifest = {"schema": SCHEMA, "service": service, "captured_at": utc(time.time()), "files": entries}
    plan = _plan_capture(params, old, manifest)
    if not check:
        with fence(params["lease"], params["run_id"], SECONDS):
            _store(service, plan, {str(entry["sha256"]): data for entry, data in seen if data is not None})
    return plan["result"]


def _earlier(service: str) -> dict[str, Any] | None:
    """The baseline so far; a damaged one counts as none, since it is about to be replaced."""
    try:
        return _manifest(service)
    except (NoBaseline, BadInput):
        return None
    except OpsError as error:
        if "damaged" in error.what:
            return None
        raise


def _intact(service: str, entries: list[dict[str, Any]]) -> bool:
    try:
        return all(_copy(service, entry) is not None for entry in entries if entry["present"])
    except OpsError:
        return False


def _plan_capture(params: dict[str, Any], old: dict[str, Any] | None, manifest: dict[str, Any]) -> dict[str, Any]:
    """data (the manifest to write), before (the manifest that it replaces), keep (copies), result (the answer)."""
    service, path = params["service"], os.path.join(_folder(params["service"]), "manifest.json")
    was = {entry["path"]: entry for entry in old["files"]} if old else {}
    now = {entry["path"]: entry for entry in manifest["files"]}
    changes = [{"object": "baseline of %s: %s" % (service, one), "before": _shown(was.get(one)), "after": _shown(now.get(one))}
               for one in {**was, **now} if was.get(one) != now.get(one)]
    before = _text(old) if old else None
    aside = _aside(params, path, before)
    data = _text(manifest)
    result = {"changed": True, "changes": changes, "files": _files(manifest["files"]), "aside": aside,
              "captured_at": manifest["captured_at"], "undo": _undo(path, aside, data, (os.geteuid(), os.getegid(), "0600")),
              "message": "%d files of %s are the baseline now" % (len(now), service)}
    keep = {str(entry["copy"]) for entry in [*was.values(), *now.values()]}
    return {"data": data, "before": before, "keep": keep, "result": result}


def _text(manifest: dict[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode("ascii")


def _store(service: str, plan: dict[str, Any], contents: dict[str, bytes]) -> None:
    folder = _ensure("baseline", service)
    with mutex(folder):
        for name, data in contents.items():
            write_file(os.path.join(folder, name), data)
        _put_aside(plan["result"]["aside"], plan["before"])
        write_file(os.path.join(folder, "manifest.json"), plan["data"])
        for name in set(os.listdir(folder)) - plan["keep"] - {"manifest.json"}:
            os.unlink(os.path.join(folder, name))


def _files(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [dict({field: entry[field] for field in ("path", *_FIELDS)}, drifted=False, drift=[]) for entry in entries]


# ---- verify

def _verified(params: dict[str, Any], check: bool) -> dict[str, Any]:  # noqa: ARG001 - looking is the same in check mode
    manifest = _manifest(params["service"])
    files = [_drift(params["service"], entry) for entry in manifest["files"]]
    said = ["%s (%s)" % (one["path"], ", ".join(field["field"] for field in one["drift"])) for one in files if one["drifted"]]
    message = "differs from the baseline: " + "; ".join(said) if said else "%d files are as in the baseline" % len(files)
    return {"files": files, "captured_at": manifest["captured_at"], "message": message}


def _drift(service: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The baseline's entry with drifted, and drift: [{field, before, after}]; field copy tells that it is of no use."""
    drift = []
    try:
        now = _snapshot(entry["path"])[0]
        fields = ["present"] if now["present"] != entry["present"] else _FIELDS
        drift = [{"field": field, "before": entry[field], "after": now[field]}
                 for field in fields if entry[field] != now[field]]
    except (BadInput, Refused) as error:
        drift = [{"field": "kind", "before": "file", "after": error.what}]
    try:
        _copy(service, entry)
    except Refused as error:
        drift.append({"field": "copy", "before": entry["copy"], "after": error.what})
    return dict({field: entry[field] for field in ("path", *_FIELDS)}, drifted=bool(drift), drift=drift)


# ---- restore

def _restored(params: dict[str, Any], check: bool) -> dict[str, Any]:
    path = params["path"]
    now, data = _snapshot(path)
    wanted, candidate, captured_at = _wanted(params, now)
    answer = {"files": _files([wanted]), "captured_at": captured_at}
    if _same(now, wanted):
        return dict(answer, message="%s is as wanted" % path)
    if wanted["present"]:
        account_ids(wanted["owner"], wanted["group"])  # an account that is gone stops it before anything is touched
        _validate(params["validate"], candidate, path)
    aside = _aside(params, path, data)
    owner = tuple(account_ids(now["owner"], now["group"])) + (now["mode"],)
    changes = [{"object": path, "before": _shown(now), "after": _shown(wanted)}]
    answer.update(changed=True, changes=changes, aside=aside, undo=_undo(path, aside, candidate, owner),
                  message="%s is as in %s again" % (path, "the inventory" if params["content"] else "the baseline"),
                  diff={} if params["content"] else _diff(path, data, candidate))
    if not check:
        with fence(params["lease"], params["run_id"], SECONDS):
            _put_back(path, now, wanted, candidate, (aside, data))
            _prove(path, wanted, answer)
    return answer


def _wanted(params: dict[str, Any], now: dict[str, Any]) -> tuple[dict[str, Any], Content, str | None]:
    """The entry and the content that the file ought to have, and when that was captured."""
    path = params["path"]
    if params["content"] is None:
        manifest = _manifest(params["service"])
        entry = next((one for one in manifest["files"] if one["path"] == path), None)
        if entry is None:
            raise BadInput("is not in the baseline of %s" % params["service"], path,
                           "In it are: %s" % ", ".join(one["path"] for one in manifest["files"]))
        return entry, _copy(params["service"], entry), manifest["captured_at"]
    if not params["content"].strip():
        raise BadInput("is empty", "content", "Leave it out to restore from the baseline.")
    data = params["content"].encode("utf-8")
    return dict(_declared(params, now), path=path, present=True, sha256=_sha256(data)), data, None


def _declared(params: dict[str, Any], now: dict[str, Any]) -> dict[str, str]:
    """owner, group and mode of declared content: from the options, else the baseline, else the file as it is."""
    old = _earlier(params["service"])
    known = next((one for one in old["files"] if one["path"] == params["path"] and one["present"]), now) if old else now
    found = {field: params[field] or known[field] for field in ("owner", "group", "mode")}
    if None in found.values():
        raise BadInput("there is neither a file nor a baseline that tells its owner and mode", params["path"],
                       "Set owner, group and mode.")
    if not (len(found["mode"]) == 4 and set(found["mode"]) <= set("01234567")):
        raise BadInput("%r is not an octal mode of four digits" % found["mode"], "mode", "Write it quoted: '0640'.")
    return found


def _validate(argv: list[str] | None, candidate: Content, path: str) -> None:
    """Let a command judge the candidate, in a folder that nobody else can enter, under the file's own name."""
    if not argv:
        return
    if not any("%s" in part for part in argv):
        raise BadInput("has no %s for the candidate", "validate", "Put %s where the file's name belongs.")
    base = "/run" if os.access("/run", os.W_OK) else "/tmp"  # noqa: S108 - mkdir fails if it is there
    folder = "%s/ops-runbook-candidate-%s" % (base, os.urandom(8).hex())
    file = os.path.join(folder, os.path.basename(path))
    try:
        os.mkdir(folder, 0o700)
        try:
            write_file(file, candidate or b"")
            _demand_valid([part.replace("%s", file) for part in argv], path)
        finally:
            _remove(file)
            os.rmdir(folder)
    except OSError as error:
        raise os_error(error, folder) from None


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def _demand_valid(argv: list[str], path: str) -> None:
    from .host import LocalHost
    from .redact import redact

    done = LocalHost().run(argv, timeout=60)
    if done.rc:
        lines = redact(done.stdout + "\n" + done.stderr).split("\n")
        said = " | ".join(line.strip() for line in lines if line.strip())[-500:]
        raise Refused("what would be put back does not pass %s (exit code %d): %s" % (argv[0], done.rc, said or "no message"),
                      path, "Correct the declared file, or take a new baseline once the service is well.")


def _aside(params: dict[str, Any], path: str, data: Content) -> str | None:
    """Where the present content goes: below the run, and never over another content."""
    if data is None:
        return None
    name = "%s.%s" % (path.strip("/").replace("/", "_")[-150:], str(_sha256(data))[:16])
    return os.path.join(STATE, "undo", params["run_id"] or "standalone", name)


def _undo(path: str, aside: str | None, after: Content, owner: tuple[Any, ...]) -> dict[str, Any]:
    """Put aside back at path (remove path when aside is None) while its content still has sha256 (None: no file)."""
    uid, gid, mode = owner if aside else (None, None, None)
    return {"kind": "file", "path": path, "aside": aside, "sha256": _sha256(after), "uid": uid, "gid": gid, "mode": mode}


def _put_aside(aside: str | None, data: Content) -> None:
    if aside is not None and data is not None:
        _ensure("undo", os.path.basename(os.path.dirname(aside)))
        write_file(aside, data)


def _put_back(path: str, now: dict[str, Any], wanted: dict[str, Any], candidate: Content,
              aside: tuple[str | None, Content]) -> None:
    if not _same(_snapshot(path)[0], now):
        raise Refused("somebody changed it a moment ago", path, "See who, then run again.")
    _put_aside(*aside)
    if candidate is None:
        os.unlink(_real(path))
        return
    uid, gid = account_ids(wanted["owner"], wanted["group"])
    replace_file(_real(path), candidate, int(wanted["mode"], 8), uid, gid)


def _prove(path: str, wanted: dict[str, Any], answer: dict[str, Any]) -> None:
    """A write that was not read back did not happen."""
    if not _same(_snapshot(path)[0], wanted):
        raise OpsError("is not what was written", path, "Look what else writes it.", answer)


def _diff(path: str, before: Content, after: Content) -> dict[str, str]:
    """{prepared: unified diff} with secrets masked before comparing; a change of nothing but a secret shows no lines."""
    from difflib import unified_diff

    from .redact import redact

    try:
        old, new = (redact((data or b"").decode("utf-8")).splitlines(True) for data in (before, after))
    except UnicodeDecodeError:
        return {"prepared": "%s: not text\n" % path}
    if len(old) + len(new) > _DIFF_LINES:
        return {"prepared": "%s: %d and %d lines are too many to compare here\n" % (path, len(old), len(new))}
    text = "".join(line if line.endswith("\n") else line + "\n"
                   for line in unified_diff(old, new, path + " (before)", path + " (after)"))
    if len(text) > _DIFF_BYTES:
        text = text[:_DIFF_BYTES].rpartition("\n")[0] + "\n... (%d characters more)\n" % (len(text) - _DIFF_BYTES)
    return {"prepared": text}
