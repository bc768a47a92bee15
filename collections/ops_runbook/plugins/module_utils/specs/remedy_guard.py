# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of remedy_guard."""

from __future__ import annotations

_FLAPPING = {"count": {"type": "int", "required": True}, "window": {"type": "float", "required": True}}
ARGUMENT_SPEC = {
    "target": {"type": "str", "required": True},
    "cause": {"type": "dict", "required": True},
    "folders": {"type": "list", "elements": "str", "default": []},
    "service": {"type": "str", "default": ""},
    "approved": {"type": "list", "elements": "str", "default": []},
    "risk_limit": {"type": "str", "choices": ["low", "medium", "high"], "default": "medium"},
    "desired_state": {"type": "str", "choices": ["unspecified", "started"], "default": "unspecified"},
    "confirm": {"type": "str", "default": ""},
    "most_hosts": {"type": "int", "default": 1},
    "kill_switch": {"type": "str", "default": "/etc/ops-runbook/kill-switch"},
    "freeze": {"type": "list", "elements": "dict", "default": []},
    "break_glass": {"type": "str", "default": ""},
    "cooldown": {"type": "float", "default": 0},
    "flapping": {"type": "dict", "options": _FLAPPING, "default": {"count": 0, "window": 0}},
    "group": {"type": "str", "default": ""},
    "group_members": {"type": "list", "elements": "str", "default": []},
    "group_leases": {"type": "list", "elements": "dict", "default": []},
    "group_busy": {"type": "list", "elements": "dict", "default": []},
    "group_probes": {"type": "list", "elements": "dict", "default": []},
}
RULES: dict[str, object] = {}
