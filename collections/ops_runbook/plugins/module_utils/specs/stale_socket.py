# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of stale_socket."""

from __future__ import annotations

ARGUMENT_SPEC = {
    "path": {"type": "str", "required": True},
    "lease": {"type": "str", "default": ""},
    "run_id": {"type": "str"},
}
RULES: dict[str, object] = {}
