# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of remedy_guard."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "target": {"type": "str", "required": True},
    "cause": {"type": "dict", "required": True},
    "folders": {"type": "list", "elements": "str", "required": True},
    "approved": {"type": "list", "elements": "str", "default": []},
    "risk_limit": {"type": "str", "choices": ["low", "medium", "high"], "default": "medium"},
    "desired_state": {"type": "str", "choices": ["unspecified", "started"], "default": "unspecified"},
    "confirm": {"type": "str", "default": ""},
    "most_hosts": {"type": "int", "default": 1},
    "kill_switch": {"type": "str", "default": "/etc/ops-runbook/kill-switch"},
}
RULES: dict[str, object] = {}
