# SPDX-License-Identifier: BSD-2-Clause
"""How far a log was read, and where that place is when the log was rotated since."""

from __future__ import annotations

import binascii
import os
import time

from .errors import CannotLook
from .log_stats_files import YOUNG, LogFile, siblings
from .log_stats_read import CHUNK, Broken, unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .log_stats_files import Log

_MARK = 256  # bytes at the beginning and before an offset by which a file is known again


def whole_end(file: LogFile) -> int:
    """Where the file's last whole line ends, as far as it was written when it was opened."""
    end = file.size
    while end > 0:
        start = max(0, end - CHUNK)
        at = os.pread(file.descriptor, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def mark_at(file: LogFile, offset: int) -> int:
    """A checksum of the file's first bytes and of those before offset, by which it is known again."""
    head = os.pread(file.descriptor, min(_MARK, offset), 0)
    size = min(_MARK, offset)
    return binascii.crc32(os.pread(file.descriptor, size, offset - size), binascii.crc32(head))


def _packed_mark(file: LogFile, offset: int) -> int | None:
    """The same of a packed file's text; None where it is shorter, or damaged before."""
    head, tail, passed = b"", b"", 0
    try:
        for chunk in unpacked(file):
            head += chunk[: min(_MARK, offset) - len(head)] if len(head) < _MARK else b""
            tail = (tail + chunk[: offset - passed])[-_MARK:]
            passed += len(chunk)
            if passed >= offset:
                size = min(_MARK, offset)
                return binascii.crc32(tail[-size:], binascii.crc32(head[:size]))
    except Broken:
        pass
    return None


def end_of(log: Log, file: LogFile) -> int:
    """How far a file is to be read: a program may still write to what was renamed a moment ago."""
    if file is log.live or (not file.packing and file is log.old[-1] and time.time() - file.mtime < YOUNG):
        return whole_end(file)
    return file.size


def cursor_of(log: Log, now: float) -> dict[str, Any]:
    """What an answer gives for the next look: {inode, offset, mark, written (mtime), at (epoch seconds), before}.

    `before` is {inode, offset, mark} of the file that was rotated away last, or None.
    """
    newest, before = log.old[-1] if log.old else None, None
    if newest and not newest.packing:
        end = end_of(log, newest)
        before = {"inode": newest.inode, "offset": end, "mark": mark_at(newest, end)}
    if log.live is None:
        return {"inode": None, "offset": 0, "mark": 0, "written": now, "at": now, "before": before}
    end = whole_end(log.live)
    about = {"inode": log.live.inode, "offset": end, "mark": mark_at(log.live, end)}
    return dict(about, written=log.live.mtime, at=now, before=before)


def find_cursor(log: Log, cursor: dict[str, Any]) -> LogFile | None:
    """The file that the cursor was taken in: it may have been renamed, copied and truncated, or packed since."""
    offset, mark = cursor["offset"], cursor["mark"]
    files = [*([log.live] if log.live else []), *reversed(log.old)]
    fits = [file for file in files if not file.packing and file.size >= offset and mark_at(file, offset) == mark]
    same = [file for file in fits if file.inode == cursor["inode"]]
    if same:
        return same[0]
    if fits:
        return fits[0]
    # whoever packs a file keeps its time, so the first that was written since is most likely the one
    packed = [file for file in log.old if file.packing and file.mtime >= cursor["written"] - 2]
    return next((file for file in packed if _packed_mark(file, offset) == mark), None)


def since_cursor(log: Log, cursor: dict[str, Any]) -> tuple[list[tuple[LogFile, int]], bool]:
    """([(file, from where)], whether lines may be lost): what was written after a cursor, the oldest first."""
    files = log.files()
    starts, lost = _starts(log, files, cursor)
    before = cursor["before"]
    for file in files if before else []:  # a program may have written on to what was rotated away
        if file.inode == before["inode"] and not file.packing and mark_at(file, before["offset"]) == before["mark"]:
            starts[file] = max(before["offset"], starts.get(file, 0))
    return [
        (file, starts[file]) for file in files if file in starts and (file.packing or starts[file] < file.size)
    ], lost


def _starts(log: Log, files: list[LogFile], cursor: dict[str, Any]) -> tuple[dict[LogFile, int], bool]:
    found = find_cursor(log, cursor) if cursor["offset"] else None
    if found:
        at = files.index(found)
        return {**dict.fromkeys(files[at + 1 :], 0), found: cursor["offset"]}, False
    fresh = [file for file in files if file is log.live or file.mtime > cursor["written"]]
    if cursor["offset"]:
        return dict.fromkeys(fresh, 0), True
    # It was empty, and an empty file can only be known again by its inode: what was copied from it has another one.
    same = [file for file in files if file.inode == cursor["inode"]]
    return dict.fromkeys([*fresh, *same], 0), cursor["inode"] is not None and not same and fresh == [log.live]


def copy_of(log: Log, offset: int, mark: int) -> LogFile | None:
    """A new plain file beside the log that has what the log had up to offset; the caller closes it."""
    known = {file.inode for file in log.files()}
    folder, name = os.path.split(os.path.realpath(log.path))
    for other, _mark, packing in siblings(folder, name, {}):
        if packing:
            continue
        try:
            file = LogFile(os.path.join(folder, other))
        except (OSError, CannotLook):
            continue
        if file.inode not in known and file.size >= offset and mark_at(file, offset) == mark:
            return file
        file.close()
    return None
