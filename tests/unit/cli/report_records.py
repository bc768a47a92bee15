# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorded runs, and records made of their lines, with a whole chain, as a run would have written them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from runbook_cli.report import build

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "tests" / "fixtures" / "record"
LINES = [json.loads(raw) for raw in (RECORDED / "record.jsonl").read_text().splitlines()]
Json = dict


def run_of(outcome: str, playbook: str = "recover_mongodb", nth: int = 0) -> str:
    """A recorded run of a playbook that came to outcome."""
    found = [
        line["run"]
        for line in LINES
        if line["phase"] in ("outcome", "job")
        and line["entry"]["outcome"] == outcome
        and playbook in line["entry"]["commands"]["again"]
    ]
    return found[nth]


def of(run: str) -> list[Json]:
    """Its lines, as copies."""
    return [json.loads(json.dumps(line)) for line in LINES if line["run"] == run]


def report(run: str | None, records: Path = RECORDED, incident: str | None = None, host: str | None = None) -> Json:
    return build(ROOT, records, run, incident, host)


def write(folder: Path, lines: list[Json], evidence: bool = True) -> Path:
    """A record of these lines with a whole chain, beside the recorded evidence."""
    previous = "0" * 64
    folder.mkdir(exist_ok=True)
    with (folder / "record.jsonl").open("wb") as stream:
        for number, line in enumerate(lines, 1):
            text = json.dumps({**line, "seq": number, "previous": previous}, separators=(",", ":")).encode()
            order = json.loads(text)
            text = json.dumps(
                {key: order[key] for key in ("seq", "previous", *(k for k in order if k not in ("seq", "previous")))},
                separators=(",", ":"),
            ).encode()
            previous = hashlib.sha256(text).hexdigest()
            stream.write(text + b"\n")
    if evidence:
        shutil.copytree(RECORDED / "evidence", folder / "evidence", dirs_exist_ok=True)
    return folder


def texts(node: object, change: Callable[[str], str]) -> object:
    """The same structure with every text changed."""
    if isinstance(node, str):
        return change(node)
    if isinstance(node, dict):
        return {key: texts(value, change) for key, value in node.items()}
    return [texts(value, change) for value in node] if isinstance(node, list) else node


def every(node: object) -> Iterator[str]:
    """All texts in a structure."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from every(value)
    elif isinstance(node, list):
        for value in node:
            yield from every(value)
