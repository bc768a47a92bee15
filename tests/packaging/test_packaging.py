# SPDX-License-Identifier: GPL-3.0-or-later
"""What ships works without the checkout: the wheel, the Galaxy artifact, the execution environment's definition."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import yaml
from conftest import Place, uv
from tests.support import lab

OWN = lab.ROOT / "docs" / "examples" / "own-project"
KILL = "systemctl kill --signal=KILL mongod; until systemctl is-failed -q mongod; do sleep .05; done"


def test_the_wheel_lists_and_shows_what_it_brings(installed: Place) -> None:
    listed = installed.run("runbook", "list", "--format", "json")
    names = [playbook["name"] for playbook in json.loads(listed.stdout)]
    assert names == sorted(path.stem for path in (lab.ROOT / "playbooks").glob("*.yml"))
    shown = json.loads(installed.run("runbook", "show", "recover_mongodb", "--format", "json").stdout)
    assert Path(shown["path"]).is_relative_to(installed.bin.parent)
    assert "killed" in [cause["cause"] for cause in shown["packs"][0]["causes"]]


def test_the_wheel_cures_a_host(installed: Place, hosts_file: Path) -> None:
    lab.on("db1", KILL)
    done = installed.run("runbook", "run", "recover_mongodb", "-i", str(hosts_file), "--format", "json")
    assert done.code == 0, done.text
    target = json.loads(done.stdout)["targets"][0]
    assert (target["outcome"], target["summary"]["cause"]) == ("remedied", "killed")
    assert (installed.folder / ".local/state/ops-runbook/record.jsonl").exists()
    again = installed.run("runbook", "run", "recover_mongodb", "-i", str(hosts_file), "--format", "json")
    assert json.loads(again.stdout)["targets"][0]["outcome"] == "healthy", again.text


def own_project(artifact: Path, hosts_file: Path, folder: Path, installed: Place) -> Path:
    """The example, with the artifact in an otherwise empty collections path."""
    project = folder / "own"
    shutil.copytree(OWN, project)
    shutil.copy(hosts_file, project / "hosts.yml")
    argv = ["collection", "install", str(artifact), "--offline", "-p", "collections"]
    done = installed.run("ansible-galaxy", *argv, cwd=project)
    assert done.code == 0, done.text
    return project


def test_a_playbook_of_ones_own_uses_the_artifact(
    artifact: Path, hosts_file: Path, installed: Place, tmp_path: Path
) -> None:
    """Plain ansible-playbook: healthy 0, cured 0, left to a person 7; the callback says why."""
    project = own_project(artifact, hosts_file, tmp_path, installed)
    well = installed.run("ansible-playbook", "release.yml", cwd=project)
    assert well.code == 0, well.text
    assert "db1/mongodb HEALTHY" in well.text
    lab.on("db1", KILL)
    cured = installed.run("ansible-playbook", "release.yml", cwd=project)
    assert cured.code == 0, cured.text
    assert "db1/mongodb REMEDIED" in cured.text
    assert "db1 is ok: 3 checks" in cured.text
    lab.on("db1", "systemctl stop mongod")
    left = installed.run("ansible-playbook", "release.yml", cwd=project)
    assert left.code == 7, left.text
    assert "db1/mongodb REFUSED" in left.text
    assert "is ok" not in left.text
    lab.on("db1", "systemctl start mongod")


def test_the_artifact_has_no_more_than_the_collection(artifact: Path) -> None:
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    assert {"MANIFEST.json", "FILES.json", "README.md", "meta/runtime.yml"} <= set(names)
    strange = [name for name in names if re.search(r"__pycache__|\.pyc$|^tests/|(^|/)\.", name)]
    assert not strange


def test_the_execution_environment_is_what_the_locks_say(tree: Path, artifact: Path, tmp_path: Path) -> None:
    """ansible-builder takes the definition, and finds in it the versions that everything else is tested with."""
    (tree / "dist").mkdir(exist_ok=True)
    shutil.copy(artifact, tree / "dist")
    context, environment = tmp_path / "context", tmp_path / "builder"
    uv("venv", "--quiet", "--python", Path(sys.executable).resolve(), environment)
    uv("pip", "install", "--quiet", "--python", environment / "bin/python", "-r", tree / "requirements/packaging.txt")
    argv = [str(environment / "bin/ansible-builder"), "create", "-f", "execution-environment.yml", "-c", str(context)]
    done = subprocess.run(argv, cwd=tree, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (context / "_build" / "artifacts" / artifact.name).exists()
    said = (context / "Containerfile").read_text() + (context / "_build/requirements.txt").read_text()
    for name, version in re.findall(r"(ansible-core|ansible-runner|jmespath)==([0-9.]+)", said):
        assert f"\n{name}=={version}" in (lab.ROOT / "requirements/dev.txt").read_text(), name
    version = yaml.safe_load((lab.ROOT / "collections/ops_runbook/galaxy.yml").read_text())["version"]
    assert artifact.name == f"ops-runbook-{version}.tar.gz"
    assert artifact.name in (tree / "execution-environment.yml").read_text()
