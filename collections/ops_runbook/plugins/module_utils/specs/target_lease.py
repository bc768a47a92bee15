# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of target_lease."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["acquired", "renewed", "released", "read"], "default": "acquired"},
    "ttl": {"type": "float", "default": 600},
    "run_id": {"type": "str"},
    "holder": {"type": "str", "default": ""},
}
RULES: dict[str, object] = {}
