# SPDX-License-Identifier: BSD-2-Clause
"""JSON lines of a block, parsed where a job needs them; what is no JSON is counted. Pure."""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .log_stats_match import Block

    Record = dict[str, Any]

ABSENT = object()  # where a line has no such field
_SAMPLE = 16384  # bytes of a block in which it is seen whether most lines are needed
_SERVICE = re.compile(r"[\w.-]{1,100} *\| (?=\{)")  # what docker compose writes before each line
_NO_JSON = (StopIteration, ValueError, RecursionError)
# NaN and Infinity are no JSON, but programs write them: no number, and no reason to lose the line.
# scan_once is the decoder's own loop, which its type stubs do not name.
_once = json.JSONDecoder(parse_constant=lambda _name: None).scan_once  # type: ignore[attr-defined]


def parse(line: str) -> Record | None:
    """The object that a line holds, perhaps behind the name of a compose service; None where it holds none."""
    if line[:1] != "{":
        line = _bare(line)
    try:
        record, end = _once(line, 0)
    except _NO_JSON:
        return None
    return record if isinstance(record, dict) and not line[end:].strip() else None


def _bare(line: str) -> str:
    found = _SERVICE.match(line)
    return line[found.end() :] if found else line.strip()


class Table:
    """JSON lines: records (the objects), texts (their lines), and fields as columns, made once for all jobs."""

    __slots__ = ("_columns", "records", "texts")

    def __init__(self, records: list[Record], texts: list[str]) -> None:
        self.records, self.texts = records, texts
        self._columns: dict[str, list[Any]] = {}

    def column(self, field: str) -> list[Any]:
        """The field's value in each record, or ABSENT; `a.b` is the field of that name, else the field b in a."""
        found = self._columns.get(field)
        if found is None:
            found = [record.get(field, ABSENT) for record in self.records]
            if "." in field:
                parts = field.split(".")
                found = [
                    _inner(record, parts) if value is ABSENT else value
                    for record, value in zip(self.records, found)  # noqa: B905 - strict= needs Python 3.10
                ]
            self._columns[field] = found
        return found


def _inner(record: Record, parts: list[str]) -> Any:
    value: Any = record
    for part in parts:
        if not isinstance(value, dict) or part not in value:
            return ABSENT
        value = value[part]
    return value


class Records:
    """Parses what the jobs need.

    Args:
        texts: For each job, bytes that a line must hold to matter; empty for all lines.

    Attributes:
        unparsed: Lines that are no JSON object: those that were parsed, and those that do not look like one.
        blank: Lines with nothing on them.
    """

    def __init__(self, texts: list[bytes]) -> None:
        self._texts = sorted(set(texts))
        self.unparsed = self.blank = 0

    def parse(self, block: Block) -> Table:
        """The objects of a block."""
        data = block.data
        if self._all_needed(data):
            texts = data.decode("utf-8", "surrogateescape").split("\n")
            texts.pop()
        else:
            self._look_over(data, block.count)
            found = block.having_any(self._texts, False) if self._texts else []
            texts = [block.line(at).decode("utf-8", "surrogateescape") for at in found]
            texts = [line for line in texts if _looks(line)]
        records: list[Record] = []
        kept = []
        for line in texts:
            try:
                record, end = _once(line, 0)
            except _NO_JSON:
                record, end = None, 0
            if end != len(line) or line[:1] != "{":
                record = parse(line)
                if record is None:
                    self._note(line)
                    continue
            records.append(record)
            kept.append(line)
        return Table(records, kept)

    def _note(self, line: str) -> None:
        if line.strip():
            self.unparsed += 1
        else:
            self.blank += 1

    def _all_needed(self, data: bytes) -> bool:
        if not self._texts:
            return False
        if b"" in self._texts or b"\\u" in data:  # any letter may be written as \u0041
            return True
        sample = data[:_SAMPLE]
        return any(2 * sample.count(text) > sample.count(b"\n") for text in self._texts)

    def _look_over(self, data: bytes, lines: int) -> None:
        if data[:1] == b"{" and data[-2:] == b"}\n" and data.count(b"}\n{") + 1 == lines:
            return
        for line in data.decode("utf-8", "surrogateescape").split("\n")[:-1]:
            if not _looks(line):
                self._note(line)


def _looks(line: str) -> bool:
    """Whether a line looks like a JSON object."""
    return (line if line[:1] == "{" else _bare(line))[:1] == "{" and line.rstrip()[-1:] == "}"


def is_json(data: bytes) -> bool:
    """Whether one of a block's first lines is a JSON object."""
    lines = data[:_SAMPLE].split(b"\n")[:20]
    return any(parse(line.decode("utf-8", "surrogateescape")) is not None for line in lines)
