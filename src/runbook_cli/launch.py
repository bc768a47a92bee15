# SPDX-License-Identifier: GPL-3.0-or-later
"""Start ansible-playbook under ansible-runner, hear its events, and stop it gently.

The private folder holds everything that must not be in an argument list or an environment; it is 0700, and it is
always removed.
Runner's own ways to cancel kill only the main process and leave its workers and ssh clients alive; see Stop.
"""
# ruff: noqa: PLC0415 - what is refused before does not wait 0.4 s for ansible-runner

from __future__ import annotations

import configparser
import contextlib
import json
import os
import queue
import shlex
import shutil
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runbook_cli.answer import CliError
from runbook_cli.progress import Event, consume
from runbook_cli.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


SUMMARY = "summary.json"


@dataclass(frozen=True)
class Job:
    """Everything that one run needs, already validated."""

    root: Path
    playbook: Path
    inventories: list[str]
    limit: str | None
    extra: list[dict[str, Any] | str]
    """What -e gave, in order: {name: value} or the absolute path of a file."""
    settings: dict[str, Any]
    """Variables of the command itself; they win over `extra`."""
    check: bool
    timeout: float | None
    become_password: str | None
    run_id: str
    records: Path
    incident: str | None
    verbose: bool
    """Whether a person wants to see all that Ansible says."""
    commands: dict[str, Any]
    """What a person types next: `again` (words, without the limit), `limit` and `undo` (words)."""
    only: list[str] | None = None
    """The hosts that it goes to, where those are not all that `limit` names."""


class Ended(NamedTuple):
    """Why a run was stopped ('timed_out' or 'interrupted', else None), and what our callback said of it, if it could.

    The summary: schema, run, name, seconds, exit_code, outcomes, fleet (None, or {lines, document}).
    """

    stopped: str | None
    summary: dict[str, Any] | None


def launch(job: Job, sinks: Sequence[Callable[[Event], None]]) -> Ended:
    """Run the job and feed its events to the sinks."""
    import ansible_runner

    events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    heard: list[Future[None]] = []
    stop = Stop(job.timeout)
    with stop.signals(), _private_folder() as private, _closing_at_once(), ThreadPoolExecutor(1) as listener:

        def hear(event: Event) -> bool:
            if not heard:  # a thread of its own, because a terminal may be slow; not before runner has forked
                heard.append(listener.submit(consume, events, sinks))
            stop.see(event)
            if event.get("event") == "playbook_on_start":
                (private / "become_password").unlink(missing_ok=True)  # it has been read by now
            events.put(dict(event))
            return False  # True would keep each event in a file

        try:
            ansible_runner.run(**_arguments(job, private), event_handler=hear, cancel_callback=stop.must_kill)
        finally:
            events.put(None)
        for future in heard:
            future.result()  # a sink that failed is a bug to be told, not a run without results
        return Ended(stop.reason, _summary(private / SUMMARY))


def _summary(path: Path) -> dict[str, Any] | None:
    """What our callback wrote; it is not there when the run was killed, or did not come to a play of ours."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="runbook-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _closing_at_once() -> Iterator[None]:
    """Meanwhile a terminal is closed without the 0.1 s in which its process may end: runner closes it after the end."""
    from ansible_runner.runner import pexpect

    ordinary = pexpect.spawn

    class Spawn(ordinary):  # type: ignore[misc, valid-type] # the class is only known at run time
        def close(self, force: bool = True) -> None:
            self.ptyproc.delayafterclose = 0
            super().close(force)

    pexpect.spawn = Spawn
    try:
        yield
    finally:
        pexpect.spawn = ordinary


def _arguments(job: Job, private: Path) -> dict[str, Any]:
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    binary = shutil.which("ansible-playbook", path=beside)
    if binary is None:
        raise CliError("ansible-playbook was not found", beside, "Install ansible-core beside runbook.", 1)
    return {
        "private_data_dir": str(private),
        "project_dir": str(job.root),  # also the working folder
        "binary": binary,
        "cmdline": shlex.join(_command_line(job, private)),
        "extravars": job.settings,
        "envvars": environment(job) | {"OPS_RUNBOOK_SUMMARY": str(private / SUMMARY)},
        # how often must_kill is asked; what Ansible says is heard as events and needs no file
        "settings": {"pexpect_timeout": 0.5, "suppress_output_file": True},
        "quiet": True,
    }


def _command_line(job: Job, private: Path) -> list[str]:
    words = [str(job.playbook)]
    for inventory in job.inventories:
        words += ["-i", inventory]
    if job.only is not None:
        words.append(f"--limit=@{_secret(private / 'hosts', chr(10).join(job.only))}")
    elif job.limit is not None:
        words.append(f"--limit={job.limit}")
    for number, item in enumerate(job.extra):
        path = item if isinstance(item, str) else _secret(private / f"extra-{number}.json", json.dumps(item))
        words += ["-e", f"@{path}"]
    if job.check:
        words.append("--check")
    if job.become_password is not None:
        words += ["--become-password-file", _secret(private / "become_password", job.become_password)]
    return words


def _secret(path: Path, text: str) -> str:
    path.touch(0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")
    return str(path)


def environment(job: Job) -> dict[str, str]:
    """What the run gets besides the caller's own environment."""
    theirs = os.environ.get("ANSIBLE_COLLECTIONS_PATH")
    ours = {
        "ANSIBLE_CONFIG": str(job.root / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(filter(None, [str(job.root / "collections"), theirs])),
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "ANSIBLE_HOST_KEY_CHECKING": _host_key_checking(job.root),
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_FORCE_COLOR": "false",
        "ANSIBLE_STDOUT_CALLBACK": "",
        "ANSIBLE_DISPLAY_OK_HOSTS": str(job.verbose).lower(),  # nobody reads it: what ended well is heard as an event
        "MAX_EVENT_RES": "50000000",  # above 700,000 characters runner empties a result, and the outcome with it
        "JOB_ID": "",  # runner's callback dies of a build server's id that is not a number
        "PROJECT_UPDATE_ID": "",
        "OPS_RUNBOOK_RUN_ID": job.run_id,
        "OPS_RUNBOOK_RECORDS": str(job.records),
        "OPS_RUNBOOK_COMMANDS": json.dumps(job.commands),
    }
    return ours | ({"OPS_RUNBOOK_INCIDENT": job.incident} if job.incident else {})


def _host_key_checking(root: Path) -> str:
    """The caller's or the project's choice: runner would switch the checking off where the environment is silent."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    config.read(root / "ansible.cfg", encoding="utf-8")
    chosen = config.get("defaults", "host_key_checking", fallback="true")
    return os.environ.get("ANSIBLE_HOST_KEY_CHECKING") or chosen
