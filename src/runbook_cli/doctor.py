# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook doctor`: whether runs will get through to each host, many at once, and the next step where one will not.

It only reads: on hosts by one shell script, here by files. Nothing is asked, and every step has a limit.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook_cli import doctor_look as look
from runbook_cli.answer import Answer, CliError, Output, show
from runbook_cli.doctor_look import Finding
from runbook_cli.mask import Mask
from runbook_cli.outcome import gravest
from runbook_cli.progress import CROWD
from runbook_cli.reach import AT_ONCE
from runbook_cli.ssh_settings import first, not_honoured, settings

if TYPE_CHECKING:
    from runbook_cli.ssh_login import Login

SCHEMA = "ops.runbook/doctor/1"
_PATIENCE = 4
"""A script on a busy host may take so many times the limit of a step."""
_NO_WAY_IN = ("settings", "reach", "host_key", "login", "python", "sudo")
CODES = {"ok": 0, "warning": 0, "unreachable": 4, "blocked": 7}


@dataclass
class Patient:
    """What was found out about a host."""

    host: str
    findings: list[Finding] = field(default_factory=list)
    not_honoured: list[str] = field(default_factory=list)
    where: str = ""
    seconds: float = 0.0

    @property
    def status(self) -> str:
        """ok, warning, blocked (reached, and a run would be refused), or unreachable as a run would call it."""
        failed = [finding.check for finding in self.findings if finding.status == "failed"]
        if failed:
            return "unreachable" if any(check in _NO_WAY_IN for check in failed) else "blocked"
        return "ok" if all(finding.status == "ok" for finding in self.findings) else "warning"

    def document(self) -> dict[str, Any]:
        """The host in the JSON document."""
        return {
            "host": self.host,
            "status": self.status,
            "where": self.where,
            "seconds": round(self.seconds, 3),
            "checks": [finding._asdict() for finding in self.findings],
            "not_honoured": self.not_honoured,
        }


def doctor(connections: list[dict[str, Any]], limit: float | None, output: Output) -> Answer:
    """Look at every host.

    Args:
        connections: As reach.connections gives them.
        limit: Seconds for each step of a host; None for what the inventory says, at most 10.
        output: Whether to show progress.
    """
    from runbook_cli.doctor_view import text  # noqa: PLC0415 - only when there is something to say

    began = time.monotonic()
    patients = _together(connections, limit, output)
    secrets = [value for one in connections for key, value in one.items() if key in _SECRET and value]
    document: dict[str, Any] = Mask([{"secret": secrets}], None).tree(
        {
            "schema": SCHEMA,
            "seconds": round(time.monotonic() - began, 3),
            "exit_code": gravest([CODES[patient.status] for patient in patients]),
            "counts": {status: sum(one.status == status for one in patients) for status in CODES},
            "hosts": [patient.document() for patient in patients],
        }
    )
    return Answer(document, text(document), document["exit_code"])


_SECRET = ("password", "passphrase", "become_password", "key_text")


def _together(connections: list[dict[str, Any]], limit: float | None, output: Output) -> list[Patient]:
    """Everyone at once, with a line of progress."""
    pool = ThreadPoolExecutor(min(AT_ONCE, len(connections)))
    waiting: list[Future[Patient]] = [pool.submit(_examine, one, limit) for one in connections]
    try:
        _tell(waiting, output)
        return [future.result() for future in waiting]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after ctrl-C nobody waits for a host's limit


def _tell(waiting: list[Future[Patient]], output: Output) -> None:
    pause, began, left = 0.2 if sys.stderr.isatty() else 2.0, time.monotonic(), set(waiting)
    while left:
        done, left = wait(waiting, timeout=pause)
        if output.is_json or len(waiting) < CROWD:
            continue
        bad = sum(future.result().status != "ok" for future in done)
        text = f"{time.monotonic() - began:6.1f} s  doctor: {len(done)} of {len(waiting)} hosts" + (
            f", {bad} not well" if bad else ""
        )
        show(text, last=not left)


def _examine(connection: dict[str, Any], limit: float | None) -> Patient:
    began = time.monotonic()
    patient = Patient(connection["host"])
    try:
        _look(patient, connection, limit)
    except CliError as error:
        patient.findings.append(Finding("settings", "failed", f"{error.where}: {error.what}", error.hint))
    except Exception as error:  # one host's surprise must not take the others' answers away
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        patient.findings.append(
            Finding("settings", "unknown", f"could not be looked at ({said})", "runbook doctor --verbose")
        )
    patient.seconds = time.monotonic() - began
    return patient


def _look(patient: Patient, connection: dict[str, Any], limit: float | None) -> None:
    if connection["error"]:
        step = f"ansible-inventory -i INVENTORY --host {patient.host}"
        patient.findings.append(Finding("settings", "failed", connection["error"], step))
    elif connection["connection"] == "ssh":
        _by_ssh(patient, connection, limit or min(connection["timeout"], 10.0))
    elif connection["connection"] == "local":
        patient.where = "this machine"
        _ask(patient, connection, _here, (limit or 10.0) * _PATIENCE, "")
    else:
        said = f"its connection is {connection['connection']}, which is not looked into"
        step = f"ansible {patient.host} -i INVENTORY -m ansible.builtin.ping"
        patient.findings.append(Finding("settings", "unknown", said, step))


def _by_ssh(patient: Patient, connection: dict[str, Any], limit: float) -> None:
    from runbook_cli.ssh_login import Login, Stuck  # noqa: PLC0415 - paramiko is not needed for a local host

    chosen = settings(connection)
    patient.not_honoured = not_honoured(chosen)
    login = Login(connection, chosen, limit)
    patient.where = f"{login.user}@{login.address}" + (f":{login.port}" if login.port != 22 else "")
    try:
        with login.opened():
            patient.findings += _told(login)
            if connection["pipelining"] is False:
                said = "pipelining is switched off: runs take the slower road"
                step = "ansible_ssh_pipelining: true  # in the inventory"
                patient.findings.append(Finding("pipelining", "warning", said, step))
            _ask(patient, connection, login.run, limit * _PATIENCE, login.again())
    except Stuck as stuck:
        patient.findings = [*_told(login), Finding(stuck.check, "failed", stuck.said, stuck.next_step)]


def _told(login: Login) -> list[Finding]:
    return [Finding(check, status, said) for check, status, said in login.told]


def _here(line: str, stdin: str, seconds: float) -> tuple[int, str, str]:
    argv = ["/bin/sh", "-c", line]
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return done.returncode, done.stdout, done.stderr


def _ask(patient: Patient, connection: dict[str, Any], run: Any, seconds: float, ssh: str) -> None:
    """Run the script, and root's part again with the password where sudo wants one."""
    before = time.time()
    try:
        _code, out, err = run("/bin/sh", look.as_login(connection), seconds)
        seen, after = look.parse(out), time.time()
        if "uid" not in seen:
            said = " ".join((out + err).split())[-200:] or "nothing"
            step = f"{ssh} true"
            patient.findings.append(Finding("login", "failed", f"the login runs no shell: it says {said}", step))
            return
        patient.findings.append(look.of_python(seen, str(connection["python"]), ssh))
        patient.findings += _of_sudo(connection, seen, run, seconds, ssh)
        patient.findings.append(look.of_clock(seen, before, after, ssh))
        patient.findings += look.of_root(seen, (seen.get("root") or [""])[0] == "0", ssh)
    except TimeoutError:
        said = f"no answer to a shell script within {seconds:g} s: the host is busy, or a filesystem hangs"
        patient.findings.append(Finding("login", "failed", said, f"{ssh} uptime"))


def _of_sudo(
    connection: dict[str, Any], seen: dict[str, list[str]], run: Any, seconds: float, ssh: str
) -> list[Finding]:
    """What sudo came to; adds to `seen` what root saw."""
    uid = seen["uid"][0]
    if not connection["become"]:
        said = "sudo is switched off by ansible_become, and the login is not root: what only root sees stays unknown"
        return [] if uid == "0" else [Finding("sudo", "unknown", said, "ansible_become: true  # in the inventory")]
    if uid == "0":
        return [Finding("sudo", "ok", "not needed: the login is root")]
    if connection["become_method"] != "sudo":
        said = f"become_method is {connection['become_method']}, which is not looked into"
        return [Finding("sudo", "unknown", said, "ansible HOST -i INVENTORY -b -m ansible.builtin.ping")]
    user = first({"user": [str(connection["user"] or "")]}, "user") or "the login"
    code, said = int((seen.get("sudo_code") or ["1"])[0]), "\n".join(seen.get("", []))
    if code == 0:
        return [Finding("sudo", "ok", "without a password")]
    if connection["become_password"] and "password" in said and "must have a tty" not in said:
        code, out, err = run(look.as_root(connection), f"{connection['become_password']}\n", seconds)
        if code == 0:
            seen.update(look.parse(out))
            return [Finding("sudo", "ok", "with the password")]
        said = err
    return [look.of_sudo(code, said, connection, user, ssh)]
