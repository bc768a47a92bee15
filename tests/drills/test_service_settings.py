# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits and environments on a real host: pam_limits, systemd and the processes themselves say what was achieved."""

from __future__ import annotations

import json
import time
import typing as t
from pathlib import Path

import pytest
from tests.support import lab

HOST, UNIT, USER = "fleet03", "logcaster.service", "logcaster"
DROP_INS = f"/etc/systemd/system/{UNIT}.d"
OURS = ("/var/lib/ops-runbook", "/etc/ops-runbook")
SNAPSHOT = (
    "find /etc /run/systemd/system -xdev ! -path '*/environment' ! -path /etc/ops-runbook -printf '%p %y %m %u %g %l ' "
    "\\( -type f -exec sha256sum {} \\; -o -printf '\\n' \\) | sort"
)
ODD = 'a "b" \\ $HOME `x` \' end\nsecond\tline # no comment '
SECRET = "hunter2-Swordfish"
Json = dict[str, t.Any]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Path]:
    """The host runs; what the library keeps of its own is gone at the end. Gives the folder of the record."""
    done = lab.run([str(lab.ROOT / "lab" / "lab"), "up", HOST], timeout=600)
    assert done.code == 0, done.text
    had = lab.on(HOST, f"ls -d {' '.join(OURS)}").stdout.split()
    yield tmp_path_factory.mktemp("settings")
    for path in set(OURS) - set(had):
        lab.on(HOST, f"rm -rf {path}")


@pytest.fixture
def host(up: Path) -> t.Iterator[Path]:
    """Every drill leaves files and process as it found them, or fails and leaves a pristine host to the next."""
    before = (lab.on(HOST, SNAPSHOT).stdout, _environ(), _files(), _session(USER))
    yield up
    if (lab.on(HOST, SNAPSHOT).stdout, _environ(), _files(), _session(USER)) != before:
        lab.run([str(lab.ROOT / "lab" / "lab"), "reset", HOST])
        pytest.fail(f"{HOST} is not as it was: {lab.on(HOST, SNAPSHOT).stdout == before[0]}")


def _play(
    records: Path,
    module: str,
    arguments: Json,
    *,
    check: bool = False,
    pipelining: bool = True,
    become_user: str = "root",
) -> Json:
    """What a module answers."""
    said = records / "answer.json"
    said.unlink(missing_ok=True)
    keep = {"content": "{{ answer | to_json }}", "dest": str(said), "mode": "0600"}
    tasks: list[Json] = [
        {
            module: arguments,
            "register": "answer",
            "ignore_errors": True,
            "check_mode": check,
            "become_user": become_user,
        },
        {"ansible.builtin.copy": keep, "delegate_to": "localhost", "become": False, "check_mode": False},
    ]
    play = records / "play.yml"
    play.write_text(json.dumps([{"hosts": HOST, "gather_facts": False, "become": True, "tasks": tasks}]))
    done = lab.run(
        [lab.command("ansible-playbook"), "-i", lab.INVENTORY, str(play)],
        env={
            "OPS_RUNBOOK_RECORDS": str(records),
            "XDG_STATE_HOME": str(records),
            "ANSIBLE_PIPELINING": str(pipelining),
        },
    )
    assert said.exists(), done.text
    assert SECRET not in done.text
    answer: Json = json.loads(said.read_text())
    assert "this is a bug" not in str(answer.get("msg"))
    return answer


def _limits(records: Path, check: bool = False, pipelining: bool = True, **given: t.Any) -> Json:
    arguments = {"name": "drill", "steady": 0.5, **given}
    return _play(records, "ops.runbook.resource_limits", arguments, check=check, pipelining=pipelining)


def _environment(records: Path, check: bool = False, pipelining: bool = True, **given: t.Any) -> Json:
    arguments = {"service": UNIT, "steady": 0.5, **given}
    return _play(records, "ops.runbook.service_environment", arguments, check=check, pipelining=pipelining)


def _undo_last(records: Path) -> None:
    lines = [json.loads(line) for line in (records / "record.jsonl").read_text().splitlines()]
    acted = [line for line in lines if line["phase"] == "acted" and not line["entry"]["check"]]
    run = [line["run"] for line in acted if line["entry"]["changed"]][-1]
    answer = _play(records, "ops.runbook.change_undo", {"run": run})
    assert answer["changed"] is True, answer


def _environ() -> Json:
    """The environment of the process, without what is new with each start."""
    said = lab.on(HOST, f"cat /proc/$(systemctl show -p MainPID --value {UNIT})/environ").stdout
    found = dict(part.split("=", 1) for part in said.split("\0") if part)
    return {
        name: value
        for name, value in found.items()
        if name not in ("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID")
    }


def _files() -> list[str]:
    """Soft and hard number of files of the process."""
    said = lab.on(HOST, f"grep 'Max open files' /proc/$(systemctl show -p MainPID --value {UNIT})/limits").stdout
    return said.split()[3:5]


def _session(user: str, item: str = "n") -> list[str]:
    """Soft and hard limit of a session that pam_limits opens."""
    said = lab.on(HOST, f"su -s /bin/bash {user} -c 'ulimit -S{item}; ulimit -H{item}'")
    assert said.code == 0, said.text
    return said.stdout.split()


# ---- limits


def test_limits_of_a_service_and_of_its_user_and_back_again(host: Path) -> None:
    before, files, session = lab.on(HOST, SNAPSHOT).stdout, _files(), _session(USER)
    given: Json = {
        "pam": [{"domain": USER, "item": "nofile", "value": 4096}, {"domain": USER, "item": "core", "value": 1000}],
        "units": {UNIT: {"LimitNOFILE": 4096}},
        "allow_lowering": ["core"],
        "restart": True,
    }
    predicted = _limits(host, check=True, **given)
    assert lab.on(HOST, SNAPSHOT).stdout == before
    answer = _limits(host, **given)
    assert answer["changed"] is True, answer
    for key in ("changes", "message", "limits", "restarted"):
        assert predicted[key] == answer[key]
    assert (_files()[0], files[0]) == ("4096", "1024")
    assert (_session(USER)[0], session[0]) == ("4096", "1024")
    assert _session(USER, "c") == ["1000", "1000"]
    pid = lab.on(HOST, f"systemctl show -p MainPID {UNIT}").stdout
    for pipelining in (True, False):
        again = _limits(host, pipelining=pipelining, **given)
        assert again["changed"] is False, again
        assert again["limits"][0]["status"] == "already"
    assert lab.on(HOST, f"systemctl show -p MainPID {UNIT}").stdout == pid
    _undo_last(host)
    assert lab.on(HOST, SNAPSHOT).stdout == before
    assert (_files(), _session(USER)) == (files, session)


def test_the_ordinary_road_does_the_same(host: Path) -> None:
    before = lab.on(HOST, SNAPSHOT).stdout
    answer = _limits(host, pipelining=False, units={UNIT: {"LimitNOFILE": 2048}}, restart=True)
    assert (answer["changed"], _files()[0]) == (True, "2048"), answer
    assert _limits(host, pipelining=False, state="absent", restart=True)["changed"] is True
    lab.on(HOST, f"rmdir {DROP_INS}")
    assert (_files()[0], lab.on(HOST, SNAPSHOT).stdout) == ("1024", before)


def test_a_limit_that_would_lock_people_out_is_refused(host: Path) -> None:
    before = lab.on(HOST, SNAPSHOT).stdout
    for value in ("unlimited", 1 << 30):
        answer = _limits(host, pam=[{"domain": USER, "item": "nofile", "value": value}])
        assert answer["error"]["kind"] == "Refused", answer
        assert answer["limits"][0]["status"] == "refused_by_kernel"
    assert lab.on(HOST, SNAPSHOT).stdout == before
    assert _session(USER)


@pytest.mark.parametrize(
    "lines",
    [
        {"50.conf": f"{USER} - nofile 2000"},
        {"50.conf": f"{USER} hard nofile 3000\n{USER} soft nofile 2000\n{USER} hard nofile 2500"},
        {"50.conf": f"{USER} - nofile 2000", "60.conf": f"* - nofile 100\n@{USER} - nofile 200"},
        {"50.conf": "* - nofile 1500", "60.conf": f"@{USER} - nofile 1600"},
        {"50.conf": f"@{USER} - nofile 1600", "60.conf": "* - nofile 1500"},
        {"B.conf": f"{USER} - nofile 1100", "a.conf": f"{USER} - nofile 1200"},
        {"9.conf": f"{USER} - nofile 1100", "10.conf": f"{USER} - nofile 1200"},
        {"50.conf": "900:1000 - nofile 1700", "60.conf": "* - nofile 100"},
        {"50.conf": f"{USER} soft nofile 3000\n* hard nofile 1800"},
        {"50.conf": f"{USER} - nofile 1100\n{USER} -"},
        {"50.conf": f"{USER} - nofile x\n{USER} soft nofile 1300 # why\n@nosuch - nofile 9"},
        {},
    ],
    ids=lambda lines: ";".join(lines.values()).replace("\n", ";") or "none",
)
def test_who_wins_is_told_as_pam_limits_decides(host: Path, lines: dict[str, str]) -> None:
    try:
        for name, text in lines.items():
            lab.on(HOST, f"printf '%s\\n' '{text}' > /etc/security/limits.d/{name}")
        answer = _limits(
            host, check=True, pam=[{"domain": USER, "item": "nofile", "value": 5000}], allow_lowering=["nofile"]
        )
        told = [row["before"] for row in answer["limits"]]
        if told != [None, None]:  # switched off: then it is what the caller of su has
            assert list(map(str, told)) == _session(USER)
        else:
            assert all("switched off" in row["note"] for row in answer["limits"])
    finally:
        lab.on(HOST, "rm -f " + " ".join(f"/etc/security/limits.d/{name}" for name in ["none", *lines]))


# ---- environments


def test_an_environment_of_odd_values_and_secrets_and_back_again(host: Path) -> None:
    before, environ = lab.on(HOST, SNAPSHOT).stdout, _environ()
    given: Json = {
        "variables": {"ODD": ODD, "THREAD_POOL_SIZE": {"of": "cpus"}, "WRITE_BATCH_SIZE": 777},
        "secrets": {"API_KEY": SECRET},
        "restart": True,
    }
    predicted = _environment(host, check=True, **given)
    assert lab.on(HOST, SNAPSHOT).stdout == before
    answer = _environment(host, **given)
    assert answer["changed"] is True, answer
    for key in ("changes", "message", "environment", "restarted"):
        assert predicted[key] == answer[key]
    cpus = lab.on(HOST, "nproc").stdout.strip()
    assert _environ() == {**environ, "ODD": ODD, "THREAD_POOL_SIZE": cpus, "WRITE_BATCH_SIZE": "777", "API_KEY": SECRET}
    seen = lab.on(HOST, f"systemctl show {UNIT}; systemctl cat {UNIT}; journalctl -b --no-pager; ps axww").stdout
    assert SECRET not in seen + (host / "record.jsonl").read_text() + json.dumps(answer)
    where = lab.on(HOST, f"grep -rl {SECRET} /etc /var/lib/ops-runbook /run --include='*' 2>/dev/null").stdout.split()
    assert where == [f"/etc/ops-runbook/environment/{UNIT}.env"]
    assert lab.on(HOST, f"stat -c '%a %U' {where[0]}").stdout == "600 root\n"
    assert _environment(host, pipelining=False, **given)["changed"] is False
    _undo_last(host)
    assert lab.on(HOST, SNAPSHOT).stdout == before
    assert _environ() == environ


def test_a_service_that_dies_of_its_environment_runs_again_as_before(host: Path) -> None:
    before, environ = lab.on(HOST, SNAPSHOT).stdout, _environ()
    answer = _environment(host, variables={"BUFFER_SIZE": 10**10}, restart=True)
    assert answer["failed"] is True
    assert "What was changed was put back" in answer["msg"]
    assert lab.on(HOST, f"systemctl is-active {UNIT}").stdout == "active\n"
    assert _environ() == environ
    assert lab.on(HOST, SNAPSHOT).stdout == before


def test_a_drop_in_that_is_read_later_is_seen_before_the_restart(host: Path) -> None:
    before = lab.on(HOST, SNAPSHOT).stdout
    pid = lab.on(HOST, f"systemctl show -p MainPID {UNIT}").stdout
    lab.on(HOST, f"mkdir -p {DROP_INS}; printf '[Service]\\nEnvironmentFile=/run/later\\n' > {DROP_INS}/95.conf")
    lab.on(HOST, "echo WRITE_BATCH_SIZE=1 > /run/later; systemctl daemon-reload")
    try:
        answer = _environment(host, variables={"WRITE_BATCH_SIZE": 5}, restart=True)
        assert answer["environment"]["WRITE_BATCH_SIZE"]["status"] == "overridden"
        assert "/run/later wins" in answer["msg"]
        assert lab.on(HOST, f"systemctl show -p MainPID {UNIT}").stdout == pid
    finally:
        lab.on(HOST, f"rm -rf {DROP_INS} /run/later; systemctl daemon-reload")
    assert lab.on(HOST, SNAPSHOT).stdout == before


@pytest.mark.parametrize("pipelining", [True, False])
def test_a_change_for_a_while_is_put_back_by_the_host_itself(host: Path, pipelining: bool) -> None:
    before, environ = lab.on(HOST, SNAPSHOT).stdout, _environ()
    given: Json = {"variables": {"LOG_LEVEL": "DEBUG"}, "restart": True, "until": "20"}
    answer = _environment(host, pipelining=pipelining, **given)
    assert _environ() == {**environ, "LOG_LEVEL": "DEBUG"}, answer
    assert answer["until"]["unit"] in lab.on(HOST, "systemctl list-timers --no-pager").stdout
    again = _environment(host, pipelining=pipelining, **given)
    assert (again["changed"], again["until"]) == (False, answer["until"]), again
    until = time.monotonic() + 60
    while lab.on(HOST, SNAPSHOT).stdout != before and time.monotonic() < until:  # its own units go last
        time.sleep(0.5)
    assert _environ() == environ
    assert lab.on(HOST, SNAPSHOT).stdout == before
    assert answer["until"]["unit"] not in lab.on(HOST, "systemctl list-timers --no-pager").stdout


def test_wrong_input_is_said_and_nothing_is_touched(host: Path) -> None:
    before = lab.on(HOST, SNAPSHOT).stdout
    for given, says in (
        ({"service": "logcast", "variables": {"A": 1}}, "Did you mean logcaster.service"),
        ({"service": "getty@", "variables": {"A": 1}}, "it is a template"),
        ({"service": "systemd-logind", "variables": {"A": 1}}, "it is masked"),
        ({"variables": {"A": "a\0b"}}, "control characters"),
        ({"variables": {"A": 1}, "until": "2020-01-01T00:00:00Z"}, "not within 30 days"),
    ):
        assert says in _environment(host, **given)["msg"]
    for given, says in (
        ({"units": {"logcast": {"LimitNOFILE": 1}}}, "Did you mean logcaster.service"),
        ({"units": {UNIT: {"LimitNOFILE": "2:1"}}}, "above the hard one"),
        ({"pam": [{"domain": USER, "item": "nofiles", "value": 1}]}, "no item of limits.conf"),
    ):
        assert says in _limits(host, **given)["msg"]
    assert lab.on(HOST, SNAPSHOT).stdout == before


def test_who_is_not_root_is_told_so_and_a_read_only_disk_is_named(host: Path) -> None:
    before = lab.on(HOST, SNAPSHOT).stdout
    refused = _play(
        host,
        "ops.runbook.resource_limits",
        {"name": "drill", "pam": [{"domain": USER, "item": "nofile", "value": 2000}]},
        become_user="nobody",
    )
    assert refused["error"] == {
        "kind": "Refused",
        "what": "only root may do that",
        "where": "user id 65534",
        "hint": "Run with become: true.",
    }
    folder = "/etc/security/limits.d"
    lab.on(HOST, f"mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}")
    try:
        answer = _limits(
            host, pam=[{"domain": USER, "item": "nofile", "value": 2000}], units={UNIT: {"LimitNOFILE": 2000}}
        )
        assert "the filesystem is read-only" in answer.get("msg", ""), answer
        assert answer["changed"] is False
    finally:
        lab.on(HOST, f"umount {folder}")
    assert lab.on(HOST, SNAPSHOT).stdout == before
