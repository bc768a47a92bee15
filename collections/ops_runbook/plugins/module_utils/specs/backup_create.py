# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of backup_create, and those that all modules on backups have."""

from __future__ import annotations

SHARED = {
    "root": {"type": "str", "default": "/var/backups/ops-runbook"},
    "system": {"type": "str", "required": True},
    "store": {"type": "str", "required": True},
    "account": {"type": "str", "default": ""},
    "timeout": {"type": "float", "default": 3600},
    "idle": {"type": "float", "default": 300},
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
ARGUMENT_SPEC = dict(
    SHARED,
    kind={"type": "str", "choices": ["files", "mongodb", "postgresql"], "required": True},
    paths={"type": "list", "elements": "str", "default": []},
    exclude={"type": "list", "elements": "str", "default": []},
    database={"type": "str", "default": ""},
    address={"type": "str", "default": ""},
    port={"type": "int", "default": 0},
    login={"type": "str", "default": ""},
    credentials_file={"type": "str", "default": "", "no_log": False},  # a path
    level={"type": "int", "default": 3},
    keep_free={"type": "bytes", "default": 1073741824},
)
RULES: dict[str, object] = {}
