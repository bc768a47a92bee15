# SPDX-License-Identifier: GPL-3.0-or-later
"""The document of `runbook doctor` for people: each check of a few hosts, or many summed up."""

from __future__ import annotations

from typing import Any

from runbook_cli.terminal import columns, some

FEW = 5
_SHOWN = 12
"""Failures that are told one by one; of more like them only the first, with how many there are."""


def text(document: dict[str, Any]) -> str:
    """What a person sees."""
    hosts = document["hosts"]
    body = [_host(host) for host in hosts] if len(hosts) <= FEW else [_summed_up(hosts)]
    return "\n\n".join([*body, *_notes(hosts), _last(document)])


def _last(document: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in document["counts"].items() if count)
    spent = f"{len(document['hosts'])} hosts in {document['seconds']:.1f} s"
    return f"doctor: {counts}; {spent}, exit code {document['exit_code']}"


def _host(host: dict[str, Any]) -> str:
    where = f" ({host['where']})" if host["where"] else ""
    rows = [[check["check"], check["status"], check["said"]] for check in host["checks"]]
    steps = [f"  next step  {check['next_step']}" for check in host["checks"] if check["next_step"]]
    return "\n".join([f"{host['host']} {host['status'].upper()}{where}", columns(rows, "  "), *steps])


def _summed_up(hosts: list[dict[str, Any]]) -> str:
    well = [host["host"] for host in hosts if host["status"] == "ok"]
    lines = [f"ok           {_count(well)}"] if well else []
    groups: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for host in hosts:
        worst = _worst(host)
        if worst:
            groups.setdefault((host["status"], worst["check"]), []).append((host["host"], worst))
    for (status, check), those in groups.items():
        lines.append(f"{status:<12} {_count([name for name, _check in those])} ({check})")
        for name, found in those[: _SHOWN if len(those) <= _SHOWN else 1]:
            lines += [f"  {name}: {found['said']}", f"    next step  {found['next_step'] or '-'}"]
        if len(those) > _SHOWN:
            lines.append(
                f"  and {len(those) - 1} more at the same check; --format json has each one with its next step"
            )
    return "\n".join(lines)


def _worst(host: dict[str, Any]) -> dict[str, Any] | None:
    """The finding that decides the host's status."""
    order = ("failed", "unknown", "warning")
    bad = [check for check in host["checks"] if check["status"] in order]
    return min(bad, key=lambda check: order.index(check["status"]), default=None)


def _count(names: list[str]) -> str:
    return f"{len(names)} host{'' if len(names) == 1 else 's'}: {some(names)}"


def _notes(hosts: list[dict[str, Any]]) -> list[str]:
    options: dict[str, list[str]] = {}
    for host in hosts:
        for option in host["not_honoured"]:
            options.setdefault(option, []).append(host["host"])
    lines = [f"  {option} ({some(names)})" for option, names in options.items()]
    return ["\n".join(["ssh options that doctor does not follow, and runs do", *lines])] if lines else []
