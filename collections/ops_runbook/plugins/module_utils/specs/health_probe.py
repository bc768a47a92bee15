# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of health_probe; the target sees only `checks`."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "checks": {"type": "dict", "required": True},
    "thresholds": {"type": "dict", "default": {}},
    "target": {"type": "str"},
    "deep": {"type": "bool", "default": False},
    "cursors": {"type": "dict", "default": {}},
    "baseline": {"type": "dict"},
    "stable_for": {"type": "float", "default": 0},
    "timeout": {"type": "float", "default": 120},
    "grace": {"type": "float", "default": 0},
    "interval": {"type": "float", "default": 2},
}
RULES: dict[str, object] = {}
