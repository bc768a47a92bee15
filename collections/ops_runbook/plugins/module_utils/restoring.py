# SPDX-License-Identifier: BSD-2-Clause
"""Put one file of a service back, as the inventory declares it, else as in its baseline; the bad one is kept aside."""

from __future__ import annotations

import os

from .baseline_store import SECONDS, NoBaseline, copy_of, earlier, listed, load
from .errors import BadInput, OpsError, Refused
from .files import account_ids, os_error, replace_file, resolved, write_file
from .lease import fence
from .managed_file import aside_path, file_step, put_aside, remove_file, same, sha256, shown, snapshot
from .text_diff import text_diff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .managed_file import Content

_VALIDATOR_SECONDS = 60


def restored(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """The answer of service_baseline with state=restored, see there."""
    path, declared = params["path"], params["content"] is not None
    now, data = snapshot(path)
    wanted, candidate, captured_at = _declared(params, now) if declared else _captured(params)
    answer: dict[str, Any] = {"files": [listed(wanted, [])], "captured_at": captured_at}
    if same(now, wanted):
        return dict(answer, message="%s is as wanted" % path)
    owner = account_ids(wanted["owner"], wanted["group"])  # an account that is gone stops it before anything is touched
    if candidate is not None:
        _validate(params["validate"], candidate, path)
    aside = aside_path(params["run_id"], path, data)
    answer.update(
        changed=True,
        aside=aside,
        changes=[{"object": path, "before": shown(now), "after": shown(wanted)}],
        undo=file_step(path, aside, candidate, (*account_ids(now["owner"], now["group"]), now["mode"])),
        diff={} if declared else text_diff([(path, data, candidate)]),
        message="%s is as in the %s again" % (path, "inventory" if declared else "baseline"),
    )
    if not check:
        with fence(params["lease"], params["run_id"], SECONDS):
            _demand(path, now, Refused("somebody changed it a moment ago", path, "See who, then run again."))
            put_aside(aside, data)
            _put_back(path, wanted, candidate, owner)
            _demand(path, wanted, OpsError("is not what was written", path, "See what else writes it.", answer))
    return answer


def _captured(params: dict[str, Any]) -> tuple[dict[str, Any], Content, str]:
    """The file as the baseline has it: entry, content, and when it was captured."""
    manifest = load(params["service"])
    for entry in manifest["files"]:
        if entry["path"] == params["path"]:
            return entry, copy_of(params["service"], entry), manifest["captured_at"]
    raise BadInput(
        "is not in the baseline of %s" % params["service"],
        params["path"],
        "In it are: %s" % ", ".join(one["path"] for one in manifest["files"]),
    )


def _declared(params: dict[str, Any], now: dict[str, Any]) -> tuple[dict[str, Any], Content, None]:
    """The file as the options declare it; owner and mode from them, else the baseline, else the file as it is."""
    path, data = params["path"], params["content"].encode("utf-8")
    if not data.strip():
        raise BadInput("is empty", "content", "Leave it out to restore from the baseline.")
    manifest = earlier(params["service"]) or {"files": []}
    known = next((one for one in manifest["files"] if one["path"] == path and one["present"]), now)
    found = {field: params[field] or known[field] for field in ("owner", "group", "mode")}
    if None in found.values():
        raise NoBaseline("neither a file nor a baseline tells its owner and mode", path, "Set owner, group and mode.")
    if len(found["mode"]) != 4 or set(found["mode"]) - set("01234567"):
        raise BadInput("%r is not an octal mode of four digits" % found["mode"], "mode", "Write it quoted: '0640'.")
    return dict(found, path=path, present=True, sha256=sha256(data)), data, None


def _demand(path: str, wanted: dict[str, Any], problem: OpsError) -> None:
    """Look again: a write that was not read back did not happen, and one over another's change must not."""
    if not same(snapshot(path)[0], wanted):
        raise problem


def _put_back(path: str, wanted: dict[str, Any], candidate: Content, owner: tuple[int | None, int | None]) -> None:
    if candidate is None:
        remove_file(path)
    else:
        replace_file(resolved(path), candidate, int(wanted["mode"], 8), *owner)


def _validate(argv: list[str] | None, candidate: bytes, path: str) -> None:
    """Let a command judge the candidate, in a folder that nobody else can enter, under the file's own name."""
    if not argv:
        return
    if not any("%s" in part for part in argv):
        raise BadInput("does not say where the candidate belongs", "validate", "Put %s in place of the file's name.")
    base = "/run" if os.access("/run", os.W_OK) else "/tmp"  # noqa: S108 - mkdir refuses what is there already
    folder = "%s/ops-runbook-candidate-%s" % (base, os.urandom(8).hex())
    file = os.path.join(folder, os.path.basename(path))
    try:
        os.mkdir(folder, 0o700)
        try:
            write_file(file, candidate)
            _demand_valid([part.replace("%s", file) for part in argv], path)
        finally:
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
            os.rmdir(folder)
    except OSError as error:
        raise os_error(error, folder) from None


def _demand_valid(argv: list[str], path: str) -> None:
    from .host import LocalHost
    from .redact import redact

    done = LocalHost().run(argv, timeout=_VALIDATOR_SECONDS)
    if done.rc:
        lines = redact(done.stdout + "\n" + done.stderr).split("\n")
        said = " | ".join(line.strip() for line in lines if line.strip())[-500:] or "no message"
        raise Refused(
            "what would be put back does not pass %s (exit code %d): %s" % (argv[0], done.rc, said),
            path,
            "Correct what the inventory declares, or take a baseline once the service is well.",
        )
