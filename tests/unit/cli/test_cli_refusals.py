# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is refused before a host is touched: one line, with the documented exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_project import Cli

ALL = ("-i", "inventories/all.yml")
RUN = ("run", "recover_thing")


def refused(cli: Cli, code: int, *arguments: str) -> str:
    done = cli.run(*arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("runbook: ")
    assert len(done.err.splitlines()) == 1
    assert not cli.records.exists() or not list(cli.records.iterdir())
    return done.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("show", "recover_thin"), 2, "no playbook is called 'recover_thin'. Did you mean recover_thing?"),
        (
            ("run", "zzz", *ALL),
            2,
            "Known: bad, both, breaks, fleet, job, lost, recover_thing, undo. See 'runbook list'.",
        ),
        (("diagnose", "../ansible.cfg", *ALL), 2, "no playbook is called"),
        (("show", "bad"), 1, "playbooks/bad.yml: cannot be read: "),
        (
            RUN,
            2,
            "Add -i PATH or set RUNBOOK_INVENTORY. This project has inventories/all.yml, inventories/few.yml.",
        ),
        ((*RUN, "-i", "nope.yml"), 2, "nope.yml: no such inventory. Give the path"),
        ((*RUN, "-i", ""), 2, "no such inventory"),
        ((*RUN, *ALL, "-l", ""), 7, "--limit '' names no host, and Ansible would take every other one for it"),
        ((*RUN, *ALL, "-l", ","), 7, "--limit ',' names no host"),
        ((*RUN, *ALL, "-l", ":"), 7, "--limit ':' names no host"),
        ((*RUN, *ALL, "-l", " "), 7, "--limit ' ' names no host"),
        ((*RUN, *ALL, "-l", "!healthy"), 7, "--limit '!healthy' names no host"),
        ((*RUN, *ALL, "-l", "&things,!healthy"), 7, "names no host"),
        ((*RUN, *ALL, "-l", "!things[0:2]"), 7, "names no host"),
        ((*RUN, *ALL, "-l", "healthi"), 7, "--limit: unknown host 'healthi'. Did you mean healthy?"),
        ((*RUN, *ALL, "-l", "failed,healthi"), 2, "--limit: unknown host 'healthi'. Did you mean healthy?"),
        ((*RUN, *ALL, "-l", "things,!healthi"), 2, "--limit: unknown host 'healthi'"),
        ((*RUN, *ALL, "-l", "healthy:failed,dead"), 2, "--limit: unknown host 'healthy:failed'"),
        ((*RUN, *ALL, "-l", "~["), 7, "--limit '~[' cannot be read as hosts"),
        ((*RUN, *ALL, "-l", "~"), 7, "--limit: unknown host '~'"),
        ((*RUN, *ALL, "-l", "~("), 7, "--limit: unknown host '~('"),
        ((*RUN, *ALL, "-l", "@nope"), 2, "--limit @nope: cannot be read: No such file or directory"),
        ((*RUN, *ALL, "-l", "things,!things"), 7, "--limit things,!things has none of 'hosts: things'"),
        ((*RUN, "-i", "h1,"), 7, "no host is left: the inventory has none of 'hosts: things'"),
        ((*RUN, *ALL, "-e", "only=nothing"), 7, "has none of 'hosts: nothing'"),
        ((*RUN, *ALL, "-e", "only={{ gone }}"), 7, "has none of"),
        ((*RUN, *ALL, "-e", "hunter2"), 2, "--extra: 'a value' is not NAME=VALUE. Write -e NAME=VALUE or -e @FILE."),
        ((*RUN, *ALL, "-e", "a b=hunter2"), 2, "--extra: 'a b' is not NAME=VALUE"),
        ((*RUN, *ALL, "-e", "=hunter2"), 2, "--extra: '' is not NAME=VALUE"),
        (
            (*RUN, *ALL, "-e", '{"a": "hunter2"'),
            2,
            '--extra: what begins with { is not JSON. Write -e \'{"NAME": VALUE}',
        ),
        ((*RUN, *ALL, "-e", '{"remediate_act": true}'), 2, "remediate_act is what the command"),
        ((*RUN, *ALL, "-e", "@nope.yml"), 2, "--extra @nope.yml: no such file"),
        ((*RUN, *ALL, "-e", "@ansible.cfg"), 2, "ansible.cfg: does not parse: "),
        ((*RUN, *ALL, "-e", "@playbooks/lost.yml"), 2, "lost.yml: is not a mapping of variables"),
        (("diagnose", "recover_thing", *ALL, "-e", "remediate_act=true"), 2, "remediate_act is what the command"),
        ((*RUN, *ALL, "--approve", "reboot"), 2, "'reboot' that may be approved. Known: start_it, stopped."),
        ((*RUN, *ALL, "--approve", "port_taken"), 2, "'port_taken' that may be approved"),
        ((*RUN, *ALL, "--incident", "$(reboot)"), 2, "--incident: is not an incident's id"),
        ((*RUN, *ALL, "--records", "ansible.cfg"), 2, "ansible.cfg: the record cannot be written (File exists)"),
        ((*RUN, *ALL, "--records", "/proc/nope/records"), 2, "the record cannot be written"),
        ((*RUN, *ALL, "--timeout", "0"), 2, "runbook run: Invalid value for '--timeout': 0.0 is not in the range x>0."),
        ((*RUN, *ALL, "--timeout", "soon"), 2, "'soon' is not a valid float"),
        ((*RUN, *ALL, "--format", "xml"), 2, "'xml' is not one of 'table', 'json', 'yaml'"),
        (("diagnose", "job", *ALL), 2, "job has no diagnosis: it is a job and would act. See 'runbook show"),
        (("list", "--project", "inventories"), 2, "inventories: not a project: it lacks ansible.cfg"),
        (("list", "--fromat", "json"), 2, "runbook list: No such option"),
        (("lst",), 2, "No such command 'lst'"),
        (("show",), 2, "Missing argument 'NAME'. See 'runbook show --help'."),
    ],
)
def test_refusals(cli: Cli, project: Path, arguments: tuple[str, ...], code: int, told: str) -> None:
    said = refused(cli, code, *arguments)
    assert told in said
    assert "hunter2" not in said


@pytest.mark.parametrize("query", ["[", "a ||", "@@"])
def test_a_malformed_query_runs_nothing(cli: Cli, query: str) -> None:
    done = cli.run(*RUN, *ALL, "--query", query)
    assert done.code == 2
    assert done.err.startswith("runbook: --query: the query does not compile: ")
    assert not cli.records.exists()


def test_a_query_that_fails_on_data(cli: Cli) -> None:
    done = cli.run("list", "--query", "sum(@)")
    assert done.code == 2
    assert "The whole document follows" in done.err
    assert "recover_thing" in [playbook["name"] for playbook in done.data]


def test_an_error_is_a_document_for_programs(cli: Cli) -> None:
    done = cli.run(*RUN, *ALL, "--limit", ",", "--format", "json")
    assert done.code == 7
    assert done.data["exit_code"] == 7
    assert "names no host" in done.data["error"]["what"]
    assert done.data["error"]["hint"].startswith("Name the hosts")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("hosts.yml", "all:\n  hosts: [unclosed\n", "hosts.yml:3:1: the inventory does not parse: YAML parsing failed"),
        ("hosts", "[things\nh1\n", "the inventory does not parse: "),
        ("folder/", "", "the inventory does not parse: "),
    ],
)
def test_an_inventory_that_does_not_parse(cli: Cli, tmp_path: Path, name: str, text: str, told: str) -> None:
    """In a process of its own, because Ansible reads its configuration once."""
    path = tmp_path / name
    if name.endswith("/"):
        path.mkdir()
    else:
        path.write_text(text)
    done = cli.spawned(*RUN, "-i", str(path))
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert len(done.err.splitlines()) == 1


def test_a_limit_from_a_file(cli: Cli, tmp_path: Path) -> None:
    wanted = tmp_path / "limit"
    wanted.write_text("\n\n")
    refused(cli, 7, *RUN, *ALL, "-l", f"@{wanted}")
    wanted.write_text("healthy\nhealthi\n")
    assert "unknown host 'healthi'" in refused(cli, 2, *RUN, *ALL, "-l", f"@{wanted}")
    wanted.write_text("healthy\n")
    assert cli.run(*RUN, *ALL, "-l", f"@{wanted}", "--query", "hosts").data == ["healthy"]


def test_inventories_come_from_the_environment_and_from_the_project(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_INVENTORY", "inventories/all.yml")
    monkeypatch.chdir("playbooks")  # a path that is not below the current folder is looked for in the project
    done = cli.run(*RUN, "-l", "healthy", "--query", "hosts")
    assert (done.code, done.data) == (0, ["healthy"])
    assert "all.yml && " not in cli.run("show", "recover_thing").out
    assert "ansible-playbook -i inventories/all.yml playbooks/recover_thing.yml" in cli.run("show", "recover_thing").out


def test_an_encrypted_variables_file(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, because Ansible reads its configuration once."""
    sealed, password = tmp_path / "sealed.yml", tmp_path / "password"
    sealed.write_text("color: green\n")
    password.write_text("open sesame\n")
    vault = Path(sys.executable).parent / "ansible-vault"
    subprocess.run([vault, "encrypt", "--vault-password-file", password, sealed], check=True, capture_output=True)
    run = (*RUN, *ALL, "-l", "healthy", "-e", f"@{sealed}", "--query", "targets[0].summary.seen.color")
    done = cli.spawned(*run)
    assert (done.code, json.loads(done.out)["exit_code"]) == (2, 2)
    assert "ANSIBLE_VAULT_PASSWORD_FILE" in done.err
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(password))
    done = cli.spawned(*run)
    assert (done.code, done.data) == (0, "green")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_an_ordinary_user_and_a_record_that_is_not_his(cli: Cli, project: Path, tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:  # a child that is nobody, in this very process image: no traceback, and code 2
        from runbook_cli.answer import CliError
        from runbook_cli.project import records_folder

        os.setuid(65534)
        try:
            records_folder("/root/records")
        except CliError as error:
            os._exit(error.code)
        os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2


def test_ctrl_c_before_anything_runs(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from runbook_cli import project

    def interrupted(root: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(project, "playbooks", interrupted)
    done = cli.run("list")
    assert (done.code, done.out, done.err.strip()) == (130, "", "runbook: interrupted. Nothing had begun on any host.")


def test_ansible_is_missing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "ansible-playbook was not found. Install ansible-core" in cli.run(*RUN, *ALL, "-l", "healthy").err


def test_a_bug_is_one_line_and_a_traceback_only_on_request(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from runbook_cli import main, project

    monkeypatch.setattr(project, "playbooks", lambda root: 1 / 0)
    done = cli.run("list")
    assert (done.code, done.err) == (
        1,
        "runbook: this is a bug: ZeroDivisionError: division by zero. --verbose shows where.\n",
    )
    assert main.run_cli(["list", "--verbose", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert "Traceback" in err
    assert json.loads(out)["exit_code"] == 1
