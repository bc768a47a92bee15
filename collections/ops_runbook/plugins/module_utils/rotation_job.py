# SPDX-License-Identifier: BSD-2-Clause
"""What a rotation policy changes on this host: planned as a whole, done in order, put back where a part fails."""

from __future__ import annotations

import os

from .errors import BadInput, OpsError, Refused
from .files import account_ids
from .managed_file import FilePlan
from .names import group_name, shown, user_name
from .rotation_file import Document, Stanza, new_stanza, parse_document, render_document
from .rotation_globs import overlap
from .rotation_logs import Logs, unsafe
from .rotation_look import covered_twice, finding, look, pairs
from .rotation_policy import apply_policy, demand_archive, demand_not_rotated, patterns_of, program_of
from .rotation_reopen import demand_reopens
from .rotation_told import NOTHING, ROTATED, answer_of, changes_of, forced, said_by, text_of
from .rotation_verify import demand_verified, verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host

MOST = 200  # logs in the answer


class Job:
    """What is to be done on this host."""

    def __init__(self, host: Host, path: str, params: dict[str, Any]) -> None:
        self._host, self._path, self._params = host, path, params
        self._setup = look(host)
        self._patterns: list[str] = []
        self._logs = Logs([], [])
        self._mend: dict[str, Any] = {"changes": [], "undo": NOTHING}
        self._stanza: Stanza | None = None
        document, data = self._document(), None
        before = said_by(document)
        if params["state"] == "present":
            data = self._present(document)
        elif document is not None:
            data = self._absent(document)
        self._plan = FilePlan(path, data).plan(params["run_id"])
        self._changes = changes_of(self._plan, before, said_by(parse_document(text_of(data), path)))
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
        own = self._own_stanza(document, patterns_of(self._params))
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
            document = parse_document(self._mark(), self._path)
        self._stanza = self._own_stanza(document, self._patterns)
        if self._stanza is None:
            self._stanza = new_stanza(self._patterns)
            document.items.append(self._stanza)
        extension = self._setup.option(self._stanza, "extension") or self._setup.option(self._stanza, "addextension")
        demand_not_rotated(self._patterns, extension or "")
        apply_policy(self._stanza, params, self._patterns, self._su())
        return render_document(document).encode("utf-8", "surrogateescape")

    def _mark(self) -> str:
        """The first line of a drop-in that is the policy's alone."""
        return "# The policy %s of ops.runbook.log_rotation.\n" % self._params["name"]

    def _own_stanza(self, document: Document, patterns: list[str]) -> Stanza | None:
        """The stanza that is the policy's: the one that covers some of its logs, or the only one of a file of our own.

        Raises:
            Refused: Several do.
        """
        found = [
            stanza for stanza in document.stanzas if any(overlap(*pair) for pair in pairs(patterns, stanza.patterns))
        ]
        ours = render_document(document).startswith(self._mark())
        if not found and ours and len(document.stanzas) == 1:  # the policy has other paths now
            found = document.stanzas
        if len(found) > 1:
            lines = ", ".join(str(stanza.line) for stanza in found)
            what = "its stanzas at lines %s cover paths of this policy" % lines
            raise Refused(what, self._path, "Make them one, or split paths.")
        return found[0] if found else None

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
        uid, gid = account_ids(asked.get("owner") or None, asked.get("group") or None)
        if uid is not None and gid is not None:
            owners = {(uid, gid)}
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
        found = answer_of(self._path, changes, undo)
        found["files"] = [
            {"path": shown(path), "bytes": seen.st_size} for path, seen in list(self._logs.files.items())[:MOST]
        ]
        found.update(omitted=self._logs.omitted[:MOST], findings=self.findings, schedule=self._schedule)
        if self._params["trial"] and self._logs.files:
            found["changes"] = changes + [forced(shown(path)) for path in self._would_rotate()]
            found["changed"] = bool(found["changes"])
            found["undo"] = undo if steps else dict(ROTATED)
        found["message"] = self._message(found)
        if self._plan.differs:
            before, after = text_of(self._plan.before), text_of(self._plan.data)
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
        rotated = [forced(each["path"]) for each in (error.result.get("trial") or {}).get("rotated", [])]
        if rotated:
            known.update(changed=True, changes=rotated, undo=ROTATED)
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
