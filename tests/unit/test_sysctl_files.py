# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file wins at boot, and keys that belong to the whole machine: on trees in the place of /etc and /proc."""

from __future__ import annotations

import errno
import os
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import managed_file, sysctl, sysctl_files
from ansible_collections.ops.runbook.plugins.module_utils.errors import OpsError
from test_files import NOBODY, in_child, root_only

MODULE_UTILS = "ansible_collections.ops.runbook.plugins.module_utils"
KEY, OURS = "net.core.somaxconn", "90-ops-runbook-p.conf"
ETC, RUN, LOCAL, USR, LIB = (
    "etc/sysctl.d",
    "run/sysctl.d",
    "usr/local/lib/sysctl.d",
    "usr/lib/sysctl.d",
    "lib/sysctl.d",
)
PROC = {
    "fs/file-max": "9223372036854775807",
    "fs/nr_open": "1048576",
    "vm/swappiness": "60",
    "vm/dirty_ratio": "20",
    "vm/dirty_background_ratio": "10",
    "kernel/sem": "32000\t1024000000\t500\t32000",
}


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(
        sysctl_files, "FOLDERS", tuple(str(tmp_path / folder) for folder in (ETC, RUN, LOCAL, USR, LIB))
    )
    monkeypatch.setattr(sysctl_files, "LAST", str(tmp_path / "etc/sysctl.conf"))
    monkeypatch.setattr(sysctl_files, "CONTAINER", (str(tmp_path / ".dockerenv"),))
    monkeypatch.setattr(sysctl_files, "PROC", str(tmp_path / "proc"))
    monkeypatch.setattr(managed_file, "STATE", str(tmp_path / "state"))
    for name, value in PROC.items():
        path = tmp_path / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")
    (tmp_path / ETC).mkdir(parents=True)
    return tmp_path


def write(top: Path, files: dict[str, str]) -> None:
    """Files by path; a text that begins with -> is a link."""
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            path.symlink_to(text[2:])
        else:
            path.write_text(text)


def overrider(top: Path, key: str = KEY, value: str = "4096") -> str:
    said = sysctl_files.overrider(key, value, sysctl_files.said_after(OURS))
    return said.replace(f"{top}/", "/")


LATER = f"/{ETC}/95-a.conf"
CASES: dict[str, tuple[dict[str, str], str]] = {
    "nothing": ({}, ""),
    "a file read before ours": ({f"{ETC}/50-a.conf": f"{KEY} = 1"}, ""),
    "a file read after ours": ({f"{ETC}/95-a.conf": f"# c\n; c\n\n  {KEY}=1"}, f"{LATER}:4 sets it to 1"),
    "the same value": ({f"{ETC}/95-a.conf": f"{KEY} = 4096"}, ""),
    "the same value in hexadecimal": ({f"{ETC}/95-a.conf": f"{KEY} = 0x1000"}, ""),
    "the same value and a comment": ({f"{ETC}/95-a.conf": f"{KEY} = 4096 # good"}, ""),
    "another value and a comment": ({f"{ETC}/95-a.conf": f"{KEY} = 1 # 4096"}, f"{LATER}:1 sets it to 1 # 4096"),
    "no value": ({f"{ETC}/95-a.conf": f"{KEY} ="}, f"{LATER}:1 sets it to nothing"),
    "slashes": ({f"{ETC}/95-a.conf": "net/core/somaxconn=1"}, f"{LATER}:1 sets it to 1"),
    "failure ignored": ({f"{ETC}/95-a.conf": f"-{KEY} = 1"}, f"{LATER}:1 sets it to 1"),
    "taken out": ({f"{ETC}/95-a.conf": f"-{KEY}"}, f"{LATER}:1 takes it out"),
    "taken out and set again": ({f"{ETC}/95-a.conf": f"-{KEY}\n{KEY} = 4096"}, ""),
    "a pattern never wins over a name": ({f"{ETC}/95-a.conf": "net.core.somaxcon* = 1\nnet.core.* = 1"}, ""),
    "no assignment": ({f"{ETC}/95-a.conf": f"{KEY}\n= 1\n=\n-\n"}, ""),
    "the last line of a file": ({f"{ETC}/95-a.conf": f"{KEY} = 1\n{KEY} = 4096"}, ""),
    "the last file": ({f"{ETC}/95-a.conf": f"{KEY} = 1", f"{USR}/96-a.conf": f"{KEY} = 4096"}, ""),
    "the last file wins": (
        {f"{ETC}/95-a.conf": f"{KEY} = 4096", f"{USR}/96-a.conf": f"{KEY} = 2"},
        f"/{USR}/96-a.conf:1 sets it to 2",
    ),
    "the last name, whatever the folder": (
        {f"{ETC}/96-a.conf": f"{KEY} = 2", f"{USR}/95-a.conf": f"{KEY} = 4096"},
        f"/{ETC}/96-a.conf:1 sets it to 2",
    ),
    "any folder": ({f"{LIB}/95-a.conf": f"{KEY} = 1"}, f"/{LIB}/95-a.conf:1 sets it to 1"),
    "hidden by etc": ({f"{ETC}/95-a.conf": "", f"{RUN}/95-a.conf": f"{KEY} = 1"}, ""),
    "hidden by run": ({f"{RUN}/95-a.conf": "", f"{LOCAL}/95-a.conf": f"{KEY} = 1"}, ""),
    "hidden by local": ({f"{LOCAL}/95-a.conf": "", f"{USR}/95-a.conf": f"{KEY} = 1"}, ""),
    "hidden by usr": ({f"{USR}/95-a.conf": "", f"{LIB}/95-a.conf": f"{KEY} = 1"}, ""),
    "masked": ({f"{ETC}/95-a.conf": "->/dev/null", f"{USR}/95-a.conf": f"{KEY} = 1"}, ""),
    "masked by a dead link": ({f"{ETC}/95-a.conf": "->/nowhere", f"{USR}/95-a.conf": f"{KEY} = 1"}, ""),
    "not hidden by another name": (
        {f"{ETC}/95-b.conf": "", f"{USR}/95-a.conf": f"{KEY} = 1"},
        f"/{USR}/95-a.conf:1 sets it to 1",
    ),
    "not a .conf": ({f"{ETC}/95-a.conf.dpkg-old": f"{KEY} = 1", f"{ETC}/README.sysctl": f"{KEY} = 1"}, ""),
    "capitals sort before small letters": ({f"{ETC}/90-Z.conf": f"{KEY} = 1"}, ""),
    "sysctl.conf is last for procps": ({"etc/sysctl.conf": f"{KEY} = 1"}, "/etc/sysctl.conf:1 sets it to 1"),
    "sysctl.conf by its link": (
        {"etc/sysctl.conf": f"{KEY} = 1", f"{ETC}/99-sysctl.conf": "->../sysctl.conf"},
        f"/{ETC}/99-sysctl.conf:1 sets it to 1",
    ),
    "systemd does not read sysctl.conf": (
        {"etc/sysctl.conf": f"{KEY} = 4096", f"{ETC}/95-a.conf": f"{KEY} = 1"},
        f"{LATER}:1 sets it to 1",
    ),
    "a link to a good file": ({"x": f"{KEY} = 1", f"{ETC}/95-a.conf": "->../../x"}, f"{LATER}:1 sets it to 1"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_real_precedence_decides(top: Path, case: str) -> None:
    files, expected = CASES[case]
    write(top, files)
    assert overrider(top) == expected


def test_interfaces_with_dots_and_values_of_several_components(top: Path) -> None:
    write(top, {f"{ETC}/95-a.conf": "net/ipv4/conf/eth0.1/rp_filter = 1\nnet.ipv4.tcp_rmem = 1\t2  3"})
    assert overrider(top, "net.ipv4.conf.eth0/1.rp_filter", "2") == f"{LATER}:1 sets it to 1"
    assert overrider(top, "net.ipv4.conf.eth0.1.rp_filter", "2") == ""
    assert overrider(top, "net.ipv4.tcp_rmem", "1 2 3") == ""
    assert overrider(top, "net.ipv4.tcp_rmem", "1 2 4") == f"{LATER}:2 sets it to 1 2 3"


def test_what_is_no_text_or_no_file_stops_nothing(top: Path) -> None:
    (top / ETC / "95-a.conf").write_bytes(b"\xff\xfe = 1\n" + KEY.encode() + b" = \xff1\n")
    (top / ETC / "96-a.conf").mkdir()
    os.mkfifo(top / ETC / "97-a.conf")
    assert overrider(top) == f"{LATER}:2 sets it to \\xff1"


@root_only
def test_a_file_that_cannot_be_read_may_override_and_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="ops-runbook-test-") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(sysctl_files, "FOLDERS", (folder,))
        secret = Path(folder, "95-a.conf")
        secret.touch(0o600)

        def work() -> None:
            with pytest.raises(OpsError, match="this user may not do that") as caught:
                sysctl_files.said_after(OURS)
            assert caught.value.where == str(secret)

        assert in_child(work, NOBODY) == 0


# ---- the machine's own keys


def run(settings: dict[str, t.Any], **others: t.Any) -> dict[str, t.Any]:
    options = {"optional": [], "allow_lowering": [], "state": "present", "lease": "", "run_id": None}
    return sysctl.run({"name": "p", "settings": settings, **options, **others}, False)


@root_only
def test_the_values_of_the_guides(top: Path) -> None:
    """S5 283-301: file-max would be lowered, the others are choices or better."""
    result = run({"vm.swappiness": 10, "vm.dirty_ratio": 15, "fs.file-max": 2097152, "fs.nr_open": 2097152})
    assert {name: (one["status"], one["after"]) for name, one in result["keys"].items()} == {
        "vm.swappiness": ("applied", "10"),
        "vm.dirty_ratio": ("applied", "15"),
        "fs.file-max": ("better_kept", "9223372036854775807"),
        "fs.nr_open": ("applied", "2097152"),
    }
    assert (top / "proc/vm/swappiness").read_text() == "10\n"
    assert (top / "proc/fs/file-max").read_text() == PROC["fs/file-max"] + "\n"
    lowered = run({"fs.file-max": 2097152}, allow_lowering=["fs/file-max"])
    assert lowered["keys"]["fs.file-max"]["status"] == "applied"
    assert (top / "proc/fs/file-max").read_text() == "2097152\n"
    assert (top / "proc/vm/swappiness").read_text() == "60\n"


@root_only
def test_a_key_that_changes_another_is_seen(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sysctl_files.write_live

    def coupled(key: str, value: str) -> None:
        real(key, value)
        if key == "vm.swappiness":
            real("vm.dirty_ratio", "0" if value == "10" else "20")

    for module in ("sysctl_apply", "sysctl_back"):
        monkeypatch.setattr(f"{MODULE_UTILS}.{module}.write_live", coupled)
    with pytest.raises(OpsError, match=r"vm\.dirty_ratio \(refused_by_kernel\): the kernel made 0 of 15") as caught:
        run({"vm.dirty_ratio": 15, "vm.swappiness": 10})
    assert caught.value.result["changed"] is False
    assert (top / "proc/vm/swappiness").read_text() == "60\n"
    assert (top / "proc/vm/dirty_ratio").read_text() == "20\n"


class Pairs:
    """The kernel's way with vm.dirty_*: setting one of a pair sets the other to 0, and bytes cannot be set to 0."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top, self.real = top, sysctl_files.write_live
        self.put(ratio="0", bytes="1048576")
        for module in ("sysctl_apply", "sysctl_back"):
            monkeypatch.setattr(f"{MODULE_UTILS}.{module}.write_live", self.write)

    def put(self, **values: str) -> None:
        for name, value in values.items():
            (self.top / "proc/vm" / f"dirty_{name}").write_text(f"{value}\n")

    def write(self, key: str, value: str) -> None:
        if key == "vm.dirty_bytes" and value == "0":
            raise OSError(errno.EINVAL, "Invalid argument")
        self.real(key, value)
        self.put(**{"vm.dirty_bytes": {"ratio": "0"}, "vm.dirty_ratio": {"bytes": "0"}}.get(key, {}))

    def now(self) -> tuple[str, ...]:
        return tuple((self.top / "proc/vm" / f"dirty_{name}").read_text().strip() for name in ("ratio", "bytes"))


@root_only
def test_the_partner_that_falls_to_0_comes_back(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = Pairs(top, monkeypatch)
    result = run({"vm.dirty_ratio": 15, "vm.swappiness": 10})
    assert pairs.now() == ("15", "0")
    assert result["keys"]["vm.dirty_bytes"] == {
        "before": "1048576",
        "wanted": "0",
        "after": "0",
        "status": "applied",
        "note": "vm.dirty_ratio and this one set each other to 0",
    }
    assert "dirty_bytes" not in (top / ETC / OURS).read_text()
    assert result["undo"]["steps"][-1]["values"]["vm.dirty_bytes"] == {"before": "1048576", "after": "0"}
    assert run({"vm.dirty_ratio": 15, "vm.swappiness": 10})["changed"] is False
    revised = run({"vm.dirty_ratio": 15, "vm.swappiness": 20})
    assert list(revised["undo"]["steps"][-1]["values"]) == ["vm.swappiness"]
    gone = run({}, state="absent")
    assert pairs.now() == ("0", "1048576")
    assert {name: one["status"] for name, one in gone["keys"].items()} == {
        "vm.dirty_bytes": "applied",
        "vm.dirty_ratio": "applied",
        "vm.swappiness": "applied",
    }


@root_only
def test_the_partner_that_comes_back_brings_the_0_of_the_other(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = Pairs(top, monkeypatch)
    pairs.put(ratio="20", bytes="0")
    run({"vm.dirty_bytes": 65536})
    assert pairs.now() == ("0", "65536")
    run({}, state="absent")
    assert pairs.now() == ("20", "0")


@root_only
def test_a_pair_is_put_back_when_the_call_fails(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = Pairs(top, monkeypatch)
    for ratio, size, wanted in (("0", "1048576", {"vm.dirty_ratio": 15}), ("20", "0", {"vm.dirty_bytes": 65536})):
        pairs.put(ratio=ratio, bytes=size)
        (top / "proc/vm/full").symlink_to("/dev/full")
        with pytest.raises(OpsError, match=r"vm\.full \(refused_by_kernel\): .* \(No space left on device\)") as caught:
            run({**wanted, "vm.full": 1})
        assert pairs.now() == (ratio, size)
        assert caught.value.result["changed"] is False
        (top / "proc/vm/full").unlink()


@root_only
def test_a_partner_that_does_not_fall_is_no_concern_of_ours(top: Path) -> None:
    """Another kernel may treat them as two: then there is nothing to put back."""
    (top / "proc/vm/dirty_bytes").write_text("1048576\n")
    result = run({"vm.dirty_ratio": 15})
    assert {name: one["status"] for name, one in result["keys"].items()} == {"vm.dirty_ratio": "applied"}
    assert (top / "proc/vm/dirty_bytes").read_text() == "1048576\n"


@root_only
def test_a_partner_that_is_0_anyway_is_no_matter(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = Pairs(top, monkeypatch)
    pairs.put(ratio="20", bytes="0")
    assert list(run({"vm.dirty_ratio": 15})["keys"]) == ["vm.dirty_ratio"]
    run({}, state="absent")
    assert pairs.now() == ("20", "0")


@root_only
def test_an_optional_key_that_another_one_changes_ends_the_call(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be left alone, whether it is written or not."""
    real = sysctl_files.write_live

    def coupled(key: str, value: str) -> None:
        real(key, value)
        if key == "vm.dirty_ratio":
            real("vm.swappiness", "0")

    for module in ("sysctl_apply", "sysctl_back"):
        monkeypatch.setattr(f"{MODULE_UTILS}.{module}.write_live", coupled)
    with pytest.raises(OpsError, match=r"vm\.swappiness \(refused_by_kernel\): the kernel made 0 of 60"):
        run({"vm.dirty_ratio": 15, "-vm.swappiness": 60})
    assert (top / "proc/vm/dirty_ratio").read_text() == "20\n"
    assert (top / "proc/vm/swappiness").read_text() == "60\n"


@root_only
@pytest.mark.parametrize("inside", [True, False])
def test_a_read_only_proc_is_the_machine_s_in_a_container(top: Path, inside: bool) -> None:
    if inside:
        (top / ".dockerenv").touch()
    proc = top / "proc"
    if os.system(f"mount --bind {proc} {proc} && mount -o remount,bind,ro {proc}") != 0:  # noqa: S605 - our own path
        pytest.skip("may not mount")
    try:
        with pytest.raises(OpsError) as caught:
            run({"vm.swappiness": 10, "fs.file-max": 9})
        statuses = {name: one["status"] for name, one in caught.value.result["keys"].items()}
        expected = "not_namespaced" if inside else "refused_by_kernel"
        assert statuses == {"vm.swappiness": expected, "fs.file-max": "better_kept"}
        result = run({"-vm.swappiness": 10, "-fs.file-max": 9})
        assert (result["changed"], result["keys"]["vm.swappiness"]["status"]) == (False, expected)
    finally:
        assert os.system(f"umount {proc}") == 0  # noqa: S605 - a path of our own


@root_only
def test_a_key_that_went_away_under_the_call(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interface can go between the write and the reading back."""
    real = sysctl_files.write_live

    def gone(key: str, value: str) -> None:
        real(key, value)
        (top / "proc/vm/swappiness").unlink()

    monkeypatch.setattr(f"{MODULE_UTILS}.sysctl_apply.write_live", gone)
    with pytest.raises(OpsError, match="the kernel made nothing of 10"):
        run({"vm.swappiness": 10})
    assert not (top / "state/sysctl/p.json").exists()


@root_only
@pytest.mark.parametrize(("typo", "meant"), [("vm.swapiness", "vm.swappiness"), ("fs.nropen", "fs.nr_open")])
def test_a_name_that_is_nearly_right_is_suggested(top: Path, typo: str, meant: str) -> None:
    (top / ".dockerenv").touch()
    with pytest.raises(OpsError, match=f"there is no such key, did you mean {meant}"):
        run({typo: 1})
    with pytest.raises(OpsError, match=r"\(unknown_key\): there is no such key\. Correct"):
        run({"kernel.completely.other": 1})
