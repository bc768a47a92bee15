# SPDX-License-Identifier: BSD-2-Clause
"""Put a file back: content, owner and mode as they were, or no file and none of the folders made for it."""

from __future__ import annotations

import os

from .. import managed_file
from ..errors import OpsError, Refused
from ..files import account_ids, ensure_directory, read_file, replace_file, resolved
from ..managed_file import (
    LIMIT,
    aside_path,
    file_step,
    missing_folders,
    put_aside,
    remove_file,
    remove_folders,
    sha256,
    snapshot,
)
from ..names import group_name, user_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

ABSENT = {"sha256": None, "begins": None, "uid": None, "gid": None, "mode": None, "content": None}


def thing(step: dict[str, Any]) -> str:
    """The file."""
    return str(step["path"])


def claim(step: dict[str, Any]) -> tuple[tuple[str, str], dict[str, Any], dict[str, Any]]:
    """The content as the change left it; afterwards content, owner and mode as before the change."""
    return ("path", step["path"]), {"sha256": step["sha256"]}, _wanted(step)


def problem(step: dict[str, Any]) -> Refused | None:
    """Why it could not be taken: what was kept aside is missing, or damaged."""
    try:
        if step["aside"] is not None:
            kept(step["aside"])
    except Refused as error:
        return error
    return None


def look(host: Host, step: dict[str, Any]) -> dict[str, Any]:
    """{sha256, begins (its first 16 digits), uid, gid, mode, content}, all None where there is no file."""
    seen, data = snapshot(step["path"])
    if data is None:
        return dict(ABSENT)
    uid, gid = account_ids(seen["owner"], seen["group"])
    owner = {"uid": uid, "gid": gid, "mode": seen["mode"]}
    return dict(owner, sha256=seen["sha256"], begins=seen["sha256"][:16], content=data)


def describe(state: dict[str, Any]) -> str:
    """Which content it is."""
    return "content %s" % state["sha256"][:12] if state["sha256"] else "no file"


def hint(step: dict[str, Any]) -> str:
    """How a person sees what somebody changed."""
    return "Compare: diff %s %s" % (step["aside"] or "/dev/null", step["path"])


def tell(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """The change as every module tells one of a file."""
    pair = {"before": _shown(before), "after": _shown(after)}
    return [dict(pair, object=step["path"])] if pair["before"] != pair["after"] else []


def inverse(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any], run_id: str) -> list[dict[str, Any]]:
    """The step that takes this one back."""
    aside = aside_path(run_id, step["path"], before["content"])
    owner = (before["uid"], before["gid"], before["mode"])
    back = file_step(step["path"], aside, after["content"], owner)
    return [dict(back, folders=missing_folders(os.path.dirname(step["path"])) if aside is None else [])]


def take(host: Host, step: dict[str, Any], before: dict[str, Any], run_id: str) -> None:
    """Put it back, what is there now aside first, and read it back.

    Raises:
        Refused: Somebody changed it since it was looked at.
        OpsError: The operating system said no, or something else writes the file.
    """
    path, wanted = step["path"], _wanted(step)
    if look(host, step)["sha256"] != before["sha256"]:
        raise Refused("somebody changed it a moment ago", path, hint(step))
    put_aside(aside_path(run_id, path, before["content"]), before["content"])
    if wanted["content"] is None:
        remove_file(path)
    else:
        for folder in missing_folders(os.path.dirname(path)):
            ensure_directory(folder, 0o700 if folder.startswith(managed_file.STATE) else 0o755)
        replace_file(resolved(path), wanted["content"], int(wanted["mode"], 8), wanted["uid"], wanted["gid"])
    if look(host, step) != wanted:
        raise OpsError("is not what was put back", path, "See what else writes it.")
    tidy(host, step)


def tidy(host: Host, step: dict[str, Any]) -> None:
    """Remove the folders that were made for a file that is not there any more, as far as they are empty."""
    if step["aside"] is None:
        remove_folders(step["folders"])


def _wanted(step: dict[str, Any]) -> dict[str, Any]:
    """What it leaves; of what was kept aside and is missing only the beginning of its hash is known."""
    if step["aside"] is None:
        return dict(ABSENT)
    owner = {"uid": step["uid"], "gid": step["gid"], "mode": step["mode"], "begins": step["aside"][-16:]}
    if problem(step):
        return owner
    data = kept(step["aside"])
    return dict(owner, sha256=sha256(data), content=data)


def kept(aside: str) -> bytes:
    """What a run kept aside; its name ends with the beginning of the hash of its content.

    Raises:
        Refused: It is missing or another content.
    """
    try:
        data = read_file(aside, LIMIT)[0]
    except FileNotFoundError:
        raise Refused("what was kept aside is missing", aside, "Put it back by hand, from a backup.") from None
    if not aside.endswith("." + str(sha256(data))[:16]):
        raise Refused("what was kept aside is damaged", aside, "Put it back by hand, from a backup.")
    return data


def _shown(state: dict[str, Any]) -> dict[str, Any] | None:
    if state["content"] is None:
        return None
    owner = {"owner": user_name(state["uid"]), "group": group_name(state["gid"])}
    return dict(owner, sha256=state["sha256"], mode=state["mode"])
