# SPDX-License-Identifier: GPL-3.0-or-later
"""TAB: what a real bash offers, how quickly, and that nothing that lies about makes it fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli_project import SOURCE, Cli

from runbook_cli.completion import expand, inventory_names

DRIVE = """
PATH=$BIN:$PATH
eval "$(runbook completion bash)"
words=("$@")
COMP_WORDS=("${words[@]}")
COMP_CWORD=$((${#words[@]} - 1))
_runbook_completion runbook
printf '%s\\n' "${COMPREPLY[@]}"
complete -p runbook ops-runbook >/dev/null
"""


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """`runbook` as a command of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "runbook"
    program.write_text(
        f"#!{sys.executable} -I\nimport sys\nsys.path.insert(0, {str(SOURCE)!r})\n"
        "from runbook_cli.main import main\nmain()\n"
    )
    program.chmod(0o755)
    return folder


def offered(binary: Path, *words: str, **environment: str) -> list[str]:
    """What bash would offer for the last word."""
    done = subprocess.run(
        ["bash", "-c", DRIVE, "bash", "runbook", *words],
        env={**os.environ, "BIN": str(binary), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if line]


def test_bash(cli: Cli, binary: Path) -> None:
    assert {"run", "undo", "doctor", "completion"} <= set(offered(binary, ""))
    assert offered(binary, "run", "recover") == ["recover_thing"]
    assert offered(binary, "run", "recover_thing", "-i", "inv") == ["inventories/all.yml", "inventories/few.yml"]
    assert offered(binary, "run", "recover_thing", "-i", "inventories/few.yml", "-l", "f0,f") == [
        "f0,few",
        *(f"f0,f{n}" for n in range(7)),
    ]
    assert offered(binary, "run", "recover_thing", "-l", "hea", RUNBOOK_INVENTORY="inventories/all.yml") == ["healthy"]
    assert offered(binary, "run", "recover_thing", "--approve", "sto") == ["stopped"]
    assert offered(binary, "list", "--format", "") == ["table", "json", "yaml"]
    assert "--limit" in offered(binary, "run", "recover_thing", "--li")


def test_runs(cli: Cli, binary: Path) -> None:
    cli.records.mkdir()
    lines = [f'{{"run":"R-{n}","host":"h","phase":"intent"}}' for n in (1, 2, 2)] + ['{"run":"R-3","phase":"looked"}']
    (cli.records / "record.jsonl").write_text("\n".join([*lines, '{"run":"R-1","phase":"intent', ""]))
    assert offered(binary, "undo", "") == ["last", "R-2", "R-1"]
    assert offered(binary, "undo", "R-2") == ["R-2"]


def test_what_is_damaged_offers_nothing(cli: Cli, binary: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("a: [\n")
    for inventory in (str(bad), str(tmp_path / "gone"), "/dev/null"):
        assert offered(binary, "run", "recover_thing", "-i", inventory, "-l", "") == []
    assert offered(binary, "run", "no_such_playbook", "--approve", "") == []
    assert offered(binary, "run", "--project", "/nowhere", "") == []


def test_every_shell_reads_its_script(cli: Cli, binary: Path) -> None:
    for shell in ("bash", "zsh", "fish"):
        script = cli.run("completion", shell)
        assert script.code == 0
        assert "ops-runbook" in script.out
        if shutil.which(shell):
            read = subprocess.run([shell, "-n"], input=script.out, capture_output=True, text=True, check=False)
            assert (read.returncode, read.stderr) == (0, "")
    assert cli.run("completion", "tcsh").code == 2


def test_it_is_quick_and_imports_nothing_of_ansible(cli: Cli, binary: Path) -> None:
    told = {**os.environ, "_RUNBOOK_COMPLETE": "bash_complete", "COMP_CWORD": "6"}
    told["COMP_WORDS"] = "runbook run recover_thing -i inventories/few.yml -l f"
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", binary / "runbook"], env=told, capture_output=True, text=True, check=True
    )
    assert "plain,f0" in loaded.stdout
    modules = {line.rpartition("|")[2].strip().partition(".")[0] for line in loaded.stderr.splitlines()}
    assert not modules & {"ansible", "ansible_runner", "paramiko", "jmespath"}
    told = {name: value for name, value in told.items() if not name.startswith("COVERAGE")}  # which costs as much again
    best = min(_processor_time([str(binary / "runbook")], told) for _ in range(5))
    click = min(_processor_time([sys.executable, "-c", "import click"], told) for _ in range(5))
    assert best < 3 * click, f"{best:.3f} s of processor time, click alone {click:.3f} s"


def _processor_time(argv: list[str], environment: dict[str, str]) -> float:
    began = os.times()
    subprocess.run(argv, env=environment, capture_output=True, check=True)
    ended = os.times()
    return ended.children_user + ended.children_system - began.children_user - began.children_system


def test_names_of_an_inventory(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("not_a_group: {hosts: {not_a_host: }}\n")
    (tmp_path / "a.yml").write_text("all: {children: {web: {hosts: {'web[1:2]': , lone: }}}, vars: {x: 1}}\n")
    (tmp_path / "b.ini").write_text(
        "one ansible_host=1\n[db]\ndb[a:b] x=1 # note\n[all:children]\ndb\n[db:vars]\nport=1\n"
    )
    (tmp_path / "script").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "script").chmod(0o755)
    assert dict(inventory_names(str(tmp_path))) == {
        "all": "group",
        "web": "group",
        "web1": "",
        "web2": "",
        "lone": "",
        "one": "",
        "db": "group",
        "dba": "",
        "dbb": "",
    }
    assert dict(inventory_names("x,y,")) == {"x": "", "y": ""}


def test_ranges() -> None:
    assert expand("fleet[08:10]") == ["fleet08", "fleet09", "fleet10"]
    assert expand("r[1:2]h[a:b]") == ["r1ha", "r1hb", "r2ha", "r2hb"]
    assert expand("x[0:9:4]") == ["x0", "x4", "x8"]
    assert len(expand("x[0:99999999]")) == 1000
