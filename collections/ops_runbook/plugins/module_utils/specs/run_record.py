# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of run_record."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "phase": {
        "type": "str",
        "choices": ["looked", "decided", "foreseen", "verified", "outcome", "job"],
        "required": True,
    },
    "entry": {"type": "dict", "default": {}},
    "journal": {"type": "bool", "default": False},
    "facts": {"type": "dict"},
}
RULES = {"required_if": [["phase", "outcome", ["facts"]], ["phase", "job", ["facts"]]]}
