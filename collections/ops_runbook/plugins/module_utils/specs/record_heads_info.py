# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of record_heads_info."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "conclude": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 60},
}
RULES: dict[str, object] = {}
