# SPDX-License-Identifier: GPL-3.0-or-later
"""disk against df, memory against free and recorded control groups, descriptors against a real process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import probe
from ansible_collections.ops.runbook.plugins.module_utils.collectors import disk
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from ansible_collections.ops.runbook.plugins.module_utils.host import LocalHost


def df(path: str, *columns: str) -> list[str]:
    done = subprocess.run(
        ["df", f"--output={','.join(columns)}", "-B1", path], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[1].split()


@pytest.mark.parametrize("path", ["/", "/dev/shm", "/proc"])
def test_disk_says_what_df_says(measure: Any, path: str) -> None:
    data = measure(LocalHost(), "disk", path=path)["data"]
    source, fstype, size, percent, inodes, target = df(path, "source", "fstype", "size", "pcent", "ipcent", "target")
    assert (data["device"], data["fstype"], data["mount_point"]) == (source, fstype, target)
    assert data["size_bytes"] == int(size.replace("-", "0"))
    assert data["used_percent"] == (None if percent == "-" else int(percent[:-1]))
    assert data["inodes_used_percent"] == (None if inodes == "-" else int(inodes[:-1]))


def test_a_full_filesystem(measure: Any, tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M,nr_inodes=20", "none", tmp_path], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(OSError):
            (tmp_path / "filler").write_bytes(b"x" * 2_000_000)
        data = measure(LocalHost(), "disk", path=str(tmp_path))["data"]
        assert (data["used_percent"], data["available_bytes"], data["read_only"]) == (100, 0, False)
        assert data["mount_point"] == str(tmp_path)
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        assert measure(LocalHost(), "disk", path=str(tmp_path))["data"]["read_only"] is True
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_symbolic_link_leads_to_its_filesystem(measure: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/../dev/shm")
    (tmp_path / "again").symlink_to("link")
    assert measure(LocalHost(), "disk", path=f"{tmp_path}/again")["data"]["mount_point"] == "/dev/shm"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert disk.resolve(LocalHost(), f"{tmp_path}/a") == f"{tmp_path}/a"


def test_a_path_that_is_not_there(measure: Any) -> None:
    data = measure(LocalHost(), "disk", path="/no/such/path")["data"]
    assert (data["exists"], data["used_percent"]) == (False, None)


def test_a_path_that_may_not_be_reached(host: Any, measure: Any) -> None:
    host.denied.add("/secret")
    assert measure(host, "disk", path="/secret")["unknown"] == "/secret may not be reached by this user"


def test_mounts_with_spaces_and_without_a_match(host: Any, measure: Any) -> None:
    (host.root / "my data").mkdir()
    host.file(
        "/proc/self/mountinfo",
        "1 0 8:1 / /my\\040data rw - ext4 /dev/a\\040b rw\n2 1 8:2 / /my\\040data rw - xfs /dev/c rw\n",
    )
    data = measure(host, "disk", path="/my data")["data"]
    assert (data["mount_point"], data["fstype"], data["device"]) == (
        "/my data",
        "xfs",
        "/dev/c",
    )  # the later one hides it
    (host.root / "other").mkdir()
    assert measure(host, "disk", path="/other")["missing"] == ["mount_point", "fstype", "device"]


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(BadInput, match="check it, path: 'data' is not an absolute path"):
        probe.plan("it", {"type": "disk", "path": "data"})


def test_memory_says_what_free_says(measure: Any) -> None:
    data = measure(LocalHost(), "memory")["data"]
    words = subprocess.run(["free", "-b"], capture_output=True, text=True, check=True).stdout.splitlines()[1].split()
    assert data["total_bytes"] == int(words[1])
    assert abs(data["available_bytes"] - int(words[6])) < 0.1 * data["total_bytes"]
    assert 0 < data["used_percent"] < 100
    assert data["unit_used_bytes"] is None


MEMINFO = """\
MemTotal: 1000 kB
MemFree: 100 kB
MemAvailable: 250 kB
SwapTotal: 400 kB
SwapFree: 100 kB
HugePages_Total: 0
"""
GROUP = "/system.slice/mongod.service"
V1 = ("memory", "memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")
V2 = ("", "memory.current", "memory.max", "inactive_file")


@pytest.mark.parametrize(
    ("layout", "limit", "expected"),
    [
        (V2, "1000", (600, 1000, 60.0)),
        (V2, "max", (600, None, None)),
        (V1, "1000", (600, 1000, 60.0)),
        (V1, "9223372036854771712", (600, None, None)),
        (("unified", "memory.current", "memory.max", "other"), "2000", (800, 2000, 40.0)),
    ],
)
def test_a_unit_in_each_layout_of_control_groups(
    host: Any, measure: Any, layout: Any, limit: str, expected: Any
) -> None:
    host.unit("running")
    host.file("/proc/meminfo", MEMINFO)
    folder, used, most, cache = layout
    for name, text in ((used, "800\n"), (most, limit + "\n"), ("memory.stat", f"anon 5\n{cache} 200\n")):
        host.file(f"/sys/fs/cgroup/{folder}{GROUP}/{name}", text)
    found = measure(host, "memory", unit="mongod")
    data = found["data"]
    assert (data["used_percent"], data["swap_used_percent"], data["swap_used_bytes"]) == (75.0, 75.0, 307200)
    assert (data["unit_used_bytes"], data["unit_limit_bytes"], data["unit_used_percent"]) == expected
    assert found["missing"] == []


def test_a_unit_without_a_group_and_one_that_cannot_be_read(host: Any, measure: Any) -> None:
    host.file("/proc/meminfo", MEMINFO)
    host.unit("killed")
    assert measure(host, "memory", unit="mongod")["missing"] == []
    host.unit("running")
    assert measure(host, "memory", unit="mongod")["missing"] == [
        "unit_used_bytes",
        "unit_limit_bytes",
        "unit_used_percent",
    ]


def test_descriptors_of_a_real_process(host: Any, measure: Any) -> None:
    class Real(LocalHost):
        run = staticmethod(host.run)

    host.unit("running", MainPID=os.getpid())
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    found = measure(Real(), "descriptors", unit="mongod")["data"]
    count = len(list(Path("/proc/self/fd").iterdir())) - 1
    for one in held:
        os.close(one)
    assert abs(found["used"] - count) <= 3
    assert found["soft_limit"] == __import__("resource").getrlimit(7)[0]
    assert found["used_percent"] == round(found["used"] * 100 / found["soft_limit"], 1)


LIMITS = (
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max open files            {}                 {}                 files     \n"
)


def test_descriptors_without_rights(host: Any, measure: Any) -> None:
    host.unit("running", MainPID=45)
    host.process(45, fds=["/dev/null"])
    host.file("/proc/45/limits", LIMITS.format("64", "unlimited"))
    plain, told = host.listdir, host.stat

    def listdir(path: str) -> list[str]:
        if path.endswith("/fd"):
            raise PermissionError(13, "no", path)
        return plain(path)

    host.listdir = listdir
    host.stat = lambda path, follow=True: _sized(told(path, follow), 64)  # Linux 6.2 and newer
    data = measure(host, "descriptors", unit="mongod")["data"]
    assert (data["used"], data["used_percent"], data["hard_limit"]) == (64, 100.0, None)
    host.stat = lambda path, follow=True: _sized(told(path, follow), 0)  # older
    found = measure(host, "descriptors", unit="mongod")
    assert (found["missing"], found["data"]["soft_limit"]) == (["used", "used_percent"], 64)


def _sized(stat: Any, size: int) -> Any:
    stat.size = size
    return stat


def test_descriptors_without_a_limit_a_process_or_its_end(host: Any, measure: Any) -> None:
    host.unit("running", MainPID=45)
    host.process(45, fds=["/dev/null"])
    host.file("/proc/45/limits", LIMITS.format("unlimited", "unlimited"))
    data = measure(host, "descriptors", unit="mongod")["data"]
    assert (data["used"], data["soft_limit"], data["used_percent"]) == (1, None, None)
    host.file("/proc/45/limits", "nothing\n")
    assert measure(host, "descriptors", unit="mongod")["data"]["hard_limit"] is None
    host.unit("running", MainPID=46)
    assert measure(host, "descriptors", unit="mongod")["data"]["pid"] is None
    host.unit("killed")
    found = measure(host, "descriptors", unit="mongod")
    assert (found["missing"], set(found["data"].values())) == ([], {None})
