# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of file_ownership."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "paths": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "str", "required": True},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str"},
            "file_mode": {"type": "str"},
            "directory_mode": {"type": "str"},
            "mode_includes": {"type": "str"},
            "create": {"type": "bool", "default": False},
            "recurse": {"type": "bool", "default": False},
            "exclude": {"type": "list", "elements": "str", "default": []},
        },
        "required_one_of": [["owner", "group", "mode", "file_mode", "directory_mode", "mode_includes"]],
    },
    "limit": {"type": "int", "default": 1000},
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {}
