# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role left behind, seen by systemctl, ss, stat and a second client."""

from __future__ import annotations

import json
import typing as t


def test_the_server_runs_and_listens(host: t.Any) -> None:
    assert host.service("mongod").is_running
    assert host.socket("tcp://127.0.0.1:27017").is_listening


def test_the_owner_is_right_again(host: t.Any) -> None:
    file = host.file("/var/lib/mongo/state.json")
    assert (file.user, file.group) == ("mongodb", "mongodb")


def test_documents_can_be_read_and_none_is_missing(host: t.Any) -> None:
    said = host.run("/opt/SimpleRS/simplers checksum")
    assert said.rc == 0, said.stderr
    assert json.loads(said.stdout)["missing"] == 0


def test_the_lease_was_given_back(host: t.Any) -> None:
    assert not host.file("/run/ops-runbook/mongodb.json").exists
