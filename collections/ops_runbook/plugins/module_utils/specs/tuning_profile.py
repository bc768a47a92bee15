# SPDX-License-Identifier: BSD-2-Clause
"""Argument spec of tuning_profile."""

from __future__ import annotations

from .resource_limits import ARGUMENT_SPEC as _LIMITS
from .service_restart import BUDGET

_FILE = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0644"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
_MEASUREMENT = {
    "command": {"type": "list", "elements": "str"},
    "query": {"type": "str"},
    "url": {"type": "str"},
    "better": {"type": "str", "choices": ["higher", "lower"], "required": True},
    "tolerance": {"type": "float", "default": 5},
    "samples": {"type": "int", "default": 3},
    "settle": {"type": "float", "default": 0},
    "timeout": {"type": "float", "default": 30},
}
ARGUMENT_SPEC = {
    "profile": {"type": "str", "required": True},
    "sysctl": {"type": "dict", "default": {}},
    "optional": {"type": "list", "elements": "str", "default": []},
    "allow_lowering": {"type": "list", "elements": "str", "default": []},
    "limits": {"type": "dict", "options": {"pam": _LIMITS["pam"], "units": _LIMITS["units"]}},
    "environment": {"type": "dict", "default": {}},
    "files": {"type": "list", "elements": "dict", "options": _FILE, "default": []},
    "restart": {"type": "bool", "default": False},
    "restart_timeout": {"type": "float", "default": 60},
    "steady": {"type": "float", "default": 0},
    "budget": BUDGET,
    "checks": {"type": "dict", "default": {}},
    "thresholds": {"type": "dict", "default": {}},
    "measurement": {
        "type": "dict",
        "options": _MEASUREMENT,
        "mutually_exclusive": [["command", "query"]],
        "required_one_of": [["command", "query"]],
        "required_together": [["query", "url"]],
    },
    "kill_switch": {"type": "str", "default": "/etc/ops-runbook/kill-switch"},
    "conclude": {"type": "bool", "default": False},
    "waiting_group": {"type": "str", "default": ""},
    "from_role": {"type": "bool", "default": False},
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {}
