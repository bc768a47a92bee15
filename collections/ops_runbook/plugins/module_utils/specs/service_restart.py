# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of service_restart."""

from __future__ import annotations

BUDGET = {
    "type": "dict",
    "options": {
        "count": {"type": "int", "required": True},
        "window": {"type": "float", "required": True},
    },
}
ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "platform": {"type": "str", "choices": ["systemd"], "default": "systemd"},
    "state": {
        "type": "str",
        "choices": ["restarted", "started", "stopped", "reloaded", "resumed"],
        "default": "restarted",
    },
    "validate": {"type": "list", "elements": "str"},
    "drain": {"type": "list", "elements": "str"},
    "reset_failed": {"type": "bool", "default": False},
    "unmask": {"type": "bool", "default": False},
    "enable": {"type": "bool", "default": False},
    "protect": {"type": "list", "elements": "str", "default": []},
    "redefined": {"type": "bool", "default": False},
    "ready": {
        "type": "dict",
        "options": {
            "port": {"type": "int"},
            "host": {"type": "str", "default": "127.0.0.1"},
            "command": {"type": "list", "elements": "str"},
            "timeout": {"type": "float", "default": 60},
        },
        "required_one_of": [["port", "command"]],
    },
    "steady": {"type": "float", "default": 5},
    "timeout": {"type": "float", "default": 90},
    "budget": BUDGET,
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {}
