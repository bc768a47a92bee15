# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of cause_diagnosis_info."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "document": {"type": "dict", "required": True},
    "checks": {"type": "dict", "required": True},
    "causes": {"type": "list", "elements": "dict", "required": True},
    "tried": {"type": "list", "elements": "str", "default": []},
}
RULES: dict[str, object] = {}
