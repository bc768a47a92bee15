# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus on this machine that scrapes a real node exporter on a lab host, both from Debian's packages."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from . import debian, lab

SERVER, EXPORTER = "prometheus", "prometheus-node-exporter"
PORT = 9100
CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["{target}"]}}]
"""


def binary(package: str) -> Path:
    """The program of a Debian package."""
    return debian.unpacked(package) / "usr" / "bin" / package


@contextlib.contextmanager
def watching(host: str, address: str, folder: Path) -> t.Iterator[str]:
    """The URL of a Prometheus that sees the kernel parameters of a lab host, a second after they change."""
    copied = lab.run([*lab.AS_ROOT, "podman", "cp", str(binary(EXPORTER)), f"{lab.NAME}-{host}:/run/node-exporter"])
    assert copied.code == 0, copied.text
    flags = "--collector.disable-defaults --collector.sysctl --collector.sysctl.include=net.ipv4.tcp_fin_timeout"
    started = lab.on(host, f"systemd-run --unit=node-exporter /run/node-exporter {flags} --web.listen-address=:{PORT}")
    assert started.code == 0, started.text
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "prometheus.yml").write_text(CONFIG.format(target=f"{address}:{PORT}"))
    argv = [str(binary(SERVER)), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen([*argv, f"--web.listen-address={listen}"], stdout=log, stderr=log)
    try:
        wait(f"http://{listen}", "up", lambda value: value == 1)
        yield f"http://{listen}"
    finally:
        server.terminate()
        server.wait(20)
        lab.on(host, "systemctl stop node-exporter; rm -f /run/node-exporter")


def wait(url: str, query: str, wanted: t.Callable[[float], bool], seconds: float = 30) -> None:
    """Until a query yields what is wanted."""
    end = time.monotonic() + seconds
    seen: t.Any = None
    while time.monotonic() < end:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            asked = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
            with urllib.request.urlopen(asked, timeout=5) as response:  # noqa: S310 - loopback, ours
                seen = json.load(response)["data"]["result"]
            if len(seen) == 1 and wanted(float(seen[0]["value"][1])):
                return
        time.sleep(0.3)
    raise AssertionError(f"{query} did not come to what was wanted within {seconds:.0f} s: {seen}")
