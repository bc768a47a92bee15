# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of service_environment."""

from __future__ import annotations

from .service_restart import BUDGET

ARGUMENT_SPEC = {
    "service": {"type": "str", "required": True},
    "variables": {"type": "dict", "default": {}},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "restart": {"type": "bool", "default": False},
    "restart_timeout": {"type": "float", "default": 90},
    "steady": {"type": "float", "default": 5},
    "budget": BUDGET,
    "protect": {"type": "list", "elements": "str", "default": []},
    "until": {"type": "str", "default": ""},
    "program": {"type": "str", "default": "", "no_log": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {}
