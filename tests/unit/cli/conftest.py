# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the command line's tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest
from cli_project import COLLECTION, FILES, Cli


@pytest.fixture(scope="session", autouse=True)
def measured() -> None:
    """Where coverage is measured, a fork in another folder has to find the sources and leave its data here."""
    current = coverage.Coverage.current()
    if current:
        config = current.config
        config.data_file = str(Path(config.data_file).absolute())
        config.source_dirs = [str(Path(name).absolute()) for name in config.source_dirs or []]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    inside = root / "collections" / "ansible_collections" / "ops" / "runbook"
    for base, files in ((root, FILES), (inside, COLLECTION)):
        for name, text in files.items():
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).write_text(text)
    return root


@pytest.fixture
def temp() -> Iterator[Path]:
    """A folder with a short name: ansible-core 2.21 puts a socket below TMPDIR, whose path may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="cli-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def cli(
    project: Path, tmp_path: Path, temp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    made = Cli(tmp_path / "records", temp, capsys)
    monkeypatch.chdir(project)
    monkeypatch.setattr(tempfile, "tempdir", str(made.temp))
    monkeypatch.setenv("OPS_RUNBOOK_RECORDS", str(made.records))
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"):  # the command sets them: put them back
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in ("RUNBOOK_INVENTORY", "RUNBOOK_PROJECT", "ANSIBLE_HOST_KEY_CHECKING"):
        monkeypatch.delenv(name, raising=False)
    return made
