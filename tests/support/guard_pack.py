# SPDX-License-Identifier: GPL-3.0-or-later
"""A pack of a harmless unit for drills of the guard: red while a file lies there, and mended as slowly as one likes.

It is a role with a remedy of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import yaml

from . import lab

UNIT, MARK = "ops-guard-play.service", "/run/ops-guard-play.red"
ACTING, GO = "/run/ops-guard-play.acting", "/run/ops-guard-play.go"
"""The slow remedy says by the first that it acts, and waits for the second."""
_SERVES = "checks.unit.data.active_state == 'active'"
CHECKS = {
    "unit": {"type": "systemd_unit", "unit": UNIT},
    "mark": {"type": "file", "path": MARK, "critical": [{"metric": "exists", "operator": "==", "value": True}]},
}
CAUSES = [
    {
        "cause": "marked",
        "when": f"checks.mark.data.exists == `true` && {_SERVES}",
        "explains": ["mark"],
        "why": "A file says that it is sick; it still serves.",
        "remedy": "restart_it",
        "risk": "low",
        "disrupts": _SERVES,
    },
    {
        "cause": "killed",
        "when": "checks.unit.data.active_state == 'failed'",
        "explains": ["unit"],
        "why": "It was killed.",
        "remedy": "start_service",
        "risk": "low",
        "disrupts": _SERVES,
    },
]
VARIABLES = {
    "remediate_service": "play",
    "remediate_unit": UNIT,
    "remediate_checks": CHECKS,
    "remediate_causes": CAUSES,
    "remediate_stabilization_window": 1,
    "remediate_steady": 0,
    "remediate_ready": {"command": ["systemctl", "is-active", UNIT]},
    "remediate_lease_ttl": 120,
    "remediate_evidence": {"lines": 5},
}
RESTART = {
    "name": "Restart it, which takes a while",
    "ops.runbook.service_restart": {
        "name": "{{ remediate_unit }}",
        "state": "restarted",
        "drain": ["sh", "-c", f"rm -f {MARK}; touch {ACTING}; until test -e {GO}; do sleep 0.1; done"],
        "steady": 0.1,
        "timeout": 200,
    },
}
STOPPED_BETWEEN = [
    {
        "name": "Somebody sets the kill switch while the remedy is at work",
        "ansible.builtin.copy": {"dest": "{{ remediate_kill_switch }}", "content": "release under way", "mode": "0600"},
        "delegate_to": "localhost",
        "become": False,
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        "when": "between | default(false)",
    }
]


class Play:
    """A playbook with the pack, and runs of it."""

    def __init__(self, folder: Path, records: Path) -> None:
        self.records = records
        tasks = folder / "roles" / "play" / "tasks"
        remedies = tasks / "remedies"
        remedies.mkdir(parents=True)
        (remedies / "restart_it.yml").write_text(yaml.safe_dump([*STOPPED_BETWEEN, RESTART], sort_keys=False))
        shared = {"name": "Recover it", "ansible.builtin.import_role": {"name": "ops.runbook.remediate"}}
        (tasks / "main.yml").write_text(yaml.safe_dump([{**shared, "vars": VARIABLES}], sort_keys=False))
        play = {
            "name": "Recover the unit",
            "hosts": "mongodb",
            "gather_facts": False,
            "become": True,
            "serial": 1,
            "vars": {"ops_runbook_name": "recover_play"},
            "tasks": [{"name": "Recover", "ansible.builtin.include_role": {"name": "play"}}],
        }
        self.path = folder / "recover_play.yml"
        self.path.write_text(yaml.safe_dump([play], sort_keys=False))

    def begin(self, host: str, **variables: object) -> subprocess.Popen[str]:
        """A run of its own process group: a controller that one may kill."""
        argv = [lab.command("ansible-playbook"), "-i", lab.INVENTORY, str(self.path), "--limit", host]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OPS_RUNBOOK_")}
        return subprocess.Popen(
            [*argv, "-e", json.dumps(variables)],
            cwd=lab.ROOT,
            env={**environment, "OPS_RUNBOOK_RECORDS": str(self.records), "XDG_STATE_HOME": str(self.records)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, host: str, **variables: object) -> lab.Ran:
        """A run to its end."""
        return ended(self.begin(host, **variables))


def ended(process: subprocess.Popen[str]) -> lab.Ran:
    """What a run that was begun came to."""
    said = process.communicate(timeout=120)[0]
    return lab.Ran(process.returncode, said, "")


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL for a controller and all of its workers."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def prepare(host: str) -> None:
    """The unit runs, the slow remedy is quick, nothing is remembered, nobody has a lease."""
    clear(host)
    unit = "[Service]\\nExecStart=/bin/sleep infinity\\n"
    sh(host, f"printf '{unit}' > /etc/systemd/system/{UNIT}; systemctl daemon-reload; systemctl start {UNIT}")
    sh(host, f"touch {GO}")
    assert active(host)


def sh(host: str, line: str) -> None:
    """A command on a host that must succeed."""
    done = lab.on(host, line)
    assert done.code == 0, f"{line} on {host}: {done.text}"


def active(host: str) -> bool:
    """Whether the unit runs, as systemd says."""
    return lab.on(host, f"systemctl is-active {UNIT}").stdout.strip() == "active"


def clear(host: str) -> None:
    """Nothing of it is left."""
    lab.on(
        host,
        f"systemctl stop {UNIT}; systemctl reset-failed {UNIT}; rm -f /etc/systemd/system/{UNIT} {MARK} {ACTING} {GO} "
        "/run/ops-runbook/play.* /run/ops-runbook/group-mongodb.* /var/lib/ops-runbook/remedies/play.json "
        "/var/lib/ops-runbook/budget/ops-guard-play.service.json /var/lib/ops-runbook/hold; systemctl daemon-reload",
    )


def wait_for(host: str, condition: str, seconds: float = 60) -> None:
    """Until a shell condition holds on a host."""
    until = time.monotonic() + seconds
    while lab.on(host, condition).code:
        assert time.monotonic() < until, f"{condition} on {host}"
        time.sleep(0.2)
