# SPDX-License-Identifier: GPL-3.0-or-later
"""When a repeated probe stops: stable, out of time, or not once well within the grace."""

from __future__ import annotations

import pytest
from ansible_collections.ops.runbook.plugins.action.health_probe import _is_over
from ansible_collections.ops.runbook.plugins.plugin_utils.verdict import Watch


def document(status: str, restart_delay: float = 0.0) -> dict:
    data = {"main_pid": 7, "restarts": 0, "restart_delay": restart_delay}
    return {"status": status, "checks": {"unit": {"type": "systemd_unit", "status": status, "data": data}}}


def watched(*looks: tuple[float, str], stable_for: float = 3, restart_delay: float = 0.0) -> Watch:
    watch = Watch(stable_for, None)
    for at, status in looks:
        watch.see(document(status, restart_delay), at)
    return watch


PARAMS = {"stable_for": 3.0, "timeout": 20.0, "grace": 5.0, "interval": 1.0}


@pytest.mark.parametrize(
    ("watch", "spent", "over"),
    [
        (watched((0, "ok"), (3, "ok")), 3, True),
        (watched((0, "ok"), (2, "ok")), 2, False),
        (watched((0, "critical")), 4, False),
        (watched((0, "critical"), (6, "critical")), 6, True),
        (watched((0, "critical"), (4, "ok"), (6, "critical")), 6, False),
        (watched((0, "ok"), (19.5, "critical")), 19.5, True),
    ],
    ids=["stable", "not yet", "within the grace", "never well", "was well once", "out of time"],
)
def test_when_it_is_over(watch: Watch, spent: float, over: bool) -> None:
    assert _is_over(watch, PARAMS, spent) is over


def test_without_a_grace_it_waits_for_the_timeout() -> None:
    assert not _is_over(watched((0, "critical"), (10, "critical")), {**PARAMS, "grace": 0.0}, 10)


def test_the_window_is_never_below_twice_the_restart_delay() -> None:
    looping = watched((0, "ok"), (4, "ok"), restart_delay=5.0)
    assert looping.window == 10
    assert not looping.stable
    assert not _is_over(looping, PARAMS, 20), "the timeout grows with the window"
    looping.see(document("ok", 5.0), 10)
    assert looping.stable


@pytest.mark.parametrize(
    ("looks", "seconds"),
    [
        ([(0, "critical")], 0.1),
        ([(0, "critical"), (0.1, "critical")], 0.2),
        ([(number, "critical") for number in range(9)], 1.0),
        ([(0, "ok")], 1.0),
        ([(0, "ok"), (2.25, "ok")], 0.75),
        ([(0, "ok"), (2.99, "ok")], 0.05),
        ([(0, "ok"), (1, "critical"), (2, "ok")], 1.0),
        ([(0, "ok"), (2, "critical")], 1.0),
    ],
    ids=[
        "not well",
        "not yet well",
        "not well for long",
        "just well",
        "the window ends before",
        "hardly anything is left",
        "it begins anew",
        "not well any more",
    ],
)
def test_when_the_next_look_comes(looks: list[tuple[float, str]], seconds: float) -> None:
    assert watched(*looks).pause(1.0, looks[-1][0]) == pytest.approx(seconds)


def test_a_look_that_takes_long_does_not_put_off_the_next() -> None:
    watch = watched((0, "ok"), (1, "ok"))
    assert watch.pause(1.0, 1.4) == pytest.approx(0.6)
    assert watch.pause(1.0, 2.5) == pytest.approx(0.05)


def test_the_looks_that_open_and_close_the_window_decide() -> None:
    watch = watched((0, "critical"))
    assert watch.decides(1)
    watch.see(document("ok"), 1)
    assert not watch.decides(2)
    assert not watch.decides(3.99)
    assert watch.decides(4)
    watch.see(document("critical"), 2)
    assert watch.decides(3), "it begins anew"
