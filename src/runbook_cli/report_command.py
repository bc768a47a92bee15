# SPDX-License-Identifier: GPL-3.0-or-later
"""`runbook report`: which report is wanted, as what, and where it goes."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runbook_cli.answer import Answer, CliError
from runbook_cli.report import build
from runbook_cli.report_render import html, markdown

ENDINGS = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html"}


@dataclass(frozen=True)
class Wanted:
    """The options as they were typed."""

    run: str | None
    incident: str | None
    host: str | None
    kind: str | None
    output: str | None


def report_on(root: Path, records: Path, wanted: Wanted) -> Answer:
    """The report as an answer, or written to a file.

    Raises:
        CliError: 2 for wrong usage, and for a run, incident or host that the record does not have.
    """
    if (wanted.run is None) == (wanted.incident is None):
        what = "no run is named" if wanted.run is None else "a run and an incident are named"
        raise CliError(what, "runbook report", "Give a run's id or 'last', or else --incident ID.")
    kind = _kind(wanted)
    document = build(root, records, wanted.run, wanted.incident, wanted.host)
    text = html(document) if kind == "html" else markdown(document)
    if wanted.output is None:
        return Answer(document, text.rstrip("\n"))
    _write(Path(wanted.output).expanduser(), text)
    return Answer(document, f"{wanted.output}: {document['title']}")


def _kind(wanted: Wanted) -> str:
    """What was asked for, else what the file's ending says."""
    if wanted.kind or wanted.output is None:
        return wanted.kind or "markdown"
    ending = Path(wanted.output).suffix.lower()
    if ending not in ENDINGS:
        raise CliError("its ending does not say what it is", f"--output {wanted.output}", "Use .md or .html, or --as.")
    return ENDINGS[ending]


def _write(path: Path, text: str) -> None:
    """The whole file at once, for its owner alone: a report tells much of a host."""
    try:
        handle, name = tempfile.mkstemp(prefix=".report-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise CliError(f"cannot be written ({error.strerror})", str(path), "Give a file in your folder.") from None
