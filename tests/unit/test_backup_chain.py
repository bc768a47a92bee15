# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of processes: what arrives, whose failure is told, and that nobody is left running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.backup import chain
from ansible_collections.ops.runbook.plugins.module_utils.backup.chain import Patience, Stage
from ansible_collections.ops.runbook.plugins.module_utils.errors import OpsError


def sh(script: str, **more: object) -> Stage:
    return Stage(["sh", "-c", script], **more)  # type: ignore[arg-type]


def ran(*stages: Stage, limit: float = 20, idle: float = 10, source: int | None = None) -> tuple[bytes, chain.Outcome]:
    blocks: list[bytes] = []
    return (outcome := chain.run(stages, blocks.append, Patience(limit, idle), source)) and (b"".join(blocks), outcome)


def children() -> list[str]:
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


@pytest.fixture(autouse=True)
def nobody_is_left() -> object:
    before = children()
    yield
    assert children() == before


def test_what_the_last_one_writes_arrives_whole() -> None:
    data, outcome = ran(sh("seq 1 200000"), sh("cat"), Stage(["zstd", "-q", "-c"]))
    assert outcome.codes == [0, 0, 0]
    assert outcome.bytes == len(data)
    plain = subprocess.run(["zstd", "-dqc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    assert plain == "".join(f"{number}\n" for number in range(1, 200001)).encode()


def test_it_reads_a_file(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 3_000_000)
    with (tmp_path / "in").open("rb") as stream:
        data, _outcome = ran(sh("cat"), sh("wc -c"), source=stream.fileno())
    assert data.strip() == b"3000000"


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([sh("seq 9; echo lost the server >&2; exit 3"), sh("cat")], "sh failed with exit code 3: lost the server"),
        ([sh("seq 99999999"), sh("head -c 10 >/dev/null; echo no space left >&2; exit 7")], "7: no space left"),
        ([sh("kill -9 $$"), sh("cat")], "sh was ended by signal 9"),
        ([sh("seq 9; exit 4"), sh("cat >/dev/null; exit 5")], "sh failed with exit code 4; sh failed with exit code 5"),
        ([sh("true"), Stage(["zstd", "-dqc"])], "zstd failed with exit code 1"),
    ],
    ids=["the first", "the last, the first loses its reader", "killed", "both", "cut input"],
)
def test_every_exit_code_counts(stages: list[Stage], words: str) -> None:
    if stages[-1].argv[0] == "zstd":
        stages = [sh("printf '\\050\\265\\057\\375'"), stages[-1]]
    with pytest.raises(OpsError) as failed:
        ran(*stages)
    assert words in str(failed.value)


def test_a_code_that_only_warns_is_told_and_no_failure() -> None:
    data, outcome = ran(sh("echo data; echo file changed >&2; exit 1", calm=(1,)), sh("cat"))
    assert (data, outcome.codes, outcome.said[0]) == (b"data\n", [1, 0], "file changed\n")


def test_what_hangs_is_ended_with_its_children() -> None:
    began = time.monotonic()
    with pytest.raises(OpsError, match=r"sh: wrote nothing for 3 s and was ended: connecting"):
        ran(sh("echo connecting >&2; sleep 61 & sleep 62"), sh("cat"), idle=3)
    assert time.monotonic() - began < 15
    left = subprocess.run(["pgrep", "-f", "^sleep 6[12]$"], capture_output=True, text=True, check=False).stdout
    assert left == ""


def test_what_takes_too_long_is_ended() -> None:
    with pytest.raises(OpsError, match=r"did not end within 1 s and was ended. Give it more time: timeout"):
        ran(sh("while :; do echo x; sleep 0.05; done"), limit=1)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(OpsError, match=r"such: could not be started: No such file"):
        ran(sh("sleep 60"), Stage(["/no/such"]))
    with pytest.raises(OpsError, match=r"mongodumpling: is not installed\. Install package"):
        chain.find("mongodumpling")


def test_a_sink_that_fails_ends_the_row() -> None:
    def full(_block: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        chain.run([sh("seq 99999999")], full, Patience(20, 10))


def test_secrets_are_not_repeated_and_progress_is_told() -> None:
    told: list[tuple[int, float]] = []
    with pytest.raises(OpsError) as failed:
        chain.run(
            [sh("sleep 1.2; echo 'uri=mongodb://me:hunter2@db/x failed' >&2; exit 1")],
            lambda _block: None,
            Patience(20, 10, lambda size, seconds: told.append((size, seconds))),
        )
    assert "hunter2" not in str(failed.value)
    assert len(told) >= 2


def test_memory_stays_small_whatever_streams_through(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from ansible_collections.ops.runbook.plugins.module_utils.backup import chain\n"
        "s = [chain.Stage(['head', '-c', '400000000', '/dev/zero']), chain.Stage(['cat'])]\n"
        "chain.run(s, len, chain.Patience(60, 10))\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
    )
    root = Path(__file__).parents[2] / "collections"
    done = subprocess.run([sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60_000
