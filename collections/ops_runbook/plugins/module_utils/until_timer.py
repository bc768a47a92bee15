# SPDX-License-Identifier: BSD-2-Clause
"""The timer of systemd behind an `until:`, and what lies below /var/lib/ops-runbook/until for it; see until.py."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager

from . import managed_file
from .collectors._when import systemd_time
from .errors import OpsError, Refused
from .files import os_error, read_file, write_file
from .host import utc
from .locks import mutex
from .platforms.systemd import parse_show, unit_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from .host import Host
    from .managed_file import Content

UNITS = "/etc/systemd/system"
STAMPS = "/var/lib/systemd/timers"
NO_TIMER = {"there": False, "sha256": None, "content": None, "program": None}
WAIT = 900  # seconds that the act of a module, or of another timer, may take before this one
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_SERVICE = """\
[Unit]
Description=Put back what run %(run)s changed of %(unit)s until %(calendar)s
# Where a boot was late for it, the service is up first, or it would go on with what it had read.
After=%(after)s

[Service]
Type=oneshot
ExecStart="%(python)s" -I -B "%(program)s"
TimeoutStartSec=%(longest)d
"""
_TIMER = """\
[Unit]
Description=Put back what run %(run)s changed of %(unit)s until %(calendar)s

[Timer]
OnCalendar=%(calendar)s
AccuracySec=1s
Persistent=true

[Install]
WantedBy=timers.target
"""


def arm(host: Host, name: str, content: bytes, program: bytes) -> None:
    """Let a timer wait for what content says, and see that systemd lists it; one whose time has come is started.

    Raises:
        OpsError: It cannot be written, or systemd does not take it.
    """
    wanted, folder = parse_plan(content), managed_file.ensure_folder("until", name)
    text = {key: _escaped(str(wanted[key])) for key in ("run", "unit")}
    text["after"] = wanted["unit"]
    text["calendar"] = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(wanted["when"]))
    text["python"] = _escaped(sys.executable or "/usr/bin/python3")
    text["program"] = _escaped(os.path.join(folder, "undo.py"))
    write_file(os.path.join(folder, "undo.py"), program)
    write_file(os.path.join(folder, "plan.json"), content)
    _drop(os.path.join(folder, "result.json"))
    write_file(_unit_file(name, "service"), (_SERVICE % dict(text, longest=2 * WAIT)).encode("utf-8"), 0o644)
    write_file(_unit_file(name), (_TIMER % text).encode("utf-8"), 0o644)
    _systemctl(host, "daemon-reload")
    _systemctl(host, "enable", unit_of(name))
    _systemctl(host, "restart", unit_of(name))
    if waits(host, name) == wanted["when"]:
        return
    if time.time() < wanted["when"]:
        raise OpsError("systemd does not wait for it", unit_of(name), "Look at: systemctl status " + unit_of(name))
    _systemctl(host, "start", "--no-block", unit_of(name, "service"))  # its time was past before systemd knew of it


def waits(host: Host, name: str) -> float | None:
    """When systemd will start it, epoch seconds; None where it will not, not even after a reboot."""
    wanted = "ActiveState,UnitFileState,NextElapseUSecRealtime"
    shown = parse_show(_systemctl(host, "show", "-p", wanted, unit_of(name)))
    if (shown["ActiveState"], shown["UnitFileState"]) != ("active", "enabled"):
        return None
    return systemd_time(shown["NextElapseUSecRealtime"])


def disarm(host: Host, name: str) -> None:
    """Remove a timer and what it would have run.

    Raises:
        OpsError: systemd, or the operating system, does not let it go.
    """
    retire(host, name)
    for file in ("plan.json", "undo.py", "result.json"):
        _drop(os.path.join(folder_of(name), file))
    try:
        os.rmdir(folder_of(name))
    except OSError:  # a person left something there
        return


def retire(host: Host, name: str) -> None:
    """Remove the units of a timer; its folder stays."""
    if os.path.exists(_unit_file(name)):
        _systemctl(host, "disable", "--now", unit_of(name))
    _drop(_unit_file(name, "service"))
    _drop(os.path.join(STAMPS, "stamp-" + unit_of(name)))
    _drop(_unit_file(name))  # last: it is what says that there is one
    _systemctl(host, "daemon-reload")
    host.run(["systemctl", "reset-failed", unit_of(name), unit_of(name, "service")], 10.0)  # fails where none failed


def name_of(unit: str) -> str:
    """A unit's name as part of another unit's: an @ would make a template of it.

    Raises:
        BadInput: It cannot be the name of a unit.
    """
    stem = unit_name(unit)
    stem = stem[: -len(".service")] if stem.endswith(".service") else stem
    return "".join(letter if letter in _PLAIN else ":%02x" % ord(letter) for letter in stem)


def unit_of(name: str, kind: str = "timer") -> str:
    """The unit of a timer."""
    return "ops-runbook-until-%s.%s" % (name, kind)


def present(name: str) -> Content:
    """The plan of a timer that waits or has failed; None where there is none.

    Raises:
        OpsError: It is there and cannot be read.
    """
    return _content(name, "plan.json") if os.path.lexists(_unit_file(name)) else None


def program_of(name: str) -> Content:
    """What the timer runs; None where there is none."""
    return _content(name, "undo.py")


def state_of(content: Content, program: Content) -> dict[str, Any]:
    """{there, sha256, content, program} of a plan and what the timer runs."""
    there = content is not None
    sha256 = managed_file.sha256(content)
    return {"there": there, "sha256": sha256, "content": content, "program": program if there else None}


def parse_plan(content: bytes) -> dict[str, Any]:
    """{schema, unit, run, when (epoch seconds), steps} of a plan.

    Raises:
        Refused: It is damaged.
    """
    try:
        plan = json.loads(content)
        if not isinstance(plan["steps"], list) or not plan["when"] > 0 or not plan["unit"] or not plan["run"]:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        what = "the plan of a timer is damaged, so nobody knows what it would put back"
        raise Refused(what, os.path.join(managed_file.STATE, "until"), "Put it back by hand.") from None
    return dict(plan)


def when_of(content: bytes) -> str:
    """Until when a plan waits, RFC 3339 UTC."""
    return utc(parse_plan(content)["when"])


def changes_of(name: str, before: Content, after: Content) -> list[dict[str, Any]]:
    """[{object, before, after}] for people; [] where nothing changes."""
    told = [{"until": when_of(content)} if content is not None else None for content in (before, after)]
    thing = "timer %s" % unit_of(name)
    return [{"object": thing, "before": told[0], "after": told[1]}] if before != after else []


def steps_of(name: str, before: Content, program: Content, after: Content, run_id: str) -> list[dict[str, Any]]:
    """The undo step: the timer of before comes back with its program, or none."""
    asides = [_aside(name, file, data, run_id) for file, data in (("plan.json", before), ("undo.py", program))]
    step = {"kind": "timer", "name": name, "sha256": managed_file.sha256(after)}
    return [dict(step, aside=asides[0], program=asides[1])]


def keep(name: str, content: Content, run_id: str) -> None:
    """Keep a timer that is about to be replaced or removed, for its undo."""
    for file, data in (("plan.json", content), ("undo.py", None if content is None else program_of(name))):
        managed_file.put_aside(_aside(name, file, data, run_id), data)


def last_said(name: str) -> str:
    """What the timer did, for people; empty where it has not run."""
    said = _content(name, "result.json")
    result = json.loads(said) if said else None
    return "it ended at %s: %s" % (result["at"], result["message"]) if result else ""


_HELD: list[bool] = []  # by this process


@contextmanager
def alone() -> Iterator[None]:
    """One act with timers at a time on this host; a process may go in again.

    Raises:
        OpsError: Another one takes too long.
    """
    if _HELD:
        yield
        return
    with mutex(managed_file.ensure_folder("until"), WAIT):
        _HELD.append(True)
        try:
            yield
        finally:
            _HELD.pop()


def _aside(name: str, file: str, data: Content, run_id: str) -> str | None:
    return managed_file.aside_path(run_id, os.path.join(folder_of(name), file), data)


def _content(name: str, file: str) -> Content:
    try:
        return read_file(os.path.join(folder_of(name), file), managed_file.LIMIT)[0]
    except FileNotFoundError:
        return None


def folder_of(name: str) -> str:
    """Where its plan, program and result lie."""
    return os.path.join(managed_file.STATE, "until", name)


def _unit_file(name: str, kind: str = "timer") -> str:
    return os.path.join(UNITS, unit_of(name, kind))


def _escaped(text: str) -> str:
    """As part of a quoted argument in a unit file."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _drop(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise os_error(error, path) from None


def _systemctl(host: Host, *arguments: str) -> str:
    argv = ["env", "TZ=UTC", "systemctl", "--no-ask-password", "--no-pager", *arguments]
    done = host.run(argv, 60.0)
    if done.rc:
        raise OpsError("systemctl %s failed: %s" % (arguments[0], done.stderr.strip()), arguments[-1])
    return done.stdout
