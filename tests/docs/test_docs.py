# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a user sees is documented, and the documentation is true."""

from __future__ import annotations

import ast
import importlib
import re
import typing as t
from pathlib import Path

import click
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbook.plugins.plugin_utils import diagnosis, outcome
from tests.support import lab

from runbook_cli.main import cli

COLLECTION = lab.ROOT / "collections" / "ops_runbook"
MODULES = sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("[a-z]*.py"))
ROLES = sorted(path for path in (COLLECTION / "roles").iterdir() if path.is_dir())
PLAYBOOKS = sorted((lab.ROOT / "playbooks").glob("*.yml"))
HEADER = ("Title", "Trigger", "Guide", "Blast radius", "Undo")
COMMON = {"changed", "failed", "msg", "diff", "error", "exception", "ops_runbook"}


def constants(module: str) -> dict[str, str]:
    """DOCUMENTATION, EXAMPLES and RETURN of a module, without importing it."""
    tree = ast.parse((COLLECTION / "plugins/modules" / f"{module}.py").read_text())
    found = {}
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        ):
            found[node.targets[0].id] = str(node.value.value)
    return found


def read(name: str) -> str:
    return (lab.ROOT / name).read_text()


def shared_options(fragment: str) -> set[str]:
    """Options that a fragment of the collection's own documents."""
    name = f"ansible_collections.ops.runbook.plugins.doc_fragments.{fragment.removeprefix('ops.runbook.')}"
    return set(yaml.safe_load(importlib.import_module(name).ModuleDocFragment.DOCUMENTATION).get("options", {}))


@pytest.mark.parametrize("module", MODULES)
def test_module_options_and_returns_are_described(module: str) -> None:
    documentation = yaml.safe_load(constants(module)["DOCUMENTATION"])
    spec = importlib.import_module(f"ansible_collections.ops.runbook.plugins.module_utils.specs.{module}").ARGUMENT_SPEC
    shared = {name for fragment in documentation["extends_documentation_fragment"] for name in shared_options(fragment)}
    assert set(documentation["options"]) | shared == set(spec)
    assert not set(documentation["options"]) & shared
    assert yaml.safe_load(constants(module)["RETURN"])
    assert f"`{module}`" in read("docs/design.md")


@pytest.mark.parametrize("module", MODULES)
def test_module_examples_are_tasks_that_the_module_accepts(module: str) -> None:
    specs = importlib.import_module(f"ansible_collections.ops.runbook.plugins.module_utils.specs.{module}")
    examples = yaml.safe_load(constants(module)["EXAMPLES"])
    seen = 0
    for task in examples:
        arguments = task.get(f"ops.runbook.{module}")
        if arguments is None:
            continue
        seen += 1
        assert task["name"][0].isupper()
        outcome_ = ArgumentSpecValidator(specs.ARGUMENT_SPEC, **specs.RULES).validate(
            _without_templates(arguments, specs.ARGUMENT_SPEC)
        )
        assert outcome_.error_messages == [], task["name"]
    assert seen, "no example calls the module"


def _without_templates(arguments: dict[str, t.Any], spec: dict[str, t.Any]) -> dict[str, t.Any]:
    """Templates replaced by an empty value of the option's type: what they give is not known here."""
    blank: dict[str, t.Any] = {"dict": {}, "list": [], "bool": False, "int": 1, "float": 1.0, "str": "x"}

    def plain(name: str, value: t.Any) -> t.Any:
        templated = isinstance(value, str) and "{{" in value
        return blank[spec.get(name, {}).get("type", "str")] if templated else value

    return {name: plain(name, value) for name, value in arguments.items()}


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_role_variables_are_described_and_nothing_else_is(role: Path) -> None:
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    described = set(specs["main"]["options"])
    required = {name for name, option in specs["main"]["options"].items() if option.get("required")}
    assert set(defaults) == described - required
    assert all(name.startswith(f"{role.name}_") for name in described)
    assert (role / "README.md").is_file()
    entry_points = {path.stem for path in (role / "tasks").glob("*.yml")} & {"main", "baseline"}
    assert entry_points == set(specs)


@pytest.mark.parametrize(
    "role",
    [
        role
        for role in ROLES
        if (path := role / "vars/main.yml").is_file() and f"{role.name}_causes" in path.read_text()
    ],
    ids=lambda path: path.name,
)
def test_pack_causes_are_valid_their_remedies_exist_and_are_documented(role: Path) -> None:
    data = yaml.safe_load((role / "vars/main.yml").read_text())
    checks, causes = data[f"{role.name}_checks"], data[f"{role.name}_causes"]
    assert diagnosis.validate(causes, checks) == []
    remedies = {
        path.stem
        for folder in (role, COLLECTION / "roles/remediate")
        for path in (folder / "tasks/remedies").glob("*.yml")
    }
    text = (role / "README.md").read_text()
    for cause in causes:
        assert cause["remedy"] in {*remedies, "report_only", "escalate"}, cause["cause"]
        assert f"`{cause['cause']}`" in text, f"{cause['cause']} is not in the pack's README"
    shared = (COLLECTION / "roles/remediate/README.md").read_text()
    for remedy in (COLLECTION / "roles/remediate/tasks/remedies").glob("*.yml"):
        assert f"| `{remedy.stem}` |" in shared


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_playbook_header_size_name_and_place_in_the_readme(playbook: Path) -> None:
    text = playbook.read_text()
    for key in HEADER:
        assert re.search(rf"^# {key}: \S", text, re.M), f"{key} is missing"
    assert len(text.splitlines()) <= 45
    plays = yaml.safe_load(text)
    assert all(play["vars"]["ops_runbook_name"] == playbook.stem for play in plays)
    assert f"`{playbook.stem}`" in read("README.md")
    done = lab.run([lab.command("ansible-playbook"), "-i", lab.INVENTORY, "--syntax-check", str(playbook)])
    assert done.code == 0, done.text


def _commands(command: click.Command, path: str) -> t.Iterator[tuple[str, click.Command]]:
    yield path, command
    for name, sub in getattr(command, "commands", {}).items():
        yield from _commands(sub, f"{path} {name}")


@pytest.mark.parametrize(
    ("path", "command"), list(_commands(cli, "runbook")), ids=lambda value: str(value) if isinstance(value, str) else ""
)
def test_every_command_and_option_is_in_the_cli_page(path: str, command: click.Command) -> None:
    page = read("docs/cli.md")
    assert command.help, f"{path} has no help"
    assert f"`{path}" in page
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            longest = max(parameter.opts, key=len)
            assert parameter.help, f"{path} {longest} has no help"
            assert longest in ("--help", "--version") or f"`{longest}" in page, (
                f"{path} {longest} is not in docs/cli.md"
            )


@pytest.mark.parametrize("name", outcome.EXIT_CODES)
def test_every_outcome_and_code_is_in_the_cli_page(name: str) -> None:
    assert re.search(rf"^\| {outcome.EXIT_CODES[name]} \| `{name}`", read("docs/cli.md"), re.M)


@pytest.mark.parametrize("code", [1, 2, 124, 130])
def test_the_other_codes_too(code: int) -> None:
    assert re.search(rf"^\| {code} \|", read("docs/cli.md"), re.M)


def test_every_fault_is_documented_by_its_keys_and_every_key_is_known() -> None:
    known = set(re.findall(r"^\| `(\w+)` \|", read("lab/faults/README.md"), re.M))
    for path in (lab.ROOT / "lab/faults").glob("*/*.yml"):
        assert set(yaml.safe_load(path.read_text())) <= known, path.name


def test_every_direct_dependency_has_its_reason() -> None:
    page = read("docs/dependencies.md")
    for line in read("requirements/dev.in").splitlines():
        name = re.match(r"[A-Za-z0-9_.-]+", line)
        if name and not line.startswith("#"):
            assert f"`{name[0]}`" in page, f"{name[0]} is not in docs/dependencies.md"


def test_links_in_the_pages_lead_somewhere() -> None:
    pages = [path for path in lab.ROOT.rglob("*.md") if not any(part.startswith(".venv") for part in path.parts)]
    broken = []
    for page in pages:
        targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
        gone = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
        broken += [f"{page.relative_to(lab.ROOT)}: {target}" for target in gone]
    assert broken == []


def test_every_source_file_says_its_licence() -> None:
    done = lab.run(["git", "ls-files", "-co", "--exclude-standard"])
    missing = []
    for name in done.stdout.splitlines():
        path = lab.ROOT / name
        if (
            path.suffix not in {".py", ".sh", ".yml", ".toml"}
            or path.is_symlink()
            or not path.is_file()
            or path.stat().st_size == 0
        ):
            continue
        if "fixtures" in path.parts or "fragments" in path.parts:
            continue
        licence = "BSD-2-Clause" if "module_utils" in path.parts and "unit" not in path.parts else "GPL-3.0-or-later"
        if f"SPDX-License-Identifier: {licence}" not in path.read_text()[:600]:
            missing.append(name)
    assert missing == []


def readme_commands() -> list[str]:
    """The shell commands of the README, except the two that run this very test or take the lab down."""
    blocks = re.findall(r"^```sh\n(.*?)^```", read("README.md"), re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [
        line
        for line in lines
        if line
        and not line.startswith("#")
        and line.split()[:2] not in (["make", "test"], ["make", "demo"], ["apt-get", "install"])
    ]


def test_the_readme_has_commands_and_the_two_of_them() -> None:
    assert "make demo" in read("README.md")
    assert "make test" in read("README.md")
    assert readme_commands()


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One record for all of them: the last undoes what one before it did."""
    return tmp_path_factory.mktemp("records")


@pytest.mark.parametrize("line", readme_commands())
def test_the_commands_of_the_readme_work(line: str, records: Path) -> None:
    done = lab.run(
        ["bash", "-c", line], timeout=300, env={"OPS_RUNBOOK_RECORDS": str(records), "XDG_STATE_HOME": str(records)}
    )
    assert done.code == 0, f"{line}\n{done.text[-3000:]}"
