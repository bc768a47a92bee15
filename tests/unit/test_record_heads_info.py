# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the record's heads out of a journal, as journalctl of systemd 252 gives it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import record_heads
from ansible_collections.ops.runbook.plugins.module_utils.errors import CannotLook

HEAD = "a" * 64
ENTRIES = (
    {"MESSAGE": f"run R1 leased head {HEAD} record abc123", "__REALTIME_TIMESTAMP": "1796065903025916"},
    {"MESSAGE": f"run R1 decided head {HEAD}", "__REALTIME_TIMESTAMP": "1796065904000000"},
    {"MESSAGE": "something else", "__REALTIME_TIMESTAMP": "1796065905000000"},
    {"MESSAGE": [255, 254], "__REALTIME_TIMESTAMP": "1796065906000000"},
)
OLDEST = {"MESSAGE": "Linux version 6", "__REALTIME_TIMESTAMP": "1796000000000000"}
JOURNALCTL = """#!/bin/sh
printf '%s\\n' "$*" >> {said}
case "$*" in
  *--sync*) exit 1;;
  *--identifier*) cat {found}; cat {complaint} >&2; exit {code};;
  *) cat {oldest}; exec yes '{{}}';;
esac
"""


class Journal:
    """A journalctl that gives what a test wants; without a filter it never ends, as for a journal of many GB."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def gives(self, entries: tuple[dict, ...], oldest: str = json.dumps(OLDEST), code: int = 0, says: str = "") -> None:
        files = {name: self.folder / name for name in ("said", "found", "complaint", "oldest")}
        files["found"].write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        files["complaint"].write_text(says)
        files["oldest"].write_text(oldest + "\n")
        script = self.folder / "journalctl"
        script.write_text(JOURNALCTL.format(**files, code=code))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    return Journal(tmp_path, monkeypatch)


def test_heads_and_how_far_the_journal_reaches(journal: Journal) -> None:
    journal.gives(ENTRIES)
    found = record_heads.run({"timeout": 5}, False)
    first = {"run": "R1", "phase": "leased", "head": HEAD, "record": "abc123", "at": "2026-11-30T19:11:43.025Z"}
    assert found["heads"] == [first, {**first, "phase": "decided", "record": None, "at": "2026-11-30T19:11:44.000Z"}]
    assert found["oldest"] == "2026-11-30T00:53:20.000Z"
    assert found["changed"] is False


def test_only_what_root_wrote_or_this_user_counts(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.gives(())
    monkeypatch.setattr(record_heads.os, "geteuid", lambda: 1000)
    assert record_heads.run({"timeout": 5}, False)["heads"] == []
    assert "--identifier=ops-runbook _UID=0 _UID=1000" in (journal.folder / "said").read_text()


@pytest.mark.parametrize(
    ("oldest", "code", "says"),
    [
        (json.dumps(OLDEST), 1, "Failed to open journal"),
        (json.dumps(OLDEST), 0, "Hint: You are currently not seeing messages from other users and the system."),
        (json.dumps(OLDEST), 0, "No journal files were found."),
        ("-- No entries --", 0, ""),
    ],
)
def test_a_journal_that_cannot_be_read_is_no_empty_one(journal: Journal, oldest: str, code: int, says: str) -> None:
    journal.gives((), oldest, code, says)
    with pytest.raises(CannotLook, match="systemd-journal"):
        record_heads.run({"timeout": 5}, False)


def test_a_host_without_journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotLook, match="journalctl is not installed"):
        record_heads.run({"timeout": 5}, False)
