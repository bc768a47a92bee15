# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of sessions: what pam_limits would give is looked at, written in one file of ours, seen again and put back."""

from __future__ import annotations

import ast
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.action.resource_limits import ActionModule
from ansible_collections.ops.runbook.plugins.module_utils import (
    files,
    lease,
    limits,
    limits_conf,
    limits_kernel,
    limits_pam,
    managed_file,
    undo,
    unit_look,
)
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.specs.resource_limits import ARGUMENT_SPEC, RULES
from ansible_collections.ops.runbook.plugins.modules import resource_limits
from ansible_collections.ops.runbook.plugins.plugin_utils import packing
from small_systemd import WriteKiller
from test_files import NOBODY, in_child, root_only
from test_limits_conf import PID1
from test_ownership import oldest

pytestmark = root_only
KEYS = {"changed", "changes", "undo", "message", "limits", "restart_needed", "restarted"}
NOTHING = {"kind": "none", "reason": "nothing was changed"}
FOUR = [
    {"domain": "nobody", "item": "nofile", "value": "4096"},
    {"domain": "nobody", "item": "nproc", "value": "20000"},
]
Json = dict[str, t.Any]


@pytest.fixture
def etc(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Path]:
    """A host of its own: /etc/security, units, state, and a PID 1 with 1024:20000 files and 10000:32768 processes."""
    top = Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    top.chmod(0o755)
    (top / "limits.d").mkdir()
    (top / "debian").touch()
    monkeypatch.setattr(managed_file, "STATE", str(top / "state"))
    monkeypatch.setattr(unit_look, "UNITS", str(top / "units"))
    monkeypatch.setattr(limits_conf, "CONF", str(top / "limits.conf"))
    monkeypatch.setattr(limits_conf, "FOLDER", str(top / "limits.d"))
    monkeypatch.setattr(limits_conf, "DEBIAN", str(top / "debian"))
    monkeypatch.setattr(limits_conf, "limits_of", lambda pid: limits_kernel.parse_limits(PID1))
    monkeypatch.setattr(limits_pam, "CGROUPS", (str(top / "cgroup"),))
    yield top
    shutil.rmtree(top)


def params(**given: t.Any) -> Json:
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate({"name": "t1", **given})
    assert not checked.error_messages
    return dict(checked.validated_parameters)


def run(check: bool = False, **given: t.Any) -> Json:
    answer = limits.run(params(**given), check)
    assert set(answer) == KEYS
    return answer


def failed(kind: type[OpsError], check: bool = False, **given: t.Any) -> OpsError:
    with pytest.raises(OpsError) as caught:
        run(check, **given)
    assert type(caught.value) is kind, caught.value
    assert set(caught.value.result) == KEYS
    assert caught.value.result["message"] == str(caught.value)
    return caught.value


def statuses(answer: Json) -> list[str]:
    return [row["status"] for row in answer["limits"]]


def written(etc: Path, name: str = "t1") -> list[str] | None:
    path = etc / "limits.d" / f"90-ops-runbook-{name}.conf"
    return path.read_text().splitlines()[1:] if path.exists() else None


def tree(etc: Path) -> Json:
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_mode) for path in [etc, *etc.rglob("*")]}


def limit(domain: str, item: str, value: object, kind: str = "both") -> Json:
    return {"domain": domain, "item": item, "value": str(value), "type": kind}


# ---- what is done


def test_limits_are_written_seen_and_can_be_undone(etc: Path) -> None:
    before = {path: path.read_text() for path in etc.rglob("*") if path.is_file()}
    answer = run(pam=FOUR, run_id="run1")
    assert written(etc) == [
        "nobody soft nofile 4096",
        "nobody soft nproc 20000",
    ]
    assert answer["changed"] is True
    assert statuses(answer) == ["applied", "better_kept", "applied", "better_kept"]
    assert answer["limits"][0] == {
        "object": "nobody",
        "item": "nofile",
        "type": "soft",
        "before": 1024,
        "wanted": 4096,
        "after": 4096,
        "status": "applied",
        "note": "",
    }
    assert answer["limits"][1]["note"] == "already higher: inherited"
    assert answer["changes"][0] == {"object": "limit nofile (soft) of nobody", "before": 1024, "after": 4096}
    assert answer["changes"][2]["object"] == str(etc / "limits.d" / "90-ops-runbook-t1.conf")
    assert answer["message"] == "limits of t1: 2 applied, 2 better_kept"
    assert [step["kind"] for step in answer["undo"]["steps"]] == ["file"]
    assert stat.S_IMODE((etc / "limits.d" / "90-ops-runbook-t1.conf").stat().st_mode) == 0o644
    undone = undo.replay(answer["undo"]["steps"], "run2", False)
    assert undone["changed"] is True
    assert {path: path.read_text() for path in etc.rglob("*") if path.is_file() and "state" not in path.parts} == before


def test_a_second_run_changes_nothing(etc: Path) -> None:
    first = run(pam=FOUR)
    before = tree(etc)
    second = run(pam=FOUR)
    assert tree(etc) == before
    assert (second["changed"], second["changes"], second["undo"]) == (False, [], NOTHING)
    assert statuses(second) == ["already", "better_kept", "already", "better_kept"]
    assert [row["after"] for row in second["limits"]] == [row["after"] for row in first["limits"]]


def test_check_mode_says_the_same_and_writes_nothing(etc: Path) -> None:
    before = tree(etc)
    predicted = run(check=True, pam=FOUR, run_id="r")
    assert tree(etc) == before
    assert predicted == run(pam=FOUR, run_id="r")


def test_a_higher_limit_is_kept_unless_it_may_be_lowered(etc: Path) -> None:
    (etc / "limits.conf").write_text("nobody - nofile 9000\n")
    answer = run(pam=[limit("nobody", "nofile", 4096)])
    assert statuses(answer) == ["better_kept", "better_kept"]
    assert answer["changed"] is False
    assert answer["limits"][0]["note"] == f"already higher: {etc}/limits.conf:1"
    assert written(etc) is None
    answer = run(pam=[limit("nobody", "nofile", 4096)], allow_lowering=["nofile"])
    assert statuses(answer) == ["applied", "applied"]
    assert written(etc) == ["nobody soft nofile 4096", "nobody hard nofile 4096"]
    # what was lowered with leave stays so, without it too
    assert statuses(run(pam=[limit("nobody", "nofile", 4096)])) == ["already", "already"]
    # and what we have set before is no lower bar than what others have
    answer = run(pam=[limit("nobody", "nofile", 2048)])
    assert statuses(answer) == ["better_kept", "better_kept"]
    assert written(etc) == ["nobody soft nofile 4096", "nobody hard nofile 4096"]


def test_nice_counts_the_other_way_round(etc: Path) -> None:
    (etc / "limits.conf").write_text("nobody - nice -5\n")
    assert statuses(run(check=True, pam=[limit("nobody", "nice", 0)])) == ["better_kept", "better_kept"]
    assert statuses(run(check=True, pam=[limit("nobody", "nice", -5)])) == ["already", "already"]


def test_the_file_is_the_whole_of_the_profile(etc: Path) -> None:
    run(pam=[limit("nobody", "nofile", 2000, "soft"), limit("nobody", "nproc", 20000, "soft")])
    run(pam=[limit("nobody", "nproc", 21000, "soft")])
    assert written(etc) == ["nobody soft nproc 21000"]
    run(name="t2", pam=[limit("nobody", "core", 0, "soft")])
    assert written(etc) == ["nobody soft nproc 21000"]
    assert written(etc, "t2") == ["nobody soft core 0"]


def test_absent_removes_the_file_and_says_what_is_in_effect_then(etc: Path) -> None:
    run(pam=[limit("nobody", "nofile", 2000, "soft"), limit("nobody", "maxlogins", 9)], allow_lowering=["maxlogins"])
    answer = run(state="absent", run_id="r")
    assert written(etc) is None
    rows = [(row["item"], row["type"], row["before"], row["wanted"], row["after"]) for row in answer["limits"]]
    assert rows == [("nofile", "soft", 2000, None, 1024), ("maxlogins", "both", 9, None, "unlimited")]
    assert answer["changed"] is True
    undo.replay(answer["undo"]["steps"], "run2", False)
    assert written(etc) == ["nobody soft nofile 2000", "nobody - maxlogins 9"]
    run(state="absent")
    assert run(state="absent")["changed"] is False


def test_items_and_values_of_all_kinds(etc: Path) -> None:
    given = [
        limit("@nogroup", "memlock", "unlimited"),
        limit("*", "core", "infinity", "soft"),
        limit("1000:2000", "rtprio", 0),
        limit("%nogroup", "maxlogins", 50),
        limit("nobody", "priority", -2),
        limit("nobody", "nonewprivs", 1),
        limit("someone-new", "nofile", 1500, "soft"),
    ]
    assert limits_pam.wanted_of(given)[("@nogroup", "memlock", "hard")] == limits_kernel.INFINITY
    answer = run(check=True, pam=given[1:], allow_lowering=["maxlogins"])
    assert statuses(answer) == ["applied", "already", "already", "applied", "applied", "applied", "applied"]
    assert answer["limits"][-1]["note"] == "there is no such user yet"
    run(pam=given[1:], allow_lowering=["maxlogins"])
    assert written(etc) == [
        "* soft core unlimited",
        "1000:2000 soft rtprio 0",
        "1000:2000 hard rtprio 0",
        "%nogroup - maxlogins 50",
        "nobody - priority -2",
        "nobody - nonewprivs 1",
        "someone-new soft nofile 1500",
    ]


def test_what_tuning_gives_without_the_spec(etc: Path) -> None:
    """Numbers as numbers and no type, as a profile in YAML has them."""
    bare = dict(params(), pam=[{"domain": "nobody", "item": "nofile", "value": 4096}])
    assert statuses(limits.run(bare, True)) == ["applied", "better_kept"]


def test_services_of_the_user_are_told_for_sessions_limits_do_not_reach_them(etc: Path) -> None:
    sleeper = subprocess.Popen(["/bin/sleep", "60"], user=NOBODY)
    try:
        for name, pid in (("a.service", sleeper.pid), ("b.service", os.getpid()), ("c.service", 0)):
            (etc / "cgroup" / "system.slice" / name).mkdir(parents=True)
            (etc / "cgroup" / "system.slice" / name / "cgroup.procs").write_text(f"{pid}\n" if pid else "")
        answer = run(check=True, pam=FOUR)
        assert answer["message"].endswith(
            "; limits of sessions do not reach services, give a.service its own under units"
        )
        assert limits_pam.services_of(FOUR, {"a": {}}) == []
    finally:
        sleeper.kill()
        sleeper.wait()


# ---- what is refused, before anything is written


@pytest.mark.parametrize("value", [limits_kernel.nr_open() + 1, "unlimited", "-1"])
def test_more_files_than_the_kernel_lets_anybody_have(etc: Path, value: object) -> None:
    """With such a line pam_limits refuses every login of its user."""
    before = tree(etc)
    error = failed(Refused, pam=[limit("nobody", "nproc", 20000, "soft"), limit("nobody", "nofile", value)])
    assert f"fs.nr_open ({limits_kernel.nr_open()})" in str(error)
    assert error.where == "nobody"
    assert error.result["changed"] is False
    assert statuses(error.result) == ["applied", "refused_by_kernel", "refused_by_kernel"]
    assert error.result["limits"][1]["after"] == 1024
    assert tree(etc) == before
    failed(Refused, check=True, pam=[limit("nobody", "nofile", value)])


def test_what_this_session_may_not_raise(etc: Path) -> None:
    own = limits_kernel.limits_of("self")["nofile"][1]
    asked = {"x": ("nofile", own, own + 1), "y": ("core", 0, 0), "z": ("locks", 1, 1)}

    def without_rights() -> None:
        assert limits_kernel.refusals(asked) == {
            "x": f"this session may not raise it above {own}: it lacks CAP_SYS_RESOURCE, as in a container"
        }
        assert limits_kernel.refusals(asked, {"nofile": (own, own + 1)}) == {}
        assert limits_kernel.limits_of("self")["nofile"][1] == own  # the trial leaves nothing

    assert in_child(without_rights, NOBODY) == 0


def test_the_trial_says_what_this_very_session_may() -> None:
    own = limits_kernel.limits_of("self")["nofile"][1]
    rights = int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16)
    may = bool(rights >> 24 & 1)  # CAP_SYS_RESOURCE
    refused = limits_kernel.refusals({"x": ("nofile", 1, min(own + 1, limits_kernel.nr_open())), "y": ("locks", 1, 1)})
    assert set(refused) == (set() if may or own >= limits_kernel.nr_open() else {"x"})
    assert limits_kernel._may(resource.RLIMIT_NOFILE, own) is True
    assert limits_kernel._may(resource.RLIMIT_NOFILE, 0) is False  # below the soft one
    assert limits_kernel.limits_of("self")["nofile"][1] == own


def test_a_child_that_dies_in_the_trial_counts_as_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_kernel, "_may", lambda *pair: os.kill(os.getpid(), 9))
    assert limits_kernel._not_taken({"x": (0, 1, 0)}) == ["x"]


def test_a_session_with_the_right_may_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_kernel, "_may", lambda *pair: True)
    own = limits_kernel.limits_of("self")["nofile"][1]
    assert limits_kernel.refusals({"x": ("nofile", own, own + 1)}) == {}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nobody soft nofile 2000", "95.conf:1"),
        ("nobody -", "all limits of nobody are switched off: "),
        ("@nogroup -", "switched off"),
        ("65534: - nofile 2000", "95.conf:1"),
        ("nobody hard nofile 3000", "95.conf:1"),
    ],
)
def test_another_line_wins(etc: Path, line: str, says: str) -> None:
    (etc / "limits.d" / "95.conf").write_text(f"{line}\n")
    before = tree(etc)
    error = failed(Refused, pam=[limit("nobody", "nofile", 4096, "soft")])
    assert statuses(error.result) == ["overridden"]
    assert says in error.result["limits"][0]["note"]
    assert says in str(error)
    assert tree(etc) == before


def test_a_later_profile_of_ours_wins_too(etc: Path) -> None:
    run(name="zz", pam=[limit("nobody", "nofile", 2000, "soft")])
    error = failed(Refused, pam=[limit("nobody", "nofile", 4096, "soft")])
    assert "90-ops-runbook-zz.conf:2" in error.result["limits"][0]["note"]


def test_a_weaker_line_does_not_win(etc: Path) -> None:
    (etc / "limits.d" / "95.conf").write_text("* - nofile 2000\n@nogroup - nofile 2001\n")
    assert statuses(run(pam=[limit("nobody", "nofile", 4096)])) == ["applied", "applied"]


def test_a_soft_limit_above_what_sessions_inherit(etc: Path) -> None:
    error = failed(Refused, pam=[limit("nobody", "nofile", 20001, "soft")])
    assert error.result["limits"][0]["note"] == "the hard limit that sessions inherit is lower: set type: both"


@pytest.mark.parametrize(
    ("pam", "says"),
    [
        ([limit("nobody", "nofiles", 1)], "'nofiles' is no item of limits.conf"),
        ([limit("nobody", "nofile", "many")], "'many' is no value of nofile"),
        ([limit("nobody", "nofile", "1e3")], "no value"),
        ([limit("nobody", "nofile", "٣")], "no value"),
        ([limit("nobody", "nofile", "True")], "no value"),
        ([limit("nobody", "nofile", -2)], "Use a number from 0 to"),
        ([limit("nobody", "nofile", 1 << 63)], "no value"),
        ([limit("nobody", "memlock", 1 << 60)], "no value"),
        ([limit("nobody", "nofile", 0)], "nofile 0 would refuse every login"),
        ([limit("nobody", "maxlogins", 0)], "maxlogins 0 would refuse every login"),
        ([limit("nobody", "nice", -21)], "Use a number from -20 to 19."),
        ([limit("nobody", "nice", "unlimited")], "no value"),
        ([limit("nobody", "nonewprivs", 2)], "no value"),
        ([limit("", "nofile", 1)], "'' is no domain"),
        ([limit("a b", "nofile", 1)], "no domain"),
        ([limit("a#", "nofile", 1)], "no domain"),
        ([limit("a\nroot", "nofile", 1)], "no domain"),
        ([limit("a\0", "nofile", 1)], "no domain"),
        ([limit("@", "nofile", 1)], "no domain"),
        ([limit("x" * 257, "nofile", 1)], "no domain"),
        ([limit("a:", "nofile", 1)], "no range of ids"),
        ([limit(":", "nofile", 1)], "no range of ids"),
        ([limit("%", "nofile", 1)], "maxlogins only"),
        ([limit("a", "nofile", 2, "soft"), limit("a", "nofile", 1, "hard")], "is above its hard one (1)"),
        ([limit("a", "nofile", "unlimited", "soft"), limit("a", "nofile", 1, "hard")], "(unlimited) is above"),
        ([limit("a", "nice", -5, "soft"), limit("a", "nice", 0, "hard")], "is above its hard one"),
        ([limit("a", "nofile", 1, "soft"), limit("a", "nofile", 2)], "nofile of a (soft) has two values"),
        ([], "it names no limit"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_touched(etc: Path, pam: list[Json], says: str) -> None:
    before = tree(etc)
    assert says in str(failed(BadInput, pam=pam))
    assert tree(etc) == before


@pytest.mark.parametrize(
    "entry",
    [
        "nobody - nofile 1",
        {"domain": "nobody", "item": "nofile", "value": 1, "file": "x"},
        {"domain": "nobody", "item": "nofile", "value": None},
        {"domain": "nobody", "item": "nofile", "value": 1, "type": "-"},
        {"domain": "nobody", "item": ["nofile"], "value": 1},
    ],
)
def test_what_tuning_may_give_wrong(entry: t.Any) -> None:
    with pytest.raises(BadInput):
        limits_pam.wanted_of([entry])


@pytest.mark.parametrize("name", ["", "a b", "../x", "a.conf", "environment", "x" * 65])
def test_names_that_would_be_another_file(etc: Path, name: str) -> None:
    assert failed(BadInput, name=name, pam=FOUR).where == "name"


def test_who_is_not_root_is_told_so(etc: Path) -> None:
    etc.chmod(0o777)

    def work() -> None:
        error = failed(Refused, pam=FOUR)
        assert error.hint == "Run with become: true."

    assert in_child(work, NOBODY) == 0
    assert written(etc) is None


def test_a_link_in_the_place_of_our_file_is_not_followed(etc: Path) -> None:
    (etc / "precious").write_text("x")
    (etc / "limits.d" / "90-ops-runbook-t1.conf").symlink_to(etc / "precious")
    assert "symbolic link" in str(failed(Refused, pam=FOUR))
    assert (etc / "precious").read_text() == "x"


def test_a_read_only_filesystem(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*args: object, **options: object) -> t.NoReturn:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "rename", read_only)
        error = failed(OpsError, pam=FOUR)
    assert "read-only" in str(error)
    assert error.hint.startswith("What was changed was put back. Look why: findmnt")
    assert (error.result["changed"], error.result["changes"]) == (False, [])
    assert error.result["undo"]["kind"] == "none"
    assert [row["after"] for row in error.result["limits"]] == [row["before"] for row in error.result["limits"]]
    assert list((etc / "limits.d").iterdir()) == []


def test_what_is_not_in_effect_after_writing_is_put_back(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's file comes between the plan and the write."""
    real = managed_file.FilePlan.put

    def put(plan: managed_file.FilePlan) -> None:
        (etc / "limits.d" / "99.conf").write_text("nobody - nofile 100\n")
        real(plan)

    monkeypatch.setattr(managed_file.FilePlan, "put", put)
    error = failed(OpsError, pam=FOUR)
    assert error.what == "nofile (soft) of nobody is 100, although 4096 was written"
    assert error.where == f"{etc}/limits.d/99.conf:1"
    assert "What was changed was put back" in error.hint
    assert error.result["limits"][0]["status"] == "overridden"
    assert error.result["changed"] is False
    assert written(etc) is None


def test_what_somebody_changed_a_moment_ago_is_left_to_them(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = etc / "limits.d" / "90-ops-runbook-t1.conf"
    real = managed_file.FilePlan.put

    def put(plan: managed_file.FilePlan) -> None:
        path.write_text("theirs\n")
        real(plan)

    monkeypatch.setattr(managed_file.FilePlan, "put", put)
    error = failed(Refused, pam=FOUR)
    assert "a moment ago" in str(error)
    assert "put back" not in str(error)
    assert path.read_text() == "theirs\n"


def test_what_cannot_be_put_back_is_said_with_its_undo(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = etc / "limits.d" / "90-ops-runbook-t1.conf"

    def configured(part: limits_pam.PamPart) -> None:
        path.write_text("theirs\n")
        raise OpsError("no", hint="Look.")

    monkeypatch.setattr(limits_pam.PamPart, "configured", configured)
    error = failed(OpsError, pam=FOUR)
    assert error.hint == f"Not everything could be put back: {path} (somebody else has changed it since). Look."
    assert error.result["changed"] is True
    assert [change["object"] for change in error.result["changes"]] == [str(path)]
    assert error.result["undo"]["steps"][0]["path"] == str(path)
    assert path.read_text() == "theirs\n"


def test_the_lease_is_held_before_the_first_write(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "DIRECTORY", str(etc / "leases"))
    failed(Refused, pam=FOUR, lease="db1", run_id="run1")
    assert written(etc) is None
    lease.run({"name": "db1", "state": "acquired", "ttl": 60, "run_id": "run1", "holder": "t"}, False)
    assert run(pam=FOUR, lease="db1", run_id="run1")["changed"] is True


# ---- crashes and roads


def test_sigkill_leaves_the_old_or_the_new_file_and_a_rerun_completes(etc: Path) -> None:
    run(pam=[limit("nobody", "nofile", 2000, "soft")])
    path = etc / "limits.d" / "90-ops-runbook-t1.conf"
    old = path.read_bytes()
    seen = set()
    for when in range(2, 200):
        path.write_bytes(old)
        shutil.rmtree(etc / "state", ignore_errors=True)

        def work(when: int = when) -> None:
            files.os = managed_file.os = WriteKiller(when // 2, bool(when % 2))  # type: ignore[assignment]
            run(pam=FOUR)

        code = in_child(work)
        content = path.read_bytes()
        assert content == old or written(etc) == ["nobody soft nofile 4096", "nobody soft nproc 20000"]
        seen.add((code, content == old))
        assert run(pam=FOUR)["limits"][0]["after"] == 4096
        assert written(etc) == ["nobody soft nofile 4096", "nobody soft nproc 20000"]
        if code == 0:
            break
    assert seen == {(-9, True), (-9, False), (0, False)}
    assert when > 20


def program(etc: Path, given: Json, check: bool = False) -> bytes:
    """The very program that goes to a target, for the folder of a test."""
    action = object.__new__(ActionModule)
    call = packing.Call("limits", given, check, tuple(action.extra(given)), action.deadline(given))
    text = packing.program(call, "--m--").decode("ascii")
    for place, here in (("/etc/security", etc), ("/var/lib/ops-runbook", etc / "state"), ("/etc/debian_version", etc)):
        text = text.replace(place, str(here))
    return text.encode("ascii")


@pytest.mark.parametrize("python", [oldest(), sys.executable])
def test_the_light_program_answers_the_same(etc: Path, python: str, capsys: pytest.CaptureFixture[str]) -> None:
    def call(check: bool = False, **given: t.Any) -> Json:
        done = subprocess.run(
            [python, "-I", "-B", "-"], input=program(etc, params(**given), check), capture_output=True, check=True
        )
        return dict(json.loads(done.stdout.decode().split("--m--")[1]))

    (etc / "limits.conf").write_text("nobody - nofile 900\n")
    given: Json = {"pam": [limit("nobody", "nofile", 950)], "run_id": "r"}
    predicted = call(check=True, **given)
    assert predicted == call(**given)
    assert statuses(predicted) == ["applied", "applied"]
    assert call(**given)["changed"] is False
    refused = call(pam=[limit("nobody", "nofile", "unlimited")])
    assert refused["error"]["kind"] == "Refused"
    assert set(refused) - {"failed", "msg", "error"} == KEYS
    assert call(state="absent")["changed"] is True
    assert call(pam=[limit("nobody", "x", 1)])["error"]["kind"] == "BadInput"


def test_sessions_alone_need_nothing_of_services() -> None:
    """Their code, and subprocess, would cost each host of a fleet 20 ms."""
    bundle = packing.bundle("limits", limits.late(params(pam=FOUR)))
    names = {name.rpartition("module_utils.")[2] for name in bundle}
    assert not names & {"service", "limits_unit", "platforms.systemd", "platforms", "undo", "lease", "until"}
    for name, (_package, source, _label) in bundle.items():
        for node in ast.parse(source).body:
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {"subprocess", "json", "re", "contextlib", "typing"} & set(imported), name


def test_what_travels_is_all_that_is_imported_late() -> None:
    assert limits.late(params(state="absent", lease="x", run_id="r")) == [
        "limits_pam",
        "limits_unit",
        "service",
        "platforms.systemd",
        "lease",
    ]
    assert "budget" in limits.late(params(units={"a": {}}, budget={"count": 1, "window": 1}))
    action = object.__new__(ActionModule)
    quick, slow = params(pam=FOUR), params(units={"a": {}, "b": {}}, restart=True, restart_timeout=100)
    assert action.deadline(quick) == 120
    assert action.deadline(slow) > 2 * 2 * 100


def test_documentation_tells_what_is_returned() -> None:
    documented = yaml.safe_load(resource_limits.RETURN)
    assert {key for key, entry in documented.items() if entry["returned"] == "always"} == KEYS - {"changed"}
    for task in yaml.safe_load(resource_limits.EXAMPLES):
        params(**task["ops.runbook.resource_limits"])
