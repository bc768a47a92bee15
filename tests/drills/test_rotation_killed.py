# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL at every moment of a rotation, and of log_rotation itself: nothing is lost, and the next run completes.

Moments are found by watching the disk at each system call (tests/support/killed_at.py), not by sleeping.
"""

from __future__ import annotations

import functools
import json
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.module_utils.specs.log_rotation import ARGUMENT_SPEC, RULES
from tests.support import lab, sequences
from tests.support.sequences import DROPIN, FOLDER, LEFT, PROGRAMS, ROTATE, STATES, STATUS, Tell

BENCH = sequences.Bench("fleet08")
RATE, MOST = 500, 60  # lines per second; moments of a run
KILL = f"python3 -ISB {PROGRAMS}/killed_at.py"
LIVE = f"{FOLDER}/a.log!:{FOLDER}/a.log.1!"  # somebody writes into them all the time
WAYS = {
    "reload": {"method": "reload", "unit": "sequence-a.service"},
    "copytruncate": {"method": "copytruncate"},
}
OLD = f"""\
# As a package brought it.
{FOLDER}/*.log {{
  weekly
  rotate 4
  su logcaster logcaster
}}
"""
MODULE = f"""\
import json, sys
sys.path.insert(0, "{PROGRAMS}")
from module_utils.rotation import run
sys.stdout.write(json.dumps(run(json.loads(sys.argv[1]), False)))
"""
# Of the copies that it has logrotate try, only that they are there: they lie below /run, where nobody reads them.
OURS = f"/etc/logrotate.d:/var/lib/ops-runbook:/run/ops-runbook!:{FOLDER}"


@pytest.fixture(scope="module", autouse=True)
def host() -> Iterator[None]:
    """A lab host with the programs, and with the module's own files."""
    BENCH.install()
    BENCH.shell(f"rm -rf {PROGRAMS}/module_utils")
    BENCH.copy(lab.ROOT / "collections/ops_runbook/plugins/module_utils", f"{PROGRAMS}/module_utils")
    yield
    BENCH.pristine()


@pytest.fixture(autouse=True)
def clean(host: None) -> None:
    """Every drill begins with nothing."""
    BENCH.pristine()


class Killed(t.NamedTuple):
    """A rotation that was killed, and the next run."""

    moments: list[str]
    killed: bool
    code: int
    open: str

    @property
    def renamed(self) -> bool:
        """Whether the log had its rotated name by then."""
        return any(f"-{FOLDER}/a.log" in moment.split() for moment in self.moments)


def rotation_killed(when: int, who: str, frozen: bool) -> Killed:
    """Two rotations, one that is killed, and one more; the writer writes all the time, or but for the rotations."""
    begin, end = ("systemctl kill -s STOP sequence-a;", "systemctl kill -s CONT sequence-a;") if frozen else ("", "")
    said = BENCH.shell(
        f"systemctl stop sequence-a; rm -rf {FOLDER}/* {STATES}/* {STATUS}*; systemctl start sequence-a;"
        f"for i in 1 2; do sleep .05; {begin} {ROTATE}; {end} done; sleep .05;"
        f"{begin} {KILL} {when} {who} {FOLDER}:{LIVE}:{STATUS}:{STATUS}.tmp {ROTATE}; {end}"
        f"sleep .05; {begin} {ROTATE} 2>&1; echo $?; {end} sleep .05;"
        f"readlink /proc/$(systemctl show -P MainPID sequence-a)/fd/* | grep {FOLDER}"
    ).splitlines()
    found = json.loads(next(line for line in said if line.startswith('{"moments"')))
    return Killed(found["moments"], found["killed"], int(said[-2]), said[-1])


def put(folder: Path, way: str, **options: t.Any) -> None:
    """A policy and a writer for it."""
    BENCH.start("a", "reopen" if way == "reload" else "never", RATE)
    answer = BENCH.policy(folder, reopen=WAYS[way], **options)
    assert answer.ran.code == 0, answer.ran.text


def all_moments(who: str, frozen: bool = False) -> Iterator[Killed]:
    """Kills at one moment after the other, until the run has no more; of `first` those at which a child is at work."""
    for when in range(1, MOST):
        if who == "first" and when not in with_children():
            continue
        found = rotation_killed(when, who, frozen)
        if not found.killed:
            return
        assert found.code == 0, found
        yield found


@functools.cache
def with_children() -> set[int]:
    """The numbers of the moments at which a child has just begun a program, or done its first work."""
    moments = rotation_killed(0, "all", False).moments
    begun = [number for number, each in enumerate(moments, 1) if each.startswith("exec") and number > 1]
    return {*begun, *(number + 1 for number in begun)}


@pytest.mark.parametrize("who", ["all", "first"])
def test_a_rotation_that_is_killed_loses_nothing(tmp_path: Path, tell: Tell, who: str) -> None:
    """The group is killed, as systemd does it, or logrotate alone, as the kernel does it when memory is short."""
    put(tmp_path, "reload")
    seen, stuck, backups = [], [], []
    for found in all_moments(who):
        moment = found.moments[-1]
        seen.append(moment)
        begun = [place for place, each in enumerate(found.moments) if each.startswith("exec systemctl reload")]
        told = "end" in found.moments[begun[0] :] if begun else False
        if who == "first":
            told = any(each.startswith("exec sh") for each in found.moments)
        if found.open != f"{FOLDER}/a.log":
            assert found.renamed
            assert not told
            stuck.append(moment)
            BENCH.shell(f"systemctl reload sequence-a; sleep .1; {ROTATE}; sleep .1")
        else:
            assert told or not found.renamed
        story = BENCH.story("a")
        assert story.unhurt, f"{moment}: {story}"
        assert len(story.files) == (5 if found.renamed else 4), f"{moment}: {story}"
        backups += [moment] if story.beside else []
        assert all(name.endswith(".backup") for name in story.beside)
    assert backups
    assert len(stuck) >= 3 if who == "all" else not stuck
    assert len(seen) >= (20 if who == "all" else 5)
    tell(
        f"killed ({who}) at each of {len(seen)} moments: 0 lost, 0 twice; at {len(stuck)} between rename and reload the"
        f" log is not rotated again until the writer is told; at {len(backups)} a *.backup is left"
    )


def test_a_copy_that_is_killed_loses_nothing(tmp_path: Path, tell: Tell) -> None:
    """What is written between copy and truncation is another matter; so the writer waits meanwhile."""
    put(tmp_path, "copytruncate")
    moments, backups, damaged = 0, 0, 0
    for found in all_moments("all", frozen=True):
        story = BENCH.story("a")
        assert not (story.missing or story.twice), f"{found.moments[-1]}: {story}"
        assert all(line.endswith(".gz: == damaged") for line in story.broken)
        moments, backups, damaged = moments + 1, backups + bool(story.beside), damaged + bool(story.broken)
    assert backups > damaged > 0
    tell(
        f"copytruncate killed at each of {moments} moments: 0 lost, 0 twice; at {backups} a *.backup is left, which at"
        f" {damaged} alone has the lines of a damaged .gz"
    )


def moment_before_the_writer_is_told() -> int:
    """The number of the moment at which the new log is there, and nobody was told."""
    moments = rotation_killed(0, "all", False).moments
    return next(number for number, each in enumerate(moments, 1) if each == f"+{FOLDER}/a.log")


def test_where_empty_logs_are_rotated_the_next_run_loses_lines(tmp_path: Path, tell: Tell) -> None:
    """It compresses what the writer, which was never told, still writes into."""
    put(tmp_path, "reload", rotate_empty=True)
    found = rotation_killed(moment_before_the_writer_is_told(), "all", False)
    story = BENCH.story("a")
    assert (found.code, found.open) == (0, f"{FOLDER}/a.log")
    assert not story.twice
    assert len(story.missing) < RATE
    tell(f"rotate_empty, killed before the writer is told: the next run loses {len(story.missing)} lines")


def test_names_that_are_half_moved_cost_an_old_log_one_rotation_early(tmp_path: Path, tell: Tell) -> None:
    put(tmp_path, "reload", keep=3)
    BENCH.rotate(2, 0.05)
    moments = rotation_killed(0, "all", False).moments
    BENCH.rotate(2, 0.05)
    before = BENCH.shell(f"ls {FOLDER}").split()
    assert before == ["a.log", "a.log.1", "a.log.2.gz", "a.log.3.gz"]
    when = next(number for number, each in enumerate(moments, 1) if f"+{FOLDER}/a.log.2.gz" in each.split()) + 1
    BENCH.shell(f"{KILL} {when} all {FOLDER}:{LIVE} {ROTATE}; sleep .05; {ROTATE}; sleep .05")
    story = BENCH.story("a")
    assert story.numbers == list(range(story.numbers[0], story.acknowledged + 1)), story
    assert len(story.files) - 1 in (2, 3)
    tell(f"keep 3, killed while names are moved up: {len(story.files) - 1} rotated logs are left, without a gap")


def validated(**options: t.Any) -> str:
    """The module's parameters with all defaults, as JSON."""
    given = {"name": sequences.NAME, "paths": [f"{FOLDER}/*.log"], "every": "daily", "schedule": False, **options}
    found = ArgumentSpecValidator(ARGUMENT_SPEC, **RULES).validate(given)
    assert found.error_messages == []
    return json.dumps(found.validated_parameters)


# A drop-in of a package, a folder in which logrotate refuses to work, and a log.
PLANT = f"""\
rm -rf {FOLDER}/* /var/lib/ops-runbook /run/ops-runbook {DROPIN} {LEFT}
printf '%s' '{OLD}' > {DROPIN}; chmod 0644 {DROPIN}
echo line > {FOLDER}/a.log; chown -R logcaster: {FOLDER}; chmod 0775 {FOLDER}
"""


def result() -> tuple[str, str, str]:
    """The drop-in, its mode and owner and the folder's mode, and what logrotate finds wrong with its configuration."""
    said = BENCH.shell(
        f"cat {DROPIN}; echo ==; stat -c '%a %U %G' {DROPIN}; stat -c %a {FOLDER};"
        " echo ==; logrotate -d /etc/logrotate.conf 2>&1 | grep error: ; true"
    )
    text, modes, wrong = said.split("==\n")
    return text, modes, wrong


def test_the_module_that_is_killed_leaves_the_old_or_the_new_policy(tmp_path: Path, tell: Tell) -> None:
    (tmp_path / "run.py").write_text(MODULE)
    BENCH.copy(tmp_path / "run.py", f"{PROGRAMS}/run.py")
    options = validated(reopen={"method": "none"}, keep=30, directory={"mode": "0755"})
    run = f"python3 -ISB {PROGRAMS}/run.py '{options}'"
    assert json.loads(BENCH.shell(PLANT + run))["changed"] is True
    new = result()
    assert new[0] != OLD
    assert (new[1].split(), new[2]) == (["644", "root", "root", "755"], "")
    seen = []
    for when in range(1, MOST):
        found = json.loads(BENCH.shell(f"{PLANT}{KILL} {when} all {OURS} {run}").splitlines()[-1])
        if not found["killed"]:
            break
        moment = found["moments"][-1]
        text, _modes, wrong = result()
        assert text in (OLD, new[0]), moment
        assert wrong == "", f"{moment}: {wrong}"
        again = lab.on(BENCH.host, run)
        assert again.code == 0, f"{moment}:\n{again.text}"
        assert result() == new, moment
        seen.append(moment)
    assert len(seen) > 10
    tell(f"the module killed at each of {len(seen)} moments: the old or the new policy, and a rerun completes")
