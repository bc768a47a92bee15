# SPDX-License-Identifier: BSD-2-Clause
"""The definition of a service's unit in its baseline: its drop-ins, and a unit file of its own.

All of them that lie on disk are kept with their content, in force or not, because the next daemon-reload takes them. A
file of a package or a generator is only named with its hash: that an upgrade replaced it is told, and is no drift.
"""

from __future__ import annotations

import os

from . import unit_look
from .baseline_store import HINT, NoBaseline, copy_of, folder_of, load
from .errors import BadInput, OpsError, Refused
from .files import distrust
from .managed_file import FilePlan, same, snapshot
from .text_diff import text_diff
from .unit_change import Change
from .unit_files import is_judged, is_packaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host

RUNTIME = "/run/systemd/system"
BROKEN = ("loaded", "bad-setting", "error", "not-found")
_VERIFY = "Look at: systemd-analyze verify %s"


class Definition:
    """A unit's definition as it lies on disk.

    Attributes:
        unit: The unit.
        contents: Path -> (snapshot, content) of its drop-ins, and of a unit file of its own.
        links: Path -> target of those that are symbolic links.
        packaged: Path -> SHA-256 of what packages and generators have a part in it.
    """

    def __init__(self, host: Host, text: str, allowed: tuple[str, ...] = ("loaded",)) -> None:
        self.unit = unit_look.look(host, text, "Names,FragmentPath", allowed)
        self.names = self.unit.shown.get("Names", [self.unit.name])[0].split()
        fragment = self.unit.shown.get("FragmentPath", [""])[0]
        found = list(dict.fromkeys(filter(None, [fragment, *self.unit.drop_ins, *self._on_disk()])))
        judged = [path for path in found if is_judged(path)]
        self.links = {path: os.readlink(path) for path in judged if os.path.islink(path)}
        seen = {path: snapshot(path) for path in judged if path not in self.links}
        self.contents = {path: pair for path, pair in seen.items() if pair[0]["present"]}
        packaged = [path for path in found if is_packaged(path) and os.path.isfile(path)]
        self.packaged = {path: str(snapshot(path)[0]["sha256"]) for path in packaged}

    def _on_disk(self) -> list[str]:
        """Drop-ins below /etc and /run: systemd may not have heard of them yet."""
        folders = ["%s/%s.d" % (base, name) for base in _bases() for name in self.names]
        found = [os.path.join(folder, name) for folder in folders for name in _names(folder)]
        return [path for path in found if path.endswith(".conf") and (os.path.islink(path) or os.path.isfile(path))]

    def demand_own(self, path: str) -> None:
        """See that a file may be put there, or taken away from there.

        Raises:
            Refused: It concerns other units, too, or others than root may write into its folder.
        """
        folder, name = os.path.split(path)
        base, own = os.path.split(folder)
        drop_in = base in _bases() and own in ["%s.d" % one for one in self.names]
        if not drop_in and not (folder in _bases() and name in self.names):
            hint = "Put it right by hand: systemctl cat %s" % self.unit.name
            raise Refused("it is no drop-in of %s alone" % self.unit.name, path, hint)
        for each in [folder, base] if drop_in else [folder]:
            what = distrust(os.lstat(each)) if os.path.lexists(each) else ""
            if what:
                raise Refused("the directory cannot be trusted: " + what, each, "Look at it: ls -ld %s" % each)


def _bases() -> list[str]:
    """Where administrators' definitions lie; those ending in .control are made by systemctl set-property."""
    return [base + end for base in (unit_look.UNITS, RUNTIME) for end in ("", ".control")]


def _names(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def captured(host: Host, text: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The `unit` of a manifest, and the contents that it names, by their hash.

    Raises:
        Refused: It cannot be loaded, or what lies on disk is not what the service was started with.
    """
    now = Definition(host, text)
    if now.unit.need_reload:
        hint = "Run systemctl daemon-reload, restart it, see that it stays well, then take the baseline again."
        raise Refused("its definition on disk is not the one in force", now.unit.name, hint)
    entries = [dict(entry, copy=entry["sha256"]) for entry, _data in now.contents.values()]
    packaged = [{"path": path, "sha256": digest} for path, digest in now.packaged.items()]
    kept = {"name": now.unit.name, "files": entries, "links": now.links, "packaged": packaged}
    return kept, {entry["sha256"]: data for entry, data in now.contents.values() if data is not None}


def verified(host: Host, service: str, kept: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What differs from the baseline, as returned in `unit`, and {prepared: unified diff from the baseline to now}.

    Raises:
        Damaged: A copy is missing or damaged.
    """
    was = {entry["path"]: copy_of(service, entry) for entry in kept["files"]}
    now = Definition(host, kept["name"], (*BROKEN, "masked"))
    found = told(kept, now)
    differing = sorted({*found["new"], *found["gone"], *found["changed"]} & {*was, *now.contents})
    pairs = [(path, was.get(path), now.contents.get(path, (None, None))[1]) for path in differing]
    return found, text_diff(pairs) if pairs else {}


def told(kept: dict[str, Any], now: Definition) -> dict[str, Any]:
    """{name, new, gone, changed (paths), packaged ([{path, sha256, upgraded}])}."""
    was = {entry["path"]: entry for entry in kept["files"]}
    before, after = {**was, **kept["links"]}, {**now.contents, **now.links}
    changed = [path for path in before if path in after and not _alike(path, was, kept["links"], now)]
    packaged = [dict(one, upgraded=now.packaged.get(one["path"]) != one["sha256"]) for one in kept["packaged"]]
    return {
        "name": kept["name"],
        "new": [path for path in after if path not in before],
        "gone": [path for path in before if path not in after],
        "changed": changed,
        "packaged": packaged,
    }


def _alike(path: str, was: dict[str, Any], links: dict[str, str], now: Definition) -> bool:
    if path in links or path in now.links:
        return links.get(path) == now.links.get(path)
    return same(was[path], now.contents[path][0])


def sentence(found: dict[str, Any]) -> str:
    """What `told` tells, for a person; empty where nothing differs."""
    parts = ["%s %s" % (word, ", ".join(found[word])) for word in ("new", "gone", "changed") if found[word]]
    return "%s: %s" % (found["name"], "; ".join(parts)) if parts else ""


def restored(host: Host, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """The answer of service_baseline with state=restored and a unit, see there."""
    service, manifest = params["service"], load(params["service"])
    kept = manifest.get("unit")
    if not kept:
        raise NoBaseline("the baseline of %s holds no definition of a unit" % service, folder_of(service), HINT)
    now = Definition(host, params["unit"], BROKEN)
    if now.unit.name != kept["name"]:
        what = "its definition is not in the baseline of %s" % service
        raise BadInput(what, now.unit.name, "In it is that of %s." % kept["name"])
    plans = _plans(params, kept, now)
    if not plans and not now.unit.loaded:
        hint = _VERIFY % now.unit.name
        raise Refused("it cannot be loaded, and yet nothing differs from the baseline", now.unit.name, hint)
    change = Change(host, params, plans, [now.unit], [])
    found = told(kept, now)
    answer = {"captured_at": manifest["captured_at"], "unit": found}
    if not change.changes:
        return dict(answer, message="the definition of %s is as in the baseline" % now.unit.name)
    asides = [plan.steps[0]["aside"] for plan in plans if plan.steps[0]["aside"]]
    answer.update(
        changed=True,
        changes=change.changes,
        undo=change.undo,
        aside=os.path.dirname(asides[0]) if asides else None,
        diff=text_diff([(plan.path, plan.before, plan.data) for plan in plans]),
        message="the definition of %s is as in the baseline again" % now.unit.name,
    )
    if not check:
        change.make(lambda: _demand(host, kept), lambda: None)
    return answer


def _plans(params: dict[str, Any], kept: dict[str, Any], now: Definition) -> list[FilePlan]:
    """What is to be done: foreign files go aside, changed and missing ones come back."""
    for path in sorted({*kept["links"], *now.links}):
        if kept["links"].get(path) != now.links.get(path):
            hint = "See who made it, and put it right by hand: ls -l %s" % path
            raise Refused("a symbolic link among the drop-ins is not as in the baseline", path, hint)
    was = {entry["path"]: entry for entry in kept["files"]}
    plans = [FilePlan(path, None) for path in now.contents if path not in was]
    for path, entry in was.items():
        data = copy_of(params["service"], entry)
        plans.append(FilePlan(path, data, entry["mode"], entry["owner"], entry["group"]))
    differing = [plan.plan(params["run_id"]) for plan in plans if plan.differs]
    for plan in differing:
        now.demand_own(plan.path)
    return differing


def _demand(host: Host, kept: dict[str, Any]) -> None:
    """See what systemd makes of it.

    Raises:
        OpsError: It cannot be loaded, or differs from the baseline all the same.
    """
    now = Definition(host, kept["name"], BROKEN)
    if not now.unit.loaded:
        raise OpsError("its definition cannot be loaded as it was", now.unit.name, _VERIFY % now.unit.name)
    left = sentence(told(kept, now))
    if left or now.unit.need_reload:
        what = left or "its definition is not in force"
        raise OpsError(what, now.unit.name, "See what else writes it: systemctl cat %s" % now.unit.name)
