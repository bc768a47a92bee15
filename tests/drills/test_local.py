# SPDX-License-Identifier: GPL-3.0-or-later
"""`--local`: the wheel, installed on the broken host without any network, cures it there."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.support import lab

HOST = "db1"
CONTAINER = f"{lab.NAME}-{HOST}"
HOME = "/opt/ops-runbook"


def uv(*arguments: str) -> None:
    found = shutil.which("uv") or next(iter(sorted((Path.home() / ".cache/ops-runbook").glob("uv-*/uv"))), None)
    assert found, "make setup keeps uv in ~/.cache/ops-runbook"
    done = subprocess.run([str(found), *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Our wheel and what it needs, for the host's own Python, in a folder of the host."""
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", HOST], timeout=600)
    assert up.code == 0, up.text
    made = tmp_path_factory.mktemp("wheel")
    version = lab.on(HOST, "python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").stdout.strip()
    uv("build", "--wheel", "-q", "--out-dir", str(made), str(lab.ROOT))
    (wheel,) = made.glob("*.whl")
    site = made / "site"
    uv(
        "pip",
        "install",
        "-q",
        "--python-version",
        version,
        "--python-platform",
        "linux",
        "--only-binary",
        ":all:",
        "--target",
        str(site),
        str(wheel),
    )
    copy = [*lab.AS_ROOT, "podman", "cp", f"{site}/.", f"{CONTAINER}:{HOME}"]
    # Here the budget of starts is the pack's own, and other drills have used it up.
    assert lab.on(HOST, f"mkdir -p {HOME}; rm -rf /var/lib/ops-runbook/budget").code == 0
    subprocess.run(copy, check=True, timeout=120)
    # Scripts were made for another machine's Python.
    assert lab.on(HOST, f"sed -i '1s|.*|#!/usr/bin/python3|' {HOME}/bin/ansible* {HOME}/bin/runbook").code == 0
    yield
    lab.on(HOST, f"rm -rf {HOME} /var/lib/ops-runbook/local /run/ops-runbook/*.json /tmp/home; systemctl start mongod")


def here(line: str) -> lab.Ran:
    """A line in a root shell on the host, as on its console, far from any checkout."""
    return lab.on(HOST, f"cd /; export PYTHONPATH={HOME} PATH={HOME}/bin:$PATH HOME=/root LC_ALL=C.UTF-8; {line}", 300)


def test_a_killed_server_is_cured_on_its_own_host(installed: None) -> None:
    before = lab.data(HOST)
    server = (Path.home() / ".cache/ops-runbook/lab/server").read_text().strip()
    group = lab.ROOT / lab.INVENTORY / "group_vars/all"
    ours, often = (yaml.safe_load((group / name).read_text()) for name in ("mongodb.yml", "objectives.yml"))
    variables = {**ours, **often, "mongodb_process_name": server}
    lab.on(HOST, f"mkdir -p /tmp/home; printf %s {shlex.quote(json.dumps(variables))} >/tmp/home/host.json")
    told = "-e @/tmp/home/host.json"
    cut = "nft add table inet cut; nft 'add chain inet cut in { type filter hook input priority 0; }'; "
    cut += "nft add rule inet cut in iif != lo drop"
    assert lab.on(HOST, cut).code == 0, "the network is gone"
    try:
        lab.on(HOST, "systemctl kill -s KILL mongod; sleep 0.5")
        looked = here("runbook doctor --local")
        assert looked.code == 0, looked.text
        diagnosed = here(f"runbook diagnose recover_mongodb --local {told} --format json")
        assert diagnosed.code == 3, diagnosed.text
        assert json.loads(diagnosed.stdout)["targets"][0]["summary"]["cause"] == "killed"
        cured = here(f"runbook run recover_mongodb --local {told}")
        assert cured.code == 0, cured.text
        assert f"{HOST}/mongodb REMEDIED" in cured.stdout
        assert "undo       runbook undo" in cured.stdout
        assert "--local" in cured.stdout
        assert lab.on(
            HOST, "stat -c '%a %U' /var/lib/ops-runbook /var/lib/ops-runbook/local/record.jsonl"
        ).stdout.split() == [
            "700",
            "root",
            "600",
            "root",
        ]
        listed = here("runbook undo --list --local --format json")
        assert [one["hosts"] for one in json.loads(listed.stdout)] == [[HOST]], listed.text
        predicted = here(f"runbook undo last --local --check --approve undo {told}")
        assert predicted.code == 3, predicted.text
    finally:
        lab.on(HOST, "nft delete table inet cut; systemctl reset-failed mongod; systemctl start mongod")
    after = lab.data(HOST)
    assert (after["count"], after["sha256"], after["missing"]) == (before["count"], before["sha256"], 0)


def test_with_an_inventory_it_must_be_this_host(installed: None, tmp_path: Path) -> None:
    inventory = {"mongodb": {"hosts": {HOST: {"ansible_host": "192.0.2.1"}, "db2": {"ansible_host": "192.0.2.2"}}}}
    lab.on(HOST, f"mkdir -p /tmp/home; printf %s '{json.dumps(inventory)}' >/tmp/home/hosts.json")
    for limit in ("", "--limit db2"):
        refused = here(f"runbook run recover_mongodb --local -i /tmp/home/hosts.json {limit}")
        assert refused.code == 7, refused.text
        assert f"this host is {HOST}" in refused.stderr
    healthy = here(f"runbook diagnose recover_mongodb --local -i /tmp/home/hosts.json --limit {HOST}")
    assert healthy.code == 0, healthy.text
