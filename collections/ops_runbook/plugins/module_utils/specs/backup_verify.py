# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of backup_verify."""

from __future__ import annotations

from .backup_create import SHARED

_SMOKE = {"query": {"type": "str", "required": True}, "expect": {"type": "str", "required": True}}
ARGUMENT_SPEC = dict(
    SHARED,
    backup={"type": "str", "default": "latest"},
    scratch={"type": "str", "default": "/var/lib/ops-runbook/scratch"},
    server={"type": "str", "default": "mongod"},
    smoke={"type": "list", "elements": "dict", "options": _SMOKE, "default": []},
)
RULES: dict[str, object] = {}
