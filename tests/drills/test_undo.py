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
from ansible_collections.ops.runbook.plugins.plugin_utils import packing, record, record_chain
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.support import lab
from tests.support.undo_machine import Machine, differences, program, shell, undo_of, undoing

Json = dict[str, t.Any]
HOST, UNIT = "fleet04", "logcaster.service"
PLAY = "/srv/play"
MINE = ("/etc/machine-id", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")  # the container's
# systemd itself forbids more than five starts a minute; what is below /run is not compared.
UNLIMITED = f"/run/systemd/system/{UNIT}.d/unlimited.conf"
FOREIGN = f"/etc/systemd/system/{UNIT}.d/50-foreign.conf"
TIMER = "ops-runbook-until-logcaster"


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A pristine fleet host with a playground of files and a service that may be restarted as often as one likes."""
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "reset", HOST], timeout=600)
    assert up.code == 0, up.text
    shell(HOST, f"mkdir -p $(dirname {UNLIMITED}); printf '[Unit]\nStartLimitIntervalSec=0\n' > {UNLIMITED}")
    shell(HOST, f"systemctl daemon-reload; systemctl restart {UNIT}; mkdir -p {PLAY}/data; echo a > {PLAY}/a.conf")
    shell(HOST, f"cd {PLAY}; echo 1 > data/one; echo 2 > data/two; chmod 4750 data/two; chown daemon data/one")
    shell(HOST, "systemctl unmask logrotate.timer")  # it is off, and a policy turns it on
    shell(HOST, f"systemctl disable {UNIT}")  # so that it can be enabled
    made = Machine(HOST, ("/etc", PLAY, "/var/log/logcaster"), MINE, UNIT)
    kept = {"service": "unit", "state": "captured", "unit": UNIT, "run_id": "before"}
    assert made.calls([("service_baseline", kept)])[0]["changed"]
    shell(HOST, f"mkdir -p $(dirname {FOREIGN}); printf '[Service]\nEnvironment=FOREIGN=1\n' > {FOREIGN}")
    shell(HOST, f"systemctl daemon-reload; systemctl restart {UNIT}")
    yield made
    shell(
        HOST,
        f"rm -rf {FOREIGN} {UNLIMITED} {PLAY}; systemctl disable --now logrotate.timer; systemctl mask logrotate.timer",
    )
    shell(HOST, f"systemctl daemon-reload; systemctl enable {UNIT}; systemctl restart {UNIT}")


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
BITS = {"mode_includes": st.sampled_from(["0711", "0055"])}
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
    call("file_ownership", paths=st.fixed_dictionaries(OWNERSHIP, optional=BITS).map(lambda path: [path])),
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
    call(
        "service_restart",
        name=UNIT,
        state=st.sampled_from(["stopped", "started", "restarted"]),
        enable=st.booleans(),
        steady=0.1,
    ),
    call("service_baseline", service="unit", state="restored", unit=UNIT),
    call(
        "log_rotation",
        name=st.sampled_from(["logcaster", "play"]),
        paths=["/var/log/logcaster/*.log"],
        every=st.sampled_from(["daily", "weekly"]),
        reopen=st.sampled_from([{"method": "reload", "unit": UNIT}, {"method": "copytruncate"}]),
        directory=st.fixed_dictionaries({"mode": st.sampled_from(["0755", "0750"])}),
        schedule=st.booleans(),
        state=STATE,
    ),
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


ONCE = (Phase.explicit, Phase.generate)  # to shrink a failure on a host would take minutes


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=ONCE)
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
    turns = [undoing(steps, "undo1"), look, undoing(steps, "undo2", True), look, undoing(steps, "undo3", True)]
    undone, restored, redone, again, last = machine.run(turns)
    for answer in (undone, redone, last):
        assert not answer.get("failed"), (answer["msg"], acts)
    assert differences(before, restored) == {}, acts
    assert differences(after, again) == {}, acts


# ---- by playbook


def play(records: Path, playbook: Path | str, *arguments: str, host: str = HOST, **env: str) -> lab.Ran:
    """The plain road, with a record of its own."""
    return lab.run(
        [lab.command("ansible-playbook"), "-i", lab.INVENTORY, str(playbook), "--limit", host, *arguments],
        env={"OPS_RUNBOOK_RECORDS": str(records), "XDG_STATE_HOME": str(records), **env},
    )


def change(records: Path, *calls: tuple[str, Json], host: str = HOST) -> str:
    """Run modules as a play does; the run's id."""
    steps = [{"name": "Change", f"ops.runbook.{name}": options} for name, options in calls]
    body = {"name": "Change", "hosts": host, "gather_facts": False, "become": True, "tasks": steps}
    (records / "change.yml").write_text(yaml.safe_dump([body]))
    done = play(records, records / "change.yml", host=host)
    assert done.code == 0, done.text
    return last_run(records)


def last_run(records: Path) -> str:
    return str(json.loads((records / record.NAME).read_bytes().splitlines()[-1])["run"])


def undo(records: Path, run: str, *arguments: str, **more: t.Any) -> lab.Ran:
    return play(records, "playbooks/undo.yml", "-e", f"undo_run={run}", *arguments, **more)


def entry(records: Path) -> Json:
    """What the last line of the record says."""
    return t.cast("Json", json.loads((records / record.NAME).read_bytes().splitlines()[-1])["entry"])


def environ() -> list[str]:
    return shell(HOST, f"tr '\\0' '\\n' < /proc/$(systemctl show -p MainPID --value {UNIT})/environ").splitlines()


PROFILE: tuple[str, Json] = ("sysctl_profile", {"name": "drill", "settings": {"net.core.somaxconn": "8191"}})
ENVIRONMENT: Json = {"service": UNIT, "variables": {"DRILL": "1"}, "restart": True, "steady": 0.2}
CONTENT: Json = {"service": "play", "state": "restored", "path": f"{PLAY}/a.conf", "content": "b\n", "mode": "0600"}
SEVERAL = (PROFILE, ("service_environment", ENVIRONMENT), ("service_baseline", CONTENT))


def test_a_run_is_undone_by_the_playbook_and_so_is_the_undo(machine: Machine, tmp_path: Path) -> None:
    before = machine.snapshot()
    run = change(tmp_path, *SEVERAL)
    after = machine.snapshot()
    assert set(differences(before, after)) > {"/proc/sys/net/core/somaxconn", "environ", f"{PLAY}/a.conf"}
    predicted = undo(tmp_path, run, "--check")
    assert predicted.code == 3, predicted.text
    assert differences(after, machine.snapshot()) == {}
    done = undo(tmp_path, run)
    assert done.code == 0, done.text
    assert differences(before, machine.snapshot()) == {}
    assert entry(tmp_path)["outcome"] == "done"
    objects = {change["object"] for change in entry(tmp_path)["changes"]}
    assert objects > {"sysctl net.core.somaxconn", f"{PLAY}/a.conf", f"definition of {UNIT}", f"service {UNIT}"}
    by = last_run(tmp_path)
    again = undo(tmp_path, run)
    assert (again.code, entry(tmp_path)["outcome"]) == (0, "healthy")
    assert entry(tmp_path)["message"] == f"run {run} is already put back here, by run {by}"
    redone = undo(tmp_path, by, ANSIBLE_PIPELINING="0")
    assert redone.code == 0, redone.text
    assert differences(after, machine.snapshot()) == {}
    assert undo(tmp_path, run).code == 0
    assert differences(before, machine.snapshot()) == {}
    assert record.verify(tmp_path)[1] is None


def test_what_has_changed_since_stops_an_undo_and_names_who_did_it(machine: Machine, tmp_path: Path) -> None:
    before = machine.snapshot()
    run = change(tmp_path, PROFILE, ("service_baseline", CONTENT))
    shell(HOST, f"echo mine >> {PLAY}/a.conf")
    touched = machine.snapshot()
    refused = undo(tmp_path, run)
    assert refused.code == 7, refused.text
    assert f"{PLAY}/a.conf: somebody changed it since" in entry(tmp_path)["message"]
    assert entry(tmp_path)["next_step"].startswith("Compare: diff /var/lib/ops-runbook/undo/")
    assert differences(touched, machine.snapshot()) == {}
    later = change(tmp_path, ("service_baseline", {**CONTENT, "content": "c\n"}))
    refused = undo(tmp_path, run)
    assert refused.code == 7, refused.text
    assert f"runbook undo {later}" in entry(tmp_path)["next_step"]
    shell(HOST, f"printf 'b\\n' > {PLAY}/a.conf")
    assert undo(tmp_path, run).code == 0
    assert differences(before, machine.snapshot()) == {}


@pytest.mark.parametrize(
    ("arguments", "says"), [((), "names no earlier run"), (("-e", "undo_run=20200101T0-0"), "there is no run")]
)
def test_wrong_input_is_one_line_and_touches_nothing(
    machine: Machine, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = play(tmp_path, "playbooks/undo.yml", *arguments)
    assert done.code == 2, done.text
    assert says in done.text
    assert "Traceback" not in done.text


def test_a_damaged_record_is_not_believed(machine: Machine, tmp_path: Path) -> None:
    run = change(tmp_path, PROFILE)
    whole, end = ((tmp_path / name).read_bytes() for name in (record.NAME, record_chain.END))
    (tmp_path / record.NAME).write_bytes(whole.replace(b'"8191"', b'"8192"', 1))
    refused = undo(tmp_path, run)
    assert refused.code == 7, refused.text
    assert "the record is damaged: line" in entry(tmp_path)["message"]
    assert shell(HOST, "sysctl -n net.core.somaxconn") == "8191"
    (tmp_path / record.NAME).write_bytes(whole)
    (tmp_path / record_chain.END).write_bytes(end)
    assert undo(tmp_path, run).code == 0


# ---- by timer


def wait_for(what: str, line: str, wanted: str, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while lab.on(HOST, line).stdout.strip() != wanted:
        assert time.monotonic() < until, f"{what}: {lab.on(HOST, line).text}"
        time.sleep(0.3)


def test_a_change_for_a_while_puts_itself_back_and_says_so(machine: Machine, tmp_path: Path) -> None:
    before = machine.snapshot()
    run = change(tmp_path, ("service_environment", {**ENVIRONMENT, "until": "4"}))
    assert "DRILL=1" in environ()
    wait_for("the timer", f"ls /etc/systemd/system | grep -c {TIMER}", "0")
    assert differences(before, machine.snapshot()) == {}
    assert "put back: " in shell(HOST, f"journalctl -q -o cat -u {TIMER}.service")
    result = json.loads(shell(HOST, "cat /var/lib/ops-runbook/until/logcaster/result.json"))
    assert result["changed"] is True
    done = undo(tmp_path, run)
    assert (done.code, entry(tmp_path)["outcome"]) == (0, "healthy")
    assert f"it ended at {result['at']}: put back: " in entry(tmp_path)["message"]


def test_a_timer_that_may_not_put_back_stays_failed_and_goes_with_the_undo(machine: Machine, tmp_path: Path) -> None:
    before = machine.snapshot()
    run = change(tmp_path, ("service_environment", {**ENVIRONMENT, "until": "4"}))
    file = f"/etc/ops-runbook/environment/{UNIT}.env"
    shell(HOST, f"cp -p {file} {file}.saved; echo 'MINE=1' >> {file}")
    wait_for("the failure", f"systemctl is-failed {TIMER}.service", "failed")
    assert "DRILL=1" in environ()
    assert "somebody changed it since" in shell(HOST, f"journalctl -q -o cat -u {TIMER}.service")
    assert undo(tmp_path, run).code == 7
    shell(HOST, f"mv {file}.saved {file}")
    assert undo(tmp_path, run).code == 0
    assert differences(before, machine.snapshot()) == {}
    assert shell(HOST, "systemctl list-units --failed --no-legend | grep -c until || true") == "0"


def test_undoing_a_change_takes_its_timer_away_and_redoing_it_brings_it_back(machine: Machine, tmp_path: Path) -> None:
    before = machine.snapshot()
    run = change(tmp_path, ("service_environment", {**ENVIRONMENT, "until": "3600"}))
    waiting = shell(HOST, f"systemctl list-timers --no-legend {TIMER}.timer")
    assert waiting
    assert undo(tmp_path, run).code == 0
    assert differences(before, machine.snapshot()) == {}
    assert shell(HOST, "ls /var/lib/ops-runbook/until") == ""
    assert undo(tmp_path, last_run(tmp_path)).code == 0
    assert "DRILL=1" in environ()
    assert shell(HOST, f"systemctl is-enabled {TIMER}.timer; systemctl is-active {TIMER}.timer") == "enabled\nactive"
    shell(HOST, f"systemctl start {TIMER}.service")  # as if its time had come
    assert differences(before, machine.snapshot()) == {}


# ---- what a remedy did


CURES = {
    "config_broken": ("cat /etc/default/mongod", "--no-such-option"),
    "drop_in_broken": ("systemctl cat mongod.service", "/etc/systemd/system/mongod.service.d/override.conf"),
}


@pytest.mark.parametrize("cause", CURES)
def test_undoing_a_cure_needs_approval_brings_the_fault_back_and_is_undone_itself(
    cause: str, hosts: Path, tmp_path: Path
) -> None:
    look, sign = CURES[cause]
    fault = yaml.safe_load((lab.ROOT / f"lab/faults/mongodb/{cause}.yml").read_text())
    lab.tasks("db1", fault["inject"], f"inject {cause}")
    broken = shell("db1", look)
    try:
        yes = ("-e", json.dumps({"remediate_approved": ["restore_unit"]}))
        cured = play(tmp_path, "playbooks/recover_mongodb.yml", *yes, host="db1")
        assert cured.code == 0, cured.text
        assert sign not in shell("db1", look)
        run = last_run(tmp_path)
        refused = undo(tmp_path, run, host="db1")
        assert refused.code == 7, refused.text
        assert f"would bring the fault back ({cause}: " in entry(tmp_path)["message"]
        assert "run again with --approve undo" in entry(tmp_path)["next_step"]
        assert lab.on("db1", "systemctl is-active mongod").stdout.strip() == "active"
        done = undo(tmp_path, run, "-e", "undo_approved=true", host="db1")
        assert done.code == 0, done.text
        assert sign in shell("db1", look)
        assert shell("db1", look) == broken
        assert lab.on("db1", "systemctl is-active mongod").stdout.strip() in ("inactive", "failed")
        redone = undo(tmp_path, last_run(tmp_path), host="db1")
        assert redone.code == 0, redone.text
        assert lab.on("db1", "systemctl is-active mongod").stdout.strip() == "active"
        assert sign not in shell("db1", look)
    finally:
        lab.reset("db1", records=hosts)


SEEN = (
    "stat -c '%n %U:%G %a' /var/lib/mongo /var/lib/mongo/recommendation.sqlite; sha256sum /etc/default/mongod;"
    "systemctl show mongod -p UnitFileState,LoadState,LimitNOFILE,DropInPaths"
)


@pytest.mark.parametrize(
    ("name", "approved"),
    [
        ("data_owner", []),
        ("masked", ["unmask_and_start"]),
        ("disabled", ["enable_and_start"]),
        ("file_limit_too_low", []),
    ],
)
def test_what_a_cure_changed_is_put_back_and_done_again(
    name: str, approved: list[str], hosts: Path, tmp_path: Path
) -> None:
    fault = yaml.safe_load((lab.ROOT / f"lab/faults/mongodb/{name}.yml").read_text())
    words = [word for remedy in approved for word in ("--approve", remedy)]
    lab.on("db1", "systemctl reset-failed mongod")
    try:
        lab.tasks("db1", fault["inject"], f"inject {name}")
        broken = shell("db1", SEEN)
        cured, document = lab.runbook("run", "recover_mongodb", *words, records=tmp_path)
        assert cured.code == 0, cured.text
        well, run = shell("db1", SEEN), document["run_id"]
        assert well != broken
        refused, told = lab.runbook("undo", run, records=tmp_path)
        assert refused.code == 7, refused.text
        assert "would bring the fault back" in json.dumps(told)
        assert shell("db1", SEEN) == well
        done, told = lab.runbook("undo", run, "--approve", "undo", records=tmp_path)
        assert done.code == 0, done.text
        assert shell("db1", SEEN) == broken
        again, _told = lab.runbook("undo", told["run_id"], "--approve", "undo", records=tmp_path)
        assert again.code == 0, again.text
        assert shell("db1", SEEN) == well
        assert lab.data("db1")["missing"] == 0
    finally:
        lab.reset("db1", records=hosts)
