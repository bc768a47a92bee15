# SPDX-License-Identifier: BSD-2-Clause
"""A log's rotation by logrotate: planned, tried, put in place, seen to run, and undoable."""

from __future__ import annotations

import os

from .errors import BadInput, OpsError, Refused
from .files import account_ids
from .host import LocalHost
from .managed_file import FilePlan
from .names import group_name, shown, user_name
from .rotation_file import Document, Stanza, new_stanza, parse_document, render_document
from .rotation_logs import Logs, unsafe
from .rotation_look import FOLDER, covered_twice, finding, look
from .rotation_policy import apply_policy, demand_archive, demand_name, demand_not_rotated, patterns_of, program_of
from .rotation_reopen import demand_reopens
from .rotation_verify import demand_verified, verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host

NOTHING = {"kind": "none", "reason": "nothing was changed"}
_ROTATED = {"kind": "none", "reason": "a forced rotation is not taken back"}
_MOST = 200  # logs in the answer
_OWN = 180  # seconds for looking, trying and writing


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Put a policy in place, or remove it.

    Returns:
        changed, changes, undo, message, file, files ([{path, bytes}]), omitted ([{path, reason}]), findings ([{kind,
        where, what, hint, blocks}]), schedule (see rotation_schedule.look), trial ({rotated, writers} or None).
    """
    return run_on(LocalHost(), params, check)


def run_on(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """As run, where commands run on any host."""
    path = "%s/%s" % (FOLDER, params["name"])
    try:
        return _run(host, path, params, check)
    except OpsError as error:
        nothing = _answer(path, [], NOTHING)
        error.result = dict({key: error.result.get(key, value) for key, value in nothing.items()}, message=str(error))
        raise


def late(params: dict[str, Any]) -> list[str]:
    """The module_utils that a call imports late."""
    names = ["rotation_schedule", "rotation_left", "holds", "undo", "undo_steps.file"]
    if params["schedule"]:
        names.append("undo_steps.enablement")
    if params["directory"]:
        names += ["ownership", "undo_steps.ownership"]
    if params["trial"]:
        names.append("rotation_trial")
    if params["reopen"] and params["reopen"]["unit"]:
        names += ["unit_look", "platforms.systemd"]
    return names + (["lease"] if params["lease"] else [])


def seconds(params: dict[str, Any]) -> float:
    """How long a call takes at most."""
    trial = 300 + float(params["trial_timeout"]) if params["trial"] else 0
    return _OWN + (600 if params["directory"] else 0) + trial


def _run(host: Host, path: str, params: dict[str, Any], check: bool) -> dict[str, Any]:
    demand_name(params["name"])
    if os.geteuid() != 0:
        raise Refused("only root may do that", "user id %d" % os.geteuid(), "Run with become: true.")
    job = _Job(host, path, params)
    answer = job.answer()
    demand_verified(job.findings)
    if check or not (answer["changed"] or params["trial"]):
        return answer
    with _alone(params):
        job.make(answer)
    return answer


def _alone(params: dict[str, Any]) -> Any:
    """No hold in force, and under the run's lease where it has one."""
    from contextlib import nullcontext

    from .holds import demand_none

    demand_none()
    if not params["lease"]:
        return nullcontext()
    from .lease import fence

    return fence(params["lease"], params["run_id"], seconds(params))


class _Job:
    """What is to be done on this host."""

    def __init__(self, host: Host, path: str, params: dict[str, Any]) -> None:
        self._host, self._path, self._params = host, path, params
        self._setup = look(host)
        self._patterns: list[str] = []
        self._logs = Logs([], [])
        self._mend: dict[str, Any] = {"changes": [], "undo": NOTHING}
        self._stanza: Stanza | None = None
        document, data = self._document(), None
        before = _said(document)
        if params["state"] == "present":
            data = self._present(document)
        elif document is not None:
            data = self._absent(document)
        self._plan = FilePlan(path, data).plan(params["run_id"])
        self._changes = _told(self._plan, before, _said(parse_document(_text(data), path)))
        self.findings = self._findings(data)
        self._schedule, self._timer = self._look_at_schedule()

    def _document(self) -> Document | None:
        """The drop-in as it is; None where there is none."""
        found = self._setup.documents.get(self._path)
        if isinstance(found, BadInput):
            raise found
        return found

    def _absent(self, document: Document) -> bytes | None:
        """The drop-in without the policy's stanza: without paths all of it goes."""
        if not self._params["paths"]:
            return None
        own = _own_stanza(document, self._params["paths"], self._path)
        document.items = [item for item in document.items if item is not own]
        return render_document(document).encode("utf-8", "surrogateescape") if document.stanzas else None

    def _present(self, document: Document | None) -> bytes:
        params = self._params
        self._patterns = patterns_of(params)
        self._logs = Logs(self._patterns, params["roots"])
        self._demand_tools()
        if params["archive"]:
            demand_archive(params["archive"], self._patterns)
        if params["directory"]:
            self._mend = self._directories(True)
        if document is None:
            document = parse_document("# The policy %s of ops.runbook.log_rotation.\n" % params["name"], self._path)
        self._stanza = _own_stanza(document, self._patterns, self._path)
        if self._stanza is None:
            self._stanza = new_stanza(self._patterns)
            document.items.append(self._stanza)
        extension = self._setup.option(self._stanza, "extension") or self._setup.option(self._stanza, "addextension")
        demand_not_rotated(self._patterns, extension or "")
        apply_policy(self._stanza, params, self._patterns, self._su())
        return render_document(document).encode("utf-8", "surrogateescape")

    def _demand_tools(self) -> None:
        program, reopen = program_of(self._params["compression"]), self._params["reopen"]
        if program and not os.access(program, os.X_OK):
            raise BadInput("is not installed here", program, "Install it, or take another compression.")
        if reopen["method"] == "command" and not os.access((reopen["command"] or [""])[0], os.X_OK):
            raise BadInput("cannot be run here", (reopen["command"] or [""])[0], "Give the program with its full path.")
        if reopen["method"] in ("reload", "signal"):
            demand_reopens(self._host, reopen)

    def _directories(self, check: bool) -> dict[str, Any]:
        """Owner and mode of the logs' folders, as file_ownership mends them."""
        from .ownership import run as mend

        asked = self._params["directory"]
        entry: dict[str, Any] = {"file_mode": None, "directory_mode": None, "recurse": False, "exclude": []}
        wanted = [dict(entry, path=folder, **asked) for folder in self._logs.folders]
        return mend({"paths": wanted, "limit": 1000, "lease": "", "run_id": self._params["run_id"]}, check)

    def _su(self) -> str | None:
        """Whose folder and logs they are, where that is one user other than root: logrotate then works as that user.

        As root it would follow what that user puts in its way. See logrotate(8), su.
        """
        asked, owner = self._params["directory"] or {}, self._params["owner"]
        owners = {(seen.st_uid, seen.st_gid) for seen in map(os.stat, self._logs.folders)}
        if asked.get("owner") and asked.get("group"):
            owners = {account_ids(asked["owner"], asked["group"])}  # type: ignore[arg-type]
        if len(owners) != 1:
            return None
        uid, gid = owners.pop()
        alone = {seen.st_uid for seen in self._logs.files.values()} <= {uid}
        if uid == 0 or not alone or (owner and account_ids(owner, None)[0] != uid):
            return None
        return "%s %s" % (user_name(uid), group_name(gid))

    def _findings(self, data: bytes | None) -> list[dict[str, Any]]:
        from .rotation_left import left

        found = covered_twice(self._setup, self._stanza, self._patterns)
        known = {each["where"].partition(" line ")[0] for each in found}
        mended = {change["object"].partition(" of ")[2] for change in self._mend["changes"]}
        for folder in self._logs.folders if self._stanza and self._stanza.value("su") is None else []:
            why = unsafe(folder)
            if why and folder not in mended:
                hint = 'Let the policy mend it, such as with directory: {mode: "0755"}.'
                found.append(finding("unsafe_directory", folder, why + ", so logrotate skips its logs", hint, True))
        for each in verify(self._host, self._setup, self._path, data, self._patterns):
            told = each["kind"] == "unsafe_directory" and each["blocks"]  # by the loop above, or it is mended
            if not told and each["where"].partition(" line ")[0] not in known:
                found.append(each)
        return found + left(self._host, list(self._logs.files), self._params["reopen"])

    def _look_at_schedule(self) -> tuple[dict[str, Any], bool]:
        from . import rotation_schedule as schedule

        found = schedule.look(self._host, self._setup.state)
        wanted = self._params["schedule"] and self._params["state"] == "present"
        mend = wanted and schedule.mendable(found)
        if wanted and not mend:
            self.findings += schedule.problems(found, self._params["every"])
        return found, mend

    def answer(self) -> dict[str, Any]:
        """What is to be done, as it is told in check mode and afterwards."""
        from . import rotation_schedule as schedule

        changes = list(self._mend["changes"]) + self._changes
        steps = [*self._plan.steps, *([self._mend["undo"]] if self._mend["changes"] else [])]
        if self._timer:
            changes.append(schedule.change_of(self._schedule))
            steps.insert(0, schedule.step_of(self._schedule))
        undo = {"kind": "steps", "steps": steps} if steps else NOTHING
        found = _answer(self._path, changes, undo)
        found["files"] = [
            {"path": shown(path), "bytes": seen.st_size} for path, seen in list(self._logs.files.items())[:_MOST]
        ]
        found.update(omitted=self._logs.omitted[:_MOST], findings=self.findings, schedule=self._schedule)
        if self._params["trial"] and self._logs.files:
            found["changes"] = changes + [_forced(shown(path)) for path in self._would_rotate()]
            found["changed"] = bool(found["changes"])
            found["undo"] = undo if steps else dict(_ROTATED)
        found["message"] = self._message(found)
        if self._plan.differs:
            before, after = _text(self._plan.before), _text(self._plan.data)
            found["diff"] = {"before": before, "after": after, "before_header": self._path, "after_header": self._path}
        return found

    def _would_rotate(self) -> list[str]:
        return [path for path, seen in self._logs.files.items() if seen.st_size or self._params["rotate_empty"]]

    def _message(self, found: dict[str, Any]) -> str:
        name, logs = self._params["name"], len(self._logs.files)
        if self._params["state"] == "absent":
            return "%s: %s" % (name, "removed" if self._plan.differs else "there is none")
        said = ["%d log%s" % (logs, "" if logs == 1 else "s")]
        said.append("brought in line" if self._plan.differs else "as wanted")
        if self._timer:
            said.append("the timer is enabled and started")
        said += ["%s: %s" % (each["where"], each["what"]) for each in found["findings"]]
        return "%s: %s" % (name, "; ".join(said))

    def make(self, answer: dict[str, Any]) -> None:
        """Do it; what was done is put back where a later part fails.

        Raises:
            OpsError: It failed; its result says what is different all the same.
        """
        done: list[dict[str, Any]] = []
        try:
            if self._mend["changes"]:
                self._mend = self._directories(False)
                done.insert(0, self._mend["undo"])
            if self._plan.differs:
                done[:0] = self._plan.steps
                self._plan.put()
                demand_verified(self._proof())
            if self._timer:
                self._enable(answer, done)
            if self._params["trial"] and self._logs.files:
                answer["trial"] = self._trial()
        except OpsError as error:
            self._put_back(done, error, answer)
            raise

    def _put_back(self, done: list[dict[str, Any]], error: OpsError, answer: dict[str, Any]) -> None:
        """Undo what was done before error, which says so."""
        known = {key: answer[key] for key in ("files", "omitted", "schedule", "findings")}
        rotated = [_forced(each["path"]) for each in (error.result.get("trial") or {}).get("rotated", [])]
        if rotated:
            known.update(changed=True, changes=rotated, undo=_ROTATED)
        error.result = dict(known, **error.result)
        run_id = self._params["run_id"]
        steps = [step for step in done if step["kind"] != "none"]
        if not steps:
            return
        from .undo import replay_on

        try:
            replay_on(self._host, steps, run_id, False)
            error.hint = ("%s What this call had changed was put back." % error.hint).strip()
        except OpsError as problem:
            error.hint = "%s It could not be put back (%s): runbook undo %s" % (error.hint, problem, run_id)
            undo = {"kind": "steps", "steps": steps}
            error.result.update(changed=True, changes=answer["changes"], undo=undo)

    def _proof(self) -> list[dict[str, Any]]:
        """What logrotate says of the files as they now are."""
        data = self._plan.data
        return [each for each in verify(self._host, self._setup, self._path, data, self._patterns) if each["blocks"]]

    def _enable(self, answer: dict[str, Any], done: list[dict[str, Any]]) -> None:
        from . import rotation_schedule as schedule

        done.insert(0, schedule.step_of(self._schedule))
        now = schedule.mend(self._host, self._setup.state, self._schedule)
        answer["schedule"] = now
        answer["findings"] = self.findings + schedule.problems(now, self._params["every"])
        answer["message"] = self._message(answer)

    def _trial(self) -> dict[str, Any]:
        from .rotation_trial import run as trial

        copies = self._params["reopen"]["method"] == "copytruncate"
        options = {"copies": copies, "empty": self._params["rotate_empty"], "timeout": self._params["trial_timeout"]}
        return trial(self._host, self._setup, self._path, self._logs.files, options)


def _own_stanza(document: Document, patterns: list[str], path: str) -> Stanza | None:
    """The stanza of a drop-in that is the policy's: the one that shares a pattern with it, or the only one.

    Raises:
        Refused: Several do.
    """
    found = [stanza for stanza in document.stanzas if set(stanza.patterns) & set(patterns)]
    if not found and len(document.stanzas) == 1:
        found = document.stanzas
    if len(found) > 1:
        lines = ", ".join(str(stanza.line) for stanza in found)
        raise Refused(
            "its stanzas at lines %s cover paths of this policy" % lines, path, "Make them one, or split paths."
        )
    return found[0] if found else None


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "surrogateescape")


def _said(document: Document | None) -> dict[str, str]:
    """What a drop-in says, in one mapping: of several stanzas each with its line."""
    said: dict[str, str] = {}
    stanzas = document.stanzas if document else []
    for stanza in stanzas:
        lead = "line %d " % stanza.line if len(stanzas) > 1 else ""
        said[lead + "paths"] = _globs(stanza.patterns)
        said.update((lead + each.name, _one_line(each.value)) for each in stanza.body if each.name)
    return said


def _one_line(value: str) -> str:
    return "; ".join(value.split("\n")) or "yes"


def _globs(patterns: list[str]) -> str:
    shown_ones, more = " ".join(patterns[:3]), len(patterns) - 3
    return shown_ones + (" and %d more" % more if more > 0 else "")


def _told(plan: FilePlan, before: dict[str, str], after: dict[str, str]) -> list[dict[str, Any]]:
    """The change of the drop-in, as the directives that differ where there are such."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    if not plan.differs or not keys:
        return plan.changes
    pair = [{key: said[key] for key in keys if key in said} for said in (before, after)]
    return [{"object": plan.path, "before": pair[0], "after": pair[1]}]


def _forced(path: str) -> dict[str, Any]:
    return {"object": path, "before": "in use", "after": "rotated"}


def _answer(path: str, changes: list[dict[str, Any]], undo: dict[str, Any]) -> dict[str, Any]:
    return {
        "changed": bool(changes),
        "changes": changes,
        "undo": undo,
        "message": "",
        "file": path,
        "files": [],
        "omitted": [],
        "findings": [],
        "schedule": None,
        "trial": None,
    }
