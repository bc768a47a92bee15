# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotation by a policy of log_rotation loses no line; what copytruncate must lose is counted: docs/log-rotation.md.

Writers number their lines (tests/support/sequence_writer.py), a reader counts them (tests/support/sequences.py).
"""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import lab, sequences
from tests.support.sequences import FOLDER, ROTATE, STATUS, Tell

BENCH = sequences.Bench("fleet07")
RATE, FAST = 500, 5000  # lines per second
NONE, COPIES = {"method": "none"}, {"method": "copytruncate"}
RELOAD = {"method": "reload", "unit": "sequence-a.service"}
FILL = f"dd if=/dev/zero of={FOLDER}/filler bs=4k 2>/dev/null; sleep .3; df --output=avail {FOLDER} | tail -n 1"
DAYS = 30
# A day passes: logrotate's notes and the logs' times are set back by one; the clock is the machine's, and stays.
DAY_PASSES = f"""
import os, re, time
form = "%Y-%m-%d-%H:%M:%S"
def earlier(found):
    then = time.mktime(time.strptime(found[0], form)) - 86400
    return time.strftime("%Y-%-m-%-d-%-H:%-M:%-S", time.localtime(then))
if os.path.exists("{STATUS}"):
    with open("{STATUS}") as stream:
        text = re.sub(r"[0-9]+-[0-9]+-[0-9]+-[0-9:]+$", earlier, stream.read(), flags=re.M)
    with open("{STATUS}", "w") as stream:
        stream.write(text)
for each in os.scandir("{FOLDER}"):
    if not each.name.startswith("persistence"):
        os.utime(each.path, (each.stat().st_atime - 86400, each.stat().st_mtime - 86400))
"""


@pytest.fixture(scope="module", autouse=True)
def host() -> Iterator[None]:
    """A lab host with the programs."""
    BENCH.install()
    yield
    BENCH.pristine()


@pytest.fixture(autouse=True)
def clean(host: None) -> None:
    """Every drill begins with nothing."""
    BENCH.pristine()


def policy(folder: Path, **options: t.Any) -> sequences.Answer:
    """A policy that has to be taken."""
    answer = BENCH.policy(folder, **options)
    assert answer.ran.code == 0, answer.ran.text
    return answer


def open_file(name: str) -> str:
    """The file that a writer has open in the folder of the logs."""
    return BENCH.shell(f"readlink /proc/$(systemctl show -P MainPID sequence-{name})/fd/* | grep {FOLDER}").strip()


def test_the_reader_sees_what_is_lost_doubled_and_cut() -> None:
    BENCH.start("a", "reopen", RATE)
    BENCH.shell(f"sleep .1; systemctl stop sequence-a; sed -i '3d; 5p; 7s/.$//' {FOLDER}/a.log; gzip {FOLDER}/a.log")
    BENCH.shell(f"mv {FOLDER}/a.log.gz {FOLDER}/a.log.1.gz")
    story = BENCH.story("a")
    assert (story.missing, story.twice, len(story.broken)) == ([3, 7], [5], 1)
    assert list(story.files) == ["a.log.1.gz"]


def test_a_writer_that_reopens_loses_nothing(tmp_path: Path, tell: Tell) -> None:
    BENCH.start("a", "reopen", RATE)
    answer = policy(tmp_path, reopen=RELOAD, trial=True)
    assert [one["reopened"] for one in answer.result["trial"]["writers"]] == [True]
    assert BENCH.rotate(50) == ""
    story = BENCH.story("a")
    assert story.unhurt, story
    assert list(story.files) == ["a.log", "a.log.1", *(f"a.log.{number}.gz" for number in range(2, 52))]
    assert all(story.files.values())
    assert story.acknowledged > 2000
    tell(f"reload: {story.acknowledged} lines through 51 rotations at {RATE} a second: 0 lost, 0 twice, 0 broken")


def test_the_trial_names_the_writer_that_never_reopens(tmp_path: Path) -> None:
    BENCH.start("a", "reopen", RATE)
    BENCH.start("n", "never", RATE)
    answer = BENCH.policy(tmp_path, reopen=RELOAD, trial=True, trial_timeout=1)
    assert answer.ran.code != 0
    assert "sequence-n.service" in answer.result["msg"]
    told = {one["unit"]: one["reopened"] for one in answer.result["trial"]["writers"]}
    assert told == {"sequence-a.service": True, "sequence-n.service": False}
    assert BENCH.shell(f"ls {sequences.DROPIN} 2>/dev/null; true") == ""
    stories = {name: BENCH.story(name) for name in "an"}
    assert all(story.unhurt for story in stories.values()), stories
    assert [len(numbers) for numbers in stories["n"].files.values()] == [0, stories["n"].acknowledged]


@pytest.mark.parametrize("empty", [False, True], ids=["the new log stays empty", "empty logs are rotated"])
def test_what_becomes_of_it_without_a_trial(tmp_path: Path, tell: Tell, empty: bool) -> None:
    """Its new log stays empty: that is never rotated, or else the file it writes into is compressed and removed."""
    BENCH.start("n", "never", RATE)
    policy(tmp_path, reopen=NONE, rotate_empty=empty)
    BENCH.rotate()
    assert open_file("n") == f"{FOLDER}/n.log.1"
    BENCH.rotate(5)
    gone = open_file("n")
    story = BENCH.story("n")
    assert not story.twice
    assert not story.broken
    if not empty:
        assert story.unhurt, story
        assert gone == f"{FOLDER}/n.log.1"
        tell("none, never reopens: 0 lost, but of 6 rotations only the first took place: the new log stays empty")
        return
    assert gone == f"{FOLDER}/n.log.1 (deleted)"
    assert story.missing == list(range(story.missing[0], story.acknowledged + 1))
    tell(f"none, never reopens, rotate_empty: all {len(story.missing)} lines since the second rotation are lost")


def test_copytruncate_loses_what_is_written_between_copy_and_truncation(tmp_path: Path, tell: Tell) -> None:
    rotations = 60
    BENCH.start("n", "never", FAST)
    policy(tmp_path, reopen=COPIES)
    assert BENCH.rotate(rotations, 0.05) == ""
    story = BENCH.story("n")
    assert len(story.files) == rotations + 1
    assert not story.twice
    ends = {numbers[-1] for numbers in story.files.values()}
    gaps = [number for number in story.missing if number - 1 not in story.missing]
    assert {gap - 1 for gap in gaps} <= ends, "a line was lost elsewhere than where a file ends"
    for numbers in story.files.values():
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
    lost = len(story.missing)
    longest = max((gap_length(story.missing, gap) for gap in gaps), default=0)
    assert lost < 0.05 * FAST * rotations  # 50 ms each
    tell(
        f"copytruncate: {lost} of {story.acknowledged} lines lost in {rotations} rotations at {FAST} a second,"
        f" {len(story.broken)} broken: in a rotation {1e6 * lost / rotations / FAST:.0f} microseconds of writing,"
        f" {1e6 * longest / FAST:.0f} at most"
    )


def gap_length(missing: list[int], first: int) -> int:
    """How many numbers follow one another from first on."""
    length, there = 1, set(missing)
    while first + length in there:
        length += 1
    return length


def test_copytruncate_leaves_holes_where_a_writer_does_not_append(tmp_path: Path, tell: Tell) -> None:
    BENCH.start("n", "seek", FAST)
    policy(tmp_path, reopen=COPIES)
    BENCH.rotate(10)
    size, blocks = map(int, BENCH.shell(f"stat -c '%s %b' {FOLDER}/n.log").split())
    story = BENCH.story("n")
    own = sum(len(f"n {number} 01234567\n") for number in story.files["n.log"])
    assert not story.twice
    assert size > 2 * blocks * 512
    assert story.holes > own
    tell(f"copytruncate without O_APPEND: after 10 rotations the log has {size} bytes, {blocks * 512} of them on disk")


@pytest.mark.parametrize("method", ["reload", "signal"])
def test_a_writer_that_crashes_all_the_time_loses_nothing(tmp_path: Path, tell: Tell, method: str) -> None:
    BENCH.start("c", "crash", RATE)
    policy(tmp_path, reopen={"method": method, "unit": "sequence-c.service"})
    for _ in range(4):  # whether there is a process to be told is a matter of luck
        lab.on(BENCH.host, f"for i in 1 2 3 4 5; do {ROTATE}; sleep .1; done")
    crashes = int(BENCH.shell("systemctl show -P NRestarts sequence-c"))
    story = BENCH.story("c")
    assert story.unhurt, story
    assert crashes >= 5
    assert len(story.files) >= 10
    tell(f"{method}: {crashes} crashes, {len(story.files) - 1} rotations, {story.acknowledged} lines: 0 lost, 0 twice")


def small_disk(writer: str, options: str, rate: int = RATE) -> None:
    """The logs' folder on a small disk of its own."""
    BENCH.shell(f"mount -t tmpfs -o mode=0755,{options} tmpfs {FOLDER}; chown logcaster: {FOLDER}")
    BENCH.start(*(("n", "never") if writer == "never" else ("a", "reopen")), rate)


def rotated(name: str) -> list[str]:
    """The names of what was rotated, newest first."""
    found = BENCH.shell(f"ls {FOLDER} | grep '^{name}.log\\.'; true").split()
    return sorted(found, key=sequences.order)


def test_a_full_disk_does_not_keep_a_log_from_being_rotated(tmp_path: Path) -> None:
    small_disk("reopen", "size=256k")
    policy(tmp_path, reopen=RELOAD, compression="none")
    assert BENCH.shell(FILL).split() == ["0"]
    assert BENCH.rotate() == ""
    assert rotated("a") == ["a.log.1"]
    BENCH.shell(f"rm {FOLDER}/filler")
    BENCH.rotate(2)
    story = BENCH.story("a")
    assert story.full > 5
    assert story.unhurt, story
    assert len(story.files) == 4


def test_a_disk_that_is_full_while_it_compresses(tmp_path: Path) -> None:
    small_disk("reopen", "size=256k")
    policy(tmp_path, reopen=RELOAD)
    BENCH.rotate(2)
    assert BENCH.shell(FILL).split() == ["0"]
    for _ in range(2):
        failed = lab.on(BENCH.host, ROTATE)
        assert failed.code == 1
        assert "failed to compress log" in failed.text
        assert rotated("a") == ["a.log.1", "a.log.2.gz"]
    BENCH.shell(f"rm {FOLDER}/filler")
    assert BENCH.rotate(2) == ""
    story = BENCH.story("a")
    assert story.full > 5
    assert (story.unhurt, story.beside) == (True, {}), story
    assert len(story.files) == 5


def test_a_full_disk_does_not_let_copytruncate_truncate(tmp_path: Path, tell: Tell) -> None:
    small_disk("never", "size=256k")
    policy(tmp_path, reopen=COPIES)
    assert BENCH.shell(FILL).split() == ["0"]
    for _ in range(3):
        failed = lab.on(BENCH.host, ROTATE)
        assert failed.code == 1
        assert "error copying" in failed.text
    BENCH.shell(f"rm {FOLDER}/filler; sleep .2")
    story = BENCH.story("n")
    assert story.full > 5
    assert story.unhurt, story
    assert list(story.files) == ["n.log"]


def test_every_copy_that_fails_costs_copytruncate_an_old_log(tmp_path: Path, tell: Tell) -> None:
    """Names are moved up before the copy is tried, and stay so when it fails."""
    small_disk("never", "size=1m", FAST)
    policy(tmp_path, reopen=COPIES, keep=3)
    BENCH.rotate(4)
    assert len(rotated("n")) == 3
    assert BENCH.shell(f"sleep 1; {FILL}").split() == ["0"]
    left = []
    for _ in range(5):
        assert lab.on(BENCH.host, ROTATE).code == 1
        left.append(len(rotated("n")))
    BENCH.shell(f"rm {FOLDER}/filler")
    assert left == [3, 2, 1, 1, 1]
    tell(f"copytruncate, keep 3, full disk: {', '.join(map(str, left))} rotated logs left after 1 to 5 runs that fail")


def test_without_an_inode_for_the_new_log_it_is_not_rotated_again_until_the_writer_is_told(tmp_path: Path) -> None:
    small_disk("reopen", "size=1m,nr_inodes=3")
    policy(tmp_path, reopen=RELOAD, compression="none")
    assert BENCH.rotate() == ""
    failed = lab.on(BENCH.host, ROTATE)
    assert failed.code == 1
    assert "error creating output file" in failed.text
    BENCH.shell(f"mount -o remount,nr_inodes=99 {FOLDER}")
    assert BENCH.rotate(2) == ""
    assert (rotated("a"), open_file("a")) == (["a.log.1", "a.log.2"], f"{FOLDER}/a.log.1")
    BENCH.shell("systemctl reload sequence-a")
    BENCH.rotate(2)
    story = BENCH.story("a")
    assert story.unhurt, story
    assert len(story.files) == 5


def test_thirty_days_keep_what_they_should_and_remove_the_oldest(tmp_path: Path, tell: Tell) -> None:
    reopen = {name: {"method": "reload", "unit": f"sequence-{name}.service"} for name in ("daily", "aged", "monthly")}
    BENCH.shell(f"echo 'must stay' > {FOLDER}/persistence-1.log; echo 'must stay, too' > {FOLDER}/persistence-2.log")
    look = f"stat -c '%n %i %y %z' {FOLDER}/persistence-*; sha256sum {FOLDER}/persistence-*"
    before = BENCH.shell(look)
    excluded = ["persistence-*.log", "aged.log", "monthly.log"]
    for name in reopen:
        BENCH.start(name, "reopen", RATE)
    policy(tmp_path, reopen=reopen["daily"], exclude=excluded, keep=14, max_age="30d")
    policy(tmp_path, name="sequence-aged", paths=[f"{FOLDER}/aged.log"], reopen=reopen["aged"], keep=60, max_age="7d")
    monthly = {"paths": [f"{FOLDER}/monthly.log"], "every": "monthly", "keep": 12}
    policy(tmp_path, name="sequence-monthly", reopen=reopen["monthly"], **monthly)
    BENCH.shell(f"cat > {sequences.PROGRAMS}/day_passes.py <<'END'\n{DAY_PASSES}END")
    run = f"for each in {sequences.DROPIN}*; do logrotate $each || exit 1; done"
    day = datetime.datetime.now(datetime.UTC).day
    BENCH.shell(f"{run}; for i in $(seq {DAYS}); do python3 {sequences.PROGRAMS}/day_passes.py; {run}; sleep .05; done")
    old = BENCH.shell(f"find {FOLDER} -name 'aged.log.*' -mtime +7; find {FOLDER} -name 'daily.log.*' -mtime +30")
    stories = {name: BENCH.story(name) for name in reopen}
    for name, story in stories.items():
        assert story.numbers == list(range(story.numbers[0], story.acknowledged + 1)), f"{name} {story}"
        assert not story.broken
        assert all(numbers == sorted(numbers) for numbers in story.files.values())
    assert len(stories["daily"].files) == 1 + 14
    assert stories["daily"].numbers[0] > 1
    assert 7 <= len(stories["aged"].files) - 1 <= 8
    # The clock stands still, so that a month is over whenever as many days have passed as this month has.
    months = {DAYS // day, DAYS // (day % 31 + 1)}
    assert len(stories["monthly"].files) - 1 in {min(12, count) for count in months}
    if max(months) <= 12:  # else, in the first days of a month, the oldest has gone
        assert stories["monthly"].numbers[0] == 1
    assert old == ""
    assert BENCH.shell(look) == before
    counts = ", ".join(f"{name} {len(story.files) - 1}" for name, story in stories.items())
    tell(f"{DAYS} days: rotated logs left: {counts}; without a gap up to the last line")
