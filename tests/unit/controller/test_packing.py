# SPDX-License-Identifier: GPL-3.0-or-later
"""What travels is what is imported: found by a pattern here, and by Python's own parser in this test."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import packing


def parsed(name: str, source: packing.Source) -> set[str]:
    """The modules of module_utils that a module imports at top level, by ast."""
    package = name.split(".") if source.is_package else name.split(".")[:-1]
    found: set[str] = set()
    for node in ast.parse(source.text).body:
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        anchor = package[: len(package) - node.level + 1]
        base = ".".join(filter(None, [*anchor, node.module or ""]))
        found |= {base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)}
    return found & set(packing.SOURCES)


@pytest.mark.parametrize("name", sorted(packing.SOURCES))
def test_the_pattern_finds_what_the_parser_finds(name: str) -> None:
    source = packing.SOURCES[name]
    assert set(source.wants) - {""} == parsed(name, source) - {""}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("from .files import (\n    a,\n    b as c,\n)\n", ["files"]),
        ("from . import files, host  # both\n", ["files", "host"]),
        ("from .collectors import disk\n", ["collectors", "collectors.disk"]),
        (f"from {packing.PACKAGE}.files import a\n", ["files"]),
        (f"from {packing.PACKAGE}_other.files import a\n", []),
        ("if TYPE_CHECKING:\n    from .files import a\n", []),
        ("def f():\n    from .files import a\n", []),
        ("import os\nfrom os import path\n", []),
    ],
)
def test_forms_of_imports(text: str, wanted: list[str]) -> None:
    found: t.Iterator[str] = packing._imports(text, "made_up", is_package=False)
    assert sorted({name for name in found if name in packing.SOURCES} - {""}) == wanted


# ---- bytecode beside the source


def answered(entry: str) -> dict[str, t.Any]:
    """What a program of this entry answers, in a Python of its own."""
    text = packing.program(packing.Call(entry, {"steps": [], "run_id": None}), "--m--")
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-"], input=text, capture_output=True, check=True)
    return dict(json.loads(done.stdout.decode().split("--m--")[1]))


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    mine: dict[str, str] = {}
    monkeypatch.setattr(packing, "_CODES", mine)
    return mine


def test_without_bytecode_nothing_of_it_travels(codes: dict[str, str]) -> None:
    assert "_codes, _magic = ({}, None)" in packing.finder(packing.bundle("undo"))
    assert answered("undo")["message"] == "nothing to put back"


def test_the_same_python_runs_the_bytecode(codes: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    packing.precompile("undo")
    assert {f"{packing.PACKAGE}.{name}" for name in ("undo", "errors", "undo_steps.deeds")} <= set(codes)
    broken = packing.SOURCES["undo"]._replace(text="raise RuntimeError('the source was compiled')")
    monkeypatch.setitem(packing.SOURCES, "undo", broken)
    assert answered("undo")["message"] == "nothing to put back"


def test_another_python_compiles_the_source(codes: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    packing.precompile("undo")
    codes[f"{packing.PACKAGE}.undo"] = "no bytecode of this Python"
    monkeypatch.setattr(packing, "MAGIC_NUMBER", b"other")
    assert answered("undo")["message"] == "nothing to put back"
