# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence is complete, bounded, masked and private, and nothing that fails takes the rest along."""

import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.action import evidence_collect as action
from ansible_collections.ops.runbook.plugins.module_utils import evidence
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, CannotLook, Refused
from ansible_collections.ops.runbook.plugins.module_utils.host import Completed, LocalHost
from ansible_collections.ops.runbook.plugins.module_utils.specs.evidence_collect import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from hypothesis import given
from hypothesis import strategies as st
from test_files import NOBODY, in_child, root_only
from test_ownership import oldest

RECORDED = Path(__file__).parents[1] / "fixtures" / "evidence"
ALWAYS = {"system.txt", "memory.txt", "sockets.txt", "disk.txt", "kernel.txt"}


def recorded(name: str) -> str:
    return (RECORDED / name).read_text()


class Host(LocalHost):
    """This machine, but for the commands whose answers are given; None means that the command is not installed."""

    def __init__(self, **answers: Completed | None) -> None:
        self.answers, self.asked = answers, []

    def run(self, argv: Sequence[str], timeout: float = 10.0, stdin: bytes = b"") -> Completed:
        self.asked.append(list(argv))
        for name, answer in self.answers.items():
            if name.split("_") == list(argv[: name.count("_") + 1]):
                if answer is None:
                    raise CannotLook(f"{argv[0]} is not installed")
                return answer
        return super().run(argv, timeout, stdin)


SYSTEMD = {
    "systemctl_status": Completed(3, recorded("systemctl-status-mongod-252.txt"), ""),
    "systemctl_show": Completed(0, recorded("systemctl-show-environment-252.txt"), ""),
    "journalctl": Completed(0, recorded("journalctl-mongod-252.txt"), ""),
    "dmesg": Completed(1, "", "dmesg: read kernel buffer failed: Operation not permitted\n"),
}


def params(**others: Any) -> dict[str, Any]:
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate({"service": "mongodb", **others})
    assert not checked.error_messages
    return dict(checked.validated_parameters)


def look(host: LocalHost | None = None, **others: Any) -> tuple[dict[str, str], dict[str, str], dict[str, Any]]:
    """Texts by name, reasons by name, and the answer."""
    given = params(**others)
    answer = evidence.collect(host or Host(**SYSTEMD), evidence.plan(given), given["limit"])
    assert answer["changed"] is False
    return (
        {one["name"]: one["text"] for one in answer["documents"]},
        {one["name"]: one["reason"] for one in answer["omitted"]},
        answer,
    )


def test_a_whole_collection(tmp_path: Path) -> None:
    (tmp_path / "mongod.log").write_text("one\ntwo\n")
    texts, reasons, answer = look(
        unit="mongod",
        logs=[str(tmp_path / "mongod.log")],
        paths=[str(tmp_path)],
        commands=[[sys.executable, "-c", "print('version 7')"]],
    )
    log = "log-" + str(tmp_path / "mongod.log").strip("/").replace("/", "_") + ".txt"
    assert set(texts) == {
        *ALWAYS,
        "unit-status.txt",
        "unit-properties.txt",
        "unit-journal.txt",
        log,
        "command-python.txt",
    }
    assert reasons == {}
    assert texts[log] == "one\ntwo\n"
    assert texts["command-python.txt"].endswith("version 7\n")
    assert "mongod.service - MongoDB-protocol" in texts["unit-status.txt"]
    assert "(exit code 3)" in texts["unit-status.txt"]
    assert "Failed with result 'exit-code'" in texts["unit-journal.txt"]
    assert "MemTotal:" in texts["memory.txt"]
    assert "/proc/loadavg" in texts["system.txt"]
    assert "$ df -hTl" in texts["disk.txt"]
    assert f"$ df -hT -- {tmp_path}" in texts["disk.txt"]
    assert "$ df -il" in texts["disk.txt"]
    assert "/proc/self/mounts" in texts["disk.txt"]
    assert answer["collected_at"].endswith("Z")
    assert [one["name"] for one in answer["documents"]][:2] == ["system.txt", "memory.txt"]  # the same order each time


def test_without_a_unit_nothing_of_a_unit() -> None:
    host = Host(**SYSTEMD)
    texts, _reasons, _answer = look(host)
    assert set(texts) == ALWAYS
    assert not [argv for argv in host.asked if argv[0] == "systemctl"]


def test_environments_never_come_along() -> None:
    """The recorded unit has Environment=API_TOKEN=... and a credential."""
    whole = recorded("systemctl-show-environment-252.txt")
    assert "Environment=API_TOKEN=s3cr3t-canary" in whole
    host = Host(**SYSTEMD)
    texts, _reasons, _answer = look(host, unit="evidence-sample")
    assert "canary" not in json.dumps(texts)
    assert "Environment" not in texts["unit-properties.txt"]
    assert "MainPID=" in texts["unit-properties.txt"]
    asked = next(argv for argv in host.asked if argv[:2] == ["systemctl", "show"])
    assert "Environment" not in " ".join(asked)
    assert asked[-2:] == ["--", "evidence-sample"]


@pytest.mark.parametrize(
    "argv",
    [
        ["env"],
        ["/usr/bin/printenv", "X"],
        ["cat", "/proc/1/environ"],
        ["sudo", "env"],
        ["systemctl", "show-environment"],
        [],
    ],
)
def test_commands_that_show_environments_are_not_run(argv: list[str]) -> None:
    host = Host(**SYSTEMD)
    texts, reasons, _answer = look(host, commands=[argv])
    assert set(texts) == ALWAYS
    assert list(reasons.values()) == ["environments are never collected" if argv else "names no command"]
    assert argv not in host.asked


def test_no_environment_and_no_command_line_of_processes() -> None:
    marker = "canary" + os.urandom(4).hex()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", marker], env={"TOKEN_X": marker})
    try:
        texts, _reasons, _answer = look(limit="20MB")
        assert marker not in json.dumps(texts)
        assert " python" in texts["memory.txt"]
    finally:
        child.kill()
        child.wait()


def test_stopped_processes_are_listed_however_small() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        child.send_signal(19)
        time.sleep(0.1)
        rows = [line.split() for line in look()[0]["memory.txt"].splitlines()]
        assert [row[2] for row in rows if len(row) > 5 and row[1] == str(child.pid)] == ["T"]
    finally:
        child.kill()
        child.wait()


def test_secrets_are_masked_everywhere(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("connect mongodb://bob:hunter2@db1/x\nretry --password hunter2\n")
    script = "print('api_key: hunter2')"
    journal = Completed(0, "app[1]: token=hunter2\n", "")
    host = Host(**{**SYSTEMD, "journalctl": journal})
    texts, _reasons, _answer = look(
        host, unit="app", logs=[str(tmp_path / "*.log")], commands=[["python3", "-c", script]]
    )
    assert "hunter2" not in json.dumps(texts).replace(json.dumps(script)[1:-1], "")
    assert "mongodb://bob:***@db1/x" in json.dumps(texts)


def test_lines_are_the_last_ones(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("".join(f"line {number}\n" for number in range(5000)))
    texts, _reasons, answer = look(logs=[str(tmp_path / "a.log")], lines=3)
    name = next(name for name in texts if name.startswith("log-"))
    assert texts[name] == "line 4997\nline 4998\nline 4999\n"
    assert not next(one for one in answer["documents"] if one["name"] == name)["truncated"]


def test_half_a_line_at_a_cut_is_dropped_because_it_may_be_half_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("x" * 3000 + "password=" + "hunter2" * 300 + "\nlast\n")
    assert evidence._logs(LocalHost(), str(path), 100, 2000) == "last\n"


def test_a_pattern_takes_the_newest_files(tmp_path: Path) -> None:
    for number in range(15):
        (tmp_path / f"batch-{number:02}.log").write_text(f"run {number}\n")
        os.utime(tmp_path / f"batch-{number:02}.log", (number, number))
    (tmp_path / "other.txt").write_text("no")
    texts, reasons, _answer = look(logs=[str(tmp_path / "batch-*.log"), str(tmp_path / "none-*.log")])
    text = next(text for name, text in texts.items() if name.startswith("log-"))
    assert [line for line in text.splitlines() if line[:3] == "run"] == [f"run {number}" for number in range(5, 15)]
    assert f"==> {tmp_path}/batch-14.log <==" in text
    assert list(reasons.values()) == ["no file matches"]


def test_what_is_no_log_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "app.env").write_text("hunter2")
    (tmp_path / "link.log").symlink_to("/etc/shadow")
    (tmp_path / "chain.log").symlink_to("link.log")
    (tmp_path / "etc").symlink_to("/etc")
    (tmp_path / "loop.log").symlink_to("loop.log")
    os.mkfifo(tmp_path / "pipe.log")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "sock.log"))
    server.close()
    paths = ["app.env", "link.log", "chain.log", "etc/hostname", "loop.log", "pipe.log", "sock.log", "gone.log", "."]
    _texts, reasons, _answer = look(logs=[str(tmp_path / path) for path in paths] + ["/proc/1/environ", "relative.log"])
    said = list(reasons.values())
    assert said[0] == f"{tmp_path}/app.env is not a log"
    assert said[1] == said[2] == "/etc/shadow is not a log"
    assert said[3] == "/etc/hostname is not a log"
    assert said[5:9] == [
        f"{tmp_path}/pipe.log is a fifo",
        f"{tmp_path}/sock.log is a socket",
        "No such file or directory",
        f"{tmp_path} is a directory",
    ]
    assert said[9] == "/proc/1/environ is not a log"
    assert len(said) == 11


def test_a_log_that_tail_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("x")
    for said, reason in (("tail: I/O error\n", "tail: I/O error"), ("", "tail failed")):
        _texts, reasons, _answer = look(Host(**SYSTEMD, tail=Completed(1, "", said)), logs=[str(tmp_path / "a.log")])
        assert list(reasons.values()) == [reason]


def test_the_kernel_s_log_comes_from_dmesg_else_from_the_journal() -> None:
    host = Host(**{**SYSTEMD, "dmesg": Completed(0, "[1] a\n[2] b\n[3] c\n", "")})
    assert look(host, lines=2)[0]["kernel.txt"] == "[2] b\n[3] c\n"
    assert "--dmesg" in look()[0]["kernel.txt"]
    nothing = Host(**{**SYSTEMD, "journalctl": Completed(0, "", "")})
    _texts, reasons, _answer = look(nothing, unit="x")
    assert reasons["kernel.txt"] == "the journal has no entries that this user may read"
    assert reasons["unit-journal.txt"] == "the journal has no entries that this user may read"
    failing = Host(**{**SYSTEMD, "journalctl": Completed(1, "", "x\nNo journal files were found.\n")})
    assert look(failing)[1]["kernel.txt"] == "No journal files were found."


def test_tools_that_are_missing_are_named_and_the_rest_goes_on() -> None:
    missing = dict.fromkeys(("systemctl", "journalctl", "dmesg", "df", "ss"))
    texts, reasons, _answer = look(Host(**missing), unit="mongod")
    assert reasons == {
        "kernel.txt": "journalctl is not installed",
        "disk.txt": "df is not installed",
        "unit-status.txt": "systemctl is not installed",
        "unit-properties.txt": "systemctl is not installed",
        "unit-journal.txt": "journalctl is not installed",
    }
    assert "/proc/net/tcp" in texts["sockets.txt"]
    texts, _reasons, _answer = look(Host(**SYSTEMD, **{"df_-il": None}))
    assert "$ df -il\n(df is not installed)" in texts["disk.txt"]


def test_a_unit_that_is_not_there() -> None:
    gone = Completed(4, "", "Unit nosuch.service could not be found.\n")
    assert look(Host(**{**SYSTEMD, "systemctl_status": gone}), unit="nosuch")[1]["unit-status.txt"] == (
        "Unit nosuch.service could not be found."
    )
    silent = Host(**SYSTEMD)
    assert look(silent, commands=[["false"]])[1]["command-false.txt"] == "exit code 1, no output"


def test_a_version_on_standard_error_is_an_answer() -> None:
    script = "import sys; sys.stderr.write('nginx version: 1.22\\n')"
    assert "nginx version: 1.22" in look(commands=[["python3", "-c", script]])[0]["command-python3.txt"]


def test_what_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "COMMAND_SECONDS", 0.3)
    started = time.monotonic()
    _texts, reasons, _answer = look(commands=[["sleep", "60"]])
    assert reasons["command-sleep.txt"] == "sleep 60 did not end within 0.3 s"

    released = threading.Event()

    def hang(host: object) -> str:
        released.wait(60)
        return ""

    answer = evidence.collect(LocalHost(), {"a.txt": hang, "b.txt": lambda host: "b"}, 10000, seconds=0.5)
    assert [one["text"] for one in answer["documents"]] == ["b"]
    assert answer["omitted"] == [{"name": "a.txt", "reason": "did not end within 0.5 s"}]
    released.set()
    assert time.monotonic() - started < 20


def test_items_are_looked_at_concurrently() -> None:
    def slow(host: object) -> str:
        time.sleep(0.4)
        return "x"

    started = time.monotonic()
    answer = evidence.collect(LocalHost(), {f"{number}.txt": slow for number in range(12)}, 10000)
    assert len(answer["documents"]) == 12
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "error,reason",
    [
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (OSError("odd"), "OSError"),
        (CannotLook("no", "here", "Do."), "here: no. Do."),
        (ValueError("x"), "ValueError: x (this is a bug)"),
    ],
)
def test_no_error_of_one_item_takes_the_others_along(error: Exception, reason: str) -> None:
    def fail(host: object) -> str:
        raise error

    answer = evidence.collect(LocalHost(), {"a.txt": fail, "b.txt": lambda host: "b"}, 10000)
    assert [one["name"] for one in answer["documents"]] == ["b.txt"]
    assert answer["omitted"] == [{"name": "a.txt", "reason": reason}]


def test_kernel_files_that_are_missing_and_processes_that_end(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(**SYSTEMD)
    real = host.read

    def read(path: str, limit: int = 0, offset: int = 0) -> bytes:
        if "pressure" in path or path.endswith("1/status"):
            raise FileNotFoundError(2, "No such file or directory")
        return real(path, limit, offset)

    monkeypatch.setattr(host, "read", read)
    text = evidence._memory(host)
    assert "==> /proc/pressure/io <==\n(No such file or directory)" in text
    assert "RSS_kB" in text


def test_names_are_harmless_and_unique() -> None:
    items = evidence.plan(
        params(
            logs=["/var/log/a b/../c.log", "/var/log/a.log", "/var/log/a.log"],
            commands=[["/usr/bin/mongod", "--version"], ["mongod", 1], []],
        )
    )
    assert set(items) - ALWAYS == {
        "log-var_log_a_b_.._c.log.txt",
        "log-var_log_a.log.txt",
        "log-var_log_a.log-2.txt",
        "command-mongod.txt",
        "command-mongod-2.txt",
        "command-none.txt",
    }


@pytest.mark.parametrize("option,value", [("limit", 100), ("lines", 0)])
def test_impossible_limits(option: str, value: int) -> None:
    with pytest.raises(BadInput) as caught:
        evidence.plan(params(**{option: value}))
    assert caught.value.where == option


def test_check_mode_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "LocalHost", lambda: pytest.fail("looked"))
    assert evidence.run(params(), True) == {"changed": False, "collected_at": None, "documents": [], "omitted": []}
    with pytest.raises(BadInput):
        evidence.run(params(limit=1), True)


def sizes(documents: list[dict[str, Any]]) -> list[int]:
    return [len(one["text"].encode()) for one in documents]


def test_the_small_ones_stay_whole_and_the_large_ones_share_the_rest() -> None:
    line = "0123456789\n"
    documents = evidence.shared_out({"big": line * 1000, "small": line * 10, "large": line * 2000}, 5000)
    assert [one["name"] for one in documents] == ["big", "small", "large"]
    assert [one["truncated"] for one in documents] == [True, False, True]
    big, small, large = sizes(documents)
    assert small == 110
    assert abs(big - large) < 3 * len(line)
    assert 4900 < big + small + large <= 5000
    first, rest = documents[0]["text"].split("\n", 1)
    assert first == f"[the first {11000 - len(rest)} bytes are cut off]"
    assert set(rest.splitlines()) == {"0123456789"}


@given(st.dictionaries(st.text("abc", min_size=1), st.text("x\n가\ud800", max_size=400)), st.integers(0, 2000))
def test_never_more_than_the_limit(texts: dict[str, str], limit: int) -> None:
    documents = evidence.shared_out(texts, limit)
    assert sum(sizes(documents)) <= limit
    for one in documents:
        whole = texts[one["name"]].encode("utf-8", "backslashreplace").decode()
        assert one["truncated"] is (one["text"] != whole)
        if one["truncated"] and one["text"]:
            assert whole.endswith(one["text"].partition("\n")[2])


@root_only
def test_an_unprivileged_user_gets_what_there_is_and_reasons_for_the_rest(tmp_path: Path) -> None:
    private = Path("/var/log/ops-runbook-test.log")
    private.write_text("x")
    private.chmod(0o600)

    def work() -> None:
        given = params(unit="mongod", logs=[str(private)])
        answer = evidence.run(given, False)
        assert set(ALWAYS) - {"kernel.txt"} <= {one["name"] for one in answer["documents"]}
        reasons = {one["name"]: one["reason"] for one in answer["omitted"]}
        assert "Permission denied" in reasons["log-var_log_ops-runbook-test.log.txt"]

    try:
        assert in_child(work, NOBODY) == 0
    finally:
        private.unlink()


@pytest.mark.parametrize("python", [oldest(), sys.executable])
def test_the_light_program_answers(python: str, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("token=hunter2\n")
    call = packing.Call("evidence", params(logs=[str(tmp_path / "a.log")]), False, deadline=60)
    text = packing.program(call, "--m--")
    done = subprocess.run([python, "-I", "-B", "-"], input=text, capture_output=True, timeout=60, check=True)
    answer = json.loads(done.stdout.decode().split("--m--")[1])
    texts = {one["name"]: one["text"] for one in answer["documents"]}
    assert texts["log-" + str(tmp_path / "a.log").strip("/").replace("/", "_") + ".txt"] == "token=***\n"
    assert not answer.get("failed")


# ---- the controller's half


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("OPS_RUNBOOK_EVIDENCE", str(tmp_path / "evidence"))
    monkeypatch.setenv("OPS_RUNBOOK_RUN_ID", "run7")
    monkeypatch.setenv("OPS_RUNBOOK_RECORDS", str(tmp_path / "record"))
    return tmp_path / "evidence"


def test_the_folder_is_the_one_asked_for_else_that_of_run_and_host(
    records: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert action.wanted_folder(None, "db1") == records / "run7" / "db1"
    assert action.wanted_folder(None, "../../etc") == records / "run7" / "__.._etc"
    assert action.wanted_folder("~/x", "db1") == Path("~/x").expanduser()
    monkeypatch.delenv("OPS_RUNBOOK_EVIDENCE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert action.wanted_folder(None, "db1") == tmp_path / "state" / "ops-runbook" / "evidence" / "run7" / "db1"


def test_documents_are_kept_private_with_a_manifest(tmp_path: Path) -> None:
    answer = {
        "documents": [{"name": "a.txt", "text": "é\n", "truncated": True}],
        "collected_at": "t",
        "omitted": [{"name": "b.txt", "reason": "r"}],
    }
    about = {"service": "mongodb", "host": "db1", "run": "run7"}
    kept = action.keep(tmp_path, about, answer)
    data = "é\n".encode()
    digest = hashlib.sha256(data).hexdigest()
    assert kept["files"] == [{"name": "a.txt", "bytes": 3, "sha256": digest, "truncated": True}]
    assert (tmp_path / "a.txt").read_bytes() == data
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest == {
        "schema": "ops.runbook/evidence/1",
        **about,
        "collected_at": "t",
        "files": kept["files"],
        "omitted": answer["omitted"],
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert kept["message"] == f"1 files, 3 bytes, in {tmp_path}; omitted: b.txt"
    assert action.unused(tmp_path) == tmp_path.with_name(tmp_path.name + "-2")
    tmp_path.with_name(tmp_path.name + "-2").mkdir()
    (tmp_path.with_name(tmp_path.name + "-2") / "manifest.json").write_text("")
    assert action.unused(tmp_path) == tmp_path.with_name(tmp_path.name + "-3")


class Task:
    check_mode = False


def performed(monkeypatch: pytest.MonkeyPatch, call: Callable[..., dict[str, Any]], **options: Any) -> dict[str, Any]:
    """What perform() does with the answer of a target."""
    module = object.__new__(action.ActionModule)
    module._task = Task()
    monkeypatch.setattr(module, "call", call, raising=False)
    return module.perform(params(**options), {"inventory_hostname": "db1"}, set())


def test_a_target_that_lies_cannot_name_other_files(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["../../evil.txt", "/etc/cron.d/evil", "manifest.json", "evil.txt", "system.txt"]

    def call(*args: object) -> dict[str, Any]:
        return {
            "documents": [{"name": name, "text": "x", "truncated": False} for name in names],
            "omitted": [],
            "collected_at": "t",
        }

    result = performed(monkeypatch, call)
    assert [file["name"] for file in result["files"]] == ["system.txt"]
    (line,) = [json.loads(line) for line in (records.parent / "record" / "record.jsonl").read_text().splitlines()]
    assert (line["run"], line["host"], line["phase"]) == ("run7", "db1", "evidence")
    assert line["entry"] == {"directory": result["directory"], "omitted": [], "seconds": pytest.approx(0, abs=5)}
    assert {path.name for path in records.rglob("*") if path.is_file()} == {"system.txt", "manifest.json"}


def test_nothing_is_left_of_a_target_that_failed(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert performed(monkeypatch, lambda *args: {"failed": True, "msg": "no"})["failed"] is True
    assert not (records / "run7" / "db1").exists()

    def unreachable(*args: object) -> dict[str, Any]:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        performed(monkeypatch, unreachable)
    assert not (records / "run7" / "db1").exists()


def test_a_folder_that_cannot_be_used_fails_before_anything_is_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(*args: object) -> dict[str, Any]:
        raise AssertionError

    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(Refused, match="others may write into it"):
        performed(monkeypatch, call, directory=str(tmp_path / "open"))
