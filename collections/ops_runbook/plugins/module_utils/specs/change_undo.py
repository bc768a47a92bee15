# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of change_undo."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "run": {"type": "str", "default": ""},
    "approved": {"type": "bool", "default": False},
    "conclude": {"type": "bool", "default": False},
    "steps": {"type": "list", "elements": "dict", "default": []},
    "leases": {"type": "list", "elements": "str", "default": []},
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {}
