# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks and thresholds as a person wrote them: refused in one line before anything travels, and chosen from."""

from __future__ import annotations

import importlib
import pkgutil
import re
import typing as t

from ..module_utils import collectors, probe
from .errors import BadInput

JUDGING = ("warning", "critical", "expect", "cost", "enabled", "writes")
"""Keys of a check that the controller keeps for itself."""

Json = dict[str, t.Any]

NUMERIC: dict[str, t.Callable[[t.Any, t.Any], bool]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}
OTHER: dict[str, t.Callable[[t.Any, t.Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "in": lambda a, b: a in b,
    "not_in": lambda a, b: a not in b,
    "contains": lambda a, b: b in a,
    "matches": lambda a, b: re.search(b, a) is not None,
}
OPERATORS = (*OTHER, *NUMERIC)
SIZES = {"bytes": 1} | {f"{letter}B": 10 ** (3 * at) for at, letter in enumerate("kMGT", 1)}
SIZES |= {f"{letter}iB": 2 ** (10 * at) for at, letter in enumerate("KMGT", 1)}
SECONDS = {"ms": 0.001, "seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
UNITS = ("percent", "count", *SIZES, *SECONDS)


def load_collectors() -> None:
    """Import all collectors; in the main process, or each worker would import them again, 35 ms for every task."""
    for found in pkgutil.iter_modules(collectors.__path__):
        importlib.import_module(f"{collectors.__name__}.{found.name}")


def validate(checks: Json, thresholds: Json) -> None:
    """Refuse checks and thresholds that do not make sense, before anything travels.

    Raises:
        BadInput: One line: what, where (check and entry), what to do.
    """
    if not checks:
        raise BadInput("no checks", "checks", "Name at least one check.")
    for name, check in checks.items():
        _validate_check(str(name), check)
    for name, lists in thresholds.items():
        if name not in checks:
            raise BadInput("names no check", f"thresholds.{name}", f"Known are {', '.join(checks)}.")
        _is(dict, lists, f"thresholds.{name}", "Write {warning: [...], critical: [...]}.")
        for level, entries in lists.items():
            if level not in ("warning", "critical"):
                raise BadInput("is no level", f"thresholds.{name}.{level}", "Write warning or critical.")
            _validate_rules(f"thresholds.{name}.{level}", checks[name]["type"], entries)


def _validate_check(name: str, check: t.Any) -> None:
    where = f"check {name}"
    _is(dict, check, where, "Write {type: ..., and its arguments}.")
    module, args = probe.plan(name, measured(check))
    for key in ("enabled", "writes"):
        _is(bool, check.get(key, True), f"{where}, {key}", "Write true or false.")
    if check.get("cost", "cheap") not in ("cheap", "deep"):
        raise BadInput(f"{check['cost']!r} is no cost", f"{where}, cost", "Write cheap or deep.")
    if getattr(module, "writes", lambda _: False)(args) and not check.get("writes"):
        raise BadInput("this check writes", where, "Say so with writes: true, and enabled: true where it may.")
    for level in ("warning", "critical"):
        _validate_rules(f"{where}, {level}", check["type"], check.get(level, []))
    if "expect" in check:
        _validate_expect(f"{where}, expect", check["type"], check["expect"])


def _is(kind: type, value: t.Any, where: str, hint: str) -> None:
    if not isinstance(value, kind):
        raise BadInput(f"{value!r} is not of type {kind.__name__}", where, hint)


def _validate_rules(where: str, kind: str, entries: t.Any) -> None:
    _is(list, entries, where, "Write a list of {metric, operator, value}.")
    for number, rule in enumerate(entries):
        _validate_rule(f"{where}[{number}]", kind, rule)


def _validate_rule(where: str, kind: str, rule: t.Any) -> None:
    _is(dict, rule, where, "Write {metric: ..., operator: ..., value: ...}.")
    for key in ("metric", "operator", "value"):
        if key not in rule:
            raise BadInput(f"{key} is missing", where, "Write {metric: ..., operator: ..., value: ...}.")
    for key in rule:
        if key not in ("metric", "operator", "value", "unit"):
            raise BadInput(f"unknown key {key!r}", where, "Known are metric, operator, value, unit.")
    fields = probe.collector(kind).FIELDS
    if str(rule["metric"]).partition(".")[0] not in fields:
        raise BadInput(f"a {kind} check has no metric {rule['metric']!r}", where, f"It has {', '.join(fields)}.")
    if rule["operator"] not in OPERATORS:
        raise BadInput(f"unknown operator {rule['operator']!r}", where, f"Known are {' '.join(OPERATORS)}.")
    _validate_value(where, rule)


def _validate_value(where: str, rule: Json) -> None:
    operator, value, unit = rule["operator"], rule["value"], rule.get("unit")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if operator in NUMERIC and not number:
        raise BadInput(
            f"{value!r} is not a number", f"{where}, value", "Write a number, or add | float to the variable."
        )
    if operator in ("in", "not_in") and not isinstance(value, list):
        raise BadInput(f"{value!r} is not a list", f"{where}, value", f"{operator} compares with a list.")
    if operator == "matches":
        try:
            re.compile(value)
        except (re.error, TypeError) as error:
            raise BadInput(f"{value!r} is no regular expression: {error}", f"{where}, value", "Correct it.") from error
    if unit is None:
        return
    if unit not in UNITS:
        raise BadInput(f"unknown unit {unit!r}", f"{where}, unit", f"Known are {' '.join(UNITS)}.")
    if not number:
        raise BadInput(f"{value!r} has no unit", f"{where}, unit", "Only numbers have units.")


def _validate_expect(where: str, kind: str, text: t.Any) -> None:
    _is(str, text, where, "Write a JMESPath expression in quotes.")
    try:
        names = names_in(expression(text).parsed)
    except ValueError as error:
        raise BadInput(f"does not compile: {' '.join(str(error).split())}", where, "See jmespath.org.") from error
    fields = probe.collector(kind).FIELDS
    for name in sorted(names):
        if name not in fields:
            raise BadInput(f"a {kind} check has no field {name!r}", where, f"It has {', '.join(fields)}.")


def expression(text: str) -> t.Any:
    """A compiled JMESPath expression.

    Raises:
        ValueError: It does not compile.
        BadInput: The package is missing; it is imported late because the sanity import test runs without it.
    """
    try:
        return importlib.import_module("jmespath").compile(text)
    except ImportError as error:
        raise BadInput(
            "the package jmespath is missing on the controller", hint="Install it beside Ansible."
        ) from error


def names_in(node: Json) -> set[str]:
    """The fields of data that an expression looks at.

    Raises:
        ValueError: It has `!a.b`, which JMESPath reads as `(!a).b`: always null.
    """
    kind, children = node["type"], node.get("children", [])
    if kind == "field":
        return {node["value"]}
    if kind in (
        "subexpression",
        "index_expression",
        "projection",
        "filter_projection",
        "value_projection",
        "flatten",
        "pipe",
    ):
        if children[0]["type"] == "not_expression":
            raise ValueError("! binds tighter than the dot, write !(a.b)")
        return names_in(children[0])  # what follows looks into what the first part gave
    return {name for child in children for name in names_in(child)}


def measured(check: Json) -> Json:
    """The part of a check that the target sees."""
    return {key: value for key, value in check.items() if key not in JUDGING}


def modules(check: Json) -> list[str]:
    """What of module_utils must travel for a check: its collector, and what that imports later for such arguments."""
    later: t.Callable[[Json], list[str]] = getattr(probe.collector(check["type"]), "later", lambda _: [])
    return [f"collectors.{check['type']}", *later(check)]


def select(checks: Json, deep: bool, check_mode: bool = False) -> Json:
    """The checks to run: those that are enabled; deep ones only when asked for; never one that writes in check mode.

    Raises:
        BadInput: None is left.
    """
    chosen = {}
    for name, check in checks.items():
        writes = bool(check.get("writes"))
        if not check.get("enabled", not writes) or (writes and check_mode):
            continue
        if check.get("cost") != "deep" or deep:
            chosen[name] = check
    if not chosen:
        raise BadInput("none is left to run", "checks", "All are switched off, deep, or would write.")
    return chosen
