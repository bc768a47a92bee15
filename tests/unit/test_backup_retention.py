# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups may go, and which never may, whatever there is."""

from __future__ import annotations

import pytest
from ansible_collections.ops.runbook.plugins.module_utils.backup import retention
from ansible_collections.ops.runbook.plugins.module_utils.backup.shelf import named
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput
from hypothesis import given
from hypothesis import strategies as st

DAY = 86400
START = 1_800_000_000  # 2027-01-15 08:00 UTC, a Friday


def daily(count: int) -> list[str]:
    return [named(START + number * DAY) for number in range(count)]


def test_a_year_of_days_leaves_days_weeks_and_months() -> None:
    names = daily(365)
    gone = retention.expired(names, names, {"daily": 7, "weekly": 4, "monthly": 12})
    kept = [name for name in names if name not in gone]
    assert kept[-7:] == names[-7:]
    months = [name[:6] for name in kept]
    assert len(set(months)) == 12
    assert all(name[:8] == max(n[:8] for n in names if n[:6] == name[:6]) for name in kept[:9])


def test_nothing_goes_while_nothing_newer_is_proven() -> None:
    names = daily(30)
    assert retention.expired(names, [], {"daily": 1}) == []
    gone = retention.expired(names, names[:10], {"daily": 1})
    assert gone == names[:9], "the last proven one and all after it stay"


def test_the_proven_one_of_a_day_stays_rather_than_the_last() -> None:
    morning, noon, night, next_day = (named(START + hours * 3600) for hours in (0, 3, 6, 30))
    assert retention.expired([morning, noon, night, next_day], [noon, next_day], {"daily": 2}) == [morning, night]


@pytest.mark.parametrize(
    ("policy", "words"),
    [({}, "keeps nothing"), ({"daily": 0}, "keeps nothing"), ({"daily": -1}, "keeps"), ({"yearly": 1}, "no period")],
)
def test_a_policy_that_keeps_nothing_is_refused(policy: dict[str, int], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        retention.expired([], [], policy)


HOURS = st.lists(st.integers(0, 24 * 800), unique=True, max_size=60)
POLICIES = st.fixed_dictionaries({period: st.integers(0, 9) for period in retention.PERIODS}).filter(
    lambda policy: any(policy.values())
)


@given(HOURS, st.data(), POLICIES)
def test_what_never_goes(hours: list[int], data: st.DataObject, policy: dict[str, int]) -> None:
    names = [named(START + hour * 3600) for hour in hours]
    proven = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    gone = retention.expired(names, proven, policy)
    assert set(gone) <= set(names)
    assert gone == sorted(gone)
    if not proven:
        assert gone == []
        return
    assert all(name < max(proven) for name in gone)
    kept = [name for name in names if name not in gone]
    assert retention.expired(kept, [name for name in proven if name in kept], policy) == [], (
        "a second time nothing goes"
    )
    for count, period in ((policy["daily"], 8), (policy["monthly"], 6)):
        last = sorted({name[:period] for name in names})[-count:] if count else []
        assert set(last) <= {name[:period] for name in kept}
