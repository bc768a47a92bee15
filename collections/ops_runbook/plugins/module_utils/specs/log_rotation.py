# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of log_rotation."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "paths": {"type": "list", "elements": "str", "default": []},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "roots": {"type": "list", "elements": "str", "default": ["/home", "/opt", "/srv", "/var/log"]},
    "every": {"type": "str", "choices": ["hourly", "daily", "weekly", "monthly", "yearly"]},
    "size": {"type": "str"},
    "max_size": {"type": "str"},
    "min_size": {"type": "str"},
    "keep": {"type": "int", "default": 14},
    "max_age": {"type": "str"},
    "archive": {"type": "str"},
    "compression": {"type": "str", "choices": ["gzip", "xz", "zstd", "none"], "default": "gzip"},
    "rotate_empty": {"type": "bool", "default": False},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str", "default": "0640"},
    "reopen": {
        "type": "dict",
        "options": {
            "method": {
                "type": "str",
                "choices": ["reload", "signal", "command", "copytruncate", "none"],
                "required": True,
            },
            "unit": {"type": "str"},
            "signal": {"type": "str", "default": "HUP"},
            "command": {"type": "list", "elements": "str"},
        },
        "required_if": [
            ["method", "reload", ["unit"]],
            ["method", "signal", ["unit"]],
            ["method", "command", ["command"]],
        ],
    },
    "directory": {
        "type": "dict",
        "options": {"owner": {"type": "str"}, "group": {"type": "str"}, "mode": {"type": "str"}},
        "required_one_of": [["owner", "group", "mode"]],
    },
    "schedule": {"type": "bool", "default": True},
    "trial": {"type": "bool", "default": False},
    "trial_timeout": {"type": "float", "default": 10},
    "kill_switch": {"type": "str", "default": "/etc/ops-runbook/kill-switch"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {
    "mutually_exclusive": [["every", "size"], ["size", "max_size"], ["size", "min_size"]],
    "required_if": [["state", "present", ["paths", "reopen"]]],
}
