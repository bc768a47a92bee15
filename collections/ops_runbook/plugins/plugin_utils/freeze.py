# SPDX-License-Identifier: GPL-3.0-or-later
"""Freeze windows: times in which nothing is changed unless somebody breaks the glass. Data of the inventory; pure.

A window is `{from, to, reason}` with RFC 3339 moments, or weekly `{days: [mon, ...], from: "22:00", to: "06:00",
timezone: Europe/Berlin, reason}`. A weekly one belongs to the day on which it begins, and may end on the next.
"""

from __future__ import annotations

import re
import typing as t
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from .errors import BadInput
from .refusal import Json, Refusal, again

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ONCE = {"from", "to", "reason"}
_WEEKLY = _ONCE | {"days", "timezone"}


class Once(t.NamedTuple):
    """From one moment to another."""

    begin: datetime
    end: datetime
    reason: str

    def until(self, now: datetime) -> datetime | None:
        """When it ends, if it is in force now."""
        return self.end if self.begin <= now < self.end else None


class Weekly(t.NamedTuple):
    """On some days of the week, from one minute of the day to another; `end` is above 1440 for the next day."""

    days: frozenset[int]
    begin: int
    end: int
    zone: tzinfo
    reason: str

    def until(self, now: datetime) -> datetime | None:
        """When it ends, if it is in force now."""
        today = now.astimezone(self.zone).date()
        for day in (today, today - timedelta(days=1)):
            if day.weekday() in self.days and self._at(day, self.begin) <= now < self._at(day, self.end):
                return self._at(day, self.end)
        return None

    def _at(self, day: date, minutes: int) -> datetime:
        """What a clock on the wall of that zone shows, also where the hour changes."""
        wall = datetime.combine(day, time(), self.zone) + timedelta(minutes=minutes)
        return wall.astimezone(UTC)


def parse(raw: t.Sequence[Json]) -> list[Once | Weekly]:
    """The windows of an inventory.

    Raises:
        BadInput: One is none; guessing could let a change through.
    """
    return [_window(one, f"remediate_freeze, window {number}") for number, one in enumerate(raw, 1)]


def refusal(_cause: Json, facts: Json) -> Refusal | None:
    """The freeze's no; facts as for guard.refusals."""
    now = facts["now"]
    windows = [(until, one.reason) for one in facts["freeze"] if (until := one.until(now))]
    if not windows or facts["break_glass"].strip():
        return None
    until, reason = max(windows)
    step = again(facts, ["--break-glass", ""], ["-e", '{"remediate_break_glass": ""}'])
    ends = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    empty = "; breaking the glass takes a reason" if facts["break_glass"] else ""
    return Refusal(
        rule="freeze",
        reason=f"a freeze window is in force until {ends} ({reason}){empty}",
        next_step=f"Wait until it ends. If it cannot wait, with your reason: {step}",
    )


def _window(raw: Json, where: str) -> Once | Weekly:
    known = _WEEKLY if "days" in raw or "timezone" in raw else _ONCE
    missing, odd = sorted(known - raw.keys()), sorted(raw.keys() - known)
    if missing or odd:
        what = f"lacks {', '.join(missing)}" if missing else f"has the unknown key {odd[0]!r}"
        hint = "Give from, to and reason; for every week also days and timezone."
        raise BadInput(what, where, hint)
    reason = " ".join(str(raw["reason"]).split())
    if not reason:
        raise BadInput("has no reason", where, "Say why nothing may be changed: whoever is refused will read it.")
    return _weekly(raw, where, reason) if known is _WEEKLY else _once(raw, where, reason)


def _once(raw: Json, where: str, reason: str) -> Once:
    begin, end = (moment(raw[key], f"{where}, {key}") for key in ("from", "to"))
    if begin >= end:
        raise BadInput("ends before it begins", where, "Exchange from and to.")
    return Once(begin, end, reason)


def _weekly(raw: Json, where: str, reason: str) -> Weekly:
    named = raw["days"] if isinstance(raw["days"], list) else [raw["days"]]
    unknown = [day for day in named if str(day).lower() not in DAYS]
    if unknown or not named:
        raise BadInput(f"{unknown[0] if unknown else named!r} is no day", f"{where}, days", f"Use {', '.join(DAYS)}.")
    begin, end = (_minutes(raw[key], f"{where}, {key}") for key in ("from", "to"))
    if begin in (end, 1440):
        raise BadInput("begins when it ends", where, "For a whole day write from: '00:00', to: '24:00'.")
    days = frozenset(DAYS.index(str(day).lower()) for day in named)
    return Weekly(days, begin, end if end > begin else end + 1440, _zone(raw["timezone"], where), reason)


def moment(raw: t.Any, where: str) -> datetime:
    """A moment as RFC 3339 writes it.

    Raises:
        BadInput: It is none, or does not say how far it is from UTC.
    """
    try:
        found = datetime.fromisoformat(str(raw))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BadInput(f"{raw!r} is no moment", where, "Write it as 2026-01-05T02:00:00Z.")
    return found.astimezone(UTC)


def _minutes(raw: t.Any, where: str) -> int:
    """Minutes since midnight; YAML reads 22:30 without quotes as the number 1350, which is the same."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        minutes = raw
    else:
        found = re.fullmatch(r"([01]?\d|2[0-4]):([0-5]\d)", str(raw))
        minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if not 0 <= minutes <= 1440:
        raise BadInput(f"{raw!r} is no time of day", where, "Write it as '22:30', from '00:00' to '24:00'.")
    return minutes


def _zone(raw: t.Any, where: str) -> tzinfo:
    try:
        return ZoneInfo(str(raw))
    except (ValueError, OSError, KeyError):
        hint = "Write it as Europe/Berlin or UTC. See what there is: timedatectl list-timezones"
        raise BadInput(f"{raw!r} is no timezone that this controller knows", f"{where}, timezone", hint) from None
