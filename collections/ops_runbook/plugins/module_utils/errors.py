# SPDX-License-Identifier: BSD-2-Clause
"""The error tree of what runs on a target: what is wrong, where, and what to do about it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class OpsError(Exception):
    """Something a person has to know.

    Args:
        what: What is wrong, one clause.
        where: The file, unit, option or host that it concerns; empty when `what` names it.
        hint: The next step, as an imperative or a literal command.
        result: What was already done (`changed`, `changes`, `undo`, ...): merged into the module's answer, so that
            nothing
            that happened before the failure is lost.
    """

    def __init__(self, what: str, where: str = "", hint: str = "", result: dict[str, Any] | None = None) -> None:
        self.what, self.where, self.hint, self.result = what, where, hint, result or {}
        super().__init__(what)

    def __str__(self) -> str:
        text = "%s: %s" % (self.where, self.what) if self.where else self.what
        return "%s. %s" % (text.rstrip("."), self.hint) if self.hint else text


class BadInput(OpsError):
    """The caller asked for something that does not make sense; the target was not touched."""


class CannotLook(OpsError):
    """A collector could not look (no permission, tool missing, its own time up): unknown, never healthy."""


class Refused(OpsError):
    """A guard said no; the target was not touched."""


def answer(
    run: Callable[[dict[str, Any], bool], dict[str, Any]], params: dict[str, Any], check: bool
) -> dict[str, Any]:
    """Call run(params, check); what a person has to know becomes a failed result. Both roads of a module end here."""
    try:
        return run(params, check)
    except OpsError as error:
        return dict(
            error.result,
            failed=True,
            msg=str(error),
            error={"kind": type(error).__name__, "what": error.what, "where": error.where, "hint": error.hint},
        )


def join(module: Any, run: Callable[[dict[str, Any], bool], dict[str, Any]]) -> None:
    """The ordinary road's main(): call run with an AnsibleModule's arguments and end as Ansible expects."""
    result = answer(run, module.params, module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)
