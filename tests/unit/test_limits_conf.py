# SPDX-License-Identifier: GPL-3.0-or-later
"""Who wins in limits.conf, as pam_limits decides it; tests/drills/test_service_settings.py asks pam_limits itself."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import limits_conf, limits_kernel
from ansible_collections.ops.runbook.plugins.module_utils.limits_conf import Subject, in_effect, parse, with_file
from ansible_collections.ops.runbook.plugins.module_utils.limits_kernel import INFINITY

# Of PID 1 on Debian 12, kernel 6.18.
PID1 = """\
Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max file size             unlimited            unlimited            bytes     
Max data size             unlimited            unlimited            bytes     
Max stack size            8388608              unlimited            bytes     
Max core file size        0                    unlimited            bytes     
Max resident set          unlimited            unlimited            bytes     
Max processes             10000                32768                processes 
Max open files            20000                20000                files     
Max locked memory         8388608              8388608              bytes     
Max address space         unlimited            unlimited            bytes     
Max file locks            unlimited            unlimited            locks     
Max pending signals       96365                96365                signals   
Max msgqueue size         819200               819200               bytes     
Max nice priority         0                    0                    
Max realtime priority     0                    0                    
Max realtime timeout      unlimited            unlimited            us        
"""  # noqa: W291 - as the kernel writes it


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty /etc/security on Debian, where PID 1 has the limits above."""
    (tmp_path / "limits.d").mkdir()
    (tmp_path / "debian").touch()
    monkeypatch.setattr(limits_conf, "CONF", str(tmp_path / "limits.conf"))
    monkeypatch.setattr(limits_conf, "FOLDER", str(tmp_path / "limits.d"))
    monkeypatch.setattr(limits_conf, "DEBIAN", str(tmp_path / "debian"))
    monkeypatch.setattr(limits_conf, "limits_of", lambda pid: limits_kernel.parse_limits(PID1))
    return tmp_path


def found(host: Path, domain: str, item: str = "nofile", kind: str = "hard") -> tuple[int | None, str]:
    value, where = in_effect(limits_conf.read_all(), Subject(domain), item, kind)
    return value, where.replace(f"{host}/", "")


def test_the_kernel_s_text_is_understood() -> None:
    limits = limits_kernel.parse_limits(PID1)
    assert set(limits) == set(limits_kernel.ITEMS)
    assert limits["nofile"] == (20000, 20000)
    assert limits["nproc"] == (10000, 32768)
    assert limits["core"] == (0, INFINITY)
    assert limits["nice"] == (0, 0)
    assert set(limits_kernel.limits_of("self")) == set(limits_kernel.ITEMS)


def test_lines_are_read_as_pam_limits_reads_them() -> None:
    text = "# c\n\n  a\tHARD NoFile 10 # why\n a soft nofile\nb - \nc hard nofile 1 2\n@d -\ne hard\n*-nofile 3\n"
    assert parse(text, "f") == [
        ("a", "hard", "nofile", "10", "f:3"),
        ("b", "-", "", "", "f:5"),
        ("c", "hard", "nofile", "1", "f:6"),
        ("@d", "-", "", "", "f:7"),
    ]


@pytest.mark.parametrize(
    ("conf", "drop_ins", "expected"),
    [
        ("", {}, (20000, "inherited")),
        ("nobody hard nofile 1\n", {}, (1, "limits.conf:1")),
        ("nobody - nofile 1\n", {}, (1, "limits.conf:1")),
        ("nobody soft nofile 1\n", {}, (20000, "inherited")),
        ("nobody hard nofile 1\nnobody hard nofile 2\n", {}, (2, "limits.conf:2")),
        ("nobody hard nofile 1\n", {"a.conf": "nobody hard nofile 2\n"}, (2, "limits.d/a.conf:1")),
        ("", {"B.conf": "nobody hard nofile 1\n", "a.conf": "nobody hard nofile 2\n"}, (2, "limits.d/a.conf:1")),
        ("", {"9.conf": "nobody hard nofile 1\n", "10.conf": "nobody hard nofile 2\n"}, (1, "limits.d/9.conf:1")),
        ("", {"a.txt": "nobody hard nofile 1\n", ".b.conf": "nobody hard nofile 2\n"}, (20000, "inherited")),
        ("nobody hard nofile 1\n", {"a.conf": "* hard nofile 2\n"}, (1, "limits.conf:1")),
        ("nobody hard nofile 1\n", {"a.conf": "@nogroup hard nofile 2\n"}, (1, "limits.conf:1")),
        ("@nogroup hard nofile 1\n", {"a.conf": "* hard nofile 2\n"}, (1, "limits.conf:1")),
        ("@nogroup hard nofile 1\n* hard nofile 2\n", {}, (1, "limits.conf:1")),
        ("@root hard nofile 1\n", {}, (20000, "inherited")),
        ("@nosuchgroup hard nofile 1\n", {}, (20000, "inherited")),
        ("65000: hard nofile 1\n", {}, (1, "limits.conf:1")),
        (":65534 hard nofile 1\n", {}, (1, "limits.conf:1")),
        ("1:65533 hard nofile 1\n", {}, (20000, "inherited")),
        ("1:65534 hard nofile 1\n* hard nofile 2\n", {}, (1, "limits.conf:1")),
        ("a:b hard nofile 1\n", {}, (20000, "inherited")),
        ("nobody hard nofile 1\n65534: hard nofile 2\n", {}, (2, "limits.conf:2")),
        ("@:65534 hard nofile 1\n", {}, (1, "limits.conf:1")),
        ("@60000:65534 hard nofile 1\n", {}, (1, "limits.conf:1")),
        ("@1:2 hard nofile 1\n", {}, (20000, "inherited")),
        ("%nogroup hard nofile 1\n", {}, (20000, "inherited")),
        ("nobody hard nofile x\n* hard nofile 5\n", {}, (5, "limits.conf:2")),
        ("nobody hard nofile 1\nnobody -\n", {}, (None, "off: limits.conf:2")),
        ("@nogroup -\n", {"a.conf": "nobody hard nofile 1\n"}, (None, "off: limits.conf:1")),
        ("* -\n", {"a.conf": "nobody hard nofile 1\n"}, (1, "limits.d/a.conf:1")),
        ("other -\n", {"a.conf": "nobody hard nofile 1\n"}, (1, "limits.d/a.conf:1")),
    ],
)
def test_precedence(host: Path, conf: str, drop_ins: dict[str, str], expected: tuple[int | None, str]) -> None:
    (host / "limits.conf").write_text(conf)
    for name, text in drop_ins.items():
        (host / "limits.d" / name).write_text(text)
    assert found(host, "nobody") == expected


def test_root_is_special_on_debian_only(host: Path) -> None:
    (host / "limits.conf").write_text("* hard nofile 1\n@root hard nofile 2\n")
    assert found(host, "root") == (20000, "inherited")
    (host / "debian").unlink()
    assert found(host, "root") == (2, "limits.conf:2")
    (host / "debian").touch()
    (host / "limits.conf").write_text("* hard nofile 1\nroot hard nofile 3\n0: hard nofile 4\n")
    assert found(host, "root") == (4, "limits.conf:3")


def test_a_soft_limit_is_cut_to_the_hard_one(host: Path) -> None:
    assert found(host, "nobody", kind="soft") == (1024, "inherited")
    (host / "limits.conf").write_text("nobody soft nofile 30000\n")
    assert found(host, "nobody", kind="soft") == (20000, "inherited")
    (host / "limits.conf").write_text("nobody soft nofile 3000\n* hard nofile 2000\n")
    assert found(host, "nobody", kind="soft") == (2000, "limits.conf:2")


def test_units_of_what_is_inherited(host: Path) -> None:
    expected = {"memlock": 8192, "nproc": 32768, "core": INFINITY, "nice": 20, "msgqueue": 819200}
    assert {item: found(host, "nobody", item)[0] for item in expected} == expected
    assert found(host, "nobody", "stack", "soft")[0] == 8192
    assert found(host, "nobody", "maxlogins", "both") == (INFINITY, "inherited")
    assert found(host, "nobody", "priority", "both") == (0, "inherited")


def test_elsewhere_sessions_inherit_from_the_process_that_starts_them(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    (host / "debian").unlink()
    monkeypatch.setattr(limits_conf, "limits_of", lambda pid: asked.append(pid) or limits_kernel.limits_of(pid))
    value, where = found(host, "nobody")
    assert where == "inherited"
    parent = Path(f"/proc/{asked[0]}/stat").read_text().rpartition(")")[2].split()[1]
    assert parent in ("0", "1")
    assert value == limits_kernel.limits_of(asked[0])["nofile"][1]


def test_what_cannot_be_looked_at_is_not_known(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(pid: int) -> t.NoReturn:
        raise PermissionError(13, "x")

    monkeypatch.setattr(limits_conf, "limits_of", gone)
    assert found(host, "nobody") == (None, "inherited")
    monkeypatch.setattr(limits_conf, "FOLDER", str(host / "none"))
    assert limits_conf.read_all() == {}


def test_domains_that_cover_many_are_about_those_without_lines_of_their_own(host: Path) -> None:
    (host / "limits.conf").write_text(
        "nobody hard nofile 1\n* hard nofile 2\n@nogroup hard nofile 3\n1000: hard nproc 4\n"
    )
    assert found(host, "*") == (2, "limits.conf:2")
    assert found(host, "@nogroup") == (3, "limits.conf:3")
    assert found(host, "@other") == (2, "limits.conf:2")
    assert found(host, "1000:", "nproc") == (4, "limits.conf:4")
    assert found(host, "%", "maxlogins", "both") == (INFINITY, "inherited")
    assert found(host, "not-there-yet") == (2, "limits.conf:2")
    assert Subject("not-there-yet").uid is None


def test_items_that_are_no_limits_know_no_soft_and_hard(host: Path) -> None:
    (host / "limits.conf").write_text(
        "nobody hard maxlogins 4\n* - priority 5\nnobody soft priority -3\n* - priority 7\n"
    )
    assert found(host, "nobody", "maxlogins", "soft") == (4, "limits.conf:1")
    assert found(host, "nobody", "priority", "both") == (7, "limits.conf:4")  # the last of all, whoever it names


def test_a_file_in_the_place_of_another_takes_its_turn(host: Path) -> None:
    (host / "limits.conf").write_text("nobody hard nofile 1\n")
    (host / "limits.d" / "50.conf").write_text("nobody hard nofile 5\n")
    (host / "limits.d" / "95.conf").write_text("nobody hard nproc 9\n")
    now = limits_conf.read_all()
    ours = os.path.join(limits_conf.FOLDER, "90.conf")  # noqa: PTH118 - as the code has it
    then = with_file(now, ours, "nobody hard nofile 9\n")
    assert [Path(path).name for path in then] == ["limits.conf", "50.conf", "90.conf", "95.conf"]
    assert in_effect(then, Subject("nobody"), "nofile", "hard") == (9, f"{ours}:1")
    assert with_file(then, ours, "") == now
