# SPDX-License-Identifier: BSD-2-Clause
"""From MongoDB's replies to measurements. Pure."""

from __future__ import annotations

from ..bson import Milliseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

UNSUPPORTED = (59, 115, 238)  # CommandNotFound, CommandNotSupported, NotImplemented
_NO_OPTION = (9, 72, 40415)  # an option of the command is not known: FailedToParse, InvalidOptions, unknown field
_NO_COLLECTION = 26  # NamespaceNotFound
UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18
# SQLite's words (FerretDB), WiredTiger's, and mongod's error names for what it read back from disk
_DAMAGE = (
    "malformed",
    "file is not a database",
    "WT_PANIC",
    "WT_TRY_SALVAGE",
    "DataCorruptionDetected",
    "checksum error",
    "data corruption",
    "UnrecoverableRollback",
)
_LONGEST = 300

# field -> (step it comes from, how it is read from the reply)
_FROM: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "count": ("count", lambda reply: reply.get("n")),
    "read_documents": ("read", lambda reply: sum(one.get("n", 0) for one in _batch(reply))),
    "collections": ("listCollections", lambda reply: len(_batch(reply))),
    "indexes": ("listIndexes", lambda reply: [one.get("name") for one in _batch(reply)]),
    "data_bytes": ("collStats", lambda reply: reply.get("size")),
    "storage_bytes": ("collStats", lambda reply: reply.get("storageSize")),
    "validate_ok": ("validate", lambda reply: reply.get("valid") is True),
    "write_ok": ("write", lambda reply: not reply.get("writeErrors") and reply.get("n") == 1),
}
_TIMES = {"count_ms": "count", "read_ms": "read", "write_ms": "write", "ping_ms": "ping"}


def _batch(reply: dict[str, Any]) -> list[dict[str, Any]]:
    found = (reply.get("cursor") or {}).get("firstBatch")
    return found if isinstance(found, list) else []


def writable(hello: dict[str, Any]) -> bool:
    """Whether the server takes writes."""
    reply = hello.get("reply", {})
    return bool(reply.get("isWritablePrimary", reply.get("ismaster"))) and not reply.get("readOnly")


def index_of(replied: dict[str, Any] | None, field: str | None) -> str | None:
    """Name of an index over all documents that begins with field; None when there is none."""
    for index in _batch((replied or {}).get("reply", {})):
        key = index.get("key") or {}
        partial = any(index.get(word) for word in ("partialFilterExpression", "sparse", "hidden"))
        if field and next(iter(key), None) == field and key[field] in (1, -1) and not partial:
            return str(index["name"])
    return None


def read(replies: dict[str, Any], args: dict[str, Any], now: float, required: bool) -> dict[str, Any]:
    """Data and missing of a server that answered."""
    data: dict[str, Any] = dict(
        _greeting(replies), answered=True, authentication_required=required, errors=[], unsupported=[]
    )
    missing: list[str] = []
    for name, replied in replies.items():
        _note(name, replied, data)
    for field, (step, value) in _FROM.items():
        replied = replies.get(step, {"code": UNSUPPORTED[0]})
        data[field] = value(replied["reply"]) if "reply" in replied else None
        if data[field] is None and not _absent(step, replied):
            missing.append(field)
    _login(replies.get("login"), data, missing)
    data.update({field: replies[step]["ms"] for field, step in _TIMES.items() if "reply" in replies.get(step, {})})
    _works("read_ok", [replies[step] for step in ("count", "read") if step in replies], data, missing)
    _works("write_ok", [replies[step] for step in ("write",) if step in replies], data, missing)
    data["damaged"] = data["validate_ok"] is False or any(_tells_damage(one["message"]) for one in data["errors"])
    if "validate_ok" in missing and _tells_damage(str(replies["validate"].get("message"))):
        data["validate_ok"] = (
            False  # any other failure of validate, such as its time limit, says nothing about the data
        )
        missing.remove("validate_ok")
    if args["freshness_field"]:
        _freshness(replies.get("newest"), args["freshness_field"], now, data, missing)
    return {"data": data, "missing": missing}


def _login(replied: dict[str, Any] | None, data: dict[str, Any], missing: list[str]) -> None:
    """True when the server took the credentials, False when it refused them, missing when that could not be tried."""
    if replied is None:
        return
    if "reply" in replied or replied.get("code") == _AUTHENTICATION_FAILED:
        data["login_ok"] = "reply" in replied
    else:
        missing.append("login_ok")


def _tells_damage(message: str) -> bool:
    return any(words in message for words in _DAMAGE)


def _greeting(replies: dict[str, Any]) -> dict[str, Any]:
    hello, build = (replies[name].get("reply", {}) for name in ("hello", "buildInfo"))
    return {
        "version": build.get("version"),
        "writable": writable(replies["hello"]),
        "primary": hello.get("primary"),
        "secondary": bool(hello.get("secondary")),
        "set_name": hello.get("setName"),
    }


def _note(name: str, replied: dict[str, Any], data: dict[str, Any]) -> None:
    """Keep what went wrong: with the server, or only with this question."""
    failed = replied.get("reply", {}).get("writeErrors")
    if failed:
        replied = {"code": failed[0].get("code"), "message": str(failed[0].get("errmsg"))}
    if "message" not in replied:
        return
    if _absent(name, replied) and replied.get("code") != _NO_COLLECTION:
        data["unsupported"].append(name)
    else:
        message = replied["message"][:_LONGEST]
        data["errors"].append({"operation": name, "code": replied.get("code"), "message": message})


def _absent(name: str, replied: dict[str, Any]) -> bool:
    """Whether there is nothing to ask here: no such command, no such option of validate, no such collection."""
    code = replied.get("code")
    return code in UNSUPPORTED or code == _NO_COLLECTION or (name == "validate" and code in _NO_OPTION)


def _works(field: str, replied: list[dict[str, Any]], data: dict[str, Any], missing: list[str]) -> None:
    """True when all went well, False when one failed, missing when one could not be asked, None when none was."""
    asked = [one for one in replied if one.get("code") not in UNSUPPORTED]
    blind = [one for one in asked if one.get("code") == UNAUTHORIZED or one.get("lost") == "login"]
    if field in missing:
        missing.remove(field)
    if any("message" in one and one not in blind for one in asked):
        data[field] = False
    elif blind:
        missing.append(field)
    elif asked:
        data[field] = data.get(field) is not False
    else:
        data[field] = None


def _freshness(
    replied: dict[str, Any] | None, field: str, now: float, data: dict[str, Any], missing: list[str]
) -> None:
    """Age of the newest document; missing when no index serves: a scan would cost more than the answer is worth."""
    if not replied or "reply" not in replied:
        missing.append("freshness_seconds")
        return
    newest = _batch(replied["reply"])
    value = newest[0].get(field) if newest else None
    if isinstance(value, Milliseconds):
        data["freshness_seconds"] = round(now - value / 1000.0, 1)
    elif newest:
        missing.append("freshness_seconds")
