# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy is put in place only where the real logrotate takes it, and can be taken back without a trace."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import holds, rotation_job, rotation_schedule, undo
from ansible_collections.ops.runbook.plugins.module_utils.collectors import _proc
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, CannotLook, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed
from rotation_host import Json, RotationHost, rotation_host
from test_files import root_only

pytestmark = root_only
KEYS = {"changed", "changes", "undo", "message", "file", "files", "omitted", "findings", "schedule", "trial"}
NOBODY = 65534


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[RotationHost]:
    """A host with one log."""
    with rotation_host(monkeypatch) as found:
        found.log("app.log")
        yield found


def text(host: RotationHost) -> str:
    return (host.etc / "app").read_text()


def files(host: RotationHost) -> dict[str, tuple[int, int, str]]:
    """What lies below the host but for our own state: mode, owner and content."""
    found = {}
    for path in host.top.rglob("*"):
        if path.is_file() and not path.is_relative_to(host.top / "state") and not path.is_relative_to(host.top / "run"):
            found[str(path)] = (path.stat().st_mode, path.stat().st_uid, path.read_text(errors="replace"))
    return found


def replay(host: RotationHost, result: Json) -> Json:
    steps = result["undo"]["steps"]
    return undo.replay_on(host, steps, "run2", False)


# ---- the drop-in


def test_a_new_policy(host: RotationHost) -> None:
    result = host.rotate(keep=30, max_size="100MiB", max_age="30d", owner="root", group="root")
    assert (
        text(host)
        == f"""\
# The policy app of ops.runbook.log_rotation.
{host.logs}/*.log {{
  daily
  maxsize 100M
  rotate 30
  maxage 30
  compress
  delaycompress
  missingok
  notifempty
  create 0640 root root
}}
"""
    )
    assert (host.etc / "app").stat().st_mode & 0o777 == 0o644
    assert set(result) == KEYS | {"diff"}
    assert result["files"] == [{"path": f"{host.logs}/app.log", "bytes": 7}]
    change = result["changes"][0]
    assert (change["object"], change["before"], change["after"]["rotate"]) == (f"{host.etc}/app", {}, "30")
    assert result["diff"]["after"] == text(host)


def test_the_same_again_changes_nothing(host: RotationHost) -> None:
    host.rotate()
    before = files(host)
    result = host.rotate()
    assert (result["changed"], result["changes"], result["undo"]["kind"]) == (False, [], "none")
    assert set(result) == KEYS
    assert files(host) == before


def test_check_mode_says_the_same_and_writes_nothing(host: RotationHost) -> None:
    before = files(host)
    predicted = host.rotate(check=True)
    assert files(host) == before
    assert host.rotate() == predicted


def test_a_file_of_that_name_is_taken_over_and_what_is_not_ours_stays(host: RotationHost) -> None:
    host.drop_in(
        "app",
        "# of the package\nLOGS/*.log {\n\tweekly\n\trotate 2\n\tsharedscripts\n\tpostrotate\n\t\ttrue\n\tendscript\n"
        "\tolddir LOGS/old\n\tcopytruncate\n}\nLOGS/other.txt {\n\tmonthly\n}\n",
    )
    (host.logs / "old").mkdir()
    result = host.rotate(keep=5)
    assert result["changes"][0]["before"].keys() >= {"line 2 weekly", "line 2 copytruncate", "line 2 postrotate"}
    assert text(host).startswith(f"# of the package\n{host.logs}/*.log {{\n  rotate 5\n\tolddir {host.logs}/old\n")
    assert text(host).endswith(f"}}\n{host.logs}/other.txt {{\n\tmonthly\n}}\n")
    assert "weekly" not in text(host)
    replay(host, result)
    assert "\tweekly\n\trotate 2\n" in text(host)


def test_two_stanzas_that_both_cover_it(host: RotationHost) -> None:
    host.drop_in("app", "LOGS/app.log {\n daily\n}\nLOGS/b.log {\n daily\n}\n")
    with pytest.raises(Refused, match=r"lines 1, 4") as caught:
        host.rotate(paths=[f"{host.logs}/app.log", f"{host.logs}/b.log"])
    assert set(caught.value.result) == KEYS


def test_another_stanza_of_a_package_s_file_stays(host: RotationHost) -> None:
    host.drop_in("app", "LOGS/b.txt {\n daily\n}\n")
    host.rotate()
    assert text(host).startswith(f"{host.logs}/b.txt {{\n daily\n}}\n{host.logs}/*.log {{\n")
    assert host.rotate()["changed"] is False


def test_a_policy_may_get_other_paths_and_exclusions(host: RotationHost) -> None:
    host.rotate(exclude=["persistence-*.log"])
    host.rotate(exclude=["other-*.log"])
    assert text(host).count("{") == 1
    (host.top / "new").mkdir()
    host.rotate(paths=[f"{host.top}/new/*.log"])
    assert (text(host).count("{"), str(host.logs) in text(host)) == (1, False)


def test_absent(host: RotationHost) -> None:
    host.drop_in("app", "LOGS/app.log {\n daily\n}\nLOGS/b.log {\n daily\n}\n")
    assert host.rotate(state="absent", paths=[f"{host.logs}/c.log"], reopen=None)["changed"] is False
    result = host.rotate(state="absent", paths=[f"{host.logs}/b.log"], reopen=None)
    assert (result["message"], "b.log" in text(host)) == ("app: removed", False)
    result = host.rotate(state="absent", paths=[], reopen=None, check=True)
    assert (result["changed"], (host.etc / "app").exists()) == (True, True)
    result = host.rotate(state="absent", paths=[f"{host.logs}/app.log"], reopen=None)
    assert (result["findings"], (host.etc / "app").exists()) == ([], False)
    assert host.rotate(state="absent", paths=[], reopen=None)["message"] == "app: there is none"
    replay(host, result)
    assert "app.log" in text(host)


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({"every": None, "size": "10MB"}, ["  size 10000000"]),
        ({"min_size": "1KiB", "rotate_empty": True}, ["  minsize 1k", "  ifempty"]),
        ({"compression": "zstd"}, ["  compresscmd /usr/bin/zstd", "  compressext .zst"]),
        ({"compression": "none"}, ["  nocompress"]),
        ({"reopen": {"method": "copytruncate"}}, ["  nodelaycompress", "  copytruncate"]),
        (
            {"reopen": {"method": "command", "command": ["/bin/true", "it's", "a b"]}},
            ["  sharedscripts", "    '/bin/true' 'it'\\''s' 'a b'"],
        ),
        ({"mode": "0600"}, ["  create 0600"]),
        ({"max_size": "1GiB"}, ["  maxsize 1G"]),
    ],
)
def test_what_a_policy_says(host: RotationHost, options: Json, lines: list[str]) -> None:
    host.rotate(**options)
    assert [line for line in text(host).splitlines() if line in lines] == lines
    again = host.rotate(**options)
    assert again["changed"] is False


def test_some_names_are_left_alone_and_really_are(host: RotationHost) -> None:
    kept = host.log("persistence-1.log")
    host.rotate(exclude=["persistence-*.log"], trial=True)
    assert (kept.read_text(), sorted(path.name for path in host.logs.iterdir())) == (
        "a line\n",
        ["app.log", "app.log.1", "persistence-1.log"],
    )


def test_logs_are_archived_before_they_are_removed(host: RotationHost) -> None:
    archive = host.top / "archive"
    archive.mkdir()
    host.rotate(keep=1, archive=str(archive))
    for number in range(4):
        host.log("app.log", f"line {number}\n")
        stamp = f"-20260101-{number}"
        done = subprocess.run(
            [host._program, "-f", "-s", str(host.state), str(host.etc / "app")], check=False, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        for path in host.logs.glob("app.log-*"):
            if len(path.name) < 30 and not path.name.startswith("app.log-2026010"):
                path.rename(host.logs / f"app.log{stamp}{'.gz' if path.suffix == '.gz' else ''}")
    kept = "".join(_plain(path) for path in [*host.logs.glob("app.log-*"), *archive.rglob("app.log-*")])
    assert sorted(kept.splitlines()) == [f"line {number}" for number in range(4)]


def _plain(path: Path) -> str:
    argv = ["gzip", "-dc", str(path)] if path.suffix == ".gz" else ["cat", str(path)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


# ---- wrong input


BAD: list[tuple[Json, str]] = [
    ({"name": ".app"}, "no name of a drop-in"),
    ({"name": "app.bak"}, "no name of a drop-in"),
    ({"name": "a/b"}, "no name of a drop-in"),
    ({"name": ""}, "no name of a drop-in"),
    ({"paths": []}, "names no log, or no policy of that name"),
    ({"paths": ["logs/*.log"]}, "not an absolute path"),
    ({"paths": ["/var/../x.log"]}, "not an absolute path"),
    ({"paths": ["/var//x.log"]}, "not an absolute path"),
    ({"paths": ["TOP/a\nb.log"]}, "letter that logrotate would misread"),
    ({"paths": ['TOP/a".log']}, "letter that logrotate would misread"),
    ({"paths": ["TOP/*"]}, "matches every name there is"),
    ({"paths": ["TOP/*.*"]}, "matches every name there is"),
    ({"paths": ["/etc/*.log"]}, "lies outside of"),
    ({"paths": ["TOP/*.log", "TOP/app.log"]}, "match the same logs"),
    ({"paths": ["TOP/*.log*"]}, "would match rotated logs"),
    ({"exclude": ["a/b.log"]}, "is no name"),
    ({"exclude": [""]}, "is no name"),
    ({"exclude": ["*.log"]}, "cannot be excluded"),
    ({"paths": ["TOP/app.log"], "exclude": ["app.log"]}, "it covers no log"),
    ({"every": None}, "not when to rotate"),
    ({"keep": 0}, "not from 1 to 3650"),
    ({"size": "ten", "every": None}, "is no size"),
    ({"max_size": "0"}, "no size that a log could have"),
    ({"max_age": "30"}, "is no age"),
    ({"max_age": "36h"}, "not a number of days"),
    ({"mode": "640"}, "is no mode"),
    ({"mode": "0648"}, "is no mode"),
    ({"mode": "0666"}, "others may write"),
    ({"owner": "root"}, "says nothing to logrotate"),
    ({"owner": "nobody-of-that-name", "group": "root"}, "no such user"),
    ({"compression": "xz"}, "not installed"),
    ({"archive": "TOP/nowhere"}, "no such folder"),
    ({"archive": "TOP"}, "lies in the folder of the logs"),
    ({"reopen": {"method": "command", "command": ["true"]}}, "cannot be run here"),
    ({"reopen": {"method": "command", "command": []}}, "cannot be run here"),
    ({"reopen": {"method": "command", "command": ["/bin/true", "a\nb"]}}, "is no command"),
    ({"reopen": {"method": "signal", "unit": "app.service"}}, "no such service"),
    ({"reopen": {"method": "signal", "unit": "live.service", "signal": "KILL"}}, "no signal for reopening"),
    ({"reopen": {"method": "reload", "unit": "live.service"}}, "cannot be reloaded"),
]


@pytest.mark.parametrize(("options", "what"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_wrong_input(host: RotationHost, monkeypatch: pytest.MonkeyPatch, options: Json, what: str) -> None:
    monkeypatch.setattr(rotation_job, "program_of", lambda name: "/nowhere/xz" if name == "xz" else None)
    host.units["live.service"] = service("live.service", 1, CanReload="no")
    given = {
        key: [each.replace("TOP", str(host.logs)) for each in value] if key == "paths" else value
        for key, value in options.items()
    }
    if "archive" in given:
        given["archive"] = given["archive"].replace("TOP", str(host.logs))
    before = files(host)
    with pytest.raises(BadInput) as caught:
        host.rotate(**given)
    assert what in str(caught.value)
    assert set(caught.value.result) == KEYS
    assert files(host) == before


def service(name: str, pid: int, **more: str) -> Json:
    """What systemctl says of a running service."""
    return {
        "Id": name,
        "LoadState": "loaded",
        "ActiveState": "active",
        "MainPID": str(pid),
        "DropInPaths": "",
        "NeedDaemonReload": "no",
        **more,
    }


def test_only_root(host: RotationHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Refused, match="only root"):
        host.rotate()


def test_a_hold_goes_before_it(host: RotationHost, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = host.top / "hold"
    hold.write_text("until Monday")
    monkeypatch.setattr(holds, "PATH", str(hold))
    assert host.rotate(check=True)["changed"] is True
    with pytest.raises(Refused, match="until Monday"):
        host.rotate()
    assert not (host.etc / "app").exists()


def test_no_logrotate(host: RotationHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_program", "/nowhere/logrotate")
    with pytest.raises(Refused, match="cannot be run"):
        host.rotate()


def test_a_main_file_that_does_not_include_the_folder(host: RotationHost) -> None:
    (host.top / "logrotate.conf").write_text(f"weekly\ninclude {host.top}/nowhere\n")
    with pytest.raises(Refused, match="does not include"):
        host.rotate()
    (host.top / "logrotate.conf").write_text("/a.log\n")
    with pytest.raises(BadInput, match="a pattern is not followed"):
        host.rotate()


def test_a_drop_in_that_cannot_be_read_is_left_alone(host: RotationHost) -> None:
    path = host.drop_in("app", "LOGS/app.log {\n postrotate\n")
    with pytest.raises(BadInput, match="no endscript"):
        host.rotate()
    assert path.read_text().endswith("postrotate\n")


# ---- the host


def test_a_service_that_does_not_handle_the_signal(host: RotationHost) -> None:
    code = "import signal, time; print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout and process.stdout.readline()
            host.units["app.service"] = service("app.service", process.pid)
            with pytest.raises(Refused, match="does not handle SIGUSR1, which would end it"):
                host.rotate(reopen={"method": "signal", "unit": "app.service", "signal": "USR1"})
        finally:
            process.kill()
    host.rotate(reopen={"method": "signal", "unit": "app.service", "signal": "sigusr1"})
    assert "systemctl kill --kill-who=main --signal=SIGUSR1 app.service" in text(host)


def test_a_service_that_handles_the_signal_and_one_that_has_just_ended(host: RotationHost) -> None:
    code = "import signal, time; signal.signal(signal.SIGHUP, print); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout and process.stdout.readline()
            host.units["app.service"] = service("app.service", process.pid)
            assert host.rotate(reopen={"method": "signal", "unit": "app.service"}, check=True)["changed"]
        finally:
            process.kill()
    host.units["app.service"] = service("app.service", 999999999)
    assert host.rotate(reopen={"method": "signal", "unit": "app.service"})["changed"]


def test_a_reload(host: RotationHost) -> None:
    host.units["app.service"] = service("app.service", 1, CanReload="yes")
    host.rotate(reopen={"method": "reload", "unit": "app.service"})
    assert "    systemctl reload app.service\n" in text(host)


def test_logs_that_another_file_covers_too(host: RotationHost) -> None:
    other = host.drop_in("other", "\nLOGS/app.log {\n weekly\n}\n")
    before = files(host)
    with pytest.raises(Refused, match="cover the same logs") as caught:
        host.rotate()
    assert caught.value.where == f"{other} line 2"
    assert [each["kind"] for each in caught.value.result["findings"]] == ["covered_twice"]
    assert "dpkg -S" in caught.value.hint
    assert files(host) == before


def test_a_mistake_in_another_file_is_named_and_keeps_nothing_back(host: RotationHost) -> None:
    host.drop_in("broken", "/nowhere/*.log {\n bogus 3\n create 0640 nobody-at-all root\n}\n")
    host.drop_in("open", "/elsewhere/x.log {\n prerotate\n  true\n}\n")
    result = host.rotate()
    told = {(each["kind"], each["where"], each["blocks"]) for each in result["findings"]}
    assert ("broken_drop_in", f"{host.etc}/broken line 2", False) in told
    assert ("broken_drop_in", f"{host.etc}/broken line 3", False) in told
    assert any(kind == "broken_drop_in" and where.startswith(f"{host.etc}/open") for kind, where, _blocks in told)
    assert (result["changed"], (host.etc / "app").exists()) == (True, True)
    assert "unknown option 'bogus'" in result["message"]
    assert str(host.top / "run") not in str(result["findings"])


def test_a_file_that_logrotate_ignores_for_its_mode(host: RotationHost) -> None:
    host.drop_in("loose", "/nowhere/*.log {\n daily\n}\n").chmod(0o666)
    (finding,) = host.rotate()["findings"]
    assert (finding["where"], "writable" in finding["what"]) == (f"{host.etc}/loose", True)


def test_the_configuration_is_read_after_the_write_too(host: RotationHost, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = rotation_job.verify, list[int]()

    def twice(*arguments: t.Any) -> list[Json]:
        seen.append(1)
        if len(seen) == 2:
            return [{"kind": "refused", "where": "here", "what": "it is not so", "hint": "Look.", "blocks": True}]
        return real(*arguments)

    monkeypatch.setattr(rotation_job, "verify", twice)
    before = files(host)
    with pytest.raises(Refused, match="it is not so") as caught:
        host.rotate()
    assert "put back" in caught.value.hint
    assert caught.value.result["changed"] is False
    assert files(host) == before


def test_what_could_not_be_put_back_is_told(host: RotationHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def meddled(*_arguments: t.Any) -> list[Json]:
        if (host.etc / "app").exists():
            (host.etc / "app").write_text("another's\n")
            return [{"kind": "refused", "where": "here", "what": "no", "hint": "Look.", "blocks": True}]
        return []

    monkeypatch.setattr(rotation_job, "verify", meddled)
    with pytest.raises(Refused) as caught:
        host.rotate()
    assert "could not be put back" in caught.value.hint
    assert (caught.value.result["changed"], caught.value.result["undo"]["kind"]) == (True, "steps")


# ---- folders


def test_a_folder_that_others_may_write_into(host: RotationHost) -> None:
    host.logs.chmod(0o777)
    with pytest.raises(Refused, match="anybody may write into it") as caught:
        host.rotate()
    assert (caught.value.where, 'mode: "0755"' in caught.value.hint) == (str(host.logs), True)
    host.logs.chmod(0o775)
    os.chown(host.logs, 0, 12)
    with pytest.raises(Refused, match="its group may write into it"):
        host.rotate()
    predicted = host.rotate(directory={"mode": "0755"}, check=True)
    assert host.logs.stat().st_mode & 0o777 == 0o775
    result = host.rotate(directory={"mode": "0755"})
    assert result == predicted
    assert host.logs.stat().st_mode & 0o777 == 0o755
    assert [change["object"] for change in result["changes"]] == [f"mode of {host.logs}", f"{host.etc}/app"]
    replay(host, result)
    assert (host.logs.stat().st_mode & 0o777, (host.etc / "app").exists()) == (0o775, False)


def test_logs_of_one_user_are_rotated_as_that_user(host: RotationHost) -> None:
    for path in (host.logs, host.logs / "app.log"):
        os.chown(path, NOBODY, NOBODY)
    host.logs.chmod(0o775)  # su makes that right for logrotate
    result = host.rotate(owner="nobody", group="nogroup", trial=True)
    assert "  su nobody nogroup\n" in text(host)
    assert (host.logs / "app.log.1").stat().st_uid == NOBODY
    assert result["trial"]["rotated"] == [{"path": f"{host.logs}/app.log", "to": f"{host.logs}/app.log.1", "bytes": 7}]


@pytest.mark.parametrize("case", ["own", "foreign log", "other owner", "two folders"])
def test_where_logrotate_does_not_work_as_another_user(host: RotationHost, case: str) -> None:
    options: Json = {}
    os.chown(host.logs, NOBODY, NOBODY)
    if case == "own":
        host.drop_in("app", "LOGS/*.log {\n su root root\n}\n")
    elif case == "other owner":
        os.chown(host.logs / "app.log", NOBODY, NOBODY)
        options = {"owner": "root", "group": "root"}
    elif case == "two folders":
        (host.top / "more").mkdir()
        options = {"paths": [f"{host.logs}/*.log", f"{host.top}/more/*.log"]}
    host.rotate(**options)
    assert ("su root root" in text(host), "su nobody" in text(host)) == (case == "own", False)


def test_a_folder_that_will_be_anothers(host: RotationHost) -> None:
    os.chown(host.logs / "app.log", NOBODY, NOBODY)
    host.rotate(directory={"owner": "nobody", "group": "nogroup"})
    assert (host.logs.stat().st_uid, "  su nobody nogroup\n" in text(host)) == (NOBODY, True)


def test_a_link_that_leads_out(host: RotationHost, tmp_path: Path) -> None:
    (host.logs / "in").symlink_to(tmp_path)
    (tmp_path / "x.log").write_text("not ours")
    with pytest.raises(Refused, match="symbolic link leads out"):
        host.rotate(paths=[f"{host.logs}/in/*.log"])
    with pytest.raises(Refused, match="symbolic link leads out"):
        host.rotate(paths=[f"{host.logs}/*/*.log"])
    (host.logs / "in").unlink()
    (host.top / "real").mkdir()
    (host.logs / "in").symlink_to(host.top / "real")
    assert host.rotate(paths=[f"{host.logs}/in/*.log"])["changed"]


def test_what_logrotate_leaves_alone_is_told(host: RotationHost) -> None:
    (host.logs / "link.log").symlink_to(host.logs / "app.log")
    (host.logs / "folder.log").mkdir()
    host.log("twin.log")
    os.link(host.logs / "twin.log", host.logs / "twin2.log")
    strange = os.fsencode(host.logs) + b"/new\nline\xff.log"
    Path(os.fsdecode(strange)).write_text("x")
    result = host.rotate(check=True)
    assert {each["path"].rpartition("/")[2]: each["reason"] for each in result["omitted"]} == {
        "link.log": "is a symbolic link",
        "folder.log": "is no ordinary file",
        "twin.log": "has 2 names (hard links)",
        "twin2.log": "has 2 names (hard links)",
    }
    assert [each["path"].rpartition("/")[2] for each in result["files"]] == ["app.log", "new\\nline\\xff.log"]


def test_a_folder_that_cannot_be_read(host: RotationHost, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.listdir

    def listdir(path: str) -> list[str]:
        if path == str(host.logs):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    with pytest.raises(CannotLook, match="cannot be read: Permission denied"):
        host.rotate()


def test_a_folder_that_is_not_there_yet(host: RotationHost) -> None:
    result = host.rotate(paths=[f"{host.top}/later/*.log", f"{host.top}/*/in/*.log"])
    assert (result["changed"], result["files"], result["findings"]) == (True, [], [])


# ---- whether it runs


def test_a_timer_that_does_not_run_is_mended_and_the_missed_run_made(host: RotationHost) -> None:
    host.timer.update(UnitFileState="disabled", ActiveState="inactive")
    host.age_state(3)
    predicted = host.rotate(check=True)
    assert (host.told, predicted["schedule"]["late"], predicted["findings"]) == ([], True, [])
    result = host.rotate()
    assert host.told == ["enable logrotate.timer"]
    assert (
        result["changes"][1:]
        == predicted["changes"][1:]
        == [
            {
                "object": "logrotate.timer",
                "before": {"enabled": False, "active": False},
                "after": {"enabled": True, "active": True},
            }
        ]
    )
    assert (result["schedule"]["active"], result["schedule"]["late"], result["findings"]) == (True, False, [])
    assert host.rotate()["changed"] is False
    undone = replay(host, result)
    assert [each["kind"] for each in undone["steps"]] == ["enablement", "file"]
    assert (host.told[1:], host.timer["UnitFileState"]) == (
        ["disable logrotate.timer", "stop logrotate.timer"],
        "disabled",
    )
    replay(host, undone)
    assert (host.timer["ActiveState"], (host.etc / "app").exists()) == ("active", True)


def test_a_run_that_stays_missed_is_named(host: RotationHost) -> None:
    host.timer.update(UnitFileState="disabled", ActiveState="inactive")
    host.age_state(3)
    host.started = lambda: None
    (finding,) = host.rotate()["findings"]
    assert (finding["kind"], finding["blocks"]) == ("not_run", False)


def test_a_timer_that_cannot_be_mended(host: RotationHost) -> None:
    host.timer.update(UnitFileState="disabled", ActiveState="inactive")
    host.refused = "Failed to enable unit: Read-only file system\n"
    with pytest.raises(OpsError, match="Read-only file system"):
        host.rotate()
    assert not (host.etc / "app").exists()
    host.refused = ""
    host.started = lambda: host.timer.update(ActiveState="failed")
    with pytest.raises(OpsError, match="does not run although it was started"):
        host.rotate()


@pytest.mark.parametrize(
    ("said", "days", "every", "kind"),
    [
        ({"LoadState": "masked"}, 0, "daily", "not_scheduled"),
        ({"Result": "exit-code", "ExecMainExitTimestampMonotonic": "5"}, 0, "daily", "failed_run"),
        ({"Result": "success", "ExecMainExitTimestampMonotonic": "5"}, 0, "daily", None),
        ({}, 3, "daily", "not_run"),
        ({"NextElapseUSecRealtime": "Sat 2099-01-03 00:00:00 UTC"}, 0, "hourly", "too_rare"),
        ({"NextElapseUSecRealtime": ""}, 0, "hourly", None),
    ],
)
def test_what_keeps_it_from_running_is_named(
    host: RotationHost, said: Json, days: int, every: str, kind: str | None
) -> None:
    (host.service if "Result" in said else host.timer).update(said)
    host.age_state(days)
    result = host.rotate(every=every)
    assert [each["kind"] for each in result["findings"]] == ([kind] if kind else [])
    assert result["changed"] is True
    assert host.rotate(every=every, schedule=False)["findings"] == []


def test_cron_and_nobody(host: RotationHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.timer = {}
    monkeypatch.setattr(rotation_schedule, "_CRON", ("/nowhere/hourly", "/nowhere/daily"))
    assert [each["what"] for each in host.rotate()["findings"]] == ["nobody starts logrotate on this host"]
    job = host.top / "daily"
    job.write_text("#!/bin/sh\n")
    job.chmod(0o755)
    monkeypatch.setattr(rotation_schedule, "_CRON", ("/nowhere/hourly", str(job)))
    assert [each["what"] for each in host.rotate()["findings"]] == ["cron does not run"]
    host.units["cron.service"] = {"ActiveState": "active"}
    assert (host.rotate()["findings"], host.rotate()["schedule"]["by"]) == ([], "cron")
    assert [each["kind"] for each in host.rotate(every="hourly")["findings"]] == ["too_rare"]


def test_no_systemd(host: RotationHost, monkeypatch: pytest.MonkeyPatch) -> None:
    real = host.run

    def without(argv: t.Sequence[str], timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        if "systemctl" in argv:
            raise CannotLook("systemctl is not installed")
        return real(argv, timeout, stdin)

    monkeypatch.setattr(host, "run", without)
    monkeypatch.setattr(rotation_schedule, "_CRON", ("/nowhere/hourly", "/nowhere/daily"))
    assert host.rotate()["schedule"]["by"] is None


# ---- the trial


def test_a_process_that_cannot_be_looked_at(host: RotationHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(_host: RotationHost, pid: int) -> dict[str, str]:
        raise PermissionError

    monkeypatch.setattr(_proc, "descriptors", hidden)
    with pytest.raises(CannotLook, match="open files cannot be seen"):
        host.rotate(trial=True)
    assert [path.name for path in host.logs.iterdir()] == ["app.log"]


def writer(path: Path, code: str) -> subprocess.Popen[bytes]:
    """A process that has a log open, and what it does on SIGHUP."""
    lines = [
        "import signal, time",
        f"file = open({str(path)!r}, 'ab', 0)",
        code,
        "print(1, flush=True); time.sleep(60)",
    ]
    program = "\n".join(lines)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline()
    return process


REOPENS = "def again(*_):\n    global file\n    file = open(file.name, 'ab', 0)\nsignal.signal(signal.SIGHUP, again)"


def test_every_writer_that_reopens_is_seen_to(host: RotationHost) -> None:
    with writer(host.logs / "app.log", REOPENS) as one:
        try:
            command = ["/bin/kill", "-HUP", str(one.pid)]
            result = host.rotate(reopen={"method": "command", "command": command}, trial=True)
        finally:
            one.kill()
    told = result["trial"]["writers"]
    assert [(each["pid"], each["path"], each["reopened"]) for each in told] == [(one.pid, f"{host.logs}/app.log", True)]
    assert result["changes"][-1] == {"object": f"{host.logs}/app.log", "before": "in use", "after": "rotated"}


def test_a_writer_that_does_not_reopen_is_named_and_the_policy_put_back(host: RotationHost) -> None:
    with writer(host.logs / "app.log", "") as one:
        try:
            with pytest.raises(OpsError, match=f"pid {one.pid}. still writes into the rotated file") as caught:
                host.rotate(trial=True, trial_timeout=0.3)
        finally:
            one.kill()
    result = caught.value.result
    assert [(each["pid"], each["reopened"]) for each in result["trial"]["writers"]] == [(one.pid, False)]
    assert (result["changed"], result["undo"]["kind"], len(result["changes"])) == (True, "none", 1)
    assert not (host.etc / "app").exists()
    assert (host.logs / "app.log.1").read_text() == "a line\n"


def test_a_writer_that_did_not_follow_is_named_by_every_later_call(host: RotationHost) -> None:
    with writer(host.logs / "app.log", "") as one:
        try:
            (host.logs / "app.log").rename(host.logs / "app.log.1")
            host.log("app.log", "")
            (finding,) = host.rotate()["findings"]
            assert (finding["kind"], finding["where"], finding["blocks"]) == (
                "not_reopened",
                f"{host.logs}/app.log.1",
                False,
            )
            assert f"(pid {one.pid}) still writes into it" in finding["what"]
            host.units["app.service"] = service("app.service", 0, CanReload="yes")
            by_reload = host.rotate(reopen={"method": "reload", "unit": "app.service"})
            assert by_reload["findings"][0]["hint"] == "systemctl reload app.service"
            by_signal = host.rotate(reopen={"method": "signal", "unit": "app.service"})
            assert by_signal["findings"][0]["hint"].endswith("--signal=HUP app.service")
            with pytest.raises(OpsError, match="still writes into the rotated file"):
                host.rotate(trial=True, trial_timeout=0.3)
        finally:
            one.kill()
    assert host.rotate()["findings"] == []


def test_what_a_rotation_that_broke_off_left_is_named(host: RotationHost) -> None:
    for name in ("app.log.1.gz-2026010502.backup", "app.log.2.gz-2026010502.backup"):
        host.log(name)
    (finding,) = host.rotate()["findings"]
    assert (finding["kind"], finding["where"]) == ("left_over", f"{host.logs}/app.log.1.gz-2026010502.backup")
    assert finding["what"].endswith("(and 1 more)")


def test_who_is_not_seen_is_not_named(host: RotationHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(_host: RotationHost, pid: int) -> dict[str, str]:
        raise PermissionError

    monkeypatch.setattr(_proc, "descriptors", hidden)
    host.log("app.log.1")
    assert host.rotate()["findings"] == []


def test_a_copy_keeps_the_writer(host: RotationHost) -> None:
    with writer(host.logs / "app.log", "") as one:
        try:
            result = host.rotate(reopen={"method": "copytruncate"}, compression="none", trial=True)
        finally:
            one.kill()
    assert [each["reopened"] for each in result["trial"]["writers"]] == [True]
    assert result["trial"]["rotated"][0]["to"] == f"{host.logs}/app.log.1"
    assert (host.logs / "app.log").stat().st_size == 0


def test_the_options_of_the_main_file_are_in_force(host: RotationHost) -> None:
    (host.top / "logrotate.conf").write_text(f"dateext\ndateformat -%s\ninclude {host.etc}\n")
    result = host.rotate(trial=True)
    assert result["trial"]["rotated"][0]["to"].startswith(f"{host.logs}/app.log-1")


def test_a_log_that_was_not_rotated(host: RotationHost) -> None:
    (host.top / "logrotate.conf").write_text(f"dateext\ndateformat -fixed-%Y\ninclude {host.etc}\n")
    host.rotate(trial=True)
    host.log("app.log", "more\n")
    with pytest.raises(OpsError, match="already exists, skipping rotation"):
        host.rotate(trial=True)
    assert (host.logs / "app.log").read_text() == "more\n"


def test_a_rotation_that_fails(host: RotationHost) -> None:
    with pytest.raises(OpsError, match="logrotate failed"):
        host.rotate(reopen={"method": "command", "command": ["/bin/false"]}, trial=True)
    assert not (host.etc / "app").exists()


def test_empty_logs_and_none(host: RotationHost) -> None:
    host.log("app.log", "")
    result = host.rotate(trial=True)
    assert result["trial"] == {"rotated": [], "writers": []}
    (host.logs / "app.log").unlink()
    result = host.rotate(trial=True)
    assert (result["changed"], result["trial"]) == (False, None)


def test_what_a_killed_run_left_below_run_is_swept(host: RotationHost) -> None:
    left = host.top / "run" / "rotation-999999999"
    (left / "0").mkdir(parents=True)
    (host.top / "run").chmod(0o700)
    (left / "0" / "app").write_text("x")
    host.rotate(check=True)
    assert list((host.top / "run").iterdir()) == []
