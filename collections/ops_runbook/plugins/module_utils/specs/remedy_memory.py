# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of remedy_memory."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "service": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["begun", "ended", "escalated", "read"], "default": "read"},
    "remedy": {"type": "str"},
    "cause": {"type": "str"},
    "result": {"type": "str", "choices": ["cured", "not_cured"], "default": "not_cured"},
    "run_id": {"type": "str"},
}
RULES = {"required_if": [["state", "begun", ["remedy", "cause"]], ["state", "ended", ["remedy", "cause"]]]}
