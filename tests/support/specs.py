# SPDX-License-Identifier: GPL-3.0-or-later
"""A module's options as a call that says nothing of them has them."""

from __future__ import annotations

import importlib
import typing as t


def defaults(module: str) -> dict[str, t.Any]:
    """Every option with its default; None where it has none."""
    spec = importlib.import_module(f"ansible_collections.ops.runbook.plugins.module_utils.specs.{module}").ARGUMENT_SPEC
    return {name: option.get("default") for name, option in spec.items()}
