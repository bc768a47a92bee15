# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the project is found, what playbooks say of themselves, `list` and `show`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli_project import SOURCE, Cli

from runbook_cli.answer import CliError
from runbook_cli.pack import approvable, causes, describe, has_lifecycle, uses
from runbook_cli.project import FIELDS, find_root, inventories, parse_header, playbooks, records_folder

CHECKOUT = Path(__file__).parents[3]


def make(folder: Path) -> Path:
    for name in ("playbooks", "collections"):
        (folder / name).mkdir(parents=True)
    (folder / "ansible.cfg").write_text("")
    return folder


def test_the_root_around_the_current_folder(tmp_path: Path) -> None:
    root = make(tmp_path / "checkout")
    (root / "deep" / "down").mkdir(parents=True)
    assert find_root(None, root / "deep" / "down") == root
    assert find_root(None, root) == root


def test_the_installed_root_and_the_source_tree(tmp_path: Path) -> None:
    package = tmp_path / "tree" / "src" / "runbook_cli"
    with pytest.raises(CliError, match="no project was found"):
        find_root(None, tmp_path, package)
    checkout = make(tmp_path / "tree")
    assert find_root(None, tmp_path, package) == checkout
    share = make(package / "share")
    assert find_root(None, tmp_path, package) == share


def test_a_chosen_root(tmp_path: Path) -> None:
    root = make(tmp_path / "mine")
    assert find_root(str(root), tmp_path) == root
    with pytest.raises(CliError, match="not a project"):
        find_root(str(tmp_path))
    with pytest.raises(CliError, match="not a project"):
        find_root("")


def test_a_folder_that_everyone_may_write_to_is_no_project(tmp_path: Path) -> None:
    root = make(tmp_path / "shared")
    root.chmod(0o777)
    with pytest.raises(CliError, match="no project was found"):
        find_root(None, root, tmp_path / "a" / "b" / "c")
    assert find_root(str(root), root) == root


def test_headers() -> None:
    text = (
        "---\n# SPDX-License-Identifier: GPL-3.0-or-later\n# Title: A: b\n# Trigger: one,\n#   two\n#   three\n"
        "# Unknown: x\n#   not of the trigger\n# Blast Radius: little\n- hosts: all\n# Undo: too late\n"
    )
    assert parse_header(text) == {"title": "A: b", "trigger": "one, two three", "blast_radius": "little"}
    assert parse_header("") == parse_header("- hosts: all\n") == {}


def test_list(cli: Cli) -> None:
    done = cli.run("list", "--format", "json")
    assert done.code == 0
    named = {playbook.pop("name"): playbook for playbook in done.data}
    assert list(named) == ["bad", "both", "breaks", "fleet", "job", "lost", "recover_thing", "undo"]
    assert named["recover_thing"] == {
        "title": "Recover the thing",
        "trigger": "the thing does not answer, or its probe is red",
        "guide": "S9 1-2",
        "blast_radius": "one host at a time",
        "undo": "nothing to undo",
    }
    text = cli.run("list").out
    assert "recover_thing: Recover the thing\n  trigger       the thing does not answer, or its probe is red\n" in text
    assert cli.run("list", "--query", "[?title=='A job'].name").data == ["job"]


def test_list_of_an_empty_project(cli: Cli, tmp_path: Path) -> None:
    done = cli.run("list", "--project", str(make(tmp_path / "empty")))
    assert (done.code, done.out) == (0, "This project has no playbooks.\n")
    assert inventories(tmp_path / "empty") == []


def test_show(cli: Cli, project: Path) -> None:
    data = cli.run("show", "playbooks/recover_thing.yml", "--format", "json").data
    assert data["diagnosable"] is True
    (pack,) = data["packs"]
    assert pack["service"] == "thing"
    assert [(cause["cause"], cause["remedy"], cause["risk"], cause["ask"]) for cause in pack["causes"]] == [
        ("port_taken", "report_only", "high", None),
        ("stopped", "start_it", "low", True),
    ]
    named = {variable["name"]: variable for variable in data["variables"]}
    assert set(named) == {"thing_port", "thing_mode", "remediate_act"}, "what the pack itself sets is nobody else's"
    assert (named["thing_port"]["default"], named["thing_port"]["role"]) == (4711, "thing")
    assert named["remediate_act"]["description"] == "Only false makes it look."
    assert data["command"] == "ansible-playbook -i INVENTORY playbooks/recover_thing.yml"


def test_show_for_people(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    text = cli.run("show", "recover_thing", "--project", str(project)).out
    assert "  stopped     start_it     low, asks  It was stopped.\n" in text
    assert "  thing_port (int, default 4711)\n      The port.\n" in text
    assert "  thing_mode (str: fast | safe, required)\n" in text
    assert text.endswith(f"Command\n  cd {project} && ansible-playbook -i INVENTORY playbooks/recover_thing.yml\n")
    job = cli.run("show", "job", "--project", str(project)).out
    assert "Causes" not in job
    assert "Variables" not in job


def test_our_own_playbooks_say_everything() -> None:
    found = playbooks(CHECKOUT)
    assert "recover_mongodb" in [playbook.name for playbook in found]
    for playbook in found:
        missing = [field for field in FIELDS if not getattr(playbook, field)]
        assert not missing, f"{playbook.name} lacks {missing} in its header"
        described = describe(CHECKOUT, playbook)
        assert described["variables"] or not uses(CHECKOUT, playbook), playbook.name
        assert all(variable["description"] for variable in described["variables"]), playbook.name


def test_our_own_pack() -> None:
    by_name = {playbook.name: playbook for playbook in playbooks(CHECKOUT)}
    assert has_lifecycle(CHECKOUT, by_name["recover_mongodb"])
    assert not has_lifecycle(CHECKOUT, by_name["baseline"])
    assert {"killed", "port_taken", "masked"} <= {cause["cause"] for cause in causes(CHECKOUT, "mongodb")}
    allowed = approvable(CHECKOUT, by_name["recover_mongodb"])
    assert {"unmask_and_start", "masked"} <= set(allowed)
    assert not {"report_only", "escalate", "port_taken"} & set(allowed)


def test_records_lie_in_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert records_folder(None) == tmp_path / "state" / "ops-runbook"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert records_folder(None) == tmp_path / "home" / ".local" / "state" / "ops-runbook"
    assert list((tmp_path / "home" / ".local" / "state" / "ops-runbook").iterdir()) == []


def test_the_wheel_works_far_from_the_checkout(tmp_path: Path) -> None:
    """What pip installs carries the collection and the playbooks; an unreachable host shows that Ansible finds both."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed: it builds the wheel")
    tree, site = tmp_path / "tree", tmp_path / "site"
    for name in ("src", "playbooks", "collections/ops_runbook"):
        shutil.copytree(CHECKOUT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "ansible.cfg"):
        shutil.copy(CHECKOUT / name, tree / name)
    (tree / "README.md").write_text("x\n")
    subprocess.run([uv, "build", "--wheel", "-q", "--out-dir", tmp_path, tree], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([uv, "pip", "install", "-q", "--no-deps", "--target", site, wheel], check=True, timeout=120)
    shutil.rmtree(tree)
    (tmp_path / "hosts.yml").write_text("mongodb: {hosts: {gone: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n")

    def runbook(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(site)}
        command = [sys.executable, site / "bin" / "runbook", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    assert "recover_mongodb" in json.loads(runbook("list", "--query", "[].name").stdout)
    shown = json.loads(runbook("show", "recover_mongodb", "--format", "json").stdout)
    assert shown["path"] == str(site / "runbook_cli" / "share" / "playbooks" / "recover_mongodb.yml")
    assert shown["packs"][0]["causes"]
    done = runbook("run", "recover_mongodb", "-i", "hosts.yml", "--format", "json")
    assert done.returncode == 4, done.stdout + done.stderr
    assert json.loads(done.stdout)["targets"][0]["outcome"] == "unreachable"
    assert (site / "bin" / "ops-runbook").exists()


def test_help_and_list_answer_at_once() -> None:
    slow = ("ansible", "ansible_runner", "yaml", "jmespath", "concurrent")
    program = (
        "import sys; from runbook_cli.main import run_cli; codes = [run_cli(['--help']), run_cli(['list'])]; "
        f"print([codes, [name for name in {slow!r} if name in sys.modules]], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(SOURCE)},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "[[0, 0], []]"
