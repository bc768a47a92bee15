# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the drills."""

from __future__ import annotations

HEADER = ("fault", "red", "cause", "remedy", "outcome", "detect", "decide", "act", "verify", "total", "data")
ROWS: list[tuple[str, ...]] = []


def text() -> str:
    """The table, columns aligned."""
    rows = [HEADER, *ROWS]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
