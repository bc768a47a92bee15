# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of resource_limits."""

from __future__ import annotations

from .service_restart import BUDGET

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "pam": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "domain": {"type": "str", "required": True},
            "type": {"type": "str", "choices": ["soft", "hard", "both"], "default": "both"},
            "item": {"type": "str", "required": True},
            "value": {"type": "str", "required": True},
        },
    },
    "units": {"type": "dict", "default": {}},
    "allow_lowering": {"type": "list", "elements": "str", "default": []},
    "restart": {"type": "bool", "default": False},
    "restart_timeout": {"type": "float", "default": 90},
    "steady": {"type": "float", "default": 5},
    "budget": BUDGET,
    "protect": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {}
