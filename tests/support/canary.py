# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that exist nowhere else, and the search for them: in every escape, in archives, in processes, all along."""

from __future__ import annotations

import base64
import bz2
import contextlib
import gzip
import io
import lzma
import os
import secrets
import stat
import subprocess
import tarfile
import threading
import time
import typing as t
import zipfile
import zlib
from pathlib import Path

from . import debian

Names = frozenset[str]


def _zstd(data: bytes) -> bytes:
    command = [debian.program("zstd"), "-dc"]
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=60).stdout


_MAGIC: tuple[tuple[bytes, t.Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", gzip.decompress),
    (b"BZh", bz2.decompress),
    (b"\xfd7zXZ\x00", lzma.decompress),
    (b"\x28\xb5\x2f\xfd", _zstd),
    (b"\x78\x9c", zlib.decompress),
)


def fresh(name: str) -> str:
    """A secret: letters and digits only, so that escapes of text leave it as it is."""
    return f"Kanarie{name}{secrets.token_hex(10)}"


def shapes(secret: str) -> set[bytes]:
    """How its bytes may be written: plain (as URLs and JSON leave letters), base64 at every offset, hex, escaped."""
    raw = secret.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), secret.encode("utf-16-le")}
    found |= {b"".join(b"%%%02x" % byte for byte in raw), b"".join(b"\\u%04x" % byte for byte in raw)}
    for offset, skipped in ((0, 0), (1, 2), (2, 3)):
        size = (offset + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"\0" * offset + raw)[skipped:size])
    return found


class Canaries:
    """Secrets by name, and what of them a text holds."""

    def __init__(self, **given: str) -> None:
        self.secrets = given
        self._shapes = {name: shapes(secret) for name, secret in given.items()}

    def __getitem__(self, name: str) -> str:
        return self.secrets[name]

    def within(self, data: bytes) -> Names:
        """Names of those that data holds, also in what is packed in it."""
        found: set[str] = set()
        for layer in layers(data):
            found |= {name for name, all_ in self._shapes.items() if any(shape in layer for shape in all_)}
        return frozenset(found)

    def below(self, folder: Path) -> dict[Path, Names]:
        """The same for every file below a folder, and for names."""
        found = {}
        for path in [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]:
            with contextlib.suppress(FileNotFoundError):
                names = self.within(path.read_bytes()) | self.within(str(path).encode())
                if names:
                    found[path] = names
        return found


def layers(data: bytes) -> t.Iterator[bytes]:
    """Data, and what is packed in it, and so on."""
    yield data
    for magic, unpack in _MAGIC:
        if data.startswith(magic):
            yield from layers(unpack(data))
    if data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                stream = archive.extractfile(member)
                if stream:
                    yield from layers(stream.read())
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for name in packed.namelist():
                yield from layers(packed.read(name))


class Seen(t.NamedTuple):
    """A canary in a process or in a file that was only there for a while."""

    names: Names
    where: str
    """`cmdline`, `environ` or `file`."""
    what: str
    """The command line, or the path."""
    inside: str
    """The process's control group."""
    here: bool
    """Whether it is on this side, and not in a host of the lab."""
    private: bool
    """Of a file: whether only its owner can come to it."""


class Watch(threading.Thread):
    """Looks at every process of machine and hosts, and at folders for temporary files, twenty times a second.

    A host of the lab is a container on this machine, so that /proc has its processes, and /proc/PID/root its files.
    """

    def __init__(self, canaries: Canaries, folders: list[Path]) -> None:
        super().__init__(daemon=True)
        self.canaries, self.folders = canaries, folders
        self.seen: set[Seen] = set()
        self.looks = 0
        self._over = threading.Event()
        self._space = Path("/proc/self/ns/pid").readlink()

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Until the end."""
        while not self._over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                self._process(process)
            for folder in self.folders:
                self._files(folder)
            self.looks += 1
            time.sleep(0.05)

    def _process(self, process: Path) -> None:
        for where in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                read = (process / where).read_bytes()
                names = self.canaries.within(read)
                if names:
                    # read once: a process that ends in between has none any more
                    line = read if where == "cmdline" else (process / "cmdline").read_bytes()
                    told = line.replace(b"\0", b" ").decode(errors="replace")
                    group = (process / "cgroup").read_text()
                    here = (process / "ns/pid").readlink() == self._space
                    self.seen.add(Seen(names, where, told, group, here, private=False))

    def _files(self, folder: Path) -> None:
        for top, _folders, files in os.walk(folder):
            for name in files:
                path = Path(top, name)
                with contextlib.suppress(OSError):
                    if not stat.S_ISREG(path.lstat().st_mode) or path.lstat().st_size > 8 << 20:
                        continue
                    names = self.canaries.within(path.read_bytes())
                    if names:
                        closed = not path.stat().st_mode & 0o077 or not path.parent.stat().st_mode & 0o077
                        self.seen.add(Seen(names, "file", str(path), "", str(path)[:6] != "/proc/", closed))
