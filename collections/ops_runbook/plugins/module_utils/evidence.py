# SPDX-License-Identifier: BSD-2-Clause
"""What a person will want to have seen of a sick host, collected before anybody touches it.

Nothing is written on the target, because its disk may be what is sick. Everything is looked at concurrently and with
time limits; what cannot be had is named with the reason. Environments and configuration are never read, secrets are
masked.
"""

from __future__ import annotations

import os
import time

from .errors import BadInput, CannotLook, OpsError
from .host import LocalHost, utc
from .redact import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .host import Completed, Host

    Look = Callable[[Host], str]

COMMAND_SECONDS = 8.0
ALL_SECONDS = 26.0  # three commands one after the other, at their slowest
_SMALLEST = 4096
_MOST_FILES, _MOST_PROCESSES = 10, 20
# Of `systemctl show`: an allow list, so that neither Environment= nor what a later systemd adds comes along.
_PROPERTIES = (
    "Id",
    "Names",
    "Description",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "FragmentPath",
    "SourcePath",
    "DropInPaths",
    "NeedDaemonReload",
    "Type",
    "Result",
    "Restart",
    "RestartUSec",
    "NRestarts",
    "MainPID",
    "ControlPID",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainStartTimestamp",
    "ExecMainExitTimestamp",
    "StatusText",
    "StatusErrno",
    "ActiveEnterTimestamp",
    "ActiveExitTimestamp",
    "InactiveEnterTimestamp",
    "StateChangeTimestamp",
    "InvocationID",
    "StartLimitBurst",
    "StartLimitIntervalUSec",
    "TimeoutStartUSec",
    "TimeoutStopUSec",
    "WatchdogUSec",
    "KillMode",
    "User",
    "Group",
    "WorkingDirectory",
    "Requires",
    "Wants",
    "After",
    "Before",
    "Conflicts",
    "ConditionResult",
    "AssertResult",
    "TasksCurrent",
    "TasksMax",
    "MemoryCurrent",
    "MemoryPeak",
    "MemoryMax",
    "MemoryHigh",
    "OOMPolicy",
    "CPUUsageNSec",
    "LimitNOFILE",
    "LimitNPROC",
    "LimitMEMLOCK",
    "LimitCORE",
    "OOMScoreAdjust",
    "ReadWritePaths",
)
_NO_LOGS = ("/dev/", "/etc/", "/proc/", "/run/credentials/", "/run/secrets/", "/sys/", "/var/lib/ops-runbook/")
_NO_LOG_ENDINGS = (
    ".cnf",
    ".conf",
    ".env",
    ".ini",
    ".jks",
    ".key",
    ".p12",
    ".pem",
    ".properties",
    ".yaml",
    ".yml",
    "_history",
)
_SHOW_ENVIRONMENTS = ("env", "printenv", "show-environment")


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Look at this host.

    Returns:
        changed (false), collected_at (RFC 3339), documents ([{name, text, truncated}]), omitted ([{name, reason}]).
    """
    items = plan(params)
    if check:
        return {"changed": False, "collected_at": None, "documents": [], "omitted": []}
    return collect(LocalHost(), items, params["limit"])


def plan(params: dict[str, Any]) -> dict[str, Look]:
    """What to look at: file name -> function of a host that returns text."""
    if params["limit"] < _SMALLEST:
        raise BadInput("is less than %d bytes" % _SMALLEST, "limit", "Give more room, such as 2MB.")
    if params["lines"] < 1:
        raise BadInput("is less than 1", "lines", "Say how many lines of each log to keep.")
    lines, items = params["lines"], dict(_HOST, **{"kernel.txt": lambda host: _kernel(host, params["lines"])})
    items["disk.txt"] = lambda host: _disk(host, params["paths"])
    if params["unit"]:
        items["unit-status.txt"] = lambda host: _status(host, params["unit"])
        items["unit-properties.txt"] = lambda host: _properties(host, params["unit"])
        items["unit-journal.txt"] = lambda host: _journal(host, ["--unit=" + params["unit"]], lines)
    for path in params["logs"]:
        items[_free(items, "log-" + path.strip("/"))] = _later(_logs, path, lines, params["limit"])
    for argv in params["commands"]:
        words = [str(word) for word in argv]
        items[_free(items, "command-" + os.path.basename(words[0] if words else "none"))] = _later(_command, words)
    return items


def _free(items: dict[str, Look], text: str) -> str:
    """A file name made from text that no item has yet."""
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in text)[-120:]
    number, name = 1, plain + ".txt"
    while name in items:
        number, name = number + 1, "%s-%d.txt" % (plain, number + 1)
    return name


def _later(look: Callable[..., str], *args: Any) -> Look:
    return lambda host: look(host, *args)


def collect(host: Host, items: dict[str, Look], limit: int, seconds: float = ALL_SECONDS) -> dict[str, Any]:
    """Look at all items at once; what has not answered after seconds is omitted, and its thread left behind."""
    import threading

    found: dict[str, str] = {}
    omitted: dict[str, str] = {}

    def work(name: str) -> None:
        try:
            found[name] = redact(items[name](host))
        except OpsError as error:
            omitted[name] = str(error)
        except OSError as error:
            omitted[name] = error.strerror or type(error).__name__
        except Exception as error:  # one item that fails is no reason to have no evidence
            omitted[name] = "%s: %s (this is a bug)" % (type(error).__name__, error)

    threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in items]
    until = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    reasons = dict(omitted)  # a copy, like texts: threads that are left behind may still write
    texts = {name: found[name] for name in items if name in found}
    for name in set(items) - set(texts) - set(reasons):
        reasons[name] = "did not end within %g s" % seconds
    return {
        "changed": False,
        "collected_at": utc(host.now()),
        "documents": shared_out(texts, limit),
        "omitted": [{"name": name, "reason": reasons[name]} for name in items if name in reasons],
    }


def shared_out(texts: dict[str, str], limit: int) -> list[dict[str, Any]]:
    """[{name, text, truncated}], at most limit bytes in all; what needs less than its share leaves it to the others."""
    contents = {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}
    documents, left = {}, limit
    for number, name in enumerate(sorted(contents, key=lambda one: len(contents[one]))):
        kept = _tail(contents[name], left // (len(contents) - number))
        documents[name] = {"name": name, "text": kept.decode("utf-8"), "truncated": kept != contents[name]}
        left -= len(kept)
    return [documents[name] for name in texts]


def _tail(content: bytes, allowed: int) -> bytes:
    """The end of content in whole lines, after a mark of how much is missing; all of it where it fits."""
    if len(content) <= allowed:
        return content
    mark = b"[the first %d bytes are cut off]\n"
    room = allowed - len(mark % len(content))
    if room <= 0:
        return b""
    end = content[-room:].partition(b"\n")[2]
    return mark % (len(content) - len(end)) + end


# ---- one function for each thing to look at


def _shown(argv: list[str], done: Completed) -> str:
    """A command and what it said, as a terminal would show it."""
    code = "" if done.rc == 0 else "(exit code %d)\n" % done.rc
    text = "$ %s\n%s" % (" ".join(argv), done.stdout)
    return text + ("" if text.endswith("\n") else "\n") + done.stderr + code


def _commands(host: Host, *argvs: list[str]) -> str:
    """Several commands one below the other; those that are not there are named, and none at all is an error."""
    parts, errors = [], []
    for argv in argvs:
        try:
            parts.append(_command(host, argv))
        except CannotLook as error:
            errors.append(error)
            parts.append("$ %s\n(%s)\n" % (" ".join(argv), error.what))
    if len(errors) == len(argvs):
        raise errors[-1]
    return "\n".join(parts)


def _command(host: Host, argv: list[str]) -> str:
    if not argv or any(os.path.basename(word) in _SHOW_ENVIRONMENTS or "/environ" in word for word in argv):
        raise CannotLook("environments are never collected" if argv else "names no command")
    done = host.run(argv, timeout=COMMAND_SECONDS)
    if done.rc and not done.stdout.strip():
        raise CannotLook((done.stderr.strip().splitlines() or ["exit code %d, no output" % done.rc])[-1])
    return _shown(argv, done)


def _status(host: Host, unit: str) -> str:
    return _command(host, ["systemctl", "status", "--no-pager", "--full", "--lines=0", "--", unit])


def _properties(host: Host, unit: str) -> str:
    text = _command(host, ["systemctl", "show", "--no-pager", "--property=" + ",".join(_PROPERTIES), "--", unit])
    return "".join(line + "\n" for line in text.splitlines() if line.partition("=")[0] in _PROPERTIES)


def _journal(host: Host, which: list[str], lines: int) -> str:
    argv = ["journalctl", "--no-pager", "--quiet", "--output=short-iso-precise", "--lines=%d" % lines, *which]
    done = host.run(argv, timeout=COMMAND_SECONDS)
    if not done.stdout.strip():
        said = done.stderr.strip().splitlines()
        raise CannotLook(said[-1] if said else "the journal has no entries that this user may read")
    return _shown(argv, done)


def _kernel(host: Host, lines: int) -> str:
    try:
        text = _command(host, ["dmesg", "--ctime"])
    except CannotLook:
        return _journal(host, ["--dmesg"], lines)
    return "\n".join(text.splitlines()[-lines:]) + "\n"


def _disk(host: Host, paths: list[str]) -> str:
    own = [["df", "-hT", "--", *paths]] if paths else []
    argvs = [["df", "-hTl"], ["df", "-il"], *own]
    return _commands(host, *argvs) + "\n" + _files(host, "/proc/self/mounts")


def _sockets(host: Host) -> str:
    try:
        return _commands(host, ["ss", "-s"], ["ss", "-tlnp"], ["ss", "-tan"])
    except CannotLook:
        return _files(host, "/proc/net/sockstat", "/proc/net/tcp", "/proc/net/tcp6")


def _system(host: Host) -> str:
    files = _files(host, "/proc/uptime", "/proc/loadavg", "/proc/version", "/etc/os-release")
    return "now %s\n%s" % (utc(host.now()), files)


def _memory(host: Host) -> str:
    pressure = _files(host, "/proc/meminfo", "/proc/pressure/memory", "/proc/pressure/io", "/proc/pressure/cpu")
    return pressure + _processes(host)


def _files(host: Host, *paths: str) -> str:
    """Small files of the kernel one below the other; older kernels lack some."""
    parts = []
    for path in paths:
        try:
            text = host.read(path, limit=262144).decode("utf-8", "backslashreplace")
        except OSError as error:
            text = "(%s)\n" % error.strerror
        parts.append("==> %s <==\n%s\n" % (path, text))
    return "".join(parts)


def _processes(host: Host) -> str:
    """The largest processes and those that hang or are stopped: names only, a command line may hold a password."""
    found = []
    for pid in host.listdir("/proc"):
        if pid.isdigit():
            try:
                text = host.read("/proc/%s/status" % pid, limit=4096).decode("utf-8", "backslashreplace")
            except OSError:  # it has ended
                continue
            fields = dict(line.partition(":\t")[::2] for line in text.splitlines())
            size = int((fields.get("VmRSS") or "0").split()[0])
            found.append(
                (
                    size,
                    pid,
                    fields.get("State", "?")[:1],
                    fields.get("Uid", "?").split("\t")[0],
                    fields.get("Threads", "?"),
                    fields.get("Name", "?"),
                )
            )
    found.sort(reverse=True)
    wanted = [one for place, one in enumerate(found) if place < _MOST_PROCESSES or one[2] in "DTZ"]
    rows = ["%9d %8s %5s %8s %8s %s" % row for row in wanted]
    return "%9s %8s %5s %8s %8s %s\n" % ("RSS_kB", "PID", "STATE", "UID", "THREADS", "NAME") + "\n".join(rows) + "\n"


def _logs(host: Host, path: str, lines: int, limit: int) -> str:
    """The end of a log, or of the newest ones that a pattern such as /var/log/batch/*.log names."""
    paths = _matching(host, path)
    if len(paths) == 1:
        return _log(host, paths[0], lines, limit)
    return "\n".join("==> %s <==\n%s" % (one, _log(host, one, lines, limit // len(paths))) for one in paths)


def _matching(host: Host, path: str) -> list[str]:
    folder, pattern = os.path.split(path)
    if not set(pattern) & set("*?["):
        return [path]
    from fnmatch import fnmatchcase

    paths = [folder + "/" + name for name in host.listdir(folder) if fnmatchcase(name, pattern)]
    if not paths:
        raise CannotLook("no file matches")
    return sorted(paths, key=lambda one: host.stat(one).mtime)[-_MOST_FILES:]


def _log(host: Host, path: str, lines: int, limit: int) -> str:
    """Read by tail and not by us: a process that hangs on a sick disk can be left behind, a thread of ours cannot."""
    real = _real(host, path)
    if not real.startswith("/") or real.startswith(_NO_LOGS) or real.endswith(_NO_LOG_ENDINGS):
        raise CannotLook("%s is not a log" % real)
    seen = host.stat(real)
    if seen.kind != "file":
        raise CannotLook("%s is a %s" % (real, seen.kind))
    done = host.run(["tail", "-c", str(limit), "--", real], timeout=COMMAND_SECONDS)
    if done.rc:
        raise CannotLook(done.stderr.strip() or "tail failed")
    text = done.stdout
    if seen.size > limit:
        text = text.partition("\n")[2]  # half a line may be half a secret
    return "".join(text.splitlines(True)[-lines:])


def _real(host: Host, path: str) -> str:
    """Where a path leads through links, as the host has them."""
    done, parts, hops = "/", path.split("/"), 0
    while parts and hops < 40:
        here = os.path.normpath(os.path.join(done, parts.pop(0)))
        try:
            target = host.readlink(here)
        except OSError:
            done = here
            continue
        hops += 1
        parts[:0] = target.split("/")
        done = "/" if target.startswith("/") else done
    return done


_HOST: dict[str, Look] = {"system.txt": _system, "memory.txt": _memory, "sockets.txt": _sockets}
