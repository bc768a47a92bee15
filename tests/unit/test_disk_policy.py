# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy may name, and what it never may."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.module_utils import disk_protected
from ansible_collections.ops.runbook.plugins.module_utils.disk_policy import Policy, Wanted, is_rotated
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.specs.disk_reclaim import ARGUMENT_SPEC, RULES
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_800_000_000.0
LOGS = {"rotated_logs": [{"paths": ["/var/log/batch/*.log.*"], "older_than": "30d"}]}


def policy(**asked: t.Any) -> Policy:
    return Policy({"free_percent": 20.0, "policy": LOGS, **asked}, NOW)


def temporary(*paths: t.Any, **others: t.Any) -> dict[str, t.Any]:
    return {"temporary": [{"paths": list(paths), "older_than": "7d", **others}]}


def test_rules_come_in_the_order_in_which_files_go() -> None:
    made = policy(
        policy={
            "dumps": [{"paths": ["/var/crash/*.crash"], "older_than": "7d"}],
            **temporary("/tmp/batch_*", "/srv/*/cache/part-*", recurse=True),
            "journal": {"keep": "200MB", "older_than": "7d"},
            **LOGS,
            "package_caches": True,
        }
    )
    assert list(dict.fromkeys(rule.kind for rule in made.rules)) == [
        "package_caches",
        "rotated_logs",
        "temporary",
        "dumps",
    ]
    told = [(rule.base, rule.parts, rule.age, rule.recurse) for rule in made.rules if rule.kind == "temporary"]
    assert told == [
        ("/tmp", ["batch_*"], 604800, True),
        ("/srv", ["*", "cache", "part-*"], 604800, True),
    ]
    assert made.journal == (200_000_000, 604800)
    assert made.cutoff == NOW - 86400


@pytest.mark.parametrize(
    "path",
    [
        "/tmp/*",
        "/tmp/**",
        "/tmp/?*",
        "/tmp/[a-z]*",
        "/tmp/[abc][def][ghi]",
        "/tmp/ab*",
        "/tmp/a*b.*",
        "/var/log/*/*",
        "/var/log/**/app.log.1",
    ],
)
def test_a_wildcard_alone_could_match_anything(path: str) -> None:
    with pytest.raises(BadInput, match="could match anything") as caught:
        policy(policy=temporary(path))
    assert caught.value.where == "policy.temporary[0].paths"


@pytest.mark.parametrize(
    "path",
    ["tmp/batch_*", "", "/tmp/../etc/passwd", "/tmp/./batch_1", "/tmp//batch_1", "/tmp/batch/", 7, None, "~/batch_*"],
)
def test_patterns_are_written_in_full(path: t.Any) -> None:
    with pytest.raises(BadInput, match=r"absolute path|empty parts"):
        policy(policy=temporary(path))


@pytest.mark.parametrize(
    "path", ["/etc/app/*.conf", "/var/lib/app/cache*", "/home/batch/old*", "/tmpx/batch_*", "/*/log/batch*", "/batch*"]
)
def test_patterns_lie_below_an_allowed_root(path: str) -> None:
    with pytest.raises(BadInput, match="not below an allowed root"):
        policy(policy=temporary(path))


def test_more_roots() -> None:
    made = policy(policy=temporary("/home/batch/old_*"), roots=["/home/batch"])
    assert made.allowed("/home/batch/old_1")
    assert not made.allowed("/home/other/old_1")
    for root in (
        "/etc/app",
        "/usr",
        "/proc/1",
        "/",
        "/home",
        "/var",
        "/var/lib",
        "/run/app",
        "/srv/*",
        "srv",
        "/a/../b",
    ):
        with pytest.raises(BadInput):
            policy(roots=[root])


@pytest.mark.parametrize(
    "path",
    [
        "/srv/app/uploads/old_*",
        "/srv/app/Uploads/old_*",
        "/opt/3gpp-analysis/backups/weekly-*",
        "/opt/app/backup/weekly-*",
        "/var/log/logcaster/persistence-*.log",
        "/opt/logcaster/wal/segment-*",
        "/srv/app/main.db",
        "/srv/app/main.db-wal",
        "/srv/pg/pgdata/base-*",
        "/srv/nodes/0/indices-*",
        "/srv/mysql-bin.000123",
        "/srv/docker/volumes/data-*",
        "/var/log/audit/audit.log.*",
    ],
)
def test_protected_data_cannot_be_named(path: str) -> None:
    with pytest.raises(BadInput, match="is protected data"):
        policy(policy=temporary(path))


@pytest.mark.parametrize(
    ("path", "is_protected"),
    [
        ("/srv/app/uploads/a/b", True),
        ("/srv/app/UPLOADS/a", True),
        ("/srv/app/uploads", True),
        ("/srv/app/uploads-old/a", False),
        ("/var/log/logcaster/persistence-20260105.log.1.gz", True),
        ("/var/log/logcaster/collected.log.1", False),
        ("/var/lib/ops-runbook/undo/x", True),
        ("/var/log/ops-runbook-0011.tmp~", True),
        ("/srv/db/WiredTiger.turtle", True),
        ("/opt/x/mysql-bin.000017", True),
        ("/opt/x/app.log.000017", False),
        ("/opt/x/dump.rdb", True),
        ("/opt/x/appendonlydir/a", True),
        ("/var/lib/docker/overlay2/x/diff/tmp/batch_1", True),
        ("/opt/3gpp/2026.sql.gz", True),
        ("/var/log/wtmp.1", True),
        ("/srv/app/a\nb.db", True),
        ("/srv/app/\udcff.sqlite3", True),
        ("/srv/keep/x/y", True),
        ("/srv/app/x.keep", True),
        ("/srv/app/notes/y", True),
    ],
)
def test_protected_data(path: str, is_protected: bool) -> None:
    made = policy(protect=["/srv/keep/", "*.keep", "notes"])
    assert made.protected(path) is is_protected


def test_every_protected_entry_has_its_reason_and_protects_itself() -> None:
    made = policy()
    for entry, why in disk_protected.PROTECTED:
        assert len(why) > 5
        path = entry.replace("[0-9]", "0").replace("*", "x")
        assert made.protected(path if path[0] == "/" else "/" + path)
        assert made.protected((path if path[0] == "/" else "/" + path) + "/below")


@pytest.mark.parametrize("text", ["*", "/", "*/", "", 7, None])
def test_a_protected_pattern_is_one(text: t.Any) -> None:
    with pytest.raises(BadInput, match="is no pattern"):
        policy(protect=[text])


@pytest.mark.parametrize("raw", ["59min", "0s", "30", "soon", None, "-1d"])
def test_ages_are_at_least_an_hour(raw: t.Any) -> None:
    for asked in (
        {"rotated_logs": [{"paths": ["/var/log/app.log.*"], "older_than": raw}]},
        {"journal": {"keep": "1GB", "older_than": raw}},
    ):
        with pytest.raises(BadInput) as caught:
            policy(policy=asked)
        assert caught.value.where.endswith(".older_than")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"temporary": {"paths": ["/tmp/batch_*"]}}, "is no list"),
        ({"temporary": ["/tmp/batch_*"]}, "is no mapping"),
        ({"temporary": [{"older_than": "7d"}]}, "names no path"),
        ({"temporary": [{"paths": "/tmp/batch_*", "older_than": "7d"}]}, "names no path"),
        ({"temporary": [{"paths": ["/tmp/batch_*"], "older_than": "7d", "recurse": "yes"}]}, "neither true nor false"),
        ({"temporary": [{"paths": ["/tmp/batch_*"], "older_than": "7d", "follow": True}]}, "unknown key 'follow'"),
        ({"rotated_logs": [{"paths": ["/var/log/a.log.*"], "older_than": "7d", "recurse": True}]}, "unknown key"),
        ({"uploads": [{"paths": ["/tmp/batch_*"], "older_than": "7d"}]}, "unknown key 'uploads'"),
        ({"package_caches": "all"}, "neither true nor false"),
        ({"journal": {"keep": "much", "older_than": "7d"}}, "is no size"),
        ({"journal": {"older_than": "7d"}}, "is no size"),
        ({"journal": ["7d"]}, "is no mapping"),
        ([], None),
        ("all", "is no mapping"),
    ],
)
def test_a_policy_that_makes_no_sense(asked: t.Any, says: str | None) -> None:
    if says is None:
        assert policy(policy=asked).rules == []
        return
    with pytest.raises(BadInput, match=says):
        policy(policy=asked)


def test_what_the_argument_spec_fills_in_is_no_mistake() -> None:
    asked = {
        "path": "/",
        "free_percent": 20,
        "policy": temporary("/tmp/batch_*"),
        "reopen": [{"unit": "a", "signal": "HUP"}],
    }
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate(asked)
    assert checked.error_messages == []
    made = Policy(checked.validated_parameters, NOW)
    assert [rule.pattern for rule in made.rules] == ["/tmp/batch_*"]
    assert made.reopen == {"a.service": "HUP"}


@pytest.mark.parametrize(
    ("given", "cutoff"),
    [
        ("2h", NOW - 7200),
        ("2027-01-15T07:00:00Z", NOW - 3600),
        ("2027-01-15T07:00:00.500Z", NOW - 3599.5),
        (None, NOW - 86400),
    ],
)
def test_the_time_of_the_incident(given: t.Any, cutoff: float) -> None:
    assert policy(evidence_since=given).cutoff == cutoff


@pytest.mark.parametrize("given", ["yesterday", "2027-01-15", "2027-13-99T99:00Z zzzzzZ", "2028-01-15T07:00:00Z", 7])
def test_no_time_of_an_incident(given: t.Any) -> None:
    with pytest.raises(BadInput):
        policy(evidence_since=given)


@pytest.mark.parametrize(
    ("given", "reopen"),
    [
        ([{"unit": "logcaster", "signal": "SIGUSR1"}], {"logcaster.service": "USR1"}),
        ([{"unit": "nginx.service", "reload": True}], {"nginx.service": None}),
        ([], {}),
    ],
)
def test_services_that_may_be_told(given: t.Any, reopen: dict[str, t.Any]) -> None:
    assert policy(reopen=given).reopen == reopen


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"unit": "a", "signal": "KILL"}, "makes nothing reopen"),
        ({"unit": "a", "signal": "TERM"}, "makes nothing reopen"),
        ({"unit": "a", "signal": "HUP", "reload": True}, "both signal and reload, or neither"),
        ({"unit": "a"}, "both signal and reload, or neither"),
        ({"unit": "-a", "reload": True}, "name of a unit"),
        ({"unit": "a*", "reload": True}, "name of a unit"),
        ({"unit": 7, "reload": True}, "name of a unit"),
        ({"unit": "a", "restart": True}, "unknown key"),
        ("a", "is no mapping"),
    ],
)
def test_no_service_is_told_anything_else(given: t.Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        policy(reopen=[given])


@pytest.mark.parametrize(
    ("name", "rotated"),
    [
        ("app.log.1", True),
        ("app.log.31.gz", True),
        ("app.log-20260105", True),
        ("app.log-20260105.xz", True),
        ("app.log-2026010523", True),
        ("app.log-20260105-1767571200.gz", True),
        ("app.log-1767571200", False),
        ("app.log.2026-01-05", True),
        ("syslog.7.zst", True),
        ("app.log", False),
        ("app.log.gz", False),
        ("app.log.old", False),
        ("app.log-99999999", False),
        ("app.log-20261405", False),
        ("app.log.123456", False),
        (".1", False),
        ("20260105", False),
        ("report-20260105.csv", False),
        ("app.log.2026-1-05x", False),
        ("app.log.x2026-01-05", False),
    ],
)
def test_rotated_by_its_name(name: str, rotated: bool) -> None:
    assert is_rotated(name) is rotated


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_any_name_can_be_asked(name: str) -> None:
    assert is_rotated(name) in (True, False)


ROOM = {"used": 800, "available": 200, "inodes": 100, "inodes_free": 5, "read_only": 0}


@pytest.mark.parametrize(
    ("wanted", "missing"),
    [
        (Wanted(20.0, None, None), (0, 0)),
        (Wanted(25.0, None, None), (50, 0)),
        (Wanted(20.01, None, None), (1, 0)),
        (Wanted(None, 300, None), (100, 0)),
        (Wanted(25.0, 300, 10.0), (100, 5)),
        (Wanted(None, None, 10.0), (0, 5)),
    ],
)
def test_what_is_missing(wanted: Wanted, missing: tuple[int, int]) -> None:
    assert wanted.missing(ROOM) == missing
    assert wanted.missing({**ROOM, "inodes": 0, "inodes_free": 0})[1] == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"free_percent": None},
        {"free_percent": 0.0},
        {"free_percent": 100.0},
        {"free_percent": -1.0},
        {"free_percent": True},
        {"free_percent": "20"},
        {"free_bytes": "lots"},
        {"free_inodes_percent": 100},
    ],
)
def test_no_room_that_could_be_wanted(asked: dict[str, t.Any]) -> None:
    with pytest.raises(BadInput):
        policy(**asked)
