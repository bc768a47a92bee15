# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles are applied to a real kernel: each test has a network namespace of its own, with its own net.* keys."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import re
import shutil
import tempfile
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.module_utils import (
    files,
    lease,
    locks,
    managed_file,
    sysctl,
    sysctl_apply,
    sysctl_back,
    sysctl_files,
)
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.specs.sysctl_profile import ARGUMENT_SPEC, RULES
from test_files import NOBODY, Killer, in_child, root_only

KEYS = {"changed", "changes", "undo", "message", "keys", "file"}
NOTHING = {"kind": "none", "reason": "nothing was changed"}
CLONE_NEWNET = 0x40000000
SOMAXCONN, BACKLOG, RMEM = "net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_rmem"
FIN, KEEP, PORTS = "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_time", "net.ipv4.ip_local_port_range"
READ_ONLY, HIDDEN, WRONG = "net.core.rmem_max", "net.core.netdev_max_backlog", "net.ipv4.tcp_syn_retries"
STARTS = {
    SOMAXCONN: "128",
    BACKLOG: "512",
    RMEM: "4096 131072 6291456",
    FIN: "60",
    KEEP: "7200",
    PORTS: "32768 60999",
    WRONG: "6",
}
pytestmark = root_only


class Host:
    """A kernel with known values, and folders where the files lie."""

    def __init__(self, top: Path) -> None:
        self.top, self.etc, self.state = top, top / "etc" / "sysctl.d", top / "state"
        self.folders = tuple(str(top / name / "sysctl.d") for name in ("etc", "run", "local", "usr", "lib"))

    def path(self, name: str = "p") -> Path:
        return self.etc / f"90-ops-runbook-{name}.conf"

    def say(self, name: str, text: str, folder: str = "etc/sysctl.d") -> Path:
        path = self.top / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def contain(self) -> None:
        (self.top / "dockerenv").touch()


def libc(call: str, *arguments: int) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), call)(*arguments) != 0:
        pytest.skip(f"{call}: {os.strerror(ctypes.get_errno())}")


def live(*names: str) -> tuple[str, ...]:
    """What the kernel shows; not by the code under test."""
    return tuple(" ".join(Path("/proc/sys", name.replace(".", "/")).read_text().split()) for name in names)


def tell(name: str, value: str) -> None:
    assert name.startswith("net."), "the others are the machine's"
    Path("/proc/sys", name.replace(".", "/")).write_text(value)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    libc("unshare", CLONE_NEWNET)
    top = Path(tempfile.mkdtemp(prefix="ops-runbook-test-")).resolve()
    top.chmod(0o755)
    found = Host(top)
    monkeypatch.setattr(sysctl_files, "FOLDERS", found.folders)
    monkeypatch.setattr(sysctl_files, "LAST", str(top / "etc" / "sysctl.conf"))
    monkeypatch.setattr(sysctl_files, "CONTAINER", (str(top / "containerenv"), str(top / "dockerenv")))
    monkeypatch.setattr(managed_file, "STATE", str(found.state))
    found.etc.mkdir(parents=True)
    try:
        for name, value in STARTS.items():
            tell(name, value)
        yield found
    finally:
        libc("setns", home, CLONE_NEWNET)
        os.close(home)
        shutil.rmtree(top)


def params(settings: dict[str, t.Any] | None, **others: t.Any) -> dict[str, t.Any]:
    given = {"name": "p", "settings": settings, **others}
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate({k: v for k, v in given.items() if v is not None})
    assert not checked.error_messages
    names = [str(name).lstrip("-").replace("/", ".") for name in settings or ()]
    assert all(name.startswith("net.") for name in names), "the others are the machine's"
    return dict(checked.validated_parameters)


def run(settings: dict[str, t.Any] | None, check: bool = False, **others: t.Any) -> dict[str, t.Any]:
    result = sysctl.run(params(settings, **others), check)
    assert set(result) == KEYS
    assert json.loads(json.dumps(result)) == result
    return result


def absent(**others: t.Any) -> dict[str, t.Any]:
    return run(None, state="absent", **others)


def failed(kind: type[OpsError], settings: dict[str, t.Any] | None, **others: t.Any) -> OpsError:
    with pytest.raises(OpsError) as caught:
        run(settings, **others)
    assert type(caught.value) is kind, caught.value
    assert set(caught.value.result) == KEYS
    assert caught.value.result["message"] == str(caught.value)
    return caught.value


def statuses(result: dict[str, t.Any]) -> dict[str, str]:
    return {name: one["status"] for name, one in result["keys"].items()}


def said(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def contents(host: Host) -> dict[str, str]:
    """The files of the profile; what is kept aside is not among them."""
    found = [*host.etc.glob("*"), *(host.state / "sysctl").glob("*")]
    return {path.name: path.read_text() for path in found}


def replay(undo: dict[str, t.Any]) -> None:
    """Take undo steps as docs/design.md has them, and see that what must still be true is."""
    for step in undo.get("steps", ()):
        if step["kind"] == "sysctl":
            for name, value in step["values"].items():
                assert live(name) == (value["after"],)
                tell(name, value["before"])
            continue
        path = Path(step["path"])
        assert (files.sha256_of(str(path)) if path.exists() else None) == step["sha256"]
        if step["aside"]:
            shutil.copyfile(step["aside"], path)
            path.chmod(int(step["mode"], 8))
        else:
            path.unlink()
        for folder in reversed(step["folders"]):
            if not any(Path(folder).iterdir()):
                Path(folder).rmdir()


WANTED = {SOMAXCONN: 4096, FIN: 15, KEEP: 7200, RMEM: "4096 87380 4194304"}


# ---- present


def test_a_profile_is_applied_told_for_the_boot_and_remembered(host: Host) -> None:
    result = run(WANTED)
    assert live(SOMAXCONN, FIN, KEEP, RMEM) == ("4096", "15", "7200", STARTS[RMEM])
    assert statuses(result) == {SOMAXCONN: "applied", FIN: "applied", KEEP: "already", RMEM: "better_kept"}
    assert result["keys"][SOMAXCONN] == {
        "before": "128",
        "wanted": "4096",
        "after": "4096",
        "status": "applied",
        "note": "",
    }
    kept = result["keys"][RMEM]
    assert (kept["wanted"], kept["after"]) == ("4096 87380 4194304", STARTS[RMEM])
    assert said(host.path()) == [f"{SOMAXCONN} = 4096", f"{FIN} = 15", f"{KEEP} = 7200"]
    state = host.state / "sysctl" / "p.json"
    assert host.path().stat().st_mode & 0o7777 == 0o644
    assert state.stat().st_mode & 0o7777 == 0o600
    assert state.parent.stat().st_mode & 0o7777 == 0o700
    assert json.loads(state.read_text())["keys"][SOMAXCONN] == {"before": "128", "set": "4096"}
    assert result["file"] == str(host.path())
    assert result["message"] == "profile p: 2 applied, 1 already, 1 better_kept"
    assert [change["object"] for change in result["changes"]] == [
        str(host.path()),
        str(state),
        f"sysctl {SOMAXCONN}",
        f"sysctl {FIN}",
    ]
    assert result["changes"][2] == {"object": f"sysctl {SOMAXCONN}", "before": "128", "after": "4096"}
    assert [step["kind"] for step in result["undo"]["steps"]] == ["file", "file", "sysctl"]
    assert result["undo"]["steps"][2]["values"] == {
        SOMAXCONN: {"before": "128", "after": "4096"},
        FIN: {"before": "60", "after": "15"},
    }


def inodes(top: Path) -> dict[Path, tuple[int, int]]:
    """What a write would change: a new inode, or a new change time; that something was read is none."""
    return {path: (path.stat().st_ino, path.stat().st_ctime_ns) for path in top.rglob("*")}


def test_the_same_again_changes_nothing(host: Host) -> None:
    run(WANTED)
    before = inodes(host.top)
    result = run(WANTED)
    assert (result["changed"], result["changes"], result["undo"]) == (False, [], NOTHING)
    assert set(statuses(result).values()) == {"already", "better_kept"}
    assert inodes(host.top) == before


def test_check_mode_says_the_same_and_writes_nothing(host: Host) -> None:
    before = live(*STARTS)
    predicted = run(WANTED, check=True)
    assert live(*STARTS) == before
    assert list(host.top.rglob("*")) == [host.etc.parent, host.etc]
    assert run(WANTED) == predicted
    assert run({SOMAXCONN: 9}, check=True)["changed"] is True
    assert live(SOMAXCONN) == ("4096",)


def test_only_what_differs_is_written_to_the_kernel(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    real = sysctl_apply.write_live
    monkeypatch.setattr(sysctl_apply, "write_live", lambda key, value: (told.append(key), real(key, value)))
    run(WANTED)
    assert told == [SOMAXCONN, FIN]
    tell(FIN, "33")
    again = run(WANTED)
    assert told == [SOMAXCONN, FIN, FIN]
    assert [change["object"] for change in again["changes"]][-1] == f"sysctl {FIN}"
    assert live(FIN) == ("15",)


@pytest.mark.parametrize("spelling", ["net/ipv4/conf/{}/rp_filter", "net.ipv4.conf.{}.rp_filter"])
def test_an_interface_with_a_dot_in_its_name(host: Host, spelling: str) -> None:
    if os.system("ip link add eth9.100 type bridge || ip link add eth9.100 type dummy") != 0:  # noqa: S605 - a literal
        pytest.skip("no interfaces can be made here")
    slashed = "/" in spelling
    name = "net.ipv4.conf.eth9/100.rp_filter"
    path = Path("/proc/sys/net/ipv4/conf/eth9.100/rp_filter")
    wanted = 2 if path.read_text().strip() != "2" else 1
    result = run({spelling.format("eth9.100" if slashed else "eth9/100"): wanted})
    assert statuses(result) == {name: "applied"}
    assert path.read_text().strip() == str(wanted)
    assert said(host.path()) == [f"{name} = {wanted}"]
    error = failed(Refused, {"net.ipv4.conf.eth9.100.rp_filter": 1})
    assert f"did you mean {name}?" in error.what


@pytest.mark.parametrize("redirects", ["0", "1"])
def test_an_alias_that_resets_others_does_not_undo_them(host: Host, redirects: str) -> None:
    tell("net.ipv4.ip_forward", "0")
    tell("net.ipv4.conf.all.accept_redirects", redirects)
    result = run({"net.ipv4.conf.all.accept_redirects": 1, "net.ipv4.ip_forward": 1})
    assert live("net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects") == ("1", "1")
    assert next(iter(result["keys"])) == "net.ipv4.ip_forward"
    assert said(host.path())[0] == "net.ipv4.ip_forward = 1"


def test_what_resets_others_goes_back_first(host: Host) -> None:
    forward, redirects = "net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects"
    tell(forward, "0")
    tell(redirects, "0")
    result = run({redirects: 1, forward: 1}, run_id="r1")
    assert live(forward, redirects) == ("1", "1")
    assert absent()["changed"] is True
    assert live(forward, redirects) == ("0", "0")
    failed(OpsError, {redirects: 1, forward: 1, WRONG: 300})
    assert live(forward, redirects) == ("0", "0")
    assert list(result["undo"]["steps"][-1]["values"]) == [redirects, forward]


def test_keys_that_limit_each_other(host: Host) -> None:
    """The first port for everybody may not be above the first local one, on the way there and back."""
    everybody = "net.ipv4.ip_unprivileged_port_start"
    was = live(everybody)[0]
    result = run({everybody: 35000, PORTS: "40000 60000"}, allow_lowering=[PORTS])
    assert live(everybody, PORTS) == ("35000", "40000 60000")
    assert said(host.path()) == [f"{PORTS} = 40000 60000", f"{everybody} = 35000"]
    replay(result["undo"])
    assert live(everybody, PORTS) == (was, STARTS[PORTS])
    failed(OpsError, {everybody: 35000, PORTS: "40000 60000", WRONG: 300}, allow_lowering=[PORTS])
    assert live(everybody, PORTS) == (was, STARTS[PORTS])
    run({everybody: 35000, PORTS: "40000 60000"}, allow_lowering=[PORTS])
    absent()
    assert live(everybody, PORTS) == (was, STARTS[PORTS])


# ---- a revised profile


def test_a_revised_profile_may_go_below_what_it_set_itself(host: Host) -> None:
    run({SOMAXCONN: 65535, FIN: 15})
    result = run({SOMAXCONN: 1024, FIN: 15})
    assert statuses(result) == {SOMAXCONN: "applied", FIN: "already"}
    assert live(SOMAXCONN) == ("1024",)
    result = run({SOMAXCONN: 64, FIN: 15})
    assert statuses(result)[SOMAXCONN] == "better_kept"
    assert live(SOMAXCONN) == ("128",)
    assert said(host.path()) == [f"{FIN} = 15"]
    assert result["undo"]["steps"][-1]["values"] == {SOMAXCONN: {"before": "1024", "after": "128"}}
    assert run({SOMAXCONN: 64, FIN: 15})["changed"] is False


def test_a_key_that_is_dropped_goes_back(host: Host) -> None:
    run({SOMAXCONN: 65535, FIN: 15, KEEP: 300})
    tell(KEEP, "4000")
    result = run({SOMAXCONN: 65535})
    assert live(SOMAXCONN, FIN, KEEP) == ("65535", "60", "4000")
    assert statuses(result) == {SOMAXCONN: "already", FIN: "applied", KEEP: "left"}
    assert (result["keys"][FIN]["wanted"], result["keys"][FIN]["after"]) == ("60", "60")
    assert "somebody has set it since" in result["keys"][KEEP]["note"]
    assert said(host.path()) == [f"{SOMAXCONN} = 65535"]
    again = run({SOMAXCONN: 65535})
    assert (again["changed"], set(again["keys"])) == (False, {SOMAXCONN})


def test_what_somebody_else_set_since_is_the_new_original(host: Host) -> None:
    run({FIN: 15})
    tell(FIN, "44")
    result = run({FIN: 15})
    assert (result["keys"][FIN]["before"], result["keys"][FIN]["status"]) == ("44", "applied")
    absent()
    assert live(FIN) == ("44",)


# ---- absent


def test_absent_restores_the_kernel_and_the_disk(host: Host) -> None:
    run(WANTED)
    result = absent()
    assert live(*STARTS) == tuple(STARTS.values())
    assert contents(host) == {}
    assert statuses(result) == {SOMAXCONN: "applied", FIN: "applied", KEEP: "already"}
    assert result["keys"][FIN]["note"] == "put back to what it was before the profile"
    assert result["message"] == "profile p taken away: 2 applied, 1 already"
    again = absent()
    assert (again["changed"], again["keys"], again["undo"]) == (False, {}, NOTHING)
    assert again["message"] == "profile p taken away: nothing of it is here"


def test_absent_leaves_what_others_have_set_since(host: Host) -> None:
    run({SOMAXCONN: 4096, FIN: 15})
    tell(SOMAXCONN, "9999")
    result = absent()
    assert live(SOMAXCONN, FIN) == ("9999", "60")
    assert statuses(result)[SOMAXCONN] == "left"
    assert SOMAXCONN not in str(result["undo"])
    assert contents(host) == {}


def test_absent_leaves_what_another_file_sets_to_the_same(host: Host) -> None:
    run({SOMAXCONN: 4096, FIN: 15, KEEP: 300})
    host.say("50-others.conf", f"{SOMAXCONN} = 4096\n{FIN} = 16\n-{KEEP}\n")
    result = absent()
    assert live(SOMAXCONN, FIN, KEEP) == ("4096", "60", "7200")
    assert result["keys"][SOMAXCONN]["note"] == f"{host.etc / '50-others.conf'}:1 sets it too, so it stays"


def test_absent_knows_keys_that_went_away(host: Host) -> None:
    run({SOMAXCONN: 4096})
    state = host.state / "sysctl" / "p.json"
    document = json.loads(state.read_text())
    document["keys"]["net.ipv4.conf.gone0.rp_filter"] = {"before": "0", "set": "1"}
    state.write_text(json.dumps(document))
    result = absent()
    assert statuses(result) == {SOMAXCONN: "applied", "net.ipv4.conf.gone0.rp_filter": "left"}
    assert contents(host) == {}


def test_absent_in_check_mode_and_undone(host: Host) -> None:
    run(WANTED)
    before, then = contents(host), live(*STARTS)
    predicted = absent(check=True, run_id="r2")
    assert (contents(host), live(*STARTS)) == (before, then)
    result = absent(run_id="r2")
    assert result == predicted
    replay(result["undo"])
    assert (contents(host), live(*STARTS)) == (before, then)
    assert run(WANTED)["changed"] is False


def test_two_profiles_keep_their_own(host: Host) -> None:
    run({SOMAXCONN: 4096, FIN: 15}, name="a")
    result = run({SOMAXCONN: 4096, KEEP: 300}, name="b")
    assert statuses(result) == {SOMAXCONN: "already", KEEP: "applied"}
    assert statuses(absent(name="a")) == {SOMAXCONN: "left", FIN: "applied"}
    assert live(SOMAXCONN, FIN, KEEP) == ("4096", "60", "300")
    absent(name="b")
    assert contents(host) == {}


# ---- undo


def test_undo_of_an_application_leaves_everything_as_it_was(host: Host) -> None:
    result = run(WANTED, run_id="r1")
    replay(result["undo"])
    assert live(*STARTS) == tuple(STARTS.values())
    assert contents(host) == {}
    assert not host.state.exists()


def test_undo_of_a_revision_leaves_the_profile_before_it(host: Host) -> None:
    run({SOMAXCONN: 65535, FIN: 15}, run_id="r1")
    before, then = contents(host), live(*STARTS)
    result = run({SOMAXCONN: 1024, KEEP: 300}, run_id="r2")
    assert {step["aside"] is None for step in result["undo"]["steps"][:2]} == {False}
    replay(result["undo"])
    assert (contents(host), live(*STARTS)) == (before, then)
    assert run({SOMAXCONN: 65535, FIN: 15})["changed"] is False
    absent()
    assert live(*STARTS) == tuple(STARTS.values())


# ---- what cannot be set


def test_problems_fail_before_anything_is_written_and_all_are_named(host: Host) -> None:
    host.contain()
    host.say("95-later.conf", f"# a comment\n\n{FIN} = 44\n")
    wanted = {SOMAXCONN: 4096, FIN: 15, READ_ONLY: 16777216, HIDDEN: 16384, "net.core.somaxcon": 1}
    error = failed(Refused, wanted)
    assert live(*STARTS) == tuple(STARTS.values())
    assert set(contents(host)) == {"95-later.conf"}
    assert not host.state.exists()
    assert error.what.startswith("4 of 5 kernel parameters cannot be set: ")
    for name in (FIN, READ_ONLY, HIDDEN, "net.core.somaxcon"):
        assert name in error.what
    assert f"{host.etc / '95-later.conf'}:3 sets it to 44" in error.what
    assert f"did you mean {SOMAXCONN}?" in error.what
    assert error.where == "profile p"
    assert error.hint == (
        "Take it out of that file; set it on the machine that runs this container; correct the name, "
        "or name it in optional."
    )
    result = error.result
    assert statuses(result) == {
        SOMAXCONN: "left",
        FIN: "overridden",
        READ_ONLY: "not_namespaced",
        HIDDEN: "not_namespaced",
        "net.core.somaxcon": "unknown_key",
    }
    assert (result["changed"], result["changes"], result["undo"]) == (False, [], NOTHING)
    assert result["keys"][SOMAXCONN]["after"] == "128"
    assert result["keys"][SOMAXCONN]["note"] == "as it was, because the call failed"
    assert str(failed(Refused, wanted, check=True)) == str(error)


def test_optional_keys_are_told_and_left_alone(host: Host) -> None:
    host.contain()
    host.say("95-later.conf", f"{KEEP} = 44\n")
    wanted = {SOMAXCONN: 4096, f"-{READ_ONLY}": 16777216, HIDDEN: 16384, KEEP: 300, "-net.ipv4.nothing": "1"}
    for expected in ("applied", "already"):
        result = run(wanted, optional=["net.core.netdev_*", KEEP])
        assert statuses(result) == {
            SOMAXCONN: expected,
            READ_ONLY: "not_namespaced",
            HIDDEN: "not_namespaced",
            KEEP: "overridden",
            "net.ipv4.nothing": "unknown_key",
        }
        assert live(SOMAXCONN, KEEP) == ("4096", "7200")
        assert said(host.path()) == [f"{SOMAXCONN} = 4096"]
    assert result["changed"] is False


def test_outside_of_a_container_a_key_is_unknown_or_read_only(host: Host) -> None:
    error = failed(Refused, {READ_ONLY: 16777216, HIDDEN: 16384})
    assert statuses(error.result) == {READ_ONLY: "refused_by_kernel", HIDDEN: "unknown_key"}


def test_a_read_only_key_that_is_as_wanted_is_no_problem(host: Host) -> None:
    host.contain()
    now = live(READ_ONLY)[0]
    result = run({READ_ONLY: now})
    assert statuses(result) == {READ_ONLY: "already"}
    assert statuses(run({READ_ONLY: int(now) - 1})) == {READ_ONLY: "better_kept"}


def test_groups_and_keys_that_cannot_be_read(host: Host) -> None:
    error = failed(Refused, {"net.ipv4": 1, "net.ipv4.route.flush": 1, "net.ipv4.tcp_fin_timeout.x": 1})
    assert statuses(error.result)["net.ipv4"] == "unknown_key"
    assert "is a group of parameters" in error.what
    assert statuses(error.result)["net.ipv4.tcp_fin_timeout.x"] == "unknown_key"
    assert statuses(error.result)["net.ipv4.route.flush"] == "refused_by_kernel"
    assert "cannot be read (Permission denied), so nothing could be proven" in error.what


def test_a_module_that_is_not_loaded_is_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysctl_files, "PROC", str(host.top / "proc"))
    (host.top / "proc" / "net").mkdir(parents=True)
    error = failed(Refused, {"net.bridge.bridge-nf-call-iptables": 1, "net.netfilter.nf_conntrack_max": 1})
    assert "modprobe br_netfilter" in error.what
    assert "modprobe nf_conntrack" in error.what


def test_a_value_that_the_kernel_refuses_puts_all_back(host: Host) -> None:
    wanted = {SOMAXCONN: 4096, FIN: 15, WRONG: 300}
    error = failed(OpsError, wanted)
    assert live(*STARTS) == tuple(STARTS.values())
    assert contents(host) == {}
    assert statuses(error.result) == {SOMAXCONN: "left", FIN: "left", WRONG: "refused_by_kernel"}
    assert "the kernel does not take 300 (Invalid argument)" in error.what
    assert error.hint == "Write what the kernel takes, or name it in optional."
    assert (error.result["changed"], error.result["undo"]) == (False, NOTHING)
    result = run(wanted, optional=[WRONG])
    assert statuses(result) == {SOMAXCONN: "applied", FIN: "applied", WRONG: "refused_by_kernel"}
    assert live(SOMAXCONN, FIN, WRONG) == ("4096", "15", "6")
    assert said(host.path()) == [f"{SOMAXCONN} = 4096", f"{FIN} = 15"]
    replay(result["undo"])
    assert (live(*STARTS), contents(host)) == (tuple(STARTS.values()), {})


def test_a_value_that_the_kernel_makes_into_another_puts_all_back(host: Host) -> None:
    reserved = "net.ipv4.ip_local_reserved_ports"
    for wanted in ({FIN: 15, reserved: "8081,8080"}, {f"-{FIN}": 15, f"-{reserved}": "8081,8080"}):
        if FIN in wanted:
            error = failed(OpsError, wanted)
            assert "the kernel made 8080-8081 of 8081,8080" in error.what
            assert live(FIN) == ("60",)
            assert contents(host) == {}
        else:
            assert statuses(run(wanted)) == {FIN: "applied", reserved: "refused_by_kernel"}
            assert live(FIN) == ("15",)
        assert live(reserved) == ("",)


def test_an_original_that_the_kernel_no_longer_takes_is_told(host: Host) -> None:
    run({FIN: 15, WRONG: 7})
    state = host.state / "sysctl" / "p.json"
    state.write_text(state.read_text().replace('"before": "6"', '"before": "300"'))
    error = failed(OpsError, None, state="absent")
    assert statuses(error.result) == {FIN: "left", WRONG: "refused_by_kernel"}
    assert live(FIN, WRONG) == ("15", "7")
    assert host.path().exists()
    gone = absent(optional=[WRONG])
    assert statuses(gone) == {FIN: "applied", WRONG: "refused_by_kernel"}
    assert live(FIN, WRONG) == ("60", "7")
    assert not host.path().exists()
    assert json.loads(state.read_text())["keys"] == {WRONG: {"before": "300", "set": "7"}}
    assert absent(optional=[WRONG])["changed"] is False


@pytest.mark.parametrize("inside", [True, False])
def test_a_write_that_is_not_permitted_although_it_seemed_so(
    host: Host, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    """Such as in a user namespace, or under a security module."""
    if inside:
        host.contain()

    def denied(key: str, value: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(sysctl_apply, "write_live", denied)
    error = failed(OpsError, {SOMAXCONN: 4096})
    assert statuses(error.result) == {SOMAXCONN: "not_namespaced" if inside else "refused_by_kernel"}
    assert contents(host) == {}


def test_a_failure_of_a_revision_leaves_the_profile_before_it(host: Host) -> None:
    run({SOMAXCONN: 65535, FIN: 15})
    before, then = contents(host), live(*STARTS)
    error = failed(OpsError, {SOMAXCONN: 1024, WRONG: 300})
    assert (contents(host), live(*STARTS)) == (before, then)
    assert statuses(error.result) == {SOMAXCONN: "left", WRONG: "refused_by_kernel", FIN: "left"}


def test_what_cannot_be_put_back_is_named_with_its_undo(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a kernel that takes a value and not the one before it does this; a broken write stands for it."""
    real = sysctl_apply.write_live

    def stubborn(key: str, value: str) -> None:
        if (key, value) == (SOMAXCONN, "128"):
            raise OSError(22, "Invalid argument")
        real(key, value)

    for module in (sysctl_apply, sysctl_back):
        monkeypatch.setattr(module, "write_live", stubborn)
    error = failed(OpsError, {SOMAXCONN: 4096, FIN: 15, WRONG: 300})
    assert f"not all could be put back: the kernel ({SOMAXCONN} is 4096, was 128)" in error.what
    assert live(SOMAXCONN, FIN) == ("4096", "60")
    assert error.result["changed"] is True
    assert error.result["changes"] == [{"object": f"sysctl {SOMAXCONN}", "before": "128", "after": "4096"}]
    assert error.result["undo"]["steps"] == [
        {"kind": "sysctl", "values": {SOMAXCONN: {"before": "128", "after": "4096"}}}
    ]
    assert error.result["keys"][SOMAXCONN]["after"] == "4096"
    assert contents(host) == {}


# ---- files that are in the way


def test_a_link_in_the_place_of_the_drop_in_is_refused(host: Host) -> None:
    elsewhere = host.say("passwd", "root", folder="elsewhere")
    host.path().symlink_to(elsewhere)
    for check in (True, False):
        error = failed(Refused, {SOMAXCONN: 4096}, check=check)
        assert "is a symbolic link" in error.what
        assert error.where == str(host.path())
        assert statuses(error.result) == {SOMAXCONN: "left"}
    assert elsewhere.read_text() == "root"
    assert live(SOMAXCONN) == ("128",)


def test_a_damaged_state_is_refused(host: Host) -> None:
    run({SOMAXCONN: 4096})
    (host.state / "sysctl" / "p.json").write_text("{")
    for act in (lambda: failed(Refused, {SOMAXCONN: 4096}), lambda: failed(Refused, None, state="absent")):
        assert "nobody knows what the values were before" in act().what
    assert live(SOMAXCONN) == ("4096",)


def test_a_lost_state_takes_the_present_values_for_the_original_ones(host: Host) -> None:
    run({SOMAXCONN: 4096})
    (host.state / "sysctl" / "p.json").unlink()
    gone = absent()
    assert [change["object"] for change in gone["changes"]] == [str(host.path())]
    assert (live(SOMAXCONN), gone["keys"]) == (("4096",), {})
    assert run({SOMAXCONN: 4096})["changed"] is True
    assert json.loads((host.state / "sysctl" / "p.json").read_text())["keys"][SOMAXCONN]["before"] == "4096"


@pytest.mark.parametrize("place", ["etc", "state"])
def test_a_read_only_filesystem_is_seen_before_anything_is_written(host: Host, place: str) -> None:
    folder = host.top / place
    folder.mkdir(exist_ok=True)
    if os.system(f"mount -t tmpfs -o ro tmpfs {folder} 2>/dev/null") != 0:  # noqa: S605 - a path of our own
        pytest.skip("may not mount")
    try:
        for check in (True, False):
            error = failed(OpsError, {SOMAXCONN: 4096}, check=check)
            assert error.what == "the filesystem is read-only"
            assert "findmnt" in error.hint
            assert live(SOMAXCONN) == ("128",)
            assert statuses(error.result) == {SOMAXCONN: "left"}
    finally:
        assert os.system(f"umount {folder}") == 0  # noqa: S605 - a path of our own
    assert contents(host) == {}


@pytest.mark.parametrize("revised", [False, True])
def test_a_full_disk_puts_all_back(host: Host, revised: bool) -> None:
    """The state fits and the drop-in does not: the last write but one fails, after the kernel was told."""
    if os.system(f"mount -t tmpfs -o size=4k tmpfs {host.etc} 2>/dev/null") != 0:  # noqa: S605 - a path of our own
        pytest.skip("may not mount")
    try:
        if revised:
            run({SOMAXCONN: 65535})
        else:
            (host.etc / "filler").write_bytes(b"x" * 4096)
        before, then = contents(host), live(*STARTS)
        error = failed(OpsError, {SOMAXCONN: 1024, FIN: 15})
        assert error.what == "no space or no inodes are left"
        assert (contents(host), live(*STARTS)) == (before, then)
        assert error.result["changed"] is False
        assert statuses(error.result)[FIN] == "left"
    finally:
        assert os.system(f"umount {host.etc}") == 0  # noqa: S605 - a path of our own


def test_a_folder_that_is_missing_is_made_and_removed_by_undo(host: Host) -> None:
    host.etc.rmdir()
    result = run({SOMAXCONN: 4096})
    assert host.path().exists()
    replay(result["undo"])
    assert not host.etc.exists()


def test_without_root_the_hint_is_become(host: Host) -> None:
    def work() -> None:
        error = failed(Refused, {SOMAXCONN: 4096})
        assert "only root may change kernel parameters" in error.what
        assert error.hint == "Run with become: true."
        error = failed(OpsError, {SOMAXCONN: 128})
        assert "become" in error.hint

    assert in_child(work, NOBODY) == 0
    run({SOMAXCONN: 4096})
    assert in_child(lambda: failed(OpsError, {SOMAXCONN: 4096}).hint.index("become"), NOBODY) == 0


# ---- bad input


@pytest.mark.parametrize(
    ("settings", "others", "where"),
    [
        ({}, {}, "settings"),
        ({SOMAXCONN: True}, {}, SOMAXCONN),
        ({SOMAXCONN: 1, "net/core/somaxconn": 2}, {}, SOMAXCONN),
        ({RMEM: 4096}, {}, RMEM),
        ({SOMAXCONN: 1}, {"name": ""}, "name"),
        ({SOMAXCONN: 1}, {"name": "../x"}, "name"),
        ({SOMAXCONN: 1}, {"name": "Upper"}, "name"),
        ({SOMAXCONN: 1}, {"name": "-x"}, "name"),
        ({SOMAXCONN: 1}, {"name": "x" * 65}, "name"),
        ({SOMAXCONN: 1}, {"run_id": "../x"}, "run_id"),
        ({SOMAXCONN: 1}, {"allow_lowering": ["net.core.*"]}, "net.core.*"),
    ],
)
def test_input_that_makes_no_sense_touches_nothing(
    host: Host, settings: dict[str, t.Any], others: dict[str, t.Any], where: str
) -> None:
    for check in (True, False):
        error = failed(BadInput, settings, check=check, **others)
        assert error.where == where
        assert error.hint
        assert error.result["undo"] == NOTHING
    assert live(*STARTS) == tuple(STARTS.values())
    assert list(host.top.rglob("*")) == [host.etc.parent, host.etc]


def test_the_spec_wants_settings_for_a_profile_that_is_to_be_there() -> None:
    checked = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate({"name": "p"})
    assert checked.error_messages == ["state is present but all of the following are missing: settings"]
    with pytest.raises(BadInput, match="names no kernel parameter"):
        sysctl.run(dict(params({SOMAXCONN: 1}), settings=["a"]), False)


# ---- leases, and others at the same time


def test_a_lease_that_is_not_held_stops_it_before_the_first_write(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "DIRECTORY", str(host.top / "leases"))
    error = failed(Refused, {SOMAXCONN: 4096}, lease="db1", run_id="r1")
    assert "does not hold the lease" in error.what
    assert statuses(error.result) == {SOMAXCONN: "left"}
    assert (live(SOMAXCONN), contents(host)) == (("128",), {})
    lease.run({"name": "db1", "state": "acquired", "ttl": 5, "run_id": "r1", "holder": ""}, False)
    assert run({SOMAXCONN: 4096}, lease="db1", run_id="r1")["changed"] is True


def test_two_calls_at_once_leave_one_whole_profile(host: Host) -> None:
    run({SOMAXCONN: 200})
    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            for turn in range(8):
                run({SOMAXCONN: 1000 + number, FIN: 10 + number + 10 * (turn % 2)})
            os._exit(0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 3
    found = dict(line.split(" = ") for line in said(host.path()))
    assert (found[SOMAXCONN], found[FIN]) == live(SOMAXCONN, FIN)
    absent()
    assert live(*STARTS) == tuple(STARTS.values())


def test_a_file_that_changes_under_the_call_is_not_overwritten(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sysctl_apply.write_live

    def meanwhile(key: str, value: str) -> None:
        real(key, value)
        host.path().write_text("# somebody\n")

    monkeypatch.setattr(sysctl_apply, "write_live", meanwhile)
    error = failed(Refused, {SOMAXCONN: 4096})
    assert "somebody changed it a moment ago" in error.what
    assert live(SOMAXCONN) == ("128",)
    assert contents(host) == {host.path().name: "# somebody\n"}


# ---- killed


class Writes(Killer):
    """Kills before or after the nth write: of a file, of a name, or to the kernel, which takes one whole or not."""

    MUTATING: t.ClassVar = ("write", "rename", "unlink", "mkdir", "rmdir", "fchmod", "fchown", "fsync", "setxattr")

    def __getattr__(self, name: str) -> object:
        value = getattr(os, name)
        if name not in self.MUTATING:
            return value
        return lambda *args, **options: self.call(name, value, *args, **options)

    def call(self, name: str, value: t.Callable[..., object], *args: t.Any, **options: t.Any) -> object:
        proc = name == "write" and str(Path(f"/proc/self/fd/{args[0]}").readlink()).startswith("/proc/sys/")
        return super().call("write to the kernel" if proc else name, value, *args, **options)


def killed(when: int, after: bool, act: t.Callable[[], object]) -> int:
    def work() -> None:
        writes = Writes(when, after)
        for module in (files, managed_file, sysctl_files, sysctl_back, sysctl, locks):
            module.os = writes  # type: ignore[attr-defined]
        act()

    return in_child(work)


def put(host: Host, saved: Path, values: tuple[str, ...]) -> None:
    """The host as it was before: files and kernel."""
    for place in ("etc", "state"):
        shutil.rmtree(host.top / place, ignore_errors=True)
        if (saved / place).exists():
            shutil.copytree(saved / place, host.top / place)
    for name, value in zip(STARTS, values, strict=True):
        tell(name, value)


V1 = {SOMAXCONN: 65535, FIN: 15, KEEP: 300}
V2 = {SOMAXCONN: 1024, KEEP: 300, PORTS: "10000 65000"}
SCENARIOS: dict[str, tuple[dict[str, t.Any] | None, dict[str, t.Any] | None]] = {
    "first": (None, V1),
    "revised": (V1, V2),
    "absent": (V1, None),
}


def act(settings: dict[str, t.Any] | None, run_id: str) -> dict[str, t.Any]:
    return run(settings, run_id=run_id) if settings else absent(run_id=run_id)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_sigkill_before_and_after_every_write(host: Host, scenario: str) -> None:
    first, second = SCENARIOS[scenario]
    if first:
        act(first, "r0")
    saved = host.top / "saved"
    for place in ("etc", "state"):
        if (host.top / place).exists():
            shutil.copytree(host.top / place, saved / place)
    old, old_live = contents(host), live(*STARTS)
    act(second, "r1")
    new, new_live = contents(host), live(*STARTS)
    put(host, saved, old_live)
    seen = set()
    for when, after in itertools.product(range(1, 99), (False, True)):
        code = killed(when, after, lambda: act(second, "r1"))
        found, found_live = contents(host), live(*STARTS)
        _demand_no_mixture(host, old, new, found)
        assert all(value in pair for value, *pair in zip(found_live, old_live, new_live, strict=True))
        if found.get(host.path().name) == new.get(host.path().name):
            assert found_live == new_live, "the drop-in comes after the kernel"
        if found_live != old_live:
            assert found.get("p.json") != old.get("p.json"), "the state comes before the kernel"
        seen.add((code, found_live == new_live, found.get(host.path().name) == new.get(host.path().name)))
        again = act(second, "r2")
        assert (contents(host), live(*STARTS)) == (new, new_live), "a rerun completes"
        if found.get(host.path().name) == old.get(host.path().name):
            replay(again["undo"])
            assert live(*STARTS) == old_live, "its undo knows what was before the killed call"
            assert contents(host).get(host.path().name) == old.get(host.path().name)
            act(first, "r3")
            assert (contents(host), live(*STARTS)) == (old, old_live), "what the killed call left behind is tidied"
        put(host, saved, old_live)
        if code == 0:
            break
    assert seen >= {(-9, False, False), (-9, True, False), (-9, True, True), (0, True, True)}
    assert when > 15  # it was really killed at each of the writes


def _demand_no_mixture(host: Host, old: dict[str, str], new: dict[str, str], found: dict[str, str]) -> None:
    for name in set(found) - {"p.json", host.path().name}:
        assert re.fullmatch(r"ops-runbook-[0-9a-f]{16}\.tmp~", name)
    for name in list(found):
        if name.endswith(".tmp~"):
            for leftover in host.top.rglob(name):
                leftover.unlink()
            del found[name]
    assert found.get(host.path().name) in (old.get(host.path().name), new.get(host.path().name))
    if "p.json" in found and found["p.json"] not in (old.get("p.json"), new.get("p.json")):
        underway = json.loads(found["p.json"])["keys"]
        assert any("start" in entry for entry in underway.values())
