# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts from hosts made fit to be shown: bounded, without what steers a terminal or turns letters around. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

LONGEST = 600
"""Characters of a text in a report."""
LONGEST_DIFF = 17000
MOST = 400
"""Entries of one list or mapping in a report."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|[@-Z\\-_]?)")
_STEERING = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode categories that are shown by their number: controls, overrides of direction, characters without width."""


def clean(text: str, longest: int = LONGEST) -> str:
    """The text without escape sequences, other control characters by their number, cut where it is too long."""
    head = text[: 4 * longest]  # what is left out need not be looked at
    shown = _ESCAPES.sub("", head)
    shown = "".join(letter if _harmless(letter) else f"\\u{ord(letter):04x}" for letter in shown)
    if len(shown) <= longest and len(head) == len(text):
        return shown
    return f"{shown[:longest]} (and {len(text) - longest} characters more)"


def _harmless(letter: str) -> bool:
    return letter in "\n\t" or unicodedata.category(letter) not in _STEERING


def line(value: Any, longest: int = LONGEST) -> str:
    """Any value in one line: texts as they are, the rest as people write it."""
    return " ".join(clean(plain(value), longest).split())


def plain(value: Any) -> str:
    """A value as a person writes it: `yes`, `none`, `a, b`, `k: v, l: w`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {plain(item)}" for name, item in value.items()) or "nothing"
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value) or "nothing"
    return str(value)


def tree(node: Any) -> Any:
    """The same structure with every text in it clean, and long lists cut."""
    if isinstance(node, str):
        return clean(node)
    if isinstance(node, dict):
        return {clean(str(name)): _of_name(name, item) for name, item in list(node.items())[:MOST]}
    if isinstance(node, list):
        return [tree(item) for item in node[:MOST]]
    return node


def _of_name(name: object, item: Any) -> Any:
    return clean(item, LONGEST_DIFF) if name == "diff" and isinstance(item, str) else tree(item)
