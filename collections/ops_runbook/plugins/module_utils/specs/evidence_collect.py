# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of evidence_collect."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "service": {"type": "str", "required": True},
    "unit": {"type": "str"},
    "logs": {"type": "list", "elements": "str", "default": []},
    "paths": {"type": "list", "elements": "str", "default": []},
    "commands": {"type": "list", "elements": "list", "default": []},
    "lines": {"type": "int", "default": 1000},
    "limit": {"type": "bytes", "default": 2097152},
    "directory": {"type": "str"},
}
RULES: dict[str, object] = {}
