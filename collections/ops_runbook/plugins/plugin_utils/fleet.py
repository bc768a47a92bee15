# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run over many hosts came to, as a document and about ten lines, for 3 hosts or 3,000. Pure."""

from __future__ import annotations

import re
import shlex
import statistics
import typing as t
from collections import Counter

from . import fleet_wording
from .fleet_wording import FEW, shown
from .outcome import EXIT_CODES, GRAVITY, gravest
from .wording import PLANNED, Json, spent, undo_parts

Hosts = dict[str, Json]
SCHEMA = "ops.runbook/fleet/1"
_TO_MEND = {"reverted": "change the profile before another run: it did harm"}


class Run(t.NamedTuple):
    """A run: its playbook's name, id, seconds, whether it was ended before its time, and wording.commands of it."""

    name: str
    id: str
    seconds: float
    interrupted: bool
    commands: Json


def summarise(run: Run, hosts: Hosts) -> Json:
    """Sum a run up.

    Args:
        run: What is known of the run as a whole.
        hosts: By host, in the order of the inventory, the `summary` of outcome.conclude or conclude_job, or what
            outcome.of_problem says.

    Returns:
        `lines` (texts for people) and `document`: schema, name, run, hosts (count), seconds, interrupted, exit_code,
        outcomes ({outcome: [hosts]}, each host once), reasons ([{outcome, reason, varies, hosts}]), changes (count),
        changed ([hosts]), planned (whether the values are a prediction), values ({key: {status: count}} of hosts where
        it went well), differing ([{hosts, values: {key: {here, elsewhere}}}]), varying ({key: count of different
        values}), measured (or None), slowest ([{host, seconds}]), undo ({command, hosts, not_undone: [{reason,
        hosts}]}), left ([hosts] that a rerun takes), next_step.
    """
    changed = {host: said for host, said in hosts.items() if said.get("changes") and _outcome(said) not in PLANNED}
    tables, planned = _tables(hosts)
    odd, varying = _differing(tables)
    document: Json = {
        "schema": SCHEMA,
        "name": run.name,
        "run": run.id,
        "hosts": len(hosts),
        "seconds": round(run.seconds, 3),
        "interrupted": run.interrupted,
        "exit_code": gravest(map(_code, hosts.values())),
        "outcomes": _outcomes(hosts),
        "reasons": _reasons(hosts),
        "changes": sum(len(said["changes"]) for said in changed.values()),
        "changed": list(changed),
        "planned": planned,
        "values": _values(tables),
        "differing": odd,
        "varying": varying,
        "measured": _measured(hosts),
        "slowest": _slowest(hosts),
        "undo": _undo(changed, run.commands),
        "left": [host for host, said in hosts.items() if _code(said)],
    }
    document["next_step"] = _next_step(document, hosts, run.commands)
    return {"lines": fleet_wording.lines(document), "document": document}


def _outcome(said: Json) -> str:
    return str(said.get("outcome") or said["word"])


def _code(said: Json) -> int:
    return int(said["exit_code"] if "exit_code" in said else said["code"])


def _outcomes(hosts: Hosts) -> dict[str, list[str]]:
    """What went well first and the gravest last, nearest to the prompt."""
    found: dict[str, list[str]] = {}
    for host, said in hosts.items():
        found.setdefault(_outcome(said), []).append(host)
    order = [*EXIT_CODES, *found]
    rank = {code: number for number, code in enumerate(reversed(GRAVITY))}
    gravity = {name: (rank[_code(hosts[those[0]])], order.index(name)) for name, those in found.items()}
    return {name: found[name] for name in sorted(found, key=gravity.__getitem__)}


def _reasons(hosts: Hosts) -> list[Json]:
    """Why hosts are not as they should be; the same reason of many hosts is one, also where only numbers differ."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for host, said in hosts.items():
        if _code(said) and _outcome(said) not in PLANNED:
            text = _without_name(_why(said), host)
            groups.setdefault((_outcome(said), re.sub(r"\d+", "0", text)), {})[host] = text
    found = []
    for (name, _key), texts in groups.items():
        host, first = next(iter(texts.items()))
        text = first if len(texts) > 1 else _why(hosts[host]).removeprefix(f"{host}: ")
        varies = len(set(texts.values())) > 1
        found.append({"outcome": name, "reason": text, "varies": varies, "hosts": list(texts)})
    return sorted(found, key=lambda reason: -len(reason["hosts"]))


def _why(said: Json) -> str:
    """The reason in one line, without the next step: of a job, of a run that looked for a fault, of a problem."""
    refusals = [refusal["reason"] for refusal in said.get("refusals") or []]
    told = said.get("message") or "; ".join(refusals) or said.get("error") or said.get("why") or "no reason was given"
    text, step = (" ".join(str(one or "").split()) for one in (told, said.get("next_step")))
    return text.removesuffix(step).rstrip(" .") if step and text != step else text


def _without_name(text: str, host: str) -> str:
    """The text without the host's own name in front, and with HOST where it is named later."""
    if host not in text:
        return text
    bare = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w)", "HOST", text)
    return bare.removeprefix("HOST: ")


def _tables(hosts: Hosts) -> tuple[Hosts, bool]:
    """The values of hosts where it went well; where there are none, what was predicted, and True."""
    told = {host: said for host, said in hosts.items() if said.get("keys")}
    well = {host: said["keys"] for host, said in told.items() if not _code(said)}
    planned = {host: said["keys"] for host, said in told.items() if _outcome(said) in PLANNED}
    return (well, False) if well else (planned, bool(planned))


def _values(tables: Hosts) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for keys in tables.values():
        for key, value in keys.items():
            found.setdefault(key, Counter())[value["status"]] += 1
    return {key: dict(counts) for key, counts in found.items()}


def _differing(tables: Hosts) -> tuple[list[Json], dict[str, int]]:
    """Hosts that differ from the majority, and the keys that have none (key -> how many values there are)."""
    here = {host: {key: shown(value) for key, value in keys.items()} for host, keys in tables.items()}
    usual: dict[str, str] = {}
    varying: dict[str, int] = {}
    for key in dict.fromkeys(key for keys in here.values() for key in keys):
        counts = Counter(keys.get(key, shown(None)) for keys in here.values())
        value, count = counts.most_common(1)[0]
        if len(counts) > 2 and count * 2 < len(here):
            varying[key] = len(counts)
        elif len(counts) > 1:
            usual[key] = value
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for host, keys in here.items():
        odd = tuple((key, mine) for key, value in usual.items() if (mine := keys.get(key, shown(None))) != value)
        if odd:
            groups.setdefault(odd, []).append(host)
    found = [
        {"hosts": those, "values": {key: {"here": mine, "elsewhere": usual[key]} for key, mine in odd}}
        for odd, those in groups.items()
    ]
    return sorted(found, key=lambda group: -len(t.cast("list[str]", group["hosts"]))), varying


def _measured(hosts: Hosts) -> Json | None:
    """Medians over the hosts of what was measured before and after, and how many hosts have which verdict."""
    taken = [said["measured"] for said in hosts.values() if said.get("measured")]
    if not taken:
        return None
    return {
        "hosts": len(taken),
        "before": statistics.median(one["before"] for one in taken),
        "after": statistics.median(one["after"] for one in taken),
        "verdicts": dict(Counter(one["verdict"] for one in taken)),
    }


def _slowest(hosts: Hosts) -> list[Json]:
    took = sorted(((spent(said), host) for host, said in hosts.items()), key=lambda pair: -pair[0])
    return [{"host": host, "seconds": round(seconds, 3)} for seconds, host in took[:3] if seconds]


def _undo(changed: Hosts, commands: Json) -> Json:
    able: list[str] = []
    cannot: dict[str, list[str]] = {}
    for host, said in changed.items():
        can, reasons = undo_parts(said.get("undo") or [])
        able += [host] if can else []
        for reason in reasons:
            cannot.setdefault(reason, []).append(host)
    return {
        "command": shlex.join(commands["undo"]) if able else None,
        "hosts": able,
        "not_undone": [{"reason": reason, "hosts": those} for reason, those in cannot.items()],
    }


def _next_step(document: Json, hosts: Hosts, commands: Json) -> str:
    """What has to be mended, then the run again: it takes only what is left. Or what hosts that went well advise."""
    if not document["left"]:
        advice = dict.fromkeys(step for step in map(_own_step, hosts.values()) if step)
        return " ; ".join(list(advice)[:2]) or "none"
    own = [_own_step(hosts[reason["hosts"][0]]) for reason in document["reasons"]]
    first = list(dict.fromkeys(step for step in own if step))[:2]
    return " ; ".join([*first, *_again(document, commands)]) or "see why"


def _own_step(said: Json) -> str:
    """What a person does before the next run; for an unreachable host that is in its reason."""
    step = str(said.get("next_step") or _TO_MEND.get(_outcome(said), ""))
    return "" if _outcome(said) == "unreachable" or step in ("none", "see why") else step


def _again(document: Json, commands: Json) -> list[str]:
    """The same run for the hosts that are left; where they are many, for those that it was for."""
    if not commands["again"]:
        return []
    dropped = ("--check", "-C") if "predicted" in document["outcomes"] else ()
    words = [word for word in commands["again"] if word not in dropped]
    left = document["left"]
    limit = ",".join(left) if len(left) <= FEW and len(left) < document["hosts"] else commands["limit"]
    return [shlex.join([*words, "--limit", limit] if limit else words)]
