# SPDX-License-Identifier: GPL-3.0-or-later
"""What our modules change on a real host is taken back without a trace, by hand, by playbook and by timer."""

from __future__ import annotations

import json
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.plugin_utils import packing, record
from hypothesis import Phase, HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import lab
from tests.support.undo_machine import Machine, differences, program, shell, undo_of, undoing

Json = dict[str, t.Any]
HOST, UNIT = "undo99", "logcaster.service"
PLAY = "/srv/play"
MINE = ("/etc/machine-id", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")  # the container's
# systemd itself forbids more than five starts a minute; what is below /run is not compared.
UNLIMITED = f"/run/systemd/system/{UNIT}.d/unlimited.conf"
TIMER = "ops-runbook-until-logcaster"


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A fleet host with a playground of files and a service that may be restarted as often as one likes."""
    up = lab.run(["true"])
    assert up.code == 0, up.text
    shell(HOST, f"mkdir -p $(dirname {UNLIMITED}); printf '[Unit]\nStartLimitIntervalSec=0\n' > {UNLIMITED}")
    shell(HOST, f"systemctl daemon-reload; systemctl restart {UNIT}; mkdir -p {PLAY}/data; echo a > {PLAY}/a.conf")
    shell(HOST, f"cd {PLAY}; echo 1 > data/one; echo 2 > data/two; chmod 4750 data/two; chown daemon data/one")
    yield Machine(HOST, ("/etc", PLAY), MINE, UNIT)
    shell(HOST, f"rm -rf {UNLIMITED} {PLAY}; systemctl daemon-reload; systemctl restart {UNIT}")


# ---- the property


def call(name: str, /, **options: t.Any) -> st.SearchStrategy[tuple[str, Json]]:
    strategies = {
        key: value if isinstance(value, st.SearchStrategy) else st.just(value) for key, value in options.items()
    }
    return st.fixed_dictionaries(strategies).map(lambda filled: (name, filled))


KEYS = {
    "net.core.somaxconn": st.sampled_from(["1024", "8192"]),
    "net.ipv4.tcp_keepalive_time": st.sampled_from(["600", "7300"]),
    "net.ipv4.tcp_rmem": st.sampled_from(["4096 131072 8388608", "4096\t87380\t16777216"]),
    "net.ipv4.conf.lo.rp_filter": st.sampled_from(["1", "2"]),
}
VARIABLES = {
    "BUFFER_SIZE": st.sampled_from(["20000", "30000"]),
    "WRITE_BATCH_SIZE": st.sampled_from(["200", "300"]),
    "OF_ITS_OWN": st.just("a b"),
}
PAM = st.fixed_dictionaries(
    {
        "domain": st.just("logcaster"),
        "item": st.sampled_from(["nofile", "nproc"]),
        "value": st.sampled_from(["4000", "8000"]),
    }
)
FILES = st.sampled_from([4096, 5000])
NAMES, RESTART = st.sampled_from(["alpha", "beta"]), st.booleans()
STATE = st.sampled_from(["present", "present", "present", "absent"])
OWNERSHIP = {
    "path": st.sampled_from([f"{PLAY}/data", f"{PLAY}/a.conf"]),
    "owner": st.sampled_from(["root", "daemon", "logcaster"]),
    "file_mode": st.sampled_from(["0600", "0644"]),
    "recurse": st.just(True),
}
CALLS = st.one_of(
    call(
        "sysctl_profile",
        name=NAMES,
        state=STATE,
        settings=st.fixed_dictionaries({}, optional=KEYS).filter(len),
        allow_lowering=list(KEYS),
    ),
    call(
        "resource_limits",
        name=NAMES,
        state=STATE,
        restart=RESTART,
        steady=0.1,
        pam=st.lists(PAM, max_size=1),
        units=st.fixed_dictionaries({UNIT: st.fixed_dictionaries({"LimitNOFILE": FILES})}),
        allow_lowering=[f"{UNIT} LimitNOFILE", "logcaster nofile", "logcaster nproc"],
    ),
    call(
        "service_environment",
        service=UNIT,
        state=STATE,
        restart=RESTART,
        steady=0.1,
        variables=st.fixed_dictionaries({}, optional=VARIABLES).filter(len),
        until=st.sampled_from(["", "", "3600"]),
    ),
    call("file_ownership", paths=st.fixed_dictionaries(OWNERSHIP).map(lambda path: [path])),
    call(
        "service_baseline",
        service="play",
        state="restored",
        path=st.sampled_from([f"{PLAY}/a.conf", "/etc/play.conf"]),
        content=st.sampled_from(["one of two contents\n", "another content\n"]),
        owner=st.sampled_from(["root", "daemon"]),
        group="root",
        mode=st.sampled_from(["0600", "0644"]),
    ),
    call("service_restart", name=UNIT, state=st.sampled_from(["stopped", "started", "restarted"]), steady=0.1),
)


@pytest.fixture(scope="module")
def hurried() -> Iterator[None]:
    """The undo's own steady window is shorter here: what is looked at are states, not patience."""
    source = packing.SOURCES["undo_steps.service_state"]
    assert "STEADY = 2.0" in source.text
    packing.SOURCES["undo_steps.service_state"] = source._replace(
        text=source.text.replace("STEADY = 2.0", "STEADY = 0.1")
    )
    yield
    packing.SOURCES["undo_steps.service_state"] = source


@settings(phases=[Phase.generate],max_examples=120, deadline=None, derandomize=False, suppress_health_check=list(HealthCheck))
@given(calls=st.lists(CALLS, min_size=1, max_size=6))
def test_any_sequence_of_changes_is_undone_and_redone_without_a_trace(
    machine: Machine, hurried: None, tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, Json]]
) -> None:
    acts = [(name, {**options, "run_id": "run1"}) for name, options in calls]
    look = machine.looking()
    before, *answers, after = machine.run([look, *(program(*act) for act in acts), look])
    broken = [one for one in answers if "exception" in one or "no answer" in one.get("msg", "")]
    assert broken == []
    records = tmp_path_factory.mktemp("records")
    steps = undo_of(records, HOST, "run1", [(*act, answer) for act, answer in zip(acts, answers, strict=True)])
    back = [undoing(steps, "undo1"), look, undoing(None, "undo2"), look, undoing(None, "undo3"), look]
    for number, (said, wanted) in enumerate(zip(machine_run(machine, back), (before, after, before), strict=True), 1):
        answer, seen = said
        assert not answer.get("failed"), (number, answer["msg"], acts)
        if differences(wanted, seen): import json; json.dump([number,acts,answers,steps,differences(wanted,seen),answer], open("/tmp/fail.json","w"))
        assert differences(wanted, seen) == {}, (number, acts)


def machine_run(machine: Machine, programs: list[bytes]) -> list[tuple[Json, Json]]:
    """Programs and looks by turns: each answer with what was seen after it."""
    said = machine.run(programs)
    return list(zip(said[::2], said[1::2], strict=True))
