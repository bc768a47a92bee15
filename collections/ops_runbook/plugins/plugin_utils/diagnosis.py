# SPDX-License-Identifier: GPL-3.0-or-later
"""From a probe document to its cause: pure functions over data.

A cause's `when` is JMESPath over the probe document. JMESPath answers null for a missing path and `null != 'x'` is
true, so a
typing error would make a cause hold; hence every expression is validated when loaded, and a condition that rests on a
check or
field that is absent or could not be determined does not hold.
"""

from __future__ import annotations

import functools
import importlib
import typing as t

from .errors import BadInput

try:
    import jmespath
    from jmespath.exceptions import JMESPathError
except ImportError:  # the sanity import test runs without it; validate() says so to people
    jmespath = None  # type: ignore[assignment] # a module or nothing
    JMESPathError = ValueError  # type: ignore[misc,assignment] # its base class

RISKS = ("low", "medium", "high", "destructive")
ALWAYS = "always"
"""Of a cause's `ask`: a person is asked although the inventory wants the service to run."""
PARTS = ("data", "status", "summary")
FALSE = "the condition is false"
_REQUIRED = ("cause", "when", "explains", "why", "remedy", "risk")
_OPTIONAL = ("ask", "next_step", "disrupts", "prevent")
_DYNAMIC = {
    "pipe": "a pipe hides which check is meant",
    "current": "@ hides which check is meant",
    "value_projection": "a wildcard names no check",
    "multi_select_list": "a list builds a new document",
    "multi_select_dict": "a hash builds a new document",
}

_COLLECTORS = "ansible_collections.ops.runbook.plugins.module_utils.collectors"

Json = dict[str, t.Any]


class Reference(t.NamedTuple):
    """What a condition looks at: checks.<check>.<part>[.<field>]."""

    check: str
    part: str
    field: str | None


@functools.cache
def fields_of(kind: str) -> frozenset[str]:
    """The fields that a check of this type measures; empty for a type that does not exist."""
    try:
        return frozenset(importlib.import_module(f"{_COLLECTORS}.{kind}").FIELDS)
    except ImportError:
        return frozenset()


_PATHS = ("field", "subexpression", "index_expression", "projection", "filter_projection", "flatten")


def _path(node: Json) -> tuple[list[str], bool]:
    """The leading static names of a node, and whether names may follow (not after an index or a projection)."""
    kind, children = node["type"], node.get("children", [])
    if kind == "field":
        return [node["value"]], True
    if kind in ("projection", "filter_projection", "flatten"):
        return _path(children[0])[0], False
    names: list[str] = []
    if kind in ("subexpression", "index_expression"):
        for child in children:
            more, open_end = _path(child)
            names += more
            if not open_end:
                return names, False
        return names, True
    return names, False


def references(expression: str) -> list[Reference]:
    """What a condition looks at.

    Raises:
        BadInput: It does not compile, or does not name its checks statically.
    """
    if jmespath is None:
        raise BadInput(
            "the Python package jmespath is missing on the controller", hint="Install jmespath beside Ansible."
        )
    try:
        tree: Json = dict(jmespath.compile(expression).parsed)
    except JMESPathError as error:
        raise BadInput(f"does not compile: {' '.join(str(error).split())}", where=repr(expression)) from error
    return list(_walk(tree, expression))


def _walk(node: Json, expression: str) -> t.Iterator[Reference]:
    kind, children = node["type"], node.get("children", [])
    if kind in _DYNAMIC:
        raise BadInput(_DYNAMIC[kind], where=repr(expression), hint="Write checks.<name>.data.<field>.")
    if kind in _PATHS:
        if _head_of(node)["type"] == "not_expression":
            raise BadInput("! binds tighter than the dot", where=repr(expression), hint="Write !(checks.a.b).")
        names, _open_end = _path(node)
        if names:
            yield _reference(names, expression)
            return
    for child in children:
        yield from _walk(child, expression)


def _head_of(node: Json) -> Json:
    while node["type"] in ("subexpression", "index_expression"):
        node = node["children"][0]
    return node


def _reference(names: list[str], expression: str) -> Reference:
    if names[0] != "checks" or len(names) < 3:
        raise BadInput(
            f"{'.'.join(names)} is not a part of a check",
            where=repr(expression),
            hint="Write checks.<name>.data.<field>.",
        )
    return Reference(names[1], names[2], names[3] if len(names) > 3 else None)


def validate(causes: list[Json], checks: dict[str, Json]) -> list[str]:
    """What is wrong with a pack's causes, one line each: what, where, what to do. Empty when all is well."""
    errors: list[str] = []
    seen: set[str] = set()
    for number, cause in enumerate(causes, 1):
        name = str(cause.get("cause") or f"number {number}")
        errors += [f"cause {name}: {problem}" for problem in _problems(cause, checks)]
        if name in seen:
            errors.append(f"cause {name}: is defined twice; names must differ")
        seen.add(name)
    return errors


def demand_valid(causes: list[Json], checks: dict[str, Json]) -> None:
    """Refuse causes with which something is wrong.

    Raises:
        BadInput: All that is wrong with them.
    """
    errors = validate(causes, checks)
    if errors:
        raise BadInput("; ".join(errors), hint="Correct the pack's causes; nothing was done.")


def _problems(cause: Json, checks: dict[str, Json]) -> t.Iterator[str]:
    yield from (f"{key} is missing" for key in _REQUIRED if cause.get(key) in (None, ""))
    yield from (
        f"{key} is not a key of a cause; known are {', '.join((*_REQUIRED, *_OPTIONAL))}"
        for key in cause
        if key not in (*_REQUIRED, *_OPTIONAL)
    )
    if not isinstance(cause.get("prevent", ""), str):
        yield "prevent is not a text; say in a sentence or two what keeps it from coming back"
    if cause.get("risk") not in (None, *RISKS):
        yield f"risk {cause['risk']!r} is none of {', '.join(RISKS)}"
    if cause.get("ask", False) not in (True, False, ALWAYS):
        yield f"ask {cause['ask']!r} is none of true, false, {ALWAYS}"
    yield from (
        f"explains an unknown check {name!r}; known are {', '.join(checks)}"
        for name in cause.get("explains") or []
        if name not in checks
    )
    disrupts = cause.get("disrupts", False)
    conditions = [str(cause.get("when") or "`false`"), *([disrupts] if isinstance(disrupts, str) else [])]
    if not isinstance(disrupts, str | bool):
        yield f"disrupts {disrupts!r} is neither true, false nor a condition"
    for condition in conditions:
        try:
            for reference in references(condition):
                yield from _unknown(reference, checks)
        except BadInput as error:
            yield str(error)


def _unknown(reference: Reference, checks: dict[str, Json]) -> t.Iterator[str]:
    spec = checks.get(reference.check)
    if spec is None:
        yield f"looks at an unknown check {reference.check!r}; known are {', '.join(checks)}"
    elif reference.part not in PARTS:
        yield f"checks.{reference.check}.{reference.part}: a check has {', '.join(PARTS)}"
    elif reference.part == "data" and reference.field not in fields_of(str(spec.get("type"))):
        known = ", ".join(sorted(fields_of(str(spec.get("type")))))
        yield f"checks.{reference.check}.data has no field {reference.field!r}; a {spec.get('type')} check has {known}"


def _undetermined(reference: Reference, document: Json) -> str | None:
    """Why a condition may not rest on this reference, or None when it may."""
    check = document["checks"].get(reference.check)
    if check is None:
        return f"{reference.check} was not looked at"
    if check["status"] == "unknown":
        return f"{reference.check} is unknown: {check['summary']}"
    if reference.part == "data" and (reference.field not in check["data"] or reference.field in check["missing"]):
        return f"{reference.check}.{reference.field} could not be determined"
    return None


def holds(cause: Json, document: Json) -> tuple[bool, str]:
    """Whether the cause's condition holds on the document, and if not, why."""
    for reference in references(cause["when"]):
        reason = _undetermined(reference, document)
        if reason:
            return False, reason
    return _evaluated(cause["when"], document)


def disrupts(cause: Json, document: Json) -> bool:
    """Whether the remedy takes down what still serves; where that cannot be told, it counts as if it did."""
    said = cause.get("disrupts", False)
    if isinstance(said, bool):
        return said
    unclear = any(_undetermined(reference, document) for reference in references(said))
    true, reason = _evaluated(said, document)
    return true or unclear or reason != FALSE


def _evaluated(condition: str, document: Json) -> tuple[bool, str]:
    try:
        value = jmespath.search(condition, document)
    except JMESPathError as error:
        return False, f"the condition cannot be evaluated: {' '.join(str(error).split())}"
    except TypeError as error:  # '5' > 3
        return False, f"the condition cannot be evaluated: {error}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return False, f"the condition gives the number {value}; compare it"
    return bool(value), "" if value else FALSE


def facts_of(cause: Json, document: Json) -> Json:
    """What the cause's condition looked at, as far as it is known: {"unit.active_state": "failed"}."""
    found: Json = {}
    for reference in references(cause["when"]):
        if _undetermined(reference, document) is None:
            check = document["checks"][reference.check]
            if reference.field is None:
                found[f"{reference.check} {reference.part}"] = check[reference.part]
            else:
                found[f"{reference.check}.{reference.field}"] = check["data"][reference.field]
    return found


def diagnose(document: Json, causes: list[Json], tried: t.Collection[str] = ()) -> Json:
    """Name the causes that hold.

    Args:
        document: A probe document.
        causes: The pack's causes, in order of precedence, validated.
        tried: Remedies that this run has already used; never the same one twice.

    Returns:
        `causes` (those that hold, in order), `chosen` (the first whose remedy was not tried, or None), `rejected`
        (`{cause, reason}` each), `unexplained` (critical checks that no holding cause explains), `facts` (cause ->
        what its condition looked at, see facts_of).
    """
    holding: list[Json] = []
    rejected: list[Json] = []
    for cause in causes:
        true, reason = holds(cause, document)
        if true:
            holding.append({**cause, "disrupts": disrupts(cause, document)} if "disrupts" in cause else cause)
        else:
            rejected.append({"cause": cause["cause"], "reason": reason})
    explained = {name for cause in holding for name in cause["explains"]}
    critical = [name for name, check in document["checks"].items() if check["status"] == "critical"]
    return {
        "causes": holding,
        "chosen": next((cause for cause in holding if cause["remedy"] not in tried), None),
        "rejected": rejected,
        "unexplained": [name for name in critical if name not in explained],
        "facts": {cause["cause"]: facts_of(cause, document) for cause in causes},
    }
