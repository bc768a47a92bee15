# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench measures what it says, and on three hosts ours leaves the same state as the usual playbook, far sooner."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from tests.bench import contestants, fleet, measure, report, rounds

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
VALUES = 2 * len(fleet.PROFILE["sysctl"]) + len(fleet.PROFILE["limits"]["pam"]) + len(fleet.PROFILE["files"])


def run(script: str, folder: Path, timeout: float = 20) -> measure.Cost:
    with measure.adopting_orphans():
        return measure.run([sys.executable, "-c", script], folder / "log", timeout, dict(os.environ), folder)


def test_cpu_of_children_and_of_what_outlives_the_command_counts(tmp_path: Path) -> None:
    burn = BURN.format(seconds=0.4)
    daemon = f"import os\nif os.fork() == 0:\n    os.setsid()\n    exec({burn!r})\n    time.sleep(60)\n"
    child = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {burn!r}])\n"
    cost = run(f"{daemon}{child}time.sleep(1.5)", tmp_path)
    assert cost.code == 0
    assert 0.8 <= cost.cpu < 1.2
    assert cost.wall >= 1.5
    assert measure.descendants() == []


def test_memory_is_the_sum_over_the_processes_without_counting_shared_pages_twice(tmp_path: Path) -> None:
    cost = run("import os, time\nblock = b'1' * 100_000_000\nos.fork()\ntime.sleep(1.5)", tmp_path)
    assert 100e6 < cost.memory < 140e6


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    cost = run("import time\ntime.sleep(60)", tmp_path, timeout=0.5)
    assert cost.code is None
    assert cost.wall < 5


def result(contestant: str, hosts: int, wall: float, **more: t.Any) -> rounds.Result:
    cost = {"wall": wall, "cpu": wall, "hosts_cpu": wall, "busy": 3 * wall, "memory": 2**20, "wrong": []}
    return {"contestant": contestant, "hosts": hosts, "phase": rounds.FIRST, **cost, **more}


def document(*results: rounds.Result) -> report.Document:
    return {"facts": {"Date": "2026-01-05"}, "cores": 2, "runs": 1, "results": list(results)}


def test_targets_are_ratios_of_medians_and_a_run_that_did_not_do_its_work_never_counts() -> None:
    ours = [result("ours", 10, wall) for wall in (1.0, 2.0, 9.0)]
    slow = [result("playbook", 10, 39.0), result("playbook", 10, 1.0, wrong=["exit code 2"])]
    verdicts = {one.target: one for one in report.targets(document(*ours, *slow, result("raw", 10, 1.0)))}
    wall = verdicts["Idiomatic playbook, default: wall clock"]
    assert (wall.found, wall.met) == (19.5, False)
    assert verdicts["Idiomatic playbook, default: controller CPU"].met
    assert verdicts["Ours to raw ssh, cold: wall clock"].met


def test_the_cost_of_one_more_host_leaves_the_start_up_out() -> None:
    ours = (result("ours", hosts, 0.9 + 0.1 * hosts) for hosts in (10, 60))
    verdicts = report.targets(document(result("start", 1, 0.9), *ours))
    assert [(one.hosts, round(one.found, 1), one.met) for one in verdicts] == [(60, 1.0, True), (60, 1.0, True)]


def test_the_page_names_what_missed_and_what_did_not_work() -> None:
    wrong = result("raw", 10, 1.0, wrong=["exit code 1"])
    given = document(result("ours", 10, 2.0), result("playbook", 10, 20.0), wrong)
    page = report.page(given, report.targets(given))
    assert "| Idiomatic playbook, default: wall clock | ≥ 20 | 10.00 **fail** |" in page
    assert "shell script | did not do its work |" in page


def test_the_shell_script_and_the_rotation_file_say_what_the_profile_says() -> None:
    script = (contestants.PEERS / "raw.sh").read_text()
    assert all(f"{key}={value}" in script for key, value in fleet.PROFILE["sysctl"].items())
    assert (contestants.PEERS / "rotation.conf").read_text() == fleet.PROFILE["files"][0]["content"]


@pytest.fixture(scope="module")
def hosts() -> t.Iterator[list[fleet.Host]]:
    subprocess.run([str(contestants.HERE / "setup.sh")], check=True, timeout=600)
    with fleet.running() as up:
        yield up(3)


def test_a_host_that_was_reset_has_nothing_of_the_profile(hosts: list[fleet.Host]) -> None:
    fleet.reset(hosts)
    assert {host: len(lines) for host, lines in fleet.verify(hosts).items()} == {host.name: VALUES for host in hosts}


def test_one_wrong_value_on_one_host_is_seen(hosts: list[fleet.Host], tmp_path: Path) -> None:
    raw = next(one for one in contestants.everybody() if one.key == "raw")
    assert rounds.compete(raw, hosts, tmp_path / "run", [rounds.FIRST])[0]["wrong"] == []
    fleet.on_all(hosts[1:2], "echo 16 >/proc/sys/net/core/somaxconn")
    assert fleet.verify(hosts) == {hosts[1].name: ["live net.core.somaxconn: 16"]}


def test_ours_leaves_the_state_of_the_tuned_playbook_at_least_three_times_faster(
    hosts: list[fleet.Host], tmp_path: Path
) -> None:
    entered = [one for one in contestants.everybody() if one.key in ("ours", "playbook-tuned")]
    runs = {one.key: rounds.compete(one, hosts, tmp_path / "run", [rounds.FIRST])[0] for one in entered}
    told = {key: (run["wrong"], (tmp_path / run["log"]).read_text()[-1500:]) for key, run in runs.items()}
    assert [run["wrong"] for run in runs.values()] == [[], []], told
    assert runs["playbook-tuned"]["wall"] >= 3 * runs["ours"]["wall"]
    assert runs["playbook-tuned"]["cpu"] >= 2 * runs["ours"]["cpu"]
