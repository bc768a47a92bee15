# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers of numbered lines on a lab host, a policy of log_rotation for them, and a reader that misses nothing.

The reader takes another road than the module and logrotate: podman exec, cat and zcat.
"""

from __future__ import annotations

import itertools
import json
import re
import typing as t
import zlib
from pathlib import Path

import yaml

from . import lab

Tell = t.Callable[[str], None]
"""Says a figure."""
FOLDER, STATES, NAME = "/var/log/sequence", "/run/sequence", "sequence"
DROPIN, STATUS = f"/etc/logrotate.d/{NAME}", "/var/lib/logrotate/status"
PROGRAMS = "/opt/sequence"
LEFT = "/etc/logrotate.d/ops-runbook-*"  # by a module that was killed
ROTATE = f"logrotate -f {DROPIN}"
SECONDS = 120  # after which a writer ends by itself
MEMBER = re.compile(r"\.log(\.(\d+)(\.gz)?)?$")
UNIT = """\
[Unit]
StartLimitIntervalSec=0

[Service]
Type=notify
User=logcaster
Group=logcaster
ExecStart=/usr/bin/python3 -ISB {programs}/sequence_writer.py {name} {how} {rate} {until} {log} {state}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=50ms
"""


class Answer(t.NamedTuple):
    """What Ansible did, and what the module answered."""

    ran: lab.Ran
    result: dict[str, t.Any]


class Story(t.NamedTuple):
    """What a writer wrote and what is left of it.

    Attributes:
        acknowledged: The last number that it was told is written.
        unsure: Numbers that were begun by a process that died: there or not.
        full: How many times it found the disk full.
        files: Of the log and its rotated members, newest first: name -> the numbers in it.
        broken: What is no line, by file.
        beside: Files that are neither, with their numbers: a half compressed one whose original is still there, and
            what logrotate has set aside as *.backup. What only these have is not missing.
        holes: Zero bytes in all members.
    """

    acknowledged: int
    unsure: set[int]
    full: int
    files: dict[str, list[int]]
    broken: list[str]
    beside: dict[str, list[int]]
    holes: int

    @property
    def numbers(self) -> list[int]:
        """All numbers that can be read, sorted."""
        return sorted(number for one in self.files.values() for number in one)

    @property
    def missing(self) -> list[int]:
        """Acknowledged numbers that are nowhere."""
        aside = {number for one in self.beside.values() for number in one}
        return sorted(set(range(1, self.acknowledged + 1)) - set(self.numbers) - self.unsure - aside)

    @property
    def twice(self) -> list[int]:
        """Numbers that are there more than once."""
        found = self.numbers
        return sorted({one for one, other in itertools.pairwise(found) if one == other})

    @property
    def unhurt(self) -> bool:
        """No gap, nothing twice, nothing broken."""
        return not (self.missing or self.twice or self.broken)

    def __str__(self) -> str:
        parts = {name: f"{len(one)} ({one[0]}-{one[-1]})" if one else "0" for name, one in self.files.items()}
        hurt = f"missing {self.missing[:9]}, twice {self.twice[:9]}, broken {self.broken[:3]}"
        return f"of {self.acknowledged}: {hurt}, beside {list(self.beside)}, {parts}"


def parse_line(text: str, name: str) -> int | None:
    """The number of a writer's line; None for what is none."""
    found = re.fullmatch(rf"({name} (\d+)) ([0-9a-f]{{8}})", text)
    return int(found[2]) if found and int(found[3], 16) == zlib.crc32(found[1].encode()) else None


def order(name: str) -> int:
    """0 for the log, else its number."""
    found = MEMBER.search(name)
    return int((found and found[2]) or 0)


class Bench:
    """One lab host."""

    def __init__(self, host: str) -> None:
        self.host = host

    def shell(self, command: str, timeout: float = 60) -> str:
        """Run something on the host by another road; it has to succeed."""
        done = lab.on(self.host, command, timeout)
        assert done.code == 0, f"{command}\n{done.text}"
        return done.stdout

    def install(self) -> None:
        """The programs, on a host that runs."""
        up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", self.host], timeout=300)
        assert up.code == 0, up.text
        self.shell(f"mkdir -p {PROGRAMS}")
        for name in ("sequence_writer.py", "killed_at.py"):
            self.copy(lab.ROOT / "tests" / "support" / name, f"{PROGRAMS}/{name}")

    def copy(self, path: Path, to: str) -> None:
        """A file or folder of this machine onto the host."""
        done = lab.run([*lab.AS_ROOT, "podman", "cp", str(path), f"{lab.NAME}-{self.host}:{to}"])
        assert done.code == 0, done.text

    def pristine(self) -> None:
        """No writer, no policy, an empty folder of the user whose logs they are."""
        self.shell(
            f"systemctl stop 'sequence-*'; systemctl reset-failed 'sequence-*' 2>/dev/null;"
            f" umount {FOLDER} 2>/dev/null; rm -rf {FOLDER} {STATES} {DROPIN}* {STATUS}* /run/systemd/system/sequence-*"
            f" /var/lib/ops-runbook {LEFT}; mkdir {FOLDER} {STATES}; chown logcaster: {FOLDER} {STATES};"
            " systemctl daemon-reload"
        )

    def start(self, name: str, how: str, rate: int) -> None:
        """A writer, which ends by itself."""
        until = float(self.shell("cat /proc/uptime").split()[0]) + SECONDS
        text = UNIT.format(
            programs=PROGRAMS,
            name=name,
            how=how,
            rate=rate,
            until=until,
            log=f"{FOLDER}/{name}.log",
            state=f"{STATES}/{name}",
        )
        unit = f"sequence-{name}.service"
        self.shell(
            f"printf '%s' '{text}' > /run/systemd/system/{unit}; systemctl daemon-reload; systemctl start {unit}"
        )

    def rotate(self, times: int = 1, pause: float = 0.1) -> str:
        """Rotate while they write, and let them write on; what logrotate said."""
        said = self.shell(f"for i in $(seq {times}); do sleep {pause}; {ROTATE} 2>&1 || exit 1; done; sleep {pause}")
        return said.strip()

    def story(self, name: str) -> Story:
        """End a writer, and read all that is left."""
        self.shell(f"systemctl stop sequence-{name}")
        script = (
            f"cd {FOLDER}; for f in $(ls | grep '^{name}\\.log'); do echo; echo \"== $f\"; case $f in"
            " *.gz | *.gz-*.backup) zcat <$f || echo '== damaged';; *) cat $f;; esac; done"
        )
        begun, acknowledged, full = map(int, self.shell(f"cat {STATES}/{name}").split())
        unsure = {int(one) for one in self.shell(f"cat {STATES}/{name}.unsure 2>/dev/null; true").split()}
        unsure |= {begun} if begun != acknowledged else set()
        return parse_story(self.shell(script), name, (acknowledged, unsure, full))

    def policy(self, folder: Path, *arguments: str, **options: t.Any) -> Answer:
        """Put a policy in place by the module, in a play."""
        given = {
            "name": NAME,
            "paths": [f"{FOLDER}/*.log"],
            "every": "daily",
            "keep": 500,
            "schedule": False,
            **options,
        }
        answer = folder / "answer.json"
        keep = {"content": "{{ answer | to_json }}", "dest": str(answer), "mode": "0600"}
        tasks = [
            {"name": "Rotate", "ops.runbook.log_rotation": given, "register": "answer", "ignore_errors": True},
            {"name": "Keep the answer", "ansible.builtin.copy": keep, "delegate_to": "localhost", "become": False}
            | {"check_mode": False, "vars": {"ansible_connection": "local"}},
            {"name": "Fail with it", "ansible.builtin.fail": {"msg": "{{ answer.msg }}"}, "when": "answer is failed"},
        ]
        play = folder / "play.yml"
        play.write_text(yaml.safe_dump([{"name": "Drill", "hosts": self.host, "gather_facts": False, "tasks": tasks}]))
        argv = [lab.command("ansible-playbook"), "-i", lab.INVENTORY, str(play), *arguments]
        done = lab.run(argv, env={"OPS_RUNBOOK_RECORDS": str(folder), "XDG_STATE_HOME": str(folder)})
        assert "Traceback" not in done.text, done.text
        return Answer(done, json.loads(answer.read_text()))


def parse_story(text: str, name: str, state: tuple[int, set[int], int]) -> Story:
    """What Bench.story has read: members as they follow one another, each after a line `== FILE`."""
    files: dict[str, list[int]] = {}
    broken: list[str] = []
    holes, here = 0, ""
    for line in text.splitlines():
        if line.startswith("== ") and line != "== damaged":
            here = line[3:]
            files[here] = []
            continue
        plain = line.lstrip("\0")
        holes += len(line) - len(plain)
        number = parse_line(plain, name)
        if number is not None:
            files[here].append(number)
        elif plain:
            broken.append(f"{here}: {plain}")
    aside = {one for one in files if not MEMBER.search(one) or (one.endswith(".gz") and one[:-3] in files)}
    members = {one: files[one] for one in sorted(files.keys() - aside, key=order)}
    broken = [one for one in broken if one.partition(":")[0] in members]
    return Story(*state, members, broken, {one: files[one] for one in aside}, holes)
