# SPDX-License-Identifier: GPL-3.0-or-later
"""Each remedy forced on every fault of MongoDB that it does not cure: it refuses, or what it does is harmless.

Neither diagnosis nor guard is asked here: what is seen is what the modules themselves will not do. Data, files of
others and processes of others must be as they were, and with the right remedy, or a person's mending, all data is back.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml
from tests.support import lab, pack
from tests.support.pack import ROLES

HOST = "db1"
FAULTS = sorted((lab.ROOT / "lab" / "faults" / "mongodb").glob("*.yml"))
REMEDIES = sorted(path.stem for path in (ROLES / "remediate" / "tasks" / "remedies").glob("*.yml"))
OURS = "^/etc/(default/mongod$|systemd/system/(mongod.service|multi-user.target.wants/mongod.service))"
"""What remedies are meant to change: the service's configuration, drop-ins and enablement."""

STATE = "/var/lib/mongo/state.json"
"""FerretDB writes it anew at each start, whatever becomes of that."""
LOOK = (lab.ROOT / "tests" / "support" / "untouched.py").read_bytes()


class Seen(t.NamedTuple):
    """What a remedy that is forced must leave as it is."""

    data: dict[str, list[t.Any]]
    others: dict[str, str]
    processes: dict[str, list[str]]
    server: str
    held: list[str]


def look() -> Seen:
    """At the host, by another road than the modules'."""
    argv = [*lab.AS_ROOT, "podman", "exec", "-i", f"{lab.NAME}-{HOST}", "python3", "-I", "-B", "-", OURS]
    done = subprocess.run(argv, input=LOOK, capture_output=True, timeout=120, check=True)
    return Seen(**json.loads(done.stdout))


def forced(remedies: list[str], variables: lab.Json, records: Path) -> dict[str, str]:
    """What each remedy came to, in order: `ok`, or why it did not act."""
    blocks: list[lab.Json] = [
        {
            "name": remedy,
            "block": [
                {
                    "name": f"Force {remedy}",
                    "ansible.builtin.include_role": {
                        "name": "ops.runbook.remediate",
                        "tasks_from": f"remedies/{remedy}",
                        "rolespec_validate": False,
                    },
                },
                {"name": "It ran", "ansible.builtin.set_fact": {f"said_{remedy}": "ok"}},
            ],
            "rescue": [
                {
                    "name": "It did not",
                    "ansible.builtin.set_fact": {f"said_{remedy}": "{{ ansible_failed_result.msg }}"},
                }
            ],
        }
        for remedy in remedies
    ]
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said.json"
        lease = {"name": "mongodb", "ttl": 600, "holder": "a drill"}
        play = {
            "name": "Force remedies",
            "hosts": HOST,
            "gather_facts": False,
            "become": True,
            "vars": pack.lifecycle("mongodb", variables),
            "tasks": [
                {"name": "Take the lease", "ops.runbook.target_lease": {**lease, "state": "acquired"}},
                {
                    "name": "Force them",
                    "module_defaults": {"group/ops.runbook.changing": {"lease": "mongodb"}},
                    "block": blocks,
                },
                {"name": "Give it back", "ops.runbook.target_lease": {"name": "mongodb", "state": "released"}},
                {
                    "name": "Tell",
                    "delegate_to": "localhost",
                    "become": False,
                    "ansible.builtin.copy": {
                        "dest": str(said),
                        "mode": "0600",
                        "content": "{{ {" + ", ".join(f"'{one}': said_{one}" for one in remedies) + "} | to_json }}",
                    },
                },
            ],
        }
        file = Path(folder) / "force.yml"
        file.write_text(yaml.safe_dump([play], sort_keys=False))
        done = lab.run(
            [lab.command("ansible-playbook"), "-i", lab.INVENTORY, str(file)],
            timeout=600,
            env={"OPS_RUNBOOK_RECORDS": str(records), "XDG_STATE_HOME": str(records)},
        )
        assert said.exists(), done.text[-3000:]
        return dict(json.loads(said.read_text()))


def assert_harmless(before: Seen, after: Seen) -> None:
    """Nothing of others was touched, and no data is gone."""
    assert after.others == before.others
    assert {pid: after.processes.get(pid) for pid in before.processes} == before.processes
    gone = set(before.data) - set(after.data)
    assert not gone
    assert {path: after.data[path][0] for path in before.data} == {path: kept[0] for path, kept in before.data.items()}
    if before.server == after.server == "0":
        assert {path: after.data[path] for path in before.data if path != STATE} == {
            path: kept for path, kept in before.data.items() if path != STATE
        }
    if before.held:
        assert (after.server, after.held) == (before.server, before.held), "a restart lost the deleted file"


@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.stem)
def test_remedies_that_do_not_cure_it(path: Path, hosts: Path, tell: t.Callable[[str], None]) -> None:
    fault = yaml.safe_load(path.read_text())
    right = fault["runs"][-1]["remedy"]
    wrong = [remedy for remedy in REMEDIES if remedy != right]
    lab.on(HOST, "systemctl reset-failed mongod.service")
    documents = lab.data(HOST)
    try:
        lab.tasks(HOST, [*fault["inject"], *fault["effect"]], f"inject {path.stem}")
        before = look()
        said = forced(wrong, fault.get("variables", {}), hosts)
        assert_harmless(before, look())
        _mend(fault, right, hosts)
        after = lab.data(HOST)
        kept = (documents["count"], documents["sha256"], 0)
        assert (after["count"], after["sha256"], after["missing"]) == kept
    except BaseException:
        lab.reset(HOST, records=hosts)
        raise
    refused = sum(text != "ok" for text in said.values())
    tell(f"{path.stem}: of {len(said)} remedies {refused} refused or failed, {len(said) - refused} were harmless")


def _mend(fault: lab.Json, right: str, records: Path) -> None:
    """With the remedy that cures it, then as the fault says."""
    lab.on(HOST, "rm -rf /etc/systemd/system/mongod.service.d; systemctl daemon-reload; systemctl reset-failed mongod")
    if right in REMEDIES:
        assert forced([right], fault.get("variables", {}), records) == {right: "ok"}
    lab.tasks(HOST, fault["mend"], "mend")
    lab.on(HOST, "systemctl start mongod.service simplers-writer.service")
