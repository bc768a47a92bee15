# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a run over many hosts; what they say is decided in fleet.py."""

from __future__ import annotations

import typing as t

from .wording import Json, undo_text

FEW = 8
"""So many names are written out; of more, the first SHOWN."""
SHOWN = 5
WELL = ("applied", "already")
"""Statuses of a value that is as it was wanted."""
_MOST_REASONS = 3
_MOST_ODD = 2
_LONGEST = 240
Row = tuple[str, str]


def lines(document: Json) -> list[str]:
    """About ten lines from the document of fleet.summarise."""
    rows = [(document["name"], _head(document))]
    rows += [row for name, hosts in document["outcomes"].items() for row in _outcome_rows(name, hosts, document)]
    rows += [
        ("values", _values_text(document)),
        ("differs", _differing_text(document)),
        ("measured", _measured_text(document["measured"])),
        ("slowest", ", ".join(f"{one['host']} {one['seconds']:.1f} s" for one in document["slowest"])),
        ("undo", _undo_row(document)),
        ("next step", document["next_step"]),
    ]
    return [f"{label:<11} {text}" for label, text in rows if text]


def _head(document: Json) -> str:
    took = f"{_count(document['hosts'], 'host')} in {document['seconds']:.1f} s"
    done = f"{_count(document['changes'], 'change')} on {_count(len(document['changed']), 'host')}"
    if document["interrupted"]:
        return f"INTERRUPTED: {took}, {done}"
    return f"{took}, {done}, exit code {document['exit_code']}"


def _outcome_rows(name: str, hosts: list[str], document: Json) -> list[Row]:
    """One line; of several reasons, one line each as well."""
    reasons = [reason for reason in document["reasons"] if reason["outcome"] == name]
    head = f"{_count(len(hosts), 'host')}: {names(hosts)}"
    if name == "untouched":
        return [(name, f"{head}; the run ended before it came to them")]
    if len(reasons) < 2:
        return [(name, "; ".join([head, *map(_reason_text, reasons)]))]
    rows = [("", f"{names(reason['hosts'])}: {_reason_text(reason)}") for reason in reasons[:_MOST_REASONS]]
    more = len(reasons) - _MOST_REASONS
    return [(name, head), *rows, *([("", f"and {_count(more, 'more reason')}")] if more > 0 else [])]


def _reason_text(reason: Json) -> str:
    text = reason["reason"] if len(reason["reason"]) <= _LONGEST else reason["reason"][: _LONGEST - 3] + "..."
    return f"such as {text}" if reason["varies"] else text


def names(hosts: t.Sequence[str]) -> str:
    """All of few hosts, else the first ones and how many more there are."""
    if len(hosts) <= FEW:
        return ", ".join(hosts)
    return f"{', '.join(hosts[:SHOWN])} and {len(hosts) - SHOWN} more"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _values_text(document: Json) -> str:
    """`12 keys: 9 applied, 2 already, 1 better_kept (net.ipv4.tcp_rmem)`; keys that hosts share alike are one."""
    groups: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for key, counts in document["values"].items():
        groups.setdefault(tuple(sorted(counts.items())), []).append(key)
    told = []
    for parts, keys in groups.items():
        what = parts[0][0] if len(parts) == 1 else " and ".join(f"{status} on {count}" for status, count in parts)
        named = any(status not in WELL for status, _number in parts)
        told.append(f"{len(keys)} {what}" + (f" ({names(keys)})" if named else ""))
    would = " would be" if document["planned"] else ""
    return f"{_count(len(document['values']), 'key')}{would}: {', '.join(told)}" if told else ""


def shown(value: Json | None) -> str:
    """A key's value on a host, with its status where it is not as it was wanted."""
    if value is None:
        return "not there"
    text = " ".join(str(value["after"]).split()) if value.get("after") is not None else "none"
    return text if value["status"] in WELL else f"{text} ({value['status']})"


def _differing_text(document: Json) -> str:
    groups = document["differing"]
    told = [f"{names(group['hosts'])}: {_odd_text(group['values'])}" for group in groups[:_MOST_ODD]]
    rest = sum(len(group["hosts"]) for group in groups[_MOST_ODD:])
    told += [f"and {_count(rest, 'more host')}"] if rest else []
    told += [f"{key} has {count} different values" for key, count in list(document["varying"].items())[:_MOST_ODD]]
    return "; ".join(told)


def _odd_text(values: Json) -> str:
    told = [f"{key} {value['here']}, elsewhere {value['elsewhere']}" for key, value in list(values.items())[:_MOST_ODD]]
    rest = len(values) - _MOST_ODD
    return "; ".join(told) + (f"; and {_count(rest, 'more key')}" if rest > 0 else "")


def _measured_text(measured: Json | None) -> str:
    if measured is None:
        return ""
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in measured["verdicts"].items())
    return f"{measured['before']:g} before, {measured['after']:g} after (median of {measured['hosts']}): {verdicts}"


def _undo_row(document: Json) -> str:
    if not document["changed"]:
        return "nothing to undo"
    undo = document["undo"]
    return undo_text(undo["command"] or "", [f"{one['reason']} ({names(one['hosts'])})" for one in undo["not_undone"]])


def values_table(hosts: dict[str, Json]) -> list[str]:
    """Every key's value as it is now, one line a host; empty where no host told of any.

    Args:
        hosts: As for fleet.summarise. Where a host did not keep the profile, its values are those from before.
    """
    keys = list(dict.fromkeys(key for said in hosts.values() for key in said.get("keys") or {}))
    if not keys:
        return []
    rows = [["HOST", *keys]]
    for host, said in hosts.items():
        mine, kept = said.get("keys") or {}, said.get("exit_code") == 0
        rows.append([host, *(_cell(mine[key], kept) if key in mine else "-" for key in keys)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cell(value: Json, kept: bool) -> str:
    return shown(value if kept else {"after": value.get("before"), "status": "already"})
