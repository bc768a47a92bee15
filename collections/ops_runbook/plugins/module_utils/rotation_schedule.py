# SPDX-License-Identifier: BSD-2-Clause
"""Whether logrotate really runs: by whom it is started, when it last did, and how that ended.

A policy in place is worth nothing where nobody starts logrotate, and that is seen only when a disk is full.
"""

from __future__ import annotations

import os
import time

from .collectors._when import systemd_time
from .errors import CannotLook, OpsError
from .host import utc
from .platforms.systemd import parse_enablement, parse_show
from .rotation_look import finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host

TIMER = "logrotate.timer"
SERVICE = "logrotate.service"
LATE = 2 * 86400  # seconds without a run after which a daily schedule has failed
_CRON = ("/etc/cron.hourly/logrotate", "/etc/cron.daily/logrotate")
_CRON_UNITS = ("cron.service", "crond.service", "cronie.service", "anacron.timer")
_TIMER_ASKED = "LoadState,UnitFileState,ActiveState,NextElapseUSecRealtime"
_WAIT = 30.0  # seconds that a run which is due may take to begin and end


def look(host: Host, state_file: str) -> dict[str, Any]:
    """Who starts logrotate.

    Returns:
        by (timer|cron|None), unit, enabled, active, masked (of the timer; of cron whether its service runs), last_run
        (RFC 3339: when logrotate last wrote its state file; None: never), last_result (systemd's word for how it
        ended; None: not known), next_run (RFC 3339 or None), late (whether it has not run for two days).
    """
    last = _mtime(state_file)
    found = _by_timer(host) or _by_cron(host)
    late = last is not None and host.now() - last > LATE
    return dict(found, last_run=None if last is None else utc(last), late=late)


def _mtime(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def _by_timer(host: Host) -> dict[str, Any] | None:
    timer = _shown(host, TIMER, _TIMER_ASKED)
    if timer.get("LoadState") not in ("loaded", "masked"):
        return None
    following = systemd_time(timer.get("NextElapseUSecRealtime", ""))
    service = _shown(host, SERVICE, "Result,ExecMainExitTimestampMonotonic")
    return {
        "by": "timer",
        "unit": TIMER,
        **parse_enablement(timer),
        "masked": timer.get("LoadState") == "masked",
        "last_result": service.get("Result") if service.get("ExecMainExitTimestampMonotonic", "0") != "0" else None,
        "next_run": None if following is None else utc(following),
    }


def _by_cron(host: Host) -> dict[str, Any]:
    jobs = [path for path in _CRON if os.access(path, os.X_OK)]
    runs = [unit for unit in _CRON_UNITS if jobs and _shown(host, unit, "ActiveState").get("ActiveState") == "active"]
    return {
        "by": "cron" if jobs else None,
        "unit": runs[0] if runs else None,
        "enabled": bool(jobs),
        "active": bool(runs),
        "masked": False,
        "last_result": None,
        "next_run": None,
    }


def _shown(host: Host, unit: str, properties: str) -> dict[str, str]:
    """Properties of a unit; {} where there is no systemd."""
    try:
        done = host.run(["env", "TZ=UTC", "systemctl", "show", "--no-pager", "-p", properties, "--", unit], 10.0)
    except CannotLook:
        return {}
    return parse_show(done.stdout)


def problems(schedule: dict[str, Any], every: str | None) -> list[dict[str, Any]]:
    """What keeps logrotate from running; every is the policy's interval.

    Returns:
        Findings that a person has to see to. None blocks: the policy itself is right.
    """
    if schedule["by"] is None:
        hint = "Install cron, or a package of logrotate that brings %s." % TIMER
        return [finding("not_scheduled", TIMER, "nobody starts logrotate on this host", hint, False)]
    if schedule["masked"]:
        hint = "If that is over: systemctl unmask %s, then run again" % TIMER
        return [finding("not_scheduled", TIMER, "it is masked, which somebody did on purpose", hint, False)]
    if not (schedule["enabled"] and schedule["active"]):
        what = "it does not run" if schedule["by"] == "timer" else "cron does not run"
        where = schedule["unit"] or "cron"
        return [finding("not_scheduled", where, what, "systemctl enable --now %s" % where, False)]
    if schedule["last_result"] not in (None, "success"):
        what = "the last run of logrotate failed (%s)" % schedule["last_result"]
        return [finding("failed_run", SERVICE, what, "journalctl -u %s -n 20 --no-pager" % SERVICE, False)]
    if schedule["late"]:
        what = "logrotate has not run since %s" % schedule["last_run"]
        return [finding("not_run", schedule["unit"], what, "systemctl status %s %s" % (TIMER, SERVICE), False)]
    if every == "hourly" and _rare(schedule):
        what = "it starts logrotate once a day, so hourly is never met"
        return [finding("too_rare", schedule["unit"], what, "systemctl edit %s: OnCalendar=hourly" % TIMER, False)]
    return []


def _rare(schedule: dict[str, Any]) -> bool:
    """Whether the next run is more than an hour away; of cron its hourly job tells."""
    if schedule["by"] == "cron":
        return not os.access(_CRON[0], os.X_OK)
    return schedule["next_run"] is not None and schedule["next_run"] > utc(time.time() + 3660)


def mendable(schedule: dict[str, Any]) -> bool:
    """Whether enabling and starting the timer is what is missing."""
    idle = not (schedule["enabled"] and schedule["active"])
    return bool(schedule["by"] == "timer" and idle and not schedule["masked"])


def change_of(schedule: dict[str, Any]) -> dict[str, Any]:
    """The change: {object, before, after}."""
    before = {key: schedule[key] for key in ("enabled", "active")}
    return {"object": TIMER, "before": before, "after": {"enabled": True, "active": True}}


def step_of(schedule: dict[str, Any]) -> dict[str, Any]:
    """Its undo step."""
    change = change_of(schedule)
    return {"kind": "enablement", "name": TIMER, "state": change["before"], "expect": change["after"]}


def mend(host: Host, state_file: str, schedule: dict[str, Any]) -> dict[str, Any]:
    """Enable and start the timer; a run that is overdue begins at once (Persistent=) and is waited for.

    Returns:
        The schedule afterwards.

    Raises:
        OpsError: systemd refused, or the timer does not run afterwards.
    """
    done = host.run(["systemctl", "enable", "--now", "--", TIMER], 30.0)
    if done.rc:
        raise OpsError("cannot be enabled: %s" % done.stderr.strip(), TIMER, "systemctl status %s" % TIMER)
    now = look(host, state_file)
    until = time.monotonic() + (_WAIT if schedule["late"] else 0)
    while now["late"] and time.monotonic() < until:
        time.sleep(0.2)
        now = look(host, state_file)
    if not (now["enabled"] and now["active"]):
        raise OpsError("does not run although it was started", TIMER, "systemctl status %s" % TIMER)
    return now
