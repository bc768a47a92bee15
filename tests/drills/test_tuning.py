# SPDX-License-Identifier: GPL-3.0-or-later
"""A tuning run is an experiment: better and neutral are kept, harm stops at the canary and is put back by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from tests.support import lab, prometheus

TUNED = [f"fleet{number}" for number in range(11, 16)]
SERVER = "fleet16"
CANARY, REST = TUNED[0], TUNED[1:]
GOOD, POOR = "4096 131072 33554432", "4096 4096 4096"
RMEM, FIN = "net.ipv4.tcp_rmem", "net.ipv4.tcp_fin_timeout"
# A download from another host over the lab's network, paced at 1 Gbit/s by the sender: MB/s.
MEASUREMENT = {
    "command": ["/usr/local/bin/measure-throughput", SERVER, "33554432"],
    "better": "higher",
    "tolerance": 20,
}
LIMITS = {"pam": [{"domain": "logcaster", "type": "soft", "item": "nofile", "value": "16384"}]}
ROTATION = {"path": "/etc/logrotate.d/edge", "content": "/var/log/edge.log {\n  daily\n}\n"}
SYSCTLS = f"{RMEM} {FIN} net.ipv4.tcp_keepalive_time net.core.somaxconn"
LOOK = (
    f"sysctl {SYSCTLS}; find /etc -xdev -type f ! -path '/etc/ssl/*' -exec stat -c '%n %a %U %s' {{}} + | sort;"
    " cat /etc/sysctl.d/*.conf /etc/security/limits.d/* 2>/dev/null | sha256sum"
)


@pytest.fixture(scope="module")
def fleet() -> t.Iterator[None]:
    """Hosts of the fleet, as they come."""
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", *TUNED, SERVER], timeout=300)
    assert up.code == 0, up.text
    yield
    lab.run([str(lab.ROOT / "lab" / "lab"), "down", *TUNED, SERVER], timeout=300)


@pytest.fixture(autouse=True)
def clean(fleet: None) -> None:
    """Every test begins with the kernel's own values and none of our files."""
    for host in TUNED:
        said = lab.on(
            host,
            "rm -rf /var/lib/ops-runbook /etc/sysctl.d/90-ops-runbook-* /etc/security/limits.d/90-ops-runbook-*"
            f" /etc/logrotate.d/edge; sysctl -q -w {RMEM}='{GOOD}' {FIN}=60 net.ipv4.tcp_keepalive_time=7200",
        )
        assert said.code == 0, said.text


def look(*hosts: str) -> dict[str, str]:
    """What a host is like, by another road: kernel parameters, and files with mode, owner, size and content."""
    return {host: lab.on(host, LOOK).stdout for host in hosts or TUNED}


def live(host: str, key: str) -> str:
    return " ".join(lab.on(host, f"sysctl -n {key}").stdout.split())


def profile(folder: Path, sysctl: dict[str, t.Any], **more: t.Any) -> str:
    """A file of variables for a profile named edge."""
    parts = {"sysctl": sysctl, **{key: more.pop(key) for key in ("limits", "files", "environment") if key in more}}
    path = folder / "edge.yml"
    path.write_text(yaml.safe_dump({"tuning_profile": "edge", "tuning_profiles": {"edge": parts}, **more}))
    return f"@{path}"


def tune(folder: Path, variables: str, *more: str, limit: str = ",".join(TUNED)) -> tuple[lab.Ran, lab.Json]:
    return lab.runbook("run", "tune_fleet", "-e", variables, *more, records=folder, host=limit)


def outcomes(document: lab.Json) -> dict[str, str]:
    return {target["host"]: target["outcome"] for target in document["targets"]}


def summary(document: lab.Json, host: str) -> lab.Json:
    return next(target["summary"] for target in document["targets"] if target["host"] == host)


def test_better_is_kept_everywhere_and_a_rerun_has_nothing_left(tmp_path: Path) -> None:
    for host in TUNED:
        lab.on(host, f"sysctl -q -w {RMEM}='{POOR}'")
    variables = profile(tmp_path, {RMEM: GOOD}, tuning_measurement=MEASUREMENT)
    done, document = tune(tmp_path, variables)
    assert done.code == 0, done.text
    assert set(outcomes(document).values()) == {"done"}
    measured = summary(document, CANARY)["measured"]
    assert measured["verdict"] == "better"
    assert measured["after"] > 1.5 * measured["before"]
    assert [live(host, RMEM) for host in TUNED] == [GOOD] * 5
    again, document = tune(tmp_path, variables)
    assert again.code == 0, again.text
    assert set(outcomes(document).values()) == {"healthy"}
    assert all(not summary(document, host)["changes"] for host in TUNED)


def test_neutral_is_kept(tmp_path: Path) -> None:
    variables = profile(tmp_path, {FIN: 15}, tuning_measurement=MEASUREMENT)
    done, document = tune(tmp_path, variables, limit=f"{CANARY},{REST[0]}")
    assert done.code == 0, done.text
    assert [summary(document, host)["measured"]["verdict"] for host in TUNED[:2]] == ["neutral", "neutral"]
    assert [live(host, FIN) for host in TUNED] == ["15", "15", "60", "60", "60"]


def test_harm_is_stopped_at_the_canary_and_undone_by_itself(tmp_path: Path) -> None:
    before = look()
    variables = profile(
        tmp_path,
        {RMEM: POOR, FIN: 15},
        limits=LIMITS,
        files=[ROTATION],
        tuning_allow_lowering=[RMEM],
        tuning_measurement=MEASUREMENT,
    )
    done, document = tune(tmp_path, variables)
    assert done.code == 6, done.text
    assert outcomes(document) == {CANARY: "reverted", **dict.fromkeys(REST, "untouched")}
    assert summary(document, CANARY)["measured"]["verdict"] == "harmful"
    assert look() == before
    assert not [host for host in REST if lab.on(host, "test -e /var/lib/ops-runbook").code == 0]


def test_a_query_of_prometheus_decides_as_a_command_does(tmp_path: Path) -> None:
    address = f"{lab.SUBNET}.{100 + int(CANARY.removeprefix('fleet'))}"
    with prometheus.watching(CANARY, address, tmp_path) as url:
        query = "node_sysctl_net_ipv4_tcp_fin_timeout"
        asked = {"query": query, "url": url, "better": "higher", "samples": 1, "settle": 3}
        done, document = tune(tmp_path, profile(tmp_path, {FIN: 15}, tuning_measurement=asked), limit=CANARY)
        assert (done.code, outcomes(document)) == (6, {CANARY: "reverted"}), done.text
        measured = summary(document, CANARY)["measured"]
        assert (measured["before"], measured["after"], measured["verdict"]) == (60, 15, "harmful")
        assert live(CANARY, FIN) == "60"
        prometheus.wait(url, query, lambda value: value == 60)
        good = {**asked, "better": "lower"}
        done, document = tune(tmp_path, profile(tmp_path, {FIN: 15}, tuning_measurement=good), limit=CANARY)
        assert (done.code, summary(document, CANARY)["measured"]["verdict"]) == (0, "better"), done.text
        none = {**asked, "query": "node_sysctl_of_nothing"}
        done, _document = tune(tmp_path, profile(tmp_path, {FIN: 20}, tuning_measurement=none), limit=CANARY)
        assert (done.code, "yields 0 series" in done.stdout) == (8, True), done.text
        assert live(CANARY, FIN) == "15"


def test_what_cannot_be_measured_is_not_changed_and_what_fails_afterwards_is_put_back(tmp_path: Path) -> None:
    before = look(CANARY)
    broken = {**MEASUREMENT, "command": ["/bin/sh", "-c", "echo none"]}
    done, document = tune(tmp_path, profile(tmp_path, {FIN: 15}, tuning_measurement=broken), limit=CANARY)
    assert done.code == 8, done.text
    assert "did not yield one number" in done.stdout
    assert look(CANARY) == before
    # Yields a number until the profile is applied: "could not tell" is never a pass.
    fails = {**MEASUREMENT, "command": ["/bin/sh", "-c", f"test $(sysctl -n {FIN}) = 60 && echo 7"]}
    done, document = tune(tmp_path, profile(tmp_path, {FIN: 15}, tuning_measurement=fails), limit=CANARY)
    assert (done.code, outcomes(document)) == (6, {CANARY: "reverted"}), done.text
    assert look(CANARY) == before


def test_a_host_that_is_lost_after_the_change_can_be_undone_when_it_is_back(tmp_path: Path) -> None:
    before = look(CANARY)
    # Yields a number until the profile is applied; then the host's sshd is gone, with every connection of it.
    ends = f"test $(sysctl -n {FIN}) = 60 && echo 7 || {{ systemctl mask --runtime ssh; systemctl kill -s KILL ssh; }}"
    variables = profile(tmp_path, {FIN: 15}, tuning_measurement={**MEASUREMENT, "command": ["/bin/sh", "-c", ends]})
    try:
        done, document = tune(tmp_path, variables, limit=",".join(TUNED[:2]))
    finally:
        lab.on(CANARY, "systemctl unmask --runtime ssh; systemctl reset-failed ssh; systemctl start ssh")
    assert (done.code, outcomes(document)) == (5, {CANARY: "failed", REST[0]: "untouched"}), done.text
    assert "and it could not be put back" in summary(document, CANARY)["message"]
    assert f"runbook undo {document['run_id']}" in done.stdout
    assert [live(host, FIN) for host in TUNED[:2]] == ["15", "60"]
    done, document = lab.runbook("undo", document["run_id"], records=tmp_path, host=None)
    assert (done.code, outcomes(document)) == (0, {CANARY: "done"}), done.text
    assert look(CANARY) == before


def test_a_profile_of_something_else_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "edge.yml"
    path.write_text(yaml.safe_dump({"tuning_profile": "edge", "tuning_profiles": {"edge": {"sysctls": {FIN: 15}}}}))
    done, _document = tune(tmp_path, f"@{path}", limit=CANARY)
    assert (done.code, "sysctl, limits, environment, files" in done.stdout) == (2, True), done.text


def test_a_host_that_is_not_well_is_not_tuned_and_one_that_gets_worse_is_put_back(tmp_path: Path) -> None:
    checks = {"service": {"type": "systemd_unit", "unit": ["logcaster.service"]}}
    variables = profile(tmp_path, {FIN: 15}, tuning_checks=checks)
    lab.on(CANARY, "systemctl stop logcaster")
    try:
        done, document = tune(tmp_path, variables, limit=CANARY)
        assert (done.code, outcomes(document)) == (7, {CANARY: "refused"}), done.text
        assert "not well" in done.stdout
        assert live(CANARY, FIN) == "60"
    finally:
        lab.on(CANARY, "systemctl start logcaster")
    before = look(CANARY)
    # A file of the profile is the service's own: a broken setting, and it dies at its restart.
    breaks = {"logcaster.service": {"BUFFER_SIZE": "rubbish"}}
    variables = profile(tmp_path, {FIN: 15}, environment=breaks, tuning_restart=True, tuning_steady=1)
    done, document = tune(tmp_path, variables, limit=CANARY)
    assert (done.code, outcomes(document)) == (5, {CANARY: "failed"}), done.text
    assert "put back" in done.stdout
    assert look(CANARY) == before
    assert lab.on(CANARY, "systemctl is-active logcaster").stdout.strip() == "active"


def test_check_predicts_what_the_run_then_does_and_undo_takes_it_all_back(tmp_path: Path) -> None:
    before = look()
    variables = profile(tmp_path, {FIN: 15, "net.core.somaxconn": 65535}, limits=LIMITS, files=[ROTATION])
    done, predicted = tune(tmp_path, variables, "--check")
    assert (done.code, set(outcomes(predicted).values())) == (3, {"predicted"}), done.text
    assert look() == before
    done, document = tune(tmp_path, variables)
    assert (done.code, set(outcomes(document).values())) == (0, {"done"}), done.text
    for host in TUNED:
        assert summary(document, host)["changes"] == summary(predicted, host)["changes"]
    tuned = look()
    assert [live(host, FIN) for host in TUNED] == ["15"] * 5
    done, document = lab.runbook("undo", document["run_id"], records=tmp_path, host=None)
    assert (done.code, set(outcomes(document).values())) == (0, {"done"}), done.text
    assert look() == before
    done, document = lab.runbook("undo", document["run_id"], records=tmp_path, host=None)
    assert (done.code, set(outcomes(document).values())) == (0, {"done"}), done.text
    assert look() == tuned


SHIPPED = {
    "batch_recommender": (
        "simplers-batch",
        {"net.ipv4.tcp_wmem": "4096 65536 16777216"},
        {"MONGODB_MAX_POOL_SIZE": "50", "OPENSEARCH_MAX_CONNECTIONS": "20"},
        RMEM,  # the guide's value halves this kernel's own
    ),
    "log_collector": (
        "logcaster",
        {"net.core.somaxconn": "65535", FIN: "15", "net.ipv4.tcp_keepalive_time": "300"},
        {"THREAD_POOL_SIZE": str(os.cpu_count()), "USE_DIRECT_IO": "1", "WRITE_BATCH_SIZE": "1000"},
        "fs.file-max",  # the guide's value is far below this kernel's own
    ),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_profile_that_ships_reaches_kernel_and_process_and_goes_without_a_trace(tmp_path: Path, name: str) -> None:
    unit, sysctl, environment, kept = SHIPPED[name]
    proc = f"/proc/$(systemctl show -P MainPID {unit})"
    process = f"tr '\\0' '\\n' <{proc}/environ | grep -E '^({'|'.join(environment)})=' | sort"
    before, had = look(CANARY), lab.on(CANARY, process).stdout
    done, document = tune(tmp_path, f"tuning_profile={name}", "-e", "tuning_restart=true", limit=CANARY)
    assert (done.code, outcomes(document)) == (0, {CANARY: "done"}), done.text
    assert {key: live(CANARY, key) for key in sysctl} == sysctl
    assert lab.on(CANARY, process).stdout.split() == sorted(f"{key}={value}" for key, value in environment.items())
    assert summary(document, CANARY)["keys"][kept]["status"] == "better_kept"
    if name == "log_collector":
        assert "16384" in lab.on(CANARY, f"grep 'Max open files' {proc}/limits").stdout
    again, unchanged = tune(tmp_path, f"tuning_profile={name}", "-e", "tuning_restart=true", limit=CANARY)
    assert (again.code, outcomes(unchanged)) == (0, {CANARY: "healthy"}), again.text
    done, document = lab.runbook("undo", document["run_id"], records=tmp_path, host=None)
    assert (done.code, outcomes(document)) == (0, {CANARY: "done"}), done.text
    assert look(CANARY) == before
    assert lab.on(CANARY, process).stdout == had


def test_an_unreachable_host_does_not_hold_up_the_others_and_a_rerun_takes_only_it(tmp_path: Path) -> None:
    variables = profile(tmp_path, {FIN: 15})
    podman = [*lab.AS_ROOT, "podman"]
    lab.run([*podman, "pause", f"ops-runbook-{CANARY}"])
    try:
        done, document = tune(tmp_path, variables)
    finally:
        lab.run([*podman, "unpause", f"ops-runbook-{CANARY}"])
    assert done.code == 4, done.text
    assert outcomes(document) == {CANARY: "unreachable", **dict.fromkeys(REST, "done")}
    assert document["fleet"]["outcomes"]["unreachable"] == [CANARY]
    run = document["run_id"]
    done, document = tune(tmp_path, variables)
    assert done.code == 0, done.text
    assert outcomes(document) == {CANARY: "done", **dict.fromkeys(REST, "healthy")}
    done, document = lab.runbook("undo", run, records=tmp_path, host=None)  # nothing came to the canary in that run
    assert (done.code, outcomes(document)) == (0, dict.fromkeys(REST, "done")), done.text


def test_a_run_killed_on_the_way_is_taken_up_where_it_broke_off(tmp_path: Path) -> None:
    slow = {**MEASUREMENT, "command": ["/bin/sh", "-c", "sleep 0.5; echo 1"]}
    variables = profile(tmp_path, {FIN: 15}, tuning_measurement=slow)
    argv = [lab.command("ansible-playbook"), "-i", lab.INVENTORY, "playbooks/tune_fleet.yml", "-e", variables]
    environment = {
        "OPS_RUNBOOK_RECORDS": str(tmp_path),
        "PATH": f"{Path(argv[0]).parent}:/usr/bin:/bin",
        "HOME": str(Path.home()),
    }
    run = subprocess.Popen(
        [*argv, "--limit", ",".join(TUNED)],
        cwd=lab.ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while live(CANARY, FIN) != "15":
        assert time.monotonic() < deadline, "the canary was never tuned"
        time.sleep(0.1)
    run.send_signal(signal.SIGKILL)
    run.wait()
    time.sleep(1)  # what had begun on a host ends by itself
    left = [host for host in TUNED if live(host, FIN) == "60"]
    assert left, "it was through before it was killed"
    done, document = tune(tmp_path, variables)
    assert done.code == 0, done.text
    assert {host: name for host, name in outcomes(document).items() if name == "done"} == dict.fromkeys(left, "done")
    assert [live(host, FIN) for host in TUNED] == ["15"] * 5


@pytest.mark.parametrize(
    ("sysctl", "said"),
    [
        ({"net.ipv4.tcp_fin_timeuot": 15}, "tcp_fin_timeout"),
        ({FIN: "soon"}, FIN),
        ({FIN: True}, FIN),
        ({FIN: 15, "net/ipv4/tcp_fin_timeout": 20}, FIN),
        ({"vm.swappiness": 61}, "vm.swappiness"),
    ],
    ids=["unknown key", "wrong value", "wrong type", "contradiction", "not namespaced"],
)
def test_a_profile_that_cannot_be_is_refused_and_nothing_is_half_done(
    tmp_path: Path, sysctl: dict[str, t.Any], said: str
) -> None:
    before = look(CANARY, REST[0])
    good = {"net.ipv4.tcp_keepalive_time": 300}
    variables = profile(tmp_path, {**good, **sysctl}, files=[ROTATION], tuning_optional=[])
    done, document = tune(tmp_path, variables, "-e", "tuning_optional=[]", limit=f"{CANARY},{REST[0]}")
    assert done.code in (2, 5, 7), done.text
    assert said in json.dumps(document)
    assert look(CANARY, REST[0]) == before


def test_an_unknown_profile_and_a_wrong_measurement_are_wrong_usage(tmp_path: Path) -> None:
    done, _document = tune(tmp_path, "tuning_profile=log_colector", limit=CANARY)
    assert (done.code, "no profile of that name" in done.stdout) == (2, True), done.text
    wrong = profile(tmp_path, {FIN: 15}, tuning_measurement={**MEASUREMENT, "samples": 0})
    done, _document = tune(tmp_path, wrong, limit=CANARY)
    assert (done.code, "measurement.samples" in done.stdout) == (2, True), done.text


def test_hold_and_kill_switch_go_before_any_profile(tmp_path: Path) -> None:
    (tmp_path / "switch").write_text("audit\n")
    variables = profile(tmp_path, {FIN: 15})
    done, document = tune(tmp_path, variables, "-e", f"tuning_kill_switch={tmp_path}/switch", limit=CANARY)
    assert (done.code, outcomes(document)) == (7, {CANARY: "refused"}), done.text
    lab.on(REST[0], "mkdir -p -m 700 /var/lib/ops-runbook && echo 'migration till noon' > /var/lib/ops-runbook/hold")
    done, document = tune(tmp_path, variables, limit=",".join(TUNED[:3]))
    assert (done.code, "migration till noon" in done.stdout) == (7, True), done.text
    assert [live(host, FIN) for host in TUNED[:3]] == ["15", "60", "15"]


def test_the_ordinary_road_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = profile(tmp_path, {FIN: 15}, limits=LIMITS, files=[ROTATION])
    _done, light = tune(tmp_path, variables, limit=CANARY)
    files = look(CANARY)
    monkeypatch.setenv("ANSIBLE_PIPELINING", "False")
    done, ordinary = tune(tmp_path, variables, limit=REST[0])
    assert done.code == 0, done.text
    strip = ("target", "seconds", "undo", "run")
    one, other = (
        {k: v for k, v in summary(d, h).items() if k not in strip} for d, h in ((light, CANARY), (ordinary, REST[0]))
    )
    assert one == other
    assert look(REST[0])[REST[0]] == files[CANARY]
