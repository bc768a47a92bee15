# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lanes of `make test` consist of: commands, and how their passes and failures are counted."""

from __future__ import annotations

import os
import subprocess
import typing as t
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

COLLECTION = "collections/ops_runbook"
PARALLEL = ["-n", "auto", "--maxprocesses=4", "--dist=loadfile"]
"""Unit tests share nothing between files; within one they may share a fixture."""


class Result(t.NamedTuple):
    """What a step came to."""

    name: str
    passed: int
    failed: int
    seconds: float


class Step(t.NamedTuple):
    """One command of a lane. `needed`: the steps after it make no sense without it."""

    name: str
    argv: list[str]
    counted: Callable[[int, Path], tuple[int, int]]
    needed: bool = False
    folder: Path | None = None
    environment: t.Mapping[str, str] = {}


def by_exit_code(code: int, _log: Path) -> tuple[int, int]:
    """One pass or one failure."""
    return (1, 0) if code == 0 else (0, 1)


def by_junit(report: Path) -> Callable[[int, Path], tuple[int, int]]:
    """Counts of a JUnit file; a run that wrote none, or failed with no failed test in it, is one failure."""

    def count(code: int, _log: Path) -> tuple[int, int]:
        try:
            suites = list(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 - written by our own pytest
        except (OSError, ET.ParseError):
            return 0, 1
        total, failed, skipped = (
            sum(int(suite.get(key) or 0) for suite in suites) for key in ("tests", "failures", "skipped")
        )
        failed += sum(int(suite.get("errors") or 0) for suite in suites)
        return total - failed - skipped, max(failed, int(code != 0))

    return count


def by_sanity(code: int, log: Path) -> tuple[int, int]:
    """How many sanity tests ran; a failing run counts at least one failure."""
    lines = log.read_text(errors="replace").splitlines()
    ran = len({line for line in lines if line.startswith("Running sanity test ")})
    failed = sum(line.startswith("ERROR: The ") for line in lines) if code else 0
    return max(0, ran - failed), max(failed, int(code != 0))


def pytest_step(
    name: str, artifacts: Path, arguments: list[str], python: str = ".venv/bin/python", **more: t.Any
) -> Step:
    """A pytest run that is counted by its JUnit file."""
    report = artifacts / f"{name.replace(' ', '-')}.xml"
    report.unlink(missing_ok=True)
    return Step(name, [python, "-m", "pytest", f"--junitxml={report}", *arguments], by_junit(report), **more)


def lint(root: Path, _artifacts: Path) -> list[Step]:
    """Style, types and playbooks."""
    return [
        Step("ruff check", [".venv/bin/ruff", "check", "."], by_exit_code),
        Step("ruff format", [".venv/bin/ruff", "format", "--check", "."], by_exit_code),
        Step("mypy --strict", [".venv/bin/mypy"], by_exit_code),
        Step("ansible-lint production", [".venv/bin/ansible-lint", "--offline", "--strict"], by_exit_code),
        Step("shellcheck", ["tests/lanes/shellcheck.sh"], by_exit_code),
        Step(
            "changelog fragments",
            [str(root / ".venv/bin/antsibull-changelog"), "lint"],
            by_exit_code,
            folder=root / COLLECTION,
        ),
    ]


def unit(root: Path, artifacts: Path) -> list[Step]:
    """Unit tests with branch coverage of what travels and what judges; one of them builds the wheel with uv."""
    uv = subprocess.run([str(root / "lab/bootstrap-uv.sh")], capture_output=True, text=True, check=True).stdout.strip()
    path = {"PATH": f"{Path(uv).parent}:{os.environ['PATH']}"}
    cover = [f"--cov={COLLECTION}/plugins/{part}" for part in ("module_utils", "plugin_utils")]
    return [
        pytest_step(
            "unit",
            artifacts,
            [
                "tests/unit",
                *PARALLEL,
                *cover,
                "--cov=src/runbook_cli",
                "--cov-branch",
                "--cov-report=term:skip-covered",
            ],
            environment=path,
        ),
        Step(
            "branch coverage at least 90 %",
            [".venv/bin/coverage", "report", "--fail-under=90", "--format=total"],
            by_exit_code,
        ),
    ]


def sanity(root: Path, _artifacts: Path) -> list[Step]:
    """ansible-test on what ships."""
    return [Step("ansible-test sanity", [str(root / "tests/lanes/sanity.sh")], by_sanity)]


_ORDEALS = tuple(
    f"tests/drills/test_{name}.py"
    for name in ("wrong_fault", "killed", "guard", "record", "canary", "interrupted", "nothing_lost", "rotation_killed")
)


def drills(_root: Path, artifacts: Path) -> list[Step]:
    """Real faults on lab hosts."""
    fault = os.environ.get("FAULT") or ""
    chosen = ["-k", fault.replace("/", "-")] if fault else []
    return [pytest_step("drills", artifacts, ["tests/drills", *(f"--ignore={one}" for one in _ORDEALS), *chosen])]


def ordeals(_root: Path, artifacts: Path) -> list[Step]:
    """What takes longest on lab hosts, in a lab of its own."""
    return [pytest_step("ordeals", artifacts, list(_ORDEALS))]


def molecule(_root: Path, artifacts: Path) -> list[Step]:
    """Roles on lab hosts."""
    return [pytest_step("molecule", artifacts, ["tests/molecule"])]


def docs(_root: Path, artifacts: Path) -> list[Step]:
    """Everything a user sees is documented, and what the documentation says works."""
    return [pytest_step("docs", artifacts, ["tests/docs"])]


def bench(_root: Path, artifacts: Path) -> list[Step]:
    """The benchmark measures what it says, and ours is quicker than the usual playbook on a few hosts."""
    return [pytest_step("bench", artifacts, ["tests/bench"])]


def demo(root: Path, _artifacts: Path) -> list[Step]:
    """The README's first command; it ends the lab, so it comes last."""
    return [Step("make demo", [str(root / "lab/demo.sh")], by_exit_code)]


def versions(root: Path, artifacts: Path) -> list[Step]:
    """The newest ansible-core with the newest controller Python; targets with the oldest and newest Python."""
    # the code of targets knows no Ansible; that it travels is what differs
    of_ansible = ["tests/unit/controller", "tests/unit/cli", *map(str, sorted(root.glob("tests/unit/test_*_roads.py")))]
    second = ".venv-core221/bin/python"
    return [
        Step("second environment", [str(root / "lab/setup.sh"), "--second-python"], by_exit_code, needed=True),
        pytest_step("unit with ansible-core 2.21", artifacts, [*of_ansible, *PARALLEL], python=second),
        pytest_step("versions", artifacts, ["tests/versions"]),
    ]


def packaging(_root: Path, artifacts: Path) -> list[Step]:
    """Wheel, Galaxy artifact and execution environment work without the checkout."""
    return [pytest_step("packaging", artifacts, ["tests/packaging"])]


_LANES: dict[str, Callable[[Path, Path], list[Step]]] = {
    "lint": lint,
    "unit": unit,
    "sanity": sanity,
    "drills": drills,
    "ordeals": ordeals,
    "molecule": molecule,
    "docs": docs,
    "versions": versions,
    "packaging": packaging,
    "bench": bench,
    "demo": demo,
}


def of_lane(lane: str, root: Path, artifacts: Path) -> list[Step]:
    """The steps of a lane."""
    return _LANES[lane](root, artifacts)
