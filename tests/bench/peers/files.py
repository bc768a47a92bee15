# SPDX-License-Identifier: GPL-3.0-or-later
"""Written for speed: three whole files and one command. A value that drifted in the kernel alone is not seen."""

import io
import json
from pathlib import Path

from pyinfra.operations import files, server

HERE = Path(__file__).resolve().parent
PROFILE = json.loads((HERE.parent / "profile.json").read_text())
DROP_IN = "/etc/sysctl.d/90-collector.conf"
SETTINGS = "".join(f"{key} = {value}\n" for key, value in PROFILE["sysctl"].items())
LIMITS = "".join("{domain} {type} {item} {value}\n".format(**limit) for limit in PROFILE["limits"]["pam"])

settings = files.put(name="Install kernel parameters", src=io.StringIO(SETTINGS), dest=DROP_IN, mode="644")
server.shell(name="Load kernel parameters", commands=[f"sysctl -p {DROP_IN}"], _if=settings.did_change)
files.put(name="Install limits", src=io.StringIO(LIMITS), dest="/etc/security/limits.d/90-collector.conf", mode="644")
files.put(
    name="Install the rotation of logs", src=str(HERE / "rotation.conf"), dest="/etc/logrotate.d/collector", mode="640"
)
