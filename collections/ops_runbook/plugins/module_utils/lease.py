# SPDX-License-Identifier: BSD-2-Clause
"""One remedy per target at a time, whichever controller it comes from: a lease on the target that ends by itself.

`/run/ops-runbook/<name>.json` says who holds it and until when, in seconds of CLOCK_BOOTTIME, which no clock step
moves, and when the last act began under it (`acted`, which the next run's lease takes over where this one was never
given back). Expiry is the release: a controller that dies releases nothing. An act that still runs when the lease
expires keeps others out by a shared flock on `<name>.lock`, which the kernel drops when the process ends. All changes
of the files happen under an exclusive flock on the directory.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager

from .errors import BadInput, OpsError, Refused
from .files import ensure_directory, os_error, write_file
from .holds import demand_none
from .host import utc
from .locks import boot_clock, mutex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

DIRECTORY = "/run/ops-runbook"
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_TEXTS = ("name", "run_id", "holder", "boot_id", "taken_at")
_NO_RUN = ("a lease belongs to a run, and there is no run id", "run_id", "Set run_id or OPS_RUNBOOK_RUN_ID.")
_NO_UNDO = {"kind": "none", "reason": "a lease ends by itself"}


class Seen:
    """What lies on the target for one lease, as the run `run_id` sees it.

    lease is the file's content, or None where there is none or it is of an earlier boot. left is the seconds until it
    expires, negative once it has. busy tells that an act under it is running.
    """

    def __init__(self, name: str, run_id: str, lease: dict[str, Any] | None, left: float, busy: bool) -> None:
        self.name, self.run_id, self.lease, self.left, self.busy = name, run_id, lease, left, busy
        self.mine = lease is not None and bool(run_id) and lease["run_id"] == run_id
        self.held = lease is not None and (left > 0 or busy)

    def view(self) -> dict[str, Any]:
        """{name, run_id, holder, expires_in (seconds), mine, held}; the three are None when nobody has it."""
        shown = self.lease if self.lease and (self.held or self.mine) else {}
        return {
            "name": self.name,
            "run_id": shown.get("run_id"),
            "holder": shown.get("holder"),
            "mine": self.mine,
            "held": self.held,
            "expires_in": max(0.0, round(self.left, 1)) if shown else None,
        }


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Take, renew, give back or look at a lease; see the documentation of target_lease."""
    try:
        return _run(params, check)
    except OpsError as error:
        nothing = Seen(params["name"], "", None, 0.0, False)
        error.result = dict(_view(nothing), **dict(error.result, message=str(error)))
        raise


def _run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    state, run_id = params["state"], params["run_id"] or ""
    name = lease_name(params["name"])
    if state != "read" and not run_id:
        raise BadInput(*_NO_RUN)
    if not 0 < params["ttl"] < float("inf"):
        raise BadInput("a lease cannot last %s s" % params["ttl"], "ttl", "Give the seconds until it ends by itself.")
    if state in ("acquired", "renewed") and not check:
        ensure_directory(DIRECTORY)
    with mutex(DIRECTORY):
        seen = look(name, run_id)
        if state == "acquired":
            return _acquire(seen, params["holder"], params["ttl"], check)
        if state == "renewed":
            return _renew(seen, params["ttl"], check)
        if state == "released":
            return _release(seen, check)
        return _result(seen, "the lease is held" if seen.held else "nobody holds the lease")


@contextmanager
def fence(lease: str, run_id: str | None, seconds: float) -> Iterator[None]:
    """Around every act: make sure that the run still holds the lease, and keep others out until the act ends.

    Args:
        lease: Name of the lease; empty means standalone, and nothing is done.
        run_id: The run that must hold it.
        seconds: How long the act may take; the lease is renewed to at least that.

    Raises:
        BadInput: There is no run id, or the name cannot be one.
        Refused: The lease is missing, expired, unreadable or another run's, or a person has set a hold meanwhile.
    """
    if not lease:
        yield
        return
    if not run_id:
        raise BadInput(*_NO_RUN)
    demand_none()
    with mutex(DIRECTORY):
        seen = look(lease_name(lease), run_id)
        _demand(seen)
        _write(seen, dict(_extended(seen, seconds), acted=boot_clock()[1]))
        lock = _lock_act(seen.name)
    try:
        yield
    finally:
        os.close(lock)


def lease_name(text: str) -> str:
    """A lease's name from a target such as db1/mongodb: the slash becomes an underscore.

    Raises:
        BadInput: Not 1 to 64 of A-Z a-z 0-9 . _ - after that, or it begins with a dot.
    """
    name = text.replace("/", "_")
    if not 1 <= len(name) <= 64 or name[0] == "." or not _LETTERS.issuperset(name):
        raise BadInput(
            "%r cannot be the name of a lease" % text,
            "name",
            "Use 1 to 64 letters, digits, '.', '_', '-', not beginning with a dot.",
        )
    return name


def look(name: str, run_id: str) -> Seen:
    """What lies on the target for the lease name; call it under the mutex.

    Raises:
        Refused: The file is not a lease.
        OpsError: It cannot be read.
    """
    path = _path(name)
    try:
        with open(path, "rb") as stream:
            lease = parse_lease(stream.read(65536), path)
    except FileNotFoundError:
        return Seen(name, run_id, None, 0.0, False)
    except OSError as error:
        raise os_error(error, path) from None
    boot_id, now = boot_clock()
    if lease["boot_id"] != boot_id:
        return Seen(name, run_id, None, 0.0, False)
    return Seen(name, run_id, lease, lease["expires"] - now, _busy(name))


def parse_lease(data: bytes, path: str) -> dict[str, Any]:
    """The lease in a file's content.

    Raises:
        Refused: It is not one; guessing could let two runs act at once.
    """
    try:
        lease = json.loads(data)
        if not all(isinstance(lease[field], str) for field in _TEXTS) or not 0 <= lease["expires"] < float("inf"):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused(
            "the lease file is damaged, so nobody can tell who holds it",
            path,
            "See that no run is active on this host, then: rm %s" % path,
        ) from None
    return dict(lease)


def _path(name: str, suffix: str = ".json") -> str:
    return os.path.join(DIRECTORY, name + suffix)


def _busy(name: str) -> bool:
    """Whether an act holds the shared flock; only asked under the mutex, so that the probe itself disturbs nobody."""
    import fcntl

    try:
        lock = os.open(_path(name, ".lock"), os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise os_error(error, _path(name, ".lock")) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _lock_act(name: str) -> int:
    import fcntl

    try:
        lock = os.open(_path(name, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise os_error(error, _path(name, ".lock")) from None
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def _demand(seen: Seen) -> None:
    """Raise Refused unless the lease is the run's own and unexpired."""
    problem = _held_by_another(seen)
    if problem is None and not seen.mine:
        problem = Refused("this run does not hold the lease %s" % seen.name, hint="Acquire it first: target_lease.")
    if problem is None and seen.left <= 0:
        problem = Refused(
            "the lease %s ended %.0f s ago" % (seen.name, -seen.left),
            hint="Acquire it again and look again before acting: another run may have acted since.",
        )
    if problem is not None:
        problem.result = _view(seen)
        raise problem


def _held_by_another(seen: Seen) -> Refused | None:
    """Who holds it, for how long, and what to do; None where nobody else does."""
    if seen.mine or not seen.held or not seen.lease:
        return None
    who = "%s (run %s)" % (seen.lease["holder"] or "another run", seen.lease["run_id"])
    if seen.left > 0:
        return Refused(
            "the lease %s is held by %s for another %.0f s" % (seen.name, who, seen.left),
            hint="Wait for that run to end; if it is dead, the lease ends by itself.",
        )
    return Refused(
        "the lease %s of %s has ended, but its act is still running" % (seen.name, who),
        hint="Wait for the act to end, or see what it does: fuser -v %s" % _path(seen.name, ".lock"),
    )


def _view(seen: Seen) -> dict[str, Any]:
    return {"changed": False, "changes": [], "undo": _NO_UNDO, "lease": seen.view()}


def _result(seen: Seen, message: str, changed: bool = False, before: Any = None, after: Any = None) -> dict[str, Any]:
    changes = [{"object": "lease %s" % seen.name, "before": before, "after": after}] if changed else []
    return dict(_view(seen), changed=changed, changes=changes, message=message)


def _acquire(seen: Seen, holder: str, ttl: float, check: bool) -> dict[str, Any]:
    if seen.mine:
        return _kept(seen, ttl, check, "the run already holds the lease")
    problem = _held_by_another(seen)
    if problem is not None:
        problem.result = _view(seen)
        raise problem
    boot_id, now = boot_clock()
    taken = {
        "name": seen.name,
        "run_id": seen.run_id,
        "holder": holder,
        "boot_id": boot_id,
        "expires": now + ttl,
        "taken_at": utc(time.time()),
    }
    if seen.lease and "acted" in seen.lease:  # under a lease that was never given back: that run broke off
        taken["acted"] = seen.lease["acted"]
    if not check:
        _write(seen, taken)
    message = "the lease is taken for %g s" % ttl
    before = _who(seen.lease)  # an ended lease of somebody else
    return _result(Seen(seen.name, seen.run_id, taken, ttl, False), message, True, before, _who(taken))


def _renew(seen: Seen, ttl: float, check: bool) -> dict[str, Any]:
    _demand(seen)
    return _kept(seen, ttl, check, "the lease is renewed")


def _kept(seen: Seen, ttl: float, check: bool, message: str) -> dict[str, Any]:
    """Renewing is no change: who holds the lease stays the same."""
    lease = _extended(seen, ttl)
    if not check:
        _write(seen, lease)
    return _result(Seen(seen.name, seen.run_id, lease, max(seen.left, ttl), seen.busy), message)


def _release(seen: Seen, check: bool) -> dict[str, Any]:
    if not seen.mine:
        return _result(seen, "the lease is not this run's, nothing to release")
    if not check:
        try:
            os.unlink(_path(seen.name))
        except OSError as error:
            raise os_error(error, _path(seen.name)) from None
    return _result(Seen(seen.name, seen.run_id, None, 0.0, False), "the lease is released", True, _who(seen.lease))


def _who(lease: dict[str, Any] | None) -> dict[str, Any] | None:
    return {"run_id": lease["run_id"], "holder": lease["holder"]} if lease else None


def _extended(seen: Seen, seconds: float) -> dict[str, Any]:
    """The run's lease, lasting at least seconds from now; never shortened, because an outer act may count on it."""
    return dict(seen.lease or {}, expires=boot_clock()[1] + max(seen.left, seconds))


def _write(seen: Seen, lease: dict[str, Any]) -> None:
    write_file(_path(seen.name), json.dumps(lease, sort_keys=True).encode("ascii"))
