# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents as text for people; of the world outside only the terminal's width is asked."""

from __future__ import annotations

import textwrap
from typing import Any

from runbook_cli.project import FIELDS
from runbook_cli.standing import lines
from runbook_cli.terminal import columns, some

Document = dict[str, Any]


def list_text(found: list[Document]) -> str:
    """`runbook list`: a block for each playbook."""
    return "\n\n".join(_header(playbook) for playbook in found) or "This project has no playbooks."


def _header(playbook: Document) -> str:
    fields = [[field.replace("_", " "), playbook[field]] for field in FIELDS[1:] if playbook[field]]
    title = f"{playbook['name']}: {playbook['title']}" if playbook["title"] else playbook["name"]
    return "\n".join([title, *([columns(fields, "  ")] if fields else [])])


def show_text(document: Document) -> str:
    """`runbook show`."""
    parts = [_header(document)]
    parts += [
        f"Causes of {pack['service']}, in the order in which they are tried\n{_causes(pack['causes'])}"
        for pack in document["packs"]
    ]
    if document["variables"]:
        parts.append("Variables\n" + "\n".join(_variable(variable) for variable in document["variables"]))
    parts.append(f"Command\n  {document['command']}")
    return "\n\n".join(parts)


def _causes(causes: list[Document]) -> str:
    rows = [["CAUSE", "REMEDY", "RISK", "WHY"]]
    for cause in causes:
        risk = f"{cause['risk'] or '-'}{', asks' if cause['ask'] else ''}"
        rows.append([str(cause["cause"]), str(cause["remedy"]), risk, " ".join(str(cause["why"] or "").split())])
    return columns(rows, "  ")


def _variable(variable: Document) -> str:
    kind = str(variable["type"])
    if variable["choices"]:
        kind += ": " + " | ".join(str(choice) for choice in variable["choices"])
    default = (
        "required"
        if variable["required"]
        else f"default {variable['default']!r}"
        if variable["default"] is not None
        else ""
    )
    head = f"  {variable['name']} ({', '.join(filter(None, [kind, default]))})"
    return "\n".join(
        [head, textwrap.fill(variable["description"], 110, initial_indent="      ", subsequent_indent="      ")]
    )


MANY = 12
"""More targets than these are told by outcome when the run was stopped and no summary of it is left."""


def run_text(document: Document, fleet: list[str] | None = None) -> str:
    """`runbook run`, `diagnose`, `undo`: the lines of a fleet, or else what each target has to say and a table.

    Why it was stopped comes last.
    """
    targets = [target for target in document["targets"] if target["host"] not in document["silent"]]
    if fleet:
        parts = ["\n".join(fleet), *_broke_off(document)]
    else:
        parts = _by_outcome(targets) if document["stopped"] and len(targets) > MANY else _each(targets)
    parts += _silent(document)
    if document["stopped"]:
        parts.append(_stopped(document))
    return "\n\n".join(parts)


def _silent(document: Document) -> list[str]:
    """Hosts that were left out because no connection could be made to them, by why."""
    whys: dict[str, list[str]] = {}
    for host, why in document["silent"].items():
        whys.setdefault(why.rpartition(": ")[2], []).append(host)
    total, count = len(document["hosts"]), len(document["silent"])
    if not count:
        return []
    hint = next(target["hint"] for target in document["targets"] if target["host"] in document["silent"])
    lines = [f"  {why}: {some(hosts)}" for why, hosts in whys.items()]
    return ["\n".join([f"unreachable  {count} of {total} hosts, left out of the run", *lines, f"  {hint}"])]


def _broke_off(document: Document) -> list[str]:
    """Why Ansible ended before the run was through, if nobody stopped it."""
    if document["stopped"] or not (document["fleet"] or {}).get("interrupted"):
        return []
    told = [target["message"] for target in document["targets"] if target["outcome"] == "unfinished"]
    return [f"Ansible broke off: {told[0]}"] if told else []


def _each(targets: list[Document]) -> list[str]:
    parts = ["\n".join(target["lines"]) or _line(target) for target in targets]
    return [*parts, _summary(targets)] if len(targets) > 1 else parts


def _by_outcome(targets: list[Document]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for target in targets:
        groups.setdefault(target["outcome"], []).append(target["target"])
    rows = [[outcome, str(len(those)), some(those)] for outcome, those in groups.items()]
    return [columns([["OUTCOME", "TARGETS", "WHICH"], *rows])]


def _line(target: Document) -> str:
    task = f" (task {target['task']!r})" if target["task"] else ""
    told = (target["message"] or "no details").rstrip(".")
    return " ".join(filter(None, [f"{target['target']}: {target['outcome']}: {told}{task}.", target["hint"]]))


def _summary(targets: list[Document]) -> str:
    rows = [["TARGET", "OUTCOME", "EXIT", "CAUSE", "REMEDY", "SECONDS"]]
    for target in targets:
        summary = target["summary"]
        seconds = summary.get("seconds")
        spent = (
            sum(value for value in seconds.values() if isinstance(value, int | float))
            if isinstance(seconds, dict)
            else None
        )
        rows.append(
            [
                target["target"],
                target["outcome"],
                str(target["exit_code"]),
                str(summary.get("cause") or "-"),
                str(summary.get("remedy") or "-"),
                "-" if spent is None else f"{spent:.1f}",
            ]
        )
    return columns(rows)


def _stopped(document: Document) -> str:
    run, why = (
        f"{document['run_id']} was stopped after {document['seconds']:.1f} s",
        document["stopped"].replace("_", " "),
    )
    return "\n".join([f"Run {run} ({why}). Records: {document['records']}", *lines(document["standing"])])


def change_text(change: Document) -> str:
    """A change of the run document in one line: `service mongod.service active_state: failed -> active`."""
    before, after = change["before"], change["after"]
    if not isinstance(before, dict) or not isinstance(after, dict):
        return f"{change['object']}: {before} -> {after}"
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return f"{change['object']} " + ", ".join(f"{key}: {before.get(key)} -> {after.get(key)}" for key in keys)
