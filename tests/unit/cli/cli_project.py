# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away project whose lifecycle role reports what the inventory asks for; all else is the real thing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbook_cli.main import run_cli

SOURCE = Path(__file__).parents[3] / "src"
OUTCOMES = ["healthy", "remedied", "recovered", "predicted", "failed", "unverified", "refused", "escalated"]

MODULE = """\
#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule({"outcome": {}, "target": {}, "seen": {"type": "dict"}}, supports_check_mode=True)
    said = module.params["outcome"]
    if said is None:  # as health_probe does
        module.exit_json(ops_runbook={"seconds": 1.5})
    target, seen = module.params["target"], module.params["seen"]
    summary = {"cause": "port_taken", "remedy": "free_it", "seconds": {"detect": 1.5, "act": 2}, "seen": seen}
    report = {"outcome": said, "target": target, "lines": ["%s %s" % (target, said.upper())], "summary": summary}
    if said in ("failed", "unverified", "refused", "escalated"):
        module.fail_json(msg="not healthy", ops_runbook=report)
    module.exit_json(ops_runbook=report)


main()
"""

REMEDIATE = """\
---
- name: Wait
  ansible.builtin.command: sleep {{ wait }}
  changed_when: false
  when: wait is defined

- name: Look at the target
  ops.runbook.outcome:

- name: Break outside the lifecycle
  ansible.builtin.fail:
    msg: "cannot go on with {{ api_token | default('nothing') }}"
  when: broken | default(false)

- name: Break, and be rescued
  block:
    - name: Fail
      ansible.builtin.fail: {msg: rescued}
  rescue:
    - name: Go on
      ansible.builtin.set_fact: {went_on: true}

- name: Conclude
  ops.runbook.outcome:
    outcome: "{{ wanted | default('healthy') }}"
    target: "{{ inventory_hostname }}/thing"
    seen:
      act: "{{ remediate_act | default(true) }}"
      approved: "{{ remediate_approved | default([]) }}"
      check: "{{ ansible_check_mode }}"
      color: "{{ color | default('none') }}"
      token: "{{ api_token | default('') }}"
      run: "{{ lookup('env', 'OPS_RUNBOOK_RUN_ID') }}"
      records: "{{ lookup('env', 'OPS_RUNBOOK_RECORDS') }}"
      incident: "{{ lookup('env', 'OPS_RUNBOOK_INCIDENT') }}"
      keys: "{{ lookup('config', 'HOST_KEY_CHECKING') }}"
  when: not (silent | default(false))
"""

WANTED = "\n".join(f"    {name}: {{wanted: {name}}}" for name in OUTCOMES)
FILES = {
    "ansible.cfg": """\
[defaults]
collections_path = collections
host_key_checking = true
[connection]
pipelining = true
""",
    "playbooks/recover_thing.yml": """\
---
# SPDX-License-Identifier: GPL-3.0-or-later
# Title: Recover the thing
# Trigger: the thing does not answer,
#   or its probe is red
# Guide: S9 1-2
# Blast radius: one host at a time
# Undo: nothing to undo
- name: Recover
  hosts: "{{ only | default('things') }}"
  gather_facts: false
  roles:
    - role: ops.runbook.thing
""",
    "playbooks/job.yml": """\
# Title: A job
- hosts: localhost
  gather_facts: false
  tasks: []
- name: Work
  hosts: things
  gather_facts: false
  tasks:
    - name: Write
      ansible.builtin.copy: {dest: "{{ written }}", content: x, mode: "0600"}
""",
    "playbooks/both.yml": "- ansible.builtin.import_playbook: job.yml\n",
    "playbooks/undo.yml": """\
# Title: Put back what a run changed
- hosts: all
  gather_facts: false
  tasks:
    - name: Conclude
      ops.runbook.outcome:
        outcome: "{{ wanted | default('done') }}"
        target: "{{ inventory_hostname }}"
        seen:
          run: "{{ undo_run }}"
          approved: "{{ undo_approved }}"
          check: "{{ ansible_check_mode }}"
""",
    "playbooks/fleet.yml": """\
# Title: A fleet
- name: Look
  hosts: "{{ 'few' if true else [] }}"
  gather_facts: false
  vars: {ops_runbook_name: fleet, ops_runbook_fleet: true}
  tasks:
    - name: See
      ops.runbook.outcome: {outcome: untouched, target: "{{ inventory_hostname }}"}
- name: Tune
  hosts: "{{ groups['waiting'] | default(['few'] if not (nobody | default(false)) else []) }}"
  gather_facts: false
  serial: [1, 4, 100]
  vars: {ops_runbook_name: fleet, ops_runbook_fleet: true}
  tasks:
    - name: Wait
      ansible.builtin.command: sleep {{ wait | default(0) }}
      changed_when: false
    - name: Apply
      ops.runbook.outcome:
        outcome: "{{ 'refused' if inventory_hostname == 'f3' else 'done' }}"
        target: "{{ inventory_hostname }}"
        seen:
          token: "{{ api_token | default('') }}"
          commands: "{{ lookup('env', 'OPS_RUNBOOK_COMMANDS') }}"
          batches: "{{ batches | default('') }}"
""",
    "playbooks/breaks.yml": """\
# Title: Ansible itself breaks off
- name: Look
  hosts: few
  gather_facts: false
  tasks:
    - name: See
      ops.runbook.outcome: {outcome: untouched, target: "{{ inventory_hostname }}"}
- name: Tune
  hosts: few
  serial: "{{ nobody_said }}"
  gather_facts: false
  tasks: []
""",
    "playbooks/lost.yml": "- hosts: things\n  gather_facts: false\n  roles: [ops.runbook.nowhere]\n",
    "playbooks/bad.yml": "- hosts: [things\n",
    "inventories/few.yml": """\
few:
  hosts: {f0: , f1: , f2: , f3: , f4: , f5: , f6: }
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
""",
    "inventories/all.yml": f"""\
things:
  hosts:
{WANTED}
    crash: {{broken: true}}
    quiet: {{silent: true}}
    dead: {{ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}}
  vars: {{thing_mode: fast, ansible_connection: local, ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"}}
""",
}
COLLECTION = {
    "plugins/modules/outcome.py": MODULE,
    "roles/remediate/tasks/main.yml": REMEDIATE,
    "roles/remediate/tasks/remedies/start_it.yml": "---\n",
    "roles/remediate/meta/argument_specs.yml": """\
argument_specs:
  main:
    options:
      remediate_service: {type: str, required: true, description: Set by the pack.}
      remediate_act: {type: bool, default: true, description: ["Only C(false)", makes it look.]}
""",
    "roles/thing/tasks/main.yml": """\
- name: Go through the lifecycle
  ansible.builtin.include_role:
    name: ops.runbook.remediate
  vars: {remediate_service: thing}
""",
    "roles/thing/vars/main.yml": """\
thing_causes:
  - {cause: port_taken, when: x, explains: [port], why: It holds the port., remedy: report_only, risk: high}
  - {cause: stopped, when: y, explains: [unit], why: It was stopped., remedy: start_it, risk: low, ask: true}
""",
    "roles/thing/defaults/main.yml": "thing_port: 4711\nthing_password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  00\n",
    "roles/thing/meta/argument_specs.yml": """\
argument_specs:
  main:
    options:
      thing_port: {type: int, description: The port.}
      thing_mode: {choices: [fast, safe], required: true, description: How.}
""",
}


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def data(self) -> dict:
        return json.loads(self.out)


class Cli:
    """`run` in this process, `spawn` in one of its own; both with temporary and record folders of their own."""

    def __init__(self, records: Path, temp: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys, self.records, self.temp = capsys, records, temp

    def run(self, *arguments: str) -> Done:
        self.capsys.readouterr()
        code = run_cli(list(arguments))
        out, err = self.capsys.readouterr()
        assert self.left_over() == []
        assert "Traceback" not in out + err
        return Done(code, out, err)

    def spawn(self, *arguments: str, **options) -> subprocess.Popen:
        environment = {
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "TMPDIR": str(self.temp),
            "OPS_RUNBOOK_TEST": str(self.temp),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "runbook_cli", *arguments],
            env=environment,
            text=True,
            stdin=options.get("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def spawned(self, *arguments: str, typed: str | None = None) -> Done:
        child = self.spawn(*arguments, stdin=subprocess.PIPE)
        out, err = child.communicate(typed, timeout=60)
        return Done(child.returncode, out, err)

    def left_over(self) -> list[str]:
        return [path.name for path in self.temp.iterdir() if path.name.startswith("runbook-")]

    def processes(self) -> list[str]:
        """Command lines of every process that a spawned command started, found by their environment."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"OPS_RUNBOOK_TEST={self.temp}".encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found
