# SPDX-License-Identifier: BSD-2-Clause
"""The limits of login sessions that a profile wants: its own file in /etc/security/limits.d."""

from __future__ import annotations

import os

from . import limits_conf
from .errors import BadInput, OpsError
from .limits_conf import BOUNDS, INHERITED, SPECIAL, UNLIMITED, Subject, in_effect, permits, read_all, with_file
from .limits_kernel import INFINITY, ITEMS, LARGEST, NEVER_ZERO, refusals
from .managed_file import FilePlan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Tuple

    from .unit_look import Unit

    Wanted = Dict[Tuple[str, str, str], int]  # (domain, item, type) -> value in units of limits.conf

CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")


def path_of(name: str) -> str:
    """The file of a profile."""
    return "%s/90-ops-runbook-%s.conf" % (limits_conf.FOLDER, name)


def shown(value: int | None) -> int | str | None:
    """A value as people write it."""
    return "unlimited" if value == INFINITY else value


class PamPart:
    """What is to be done with a profile's file.

    Attributes:
        rows: [{object, item, type, before, wanted, after, status, note}], after as it is going to be.
        files: The plan of the one file.
        units, stale: [] because no service is concerned.
    """

    def __init__(self, params: dict[str, Any]) -> None:
        self._path, self._allowed = path_of(params["name"]), params["allow_lowering"]
        self._now = read_all()
        self._ours = {(line[0], line[2], kind): line[3] for line in self._lines() for kind in _kinds(line)}
        present = params["state"] == "present"
        wanted = wanted_of(params["pam"]) if present else dict.fromkeys(self._ours)
        self._subjects = {domain: Subject(domain) for domain, _item, _kind in wanted}
        self.rows = [self._row(*key, value) for key, value in wanted.items()]
        text = self._text(params["name"]) if present else ""
        self._then = with_file(self._now, self._path, text)
        for row in self.rows:
            self._judge(row)
        self._try()
        self.files = [FilePlan(self._path, text.encode("utf-8") if text else None).plan(params["run_id"])]
        self.units: list[Unit] = []
        self.stale: list[Unit] = []

    def _lines(self) -> list[limits_conf.Line]:
        return [line for line in self._now.get(self._path, []) if line[2]]

    def _row(self, domain: str, item: str, kind: str, value: int | None) -> dict[str, Any]:
        before, where = in_effect(self._now, self._subjects[domain], item, kind)
        lower = None not in (before, value) and permits(item, before or 0) > permits(item, value or 0)
        status = "already" if before == value else "applied"
        if lower and item not in ("priority", "nonewprivs") and item not in self._allowed:
            status = "better_kept"
        return {
            "object": domain,
            "item": item,
            "type": kind,
            "before": shown(before),
            "wanted": shown(value),
            "after": None,
            "status": status,
            "note": "" if where.startswith(self._path + ":") else where,
        }

    def _text(self, name: str) -> str:
        """The file: every wanted limit, and of one that is better already what we had set before, if we had."""
        lines = []
        for row in self.rows:
            key = (row["object"], row["item"], row["type"])
            value = self._ours.get(key) if row["status"] == "better_kept" else row["wanted"]
            if value is not None:
                kind = "-" if row["type"] == "both" else row["type"]
                lines.append("%s %s %s %s\n" % (row["object"], kind, row["item"], value))
        title = "# Written by ops.runbook.resource_limits for the profile %s; what is changed here is lost.\n" % name
        return title + "".join(lines) if lines else ""

    def _judge(self, row: dict[str, Any]) -> None:
        """Fill after and note, and see whether another line wins."""
        subject = self._subjects[row["object"]]
        after, where = in_effect(self._then, subject, row["item"], row["type"])
        row["after"] = shown(after)
        if row["status"] != "better_kept" and row["wanted"] not in (None, row["after"]):
            row.update(status="overridden", note=_winner(row, where))
        elif row["status"] == "better_kept":
            row["note"] = "already higher: %s" % row["note"] if row["note"] else "already higher"
        else:
            row["note"] = "" if subject.uid is not None or _covers(row["object"]) else "there is no such user yet"

    def _try(self) -> None:
        """Let the kernel say whether it would take what is going to be in effect."""
        asked: dict[str, tuple[str, int, int]] = {}
        for row in self.rows:
            if row["status"] == "applied" and row["wanted"] is not None and row["item"] in ITEMS:
                name, value = "%(object)s %(item)s" % row, _kernel(row)
                asked[name] = (row["item"], value, max(value, asked.get(name, ("", 0, 0))[2]))
        refused = refusals(asked)
        for row in self.rows:
            why = refused.get("%(object)s %(item)s" % row)
            if why and row["status"] == "applied":
                row.update(status="refused_by_kernel", after=row["before"], note=why)

    def configured(self) -> None:
        """Read all files again.

        Raises:
            OpsError: What is in effect is not what was planned.
        """
        files = read_all()
        for row in self.rows:
            value, where = in_effect(files, self._subjects[row["object"]], row["item"], row["type"])
            if shown(value) != row["after"]:
                row.update(after=shown(value), status="overridden", note=where)
                what = "%(item)s (%(type)s) of %(object)s is %(after)s, although %(wanted)s was written" % row
                raise OpsError(what, where, "See who else writes there, then run again.")

    def proven(self) -> None:
        """The files are all that there is: a session reads them when it begins."""


_BOTH = ("soft", "hard")


def _kinds(line: limits_conf.Line) -> tuple[str, ...]:
    if line[1] != "-":
        return (line[1],)
    return _BOTH if line[2] in ITEMS else ("both",)


def _covers(domain: str) -> bool:
    """Whether it stands for more than one user."""
    return domain[0] in "@%*" or ":" in domain


def _winner(row: dict[str, Any], where: str) -> str:
    if where == INHERITED:
        return "the hard limit that sessions inherit is lower: set type: both"
    if where.startswith(limits_conf.OFF):
        return "all limits of %s are switched %s" % (row["object"], where)
    return where


def _kernel(row: dict[str, Any]) -> int:
    """What a row wants, in the kernel's units."""
    if row["wanted"] == "unlimited":
        return INFINITY
    return 20 - int(row["wanted"]) if row["item"] == "nice" else int(row["wanted"]) * ITEMS[row["item"]][2]


def wanted_of(entries: list[dict[str, Any]]) -> Wanted:
    """The option pam by (domain, item, type); `both` becomes a soft and a hard limit.

    Raises:
        BadInput: An unknown item, a wrong value, a domain that pam_limits would not read, or two that contradict.
    """
    found: Wanted = {}
    for number, entry in enumerate(entries):
        where = "pam[%d]" % number
        if not isinstance(entry, dict) or set(entry) - {"domain", "type", "item", "value"}:
            raise BadInput("%r is no limit" % (entry,), where, "Give domain, type, item and value.")
        domain, item = _domain(entry.get("domain"), where), _item(entry.get("item"), where)
        kind, value = entry.get("type") or "both", _value(item, entry.get("value"), where)
        if kind not in ("soft", "hard", "both"):
            raise BadInput("the type %r is not soft, hard or both" % kind, where)
        if domain[0] == "%" and item != "maxlogins":
            raise BadInput("%s is possible for maxlogins only" % domain, where, "Name a user, @group or *.")
        for each in _BOTH if kind == "both" and item in ITEMS else (kind,):
            if found.setdefault((domain, item, each), value) != value:
                raise BadInput("%s of %s (%s) has two values" % (item, domain, each), where, "Keep one of them.")
    _demand_order(found)
    return found


def _demand_order(wanted: Wanted) -> None:
    for (domain, item, kind), value in wanted.items():
        hard = wanted.get((domain, item, "hard"), value)
        if kind == "soft" and permits(item, value) > permits(item, hard):
            what = "the soft %s of %s (%s) is above its hard one (%s)" % (item, domain, shown(value), shown(hard))
            raise BadInput(what, "pam", "The hard one must be at least as high.")


def _domain(raw: Any, where: str) -> str:
    text = str(raw or "")
    bare = text[1:] if text[:1] in ("@", "%") else text
    if not text.isprintable() or text.split() != [text] or len(text) > 256 or "#" in text or (not bare and text != "%"):
        raise BadInput("%r is no domain" % text, where, "Name a user, @group, * or a range of uids such as 1000:.")
    low, colon, high = bare.partition(":")
    if colon and not ((low or high) and (low + high).isdigit()):
        raise BadInput("%r is no range of ids" % text, where, "Write 1000: or 1000:2000 or :1000.")
    return text


def _item(text: Any, where: str) -> str:
    known = sorted([*ITEMS, *SPECIAL])
    if text not in known:
        raise BadInput("%r is no item of limits.conf" % text, where, "There are: %s" % " ".join(known))
    return str(text)


def _value(item: str, raw: Any, where: str) -> int:
    text = str(raw)
    if item not in BOUNDS and text in UNLIMITED:
        return INFINITY
    low, high = BOUNDS.get(item, (0, LARGEST // (ITEMS[item][2] if item in ITEMS else 1)))
    digits = text[1:] if text[:1] == "-" else text
    if not (digits.isascii() and digits.isdigit()) or not low <= int(text) <= high:
        hint = "Use a number from %d to %d%s." % (low, high, "" if item in BOUNDS else ", or unlimited")
        raise BadInput("%r is no value of %s" % (raw, item), where, hint)
    if int(text) == 0 and item in (*NEVER_ZERO, "maxlogins"):
        raise BadInput("%s 0 would refuse every login" % item, where, "Use a higher number.")
    return int(text)


def services_of(entries: list[dict[str, Any]], named: dict[str, Any]) -> list[str]:
    """Running services of the users in the option pam, other than those named: limits.conf does not reach them."""
    users = {Subject(domain).uid for domain in {str(entry["domain"]) for entry in entries}} - {None}
    known = {name if name.endswith(".service") else name + ".service" for name in named}
    for root in CGROUPS:
        try:
            units = sorted(name for name in os.listdir(root + "/system.slice") if name.endswith(".service"))
        except OSError:
            continue
        folder = root + "/system.slice/"
        return [name for name in units if name not in known and _owner(folder + name) in users]
    return []


def _owner(cgroup: str) -> int | None:
    """The uid of the first process in a control group."""
    try:
        with open(cgroup + "/cgroup.procs") as stream:
            return os.stat("/proc/%d" % int(stream.readline())).st_uid
    except (OSError, ValueError):
        return None
