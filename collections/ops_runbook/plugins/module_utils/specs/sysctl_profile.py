# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of sysctl_profile."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "settings": {"type": "dict"},
    "optional": {"type": "list", "elements": "str", "default": []},
    "allow_lowering": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {"required_if": [("state", "present", ("settings",))]}
