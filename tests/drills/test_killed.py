# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL of the controller and of the act on the target at every moment: the next run goes on, and the record tells.

Every moment is really killed. What follows (the next run, the undo of the run that broke off) depends only on the state
that is left, so each state is followed once: see `Row.follow`.
"""

from __future__ import annotations

import hashlib
import time
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.plugin_utils import undo_plan
from ansible_collections.ops.runbook.plugins.plugin_utils.errors import Refused
from tests.support import killed, lab
from tests.support.killed import CONFIG, HOST, PRISTINE, UNIT, Ended, Json

Tell = Callable[[str], None]
BAD = "s/^MONGOD_OPTS=.*/MONGOD_OPTS=--no-such-option/"
WELL = ("remedied", "healthy")
GOOD = "active success loaded config good owners mongodb enabled running"
CURED: set[str] = set()
"""States of the host from which a next run was seen to cure, whichever remedy left them."""
STAND_IN = {"ansible_python_interpreter": f"{killed.PROGRAMS}/python3"}


class Remedy(t.NamedTuple):
    """A remedy that is killed.

    Attributes:
        name: As its file is called.
        broken: Makes what it cures, on a host that is PRISTINE.
        acts: Entries of its modules that are killed on the target; what another remedy has in the same words is not
            killed twice.
        extra: Variables of the run, such as its approval.
        whole: Whether the controller is killed at all moments of the run, or only at those of the acts: the others are
            the same tasks at work on the same state.
    """

    name: str
    broken: str
    acts: tuple[str, ...]
    extra: Json = {}
    whole: bool = False


DROP_INS = f"/etc/systemd/system/{UNIT}.d"
KILLED = (
    f"systemctl start {UNIT}; systemctl kill -s KILL {UNIT}; until systemctl is-failed -q {UNIT}; do sleep .02; done"
)
REMEDIES = [
    Remedy(
        "restore_config",
        f"sed -i '{BAD}' {CONFIG}; systemctl start {UNIT}",
        ("lease", "baseline", "service"),
        whole=True,
    ),
    Remedy("start_service", KILLED, ()),  # the service program of restore_config
    Remedy("fix_ownership", f"chown -R root:root /var/lib/mongo; systemctl start {UNIT}", ("ownership",)),
    Remedy("unmask_and_start", f"systemctl mask {UNIT}", ("service",), {"remediate_approved": ["unmask_and_start"]}),
    Remedy("enable_and_start", f"systemctl disable {UNIT}", ("service",), {"remediate_approved": ["enable_and_start"]}),
    Remedy(
        "resume_service",
        f"systemctl start {UNIT}; systemctl kill --kill-who=main -s STOP {UNIT}",
        ("service",),
        {"mongodb_timeout": 2},  # each look at a hung server takes as long
    ),
    Remedy(
        "restore_unit",
        f"mkdir -p {DROP_INS}; printf '[Service]\\nExecStart=/bin/true\\n' >{DROP_INS}/x.conf; systemctl daemon-reload",
        ("baseline",),
        {"remediate_approved": ["restore_unit"]},
    ),
]
IDS = [remedy.name for remedy in REMEDIES]


@pytest.fixture(scope="module", autouse=True)
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A host with a baseline and the programs that kill; the SHA-256 of its good configuration."""
    up = lab.run([str(lab.ROOT / "lab" / "lab"), "up", HOST], timeout=600)
    assert up.code == 0, up.text
    killed.shell(f"systemctl reset-failed {UNIT}; systemctl start {UNIT}")
    killed.install()
    for _ in range(3):  # a database that has just begun, on a busy machine, is not well at once
        kept = killed.play("baseline", tmp_path_factory.mktemp("baseline"), {})
        if kept.code == 0:
            break
    assert kept.code == 0, kept.text
    yield hashlib.sha256(killed.shell(f"cat {CONFIG}").encode()).hexdigest()
    killed.shell(f"{PRISTINE} systemctl start {UNIT}; rm -rf {killed.PROGRAMS}")


@pytest.fixture(autouse=True)
def definition() -> Iterator[None]:
    """Each test leaves the unit's definition, and its enablement, as they were."""
    yield
    killed.shell(f"rm -rf {DROP_INS}; systemctl daemon-reload; systemctl unmask {UNIT}; systemctl enable {UNIT}")


class Drill:
    """One remedy on the host: kills it, and follows each state that is left once."""

    def __init__(self, remedy: Remedy, good: str, folder: Path) -> None:
        self.remedy, self.good, self.folder = remedy, good, folder
        self.bad = hashlib.sha256(killed.shell(f"sed '{BAD}' {killed.KEPT}").encode()).hexdigest()
        self.followed: set[str] = set()
        self.count = 0

    def records(self) -> Path:
        """An empty folder for the next one."""
        self.count += 1
        return killed.beginning(None, self.folder / str(self.count))

    def run(self, records: Path, at: int = 0, who: str = "all", **extra: t.Any) -> Ended:
        """Break the host, and recover it."""
        killed.shell(f"{PRISTINE} {self.remedy.broken} || true")
        return killed.play("recover_mongodb", records, {**self.remedy.extra, **extra}, at, who)

    def assert_consistent(self, left: Json) -> None:
        """Files are the old or the new ones; what is left of a write is root's alone, and nobody's to read."""
        assert left["config"]["mode"] == 0o644
        assert left["config"]["sha256"] in (self.good, self.bad), left["config"]
        assert not [path for path, text in left["json"].items() if str(text).startswith("broken")], left
        assert set(left["owners"]) <= {"root", "mongodb"}
        for path, who in left["temps"].items():
            assert path.endswith("~") or path.startswith("/run/ops-runbook-candidate-"), path
            assert who.startswith(("root 06", "root 07")), f"{path}: {who}"

    def state(self, left: Json) -> str:
        """What the next run finds."""
        found = [left["unit"][key] for key in ("ActiveState", "Result", "LoadState")]
        config = "good" if left["config"]["sha256"] == self.good else "bad"
        more = [left["unit"][key] for key in ("UnitFileState", "process")]
        return " ".join([*found, f"config {config}", f"owners {','.join(left['owners'])}", *more])

    def follow(self, records: Path, ended: Ended, left: Json) -> None:
        """Let the next run cure, once for each state of the host; undo what broke off, once for each of the record."""
        killed.bring_lease_forward()
        state = self.state(left)
        known = [line["entry"] for line in killed.lines(records, ended.run) if line["phase"] == "acted"]
        said = killed.told(records, ended.run)
        if state not in CURED:
            CURED.add(state)
            after = killed.play("recover_mongodb", records, self.remedy.extra)
            # cleanly down and enabled: nobody knows who wanted that
            if state.startswith("inactive success loaded") and " enabled " in state:
                assert (after.code, "stopped: " in after.text) == (7, True), after.text
                after = killed.play("recover_mongodb", records, {"remediate_approved": ["start_service"]})
            assert after.code == 0, f"{state}\n{after.text[-3000:]}"
            assert killed.outcome(records, after.run) in WELL
            assert self.state(killed.look()) == GOOD, state
            assert lab.data(HOST)["missing"] == 0
        if said and self.is_new(f"{state} {[entry['module'] for entry in known]} {said.unknown}"):
            self._undo(records, ended)

    def is_new(self, state: str) -> bool:
        """Whether it was not followed yet."""
        new = state not in self.followed
        self.followed.add(state)
        return new

    def _undo(self, records: Path, ended: Ended) -> None:
        """Refused without approval where it is not known; with it, what is known is put back."""
        said = killed.told(records, ended.run)
        assert said is not None
        if said.unknown:
            with pytest.raises(Refused, match="broke off"):
                undo_plan.plan(records, ended.run, HOST, approved=False)
        undone = killed.play("undo", records, {"undo_run": ended.run, "undo_approved": True})
        if undone.code == 7:  # the next run has changed what this one had: that one is undone first
            assert "Run run-1 changed it later. Undo that one first" in undone.text
        else:
            assert undone.code == 0, undone.text
            assert killed.outcome(records, undone.run) == ("done" if said.hosts else "healthy"), undone.text
        self.assert_consistent(killed.look())


def wanted(remedy: Remedy, moments: list[str]) -> list[int]:
    """The numbers of the moments at which the controller is killed."""
    numbers = list(range(1, len(moments) + 1))
    if remedy.whole:
        return numbers
    first = next(number for number in numbers if moments[number - 1].startswith("record intent"))
    last = max(number for number in numbers if moments[number - 1].startswith("record acted"))
    return list(range(first, last + 2))


@pytest.mark.parametrize("remedy", REMEDIES, ids=IDS)
def test_the_controller_is_killed_at_every_moment(remedy: Remedy, host: str, tmp_path: Path, tell: Tell) -> None:
    drill = Drill(remedy, host, tmp_path)
    unharmed = drill.run(drill.records())
    assert unharmed.code == 0, unharmed.text
    numbers = wanted(remedy, unharmed.moments)
    for number in numbers:
        records = drill.records()
        ended = drill.run(records, number)
        assert ended.code == -9
        assert ended.moments == unharmed.moments[:number]
        assert_told(records, ended)
        left = killed.look()
        drill.assert_consistent(left)
        assert not left["temps"]
        assert_lease(left, ended)
        drill.follow(records, ended, left)
    tell(
        f"{remedy.name}: the controller killed at each of {len(numbers)} moments, {len(drill.followed)} states followed"
    )


def test_the_main_process_alone_is_killed(host: str, tmp_path: Path) -> None:
    """The worker that it leaves ends its act and writes what came of it; nothing comes after that."""
    drill = Drill(REMEDIES[0], host, tmp_path)
    unharmed = drill.run(drill.records())
    for moment in ("send target_lease acquired", "send service_baseline restored", "send service_restart started"):
        number, records = unharmed.moments.index(moment) + 1, drill.records()
        ended = drill.run(records, number, "main")
        assert ended.code == -9
        own = ("record acted", "record leased")
        written = [each for each in unharmed.moments[number : number + 1] if each.startswith(own)]
        assert ended.moments == unharmed.moments[:number] + written
        said, left = killed.told(records, ended.run), killed.look()
        assert not (said and said.unknown)
        drill.assert_consistent(left)
        assert left["json"]["/run/ops-runbook/mongodb.json"]["run_id"] == ended.run
        drill.follow(records, ended, left)


def assert_told(records: Path, ended: Ended) -> None:
    """The record is whole and holds all that was begun; an act that nobody heard the end of is `not known`."""
    lines = killed.lines(records, ended.run)
    written = [moment for moment in ended.moments[:-1] if moment.startswith("record ")]
    assert [f"record {line['phase']} {line['entry'].get('module', '')}".rstrip() for line in lines] == written
    acts = [moment.split()[1] for moment in written if moment.split()[1] in ("intent", "acted")]
    said = killed.told(records, ended.run)
    assert (said.unknown if said else []) == ([HOST] if acts[-1:] == ["intent"] else [])


def assert_lease(left: Json, ended: Ended) -> None:
    """It is the run's own until it ends by itself."""
    lease = left["json"].get("/run/ops-runbook/mongodb.json")
    held = ended.did("send target_lease acquired") and not ended.did("send target_lease released")
    assert (lease or {}).get("run_id") == (ended.run if held else None)


@pytest.mark.parametrize("name", [remedy.name for remedy in REMEDIES if remedy.acts])
def test_the_act_is_killed_at_every_moment(name: str, host: str, tmp_path: Path, tell: Tell) -> None:
    remedy = REMEDIES[IDS.index(name)]
    drill = Drill(remedy, host, tmp_path)
    killed.plan(-1, 0)
    unharmed = drill.run(drill.records(), **STAND_IN)
    assert unharmed.code == 0, unharmed.text
    programs, count = killed.programs(), 0
    states: dict[str, tuple[int, int]] = {}
    for number, entry in programs.items():
        if entry not in remedy.acts:
            continue
        found = deaths(remedy, number, [each for each in programs if each < number])
        count += len(found)
        for one in found:
            drill.assert_consistent(one["left"])
            if entry != "lease":
                states.setdefault(drill.state(one["left"]), (number, one["when"]))
    for number, when in states.values():
        killed.plan(number, when)
        records = drill.records()
        ended = drill.run(records, **STAND_IN)
        said = killed.told(records, ended.run)
        assert said, ended.text
        assert said.unknown == [HOST], ended.text
        assert ended.moments[-1] == "end"
        drill.follow(records, ended, killed.look())
    tell(f"{remedy.name}: the act killed at each of {count} moments, {len(states)} states followed")


def deaths(remedy: Remedy, number: int, before: list[int]) -> list[Json]:
    """What is left of a program that is killed at each of its moments, and of one whose children go on without it."""
    job = {"broken": f"{PRISTINE} {remedy.broken}", "before": before, "number": number, "who": "all", "only": None}
    found = killed.replay(job)
    assert len(found) > 2, found
    assert not found.pop()["killed"], "the last one is not harmed"
    begun = [one["when"] for one in found if str(one["moments"][-1]).startswith("exec") and one["when"] > 1]
    return found + (killed.replay({**job, "who": "first", "only": begun}) if begun else [])


UNDO = {"undo_run": "run-0", "undo_approved": True}


class Undone:
    """An undo of a run that restored the configuration; each one begins after the same run."""

    def __init__(self, good: str, folder: Path) -> None:
        self.drill = Drill(REMEDIES[0], good, folder)
        self.cured = self.drill.records()
        done = self.drill.run(self.cured)
        assert done.code == 0, done.text
        killed.shell(f"rm -rf {killed.PROGRAMS}/undo; cp -rp /var/lib/ops-runbook/undo {killed.PROGRAMS}/undo")
        self.broken = (
            f"{PRISTINE} systemctl start {UNIT}; cp -rp {killed.PROGRAMS}/undo /var/lib/ops-runbook/undo;"
            " rm -rf /var/lib/ops-runbook/undo/run-1"
        )

    def records(self) -> Path:
        """The record of the run that is undone."""
        self.drill.count += 1
        return killed.beginning(self.cured, self.drill.folder / str(self.drill.count))

    def run(self, records: Path, at: int = 0, **extra: t.Any) -> Ended:
        """Undo it, on a host where nothing happened since."""
        killed.shell(self.broken)
        return killed.play("undo", records, {**UNDO, **extra}, at)

    def follow(self, records: Path, ended: Ended, left: Json) -> None:
        """The same undo again puts back what is not put back, once for each state."""
        said = killed.told(records, ended.run)
        if not self.drill.is_new(f"{left['config']['sha256']} {said and said.unknown}"):
            return
        killed.bring_lease_forward()
        again = killed.play("undo", records, UNDO)
        assert again.code == 0, again.text
        assert killed.look()["config"]["sha256"] == self.drill.bad
        assert killed.lines(records, again.run)


def test_an_undo_is_killed_at_every_moment(host: str, tmp_path: Path, tell: Tell) -> None:
    """Of the controller and of the target; the fault is not back, or whole, and the same undo completes it."""
    undone = Undone(host, tmp_path)
    killed.plan(-1, 0)
    unharmed = undone.run(undone.records(), **STAND_IN)
    assert unharmed.code == 0, unharmed.text
    for at in range(1, len(unharmed.moments) + 1):
        records = undone.records()
        ended = undone.run(records, at)
        assert (ended.code, ended.moments) == (-9, unharmed.moments[:at])
        assert_told(records, ended)
        undone.drill.assert_consistent(killed.look())
        undone.follow(records, ended, killed.look())
    ((number, _entry),) = killed.programs().items()
    found = killed.replay({"broken": undone.broken, "before": [], "number": number, "who": "all", "only": None})
    assert not found.pop()["killed"]
    states = {one["left"]["config"]["sha256"]: one["when"] for one in found}
    assert set(states) == {undone.drill.good, undone.drill.bad}
    for one in found:
        undone.drill.assert_consistent(one["left"])
    for when in states.values():
        killed.plan(number, when)
        records = undone.records()
        ended = undone.run(records, **STAND_IN)
        assert ended.code == 5, ended.text
        undone.follow(records, ended, killed.look())
    tell(f"undo: controller killed at each of {len(unharmed.moments)} moments, act at each of {len(found)}")


def test_a_lease_of_a_dead_run_ends_by_itself(host: str, tmp_path: Path) -> None:
    """Until then the next run is refused, and says whose it is and for how long."""
    drill, records = Drill(REMEDIES[1], host, tmp_path), tmp_path / "records"
    killed.beginning(None, records)
    drill.run(records, at=5, remediate_lease_ttl=15)  # it has the lease, and no more
    early = killed.play("recover_mongodb", records, {})
    assert early.code == 7, early.text
    assert "held by recover_mongodb (run run-0) for another" in early.text
    end = time.monotonic() + 15
    while killed.shell(f"{killed.PROGRAMS}/killed_host.py held mongodb").strip() == "True":
        assert time.monotonic() < end
        time.sleep(0.2)
    late = killed.play("recover_mongodb", records, {})
    assert (late.code, killed.outcome(records, late.run)) == (0, "remedied"), late.text


def test_an_act_that_outlives_its_controller_keeps_others_out(host: str, tmp_path: Path) -> None:
    """The program on the target goes on; nobody else acts before it has ended, whatever its lease says."""
    drill, records = Drill(REMEDIES[1], host, tmp_path), tmp_path / "records"
    killed.plan(-1, 0)
    unharmed = drill.run(drill.records(), **STAND_IN)
    number = max(number for number, entry in killed.programs().items() if entry == "service")
    killed.beginning(None, records)
    killed.plan(number, begin_of_start(number), f"hold:{killed.PROGRAMS}/go")
    killed.shell(f"{PRISTINE} {drill.remedy.broken}")
    controller = killed.begin("recover_mongodb", records, STAND_IN)
    killed.shell(f"for i in $(seq 2400); do [ -e {killed.PROGRAMS}/go.held ] && exit 0; sleep .05; done; exit 1")
    controller.kill()
    dead = controller.ended()
    assert (dead.code, dead.moments[-1]) == (-9, "send service_restart started")
    assert dead.moments == unharmed.moments[: len(dead.moments)]
    killed.bring_lease_forward()
    early = killed.play("recover_mongodb", records, {})
    assert early.code == 7, early.text
    assert "has ended, but its act is still running" in early.text
    killed.shell(
        f"touch {killed.PROGRAMS}/go; until systemctl is-active -q {UNIT}; do sleep .05; done; rm {killed.PROGRAMS}/go"
    )
    killed.shell("flock -w 20 /run/ops-runbook/mongodb.lock true")
    late = killed.play("recover_mongodb", records, {})
    assert (late.code, killed.outcome(records, late.run)) == (0, "healthy"), late.text
    said = killed.told(records, dead.run)
    assert said and said.unknown == [HOST]


def begin_of_start(number: int) -> int:
    """The moment at which `systemctl start` has begun in a program."""
    broken = f"{PRISTINE} {REMEDIES[1].broken}"
    before = [each for each in killed.programs() if each < number]
    (whole,) = killed.replay(
        {"broken": broken, "before": before, "number": number, "who": "all", "only": [killed.MOST]}
    )
    return 1 + next(place for place, each in enumerate(whole["moments"]) if "systemctl" in each and " start " in each)
