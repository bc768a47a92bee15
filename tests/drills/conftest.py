# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts, a baseline, and the table at the end."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from tests.support import lab, table


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One record for all drills: its chain is verified at the end."""
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="session")
def hosts(records: Path) -> Path:
    """Lab hosts that are up, with a baseline; returns the folder of the record."""
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up"], timeout=600)
    assert up.code == 0, up.text
    lab.baseline(records)
    return records


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> t.Callable[[str], None]:
    """Say a figure, also when the drill succeeds."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}", end="")

    return say


def pytest_terminal_summary(terminalreporter: t.Any) -> None:
    """Print the table and leave it for the summary of all lanes."""
    if not table.ROWS:
        return
    terminalreporter.write_sep("-", "drills")
    terminalreporter.write_line(table.text())
    artifacts = lab.ROOT / "artifacts"
    if artifacts.is_dir():
        (artifacts / "drills.table").write_text(table.text() + "\n")
