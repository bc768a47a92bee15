# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys have one spelling, values one text, and a component that is better already is never lowered."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import sysctl_files, sysctl_keys
from ansible_collections.ops.runbook.plugins.module_utils import sysctl_plan as plan
from ansible_collections.ops.runbook.plugins.module_utils import sysctl_state as state
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, Refused
from hypothesis import given
from hypothesis import strategies as st

TCP_RMEM = "net.ipv4.tcp_rmem"
PARTS = st.text(st.sampled_from("abz09_-.@:"), min_size=1, max_size=9).filter(lambda part: part.strip(".-"))
PATHS = (
    st.lists(PARTS, min_size=2, max_size=5)
    .filter(lambda parts: "." not in parts[0] and parts[0][0] != "-")
    .map("/".join)
)
TRIPLES = st.tuples(*[st.integers(0, 99)] * 3).map(lambda values: " ".join(map(str, values)))


def one(key: str, asked: object, live: str, entry: dict[str, str] | None = None, lowering: bool = False) -> plan.Key:
    """A key after the decision, as the kernel shows live and the state file has entry."""
    found = plan.parse_settings({key: asked}, ())[0]
    found.live, found.entry = live, entry
    found.original = entry["before"] if entry and found.ours else live
    plan.decide(found, lowering)
    return found


# ---- names


@pytest.mark.parametrize(
    ("written", "name", "path"),
    [
        ("net.core.somaxconn", "net.core.somaxconn", "net/core/somaxconn"),
        ("net/core/somaxconn", "net.core.somaxconn", "net/core/somaxconn"),
        (" net.core/somaxconn ", "net.core/somaxconn", "net/core.somaxconn"),
        ("net/ipv4/conf/eth0.100/rp_filter", "net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
        ("net.ipv4.conf.eth0/100.rp_filter", "net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
        ("swappiness", "swappiness", "swappiness"),
    ],
)
def test_the_first_separator_decides_what_a_dot_is(written: str, name: str, path: str) -> None:
    assert plan.parse_key(written) == name
    assert plan.path_of(name) == path


@given(PATHS)
def test_every_spelling_of_a_path_is_one_key(path: str) -> None:
    name = plan.key_of(path)
    assert plan.path_of(name) == path
    assert plan.key_of(name) == name
    assert plan.parse_key(path) == plan.parse_key(name) == name


@pytest.mark.parametrize(
    "key",
    [
        "net/../../etc/passwd",
        "net...core",
        "../etc/passwd",
        "/etc/passwd",
        ".net.core",
        "net..core",
        "net.core.",
        "",
        "-",
        "--net.core.somaxconn",
        "#net.core",
        ";net.core",
        "net.core.a b",
        "net.core.a\nb = 1",
        "net.core=1",
        "net.core.\x00",
        "net/./core",
    ],
)
def test_keys_that_stray_or_would_break_the_file_are_refused(key: str) -> None:
    with pytest.raises(BadInput, match="cannot be the name of a kernel parameter"):
        plan.parse_settings({key: 1}, ())


@pytest.mark.parametrize("key", ["net.ipv4.conf.*.rp_filter", "net.core.somaxcon?", "-net.[ci]*"])
def test_patterns_are_refused_with_what_to_do(key: str) -> None:
    with pytest.raises(BadInput, match="Write the keys out"):
        plan.parse_settings({key: 1}, ())


# ---- values


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        (0, "0"),
        (-1, "-1"),
        ("10", "10"),
        ("  4096\t87380   16777216\n", "4096 87380 16777216"),
        ([4096, "87380", 16777216], "4096 87380 16777216"),
        ("|/usr/lib/systemd/systemd-coredump %P %u", "|/usr/lib/systemd/systemd-coredump %P %u"),
        ("ünï", "ünï"),
    ],
)
def test_values_become_one_text(given_: object, text: str) -> None:
    assert plan.parse_value("net.core.somaxconn", given_) == text


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        (True, "is True, a boolean, where a number or a text is needed. Write 1 or 0."),
        ([1, False], "is False, a boolean"),
        (1.5, "is of type float"),
        (None, "is of type NoneType"),
        ({"a": 1}, "is of type dict"),
        ([], "is of type list"),
        ("", "has no value"),
        (" \t", "has no value"),
        ("1\nnet.core.wmem_max = 1", "one line"),
        ("1\x00", "one line"),
    ],
)
def test_values_of_a_wrong_type_name_the_key(given_: object, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        plan.parse_settings({"-net/core/somaxconn": given_}, ())
    assert caught.value.where == "net.core.somaxconn"
    assert says in str(caught.value)


def test_two_spellings_of_one_key_must_agree() -> None:
    same = plan.parse_settings(
        {"net.core.somaxconn": 1024, "net/core/somaxconn": " 1024", "-net.core.somaxconn": "0x400"}, ()
    )
    assert [(key.name, key.asked, key.optional) for key in same] == [("net.core.somaxconn", "1024", True)]
    with pytest.raises(BadInput, match=r"given twice, as 1 and as 2\. The profile contradicts itself") as caught:
        plan.parse_settings({"net.ipv4.conf.eth0/1.rp_filter": 1, "net/ipv4/conf/eth0.1/rp_filter": 2}, ())
    assert caught.value.where == "net.ipv4.conf.eth0/1.rp_filter"


@pytest.mark.parametrize(
    "settings",
    [
        {"vm.dirty_ratio": 15, "vm.dirty_bytes": 1048576},
        {"vm.dirty_background_ratio": 5, "vm.dirty_background_bytes": "65536"},
        {"net.ipv4.ip_forward": 1, "net.ipv4.conf.all.forwarding": 0},
    ],
)
def test_keys_that_undo_each_other_are_a_contradiction(settings: dict[str, t.Any]) -> None:
    with pytest.raises(BadInput, match="contradicts itself"):
        plan.parse_settings(settings, ())
    first = next(iter(settings))
    assert len(plan.parse_settings({first: settings[first]}, ())) == 1


def test_pairs_that_agree_are_no_contradiction() -> None:
    plan.parse_settings({"net.ipv4.ip_forward": 1, "net.ipv4.conf.all.forwarding": "1"}, ())
    plan.parse_settings({"vm.dirty_ratio": 15, "vm.dirty_bytes": 0}, ())


def test_keys_are_optional_by_a_minus_or_by_a_pattern() -> None:
    settings = {"-net.core.a": 1, "net.netfilter.b": 1, "net.ipv4.conf.eth0/1.c": 1, "net.core.d": 1}
    keys = plan.parse_settings(settings, ["net.netfilter.*", "net/ipv4/conf/eth0.?/c"])
    assert {key.name for key in keys if key.optional} == {"net.core.a", "net.netfilter.b", "net.ipv4.conf.eth0/1.c"}


def test_what_resets_others_is_written_first() -> None:
    names = [
        "net.core.somaxconn",
        "net.ipv4.conf.eth0.rp_filter",
        "net.ipv4.conf.default.rp_filter",
        "net.ipv4.conf.all.rp_filter",
        "net.ipv4.ip_forward",
        "net.ipv6.conf.all.forwarding",
    ]
    keys = plan.parse_settings(dict.fromkeys(names, 1), ())
    assert [key.name for key in keys] == [names[at] for at in (4, 5, 2, 3, 0, 1)]


@pytest.mark.parametrize(
    ("live", "wanted", "same"),
    [
        ("1", "1", True),
        ("16", "0x10", True),
        ("8", "010", True),
        ("-1", "-1", True),
        ("1 16", "1 0X10", True),
        ("1", "2", False),
        ("1 2", "1", False),
        ("1000", "1_000", False),
        ("010", "8", False),
        ("00ff", "0xff", False),
        ("5", "+5", False),
        ("5", "0o5", False),
        ("5", "\u0665", False),
        ("cubic", "reno", False),
    ],
)
def test_values_are_compared_as_the_kernel_reads_them(live: str, wanted: str, same: bool) -> None:
    assert plan.same(live, wanted) is same


# ---- decisions


@pytest.mark.parametrize(
    ("key", "asked", "live", "target", "status"),
    [
        ("net.core.somaxconn", 65535, "4096", "65535", "applied"),
        ("net.core.somaxconn", 4096, "4096", "4096", "already"),
        ("net.core.somaxconn", "0x1000", "4096", "4096", "already"),
        ("net.core.somaxconn", "0x2000", "4096", "8192", "applied"),
        ("net.core.somaxconn", 128, "4096", "4096", "better_kept"),
        ("fs.file-max", 2097152, "9223372036854775807", "9223372036854775807", "better_kept"),
        (TCP_RMEM, "4096 87380 16777216", "4096 131072 33554432", "4096 131072 33554432", "better_kept"),
        (TCP_RMEM, "4096 87380 16777216", "4096 131072 6291456", "4096 131072 16777216", "applied"),
        (TCP_RMEM, "4096 131072 6291456", "4096 131072 6291456", "4096 131072 6291456", "already"),
        ("net.ipv4.ip_local_port_range", "10000 60000", "32768 60999", "10000 60999", "applied"),
        ("net.ipv4.ip_local_port_range", "40000 60000", "32768 60999", "32768 60999", "better_kept"),
        ("net.netfilter.nf_conntrack_max", 262144, "0", "0", "better_kept"),
        ("net.netfilter.nf_conntrack_max", 0, "262144", "0", "applied"),
        ("net.ipv4.neigh.default.gc_thresh3", 512, "1024", "1024", "better_kept"),
        ("vm.swappiness", 10, "60", "10", "applied"),
        ("vm.swappiness", 80, "60", "80", "applied"),
        ("net.ipv4.tcp_fin_timeout", 15, "60", "15", "applied"),
        ("net.ipv4.tcp_tw_reuse", 1, "2", "1", "applied"),
        ("net.ipv4.conf.eth0/1.rp_filter", 0, "2", "0", "applied"),
        ("kernel.unheard_of", "a b", "1", "a b", "applied"),
        ("kernel.sem", "250 32000 100 128", "250", "250 32000 100 128", "applied"),
    ],
)
def test_the_better_value_stays(key: str, asked: object, live: str, target: str, status: str) -> None:
    found = one(key, asked, live)
    assert (found.target, found.status) == (target, status)
    assert found.kept is (status != "better_kept")


def test_a_component_that_stays_is_told_with_its_source() -> None:
    note = one(TCP_RMEM, "4096 87380 16777216", "4096 131072 6291456").note
    assert note.startswith("131072 is kept (asked: 87380): better than asked, see networking/ip-sysctl")
    assert "allow_lowering" in note
    assert "6291456" not in note
    assert one("net.core.somaxconn", 65535, "4096").note == ""


def test_allow_lowering_takes_what_is_asked() -> None:
    found = one(TCP_RMEM, "4096 87380 16777216", "4096 131072 33554432", lowering=True)
    assert (found.target, found.status, found.kept, found.note) == ("4096 87380 16777216", "applied", True, "")


@given(TRIPLES, TRIPLES)
def test_no_component_is_ever_lowered(asked: str, live: str) -> None:
    found = one(TCP_RMEM, asked, live)
    pairs = list(zip(map(int, asked.split()), map(int, live.split()), map(int, str(found.target).split()), strict=True))
    assert all(target == max(wanted, present) for wanted, present, target in pairs)
    assert (found.status == "better_kept") is (found.target == live and asked != live)
    assert one(TCP_RMEM, asked, live, lowering=True).target == asked


@pytest.mark.parametrize("asked", ["4096", "4096 87380 big", "1 2 3 4", "4096 87380 1_6"])
def test_a_value_of_another_shape_than_the_kernel_s_is_wrong(asked: str) -> None:
    for lowering in (False, True):
        with pytest.raises(BadInput, match=r"is not 3 whole number\(s\). Here it is 4096 131072 6291456") as caught:
            one(TCP_RMEM, asked, "4096 131072 6291456", lowering=lowering)
        assert caught.value.where == TCP_RMEM


def test_what_the_profile_set_itself_is_no_floor() -> None:
    ours = {"before": "128", "set": "65535"}
    revised = one("net.core.somaxconn", 1024, "65535", ours)
    assert (revised.target, revised.status, revised.original) == ("1024", "applied", "128")
    lower = one("net.core.somaxconn", 64, "65535", ours)
    assert (lower.target, lower.status, lower.kept, lower.differs) == ("128", "better_kept", False, True)
    somebody_s = one("net.core.somaxconn", 1024, "50000", ours)
    assert (somebody_s.target, somebody_s.status, somebody_s.original) == ("50000", "better_kept", "50000")


# ---- the table of directions


def test_the_table_says_one_thing_of_each_key() -> None:
    names = [name for page in sysctl_keys.WAYS.values() for name in page]
    assert len(names) == len(set(names)) >= 40
    for page, keys in sysctl_keys.WAYS.items():
        for name, ways in keys.items():
            assert set(ways) <= {"higher", "lower", "choice"}
            assert plan.key_of(name) == name
            assert name.partition(".")[0] in ("net", "vm", "fs", "kernel")
            assert plan.ways_of(name) == (ways, page)
    for pair in (*sysctl_keys.ALIASES, *sysctl_keys.EXCLUSIVE):
        assert len({plan.key_of(name) for name in pair}) == 2


def test_a_star_stands_for_one_part() -> None:
    assert plan.ways_of("net.ipv4.neigh.default.gc_thresh1")[0] == ("higher",)
    assert plan.ways_of("net.ipv4.conf.eth0/1.rp_filter")[0] == ("choice",)
    assert plan.ways_of("net.ipv4.conf.a.b.rp_filter") == ((), "")
    assert plan.ways_of("net.ipv4.neigh.gc_thresh1") == ((), "")


def test_components_are_as_many_as_this_kernel_s() -> None:
    """The table is checked against the machine: a key with another number of components would never be compared."""
    seen = 0
    for page in sysctl_keys.WAYS.values():
        for name, ways in page.items():
            try:
                live = sysctl_files.read_live(name)
            except OSError:
                continue
            assert len(live.split()) == len(ways), name
            assert all(plan.number(part) is not None for part in live.split()), name
            seen += 1
    assert seen > 30


# ---- the files


def test_the_drop_in_says_what_sysctl_d_understands() -> None:
    settings = {"net.core.somaxconn": 1, "-net/ipv4/conf/eth0.1/rp_filter": 2, TCP_RMEM: [1, 2, 3], "net.core.x": 1}
    keys = plan.parse_settings(settings, ())
    for key in keys:
        key.live = key.original = "0 0 0" if key.name == TCP_RMEM else "0"
        plan.decide(key, False)
    keys[-1].leave("overridden", "")
    data = plan.render("p", "/var/lib/x.json", keys)
    assert data is not None
    text = data.decode()
    assert text.splitlines()[2:] == [
        "net.core.somaxconn = 1",
        "-net.ipv4.conf.eth0/1.rp_filter = 2",
        "net.ipv4.tcp_rmem = 1 2 3",
    ]
    assert "profile p." in text
    assert "/var/lib/x.json" in text
    assert [(key, value) for _line, key, value in sysctl_files.parse_conf(text)] == [
        ("net.core.somaxconn", "1"),
        ("net.ipv4.conf.eth0/1.rp_filter", "2"),
        (TCP_RMEM, "1 2 3"),
    ]
    assert plan.render("p", "/x", keys[-1:]) is None


def test_the_state_is_read_as_it_was_written() -> None:
    entries = {
        "net.core.somaxconn": {"before": "128", "set": "65535"},
        "a.b": {"before": "1", "set": "2", "start": "3"},
    }
    data = state.render_state(entries)
    assert state.parse_state(data, "/x") == entries
    assert state.render_state({}) is None
    assert state.parse_state(None, "/x") == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"schema": "ops.runbook/sysctl/2", "keys": {}}',
        b'{"schema": "ops.runbook/sysctl/1"}',
        b'{"schema": "ops.runbook/sysctl/1", "keys": []}',
        b'{"schema": "ops.runbook/sysctl/1", "keys": {"a.b": {"before": "1"}}}',
        b'{"schema": "ops.runbook/sysctl/1", "keys": {"a.b": {"before": "1", "set": 2}}}',
        b'{"schema": "ops.runbook/sysctl/1", "keys": {"a.b": null}}',
        b"[" * 100000,
    ],
)
def test_a_damaged_state_is_never_guessed_at(data: bytes) -> None:
    with pytest.raises(Refused, match="nobody knows what the values were before") as caught:
        state.parse_state(data, "/var/lib/x.json")
    assert caught.value.where == "/var/lib/x.json"
    assert "rm /var/lib/x.json" in caught.value.hint


def test_a_key_underway_is_known_by_both_values() -> None:
    key = one("net.core.somaxconn", 1024, "65535", {"before": "128", "set": "65535"})
    key.start = key.live
    underway = state.kept_entries([key], True)
    assert underway == {"net.core.somaxconn": {"before": "128", "set": "1024", "start": "65535"}}
    assert state.kept_entries([key], False) == {"net.core.somaxconn": {"before": "128", "set": "1024"}}
    for live, ours in (("65535", True), ("1024", True), ("128", False), ("7", False)):
        key.live, key.entry = live, underway["net.core.somaxconn"]
        assert key.ours is ours
    assert json.loads(state.render_state(underway) or b"")["schema"] == state.SCHEMA
