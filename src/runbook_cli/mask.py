# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping secrets that a person gave by -e or -K out of everything that is shown."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_cli.answer import CliError
from runbook_cli.pack import read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = "********"
_NAME = re.compile(r"pass|secret|token|credential|private|api.?key|auth", re.IGNORECASE)
_IN_URL = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")


class Mask:
    """Replaces known secrets in texts; not those of fewer than four characters: that would garble every text."""

    def __init__(self, given: list[Any], password: str | None) -> None:
        found = set(_secrets(given, False)) | ({password} if password else set())
        self._secrets = sorted((value for value in found if len(value) > 3), key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text with every secret hidden."""
        for secret in self._secrets:
            text = text.replace(secret, SHOWN)
        return text

    def tree(self, node: Any) -> Any:
        """The same for every text in a document."""
        if not self._secrets:
            return node
        if isinstance(node, str):
            return self.text(node)
        if isinstance(node, dict):
            return {key: self.tree(value) for key, value in node.items()}
        return [self.tree(value) for value in node] if isinstance(node, list) else node


def _secrets(node: Any, secret: bool) -> Iterator[str]:
    """Values whose name says that they are secret, and passwords inside addresses."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _secrets(value, secret or _is_secret(str(name), value))
    elif isinstance(node, list):
        for value in node:
            yield from _secrets(value, secret)
    elif secret:
        yield str(node)
    elif isinstance(node, str):
        yield from _IN_URL.findall(node)


def _is_secret(name: str, value: Any) -> bool:
    """Whether a variable's name says so; where a secret lies is none, and a next step has to name it."""
    lies_there = name.endswith(("_file", "_path")) and str(value).startswith("/")
    return bool(_NAME.search(name)) and not lies_there


def masked_extra(text: str) -> str:
    """What -e gave, NAME=VALUE or {JSON}, without its secrets."""
    if text.startswith("{"):
        return Mask([json.loads(text)], None).text(text)
    name, equals, value = text.partition("=")
    return f"{name}{equals}{SHOWN if equals and _is_secret(name, value) else Mask([value], None).text(value)}"


def file_variables(path: str) -> Any:
    """What a variables file holds in plain; nothing for one that does not parse or is encrypted."""
    with contextlib.suppress(CliError):
        return read_yaml(Path(path))
    return None
