# SPDX-License-Identifier: BSD-2-Clause
"""Put back what a run changed, from the undo steps that its modules returned (docs/design.md, "Undo").

All steps are checked before the first is taken: one object that somebody changed since, and nothing is touched. What is
already as it was is left alone, so an undo that was killed half way is completed by running it again.

A kind of step is a file `undo_steps/<kind>.py` with `thing` (what a person calls it), `claim` (key, state that must
hold, state that it leaves; a value may be a tuple of those that count as the same), `look` (the live state; None: it is
gone for good), `describe`, `hint`, `tell` (the changes), `inverse` (the steps back) and `take`; and, where it needs
them, `split` (into steps about one object each), `merge`, `begin` (before the first write), `tidy` (afterwards) and
`note` (what a person must know besides).
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

from .errors import BadInput, OpsError, Refused
from .host import LocalHost
from .undo_steps.deeds import planned
from .undo_steps.kinds import flattened, joined, restarting, turned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from .host import Host
    from .undo_steps.deeds import Deed

_NOTHING = {"kind": "none", "reason": "nothing was changed"}
_SHOWN = 6  # objects in a message
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@._-")


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Replay params["steps"], under the leases that the undone run had.

    Returns:
        changed, changes, undo, message, steps ([{kind, object, done}]): the same keys on every path.
    """
    with _told(), ExitStack() as held:
        _hold(held, params, check)
        return replay(params["steps"], params.get("run_id"), check)


@contextmanager
def _told() -> Iterator[None]:
    """An error's result has the same keys as an answer."""
    try:
        yield
    except OpsError as error:
        error.result = dict(answer([], []), **dict(error.result, message=str(error)))
        raise


def _hold(held: ExitStack, params: dict[str, Any], check: bool) -> None:
    own, run_id = params.get("lease") or "", params.get("run_id")
    others = [name for name in params.get("leases") or [] if name != own]
    if own or others:
        from . import lease

        for name in others:
            held.enter_context(_taken(lease, name, params, check))
        if not check:
            held.enter_context(lease.fence(own, run_id, longest(params["steps"])))


@contextmanager
def _taken(lease: Any, name: str, params: dict[str, Any], check: bool) -> Iterator[None]:
    """The lease for as long as the undo takes; where the run has it already, it keeps it."""
    seconds, run_id = longest(params["steps"]), params.get("run_id")
    options = {"name": name, "run_id": run_id, "holder": "undo", "ttl": seconds}
    got = lease.run(dict(options, state="acquired"), check)
    try:
        with lease.fence("" if check else name, run_id, seconds):
            yield
    finally:
        if got["changed"]:
            lease.run(dict(options, state="released"), check)


def longest(steps: list[dict[str, Any]]) -> float:
    """Seconds that these steps take at most."""
    limits = {
        "definition": 450.0,
        "enablement": 120.0,
        "service_state": 450.0,
        "unit": 570.0,
        "timer": 1000.0,
    }  # see service.longest
    return 60.0 + sum(limits.get(step["kind"], 0.0) for step in flattened(steps))


def replay(steps: list[dict[str, Any]], run_id: str | None, check: bool) -> dict[str, Any]:
    """Take undo steps, in their order.

    Args:
        steps: As modules return them; {kind: steps, steps: [...]} may be among them.
        run_id: The run that undoes; what it replaces is kept aside under this id.
        check: Only say what would be done.

    Returns:
        changed, changes ([{object, before, after}]), undo (the inverse steps, or none), message (one line),
        steps ([{kind, object, done}]).

    Raises:
        BadInput: A step is not one.
        Refused: An object is not as the change left it, or what was kept aside is missing or damaged. Nothing was done.
        OpsError: A step failed; `result` has what was done until then, with its own undo.
    """
    return replay_on(LocalHost(), steps, run_id, check)


def replay_on(host: Host, steps: list[dict[str, Any]], run_id: str | None, check: bool) -> dict[str, Any]:
    """As replay, on any host."""
    with _told(), ExitStack() as held:
        demand_run(run_id)
        flat = restarting(list(flattened(steps)))
        taken = [step for step in flat if step["kind"] != "none"]
        left = [step for step in flat if step["kind"] == "none"]
        if not check and any(step["kind"] == "timer" for step in taken):
            from .until_timer import alone

            held.enter_context(alone())
        deeds = planned(host, taken, run_id or "standalone")
        if not check:
            _act(host, deeds, left)
        return answer(deeds, left)


def demand_run(run_id: str | None) -> None:
    """What becomes the name of a folder must be harmless there.

    Raises:
        BadInput: It is not.
    """
    if run_id and (run_id[0] in ".-" or not _LETTERS.issuperset(run_id) or len(run_id) > 100):
        raise BadInput("%r cannot be the name of a folder" % run_id, "run_id", "Use letters, digits and @ . _ - only.")


def _act(host: Host, deeds: list[Deed], left: list[dict[str, Any]]) -> None:
    for deed in deeds:
        if deed.todo and hasattr(deed.kind, "begin"):
            deed.kind.begin(deed.step, deed.before)
    for number, deed in enumerate(deeds):
        try:
            if deed.todo:
                deed.kind.take(host, deed.step, deed.before, deed.run_id)
            elif hasattr(deed.kind, "tidy"):
                deed.kind.tidy(host, deed.step)
        except OpsError as error:
            if _is_gone(host, deed):
                continue
            _stop_at(host, deeds, number, error)
            error.result = answer(deeds, left)
            raise


def _is_gone(host: Host, deed: Deed) -> bool:
    """Whether the object is there no more: a service that an earlier step has stopped takes files along."""
    try:
        if deed.key is None or deed.kind.look(host, deed.step) is not None:
            return False
    except OpsError:
        return False
    deed.place(None, False)
    deed.plan_back()
    return True


def _stop_at(host: Host, deeds: list[Deed], number: int, error: OpsError) -> None:
    """The deed failed: whether it changed something all the same is looked at; those after it are not done."""
    failed = deeds[number]
    try:
        failed.after = failed.kind.look(host, failed.step) or failed.before or {}
        untouched = isinstance(error, Refused) and failed.key is not None
        failed.todo = failed.todo and not untouched and bool(failed.changes())
    except OpsError:  # nobody can tell: it counts as done, so that its own undo looks first
        failed.todo = True
    failed.plan_back()
    for later in deeds[number + 1 :]:
        later.todo = False


def answer(deeds: list[Deed], left: list[dict[str, Any]]) -> dict[str, Any]:
    """What a replay returns; left are the steps that put nothing back."""
    done = [deed for deed in deeds if deed.todo]
    back = joined(turned([step for deed in done for step in deed.back]))
    steps = [{"kind": deed.step["kind"], "object": deed.thing(), "done": deed.todo} for deed in deeds]
    steps += [{"kind": "none", "object": step.get("object", ""), "done": False} for step in left]
    return {
        "changed": bool(done),
        "changes": [change for deed in done for change in deed.changes()],
        "undo": {"kind": "steps", "steps": back} if back else _NOTHING,
        "message": _message(deeds, left),
        "steps": steps,
    }


def _message(deeds: list[Deed], left: list[dict[str, Any]]) -> str:
    idle = [deed for deed in deeds if not deed.todo]
    groups = (
        ("put back", _things([deed for deed in deeds if deed.todo])),
        ("already as it was", _things([deed for deed in idle if deed.before is not None])),
        ("gone", _things([deed for deed in idle if deed.before is None])),
        ("left", [" ".join(filter(None, [step.get("object"), "(%s)" % step["reason"]])) for step in left]),
    )
    said = ["%s: %s" % (label, _some(list(dict.fromkeys(things)))) for label, things in groups if things]
    return "; ".join(said) or "nothing to put back"


def _things(deeds: list[Deed]) -> list[str]:
    """What they are about, each once; of what a person must know besides, what the last one says."""
    notes = {deed.thing(): _note(deed) for deed in deeds}
    return [thing + note for thing, note in notes.items()]


def _note(deed: Deed) -> str:
    note = deed.kind.note(deed.step, deed.before, deed.todo) if hasattr(deed.kind, "note") else ""
    return " (%s)" % note if note else ""


def _some(things: list[str]) -> str:
    more = len(things) - _SHOWN
    return ", ".join(things[:_SHOWN]) + (" and %d more" % more if more > 0 else "")
