# SPDX-License-Identifier: GPL-3.0-or-later
"""The same with pyinfra's own operations; `--data limits=lines` adds the limits line by line, else as one file."""

import io
import json
from pathlib import Path

from pyinfra import host
from pyinfra.operations import files, server

HERE = Path(__file__).resolve().parent
PROFILE = json.loads((HERE.parent / "profile.json").read_text())
LIMITS = "/etc/security/limits.d/90-collector.conf"
LINES = ["{domain} {type} {item} {value}".format(**limit) for limit in PROFILE["limits"]["pam"]]

for key, value in PROFILE["sysctl"].items():
    server.sysctl(name=f"Set {key}", key=key, value=value, persist=True, persist_file="/etc/sysctl.d/90-collector.conf")

if host.data.get("limits") == "lines":
    for line in LINES:
        files.line(name=f"Set limit {line}", path=LIMITS, line=line)
else:
    files.put(name="Set limits", src=io.StringIO("".join(f"{line}\n" for line in LINES)), dest=LIMITS, mode="644")

files.put(
    name="Install the rotation of logs",
    src=str(HERE / "rotation.conf"),
    dest="/etc/logrotate.d/collector",
    user="root",
    group="root",
    mode="640",
)
