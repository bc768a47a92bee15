# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for secrets finds them in every escape and archive that it says; else its silence would mean nothing."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile
import time
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import debian
from tests.support.canary import Canaries, Watch, fresh

SECRET = fresh("unit")
TEXT = f'mongodb://root:p@"{SECRET}/é@db1'
CANARIES = Canaries(it=SECRET, other=fresh("other"))


def tar(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("etc/mongod.conf")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", data)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return subprocess.run([debian.program("zstd"), "-c"], input=data, capture_output=True, check=True).stdout


WAYS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("plain", bytes),
    ("JSON", lambda data: json.dumps(json.dumps(data.decode())).encode()),
    ("URL", lambda data: urllib.parse.quote(data.decode(), safe="").encode()),
    ("hex", lambda data: data.hex().encode()),
    ("HEX", lambda data: data.hex().upper().encode()),
    *((f"base64 at {n}", lambda data, n=n: base64.b64encode(b"x" * n + data)) for n in range(3)),
    ("url-safe base64", lambda data: base64.urlsafe_b64encode(b"??" + data)),
    ("base64 in gzip", lambda data: gzip.compress(base64.b64encode(data))),
    ("gzip", gzip.compress),
    ("bzip2", bz2.compress),
    ("xz", lzma.compress),
    ("zlib", zlib.compress),
    ("zstd", zstd),
    ("tar.gz", tar),
    ("zip", zipped),
    ("gzip in tar in xz", lambda data: lzma.compress(tar(gzip.compress(data)))),
]


@pytest.mark.parametrize(("name", "way"), WAYS, ids=[name for name, _way in WAYS])
def test_it_is_found(name: str, way: Callable[[bytes], bytes]) -> None:
    assert CANARIES.within(way(TEXT.encode())) == {"it"}
    assert CANARIES.within(way(TEXT.replace(SECRET, "***").encode())) == set()


def test_files_and_processes(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.gz").write_bytes(gzip.compress(TEXT.encode()))
    (tmp_path / "a" / "y").write_text("nothing")
    assert CANARIES.below(tmp_path) == {tmp_path / "a" / "b" / "x.gz": {"it"}}
    with Watch(CANARIES, [tmp_path]) as watch:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", f"--password={SECRET}"])
        quiet = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={"TOKEN": TEXT})
        end = time.monotonic() + 30
        while time.monotonic() < end and {one.where for one in watch.seen} != {"cmdline", "environ", "file"}:
            time.sleep(0.05)
        for process in (child, quiet):
            process.kill()
            process.wait()
    found = {one.where: one for one in watch.seen}
    assert set(found) == {"cmdline", "environ", "file"}
    assert f"--password={SECRET}" in found["cmdline"].what
    assert found["cmdline"].here
