# SPDX-License-Identifier: BSD-2-Clause
"""Times as programs write them, without datetime and strptime: together they would cost a target 10 ms."""

from __future__ import annotations

_SPANS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
    "month": 2629800.0,
    "y": 31557600.0,
}


def epoch(date: tuple[int, int, int], clock: tuple[int, int, float]) -> float:
    """Seconds since the epoch of (year, month, day) and (hour, minute, second) in UTC."""
    year, month, day = date
    year -= month < 3
    days = year * 365 + year // 4 - year // 100 + year // 400 + ((month + 9) % 12 * 153 + 2) // 5 + day - 719469
    return days * 86400 + clock[0] * 3600 + clock[1] * 60 + clock[2]


def systemd_time(text: str) -> float | None:
    """Epoch seconds of what systemd prints with TZ=UTC, such as `Thu 2026-11-20 15:38:44 UTC`; None for never."""
    parts = text.split()
    if len(parts) != 4 or parts[3] != "UTC":
        return None
    year, month, day = (int(part) for part in parts[1].split("-"))
    hour, minute, second = parts[2].split(":")
    return epoch((year, month, day), (int(hour), int(minute), float(second)))


def systemd_span(text: str) -> float | None:
    """Seconds of what systemd prints for a time span, such as `1min 30s` or `100ms`; None for infinity or nothing."""
    total = 0.0
    for part in text.split():
        number = part.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = part[len(number) :]
        if not number or unit not in _SPANS:
            return None
        total += float(number) * _SPANS[unit]
    return total if text else None
