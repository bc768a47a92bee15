# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of pack_info; those that remedy_guard takes, too, are as it has them."""

from __future__ import annotations

from . import remedy_guard

_RULES = ("freeze", "cooldown", "flapping")
ARGUMENT_SPEC = dict(
    {
        "checks": {"type": "dict", "required": True},
        "causes": {"type": "list", "elements": "dict", "required": True},
        "thresholds": {"type": "dict", "default": {}},
        "alert_at": {"type": "str", "default": ""},
    },
    **{name: remedy_guard.ARGUMENT_SPEC[name] for name in _RULES},
)
RULES: dict[str, object] = {}
