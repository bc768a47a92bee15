# SPDX-License-Identifier: BSD-2-Clause
"""Named patterns counted in a log file: in a window of time, or since a cursor, across a rotation.

A missing log is not a quiet one: `exists` is false and the counts are missing, so that no rule on a count rests on it.
"""

from __future__ import annotations

from ..errors import BadInput, CannotLook
from . import _units
from ._lines import Tally, compiled, line_time, timed
from ._when import systemd_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import FileStat, Host

SPEC = {
    "path": {"type": "str", "required": True, "doc": "The log file."},
    "patterns": {"type": "dict", "required": True, "doc": "Name -> regular expression, searched in each line."},
    "window": {"type": "float", "doc": "Count only lines of the last so many seconds; 900 without a cursor."},
    "unit": {
        "type": "list",
        "doc": "Count only lines since this unit was last started, or tried to; names it may have.",
    },
    "cursor": {"type": "dict", "doc": "{inode, offset} of an earlier look: count only what was written since."},
    "limit": {"type": "int", "default": 1048576, "doc": "Read at most this many of the last bytes of a file."},
}
FIELDS = {
    "path": "the log asked for",
    "exists": "whether the log is there; without it there are no counts",
    "counts": "name -> count of lines that match",
    "last": "name -> the last line that matches, at most 300 characters; None when none does",
    "matched": "count of matches of all patterns",
    "lines": "count of lines looked at",
    "truncated": "whether older lines that belong to it were left out because of limit: there may be more than counted",
    "gap": "whether the file of the cursor is gone with lines that were not seen",
    "size_bytes": "size of the log in bytes",
    "age_seconds": "seconds since it was last written",
    "cursor": "what to give as cursor at the next look",
}


def verify(args: dict[str, Any]) -> None:
    """Patterns that compile."""
    compiled(args["patterns"])
    _units.verify_names(args["unit"])
    if not args["patterns"]:
        raise BadInput("is empty", "patterns", "Name at least one pattern.")


def collect(host: Host, args: dict[str, Any]) -> dict[str, Any]:
    """Count in one log and what was rotated away from it."""
    try:
        now = host.stat(args["path"])
        since = _since(host, args)
        raw, offset, data = _fresh(host, args, now, since)
    except FileNotFoundError:
        return {"data": {"path": args["path"], "exists": False}, "missing": ["counts", "last", "matched", "lines"]}
    except PermissionError:
        raise CannotLook("%s may not be read by this user" % args["path"]) from None
    data.update(
        path=args["path"],
        exists=True,
        size_bytes=now.size,
        age_seconds=round(host.now() - now.mtime, 1),
        cursor={"inode": now.inode, "offset": offset},
    )
    return _counted(data, raw, since, args, now.mtime)


def _since(host: Host, args: dict[str, Any]) -> float | None:
    window = args["window"] or (None if args["cursor"] else 900.0)
    begin = None if window is None else host.now() - window
    if args["unit"]:  # what an earlier start said is no sign of what is wrong with this one
        started = systemd_time(_units.show(host, args["unit"], args["timeout"]).get("ExecMainStartTimestamp", ""))
        begin = max((time for time in (begin, started) if time is not None), default=None)
    return begin


def _fresh(host: Host, args: dict[str, Any], now: FileStat, since: float | None) -> tuple[bytes, int, dict[str, Any]]:
    """The bytes to look at, where the log's last whole line ends, and what is known of what was left out."""
    path, limit, cursor = args["path"], args["limit"], args["cursor"]
    begin = cursor["offset"] if cursor and cursor["inode"] == now.inode and cursor["offset"] <= now.size else 0
    start = max(begin, now.size - limit)
    raw = host.read(path, limit=limit, offset=start)
    offset = start + raw.rfind(b"\n") + 1
    if start > begin:
        raw = raw.partition(b"\n")[2]  # its first line is only the end of one
        return raw, offset, {"truncated": _reaches(raw, since), "gap": False}
    if begin:
        return raw, offset, {"truncated": False, "gap": False}
    old, data = _rotated(host, args, now, since)
    return old + raw, offset, data


def _reaches(raw: bytes, since: float | None) -> bool:
    """Whether the window begins before the bytes that were read."""
    if since is None:
        return True
    first = next((when for when, _line in timed(_text(raw)) if when is not None), None)
    return first is None or first > since


def _rotated(host: Host, args: dict[str, Any], now: FileStat, since: float | None) -> tuple[bytes, dict[str, Any]]:
    """What a file rotated away holds of the window, or after the cursor."""
    cursor, found, begin = args["cursor"], _siblings(host, args["path"]), 0
    if cursor:
        begin = cursor["offset"]
        if cursor["inode"] == now.inode:  # copied and truncated: the newest copy, if it reaches as far
            found = [one for one in found if one[1].size >= begin]
        else:  # renamed
            found = [one for one in found if one[1].inode == cursor["inode"]]
    elif since is not None:
        found = [one for one in found if one[1].mtime >= since]
    if not found:
        return b"", {"truncated": False, "gap": begin > 0}
    name, stat = found[0]
    start = max(begin, stat.size - args["limit"])
    raw = host.read(name, limit=args["limit"], offset=start)
    if start > begin:
        raw = raw.partition(b"\n")[2]
    return raw, {"truncated": start > begin and _reaches(raw, since), "gap": False}


def _siblings(host: Host, path: str) -> list[tuple[str, FileStat]]:
    """Uncompressed files that were rotated away from path, the newest first."""
    folder, _slash, name = path.rpartition("/")
    found = []
    for other in host.listdir(folder or "/"):
        if other.startswith((name + ".", name + "-")) and not other.endswith((".gz", ".xz", ".bz2", ".zst")):
            try:
                found.append((folder + "/" + other, host.stat(folder + "/" + other)))
            except OSError:
                continue
    return sorted(found, key=lambda one: -one[1].mtime)


def _text(raw: bytes) -> list[str]:
    return raw.decode("utf-8", "backslashreplace").split("\n")


def _counted(
    data: dict[str, Any], raw: bytes, since: float | None, args: dict[str, Any], written: float
) -> dict[str, Any]:
    tally, lines, untimed = Tally(args["patterns"]), 0, False
    for when, line in _dated([line for line in _text(raw) if line], written):
        if since is not None and (written if when is None else when) < since:
            continue
        untimed = untimed or (when is None and since is not None and not args["cursor"])
        lines += 1
        tally.add(line)
    data.update(counts=tally.counts, last=tally.last, matched=tally.matched, lines=lines)
    # lines that match and carry no time may be of any age
    return {"data": data, "missing": ["counts", "matched"] if untimed and tally.matched else []}


def _dated(lines: list[str], written: float) -> list[tuple[float | None, str]]:
    """(time, line) each; lines without a time at the very end, such as a refused option, were written last of all."""
    pairs = timed(lines)
    for index in range(len(lines) - 1, -1, -1):
        if pairs[index][0] is None or line_time(lines[index]) is not None:
            break
        pairs[index] = (written, lines[index])
    return pairs
