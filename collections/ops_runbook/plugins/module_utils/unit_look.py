# SPDX-License-Identifier: BSD-2-Clause
"""A service as systemd has it in force, for modules that change its definition."""

from __future__ import annotations

import os

from .errors import BadInput, Refused
from .unit_files import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import OpsError
    from .host import Host
    from .platforms.systemd import Systemd

UNITS = "/etc/systemd/system"
_PROPERTIES = "Id,LoadState,LoadError,ActiveState,MainPID,DropInPaths,NeedDaemonReload,"


class Unit:
    """One service as systemd has it in force.

    Attributes:
        name: Its canonical name.
        runs: Whether it is active.
        pid: Its main process; None where it has none.
        loaded: Whether its definition could be loaded.
        need_reload: Whether its definition on disk is newer than the one in force.
        drop_ins: Paths of its drop-ins; those whose file name sorts last win.
        shown: Properties by name; one that is a list has several entries.
    """

    def __init__(self, shown: dict[str, list[str]]) -> None:
        self.shown = shown
        self.name = shown["Id"][0]
        self.runs = shown["ActiveState"][0] in ("active", "reloading")
        self.pid = int(shown["MainPID"][0]) or None if "MainPID" in shown and self.runs else None
        self.loaded = shown.get("LoadState") == ["loaded"]
        self.need_reload = shown["NeedDaemonReload"] == ["yes"]
        self.drop_ins = paths(shown.get("DropInPaths", [""])[0])

    def drop_in(self, name: str) -> str:
        """Where our drop-in of that name lies."""
        return "%s/%s.d/90-ops-runbook-%s.conf" % (UNITS, self.name, name)


def look(host: Host, text: str, properties: str, allowed: tuple[str, ...] = ("loaded",)) -> Unit:
    """The service text with the properties of systemctl(1) show, comma-separated.

    Args:
        host: Where systemctl runs.
        text: The unit's name.
        properties: What is asked besides what Unit needs.
        allowed: LoadStates that will do.

    Raises:
        BadInput: There is none of that name, it is a template or no service.
        Refused: It is masked, or cannot be loaded.
        CannotLook: systemd does not answer.
    """
    from .platforms.systemd import Systemd

    unit = Systemd(host, text)
    stem = text[: -len(".service")] if text.endswith(".service") else text
    if stem.endswith("@"):
        raise BadInput("it is a template", text, "Name one of its instances, such as %sone.service." % stem)
    argv = ["systemctl", "show", "--no-pager", "-p", _PROPERTIES + properties, "--", text]
    done = host.run(argv, 10.0)
    shown: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _sign, value = line.partition("=")
        shown.setdefault(key, []).append(value)
    if done.rc or "Id" not in shown:
        unit.state()  # knows why systemd does not answer
        raise BadInput("systemd does not know it: %s" % (done.stderr.strip() or "no answer"), text)
    state = shown["LoadState"][0]
    if state not in allowed:
        raise _problem(unit, shown, state)
    if not shown["Id"][0].endswith(".service"):
        raise BadInput("it is no service", shown["Id"][0], "Name a .service unit.")
    return Unit(shown)


def _problem(unit: Systemd, shown: dict[str, list[str]], state: str) -> OpsError:
    name = shown["Id"][0]
    if state == "not-found":
        near = unit.candidates()
        hint = "Did you mean %s?" % ", ".join(near) if near else "See what there is: systemctl list-unit-files"
        return BadInput("there is no such service here", name, hint)
    if state == "masked":
        return Refused("it is masked, and a person may have done this on purpose", name, "Unmask it first.")
    why = shown.get("LoadError", [""])[0].partition(" ")[2].strip('"')
    hint = "Look at: systemd-analyze verify %s" % name
    return Refused("its definition cannot be loaded (%s): %s" % (state, why), name, hint)


def started_before(pid: int, paths: list[str]) -> bool:
    """Whether a process is older than what lies at one of paths now."""
    import time

    try:
        with open("/proc/%d/stat" % pid) as stream:
            ticks = int(stream.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return True
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return any(os.stat(path).st_mtime > time.time() - age for path in paths if os.path.exists(path))
