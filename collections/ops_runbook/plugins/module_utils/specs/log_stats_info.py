# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of log_stats_info."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "paths": {"type": "list", "elements": "str", "required": True},
    "rotated": {"type": "bool", "default": True},
    "format": {"type": "str", "choices": ["auto", "text", "json"], "default": "auto"},
    "time_field": {"type": "str"},
    "since": {"type": "str"},
    "until": {"type": "str"},
    "cursors": {"type": "dict"},
    "counts": {"type": "dict", "default": {}},
    "values": {"type": "dict", "default": {}},
    "groups": {"type": "dict", "default": {}},
    "ratios": {"type": "dict", "default": {}},
    "timeout": {"type": "float", "default": 300},
}
RULES: dict[str, object] = {"mutually_exclusive": [["since", "cursors"], ["until", "cursors"]]}
