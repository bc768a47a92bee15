# SPDX-License-Identifier: BSD-2-Clause
"""The variables that a call wants: checked, computed where they depend on the host, and which of them are secret."""

from __future__ import annotations

from .environment_file import demand_name, demand_value
from .errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .unit_look import Unit

MASK = "(secret)"
_SHORTEST = 4  # characters; masking less would mask half of every answer
# Each pattern of redact.py needs one of these in a name; without, its 15 ms of import are saved.
_SUSPECT = ("pass", "pwd", "secret", "token", "cred", "auth", "key")
_SHAPELESS = 16  # characters; what is shorter and no address has no shape of a secret


class Wanted:
    """A variable: value is None where it is to go away; note tells how it was computed."""

    __slots__ = ("note", "secret", "value")

    def __init__(self, value: str | None, secret: bool, note: str = "") -> None:
        self.value, self.secret, self.note = value, secret, note


def wanted_of(params: dict[str, Any], unit: Unit, known: list[str]) -> dict[str, Wanted]:
    """The variables of a call by name; known are those that an earlier one set.

    Raises:
        BadInput: A name or a value that systemd would not pass on, or a variable given twice or not at all.
    """
    plain, secret = params["variables"] or {}, params["secrets"] or {}
    for name in [*plain, *secret]:
        demand_name(str(name), "variables" if name in plain else "secrets")
    twice = sorted(set(plain) & set(secret))
    if twice:
        raise BadInput("%s is given twice" % twice[0], "variables, secrets", "Keep one of them.")
    if params["state"] == "absent":
        names = [*plain, *secret] or known
        return {name: Wanted(None, name in secret) for name in names}
    if not plain and not secret:
        raise BadInput("no variable is given", "variables, secrets", "Give names and values.")
    found = {name: _plain(name, raw, unit) for name, raw in plain.items()}
    found.update((name, _secret(name, raw)) for name, raw in secret.items())
    return found


def _plain(name: str, raw: Any, unit: Unit) -> Wanted:
    where, note = "variables.%s" % name, ""
    if isinstance(raw, dict):
        text, note = _computed(raw, unit, where)
    else:
        text = _text(name, raw, where)
    return Wanted(demand_value(name, text, where), looks_secret(name, text), note)


def _secret(name: str, raw: Any) -> Wanted:
    where = "secrets.%s" % name
    text = _text(name, raw, where)
    if len(text) < _SHORTEST:
        hint = "Use a longer one, or give it in variables."
        raise BadInput("a secret of less than %d characters cannot be masked" % _SHORTEST, where, hint)
    return Wanted(demand_value(name, text, where), True)


def _text(name: str, raw: Any, where: str) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if not isinstance(raw, (str, int, float)):
        hint = "Use text, a number or a truth value, quoted where in doubt."
        raise BadInput("%s has no value that a variable can have" % name, where, hint)
    return str(raw)


def _computed(raw: dict[str, Any], unit: Unit, where: str) -> tuple[str, str]:
    from .sizing import compute, cpus_of, memory_of

    cpus = cpus_of(unit.shown.get("CPUQuotaPerSecUSec", [""])[0])
    memory = memory_of(unit.shown.get("MemoryMax", [""])[0])
    value = compute(raw, cpus, memory, where)
    return str(value), "of %d CPUs" % cpus if raw["of"] == "cpus" else "of %d bytes of memory" % memory


def looks_secret(name: str, value: str) -> bool:
    """Whether people should not see the value, although nobody called it a secret."""
    if len(value) < _SHAPELESS and "://" not in value and not any(word in name.lower() for word in _SUSPECT):
        return False
    from .redact import redact

    line = "%s=%s" % (name, value)
    return redact(line) != line
