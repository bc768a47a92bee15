# SPDX-License-Identifier: BSD-2-Clause
"""All checks of a service in one call, each in its own thread, with its own limit. Measurements only, no opinions."""

from __future__ import annotations

import threading
import time

from .errors import BadInput, CannotLook, OpsError
from .host import LocalHost, utc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Completed, Host

TYPES = (
    "backup_age",
    "command",
    "deleted_open",
    "descriptors",
    "disk",
    "dns",
    "file",
    "journal",
    "lease",
    "log",
    "memory",
    "mongodb",
    "oom_kills",
    "process",
    "reclaimable",
    "systemd_unit",
    "tcp_port",
    "unix_socket",
)
TIMEOUT = 5.0
GRACE = 0.5  # a collector that knows its limit may still be putting its answer together


def collector(kind: str) -> Any:
    """The module of a type of check; only those that are asked for are imported."""
    return __import__("%s.collectors.%s" % (__package__, kind), fromlist=["collect"])


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Measure.

    Args:
        params: `checks`: name -> {type, timeout (seconds), and the type's own arguments}.
        check: Check mode: what writes does not write.

    Returns:
        changed (false), taken_at (RFC 3339 UTC), measurements: name -> {data, missing, unknown, took_ms}.

    Raises:
        BadInput: A check of an unknown type, or with an argument that its type does not have.
    """
    plans = {name: plan(name, asked, check) for name, asked in params["checks"].items()}
    host = _SharingHost()
    return {"changed": False, "taken_at": utc(host.now()), "measurements": measure(host, plans)}


def plan(name: str, asked: Any, check: bool = False) -> tuple[Any, dict[str, Any]]:
    """The collector of a check and its arguments, complete and of the right types.

    Raises:
        BadInput: Names the check and the argument.
    """
    where = "check %s" % name
    if not isinstance(asked, dict):
        raise BadInput("is not a mapping", where, "Write {type: ..., and its arguments}.")
    kind = asked.get("type")
    if kind not in TYPES:
        raise BadInput("unknown type %r" % (kind,), where, "Known are %s." % ", ".join(TYPES))
    module = collector(str(kind))
    spec = dict(module.SPEC, type={"type": "str"}, timeout={"type": "float", "default": TIMEOUT})
    for option in asked:
        if option not in spec:
            known = ", ".join(sorted(spec))
            raise BadInput("unknown argument %r" % (option,), where, "A %s check has %s." % (kind, known))
    args = {option: _argument(where, option, spec[option], asked.get(option)) for option in spec}
    if not 0 < args["timeout"] <= 3600:
        raise BadInput("%g s is no limit" % args["timeout"], where + ", timeout", "Give seconds above 0, at most 3600.")
    try:
        module.verify(args)
    except BadInput as error:
        raise BadInput(error.what, "%s, %s" % (where, error.where), error.hint) from error
    if check and "write_check" in args:
        args["write_check"] = False
    return module, args


_ACCEPTED: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "list": list, "dict": dict, "bool": bool}
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


def _argument(where: str, option: str, spec: dict[str, Any], value: Any) -> Any:
    """One argument in its type."""
    where = "%s, %s" % (where, option)
    if value is None:
        if spec.get("required"):
            raise BadInput("is missing", where, str(spec["doc"]))
        return spec.get("default")
    kind = spec["type"]
    value = _from_text(kind, value) if isinstance(value, str) else value
    if not isinstance(value, _ACCEPTED[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise BadInput("%r is not of type %s" % (value, kind), where, str(spec.get("doc", "Correct it.")))
    if value not in spec.get("choices", [value]):
        raise BadInput("%r is none of %s" % (value, ", ".join(spec["choices"])), where, "Choose one of them.")
    return float(value) if kind == "float" else value


def _from_text(kind: str, text: str) -> Any:
    """Text for a number or a truth will do, because a variable given with -e is always text; a word for a list, too."""
    if kind == "bool":
        return _TRUTH.get(text.lower(), text)
    if kind == "list":
        return [text]
    try:
        return int(text) if kind == "int" else float(text) if kind == "float" else text
    except ValueError:
        return text


def measure(host: Host, plans: dict[str, tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    """Measurements by name, all at the same time; a collector that passes its limit is left behind: unknown."""
    slots: dict[str, list[dict[str, Any]]] = {name: [] for name in plans}
    began = time.monotonic()
    threads = []
    for name, (module, args) in plans.items():
        thread = threading.Thread(target=_measure_one, args=(host, module, args, slots[name]), daemon=True)
        thread.start()
        threads.append((thread, began + args["timeout"] + GRACE))
    for thread, end in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return {name: dict(slots[name][0]) if slots[name] else _late(plans[name][1]["timeout"]) for name in plans}


def _late(limit: float) -> dict[str, Any]:
    reason = "the look did not end within %g s" % limit
    return {"data": {}, "missing": [], "unknown": reason, "took_ms": round((limit + GRACE) * 1000, 1)}


def _measure_one(host: Host, module: Any, args: dict[str, Any], slot: list[dict[str, Any]]) -> None:
    began = time.monotonic()
    unknown = None
    found: dict[str, Any] = {"data": {}, "missing": []}
    try:
        found = module.collect(host, args)
        # what could not be determined has no value: a count over a part of the whole would look like an answer
        found["data"] = dict(dict.fromkeys(module.FIELDS), **found["data"])
        found["data"].update(dict.fromkeys(found["missing"]))
    except OpsError as error:
        unknown = str(error)
    except PermissionError as error:
        unknown = "%s may not be read by this user" % (error.filename or "something")
    except OSError as error:
        unknown = str(error)
    except Exception as error:  # one broken collector must not take the others' measurements along
        unknown = "%s: %s (this is a bug in the collector %s)" % (type(error).__name__, error, args["type"])
    slot.append(dict(found, unknown=unknown, took_ms=round((time.monotonic() - began) * 1000, 1)))


class _SharingHost(LocalHost):
    """The machine this runs on; checks of one probe that run the same command share its one answer."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._slots: dict[Any, tuple[threading.Lock, list[Any]]] = {}

    def run(self, argv: Any, timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        """See LocalHost.run."""
        with self._guard:
            lock, said = self._slots.setdefault((tuple(argv), stdin), (threading.Lock(), []))
        with lock:
            if not said:
                try:
                    said.append(super().run(argv, timeout, stdin))
                except CannotLook as error:
                    said.append(error)
        if isinstance(said[0], CannotLook):
            raise said[0]
        return said[0]  # type: ignore[no-any-return] # a slot holds an answer or why there is none
