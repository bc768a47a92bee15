# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role did, seen by df and ls."""

from __future__ import annotations

import typing as t

FOLDER = "/var/log/molecule"


def test_there_is_as_much_room_as_was_wanted_and_no_file_more_went(host: t.Any) -> None:
    used = int(host.check_output(f"df --output=pcent {FOLDER}").split()[-1].rstrip("%"))
    assert 45 <= used <= 60


def test_the_oldest_went_first(host: t.Any) -> None:
    names = set(host.file(FOLDER).listdir())
    assert {"app.log.7", "app.log.6", "app.log.5"}.isdisjoint(names)
    assert {"app.log.1", "app.log.2"} <= names


def test_what_is_young_or_protected_is_still_there(host: t.Any) -> None:
    assert host.file(f"{FOLDER}/app.log").contains("^today$")
    assert host.file(f"{FOLDER}/app.log.8").size == 1000000
    assert host.file(f"{FOLDER}/persistence-1.log.1").contains("^sequence$")
