# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of target_hold."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent", "read"], "default": "read"},
    "reason": {"type": "str", "default": ""},
    "by": {"type": "str", "default": ""},
    "lasts": {"type": "str", "default": ""},
    "conclude": {"type": "bool", "default": False},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {}
