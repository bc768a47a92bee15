# SPDX-License-Identifier: BSD-2-Clause
"""The bytes of a log file, plain or compressed, as blocks of whole lines in bounded memory."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from .log_stats_files import LogFile
    from .log_stats_time import Clock

CHUNK = 262144  # bytes that are read at once: they stay in the processor's cache while all is counted in them
LONGEST = 1048576  # bytes of a line; the rest of a longer one is not looked at
_PROBE = 65536  # bytes read to find the time at a place
_SAMPLES = 32  # places at which the order of a file is checked before half of it is left out
SLACK = 60.0  # seconds by which lines may be out of order without harm


class Broken(Exception):
    """A compressed file that cannot be read to its end; its text says why."""


class Shortened(Exception):
    """A file became shorter while it was read."""


class Reading:
    """One pass over a file.

    Args:
        file: What is read.
        start: Where, in bytes of the log's text; for a compressed file that much is decompressed and left out.
        end: Where a plain file ends for this pass.
        whole: Whether the file's last line counts although it has no newline, because nobody will write on.

    Attributes:
        bytes_read: Bytes of text that were looked at.
        cut: Lines of which only the beginning was looked at.
        given: Where the last whole line that was given ends.
    """

    def __init__(self, file: LogFile, start: int = 0, end: int | None = None, whole: bool = True) -> None:
        self._file, self._start, self._whole = file, start, whole
        self._end = file.size if end is None else end
        self.bytes_read = self.cut = 0
        self.given = start

    def blocks(self) -> Iterator[bytes]:
        """Whole lines, some CHUNK at a time, each ended by a newline.

        Raises:
            Broken: It is damaged; what was whole has been given.
            Shortened: Somebody truncated it; so far whole lines have been given.
        """
        rest: list[bytes] = []
        failed: Exception | None = None
        try:
            for chunk in self._chunks():
                self.bytes_read += len(chunk)
                at = chunk.rfind(b"\n") + 1
                if at:
                    self.given = self._start + self.bytes_read - len(chunk) + at
                    yield self._block(rest, chunk[:at])
                    rest = []
                self._hold(rest, chunk[at:])
        except (Broken, Shortened) as error:
            failed = error
        if rest and self._whole and not isinstance(failed, Shortened):
            yield self._block(rest, b"\n")
        if failed is not None:
            raise failed

    def _hold(self, rest: list[bytes], chunk: bytes) -> None:
        """Keep the beginning of a line whose end is not read yet; what is too long is dropped."""
        if sum(map(len, rest)) < LONGEST:
            rest += [chunk] if chunk else []
        elif rest[-1]:
            rest.append(b"")  # a sign that something was dropped
            self.cut += 1

    @staticmethod
    def _block(rest: list[bytes], chunk: bytes) -> bytes:
        if rest and not rest[-1] and len(rest) > 1:
            chunk = chunk[chunk.find(b"\n") :]
        return b"".join((*rest, chunk)) if rest else chunk

    def _chunks(self) -> Iterator[bytes]:
        if self._file.packing:
            return _from(self._start, unpacked(self._file))
        return plain(self._file.descriptor, self._start, self._end)


def _from(start: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if len(chunk) > start:
            yield chunk[start:]
        start = max(0, start - len(chunk))


def plain(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes from start to end.

    Raises:
        Shortened: The file ends before.
    """
    while start < end:
        chunk = os.pread(descriptor, min(CHUNK, end - start), start)
        if not chunk:
            raise Shortened
        at = chunk.rfind(b"\n") + 1
        if 0 < at < len(chunk) < end - start:  # read the beginning of the next line once more: cheaper than joining
            chunk = chunk[:at]
        start += len(chunk)
        yield chunk


def unpacked(file: LogFile) -> Iterator[bytes]:
    """The text of a compressed file, at most CHUNK at a time however well it is packed.

    Raises:
        Broken: It is damaged or cut off.
    """
    if file.packing == "zst":
        yield from _by_program(file.descriptor, ["zstd", "-dcq"])
        return
    step, members, packed, at = None, 0, b"", 0
    while packed or at < file.size or step:
        if not packed:
            packed = os.pread(file.descriptor, CHUNK, at)
            at += CHUNK
        if step is None:  # between two members, and behind the last one, there may be zeros
            packed = packed.lstrip(b"\0") if members else packed
            step = _unpacker(file.packing) if packed else None
            continue
        text, packed, ended = step(packed)
        if text:
            yield text
        elif not (packed or ended or at < file.size):
            raise Broken("ends too early")
        step, members = (None, members + 1) if ended else (step, members)
    if not members:
        raise Broken("is empty")


def _unpacker(packing: str) -> Any:
    """A function for one member: bytes -> (text, bytes to be given next, whether the member ended)."""
    if packing == "gz":
        import zlib

        return _gunzip(zlib.decompressobj(31), zlib.error)
    if packing == "bz2":
        import bz2

        return _unpack(bz2.BZ2Decompressor(), (OSError, ValueError))
    import lzma

    return _unpack(lzma.LZMADecompressor(), lzma.LZMAError)


def _gunzip(gzip: Any, errors: Any) -> Any:
    def step(packed: bytes) -> tuple[bytes, bytes, bool]:
        try:
            text = gzip.decompress(packed, CHUNK)
        except errors as error:
            raise Broken(str(error)) from None
        return text, gzip.unused_data if gzip.eof else gzip.unconsumed_tail, gzip.eof

    return step


def _unpack(unpacker: Any, errors: Any) -> Any:
    kept = [b""]  # it holds bytes of its own, and must not be given more before they are used up

    def step(packed: bytes) -> tuple[bytes, bytes, bool]:
        given, kept[0] = (packed, b"") if unpacker.needs_input else (b"", packed)
        try:
            text = unpacker.decompress(given, CHUNK)
        except errors as error:
            raise Broken(str(error)) from None
        if unpacker.eof:
            return text, unpacker.unused_data + kept[0], True
        return text, kept[0], False

    return step


def _by_program(descriptor: int, argv: list[str]) -> Iterator[bytes]:
    import subprocess

    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        child = subprocess.Popen(argv, stdin=descriptor, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        raise Broken("%s is not installed, so it was not read" % argv[0]) from None
    with child:
        try:
            while True:
                text = child.stdout.read(CHUNK) if child.stdout else b""
                if not text:
                    break
                yield text
        except GeneratorExit:
            child.kill()
            raise
    if child.returncode:
        raise Broken("%s could not read it to its end" % argv[0])


def time_at(file: LogFile, at: int, clock: Clock) -> tuple[float, int] | None:
    """(time, offset) of the first line with a time that begins at or after a place, within some 64 KiB; else None."""
    begin = max(0, at - 1)  # a newline just before means that a line begins here
    data = os.pread(file.descriptor, _PROBE, begin)
    start = data.find(b"\n") + 1 if at else 0
    while at == 0 or start:
        end = data.find(b"\n", start)
        if end < 0:
            return None
        when = clock(data[start:end])
        if when is not None:
            return when, begin + start
        start = end + 1
    return None


def line_at(file: LogFile, at: int) -> int | None:
    """Where the first line begins after a place, within some 64 KiB; else None."""
    newline = os.pread(file.descriptor, _PROBE, at).find(b"\n")
    return None if newline < 0 else at + newline + 1


def bounds(file: LogFile, since: float | None, until: float | None, clock: Clock) -> tuple[int, int]:
    """(start, end) of what a window needs of a plain file whose lines are in the order of time; else all of it."""
    if file.packing or file.size < 2 * _SAMPLES * _PROBE:
        return 0, file.size
    places = [file.size * step // _SAMPLES for step in range(_SAMPLES)]
    seen = [time_at(file, place, clock) for place in places]
    known = [one for one in seen if one is not None]
    if len(known) < len(seen) or any(one[0] < known[at][0] - SLACK for at, one in enumerate(known[1:])):
        return 0, file.size
    start = 0 if since is None else _search(file, known, since - SLACK, clock)[0]
    end = file.size if until is None else _search(file, known, until + SLACK, clock)[1]
    return (start, end) if start <= end else (0, file.size)


def _search(file: LogFile, known: list[tuple[float, int]], when: float, clock: Clock) -> tuple[int, int]:
    """(offset of a line before `when`, offset of one that is not, or the file's size), close to each other."""
    before = max((one for one in known if one[0] < when), default=(0.0, 0))
    after = min((one for one in known if one[0] >= when), default=(0.0, file.size))
    low, high = before[1], after[1]
    while high - low > 2 * _PROBE:
        found = time_at(file, (low + high) // 2, clock)
        if found is None or not low < found[1] < high:
            break
        low, high = (found[1], high) if found[0] < when else (low, found[1])
    return low, high
