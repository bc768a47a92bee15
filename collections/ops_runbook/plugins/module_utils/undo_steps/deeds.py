# SPDX-License-Identifier: BSD-2-Clause
"""Which undo steps are to be taken: each is held against the state that the steps before it will have left."""

from __future__ import annotations

from ..errors import BadInput, Refused
from .kinds import joined, kind_of, settled, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host


class Deed:
    """A step about one object, with its place in the replay.

    Attributes:
        step, kind: The step, and the module of its kind.
        key, expected, leaves: Its claim; key is None for a definition, which claims nothing.
        before, after: The state of the object before and after it; before is None where the object is gone.
        back: The steps that take it back; planned before it is taken, when it still shows what will have to be made.
        todo: Whether it has to be taken, or was.
    """

    __slots__ = ("after", "back", "before", "expected", "key", "kind", "leaves", "run_id", "step", "todo")

    def __init__(self, step: dict[str, Any], run_id: str) -> None:
        self.step, self.kind, self.run_id = step, kind_of(step["kind"]), run_id
        claim = getattr(self.kind, "claim", None)
        self.key, self.expected, self.leaves = claim(step) if claim else (None, {}, {})
        self.before: dict[str, Any] | None = None
        self.after: dict[str, Any] = {}
        self.back: list[dict[str, Any]] = []
        self.todo = False

    def place(self, state: dict[str, Any] | None, todo: bool) -> dict[str, Any]:
        """Fix the state before it; returns the state after it."""
        left = {field: value[0] if isinstance(value, tuple) else value for field, value in self.leaves.items()}
        self.before, self.todo = state, todo
        self.after = dict(state or {}, **(left if todo else {}))
        return self.after

    def thing(self) -> str:
        """What a person calls the object."""
        return str(self.kind.thing(self.step))

    def changes(self) -> list[dict[str, Any]]:
        """[{object, before, after}]."""
        return list(self.kind.tell(self.step, self.before, self.after))

    def plan_back(self) -> None:
        """Fill back."""
        self.back = self.kind.inverse(self.step, self.before, self.after, self.run_id) if self.todo else []


def planned(host: Host, steps: list[dict[str, Any]], run_id: str) -> list[Deed]:
    """The steps as deeds, in the order in which they are taken.

    Raises:
        BadInput: A step lacks a field.
        Refused: An object is not as the change left it, or what was kept aside is missing or damaged.
    """
    try:
        deeds = [Deed(part, run_id) for step in joined(settled(steps)) for part in split(step)]
    except KeyError as error:
        raise BadInput("a step lacks its field %s" % error, "steps", "Take it as the module returned it.") from None
    chains: dict[Any, list[Deed]] = {}
    for deed in deeds:
        if deed.key is not None:
            chains.setdefault(deed.key, []).append(deed)
    problems = [problem for problem in (_place(host, chain) for chain in chains.values()) if problem]
    if problems:
        if len(problems) > 1:
            problems[0].what += " (so it is with %d more)" % (len(problems) - 1)
        raise problems[0]
    _place_definitions(host, deeds)
    for deed in deeds:
        problem = deed.kind.problem(deed.step) if deed.todo and hasattr(deed.kind, "problem") else None
        if problem:
            raise problem
    for deed in deeds:
        deed.plan_back()
    return deeds


def _place(host: Host, chain: list[Deed]) -> Refused | None:
    """Find where in the steps about one object it stands: at their beginning, or further on after a crash."""
    live = _seen(host, chain)
    if live is None:
        for deed in chain:
            deed.place(None, False)
        return None
    if any(_fits(chain, start, live) for start in range(len(chain) + 1)):
        return None
    state = live
    for deed in chain:
        if not holds(deed.expected, state):
            break
        state = deed.place(state, True)
    said = (deed.kind.describe(state), deed.kind.describe(deed.expected))
    what = "somebody changed it since: it is now %s, and should be %s" % said
    hint = "%s. Then put it back by hand, or undo the later change first." % deed.kind.hint(deed.step)
    return Refused(what, deed.thing(), hint)


def _seen(host: Host, chain: list[Deed]) -> dict[str, Any] | None:
    """The live state; of a file the steps of one kind want the content, and of another the owner."""
    kinds = {deed.step["kind"]: deed for deed in chain}
    states = [deed.kind.look(host, deed.step) for deed in kinds.values()]
    found = [state for state in states if state is not None]
    return {field: value for state in found for field, value in state.items()} if found else None


def _fits(chain: list[Deed], start: int, live: dict[str, Any]) -> bool:
    """Whether the object is as the steps before number start leave it, and the others can follow; they are placed."""
    past: dict[str, Any] = {}
    for deed in chain[:start]:
        deed.place(live, False)
        past.update(deed.leaves)
    if not holds(past, live):
        return False
    state = live
    for deed in chain[start:]:
        if not holds(deed.expected, state):
            return False
        state = deed.place(state, not holds(deed.leaves, state))
        if deed.todo and not set(deed.expected) <= set(deed.leaves):  # nobody knows what it leaves: it is refused later
            return True
    return True


def holds(claim: dict[str, Any], state: dict[str, Any]) -> bool:
    """Whether a state is as claimed; a tuple claims one of several values."""
    return all(
        state.get(field) in value if isinstance(value, tuple) else state.get(field) == value
        for field, value in claim.items()
    )


def _place_definitions(host: Host, deeds: list[Deed]) -> None:
    now: dict[Any, dict[str, Any]] = {}
    files = False
    for deed in deeds:
        if deed.key is not None:
            now[deed.key] = deed.after
            files = files or (deed.todo and deed.step["kind"] == "file")
            continue
        state = now.get(deed.kind.key(deed.step)) or deed.kind.look(host, deed.step)
        deed.place(state, files or deed.kind.due(deed.step, state))
