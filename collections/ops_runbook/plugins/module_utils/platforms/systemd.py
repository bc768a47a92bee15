# SPDX-License-Identifier: BSD-2-Clause
"""A service as a systemd unit, through systemctl and journalctl; the contract is platforms/contract.py.

`systemctl show` has been the same since systemd 219 apart from fields that older ones leave out (systemctl(1),
org.freedesktop.systemd1(5)); lines it does not know are ignored.
"""

from __future__ import annotations

from ..collectors._when import systemd_span, systemd_time
from ..errors import BadInput, CannotLook, OpsError, Refused
from ..host import utc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Completed, Host

_PROPERTIES = (
    "Id,LoadState,LoadError,ActiveState,SubState,UnitFileState,FragmentPath,MainPID,Type,RemainAfterExit,"
    "Result,ExecMainStartTimestamp,ActiveEnterTimestamp,ExecMainCode,ExecMainStatus,NRestarts,RestartUSec,"
    "Restart,NeedDaemonReload,CanReload"
)
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\\@-")
_ENDS = {"1": "status %s", "2": "signal %s", "3": "signal %s with a core dump"}
_LOOK = 10.0  # seconds for a command that only looks or sets a flag
_RELOAD = 60.0  # seconds for daemon-reload: it runs all generators


def unit_name(text: str) -> str:
    """A unit's name as systemctl takes it.

    Raises:
        BadInput: Patterns, options, paths and the like, by which one call could reach other units.
    """
    if not 1 <= len(text) <= 255 or text[0] in "-." or not _LETTERS.issuperset(text):
        raise BadInput("%r cannot be the name of a unit" % text, "name", "Name one unit, such as mongod.service.")
    return text


def parse_show(text: str) -> dict[str, str]:
    """Output of `systemctl show` as a mapping."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def parse_enablement(shown: dict[str, str]) -> dict[str, bool]:
    """{enabled, active} of a unit, from its UnitFileState and ActiveState."""
    enabled = shown.get("UnitFileState") in ("enabled", "static")
    return {"enabled": enabled, "active": shown.get("ActiveState") == "active"}


def parse_state(shown: dict[str, str]) -> dict[str, Any]:
    """The fields of contract.STATE, except masks and suspended, from the properties of a unit."""
    pid = int(shown.get("MainPID") or 0) or None
    active = shown.get("ActiveState", "")
    began = systemd_time(shown.get("ExecMainStartTimestamp" if pid else "ActiveEnterTimestamp", ""))
    end = _ENDS.get(shown.get("ExecMainCode", ""))
    restarts = shown.get("NRestarts", "")
    return {
        "name": shown.get("Id", ""),
        "load_state": shown.get("LoadState", ""),
        "load_error": shown.get("LoadError", "").partition(" ")[2].strip('"'),
        "active_state": active,
        "sub_state": shown.get("SubState", ""),
        "unit_file_state": shown.get("UnitFileState", ""),
        "pid": pid,
        "started_at": utc(began) if began and (pid or active == "active") else None,
        "restarts": int(restarts) if restarts else None,
        "result": shown.get("Result", ""),
        "exit": end % shown.get("ExecMainStatus", "?") if end and not pid else None,
        "restart_delay": systemd_span(shown.get("RestartUSec", "")) if shown.get("Restart", "no") != "no" else None,
        "need_reload": shown.get("NeedDaemonReload") == "yes",
        "can_reload": shown.get("CanReload") == "yes",
        "runs_once": shown.get("Type") == "oneshot" and shown.get("RemainAfterExit") != "yes",
    }


class Systemd:
    """One unit of the system's manager."""

    def __init__(self, host: Host, name: str) -> None:
        self.host, self.name = host, unit_name(name)

    def state(self) -> dict[str, Any]:
        """See the contract; one systemctl call."""
        argv = ["env", "TZ=UTC", "systemctl", "show", "--no-pager", "-p", _PROPERTIES, "--", self.name]
        done = self.host.run(argv, _LOOK)
        if done.rc == 127:
            raise CannotLook("systemctl is not installed", hint="This host is not run by systemd.")
        if done.rc:
            raise CannotLook("systemctl show failed: %s" % _said(done), self.name, "Is systemd running here: ps -p 1")
        shown = parse_show(done.stdout)
        state = parse_state(shown)
        self.name = state["name"] or self.name  # the canonical one from here on: the journal and links go by it
        state["suspended"] = self._is_suspended(state["pid"])
        state["masks"] = self._masks(state, shown.get("FragmentPath", "")) if state["load_state"] == "masked" else []
        return state

    def _masks(self, state: dict[str, Any], fragment: str) -> list[str]:
        paths = ["/etc/systemd/system/%s" % state["name"], "/run/systemd/system/%s" % state["name"]]
        return [path for path in dict.fromkeys([*paths, fragment]) if path and self._is_mask(path)]

    def _is_mask(self, path: str) -> bool:
        try:
            return self.host.readlink(path) == "/dev/null"
        except OSError:
            return False

    def _is_suspended(self, pid: int | None) -> bool:
        """State T of proc(5); one that a debugger holds has another."""
        try:
            return pid is not None and self.host.read("/proc/%d/stat" % pid).rpartition(b")")[2].split()[:1] == [b"T"]
        except OSError:  # it ended a moment ago
            return False

    def start(self, timeout: float) -> None:
        """See the contract; a start of one that waits for its automatic restart would wait with it."""
        waits = self.state()["sub_state"] == "auto-restart"
        self._job("restart" if waits else "start", timeout, "--job-mode=fail")

    def stop(self, timeout: float) -> None:
        """See the contract: KillSignal, KillMode and TimeoutStopSec are the unit's."""
        self._job("stop", timeout)  # replaces a start that hangs, or nothing could end it

    def restart(self, timeout: float) -> None:
        """See the contract."""
        self._job("restart", timeout, "--job-mode=fail")

    def reload(self, timeout: float) -> None:
        """See the contract."""
        self._job("reload", timeout, "--job-mode=fail")

    def resume(self, timeout: float) -> None:
        """See the contract; SIGCONT does nothing to a process that was not stopped."""
        self._job("kill", timeout, "--kill-who=all", "--signal=CONT")

    def enable(self) -> None:
        """See the contract."""
        self._job("enable", _RELOAD)

    def reset_failed(self) -> None:
        """See the contract."""
        self._job("reset-failed", _LOOK)

    def daemon_reload(self) -> None:
        """See the contract; reads the definitions of all units."""
        self._systemctl("daemon-reload", _RELOAD, ["daemon-reload"])

    def unmask(self) -> list[str]:
        """See the contract; a link below /run needs a call of its own."""
        before = self.state()["masks"]
        self._job("unmask", _RELOAD)
        state = self.state()
        if state["load_state"] == "masked":
            self._job("unmask", _RELOAD, "--runtime")
            state = self.state()
        if state["load_state"] == "masked":
            raise OpsError("it is still masked after unmask", self.name, "Look at: systemctl cat %s" % self.name)
        return [path for path in before if not self._is_mask(path)]

    def logs(self, since: float, lines: int) -> list[str]:
        """See the contract; what systemd says about the unit is among them."""
        self.host.run(["journalctl", "--sync"], _LOOK)  # the journal is written behind; fails harmlessly for users
        # With --since, --lines means the first ones (systemd 252), unless it reads backwards.
        argv = [
            "journalctl",
            "--reverse",
            "--unit",
            self.name,
            "--since",
            "@%.3f" % since,
            "--lines",
            str(lines),
            "--output",
            "short-iso",
            "--utc",
            "--no-pager",
            "--quiet",
        ]
        done = self.host.run(argv, _LOOK)
        if done.rc:
            raise CannotLook("journalctl failed: %s" % _said(done), self.name, "Run with become: true.")
        return done.stdout.splitlines()[::-1]

    def candidates(self) -> list[str]:
        """See the contract; at most five."""
        from difflib import get_close_matches

        argv = ["systemctl", "list-unit-files", "--type=service", "--no-legend", "--no-pager"]
        lines = self.host.run(argv, _LOOK).stdout.splitlines()
        known = [line.split()[0].rpartition(".")[0] for line in lines if line.strip()]
        stem = self.name.rpartition(".")[0] or self.name
        near = [name for name in known if stem in name] or get_close_matches(stem, known)
        return [name + ".service" for name in near[:5]]

    def port_problem(self, port: int, address: str, timeout: float) -> str:
        """See the contract. Whose port it is can be told only where there is one listener, and one may look."""
        from ..collectors.tcp_port import collect

        data = collect(self.host, {"port": port, "host": address, "unit": [self.name], "timeout": timeout})["data"]
        if not data["accepts"]:
            return "port %d on %s: %s" % (port, address, data["error"])
        if data.get("foreign") and len(data["addresses"]) == 1:
            holder = (port, data["owner_command"], data["owner_pid"], self.name)
            return "port %d is held by %s (pid %d), not by %s" % holder
        return ""

    def advice(self, state: dict[str, Any], logs: list[str]) -> str:
        """See the contract."""
        if state["result"] == "start-limit-hit" or any("request repeated too quickly" in line for line in logs):
            return "systemd gave up after too many starts: find the cause, then run again with reset_failed: true."
        if state["result"] == "oom-kill":
            return "It was killed for lack of memory: systemctl show %s -p MemoryMax; dmesg | grep -i oom" % self.name
        return "Look at: systemctl status %s; journalctl -u %s -n 50" % (self.name, self.name)

    def _job(self, verb: str, timeout: float, *options: str) -> None:
        self._systemctl(verb, timeout, [*options, verb, "--", self.name])

    def _systemctl(self, verb: str, timeout: float, arguments: list[str]) -> None:
        try:
            done = self.host.run(["systemctl", "--no-ask-password", *arguments], timeout)
        except CannotLook:  # only the client has ended; the job goes on inside systemd
            hint = "The job may still be running: systemctl list-jobs; systemctl status %s" % self.name
            raise OpsError("systemctl %s did not end within %g s" % (verb, timeout), self.name, hint) from None
        if done.rc:
            said = _said(done)
            denied = "authentication required" in said or "Access denied" in said
            # 'Job for' says that it was tried; 'Failed to' that no job was made, unless systemd did not answer at all.
            refused = said.startswith("Failed to") and "timed out" not in said and "onnect" not in said
            raise (Refused if refused else OpsError)(
                "systemctl %s failed: %s" % (verb, said), self.name, "Run with become: true." if denied else ""
            )


def _said(done: Completed) -> str:
    """The first line of what a command said."""
    said = (done.stderr.strip() or done.stdout.strip() or "exit code %d" % done.rc).splitlines()[0]
    return said.rstrip(".:")
