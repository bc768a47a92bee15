# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of service_baseline."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "service": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["captured", "restored", "verified"], "default": "verified"},
    "files": {"type": "list", "elements": "str"},
    "unit": {"type": "str"},
    "path": {"type": "str"},
    "content": {"type": "str", "no_log": True},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str"},
    "validate": {"type": "list", "elements": "str"},
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {
    "required_if": [("state", "captured", ("files", "unit"), True), ("state", "restored", ("path", "unit"), True)],
    "mutually_exclusive": [("path", "unit")],
}
