# SPDX-License-Identifier: GPL-3.0-or-later
"""Records that somebody changed, in every way there is; each from a whole one, by the luck of a seed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import typing as t
from pathlib import Path

from ansible_collections.ops.runbook.plugins.plugin_utils import record_chain

Lines = list[bytes]
Tamper = t.Callable[[Lines, random.Random], Lines]


def read(where: Path) -> Lines:
    """The record's lines, with their ends."""
    return (where / record_chain.NAME).read_bytes().splitlines(keepends=True)


def write(where: Path, lines: Lines, with_end: bool = False) -> None:
    """Put them in the record's place; with_end: and let record.head agree, as somebody who knows of it would."""
    (where / record_chain.NAME).write_bytes(b"".join(lines))
    if with_end:
        last = lines[-1][:-1] if lines else b""
        head = hashlib.sha256(last).hexdigest() if lines else record_chain.ORIGIN
        record_chain.write_end(where, record_chain.End(len(lines), head, None, record_chain.boot()))


def recomputed(lines: Lines, first: int = 0) -> Lines:
    """The same with numbers and hashes made anew from `first` on: a chain without a fault."""
    done = lines[:first]
    for raw in lines[first:]:
        previous = hashlib.sha256(done[-1][:-1]).hexdigest() if done else record_chain.ORIGIN
        line = {**json.loads(raw), "seq": len(done) + 1, "previous": previous}
        done.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    return done


def edited_byte(lines: Lines, luck: random.Random) -> Lines:
    """One byte of one line is another one, perhaps even a newline."""
    number = luck.randrange(len(lines))
    place = luck.randrange(len(lines[number]) - 1)
    other = luck.choice([byte for byte in range(256) if byte != lines[number][place]])
    line = lines[number][:place] + bytes([other]) + lines[number][place + 1 :]
    return [*lines[:number], line, *lines[number + 1 :]]


def edited_field(lines: Lines, luck: random.Random) -> Lines:
    """A field of one line says something else."""
    number = luck.randrange(len(lines))
    line = json.loads(lines[number])
    field = luck.choice(["at", "run", "host", "phase", "entry", "version", "seq", "previous", "started"])
    line[field] = luck.choice([None, "else", {"changed": False}, 0, [1], "0" * 64])
    return [*lines[:number], json.dumps(line, separators=(",", ":")).encode() + b"\n", *lines[number + 1 :]]


def edited_blank(lines: Lines, luck: random.Random) -> Lines:
    """The same document, written with a blank more."""
    number = luck.randrange(len(lines))
    return [*lines[:number], lines[number].replace(b",", b", ", 1), *lines[number + 1 :]]


def dropped(lines: Lines, luck: random.Random) -> Lines:
    """Some lines that stand together are gone, but not the last one."""
    first = luck.randrange(len(lines) - 1)
    return lines[:first] + lines[min(len(lines) - 1, first + luck.randint(1, 4)) :]


def forged(lines: Lines, number: int) -> bytes:
    """A line that would be the right one at this place."""
    previous = hashlib.sha256(lines[number - 1][:-1]).hexdigest() if number else record_chain.ORIGIN
    line = {**json.loads(lines[number - 1]), "seq": number + 1, "previous": previous, "phase": "outcome"}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def inserted(lines: Lines, luck: random.Random) -> Lines:
    """A line that fits to the one before it."""
    number = luck.randrange(len(lines))
    return [*lines[:number], forged(lines, number), *lines[number:]]


def added(lines: Lines, _luck: random.Random) -> Lines:
    """A line that fits, at the end."""
    return [*lines, forged(lines, len(lines))]


def added_garbage(lines: Lines, luck: random.Random) -> Lines:
    """Something at the end that is no line of a record."""
    return [*lines, luck.choice([b"\n", b"{}\n", b"# note\n", b"null\n", b"\0\0\0\n", b'"x"\n'])]


def duplicated(lines: Lines, luck: random.Random) -> Lines:
    """A line stands there twice."""
    number = luck.randrange(len(lines))
    return [*lines[: number + 1], lines[number], *lines[number + 1 :]]


def reordered(lines: Lines, luck: random.Random) -> Lines:
    """Two lines changed places."""
    one, other = luck.sample(range(len(lines)), 2)
    found = list(lines)
    found[one], found[other] = found[other], found[one]
    return found


def cut(lines: Lines, luck: random.Random) -> Lines:
    """The last lines are gone, perhaps all."""
    return lines[: luck.randrange(len(lines))]


def cut_within(lines: Lines, luck: random.Random) -> Lines:
    """The end is gone, in the middle of a line."""
    number = luck.randrange(len(lines))
    return [*lines[:number], lines[number][: luck.randint(1, len(lines[number]) - 1)]]


def half_written(lines: Lines, luck: random.Random) -> Lines:
    """A writer died within a line."""
    whole = forged(lines, len(lines))
    return [*lines, whole[: luck.randint(1, len(whole) - 1)]]


def rewritten(lines: Lines, luck: random.Random) -> Lines:
    """One line says something else, and all from there on was computed anew: the chain has no fault."""
    number = luck.randrange(len(lines))
    line = json.loads(lines[number])
    line["entry"] = {**line["entry"], "note": "nothing happened"}
    with contextlib.suppress(KeyError):
        del line["entry"]["changed"]
    return recomputed([*lines[:number], json.dumps(line).encode() + b"\n", *lines[number + 1 :]], number)


def run_dropped(lines: Lines, luck: random.Random) -> Lines:
    """One run never was, and all was computed anew."""
    run = luck.choice(sorted({json.loads(line)["run"] for line in lines}))
    return recomputed([line for line in lines if json.loads(line)["run"] != run])


IN_THE_FILE: list[Tamper] = [
    edited_byte,
    edited_field,
    edited_blank,
    dropped,
    inserted,
    added,
    added_garbage,
    duplicated,
    reordered,
    cut,
    cut_within,
    half_written,
    rewritten,
    run_dropped,
]
"""What shows in the record and `record.head` alone."""
EVERYWHERE: list[Tamper] = [rewritten, run_dropped, cut]
"""What somebody does who knows of `record.head` and writes that anew, too: only the targets' journals tell."""
