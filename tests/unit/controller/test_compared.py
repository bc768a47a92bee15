# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences as the record keeps them: unified, bounded, and without secrets."""

from __future__ import annotations

from ansible_collections.ops.runbook.plugins.plugin_utils import compared


def test_before_and_after_become_a_unified_diff() -> None:
    diff = {"before": "a\nb\nc\nd\ne\n", "after": "a\nb\nx\nd\ne", "before_header": "/etc/f", "after_header": "/etc/f"}
    assert compared.unified(diff).splitlines() == [
        "--- /etc/f (before)",
        "+++ /etc/f (after)",
        "@@ -2,4 +2,4 @@",
        " b",
        "-c",
        "+x",
        " d",
        "-e",
        "+e",
    ]


def test_what_was_prepared_is_kept() -> None:
    assert compared.unified({"prepared": "-old\n+new\n"}) == "-old\n+new\n"


def test_nothing_to_compare() -> None:
    assert compared.unified({}) == ""
    assert compared.unified({"before": {"state": "x"}, "after": {"state": "y"}}) == ""
    assert compared.unified({"before": "same\n", "after": "same\n"}) == ""


def test_secrets_are_masked_and_where_only_they_differ_nothing_shows() -> None:
    one, other = "user=x\npassword=hunter2hunter2\n", "user=x\npassword=swordfish99\n"
    assert compared.unified({"before": one, "after": other}) == ""
    assert "hunter2" not in compared.unified({"before": one, "after": "user=y\n" + one})
    assert "hunter2" not in compared.unified({"prepared": "-password=hunter2hunter2\n"})


def test_a_large_diff_is_cut_and_a_very_large_one_is_not_made() -> None:
    lines = "".join(f"line {n} {'x' * 50}\n" for n in range(1500))
    told = compared.unified({"before": "", "after": lines})
    assert len(told) < compared.MOST + 50
    assert told.endswith("characters more)\n")
    assert "too many to compare" in compared.unified({"before": "", "after": "x\n" * 5000})
