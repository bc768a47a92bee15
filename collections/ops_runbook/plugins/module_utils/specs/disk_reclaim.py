# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of disk_reclaim."""

from __future__ import annotations

_PATHS = {"type": "list", "elements": "str", "required": True}
_OLDER_THAN = {"type": "str", "required": True}
_FILES = {"type": "list", "elements": "dict", "options": {"paths": _PATHS, "older_than": _OLDER_THAN}}

ARGUMENT_SPEC = {
    "path": {"type": "str", "required": True},
    "free_percent": {"type": "float"},
    "free_bytes": {"type": "str"},
    "free_inodes_percent": {"type": "float"},
    "policy": {
        "type": "dict",
        "required": True,
        "options": {
            "package_caches": {"type": "bool", "default": False},
            "rotated_logs": _FILES,
            "journal": {
                "type": "dict",
                "options": {"keep": {"type": "str", "required": True}, "older_than": _OLDER_THAN},
            },
            "temporary": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "paths": _PATHS,
                    "older_than": _OLDER_THAN,
                    "recurse": {"type": "bool", "default": False},
                },
            },
            "dumps": _FILES,
        },
    },
    "roots": {"type": "list", "elements": "str", "default": []},
    "protect": {"type": "list", "elements": "str", "default": []},
    "evidence_since": {"type": "str", "default": "24h"},
    "reopen": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "unit": {"type": "str", "required": True},
            "signal": {"type": "str", "choices": ["HUP", "USR1", "USR2"]},
            "reload": {"type": "bool", "default": False},
        },
        "required_one_of": [["signal", "reload"]],
    },
    "report": {"type": "int", "default": 20},
    "again": {"type": "bool", "default": False},
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {"required_one_of": [["free_percent", "free_bytes", "free_inodes_percent"]]}
