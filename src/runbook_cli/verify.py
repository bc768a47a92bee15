# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook history --verify`: whether the record is as it was written, and what a person does if not.

The chain's own code is the project's: plugin_utils/record_chain.py stands alone and is loaded by its path. What the
hosts' journals say of it comes from playbooks/verify_record.yml, which is a run like any other.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from runbook_cli.answer import Answer, CliError
from runbook_cli.history import NAME
from runbook_cli.outcome import gravest

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "ops.runbook/verify/1"
DAMAGED = 8
FILE = "collections/ansible_collections/ops/runbook/plugins/plugin_utils/record_chain.py"


def verify(root: Path, records: Path) -> Answer:
    """The record alone: its chain, and its end as `record.head` tells it; exit code 0 or 8."""
    code = _chain(root)
    try:
        chain = code.look(records)
    except OSError as error:
        raise CliError(f"the record cannot be read ({error.strerror})", str(records / NAME)) from None
    problem = chain.problem._asdict() if chain.problem else None
    document = {
        "schema": SCHEMA,
        "record": str(records / NAME),
        "identity": chain.identity,
        "lines": len(chain.links),
        "problem": problem,
        "notes": chain.notes,
        "hosts": [],
        "not_compared": sorted({link.host for link in chain.links if link.journal}),
        "exit_code": DAMAGED if problem else 0,
    }
    return Answer(document, text(document), document["exit_code"])


def _chain(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("record_chain", root / FILE)
    if spec is None or spec.loader is None or not (root / FILE).is_file():
        raise CliError("is missing", str(root / FILE), "Give --project the root of a whole checkout.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def joined(alone: Answer, run: Answer) -> Answer:
    """The record alone, and what a run of verify_record told of every host."""
    targets = run.data["targets"]
    gone = [host for host in alone.data["not_compared"] if host not in {target["host"] for target in targets}]
    code = run.code if run.data["stopped"] else gravest([alone.code, run.code])
    document = {**alone.data, "hosts": targets, "not_compared": gone, "exit_code": code}
    return Answer(document, "\n\n".join([text(document), run.text]), code)


def text(document: dict[str, Any]) -> str:
    """For a person."""
    problem, count = document["problem"], document["lines"]
    follows = ", each follows the one before it" if count > 1 else ""
    told = [f"{document['record']}: {count} line{'' if count == 1 else 's'} whole{follows}"]
    if problem:
        where = f" (run {problem['run']}, {problem['host']})" if problem["run"] else ""
        told = [
            f"{document['record']} is NOT WHOLE: {problem['what']}{where}.",
            f"{count} lines before that are whole.",
        ]
        told.append(f"next step  {problem['hint']}.")
    told += [f"note       {note}" for note in document["notes"]]
    if document["not_compared"] and not problem:
        hosts = ", ".join(document["not_compared"])
        told.append(
            f"note       not compared with the journals of {hosts}: that takes -i, and finds what was computed anew"
        )
    return "\n".join(told)
